//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/simulator"
)

// erika calls the company and hums.
func erika() simulator.CustomerConfig {
	return simulator.CustomerConfig{
		Phone: "4915112345678", Name: "Erika M.", Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}},
	}
}

// rings makes a house whose calls go to extension 200 of a SIPp, and lets the customer call.
func rings(t *testing.T, o sippOptions) (*house, *sipp, *simulator.CustomerCall) {
	t.Helper()
	p := startSIPp(t, o)
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200"}, pbx("pbx", p.addr))})
	call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{DeeplinkPayload: "spring-sale"})
	if err != nil {
		t.Fatal(err)
	}
	return h, p, call
}

// ended waits until a call is over for the customer.
func (h *house) ended(c *simulator.CustomerCall) {
	h.t.Helper()
	select {
	case <-c.Ended():
	case <-time.After(wait):
		h.t.Fatalf("waited %s for the end of the customer's call", wait)
	}
}

func TestSIPpTrunkIsRungByACustomerWhoHangsUp(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_answer", args: []string{"-rtp_echo"}})
	h.customerHears(call, 440)
	call.Hangup()
	cdr := h.waitNoCalls()
	if cdr.AnsweredAt.IsZero() || cdr.Agent != "trunk:pbx/200" || cdr.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("record %+v", cdr)
	}
	invite := p.receives("INVITE", 1)
	if !strings.HasPrefix(invite.text, "INVITE sip:200@"+p.addr.String()+" SIP/2.0") {
		t.Errorf("request line of %s", invite.text)
	}
	if from := invite.header("From"); !strings.HasPrefix(from, `"Erika M." <sip:+4915112345678@127.0.0.10`) {
		t.Errorf("From: %s", from)
	}
	if pai := invite.header("P-Asserted-Identity"); !strings.Contains(pai, `"Erika M."`) || !strings.Contains(pai, "sip:+4915112345678@") {
		t.Errorf("P-Asserted-Identity: %s", pai)
	}
	for name, want := range map[string]string{
		"X-Deskbridge-Call": cdr.ID, "X-WhatsApp-Call-ID": call.ID(), "X-WhatsApp-Line": lineID, "X-WhatsApp-Payload": "spring-sale",
		"X-WhatsApp-User": cdr.Customer.BSUID,
	} {
		if got := invite.header(name); got != want || want == "" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if invite.header("Alert-Info") == "" {
		t.Error("no Alert-Info")
	}
	p.finish()
	h.clean(call)
}

func TestSIPpTrunkHangsUp(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_hangup", vars: map[string]any{"talk": 4000}, args: []string{"-rtp_echo"}})
	h.customerHears(call, 440)
	h.ended(call)
	if end := call.End(); !end.Answered || end.By != simulator.ByBusiness {
		t.Errorf("end at the customer: %+v", end)
	}
	if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() || cdr.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
	h.clean(call)
}

// TestSIPpTrunkRefuses: each refusal of the PBX is in the record as what it means, with its number.
func TestSIPpTrunkRefuses(t *testing.T) {
	for _, c := range []struct {
		status, extra string
		code          int
		reason        bridge.Reason
	}{
		{status: "603 Decline", code: 603, reason: bridge.ReasonDeclined},
		{status: "486 Busy Here", code: 486, reason: bridge.ReasonBusy},
		{status: "480 Temporarily Unavailable", code: 480, reason: bridge.ReasonNoAnswer},
		{status: "404 Not Found", code: 404, reason: bridge.ReasonNoRoute},
		{status: "488 Not Acceptable Here", code: 488, reason: bridge.ReasonMedia},
		{status: "503 Service Unavailable", extra: "Retry-After: 7", code: 503, reason: bridge.ReasonUpstream},
	} {
		t.Run(c.status[:3], func(t *testing.T) {
			h, p, call := rings(t, sippOptions{scenario: "uas_refuse", vars: map[string]any{"status": c.status, "extra": c.extra}})
			h.ended(call)
			cdr := h.waitNoCalls()
			if cdr.Cause.Code != c.code || cdr.Cause.Reason != c.reason || !cdr.AnsweredAt.IsZero() {
				t.Errorf("cause %+v", cdr.Cause)
			}
			if c.extra != "" && cdr.Cause.RetryAfter != 7*time.Second {
				t.Errorf("retry after %s", cdr.Cause.RetryAfter)
			}
			if end := call.End(); end.Answered {
				t.Errorf("end at the customer: %+v", end)
			}
			p.finish()
			h.clean(call)
		})
	}
}

// TestSIPpTrunkIsNotAnswered: nobody picks up, the ring budget ends it, the PBX gets a CANCEL.
func TestSIPpTrunkIsNotAnswered(t *testing.T) {
	p := startSIPp(t, sippOptions{scenario: "uas_ring"})
	timing := simulator.DefaultTiming().Fast()
	timing.AnswerDeadline = 30 * time.Second
	h := newHouse(t, houseOptions{timing: &timing, settings: func(s *appliance.Settings) {
		withTrunks([]string{"trunk:pbx/200"}, pbx("pbx", p.addr))(s)
		s.Lines[0].Inbound.RingTimeout = 5 * time.Second
	}})
	call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	invite, cancel := p.receives("INVITE", 1), p.receives("CANCEL", 1)
	if d := cancel.at.Sub(invite.at); d < 4500*time.Millisecond || d > 7*time.Second {
		t.Errorf("rang %s, want 5s", d)
	}
	h.ended(call)
	if cdr := h.waitNoCalls(); cdr.Cause.Reason != bridge.ReasonNoAnswer || !cdr.AnsweredAt.IsZero() || cdr.RangAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
	h.clean(call)
}

func TestSIPpTrunkIsCancelledWhenTheCustomerGivesUp(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_ring"})
	p.receives("INVITE", 1)
	h.rang()
	call.Hangup()
	cancel := p.receives("CANCEL", 1)
	if r := cancel.header("Reason"); strings.Contains(r, "cause=200") {
		t.Errorf("Reason of a call nobody took: %s", r)
	}
	if cdr := h.waitNoCalls(); cdr.Cause.Reason != bridge.ReasonCancelled || cdr.Cause.Fault != bridge.FaultCaller {
		t.Errorf("cause %+v", cdr.Cause)
	}
	p.finish()
	h.clean(call)
}

// rang waits until the call has been ringing for all to know.
func (h *house) rang() {
	h.t.Helper()
	h.until("a ringing call", func() bool {
		calls := h.app.Exchange().Calls()
		return len(calls) > 0 && calls[0].State == "ringing"
	})
}

// TestSIPpAnswersAcrossTheCancel: the PBX's 200 and our CANCEL cross. The 200 gets its ACK, and a BYE (RFC 3261 §9.1).
func TestSIPpAnswersAcrossTheCancel(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_cross"})
	h.rang()
	call.Hangup()
	p.receives("ACK", 1)
	p.receives("BYE", 1)
	if cdr := h.waitNoCalls(); cdr.Cause.Reason != bridge.ReasonCancelled || !cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
	h.clean(call)
}

// TestSIPpLosesToABaresip: a trunk and a phone ring together; the phone answers, and the PBX learns that somebody did.
func TestSIPpLosesToABaresip(t *testing.T) {
	p := startSIPp(t, sippOptions{scenario: "uas_ring"})
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200", "phone:1001"}, pbx("pbx", p.addr))})
	phone := startBaresip(h, baresipOptions{ext: "1001", codecs: []string{"PCMA/8000/1"}, tone: 1000})
	h.waitRegistered("1001")
	call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.receives("INVITE", 1)
	phone.event("CALL_INCOMING", 1)
	phone.do("accept", "")
	cancel := p.receives("CANCEL", 1)
	if r := cancel.header("Reason"); !strings.Contains(r, `SIP;cause=200;text="Call completed elsewhere"`) {
		t.Errorf("Reason: %s", r)
	}
	h.customerHears(call, 1000)
	phone.do("hangup", "")
	if cdr := h.waitNoCalls(); cdr.Agent != "phone:1001" {
		t.Errorf("answered by %q", cdr.Agent)
	}
	p.finish()
	h.clean(call)
}

// TestSIPpLosesToAnotherSIPp: two PBXs ring, each with an address of its own.
func TestSIPpLosesToAnotherSIPp(t *testing.T) {
	loser := startSIPp(t, sippOptions{scenario: "uas_ring"})
	winner := startSIPp(t, sippOptions{scenario: "uas_answer", ip: "127.0.0.2", vars: map[string]any{"ring": 400}, args: []string{"-rtp_echo"}})
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:one/200", "trunk:two/201"}, pbx("one", loser.addr), pbx("two", winner.addr))})
	call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := loser.receives("CANCEL", 1).header("Reason"); !strings.Contains(r, `cause=200;text="Call completed elsewhere"`) {
		t.Errorf("Reason: %s", r)
	}
	h.customerHears(call, 440)
	call.Hangup()
	if cdr := h.waitNoCalls(); cdr.Agent != "trunk:two/201" {
		t.Errorf("answered by %q", cdr.Agent)
	}
	loser.finish()
	winner.finish()
	h.clean(call)
}

// TestSIPpRepeatsItsAnswer: every copy of the 200 gets the same ACK (RFC 3261 §13.2.2.4).
func TestSIPpRepeatsItsAnswer(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_repeat", args: []string{"-rtp_echo", "-pause_msg_ign"}})
	p.receives("ACK", 2)
	h.customerHears(call, 440)
	call.Hangup()
	h.waitNoCalls()
	acks := p.got("ACK")
	if len(acks) != 2 || acks[0].text != acks[1].text {
		t.Errorf("ACKs: %+v", acks)
	}
	if n := len(p.got("BYE")); n != 1 {
		t.Errorf("%d BYEs", n)
	}
	p.finish()
	h.clean(call)
}

func TestSIPpRingsWithManyProvisionals(t *testing.T) {
	h, p, call := rings(t, sippOptions{scenario: "uas_patience", vars: map[string]any{"times": make([]int, 15)}, args: []string{"-rtp_echo"}})
	h.customerHears(call, 440)
	call.Hangup()
	if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
	h.clean(call)
}

// TestSIPpSendsEarlyMedia: a 183 with SDP; the 200 repeats it, or has none.
func TestSIPpSendsEarlyMedia(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(map[bool]string{false: "again in the 200", true: "not in the 200"}[bare], func(t *testing.T) {
			h, p, call := rings(t, sippOptions{scenario: "uas_early", vars: map[string]any{"bare": bare}, args: []string{"-rtp_echo"}})
			h.customerHears(call, 440)
			call.Hangup()
			if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() {
				t.Errorf("record %+v", cdr)
			}
			p.finish()
			h.clean(call)
		})
	}
}

// TestSIPpTrunkOverTCP: the same over a stream.
func TestSIPpTrunkOverTCP(t *testing.T) {
	p := startSIPp(t, sippOptions{scenario: "uas_hangup", vars: map[string]any{"talk": 4000}, transport: "t1", args: []string{"-rtp_echo"}})
	trunk := pbx("pbx", p.addr)
	trunk.Transport = "tcp"
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200"}, trunk)})
	call, err := h.customer(erika()).Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.customerHears(call, 440)
	h.ended(call)
	if cdr := h.waitNoCalls(); cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	if via := p.receives("INVITE", 1).header("Via"); !strings.HasPrefix(via, "SIP/2.0/TCP ") {
		t.Errorf("Via: %s", via)
	}
	p.finish()
	h.clean(call)
}
