package frontdesk

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

func TestAttemptIsCountedWhenTheCallIsAllowed(t *testing.T) {
	r := newRig(t)
	r.grant()
	if d := r.call("k1"); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	if a := r.state().Attempts; len(a) != 1 || a[0].ID != "k1" {
		t.Fatalf("attempts %+v", a)
	}
}

func TestTwoAgentsWithOneAttemptLeftGetOneCall(t *testing.T) {
	r := newRig(t)
	r.grant()
	for i := range 4 { // of 5 in 24 hours; each connected, so that they are no streak
		id := fmt.Sprint("k", i)
		if d := r.call(id); !d.Allowed {
			t.Fatalf("%+v", d)
		}
		r.record(policy.Event{Kind: policy.EventEnded, ID: id, Outcome: policy.OutcomeConnected})
	}
	r.restart() // the counts are on disk
	var mu sync.Mutex
	allowed := 0
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			d, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: fmt.Sprint("last", i), Direction: bridge.Outbound, Line: "main", Customer: r.c})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if d.Allowed {
				allowed++
			} else if d.Rule != policy.RuleAttempts {
				t.Errorf("refused by %s", d.Rule)
			}
		})
	}
	wg.Wait()
	if allowed != 1 || len(r.state().Attempts) != 5 {
		t.Fatalf("%d calls were allowed, %d counted", allowed, len(r.state().Attempts))
	}
	r.at(noon.Add(policy.Day))
	r.allow()
	if d := r.call("tomorrow"); !d.Allowed {
		t.Fatalf("at the second the first attempt is 24 hours old: %+v", d)
	}
}

func TestDecisionIsKeptAndCanBeMadeAgain(t *testing.T) {
	r := newRig(t)
	for name, prepare := range map[string]func(){"refused": func() {}, "allowed": r.grant} {
		prepare()
		want := r.call(name)
		data, err := r.store.Decision(r.ctx(), name)
		r.must(err)
		var kept policy.Decision
		r.must(json.Unmarshal(data, &kept))
		question, err := json.Marshal(kept.Facts)
		r.must(err)
		again, err := policy.Replay(question)
		r.must(err)
		if again.Rule != want.Rule || again.Allowed != want.Allowed || again.Sentence != want.Sentence {
			t.Errorf("%s: %+v, again %+v", name, want, again)
		}
	}
}

func TestMetaThatCannotBeAskedIsANoThatIsKept(t *testing.T) {
	r := newRig(t)
	r.grant()
	r.number.set(func(n *fakeNumber) { n.liveErr = upstream(&graph.Error{Code: 1}) })
	d, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: "k1", Direction: bridge.Outbound, Line: "main", Customer: r.c})
	if err == nil || d.Allowed || d.Rule != policy.RulePermissionUnknown || len(r.state().Attempts) != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	var cause *bridge.CauseError
	if !errors.As(err, &cause) || cause.Cause.Fault != bridge.FaultUpstream {
		t.Fatalf("the phone cannot be told why: %v", err)
	}
	if _, err := r.store.Decision(r.ctx(), "k1"); err != nil {
		t.Fatal(err)
	}
}

func TestMetaIsNotAskedWhereTheAnswerDoesNotMatter(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		rule   string
	}{
		"line off":    {func(r *rig) { r.set(func(l *LineConfig) { l.Enabled = false }) }, policy.RuleLineOff},
		"no outbound": {func(r *rig) { r.set(func(l *LineConfig) { l.Outbound = false }) }, policy.RuleNotAllowed},
		"night":       {func(r *rig) { r.set(func(l *LineConfig) { l.Hours = morning }) }, policy.RuleHours},
		"blocked": {func(r *rig) {
			r.must(r.desk.Block(r.ctx(), Control{Line: "main", Customer: r.c, By: "user:anna", Reason: "abuse"}))
		}, policy.RuleBlocked},
		"restricted": {func(r *rig) {
			_, err := r.store.SetLineRestrictions(r.ctx(), "main", []store.Restriction{{Kind: graph.RestrictedOutbound, Since: noon}}, noon)
			r.must(err)
		}, policy.RuleRestricted},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.grant()
			c.change(r)
			if d := r.call("k1"); d.Rule != c.rule || r.number.n("live") != 0 || len(r.state().Attempts) != 0 {
				t.Fatalf("%+v, asked %d times", d, r.number.n("live"))
			}
		})
	}
}

func TestCallOfACustomerRingsWithoutItsHistory(t *testing.T) {
	r := newRig(t)
	r.must(r.store.Close())
	if d := r.customerCalls("k1"); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	_, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: "k2", Direction: bridge.Outbound, Line: "main", Customer: r.c})
	if err == nil {
		t.Fatal("a call out was allowed without its history")
	}
}

func TestCallerNobodyCouldLookUpRings(t *testing.T) {
	r := newRig(t)
	d, err := r.desk.Authorize(r.ctx(), bridge.Attempt{Call: "k1", Direction: bridge.Inbound, Line: "main", Customer: bridge.Customer{Phone: "491"}})
	if err != nil || !d.Allowed {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := r.desk.Ask(r.ctx(), Request{Line: "main"}); !errors.Is(err, errNoCustomer) {
		t.Fatalf("err %v", err)
	}
}

func TestTheCallThatIsAskedAboutDoesNotCountAgainstItself(t *testing.T) {
	r := newRig(t, func(l *LineConfig) { l.MaxCalls = 2 })
	for calls, allowed := range map[int]bool{1: true, 2: true, 3: false} {
		r.phones.set(func(p *fakePhones) { p.calls = calls })
		if d := r.customerCalls(fmt.Sprint("k", calls)); d.Allowed != allowed {
			t.Errorf("%d calls with this one: %+v", calls, d)
		}
	}
	r.grant()
	r.phones.set(func(p *fakePhones) { p.calls = 2 })
	if d, err := r.desk.Explain(r.ctx(), "main", r.c, policy.ActionCall, time.Time{}, true); err != nil || d.Rule != policy.RuleConcurrency {
		t.Errorf("a call yet to be made beside two: %+v, %v", d, err)
	}
}

func TestExplainCountsNothing(t *testing.T) {
	r := newRig(t)
	r.grant()
	for _, a := range []policy.Action{policy.ActionCall, policy.ActionAsk, policy.ActionButton, policy.ActionMessage, policy.ActionRing} {
		if _, err := r.desk.Explain(r.ctx(), "main", r.c, a, time.Time{}, true); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.state(); len(s.Attempts) != 0 || len(s.Requests) != 0 {
		t.Fatalf("%+v", s)
	}
	d, err := r.desk.Explain(r.ctx(), "main", r.c, policy.ActionCall, noon.Add(policy.Week), false)
	if err != nil || d.Allowed {
		t.Fatalf("in a week: %+v, %v", d, err)
	}
	if _, err := r.desk.Explain(r.ctx(), "other", r.c, policy.ActionCall, time.Time{}, false); !errors.Is(err, errNoLine) {
		t.Fatalf("err %v", err)
	}
}

func TestDecisionIsForTheTimeAfterMetaAnswered(t *testing.T) {
	r := newRig(t)
	r.grant()
	r.set(func(l *LineConfig) { l.Number = &slowLive{r.number, func() { r.pass(3 * time.Second) }} })
	if d := r.call("k1"); !d.Allowed || !r.state().Attempts[0].At.Equal(noon.Add(3*time.Second)) {
		t.Fatalf("%+v, attempt %+v", d, r.state().Attempts)
	}
}

func TestRevocationWhileMetaIsAskedStopsTheCall(t *testing.T) {
	r := newRig(t)
	r.grant()
	r.set(func(l *LineConfig) {
		l.Number = &slowLive{r.number, func() {
			r.pass(time.Second)
			r.tell(r.reply("wamid.R", "", no, r.now()))
		}}
	})
	if d := r.call("k1"); d.Rule != policy.RulePermissionRevoked || len(r.state().Attempts) != 0 {
		t.Fatalf("%+v", d)
	}
}

// morning is open on weekdays from 8 to 11 UTC: closed at noon.
var morning = policy.Hours{Zone: "UTC", Weekly: []policy.Span{
	{Day: 1, From: 8 * 60, To: 11 * 60}, {Day: 2, From: 8 * 60, To: 11 * 60}, {Day: 3, From: 8 * 60, To: 11 * 60}, {Day: 4, From: 8 * 60, To: 11 * 60}, {Day: 5, From: 8 * 60, To: 11 * 60}}}
