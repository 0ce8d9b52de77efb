//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// notRung fails when the phone has rung.
func notRung(t *testing.T, p *simulator.Phone) {
	t.Helper()
	select {
	case <-p.Calls():
		t.Error("the phone rang")
	default:
	}
}

// TestWebhooksInDisorder is acceptance 4: what reaches Meta, the phone and the record for each disorder of webhooks.
func TestWebhooksInDisorder(t *testing.T) {
	watchStandstill()
	h := newHouse(t, houseOptions{})
	p := h.newPhone("1001", simulator.PhoneConfig{Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000}})
	tone := simulator.Behaviour{Play: simulator.Playback{Tone: 440}}
	run := func(name string, f func(*testing.T, *house)) {
		t.Run(name, func(t *testing.T) { f(t, h.as(t)) })
	}
	run("terminate before connect", func(t *testing.T, h *house) {
		missed(t, h, p, simulator.Delivery{TerminateFirst: true}, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
	})
	run("terminate before connect, ten times each", func(t *testing.T, h *house) {
		missed(t, h, p, simulator.Delivery{TerminateFirst: true, Duplicate: 10}, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
	})
	run("stale connect", func(t *testing.T, h *house) {
		missed(t, h, p, simulator.Delivery{StaleBy: 2 * time.Minute}, bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonStale})
	})
	for name, d := range map[string]simulator.Delivery{
		"ten duplicates":                               {Duplicate: 10},
		"ACCEPTED before connect":                      {AcceptedFirst: true},
		"connect before HTTP response":                 {ConnectFirst: true},
		"connect before HTTP response, ten duplicates": {ConnectFirst: true, Duplicate: 10},
		"no contacts":                                  {NoContacts: true},
		"no direction":                                 {NoDirection: true},
		"unknown fields and events":                    {UnknownFields: true, UnknownEvents: true, EscapeNonASCII: true},
		"several updates in one POST":                  {BatchWindow: 40 * time.Millisecond},
		"everything late":                              {Delay: 300 * time.Millisecond},
		"as old as may be, and doubled":                {StaleBy: 40 * time.Second, Duplicate: 1},
	} {
		run(name, func(t *testing.T, h *house) { normal(t, h, p, tone, d) })
	}
	run("caller without a phone number", func(t *testing.T, h *house) { withoutNumber(t, h, p) })
	run("caller without a phone number or contacts", func(t *testing.T, h *house) {
		h.meta.SetDelivery(simulator.Delivery{NoContacts: true})
		defer h.meta.SetDelivery(simulator.Delivery{})
		withoutNumber(t, h, p)
	})
	h.nothingLeft()
	// Every webhook was taken: not one is being repeated.
	for _, d := range h.meta.Deliveries() {
		if d.Attempt > 1 || d.Status != 200 {
			t.Errorf("webhook %s %s: attempt %d, status %d", d.Field, d.Event, d.Attempt, d.Status)
		}
	}
}

// missed: nothing rings, Meta is asked for nothing, and the record has the call and its reason, once.
func missed(t *testing.T, h *house, p *simulator.Phone, d simulator.Delivery, want bridge.Cause) {
	t.Helper()
	cust := h.person(simulator.Behaviour{})
	asked := len(h.meta.Requests())
	call, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{Delivery: &d})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := call.WaitState(ctx, simulator.StateRinging); err != nil {
		t.Fatal(err)
	}
	if d.TerminateFirst {
		call.Hangup()
	}
	cdr := h.record(call.ID())
	if cdr.Cause.Fault != want.Fault || cdr.Cause.Reason != want.Reason || !cdr.RangAt.IsZero() || !cdr.AnsweredAt.IsZero() ||
		cdr.Customer.Phone != cust.Config().Phone || cdr.Direction != bridge.Inbound {
		t.Errorf("recorded as %+v, want %s, not rung, from %s", cdr, want, cust.Config().Phone)
	}
	call.Hangup()
	h.nothingLeft()
	notRung(t, p)
	for _, r := range h.meta.Requests()[asked:] {
		if r.Action == "pre_accept" || r.Action == "accept" {
			t.Errorf("Meta was asked to %s", r.Action)
		}
	}
	onlyOnce(t, h, call.ID())
}

// onlyOnce: a call has one record and one ring, however often it was announced.
func onlyOnce(t *testing.T, h *house, wacid string) {
	t.Helper()
	n := 0
	for _, c := range h.records() {
		if c.Wacid == wacid {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d records of one call", n)
	}
}

// normal: the disorder changes nothing, in either direction.
func normal(t *testing.T, h *house, p *simulator.Phone, b simulator.Behaviour, d simulator.Delivery) {
	t.Helper()
	h.meta.SetDelivery(d)
	defer h.meta.SetDelivery(simulator.Delivery{})
	for _, dir := range []bridge.Direction{bridge.Inbound, bridge.Outbound} {
		cust := h.person(b)
		var tk talk
		if dir == bridge.Inbound {
			tk = inboundTalk(h, p, cust)
		} else {
			tk = outboundTalk(h, p, cust)
		}
		tk.bothHear(1000, 440)
		for _, v := range tk.call.Violations() {
			if v.Kind != simulator.ViolationSilence && v.Kind != simulator.ViolationPace || standstill(tk.o.began) < 30*time.Millisecond {
				t.Errorf("towards Meta: %s", v)
			}
		}
		tk.over()
		cdr := h.record(tk.call.ID())
		if cdr.Direction != dir || cdr.Cause.Reason != bridge.ReasonHangup || cdr.AnsweredAt.IsZero() || !strings.HasSuffix(cdr.Agent, "1001") ||
			cdr.Customer.Phone != cust.Config().Phone {
			t.Errorf("%s recorded as %+v", dir, cdr)
		}
		h.nothingLeft()
		notRung(t, p)
		onlyOnce(t, h, tk.call.ID())
		for _, action := range []string{"pre_accept", "accept", "connect"} {
			if _, took := h.actions(action, tk.call.ID()); took > 1 {
				t.Errorf("%s was sent %d times", action, took)
			}
		}
	}
}

// withoutNumber: the phone shows an alias, and dialling it reaches the same person by their BSUID.
func withoutNumber(t *testing.T, h *house, p *simulator.Phone) {
	t.Helper()
	bsuid := "US." + strings.Repeat("7", 12) + string(rune('0'+persons.Add(1)%10)) + "1"
	cust, err := h.meta.Customer(simulator.CustomerConfig{
		BSUID: bsuid, Username: "realsheenanelson", Name: "Sheena", Permission: simulator.PermissionPermanent,
		Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}},
	})
	if err != nil {
		t.Fatal(err)
	}
	tk := inboundTalk(h, p, cust)
	from := tk.desk.Header("From")
	_, user, _ := strings.Cut(from, "<sip:")
	alias, _, _ := strings.Cut(user, "@")
	if !strings.HasPrefix(alias, "999") || strings.Trim(alias, "0123456789") != "" || strings.Contains(alias, "777") {
		t.Fatalf("the phone shows From: %s", from)
	}
	tk.bothHear(1000, 440)
	tk.over()
	in := h.record(tk.call.ID())
	if in.Customer.BSUID != bsuid || in.Customer.Phone != "" || in.Customer.Alias != alias {
		t.Errorf("recorded customer: %+v", in.Customer)
	}
	desk, err := p.Dial(t.Context(), alias)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case call := <-cust.Calls():
		out := talk{tk.o, call, desk}
		out.answered()
		out.bothHear(1000, 440)
		out.over()
		if got := h.record(call.ID()); got.Customer.ID != in.Customer.ID || got.Direction != bridge.Outbound {
			t.Errorf("the call back is recorded as %+v", got)
		}
		all := h.meta.Requests("connect")
		var body struct{ To, Recipient string }
		if err := json.Unmarshal(all[len(all)-1].Body, &body); err != nil || body.Recipient != bsuid || body.To != "" {
			t.Errorf("connect asked for %+v, want recipient %s: %v", body, bsuid, err)
		}
	case <-desk.Done():
		t.Errorf("dialling the alias %s ended with %+v", alias, desk.End())
	case <-time.After(wait):
		t.Error("the customer was not called")
	}
	h.nothingLeft()
}
