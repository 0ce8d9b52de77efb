package appliance_test

import (
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// A supervisor lifts the profile's limits for a while, with a reason, over the control socket; Meta's limits stay.
func TestASupervisorLiftsTheProfilesLimitsButNotMetas(t *testing.T) {
	w := newRules(t)
	office := appliance.NewControlClient(w.cfg.DataDir)
	order := appliance.CustomerOrder{Verb: "override", Line: "main", Customer: erika, By: "user:anna", Reason: "she waits for it", Until: w.meta.Clock().Now().Add(time.Hour)}
	t.Run("calls", func(t *testing.T) {
		cust := w.erika(granted)
		for range 5 {
			w.allowed(cust)
		}
		w.refused(cust, policy.RuleAttempts)
		for _, bad := range []func(*appliance.CustomerOrder){
			func(o *appliance.CustomerOrder) { o.Reason = " " }, func(o *appliance.CustomerOrder) { o.By = "" }, func(o *appliance.CustomerOrder) { o.Until = monday.Add(-time.Hour) },
			func(o *appliance.CustomerOrder) { o.Until = monday.AddDate(0, 0, 3) }, func(o *appliance.CustomerOrder) { o.Action = policy.ActionMessage },
		} {
			o := order
			if bad(&o); true {
				if _, err := office.OrderCustomer(t.Context(), o); err == nil {
					t.Errorf("taken: %+v", o)
				}
			}
		}
		w.refused(cust, policy.RuleAttempts)
		d, err := office.OrderCustomer(t.Context(), order)
		if err != nil || !d.Allowed || !d.Override {
			t.Fatalf("%+v, %v", d, err)
		}
		cdr := w.allowed(cust)
		if e, err := w.app.ExplainCall(t.Context(), cdr.ID); err != nil || !e.Decision.Override || e.Decision.Facts.Pair.Override.By != "user:anna" || !*e.Replayed {
			t.Errorf("the call's decision: %+v, %v", e.Decision, err)
		}
		h := w.explain(cust, "").History
		found := false
		for _, e := range h {
			found = found || e.Kind == policy.EventOverride && e.By == "user:anna" && e.Reason == order.Reason
		}
		if !found {
			t.Error("the override is not in the ledger")
		}
		w.meta.Clock().Advance(time.Hour)
		w.refused(cust, policy.RuleAttempts)
	})
	t.Run("requests, as far as Meta goes", func(t *testing.T) {
		cust := w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionNone, WindowClosed: true})
		o := order
		o.Customer, o.Action = "015112345679", policy.ActionAsk
		lift := func(want bool) {
			t.Helper()
			o.Until = w.meta.Clock().Now().Add(time.Hour)
			if d, err := office.OrderCustomer(t.Context(), o); err != nil || d.Override != want {
				t.Fatalf("lifted %t, want %t: %s, %v", d.Override, want, d.Rule, err)
			}
		}
		w.asked(cust)
		lift(false) // Meta takes one in 24 hours
		if w.ask(cust, "") {
			t.Error("a second request in a day")
		}
		w.meta.Clock().Advance(policy.Day + time.Minute)
		lift(true)
		w.asked(cust)
		w.meta.Clock().Advance(policy.Day + time.Minute)
		lift(false) // and two in 7 days
		if w.ask(cust, "") || len(w.asks()) != 2 {
			t.Errorf("%d requests in a week", len(w.asks()))
		}
	})
}

func TestABlockedCustomerIsNeitherCalledNorAskedNorHeard(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	office := appliance.NewControlClient(w.cfg.DataDir)
	cust := w.erika(granted)
	order := appliance.CustomerOrder{Verb: "block", Line: "main", Customer: erika, By: "user:anna", Reason: "asked us to"}
	_, err := office.OrderCustomer(t.Context(), order)
	w.must(err)
	w.refused(cust, policy.RuleBlocked)
	if w.ask(cust, "") {
		t.Error("a request was sent")
	}
	in, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	<-in.Ended()
	w.notRung(w.phone)
	if n := len(w.meta.Requests("messages")); n != 0 {
		t.Errorf("%d messages", n)
	}
	if _, err := office.OrderCustomer(t.Context(), appliance.CustomerOrder{Verb: "override", Line: "main", Customer: erika, By: "user:anna", Reason: "x", Until: w.meta.Clock().Now().Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	w.refused(cust, policy.RuleBlocked)
	order.Verb, order.Line = "unblock", "nowhere"
	if _, err := office.OrderCustomer(t.Context(), order); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a line that is not there: %v", err)
	}
	order.Line = "main"
	_, err = office.OrderCustomer(t.Context(), order)
	w.must(err)
	w.allowed(cust)
}
