package bridge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/policy"
)

func menu() *fakePhone { return &fakePhone{kind: KindMenu} }

// refusing makes policy say no until allow is set, and m answer in the customer's place.
func (w *world) refusing(m *fakePhone, allow *bool, route func(o Offer) Route) {
	w.cfg.Router = routerFunc(func(_ context.Context, o Offer) (Route, Cause) {
		r := route(o)
		r.Refused = func(policy.Decision) Stage { return Stage{Targets: []Target{{Dialer: m, Name: "menu"}}} }
		return r, Cause{}
	})
	w.cfg.Authorizer = authorizerFunc(func(context.Context, Attempt) policy.Decision {
		if *allow {
			return policy.Decision{Allowed: true}
		}
		return policy.Decision{Rule: "permission.none", Sentence: "Ask first."}
	})
}

func to(p *fakePhone) func(Offer) Route {
	return func(Offer) Route {
		return Route{Line: "main", Customer: Customer{ID: "c1", Phone: "4915112345678"}, Stage: Stage{Targets: []Target{{Dialer: p, Name: "line:main"}}}}
	}
}

func TestAMenuAnswersACallThatPolicyRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, customer, allow := menu(), meta(), false
		w := newWorld(t, customer)
		w.refusing(m, &allow, to(customer))
		w.offer(Outbound)
		synctest.Wait()
		if customer.leg != nil {
			t.Fatal("the customer was dialled all the same")
		}
		m.leg.emit(EventAnswered)
		synctest.Wait()
		if !w.a.has("accept") {
			t.Error("the phone was not answered")
		}
		w.a.notify(Event{Kind: EventDigit, Digit: '1'})
		synctest.Wait()
		if got := m.leg.stream.keys(); got != "1" {
			t.Errorf("the menu heard the keys %q", got)
		}
		m.leg.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		last := w.ledger.last()
		if c := last.CDR; last.Kind != FactRefused || c.Cause.Rule != "permission.none" || !c.AnsweredAt.IsZero() || c.MenuAt.IsZero() {
			t.Errorf("recorded as %s: %+v", last.Kind, c)
		}
		for _, k := range w.ledger.kinds() {
			if k == FactAllowed {
				t.Error("a refused call counts as an attempt")
			}
		}
	})
}

func TestAMenuGivesItsPlaceToTheCustomerItDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, customer, allow := menu(), meta(), false
		w := newWorld(t, customer)
		w.refusing(m, &allow, to(customer))
		w.offer(Outbound)
		synctest.Wait()
		m.leg.emit(EventAnswered)
		synctest.Wait()
		allow = true
		m.leg.notify(Event{Kind: EventTransfer, To: "+4915112345678"})
		synctest.Wait()
		if m.leg.lastHangup().Reason != ReasonHangup || customer.leg == nil {
			t.Fatal("the menu did not give way to the customer")
		}
		customer.leg.emit(EventRinging)
		customer.leg.emit(EventAnswered)
		synctest.Wait()
		if n := len(w.a.did) - len(without(w.a.did, "accept")); n != 1 {
			t.Errorf("leg A was accepted %d times", n)
		}
		customer.leg.stream.receive(1)
		if w.a.stream.sentFrames() == 0 {
			t.Error("the customer is not heard")
		}
		time.Sleep(5 * time.Second)
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		if c := w.ledger.last().CDR; c.Cause.Reason != ReasonHangup || c.EndedAt.Sub(c.AnsweredAt) != 5*time.Second {
			t.Errorf("record %+v", c)
		}
	})
}

// earlyLeg is a leg A that can be spoken to unanswered.
type earlyLeg struct{ *fakeLeg }

func (l earlyLeg) Announce() {
	l.note("announce")
	l.emit(EventEarly)
}

func TestAnEarlyAnnouncementIsHeardUnansweredAndThenTheCallIsRefused(t *testing.T) {
	for name, can := range map[string]bool{"a leg that can": true, "a leg that cannot": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, customer, allow := menu(), meta(), false
				w := newWorld(t, customer)
				w.refusing(m, &allow, func(o Offer) Route { return to(customer)(o) })
				inner := w.cfg.Router
				w.cfg.Router = routerFunc(func(ctx context.Context, o Offer) (Route, Cause) {
					r, cause := inner.Route(ctx, o)
					refused := r.Refused
					r.Refused = func(d policy.Decision) Stage { s := refused(d); s.Early = true; return s }
					return r, cause
				})
				w.Offer(Offer{Direction: Outbound, Dialled: "+4915112345678", Peer: "phone:1001", Open: func(_ string, n Notify) Leg {
					w.a = newFakeLeg(KindSIP, n)
					if can {
						return earlyLeg{w.a}
					}
					return w.a
				}})
				synctest.Wait()
				m.leg.emit(EventAnswered)
				synctest.Wait()
				if can {
					m.leg.stream.receive(1)
					if w.a.stream.sentFrames() == 0 {
						t.Error("the caller does not hear the announcement")
					}
					m.leg.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
					synctest.Wait()
				}
				if w.a.has("accept") {
					t.Error("a call that is refused was answered")
				}
				if c := w.a.lastHangup(); c.Reason != ReasonRefused || c.Rule != "permission.none" {
					t.Errorf("the caller is hung up with %+v", c)
				}
				w.stop(t)
				if last := w.ledger.last(); last.Kind != FactRefused || last.CDR.Cause.Rule != "permission.none" {
					t.Errorf("recorded as %s: %+v", last.Kind, last.CDR)
				}
			})
		})
	}
}

func TestATransferToWhomPolicyForbidsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, customer, allow := menu(), meta(), false
		w := newWorld(t, customer)
		w.refusing(m, &allow, to(customer))
		w.offer(Outbound)
		synctest.Wait()
		first := m.leg
		first.emit(EventAnswered)
		synctest.Wait()
		first.notify(Event{Kind: EventTransfer, To: "+4915112345678"})
		synctest.Wait()
		if customer.leg != nil {
			t.Fatal("a menu got past the policy")
		}
		if m.leg == first {
			t.Fatal("the refusal of the transfer is explained by nobody")
		}
		m.leg.emit(EventAnswered)
		synctest.Wait()
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}

func TestTheNextStageRingsWhenNobodyTakesTheCall(t *testing.T) {
	for _, how := range []string{"ring time", "declined", "unreachable"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second, last := sip(), sip(), menu()
				if how == "unreachable" {
					first.err = errNoAnswerFromPBX
				}
				w := newWorld(t)
				w.cfg.Router = routerFunc(func(context.Context, Offer) (Route, Cause) {
					stage := func(p *fakePhone, d time.Duration) Stage {
						return Stage{Targets: []Target{{Dialer: p, Name: "x"}}, RingTimeout: d}
					}
					return Route{Line: "main", Stage: stage(first, 20*time.Second), Next: []Stage{stage(second, 10*time.Second), stage(last, 0)}}, Cause{}
				})
				w.offer(Inbound)
				synctest.Wait()
				switch how {
				case "ring time":
					time.Sleep(20 * time.Second)
				case "declined":
					first.leg.end(Cause{Fault: FaultCallee, Reason: ReasonDeclined})
				}
				synctest.Wait()
				if second.leg == nil {
					t.Fatal("the second stage does not ring")
				}
				if how == "ring time" {
					if first.leg.lastHangup().Reason != ReasonNoAnswer {
						t.Errorf("the first stage was left with %v", first.leg.lastHangup())
					}
					first.leg.emit(EventAnswered) // crossed
					synctest.Wait()
					if w.a.has("accept") {
						t.Error("a phone of the stage before took the call")
					}
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				last.leg.emit(EventAnswered)
				synctest.Wait()
				if !w.a.has("accept") {
					t.Error("the menu did not take the call")
				}
				w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
				w.stop(t)
				if c := w.ledger.last().CDR; c.Cause.Reason != ReasonNoAnswer || c.Agent != "" || !c.AnsweredAt.IsZero() {
					t.Errorf("a call that only a menu took: %+v", c)
				}
			})
		})
	}
}

func TestASummonedAgentIsJoinedToTheMenuAndThenToTheCustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phone, m, customer := sip(), menu(), meta()
		w := newWorld(t, customer)
		w.Summon(Summons{
			Line: "main", Customer: Customer{ID: "c1", Name: "Sari"}, Agent: Target{Dialer: phone, Name: "phone:1001", Address: "1001"},
			RingTimeout: 20 * time.Second, Via: []Target{{Dialer: m, Name: "menu"}}, Peer: "phone:1001", From: "1001",
		})
		synctest.Wait()
		if m.leg != nil || customer.leg != nil {
			t.Fatal("somebody was dialled before the agent was there")
		}
		if phone.inv.Customer.Name != "Sari" || phone.inv.Target != "1001" {
			t.Errorf("the phone is rung with %+v", phone.inv)
		}
		phone.leg.emit(EventRinging)
		phone.leg.emit(EventAnswered)
		synctest.Wait()
		m.leg.emit(EventAnswered)
		synctest.Wait()
		m.leg.notify(Event{Kind: EventTransfer, To: "+4915112345678"})
		synctest.Wait()
		customer.leg.emit(EventRinging)
		customer.leg.emit(EventAnswered)
		synctest.Wait()
		phone.leg.stream.receive(1)
		if customer.leg.stream.sentFrames() == 0 {
			t.Error("the agent is not heard")
		}
		if phone.leg.has("accept") || phone.leg.has("alert") {
			t.Error("a phone that we rang was answered by us")
		}
		phone.leg.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		if c := w.ledger.last().CDR; c.Agent != "phone:1001" || c.AnsweredAt.IsZero() || c.Direction != Outbound {
			t.Errorf("record %+v", c)
		}
	})
}

func TestASummonsThatNobodyAnswersDialsNobody(t *testing.T) {
	for name, c := range map[string]struct {
		phone *fakePhone
		want  Reason
	}{"no answer": {sip(), ReasonNoAnswer}, "unreachable": {&fakePhone{kind: KindSIP, err: errNoAnswerFromPBX}, ReasonUnreachable}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				customer := meta()
				w := newWorld(t, customer)
				w.Summon(Summons{Line: "main", Agent: Target{Dialer: c.phone, Name: "phone:1001"}, RingTimeout: 20 * time.Second, Dialled: "+4915112345678"})
				time.Sleep(21 * time.Second)
				synctest.Wait()
				w.stop(t)
				if customer.leg != nil {
					t.Error("the customer was called without an agent")
				}
				if got := w.ledger.last().CDR.Cause.Reason; got != c.want {
					t.Errorf("cause %s, want %s", got, c.want)
				}
			})
		})
	}
}

func without(list []string, s string) (out []string) {
	for _, v := range list {
		if v != s {
			out = append(out, v)
		}
	}
	return out
}
