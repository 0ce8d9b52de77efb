package appliance_test

import (
	"testing"

	"deskbridge/appliance"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/simulator"
)

const erika = "+4915112345678"

// State none: no call, a menu, one request of the right kind, the agent rung when the customer allows, one key connects.
func TestTheMenuAsksAndRingsTheAgentWhenTheCustomerAllows(t *testing.T) {
	for kind, open := range map[string]bool{"message:permission_request": true, "message:template": false} {
		t.Run(kind, func(t *testing.T) {
			w := newOffice(t, officeOptions{})
			cust := w.erika()
			if open {
				w.writes(cust)
			}
			call := w.answered(erika)
			w.hears(call, "en", ivr.Prompt("why.none"))
			w.hears(call, "en", ivr.Prompt("offer.ask"))
			if n := w.connects() + len(w.asks()); n != 0 {
				t.Fatalf("%d calls and requests before a key was pressed", n)
			}
			w.key(call, "1")
			w.hears(call, "en", ivr.Prompt("done.ask"))
			w.over(call)
			if got := w.asks(); len(got) != 1 || got[0].Kind != kind {
				t.Fatalf("requests at Meta: %+v, want one %s", got, kind)
			}
			w.notRung(w.phone)
			w.must(cust.AnswerPermission(w.request(cust), true, false))
			back := w.rung(w.phone)
			w.hears(back, "en", ivr.Prompt("ringme.allows"))
			if n := w.connects(); n != 0 {
				t.Fatalf("%d calls before the agent pressed a key", n)
			}
			w.key(back, "1")
			w.hearEachOther(w.reaches(cust), back)
			w.must(back.Hangup(t.Context()))
			if cdr := w.lastRecord(); cdr.AnsweredAt.IsZero() || cdr.Agent != "phone:1001" {
				t.Errorf("record %+v", cdr)
			}
			if n := w.connects(); n != 1 || len(w.asks()) != 1 {
				t.Errorf("%d calls and %d requests in the end", n, len(w.asks()))
			}
			w.notRung(w.phone)
		})
	}
}

func TestHangingUpBeforeAKeyAsksNobody(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	call := w.answered(erika)
	w.hears(call, "en", ivr.Prompt("why.none"))
	w.must(call.Hangup(t.Context()))
	w.lastRecord()
	if n := w.connects() + len(w.meta.Requests("messages")); n != 0 {
		t.Errorf("%d calls and messages", n)
	}
	if e := w.explain(cust, ""); e.Permission.Standing != policy.StandingNone {
		t.Errorf("standing %s", e.Permission.Standing)
	}
}

// Key 2 sends a call button; the customer's call rings the agent who sent it first, though the line rings others.
func TestTheCallButtonLeadsTheCustomerToItsAgent(t *testing.T) {
	for kind, open := range map[string]bool{"message:call_button": true, "message:template": false} {
		t.Run(kind, func(t *testing.T) {
			w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) { s.Lines[0].Inbound.Ring = []string{"phone:1002", "phone:1001"} }})
			other := w.newPhone("1002", simulator.PhoneAnswer{Manual: true})
			cust := w.erika()
			if open {
				w.writes(cust)
			}
			w.press(erika, "2")
			sent := w.meta.Requests("messages")
			if len(sent) != 1 || sent[0].Kind != kind || !sent[0].OK() || w.connects() != 0 {
				t.Fatalf("messages at Meta: %+v, %d calls", sent, w.connects())
			}
			call, err := cust.PressCallButton(t.Context(), sent[0].MessageID, simulator.CallOptions{})
			w.must(err)
			w.hearEachOther(call, w.rung(w.phone))
			w.notRung(other)
			call.Hangup()
			w.lastRecord()
		})
	}
}

// Key 3 rings the agent when the customer allows, without asking.
func TestRingMeWhenAllowedAsksNobodyAndRings(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	w.press(erika, "3")
	if n := len(w.meta.Requests("messages")); n != 0 {
		t.Fatalf("%d messages", n)
	}
	w.notRung(w.phone)
	w.must(cust.SetPermission(pnid, simulator.PermissionPermanent, true))
	back := w.rung(w.phone)
	w.key(back, "1")
	w.hearEachOther(w.reaches(cust), back)
	w.must(back.Hangup(t.Context()))
	w.lastRecord()
}

func TestAnAgentIsNotRungWhenTheCustomerDeclines(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	w.press(erika, "1")
	w.must(cust.AnswerPermission(w.request(cust), false, false))
	w.standing(cust, policy.StandingDeclined)
	w.notRung(w.phone)
	// The customer thinks better of it.
	w.must(cust.AnswerPermission(w.request(cust), true, false))
	w.must(w.rung(w.phone).Hangup(t.Context()))
	w.lastRecord()
}

func TestAnUnavailableAgentIsRungWhenBack(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	w.press(erika, "1")
	w.over(w.answered("*46"))
	w.must(cust.AnswerPermission(w.request(cust), true, false))
	w.standing(cust, policy.StandingTemporary)
	w.notRung(w.phone)
	w.over(w.answered("*45"))
	back := w.rung(w.phone)
	w.key(back, "1")
	w.hearEachOther(w.reaches(cust), back)
	w.must(back.Hangup(t.Context()))
	w.lastRecord()
}
