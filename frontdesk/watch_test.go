package frontdesk

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

func (r *rig) ringMe(who string) {
	r.t.Helper()
	if o := r.desk.RingWhenAllowed(r.ctx(), ivr.Request{Line: "main", Customer: r.c, Agent: who}); !o.Done {
		r.t.Fatalf("%+v", o)
	}
}

func (r *rig) look() { r.t.Helper(); r.desk.ringWatches(r.ctx()); r.settle() }

func (r *rig) open1() []store.Watch {
	r.t.Helper()
	page, err := r.store.Watches(r.ctx(), store.WatchQuery{})
	r.must(err)
	return page.Items
}

// rings expects how often an agent has been rung after a look.
func (r *rig) rings(want int, when string) {
	r.t.Helper()
	r.look()
	if got := r.phones.rung(); got != want {
		r.t.Fatalf("%s: rung %d times, want %d", when, got, want)
	}
}

func TestAgentIsRungWhenTheCustomerAllows(t *testing.T) {
	r := newRig(t)
	if o := r.desk.AskPermission(r.ctx(), ivr.Request{Call: "c1", Line: "main", Customer: r.c, Agent: agent}); !o.Done {
		t.Fatalf("%+v", o)
	}
	r.rings(0, "asked")
	if r.number.n("live") != 1 { // for the request itself
		t.Fatalf("Meta was asked %d times about a customer who has not answered", r.number.n("live"))
	}
	r.pass(time.Minute)
	r.allow()
	r.tell(r.reply("wamid.R", r.number.messages()[0].id, `"response":"accept","is_permanent":true,"response_source":"user_action"`, r.now()))
	r.restart() // the wish is on disk
	r.rings(1, "allowed")
	s := r.phones.summons[0]
	if s.Line != "main" || s.LineName != "Main" || s.Customer.ID != r.c.ID || s.Agent.Name != agent || s.Dialled != "+"+r.c.Phone || s.RingTimeout != summonFor || s.Peer != agent || s.From != "1001" || len(s.Via) != 1 || s.Via[0].Name != "menu:+"+r.c.Phone {
		t.Fatalf("%+v", s)
	}
	r.phones.answer(r.ctx())
	r.settle()
	r.pass(time.Hour)
	r.rings(1, "answered")
	if len(r.open1()) != 0 {
		t.Fatalf("%+v", r.open1())
	}
}

func TestAgentIsNotRung(t *testing.T) {
	for name, c := range map[string]struct{ hinder, free func(*rig) }{
		"while busy": {func(r *rig) { r.phones.set(func(p *fakePhones) { p.busy[agent] = true }) },
			func(r *rig) { r.phones.set(func(p *fakePhones) { p.busy[agent] = false }) }},
		"while unavailable": {func(r *rig) { r.available(false) }, func(r *rig) { r.available(true) }},
		"outside hours": {func(r *rig) { r.set(func(l *LineConfig) { l.Hours = morning }) },
			func(r *rig) { r.set(func(l *LineConfig) { l.Hours = policy.Hours{} }) }},
		"without a phone": {func(r *rig) { r.phones.set(func(p *fakePhones) { p.missing[agent] = true }) },
			func(r *rig) { r.phones.set(func(p *fakePhones) { p.missing[agent] = false }) }},
		"while the line is full": {func(r *rig) {
			r.set(func(l *LineConfig) { l.MaxCalls = 1 })
			r.phones.set(func(p *fakePhones) { p.calls = 1 })
		},
			func(r *rig) { r.phones.set(func(p *fakePhones) { p.calls = 0 }) }},
		"while the line is gone": {func(r *rig) { r.desk.SetLines(nil) }, func(r *rig) { r.set(func(*LineConfig) {}) }},
		"while the line is restricted": {func(r *rig) {
			_, err := r.store.SetLineRestrictions(r.ctx(), "main", []store.Restriction{{Kind: graph.RestrictedOutbound, Since: noon, Until: noon.Add(time.Minute)}}, noon)
			r.must(err)
		}, func(r *rig) { r.pass(time.Minute) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.ringMe(agent)
			r.grant()
			c.hinder(r)
			r.rings(0, name)
			if r.number.n("live") != 0 {
				t.Errorf("Meta was asked although nothing could come of it")
			}
			c.free(r)
			r.rings(1, "afterwards")
		})
	}
}

func (r *rig) available(yes bool) {
	r.t.Helper()
	_, err := r.store.SetAvailability(r.ctx(), store.Availability{Target: agent, Available: yes, Since: r.now()})
	r.must(err)
}

func TestAgentWhoDoesNotAnswerIsRungThreeTimesWithPauses(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.grant()
	for i := range ringTries {
		r.rings(i+1, "due")
		r.pass(ringPause - time.Second)
		r.rings(i+1, "in the pause")
		r.pass(time.Second)
	}
	r.rings(ringTries, "given up")
	if len(r.open1()) != 0 || r.value(r.desk.metrics.rung.WithLabelValues("given_up")) != 1 {
		t.Fatalf("%+v", r.open1())
	}
	r.ringMe(agent) // a new wish begins anew
	r.rings(ringTries+1, "wished again")
}

func TestLaterRingsAgainAfterAWhile(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.grant()
	r.rings(1, "due")
	r.phones.answer(r.ctx())
	r.settle()
	if o := r.phones.later(r.ctx()); !o.Done {
		t.Fatalf("%+v", o)
	}
	r.pass(laterPause - time.Second)
	r.rings(1, "before later")
	r.pass(time.Second)
	r.rings(2, "later")
}

func TestWatchExpires(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.pass(watchFor - time.Second)
	r.look()
	if len(r.open1()) != 1 {
		t.Fatal("closed too early")
	}
	r.pass(time.Second)
	r.grant()
	r.rings(0, "too late")
	if len(r.open1()) != 0 {
		t.Fatalf("%+v", r.open1())
	}
}

func TestWatchOfAnErasedCustomerIsClosed(t *testing.T) {
	r := newRig(t)
	_, err := r.store.OpenWatch(r.ctx(), store.Watch{Line: "main", Customer: "nobody", Agent: agent, Since: noon, Until: noon.Add(time.Hour)})
	r.must(err)
	_, err = r.store.RecordEvent(r.ctx(), "main", "nobody", policy.Event{Kind: policy.EventGranted, At: noon, Permanent: true}, nil)
	r.must(err)
	r.rings(0, "nobody there")
	if len(r.open1()) != 0 {
		t.Fatalf("%+v", r.open1())
	}
}

func TestPermissionThatOnlyMetaToldOfRingsToo(t *testing.T) {
	r := newRig(t)
	r.record(policy.Event{Kind: policy.EventLive, Live: &policy.Live{At: noon, Permission: policy.PermissionTemporary, Expires: noon.Add(policy.Day)}})
	r.allow()
	r.pass(time.Hour)
	r.ringMe(agent)
	r.rings(1, "Meta knew")
}

func TestOneAgentIsRungForOneCustomerAtATime(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.grant()
	first := r.c
	other, err := r.store.Resolve(r.ctx(), store.Identity{Phone: "4915112345679"})
	r.must(err)
	r.c = other
	r.pass(time.Second)
	r.ringMe(agent)
	r.grant()
	r.rings(1, "the first look")
	if r.phones.summons[0].Customer.ID != first.ID {
		t.Error("the older wish comes first")
	}
	r.rings(1, "the next look")
	r.phones.answer(r.ctx())
	r.settle()
	r.rings(2, "the first wish was answered")
	r.pass(ringPause - time.Second)
	r.c = first
	r.ringMe(agent)
	r.allow()
	r.rings(2, "the second was not, and the agent is left alone")
	r.pass(time.Second)
	r.rings(3, "afterwards")
}

func TestMetaIsAskedSeldomAboutMany(t *testing.T) {
	const many = 1000
	r := newRig(t)
	live := policy.Live{At: noon, Permission: policy.PermissionPermanent}
	var wg sync.WaitGroup
	for i := range many / 10 { // customers of ten agents' wishes each
		wg.Go(func() {
			c, err := r.store.Resolve(r.ctx(), store.Identity{Phone: fmt.Sprint(4915100000000 + i)})
			if err == nil {
				_, err = r.store.RecordEvent(r.ctx(), "main", c.ID, policy.Event{Kind: policy.EventLive, At: noon, Live: &live}, nil)
			}
			for a := range 10 {
				_, openErr := r.store.OpenWatch(r.ctx(), store.Watch{Line: "main", Customer: c.ID, Agent: fmt.Sprint("phone:", a), Since: noon, Until: noon.Add(policy.Week)})
				err = errors.Join(err, openErr)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Meta says no to all of them now; the desk is woken every two seconds for two minutes.
	for range 60 {
		r.desk.ringWatches(r.ctx())
		r.pass(2 * time.Second)
	}
	if n := r.number.n("live"); n > 4*asksPerLook {
		t.Fatalf("Meta was asked %d times in two minutes", n)
	}
	if n := len(r.desk.rings.by); n > many {
		t.Fatalf("%d watches are remembered", n)
	}
}

func TestNewsOfTheCustomerEndTheWaitBeforeMetaIsAskedAgain(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.record(policy.Event{Kind: policy.EventGranted, ID: "g", Expires: noon.Add(policy.Week)})
	r.rings(0, "Meta says no")
	r.pass(time.Second)
	r.rings(0, "a second later")
	if n := r.number.n("live"); n != 1 {
		t.Fatalf("asked %d times", n)
	}
	r.allow()
	r.tell(r.reply("wamid.R", "", `"response":"accept","is_permanent":true,"response_source":"user_action"`, r.now()))
	r.rings(1, "told that it is allowed")
	r.must(r.store.Close()) // a store that fails ends a look, not the desk
	r.look()
}

func TestMetaDownDelaysARing(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.grant()
	r.number.set(func(n *fakeNumber) { n.liveErr = upstream(&graph.Error{Code: 1}) })
	r.rings(0, "down")
	r.number.set(func(n *fakeNumber) { n.liveErr = nil })
	r.rings(0, "not asked again at once")
	r.pass(askPause)
	r.rings(1, "up")
}

func TestUncertainRequestStillRingsTheAgent(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.number.sendFn = func(sent) (string, error) { return "", upstream(graph.ErrUncertain) }
	if o := r.desk.AskPermission(r.ctx(), ivr.Request{Line: "main", Customer: r.c, Agent: agent}); o.Done || o.Reason != ivr.ReasonUpstream {
		t.Fatalf("%+v", o)
	}
	if len(r.open1()) != 1 {
		t.Fatal("nobody waits for the answer")
	}
	r2 := newRig(t)
	r2.wrote()
	r2.number.sendFn = func(sent) (string, error) { return "", upstream(&graph.Error{Code: 131026}) }
	r2.desk.AskPermission(r2.ctx(), ivr.Request{Line: "main", Customer: r2.c, Agent: agent})
	if len(r2.open1()) != 0 {
		t.Fatal("somebody waits for an answer that cannot come")
	}
}

func TestPeerOf(t *testing.T) {
	for in, want := range map[string]string{"phone:1001": "phone:1001", "trunk:pbx/200": "trunk:pbx"} {
		if got := peerOf(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

var _ bridge.Dialer = answered{}

func TestLaterBeginsTheTriesAnew(t *testing.T) {
	r := newRig(t)
	r.ringMe(agent)
	r.grant()
	for i := range ringTries {
		r.rings(i+1, "in vain")
		r.pass(ringPause)
	}
	r.phones.answer(r.ctx()) // late, but there
	r.settle()
	r.phones.later(r.ctx())
	r.pass(laterPause)
	for i := range ringTries {
		r.rings(ringTries+i+1, "after later")
		r.pass(ringPause)
	}
}
