package appliance_test

import (
	"testing"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/simulator"
	"deskbridge/store"
)

// said dials a code, hears these words and hangs up.
func (w *office) said(code, lang string, words ...ivr.Part) {
	w.t.Helper()
	call := w.answered(code)
	w.hears(call, lang, words...)
	w.must(call.Hangup(w.t.Context()))
	w.over(call)
	w.idle()
}

func TestCode40AsksTheCustomer(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	w.said("*40015112345678", "en", ivr.Prompt("done.ask"))
	if got := w.asks(); len(got) != 1 || got[0].Customer != cust.Config().Phone {
		t.Fatalf("requests %+v", got)
	}
	w.said("*40015112345678", "en", ivr.Prompt("why.requests"))
	if n := len(w.asks()); n != 1 {
		t.Errorf("%d requests", n)
	}
	w.must(cust.AnswerPermission(w.request(cust), true, false))
	w.key(w.rung(w.phone), "1")
	w.reaches(cust).Hangup()
	w.idle()
}

func TestCode41SendsACallButton(t *testing.T) {
	w := newOffice(t, officeOptions{})
	cust := w.erika()
	w.said("*41015112345678#", "en", ivr.Prompt("done.button"))
	sent := w.meta.Requests("messages")
	if len(sent) != 1 || !sent[0].OK() {
		t.Fatalf("messages %+v", sent)
	}
	call, err := cust.PressCallButton(t.Context(), sent[0].MessageID, simulator.CallOptions{})
	w.must(err)
	desk := w.rung(w.phone)
	w.hearEachOther(call, desk)
	if got := desk.Header("X-WhatsApp-Payload"); got != "agent=phone:1001" {
		t.Errorf("payload %q", got)
	}
	call.Hangup()
	w.idle()
}

func TestCode42TellsWhetherACustomerMayBeCalled(t *testing.T) {
	w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) { s.Phones[0].Language = "id" }})
	w.erika(granted)
	w.said("*42015112345678", "id", ivr.Prompt("status.may"))
	w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionNone, WindowClosed: true})
	call := w.answered("*42015112345679")
	w.hears(call, "id", ivr.Prompt("why.none"))
	w.key(call, "2")
	w.over(call)
	if sent := w.meta.Requests("messages"); len(sent) != 1 || sent[0].Customer != "4915112345679" || w.connects() != 0 {
		t.Errorf("messages %+v, %d calls", sent, w.connects())
	}
}

func TestCode43CallsWhoWaitsLongestToBeCalledBack(t *testing.T) {
	w := newOffice(t, officeOptions{})
	w.said("*43", "en", ivr.Prompt("callbacks.none"))
	cust, later := w.erika(granted), w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionPermanent})
	for _, c := range []*simulator.Customer{cust, later} {
		w.must(c.SendText(pnid, "call me"))
		w.until("the customer to be known", func() bool { _, err := w.app.Store().ByPhone(t.Context(), c.Config().Phone); return err == nil })
		now := w.meta.Clock().Now()
		_, err := w.app.Store().RequestCallback(t.Context(), store.Callback{Line: "main", Customer: w.customerID(c), Source: store.CallbackMenu, RequestedAt: now, Due: now})
		w.must(err)
	}
	for _, c := range []*simulator.Customer{cust, later} {
		call := w.dial("*43")
		w.hearEachOther(w.reaches(c), call)
		w.must(call.Hangup(t.Context()))
		w.idle()
	}
	for _, cb := range w.callbacks() {
		if cb.State != store.CallbackDone || cb.DoneBy == "" {
			t.Errorf("callback request %+v", cb)
		}
	}
	w.said("*43", "en", ivr.Prompt("callbacks.none"))
}

func TestCode44CallsTheLastMissedCaller(t *testing.T) {
	w := newOffice(t, officeOptions{phone: simulator.PhoneAnswer{Decline: 486}, settings: func(s *appliance.Settings) { s.Lines[0].Inbound.Menu = false }})
	w.said("*44", "en", ivr.Prompt("missed.none"))
	cust := w.erika(granted)
	in, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	<-in.Ended()
	w.idle()
	call := w.dial("*44")
	w.hearEachOther(w.reaches(cust), call)
	w.must(call.Hangup(t.Context()))
	if cdr := w.lastRecord(); cdr.Direction != bridge.Outbound || cdr.Line != "main" {
		t.Errorf("record %+v", cdr)
	}
}

func TestCodes45And46TakeAnAgentInAndOut(t *testing.T) {
	w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) { s.Lines[0].Inbound.Ring = []string{"phone:1001", "phone:1002"} }})
	other := w.newPhone("1002", simulator.PhoneAnswer{Manual: true})
	cust := w.erika()
	w.said("*46", "en", ivr.Prompt("unavailable"))
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	second := w.rung(other)
	w.notRung(w.phone)
	w.must(second.Accept())
	w.hearEachOther(call, second)
	call.Hangup()
	w.idle()
	w.said("*45", "en", ivr.Prompt("available"))
	call, err = cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(call, w.rung(w.phone))
	call.Hangup()
	w.idle()
}

func TestCode47OpensAndClosesTheLine(t *testing.T) {
	w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) { officeHours()(s); s.Phones[0].Supervisor = true }})
	other := w.newPhone("1002", simulator.PhoneAnswer{})
	cust := w.erika()
	w.writes(cust)
	open := func(want bool) {
		t.Helper()
		if d := w.explain(cust, policy.ActionRing).Decision; d.Allowed != want {
			t.Fatalf("open %t, want %t: %s", d.Allowed, want, d.Sentence)
		}
	}
	open(true)
	w.said("*470", "en", ivr.Prompt("hours.closed"))
	open(false)
	w.said("*472", "en", ivr.Prompt("hours.normal"))
	open(true)
	w.meta.Clock().Set(inBerlin(t, "2027-01-11", "20:00"))
	open(false)
	w.said("*471", "en", ivr.Prompt("hours.open"))
	open(true)
	w.meta.Clock().Set(inBerlin(t, "2027-01-12", "20:00")) // the hours have changed by themselves since
	open(false)
	w.said("*47", "en", ivr.Prompt("code.choice"))
	refused, err := other.Dial(t.Context(), "sip:*471@"+w.app.SIPAddr().String())
	w.must(err)
	w.over(refused)
	if end := refused.End(); end.Status != 403 {
		t.Errorf("a phone that is no supervisor's: %+v", end)
	}
	open(false)
}

func TestACodeWithoutItsNumberSaysSo(t *testing.T) {
	w := newOffice(t, officeOptions{})
	w.said("*40", "en", ivr.Prompt("code.number"))
	w.said("*419", "en", ivr.Prompt("code.number"))
	w.said("*42999", "en", ivr.Prompt("number.bad"))
	if n := len(w.meta.Requests("messages")); n != 0 {
		t.Errorf("%d messages", n)
	}
}
