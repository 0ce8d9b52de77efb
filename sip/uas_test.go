package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

// answered is a call from the trunk that is up.
func answered(t *testing.T, r *rig, p *peer) (*call, *watched) {
	t.Helper()
	c := p.call("+4930123")
	c.invite(peerSDP(p.port() + 1))
	leg := r.board.leg(t)
	leg.Accept()
	c.learn(p.response(200))
	leg.expect(t, bridge.EventAccepted)
	c.ack("")
	return c, leg
}

func TestStrangerInviteGets401OrForbiddenAndNeverReachesTheSwitchboard(t *testing.T) {
	r := newRig(t)
	p := newPeer(t, r.UDPAddr())
	p.call("+4930123").invite(peerSDP(20000))
	p.response(403)
	r.apply(t, Settings{Phones: []PhoneConfig{{User: "1001", Password: "x"}}})
	p.call("+4930123").invite(peerSDP(20000))
	res := p.response(401)
	if n := len(res.GetHeaders("WWW-Authenticate")); n != 2 {
		t.Errorf("%d challenges, want SHA-256 and MD5", n)
	}
	select {
	case o := <-r.board.offers:
		t.Fatalf("reached the switchboard: %+v", o)
	default:
	}
}

func TestCancelEndsARingingCall(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	c.invite(peerSDP(20000))
	leg := r.board.leg(t)
	leg.Alert()
	c.learn(p.response(180))
	tag := c.toTag
	c.toTag = ""
	p.send(c.text("CANCEL", c.branch, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n", ""))
	p.response(200)
	res := p.response(487)
	if got, _ := res.To().Params.Get("tag"); got != tag {
		t.Error("487 has another tag than 180")
	}
	c.toTag = tag
	p.send(c.text("ACK", c.branch, "", ""))
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonCancelled || !strings.Contains(ev.Cause.Text, "elsewhere") {
		t.Errorf("cause %+v", ev.Cause)
	}
	leg.quiet(t)
}

func TestRefusalsAreTranslatedOnce(t *testing.T) {
	cases := []struct {
		cause  bridge.Cause
		status int
		header string
	}{
		{bridge.Cause{Reason: bridge.ReasonRefused, Rule: "permission.none", Text: "Ask \"first\"\r\nX-Evil: 1"}, 403, `SIP;cause=403;text="permission.none"`},
		{bridge.Cause{Reason: bridge.ReasonDeclined}, 603, ""},
		{bridge.Cause{Reason: bridge.ReasonNoAnswer}, 480, ""},
		{bridge.Cause{Reason: bridge.ReasonNoRoute}, 480, ""},
		{bridge.Cause{Reason: bridge.ReasonBusy}, 486, ""},
		{bridge.Cause{Reason: bridge.ReasonNotOnWhatsApp}, 404, ""},
		{bridge.Cause{Reason: bridge.ReasonBadNumber}, 484, ""},
		{bridge.Cause{Reason: bridge.ReasonUpstream, RetryAfter: 7 * time.Second}, 503, "7"},
		{bridge.Cause{Reason: bridge.ReasonDrain}, 503, "30"},
		{bridge.Cause{Reason: bridge.ReasonOverload}, 503, "30"},
		{bridge.Cause{Reason: bridge.ReasonMedia, Fault: bridge.FaultUs}, 503, "30"},
		{bridge.Cause{Reason: bridge.ReasonMedia, Fault: bridge.FaultUpstream, RetryAfter: 3 * time.Second}, 503, "3"},
		{bridge.Cause{Reason: bridge.ReasonMedia, Fault: bridge.FaultCallee}, 480, ""},
		{bridge.Cause{Reason: bridge.ReasonMedia}, 488, ""},
		{bridge.Cause{Reason: bridge.ReasonInternal}, 500, ""},
		{bridge.Cause{Reason: bridge.ReasonInternal, RetryAfter: 9 * time.Second}, 503, "9"},
	}
	r, p := withTrunk(t)
	for _, tc := range cases {
		t.Run(string(tc.cause.Reason), func(t *testing.T) {
			c := p.call("1")
			c.invite(peerSDP(20000))
			leg := r.board.leg(t)
			leg.Hangup(tc.cause)
			res := c.learn(p.response(tc.status))
			p.send(c.text("ACK", c.branch, "", ""))
			name := "Reason"
			if tc.status == 503 {
				name = "Retry-After"
			}
			if h := res.GetHeader(name); tc.header != "" && (h == nil || h.Value() != tc.header) {
				t.Errorf("%s: %v, want %q", name, h, tc.header)
			}
			if tc.status == 403 {
				if w := res.GetHeader("Warning"); w == nil || w.Value() != `399 deskbridge "Ask \"first\"X-Evil: 1"` {
					t.Errorf("Warning %v", w)
				}
				if res.GetHeader("X-Evil") != nil {
					t.Error("a header was injected")
				}
			}
			if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != tc.cause.Reason {
				t.Errorf("cause %s", ev.Cause)
			}
		})
	}
}

func TestLateOfferIsAnsweredWithOurOfferAndOpensAtAck(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	c.invite("")
	leg := r.board.leg(t)
	leg.Accept()
	ok := c.learn(p.response(200))
	if !strings.Contains(string(ok.Body()), "m=audio") {
		t.Fatal("no offer in 200")
	}
	leg.quiet(t)
	c.ack(peerSDP(20000))
	leg.expect(t, bridge.EventAccepted)
	if f := leg.Stream().Format(); f.Codec.String() != "PCMA" {
		t.Errorf("format %v", f)
	}
}

func TestLateOfferWithUnusableAnswerEndsWithBye(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	c.invite("")
	leg := r.board.leg(t)
	leg.Accept()
	c.learn(p.response(200))
	c.ack("v=0\n")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonMedia {
		t.Errorf("cause %s", ev.Cause)
	}
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}

func TestOffersWeCannotTakeAreRefusedBeforeTheSwitchboard(t *testing.T) {
	r, p := withTrunk(t)
	for _, tc := range []struct {
		name, extra, body string
		status            int
	}{
		{"no common codec", "", strings.ReplaceAll(strings.ReplaceAll(peerSDP(20000), "AVP 8 101", "AVP 97"), "a=rtpmap:8 PCMA/8000", "a=rtpmap:97 iLBC/8000"), 488},
		{"rubbish", "", "hello\n", 400},
		{"wrong type", "Content-Type: text/plain\n", "hello\n", 415},
		{"100rel required", "Require: 100rel\n", peerSDP(20000), 420},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := p.call("1")
			p.send(c.text("INVITE", c.branch, tc.extra, tc.body))
			res := c.learn(p.response(tc.status))
			p.send(c.text("ACK", c.branch, "", ""))
			if tc.status == 420 && res.GetHeader("Unsupported").Value() != "100rel" {
				t.Error("420 does not say what is unsupported")
			}
		})
	}
	select {
	case <-r.board.offers:
		t.Error("reached the switchboard")
	default:
	}
}

func TestOKIsRepeatedUntilAckAndGivenUpWithBye(t *testing.T) {
	r, p := withTrunk(t)
	r.timerT1 = 20 * time.Millisecond
	c := p.call("1")
	c.invite(peerSDP(20000))
	leg := r.board.leg(t)
	leg.Accept()
	first := c.learn(p.response(200))
	for range 3 {
		if again := p.response(200); again.String() != first.String() {
			t.Fatal("another 200")
		}
	}
	leg.expect(t, bridge.EventAccepted)
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonUnreachable {
		t.Errorf("cause %s", ev.Cause)
	}
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}

func TestHangupBeforeAckSendsByeOnlyAfterIt(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	c.invite(peerSDP(20000))
	leg := r.board.leg(t)
	leg.Accept()
	c.learn(p.response(200))
	leg.Hangup(normal())
	leg.expect(t, bridge.EventAccepted, bridge.EventEnded)
	p.response(200) // repeated: no BYE came in between, or request would have been next
	select {
	case m := <-p.in:
		if strings.HasPrefix(m.String(), "BYE") {
			t.Fatal("BYE before ACK")
		}
	default:
	}
	c.ack("")
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}

func TestHoldResumeRefreshAndReinviteWithoutSDP(t *testing.T) {
	r, p := withTrunk(t)
	c, leg := answered(t, r, p)
	again := func(body string) string {
		c.in("INVITE", "", body)
		res := p.response(200)
		return string(res.Body())
	}
	if a := again(peerSDP(p.port()+1, "sendonly")); !strings.Contains(a, "a=recvonly") {
		t.Errorf("answer to hold:\n%s", a)
	}
	leg.expect(t, bridge.EventHold)
	c.ack("")
	again(peerSDP(p.port()+1, "sendonly")) // session refresh
	c.ack("")
	again(peerSDP(p.port() + 1))
	leg.expect(t, bridge.EventResume)
	c.ack("")
	offer := again("")
	if !strings.Contains(offer, "m=audio") {
		t.Fatal("no offer in answer to empty re-INVITE")
	}
	c.ack(peerSDP(p.port() + 1))
	c.in("UPDATE", "", peerSDP(p.port()+1, "inactive"))
	p.response(200)
	leg.expect(t, bridge.EventHold)
	c.in("UPDATE", "", "")
	p.response(200)
	c.in("BYE", "", "")
	leg.expect(t, bridge.EventEnded)
}

func TestCodecChangeIsToldAndBadReofferChangesNothing(t *testing.T) {
	r, p := withTrunk(t)
	c, leg := answered(t, r, p)
	pcmu := strings.NewReplacer("AVP 8 101", "AVP 0 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:0 PCMU/8000").Replace(peerSDP(p.port() + 1))
	c.in("INVITE", "", pcmu)
	p.response(200)
	c.ack("")
	leg.expect(t, bridge.EventFormat)
	if f := leg.Stream().Format(); f.Codec.String() != "PCMU" {
		t.Errorf("format %v", f)
	}
	c.in("INVITE", "", strings.ReplaceAll(pcmu, "AVP 0 101", "AVP 97"))
	p.response(488)
	if f := leg.Stream().Format(); f.Codec.String() != "PCMU" {
		t.Errorf("format %v after refused offer", f)
	}
	leg.quiet(t)
}

func TestInfoDigitsAndUnknownMethodsInDialog(t *testing.T) {
	r, p := withTrunk(t)
	c, leg := answered(t, r, p)
	c.in("INFO", "Content-Type: application/dtmf-relay\n", "Signal=5\nDuration=160\n")
	p.response(200)
	if ev := leg.expect(t, bridge.EventDigit); ev.Digit != '5' {
		t.Errorf("digit %c", ev.Digit)
	}
	c.in("INFO", "Content-Type: application/dtmf\n", "#")
	if ev := leg.expect(t, bridge.EventDigit); ev.Digit != '#' {
		t.Errorf("digit %c", ev.Digit)
	}
	c.in("OPTIONS", "", "")
	p.response(200)
	c.in("REFER", "Refer-To: <sip:1@127.0.0.1>\n", "")
	p.response(603)
	c.in("SUBSCRIBE", "Event: x\n", "")
	p.response(405)
	c.in("WHATEVER", "", "")
	p.response(501)
	c.seq -= 3
	c.in("INFO", "", "")
	p.response(500) // out of order
	leg.quiet(t)
}

func TestByeGoesToTheNewTargetThroughTheRouteSet(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	rr := fmt.Sprintf("Record-Route: <sip:127.0.0.1:%d;lr>\n", p.port())
	p.send(c.text("INVITE", c.branch, rr+"Record-Route: <sip:10.9.9.9;lr>\n", peerSDP(20000)))
	leg := r.board.leg(t)
	leg.Accept()
	ok := c.learn(p.response(200))
	if n := len(ok.GetHeaders("Record-Route")); n != 2 {
		t.Errorf("%d Record-Routes in 200", n)
	}
	c.ack("")
	c.from = "moved"
	c.in("UPDATE", "", "")
	p.response(200)
	leg.expect(t, bridge.EventAccepted)
	leg.Hangup(normal())
	bye := p.request("BYE")
	if bye.Recipient.User != "moved" {
		t.Errorf("BYE to %s", bye.Recipient.String())
	}
	routes := bye.GetHeaders("Route")
	if len(routes) != 2 || !strings.Contains(routes[1].Value(), "10.9.9.9") {
		t.Errorf("routes %v", routes)
	}
	p.reply(bye, 200, "OK", "", "", "")
	leg.expect(t, bridge.EventEnded)
}

func TestLoopAndMergedInviteGet482(t *testing.T) {
	r, p := withTrunk(t)
	c := p.call("1")
	c.invite(peerSDP(20000))
	leg := r.board.leg(t)
	p.send(c.text("INVITE", newBranch(), "", peerSDP(20000)))
	p.response(482)
	leg.Hangup(bridge.Cause{Reason: bridge.ReasonBusy})
	c.learn(p.response(486))
	p.send(c.text("ACK", c.branch, "", ""))

	out := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	loop := p.call("201")
	loop.id = inv.CallID().Value()
	loop.invite(peerSDP(20000))
	p.response(482)
	p.reply(inv, 486, "Busy Here", "x", "", "")
	if ev := out.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonBusy {
		t.Errorf("cause %s", ev.Cause)
	}
}

func TestRequestsFromElsewhereCannotTouchACall(t *testing.T) {
	r := newRig(t)
	p := newPeer(t, r.UDPAddr())
	r.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
	c, leg := answered(t, r, p)
	good := c.fromTag
	c.fromTag = "guess"
	c.in("BYE", "", "")
	p.response(481)
	c.fromTag, c.toTag = good, "guess"
	c.in("BYE", "", "")
	p.response(481)
	leg.quiet(t)
}

func TestOverloadIsAnswered503(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxCalls = 1 })
	p := newPeer(t, r.UDPAddr())
	r.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}}})
	_, leg := answered(t, r, p)
	c := p.call("2")
	c.invite(peerSDP(20010))
	c.learn(p.response(503))
	p.send(c.text("ACK", c.branch, "", ""))
	tr, _ := r.Trunk("pbx")
	if _, err := tr.Dial(context.Background(), bridge.Invite{Target: "1"}, func(bridge.Event) {}); err == nil {
		t.Error("Dial beyond the limit")
	}
	leg.Hangup(normal())
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}

func TestATrunkThatOnlyCallsUsNeedsNoHost(t *testing.T) {
	only := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	r, p := withTrunk(t, func(c *TrunkConfig) { c.Host, c.Port, c.NoPing, c.Addresses = "", 0, false, only })
	c := p.call("1")
	c.invite(peerSDP(20000))
	leg := r.board.leg(t)
	tr, _ := r.Trunk("pbx")
	if _, err := tr.Dial(t.Context(), bridge.Invite{Target: "201"}, func(bridge.Event) {}); !errors.Is(err, ErrTrunkDown) {
		t.Errorf("dialled: %v", err)
	}
	if s := tr.Status(); !s.Up || s.Error != "" {
		t.Errorf("status %+v", s)
	}
	leg.Hangup(bridge.Cause{Reason: bridge.ReasonBusy})
	p.response(486)
	c.ack("")
	for what, bad := range map[string]TrunkConfig{
		"no host and no addresses": {Name: "x"}, "nobody to register with": {Name: "x", Addresses: only, Register: true, Username: "u", Password: "p"},
	} {
		if (Settings{Trunks: []TrunkConfig{bad}}).Validate() == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
