package frontdesk

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"deskbridge/policy"
	"deskbridge/store"
)

func TestBlockedCustomerIsNeitherCalledNorRung(t *testing.T) {
	r := newRig(t)
	r.grant()
	r.wrote()
	c := Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "threats"}
	r.must(r.desk.Block(r.ctx(), c))
	r.restart()
	if d := r.call("k1"); d.Rule != policy.RuleBlocked {
		t.Fatalf("%+v", d)
	}
	if d := r.customerCalls("k2"); d.Rule != policy.RuleBlocked {
		t.Fatalf("%+v", d)
	}
	s, err := r.desk.Text(r.ctx(), Request{Line: "main", Customer: r.c, Text: "hi", Template: Template{Name: "news"}})
	if err != nil || s.Decision.Rule != policy.RuleBlocked || len(r.number.messages()) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	_, global, _, err := r.store.PolicyState(r.ctx(), "main", r.c.ID)
	r.must(err)
	if b, ok := global.IsBlocked(); !ok || b.By != "user:anna" || b.Reason != "threats" {
		t.Fatalf("%+v", b)
	}
	r.pass(time.Minute)
	c.Reason = ""
	r.must(r.desk.Unblock(r.ctx(), c))
	r.allow()
	if d := r.call("k3"); !d.Allowed {
		t.Fatalf("%+v", d)
	}
}

func TestControlsNeedAName(t *testing.T) {
	r := newRig(t)
	good := Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "why", Until: noon.Add(time.Hour)}
	for name, change := range map[string]func(*Control){
		"nobody":     func(c *Control) { c.By = " " },
		"no reason":  func(c *Control) { c.Reason = " " },
		"long":       func(c *Control) { c.Reason = strings.Repeat("x", maxReason+1) },
		"no line":    func(c *Control) { c.Line = "other" },
		"no person":  func(c *Control) { c.Customer.ID = "" },
		"over":       func(c *Control) { c.Until = noon },
		"too long":   func(c *Control) { c.Until = noon.Add(maxOverride + time.Second) },
		"not a call": func(*Control) {},
	} {
		c, action := good, policy.ActionCall
		change(&c)
		if name == "not a call" {
			action = policy.ActionMessage
		}
		if _, err := r.desk.Override(r.ctx(), c, action); !errors.Is(err, ErrControl) && !errors.Is(err, errNoLine) {
			t.Errorf("override, %s: %v", name, err)
		}
		if c.Until.Equal(good.Until) && action == policy.ActionCall {
			if err := r.desk.Block(r.ctx(), c); err == nil {
				t.Errorf("block, %s: no error", name)
			}
		}
	}
	if s := r.state(); !s.Override.At.IsZero() || !s.Block.At.IsZero() {
		t.Fatalf("%+v", s)
	}
}

func TestOverrideLiftsTheProfilesLimitsAndIsAudited(t *testing.T) {
	r := newRig(t)
	r.grant()
	for i := range 3 { // unanswered: the profile stops before the fourth
		id := fmt.Sprint("k", i)
		if d := r.call(id); !d.Allowed {
			t.Fatalf("%+v", d)
		}
		r.record(policy.Event{Kind: policy.EventEnded, ID: id, Outcome: policy.OutcomeUnanswered})
	}
	if d := r.call("k4"); d.Rule != policy.RuleUnanswered {
		t.Fatalf("%+v", d)
	}
	c := Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "they asked by mail", Until: noon.Add(time.Hour)}
	if d, err := r.desk.Override(r.ctx(), c, policy.ActionCall); err != nil || !d.Allowed || !d.Override {
		t.Fatalf("%+v, %v", d, err)
	}
	if d := r.call("k4"); !d.Allowed || !d.Override {
		t.Fatalf("%+v", d)
	}
	facts, err := r.store.Facts(r.ctx(), store.FactQuery{Limit: 1000})
	r.must(err)
	n := 0
	for _, f := range facts {
		if f.Kind == string(policy.EventOverride) && strings.Contains(string(f.Data), "user:anna") && strings.Contains(string(f.Personal), "they asked by mail") {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d overrides in the ledger, want one with its name and reason", n)
	}
	r.pass(time.Hour)
	r.allow()
	if d := r.call("k5"); d.Rule != policy.RuleUnanswered {
		t.Fatalf("after its end: %+v", d)
	}
}

func TestOverrideOfWhatItCannotLiftIsNotRecorded(t *testing.T) {
	r := newRig(t)
	c := Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "urgent", Until: noon.Add(time.Hour)}
	refused := func(action policy.Action, rule string) {
		t.Helper()
		if d, err := r.desk.Override(r.ctx(), c, action); err != nil || d.Allowed || d.Rule != rule || !r.state().Override.At.IsZero() {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	refused(policy.ActionCall, policy.RulePermissionNone) // the customer's word
	r.wrote()
	r.ask()
	refused(policy.ActionAsk, policy.RuleRequests) // Meta's own limit: one in 24 hours
	r.grant()
	if d, err := r.desk.Override(r.ctx(), c, policy.ActionCall); err != nil || !d.Allowed || d.Override || !r.state().Override.At.IsZero() {
		t.Fatalf("nothing to lift: %+v, %v", d, err)
	}
}

func TestOverrideOfTheProfilesWeekWhereMetaAllowsASecondRequest(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.ask()
	r.pass(policy.Day)
	r.wrote()
	c := Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "the customer lost it", Until: r.now().Add(time.Hour)}
	if d, err := r.desk.Override(r.ctx(), c, policy.ActionAsk); err != nil || !d.Override {
		t.Fatalf("%+v, %v", d, err)
	}
	if s := r.ask(); !s.Decision.Allowed || s.Err != nil || r.counted() != 2 {
		t.Fatalf("%+v", s.Decision)
	}
}
