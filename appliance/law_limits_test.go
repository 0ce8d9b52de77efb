package appliance_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// Two agents dial the same customer at once with one attempt left: one call reaches Meta, in every one of 50 rounds.
func TestTwoAgentsWithOneAttemptLeftPlaceOneCall(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	phones := []*simulator.Phone{w.phone, w.newPhone("1002", simulator.PhoneAnswer{})}
	for round := range 50 {
		cust := w.customer(simulator.CustomerConfig{Phone: fmt.Sprint(4915112345000 + round), Permission: simulator.PermissionPermanent})
		w.must(cust.SendText(pnid, "hello")) // so that we know them
		w.until("the customer to be known", func() bool { _, err := w.app.Store().ByPhone(t.Context(), cust.Config().Phone); return err == nil })
		id := w.customerID(cust)
		for i := range 4 {
			for _, e := range []policy.Event{{Kind: policy.EventAttempted}, {Kind: policy.EventEnded, Outcome: policy.OutcomeConnected}} {
				e.ID, e.At = fmt.Sprint("earlier", round, i), w.meta.Clock().Now()
				_, err := w.app.Store().RecordEvent(t.Context(), "main", id, e, nil)
				w.must(err)
			}
		}
		before := w.connects()
		var dialling sync.WaitGroup
		calls := make([]*simulator.PhoneCall, len(phones))
		for i, p := range phones {
			dialling.Go(func() {
				var err error
				if calls[i], err = p.Dial(t.Context(), "sip:+"+cust.Config().Phone+"@"+w.app.SIPAddr().String()); err != nil {
					t.Error(err)
				}
			})
		}
		dialling.Wait()
		talked, refused := 0, 0
		for _, call := range calls {
			select {
			case <-call.Answered():
				talked++
				w.must(call.Hangup(t.Context()))
			case <-call.Done():
				if end := call.End(); end.Status == 403 && strings.Contains(end.Reason, policy.RuleAttempts) {
					refused++
				}
			case <-time.After(waiting):
				t.Fatal("a call came to nothing")
			}
		}
		w.idle()
		if n := w.connects() - before; n != 1 || talked != 1 || refused != 1 {
			t.Fatalf("round %d: %d calls at Meta, %d agents talked, %d were refused", round, n, talked, refused)
		}
		if n := len(w.explain(cust, "").Decision.Facts.Pair.Attempts); n != 5 {
			t.Fatalf("round %d: %d attempts in the ledger", round, n)
		}
	}
}

func TestARestrictionStopsCallsOutSaysUntilWhenAndEndsByItself(t *testing.T) {
	w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) {
		s.Phones[1].Refusal = "reject"
		s.Lines[0].Hours.TimeZone = berlin
		s.Lines[0].Hours.Weekly = []string{"mon-sun 00:00-24:00"}
	}})
	direct := w.newPhone("1002", simulator.PhoneAnswer{})
	cust := w.erika(granted)
	until := inBerlin(t, "2027-01-14", "15:00")
	alarm := func(want string) {
		t.Helper()
		w.until("the alarm to be "+want, func() bool {
			_, text := w.get(w.app.MetricsAddr(), "/metrics")
			return strings.Contains(text, `deskbridge_line_restricted{kind="outbound",line="main"} `+want)
		})
	}
	w.meta.Restrict(pnid, simulator.RestrictBusinessCalls, until)
	alarm("1")
	call := w.answered(erika)
	w.hears(call, "en", ivr.Prompt("why.restricted"))
	w.hears(call, "en", ivr.Prompt("next.line"), ivr.When(until, w.meta.Clock().Now().In(until.Location())))
	w.must(call.Hangup(t.Context()))
	refused, err := direct.Dial(t.Context(), "sip:"+erika+"@"+w.app.SIPAddr().String())
	w.must(err)
	w.over(refused)
	if said := fmt.Sprintf("%+v", refused.End()); refused.End().Status != 403 || !strings.Contains(said, policy.RuleRestricted) || !strings.Contains(said, "Thursday 14 January at 15:00") {
		t.Errorf("the phone was told %s", said)
	}
	if n := w.connects(); n != 0 {
		t.Fatalf("%d calls", n)
	}
	// Customers still get through.
	in, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(in, w.rung(w.phone))
	in.Hangup()
	w.idle()
	w.meta.Clock().Set(until)
	w.allowed(cust)
	alarm("0")
}

func TestAWarningOfQualityIsKeptAndForbidsNothing(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted)
	w.must(w.meta.WarnViolation(pnid, simulator.ViolationLowPickup))
	w.until("the warning in the line's state", func() bool {
		st, err := w.app.Store().LineState(t.Context(), "main")
		return err == nil && st.Quality == simulator.ViolationLowPickup
	})
	w.allowed(cust)
}

// All six of Meta's permission replies.
func TestEveryPermissionReplyOfMeta(t *testing.T) {
	w := newRules(t, func(s *appliance.Settings) { s.Policy.Profile = policy.ProfileMeta }, func(s *appliance.Settings) {
		s.Lines[0].Meta.CallbackPermission = "enabled"
	})
	w.until("callback permission at Meta", func() bool { return w.meta.SettingsOf(pnid)["callback_permission_status"] == "ENABLED" })
	n := 4915112345600
	person := func(c simulator.CustomerConfig) *simulator.Customer {
		n++
		c.Phone, c.WindowClosed = fmt.Sprint(n), true
		return w.customer(c)
	}
	is := func(c *simulator.Customer, want policy.Standing, source policy.Source) {
		t.Helper()
		if e := w.standing(c, want); e.Permission.Source != source {
			t.Errorf("%s by %s, want %s", want, e.Permission.Source, source)
		}
	}
	none := simulator.CustomerConfig{Permission: simulator.PermissionNone}
	t.Run("accepts for seven days", func(*testing.T) {
		c := person(none)
		w.must(c.AnswerPermission(w.asked(c), true, false))
		is(c, policy.StandingTemporary, policy.SourceRequest)
	})
	t.Run("accepts for good", func(*testing.T) {
		c := person(none)
		w.must(c.AnswerPermission(w.asked(c), true, true))
		is(c, policy.StandingPermanent, policy.SourceRequest)
		if d := w.explain(c, policy.ActionAsk).Decision; d.Rule != policy.RulePermissionPermanent {
			t.Errorf("asking again: %s", d.Rule)
		}
	})
	t.Run("allows in the business profile, and takes it back", func(*testing.T) {
		c := person(none)
		w.must(c.SetPermission(pnid, simulator.PermissionPermanent, true))
		w.until("the customer to be known", func() bool { _, err := w.app.Store().ByPhone(t.Context(), c.Config().Phone); return err == nil })
		is(c, policy.StandingPermanent, policy.SourceProfile)
		w.must(c.SetPermission(pnid, simulator.PermissionNone, true))
		is(c, policy.StandingRevoked, policy.SourceProfile)
		w.refused(c, policy.RulePermissionRevoked)
	})
	t.Run("takes it back without a word from Meta", func(*testing.T) {
		c := person(none)
		w.must(c.SetPermission(pnid, simulator.PermissionPermanent, true))
		w.until("the customer to be known", func() bool { _, err := w.app.Store().ByPhone(t.Context(), c.Config().Phone); return err == nil })
		is(c, policy.StandingPermanent, policy.SourceProfile)
		w.must(c.SetPermission(pnid, simulator.PermissionNone, false))
		w.meta.Clock().Advance(2 * time.Minute) // what Meta said before is too old
		if cdr := w.call(c, ""); cdr.Cause.Reason != bridge.ReasonRefused {
			t.Errorf("the call: %+v", cdr.Cause)
		}
	})
	t.Run("declines", func(*testing.T) {
		c := person(none)
		w.must(c.AnswerPermission(w.asked(c), false, false))
		is(c, policy.StandingDeclined, policy.SourceRequest)
	})
	t.Run("calls, and is called back", func(*testing.T) {
		c := person(none)
		call, err := c.Call(t.Context(), number, simulator.CallOptions{})
		w.must(err)
		w.must(call.WaitState(t.Context(), simulator.StateConnected)) // a voice: nobody is available
		call.Hangup()
		is(c, policy.StandingTemporary, policy.SourceCallback)
		w.until("one callback request", func() bool { return len(w.callbacks()) == 1 })
		cb := w.callbacks()[0]
		if cb.Customer != w.customerID(c) || cb.Permission != policy.PermissionTemporary || cb.Expires.IsZero() {
			t.Errorf("callback request %+v", cb)
		}
		if cb.Call != "" { // else Meta's word came before the call's record
			cdr, err := w.app.Store().Call(t.Context(), cb.Call)
			if w.must(err); cdr.Wacid != call.ID() {
				t.Errorf("it belongs to call %+v", cdr)
			}
		}
		w.allowed(c)
		w.until("the callback request to be done", func() bool { return !w.callbacks()[0].State.Live() })
	})
	t.Run("does not answer four calls", func(*testing.T) {
		c := person(simulator.CustomerConfig{Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{React: simulator.ReactDecline}})
		for range 4 {
			w.allowed(c)
		}
		is(c, policy.StandingUnanswered, policy.SourceMeta)
	})
}

// 08…, 62…, +62… and 0062… are one person, whichever is dialled.
func TestEveryWayToDialANumberReachesTheSameCustomer(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly(func(s *appliance.Settings) { s.Lines[0].Country = "ID" })})
	cust := w.customer(simulator.CustomerConfig{Phone: "6281234567890", Permission: simulator.PermissionPermanent})
	ids := map[string]bool{}
	for _, dialled := range []string{"081234567890", "6281234567890", "+6281234567890", "006281234567890", "0812-3456-7890"} {
		call := w.dial(dialled)
		w.reaches(cust)
		<-call.Answered()
		w.must(call.Hangup(t.Context()))
		w.over(call)
		ids[w.lastRecord().Customer.ID] = true
	}
	if w.idle(); len(ids) != 1 {
		t.Errorf("%d customers", len(ids))
	}
	if cdr := w.call(cust, ""); cdr.Cause.Rule != policy.RuleAttempts {
		t.Errorf("the sixth call: %+v", cdr.Cause)
	}
}

// A customer known by user ID becomes known by number: what was counted before still counts.
func TestACustomerWhoseIdentityChangesKeepsTheirHistory(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	hidden := w.customer(simulator.CustomerConfig{BSUID: "DE.7001122334455667788", Username: "erika.m", HidePhone: true, Phone: "4915112345678", Permission: simulator.PermissionPermanent})
	in, err := hidden.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(in, w.rung(w.phone))
	in.Hangup()
	first := w.lastRecord()
	if first.Customer.Phone != "" || first.Customer.Alias == "" {
		t.Fatalf("customer %+v", first.Customer)
	}
	for range 5 {
		call := w.dial(first.Customer.Alias)
		w.reaches(hidden)
		<-call.Answered()
		w.must(call.Hangup(t.Context()))
		w.over(call)
		w.idle()
	}
	call := w.dial(first.Customer.Alias)
	w.over(call)
	if cdr := w.lastRecord(); cdr.Cause.Rule != policy.RuleAttempts {
		t.Fatalf("the sixth call by alias: %+v", cdr.Cause)
	}
	// Now Meta shares the number too.
	hidden.Update(func(c *simulator.CustomerConfig) { c.HidePhone = false })
	w.must(hidden.SendText(pnid, "hello"))
	w.until("the number to be known", func() bool {
		c, err := w.app.Store().ByPhone(t.Context(), "4915112345678")
		return err == nil && c.ID == first.Customer.ID
	})
	w.refused(hidden, policy.RuleAttempts)
}
