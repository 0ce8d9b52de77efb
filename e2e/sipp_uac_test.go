//go:build e2e

package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// dialled is the number of erika, as the PBX dials it.
const dialled = "+4915112345678"

// desk is a house with a PBX from which SIPp calls.
type desk struct {
	*house
	port  int // of the PBX
	erika *simulator.Customer
}

func newDesk(t *testing.T, o houseOptions, c simulator.CustomerConfig) *desk {
	t.Helper()
	d := &desk{port: freePort(t, "127.0.0.1")}
	change := o.settings
	o.settings = func(s *appliance.Settings) {
		withTrunks(nil, pbx("pbx", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(d.port))))(s)
		if change != nil {
			change(s)
		}
	}
	d.house = newHouse(t, o)
	d.erika = d.customer(c)
	return d
}

// dials starts a SIPp that calls erika.
func (d *desk) dials(o sippOptions) *sipp {
	d.t.Helper()
	o.to = d.sip
	if o.port == 0 && o.ip == "" {
		o.port = d.port
	}
	if o.service == "" {
		o.service = dialled
	}
	return startSIPp(d.t, o)
}

// reached waits until a call rings at the customer.
func (d *desk) reached() *simulator.CustomerCall {
	d.t.Helper()
	select {
	case c := <-d.erika.Calls():
		return c
	case <-time.After(wait):
		d.t.Fatalf("waited %s for a call at the customer", wait)
		return nil
	}
}

// nothingAtMeta fails the test for any request to Meta.
func (d *desk) nothingAtMeta(actions ...string) {
	d.t.Helper()
	for _, r := range d.meta.Requests(actions...) {
		d.t.Errorf("reached Meta: %s %s (%s)", r.Method, r.Path, r.Action)
	}
}

// state waits until the one call is in this state.
func (d *desk) state(want string) {
	d.t.Helper()
	d.until("a call that is "+want, func() bool {
		calls := d.app.Exchange().Calls()
		return len(calls) == 1 && calls[0].State == want
	})
}

// TestSIPpCallsACustomer: A-law from a capture reaches the customer, and so do the digits of RFC 4733 in it.
func TestSIPpCallsACustomer(t *testing.T) {
	for _, transport := range []string{"u1", "t1"} {
		t.Run(transport, func(t *testing.T) {
			d := newDesk(t, houseOptions{}, erika())
			p := d.dials(sippOptions{scenario: "uac_call", transport: transport, vars: map[string]any{
				"clip": clip{tone: 1000, dur: 4 * time.Second, digits: "159*#"}.write(t), "talk": 4200,
			}})
			call := d.reached()
			d.customerHears(call, 1000)
			d.until("the digits at the customer", func() bool { return call.Digits() == "159*#" })
			cdr := d.waitNoCalls()
			if cdr.AnsweredAt.IsZero() || cdr.Cause.Reason != bridge.ReasonHangup || cdr.Customer.Phone != "4915112345678" || cdr.Agent == "" {
				t.Errorf("record %+v", cdr)
			}
			d.ended(call)
			p.finish()
			d.clean(call)
		})
	}
}

// TestSIPpSpeaksToACustomer: SIPp's own scenario, with real speech and a digit, against our whole path.
func TestSIPpSpeaksToACustomer(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{builtin: "uac_pcap"})
	call := d.reached()
	d.until("speech at the customer", func() bool {
		pcm, err := call.Heard(16000)
		return err == nil && len(pcm) > 32000 && simulator.Level(pcm) > 0.01
	})
	d.until("the digit at the customer", func() bool { return call.Digits() == "1" })
	d.ended(call)
	d.waitNoCalls()
	p.finish()
	d.clean(call)
}

func TestSIPpSendsDigitsAsINFO(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_call", vars: map[string]any{"talk": 1000, "info": []map[string]any{
		{"seq": 2, "type": "application/dtmf-relay", "body": "Signal=7\nDuration=160"},
		{"seq": 3, "type": "application/dtmf", "body": "3"},
		{"seq": 4, "type": "application/dtmf-relay", "body": "Signal=#\nDuration=100"},
		{"seq": 5, "type": "application/broadsoft", "body": "play tone CallWaitingTone1"},
	}}})
	call := d.reached()
	d.until("the digits at the customer", func() bool { return call.Digits() == "73#" })
	d.ended(call)
	p.finish()
	d.waitNoCalls()
	d.clean(call)
}

func TestSIPpOffersLate(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_late", vars: map[string]any{"clip": clip{tone: 1000, dur: 3 * time.Second}.write(t), "talk": 3200}})
	call := d.reached()
	d.customerHears(call, 1000)
	d.ended(call)
	p.finish()
	if cdr := d.waitNoCalls(); cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	d.clean(call)
}

// TestSIPpHolds: whatever way the PBX holds, Meta's leg goes on as one line, silent meanwhile, and audio comes back.
func TestSIPpHolds(t *testing.T) {
	for _, c := range []struct{ name, method, direction, address string }{
		{"sendonly", "INVITE", "sendonly", ""},
		{"inactive", "INVITE", "inactive", ""},
		{"address 0.0.0.0", "INVITE", "sendrecv", "0.0.0.0"},
		{"UPDATE", "UPDATE", "sendonly", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, houseOptions{}, erika())
			p := d.dials(sippOptions{scenario: "uac_hold", vars: map[string]any{
				"method": c.method, "direction": c.direction, "address": c.address, "clip": clip{tone: 1000, dur: 1600 * time.Millisecond}.write(t),
			}})
			call := d.reached()
			d.state("held")
			from := time.Now()
			if pcm, err := call.HeardBetween(16000, time.Time{}, from); err != nil || media.ToneLevel(pcm, 16000, 1000) < 0.5 {
				t.Errorf("before the hold the customer heard %d samples without the tone (%v)", len(pcm), err)
			}
			d.state("talking")
			to := time.Now()
			d.ended(call)
			quiet, err := call.HeardBetween(16000, from.Add(200*time.Millisecond), to.Add(-100*time.Millisecond))
			if err != nil || len(quiet) < 16000*8/10 || simulator.Level(quiet) > 0.01 {
				t.Errorf("held: %d samples at level %.3f (%v)", len(quiet), simulator.Level(quiet), err)
			}
			after, err := call.HeardBetween(16000, to.Add(300*time.Millisecond), to.Add(1500*time.Millisecond))
			if err != nil || media.ToneLevel(after, 16000, 1000) < 0.8 {
				t.Errorf("resumed: %d samples without the tone (%v)", len(after), err)
			}
			p.finish()
			d.waitNoCalls()
			d.clean(call)
		})
	}
}

// TestSIPpMovesItsMedia: audio follows the port of a re-INVITE or UPDATE.
func TestSIPpMovesItsMedia(t *testing.T) {
	for _, method := range []string{"INVITE", "UPDATE"} {
		t.Run(method, func(t *testing.T) {
			d := newDesk(t, houseOptions{}, erika())
			p := d.dials(sippOptions{scenario: "uac_move", args: []string{"-rtp_echo"}, vars: map[string]any{
				"method": method, "nowhere": freePort(t, "127.0.0.1"),
			}})
			call := d.reached()
			d.customerHears(call, 440)
			call.Hangup()
			d.waitNoCalls()
			p.finish()
			d.clean(call)
		})
	}
}

func TestSIPpIsHungUpOnByTheCustomer(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_closed"})
	call := d.reached()
	d.state("talking")
	call.Hangup()
	if cdr := d.waitNoCalls(); cdr.AnsweredAt.IsZero() || cdr.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
	d.clean(call)
}

func TestSIPpGivesUp(t *testing.T) {
	for _, w := range []struct {
		name    string
		ringing bool
		after   int
	}{{"while it rings", true, 300}, {"before it rings", false, 300}, {"at once", false, 0}} {
		t.Run(w.name, func(t *testing.T) {
			c := erika()
			c.Behaviour.React = simulator.ReactIgnore
			c.Offline = !w.ringing
			d := newDesk(t, houseOptions{}, c)
			p := d.dials(sippOptions{scenario: "uac_cancel", vars: map[string]any{"ringing": w.ringing, "after": w.after}})
			if w.ringing {
				d.ended(d.reached())
			}
			cdr := d.waitNoCalls()
			if cdr.Cause.Reason != bridge.ReasonCancelled || cdr.Cause.Fault != bridge.FaultCaller {
				t.Errorf("cause %+v", cdr.Cause)
			}
			p.finish()
			d.until("the end of the call at Meta", func() bool { return len(d.meta.ActiveCalls()) == 0 })
		})
	}
}

// TestSIPpCancelsAcrossTheAnswer: CANCEL after the 200 left changes nothing; the call stands until the BYE.
func TestSIPpCancelsAcrossTheAnswer(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_race"})
	call := d.reached()
	d.ended(call)
	if cdr := d.waitNoCalls(); cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	p.finish()
}

// TestSIPpCancelsAtAnyMoment races CANCEL against the customer's answer: whoever wins, both ends are left with nothing.
func TestSIPpCancelsAtAnyMoment(t *testing.T) {
	timing := simulator.DefaultTiming().Fast()
	timing.Pickup = 40 * time.Millisecond
	d := newDesk(t, houseOptions{timing: &timing}, erika())
	for after := 30; after <= 50; after += 4 {
		d.erika = d.person(erika().Behaviour) // another one: nobody is called who left the last three calls unanswered
		p := d.dials(sippOptions{scenario: "uac_any", port: freePort(t, "127.0.0.1"), service: "+" + d.erika.Config().Phone, vars: map[string]any{"after": after}})
		d.ended(d.reached())
		cdr := d.waitNoCalls()
		p.finish()
		if answered := len(p.got("SIP/2.0 487")) == 0; answered == cdr.AnsweredAt.IsZero() && cdr.Cause.Reason != bridge.ReasonCancelled {
			t.Errorf("after %d ms: the PBX saw an answer: %v; record %+v", after, answered, cdr)
		}
	}
}

// TestSIPpRepeatsItsINVITE: copies of an INVITE are one call, also in a storm.
func TestSIPpRepeatsItsINVITE(t *testing.T) {
	for name, times := range map[string]int{"once": 2, "storm": 60} {
		t.Run(name, func(t *testing.T) {
			timing := simulator.DefaultTiming().Fast()
			timing.Pickup = time.Second
			d := newDesk(t, houseOptions{timing: &timing}, erika())
			// SIPp would take an answer that comes while it still sends for a mistake.
			p := d.dials(sippOptions{scenario: "uac_storm", args: []string{"-default_behaviors", "all,-abortunexp"}, vars: map[string]any{"times": make([]int, times)}})
			call := d.reached()
			d.ended(call)
			d.waitNoCalls()
			p.finish()
			if n := len(d.meta.Requests("connect")); n != 1 {
				t.Errorf("%d calls at Meta", n)
			}
			d.clean(call)
		})
	}
}

// TestSIPpNeverACKs: the 200 is repeated, at last the call is ended at both sides (RFC 3261 §13.3.1.4). That takes 32 s.
func TestSIPpNeverACKs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 32 s")
	}
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_silent"})
	call := d.reached()
	p.receives("SIP/2.0 200", 5)
	select {
	case <-call.Ended():
	case <-time.After(45 * time.Second):
		t.Fatal("the customer is still in the call")
	}
	ok, bye := p.got("SIP/2.0 200"), p.receives("BYE", 1)
	if len(ok) < 9 || len(ok) > 12 {
		t.Errorf("%d copies of the 200", len(ok))
	}
	if took := bye.at.Sub(ok[0].at); took < 31*time.Second || took > 36*time.Second {
		t.Errorf("BYE after %s", took)
	}
	if cdr := d.waitNoCalls(); cdr.Cause.Reason == bridge.ReasonHangup {
		t.Errorf("cause %+v", cdr.Cause)
	}
	p.finish()
}

// TestSIPpIsRefused: each outcome at Meta is the SIP answer of the design's table.
func TestSIPpIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, status string
		customer     func(*simulator.CustomerConfig)
		prepare      func(*desk)
		service      string
		reason       bridge.Reason
		atMeta       int // connects
		retry        bool
		warning      bool
	}{
		{name: "no permission", status: "403", reason: bridge.ReasonRefused, warning: true,
			customer: func(c *simulator.CustomerConfig) { c.Permission = simulator.PermissionNone }},
		{name: "declined", status: "603", reason: bridge.ReasonDeclined, atMeta: 1,
			customer: func(c *simulator.CustomerConfig) { c.Behaviour.React = simulator.ReactDecline }},
		{name: "no answer", status: "480", reason: bridge.ReasonNoAnswer, atMeta: 1,
			customer: func(c *simulator.CustomerConfig) { c.Behaviour.React = simulator.ReactIgnore }},
		{name: "busy", status: "486", reason: bridge.ReasonBusy, atMeta: 1,
			prepare: func(d *desk) {
				d.meta.Fail(simulator.Match{Action: "connect"}, simulator.Fault{Status: 400, Code: 138003})
			}},
		{name: "bad number", status: "484", reason: bridge.ReasonBadNumber, service: "12"},
		{name: "not a number", status: "484", reason: bridge.ReasonBadNumber, service: "reception"},
		{name: "not on WhatsApp", status: "404", reason: bridge.ReasonNotOnWhatsApp, atMeta: 1,
			prepare: func(d *desk) {
				d.meta.Fail(simulator.Match{Action: "connect"}, simulator.Fault{Status: 400, Code: 138001})
			}},
		{name: "Meta down", status: "503", reason: bridge.ReasonUpstream, retry: true,
			prepare: func(d *desk) { d.meta.Fail(simulator.Match{Count: -1}, simulator.Fault{Status: 500}) }},
		{name: "connect fails", status: "503", reason: bridge.ReasonUpstream, retry: true, atMeta: 2, // Graph said it could not: once more
			prepare: func(d *desk) {
				d.meta.Fail(simulator.Match{Action: "connect", Count: -1}, simulator.Fault{Status: 500})
			}},
		{name: "Meta hangs", status: "503", reason: bridge.ReasonUpstream, retry: true,
			prepare: func(d *desk) { d.meta.Fail(simulator.Match{Count: -1}, simulator.Fault{Hang: true}) }},
		{name: "token expired", status: "503", reason: bridge.ReasonUpstream, retry: true,
			prepare: func(d *desk) { d.meta.ExpireToken(numberID) }},
		{name: "rate limited", status: "503", reason: bridge.ReasonUpstream, retry: true,
			prepare: func(d *desk) {
				d.meta.Fail(simulator.Match{Count: -1}, simulator.Fault{Status: 429, RetryAfter: 30 * time.Second})
			}},
		{name: "restricted", status: "403", reason: bridge.ReasonRefused, warning: true, atMeta: -1,
			prepare: func(d *desk) {
				d.meta.Restrict(numberID, simulator.RestrictBusinessCalls, d.meta.Clock().Now().Add(time.Hour))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := erika()
			if c.customer != nil {
				c.customer(&who)
			}
			d := newDesk(t, houseOptions{settings: func(s *appliance.Settings) { s.Trunks[0].Refusal = "reject" }}, who)
			if c.prepare != nil {
				c.prepare(d)
			}
			begin := time.Now()
			p := d.dials(sippOptions{scenario: "uac_refused", service: c.service, vars: map[string]any{"status": c.status}})
			cdr := d.waitNoCalls()
			if took := time.Since(begin); took > 9*time.Second { // reliability.md, promise 7
				t.Errorf("took %s", took)
			}
			p.finish()
			if cdr.Cause.Reason != c.reason || !cdr.AnsweredAt.IsZero() {
				t.Errorf("cause %+v", cdr.Cause)
			}
			if n := len(d.meta.Requests("connect")); c.atMeta >= 0 && n != c.atMeta {
				t.Errorf("%d connects at Meta, want %d", n, c.atMeta)
			}
			answers := p.got("SIP/2.0 " + c.status)
			if len(answers) == 0 {
				t.Fatalf("no %s", c.status)
			}
			if retry := answers[0].header("Retry-After"); (retry != "") != c.retry {
				t.Errorf("Retry-After: %q", retry)
			}
			reason, warning := answers[0].header("Reason"), answers[0].header("Warning")
			if c.warning && (!strings.HasPrefix(reason, `SIP;cause=403;text="`) || cdr.Cause.Rule == "" || !strings.Contains(reason, cdr.Cause.Rule) || !strings.HasPrefix(warning, "399 ")) {
				t.Errorf("Reason: %s; Warning: %s; rule %q", reason, warning, cdr.Cause.Rule)
			}
		})
	}
}

// TestSIPpFindsTheCustomerBusy: a second call to the same person while the first stands.
func TestSIPpFindsTheCustomerBusy(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	first := d.dials(sippOptions{scenario: "uac_closed"})
	call := d.reached()
	d.state("talking")
	second := d.dials(sippOptions{scenario: "uac_refused", port: freePort(t, "127.0.0.1"), vars: map[string]any{"status": "486"}})
	second.finish()
	call.Hangup()
	d.waitNoCalls()
	first.finish()
	d.clean(call)
}

// TestStrangersReachNothing: neither an unknown address nor a wrong password gets a call to Meta.
func TestStrangersReachNothing(t *testing.T) {
	t.Run("no password", func(t *testing.T) {
		d := newDesk(t, houseOptions{}, erika())
		p := d.dials(sippOptions{scenario: "uac_refused", ip: "127.0.0.3", vars: map[string]any{"status": "401"}})
		p.finish()
		d.nothingAtMeta()
		if n := len(d.app.Exchange().Calls()); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
	t.Run("no phones", func(t *testing.T) {
		d := newDesk(t, houseOptions{settings: func(s *appliance.Settings) {
			s.Phones, s.Lines[0].Inbound.Ring = nil, []string{"trunk:pbx/200"}
		}}, erika())
		p := d.dials(sippOptions{scenario: "uac_refused", ip: "127.0.0.3", vars: map[string]any{"status": "403"}})
		p.finish()
		d.nothingAtMeta()
	})
	t.Run("wrong password", func(t *testing.T) {
		d := newDesk(t, houseOptions{}, erika())
		p := d.dials(sippOptions{scenario: "uac_login", ip: "127.0.0.3", vars: map[string]any{"user": "1001", "password": "guess-me", "status": "401"}})
		p.finish()
		d.nothingAtMeta()
	})
	t.Run("unknown user", func(t *testing.T) {
		d := newDesk(t, houseOptions{}, erika())
		p := d.dials(sippOptions{scenario: "uac_login", ip: "127.0.0.3", vars: map[string]any{"user": "4711", "password": "guess-me", "status": "401"}})
		p.finish()
		d.nothingAtMeta()
	})
}

// TestSIPpLogsInAsAPhone: the right password is enough, from any address.
func TestSIPpLogsInAsAPhone(t *testing.T) {
	d := newDesk(t, houseOptions{}, erika())
	p := d.dials(sippOptions{scenario: "uac_login", ip: "127.0.0.3", args: []string{"-rtp_echo"}, vars: map[string]any{
		"user": "1001", "password": phonePassword("1001"),
	}})
	call := d.reached()
	d.customerHears(call, 440)
	call.Hangup()
	d.waitNoCalls()
	p.finish()
	d.clean(call)
}

// TestSIPpAsksWhetherWeAreThere: OPTIONS both ways.
func TestSIPpAsksWhetherWeAreThere(t *testing.T) {
	p := startSIPp(t, sippOptions{scenario: "uas_answer"})
	h := newHouse(t, houseOptions{settings: withTrunks([]string{"trunk:pbx/200"}, pbx("pbx", p.addr))})
	if o := p.receives("OPTIONS", 1); !strings.HasPrefix(o.text, "OPTIONS sip:"+p.addr.String()) {
		t.Errorf("ping: %s", o.text)
	}
	asks := startSIPp(t, sippOptions{scenario: "uac_options", to: h.sip})
	asks.finish()
	if ok := asks.receives("SIP/2.0 200", 1); !strings.Contains(ok.header("Allow"), "INVITE") || ok.header("Accept") != "application/sdp" {
		t.Errorf("answer: %s", ok.text)
	}
	p.finish()
}
