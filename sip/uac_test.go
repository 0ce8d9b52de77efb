package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

func elsewhere() bridge.Cause {
	return bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonAnsweredElsewhere}
}

func TestInviteCarriesTheCustomerAndNothingInjected(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{
		Call: "c1\r\nX-Evil: 1", Target: "201", Line: "l1", Wacid: "wacid.1", Payload: "p\r\nX-Evil: 2\n\n",
		Customer: bridge.Customer{Phone: "628123", BSUID: "US.13491", Name: "Budi \"X\" <sip:evil@evil>\r\nX-Evil: 3\u202e" + strings.Repeat("n", 500)},
	})
	inv := p.request("INVITE")
	for _, h := range inv.Headers() {
		if strings.EqualFold(h.Name(), "X-Evil") {
			t.Fatalf("a header was injected:\n%s", inv)
		}
	}
	from := inv.From()
	if from.Address.User != "+628123" || !strings.HasPrefix(from.DisplayName, `Budi \"X\" <sip:evil@evil>X-Evil`) || len(from.DisplayName) > 140 {
		t.Errorf("From %s", from.Value())
	}
	for name, want := range map[string]string{
		"X-Deskbridge-Call": "c1X-Evil: 1", "X-WhatsApp-Call-ID": "wacid.1", "X-WhatsApp-Line": "l1",
		"X-WhatsApp-User": "US.13491", "X-WhatsApp-Payload": "pX-Evil: 2",
	} {
		if h := inv.GetHeader(name); h == nil || h.Value() != want {
			t.Errorf("%s: %v, want %q", name, h, want)
		}
	}
	if inv.GetHeader("P-Asserted-Identity") == nil || inv.GetHeader("Alert-Info") == nil {
		t.Error("P-Asserted-Identity or Alert-Info is missing")
	}
	leg.Hangup(normal())
	leg.expect(t, bridge.EventEnded)
	p.reply(inv, 487, "Request Terminated", "x", "", "")
}

func TestCancelWaitsForAProvisionalAndSaysWhy(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	leg.Hangup(elsewhere())
	leg.expect(t, bridge.EventEnded) // at once, whatever the far end does
	p.next("INVITE again", func(m msg.Message) bool {
		if q, ok := m.(*msg.Request); ok && q.Method == msg.CANCEL {
			t.Fatal("CANCEL before any provisional answer")
		}
		q, ok := m.(*msg.Request)
		return ok && q.Method == msg.INVITE
	})
	p.reply(inv, 180, "Ringing", "x", "", "")
	c := p.request("CANCEL")
	if got := c.GetHeader("Reason").Value(); got != `SIP;cause=200;text="Call completed elsewhere"` {
		t.Errorf("Reason %q", got)
	}
	if c.Via().Value() != inv.Via().Value() || c.CSeq().SeqNo != inv.CSeq().SeqNo || c.To().Params.Has("tag") {
		t.Errorf("CANCEL does not match its INVITE:\n%s", c)
	}
	p.reply(c, 200, "OK", "x", "", "")
	p.reply(inv, 487, "Request Terminated", "x", "", "")
	p.request("ACK")
}

func TestAnswerThatCrossesTheCancelGetsAckAndBye(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 180, "Ringing", "x", "", "")
	leg.expect(t, bridge.EventRinging)
	leg.Hangup(normal())
	p.request("CANCEL")
	p.reply(inv, 200, "OK", "x", "", peerSDP(20000))
	p.request("ACK")
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
	leg.expect(t, bridge.EventEnded)
	leg.quiet(t)
}

func TestForkedAnswersGetAckAndByeButTheFirst(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 200, "OK", "first", "", peerSDP(20000))
	p.request("ACK")
	leg.expect(t, bridge.EventAnswered)
	p.reply(inv, 200, "OK", "first", "", peerSDP(20000)) // repeated: our ACK was lost
	again := p.request("ACK")
	if tag, _ := again.To().Params.Get("tag"); tag != "first" {
		t.Errorf("ACK to %s", tag)
	}
	p.reply(inv, 200, "OK", "second", "", peerSDP(20002))
	ack, bye := p.request("ACK"), p.request("BYE")
	for _, q := range []*msg.Request{ack, bye} {
		if tag, _ := q.To().Params.Get("tag"); tag != "second" {
			t.Errorf("%s to %s", q.Method, tag)
		}
	}
	p.reply(bye, 200, "OK", "", "", "")
	leg.quiet(t)
	leg.Hangup(normal())
	bye = p.request("BYE")
	if tag, _ := bye.To().Params.Get("tag"); tag != "first" {
		t.Errorf("BYE to %s", tag)
	}
	p.reply(bye, 200, "OK", "", "", "")
}

func TestFinalAnswersBecomeCauses(t *testing.T) {
	r, p := withTrunk(t)
	for status, want := range map[int]bridge.Reason{
		486: bridge.ReasonBusy, 600: bridge.ReasonBusy, 603: bridge.ReasonDeclined, 480: bridge.ReasonNoAnswer,
		404: bridge.ReasonNoRoute, 484: bridge.ReasonBadNumber, 488: bridge.ReasonMedia, 302: bridge.ReasonUpstream,
		500: bridge.ReasonUpstream, 503: bridge.ReasonUpstream,
	} {
		leg := r.dial(t, bridge.Invite{Target: "201"})
		inv := p.request("INVITE")
		p.reply(inv, status, "Because", "x", "", "")
		if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != want || ev.Cause.Code != status {
			t.Errorf("%d became %s", status, ev.Cause)
		}
		p.request("ACK")
	}
}

func TestSilentTrunkFailsWithinFourSeconds(t *testing.T) {
	r, p := withTrunk(t)
	begin := time.Now()
	leg := r.dial(t, bridge.Invite{Target: "201"})
	p.request("INVITE")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonUnreachable {
		t.Errorf("cause %s", ev.Cause)
	}
	if d := time.Since(begin); d > 4500*time.Millisecond {
		t.Errorf("took %s", d)
	}
}

func TestByeFromTheCalledPartyEndsTheLeg(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 183, "Progress", "x", "", peerSDP(20000))
	leg.expect(t, bridge.EventRinging)
	p.reply(inv, 200, "OK", "x", "", "") // the answer was in the 183
	leg.expect(t, bridge.EventAnswered)
	p.request("ACK")
	from, _ := inv.From().Params.Get("tag")
	p.send(fmt.Sprintf(`BYE %s SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:%d;branch=%s
From: %s;tag=x
To: %s
Call-ID: %s
CSeq: 77 BYE
Max-Forwards: 70

`, inv.Contact().Address.String(), p.port(), newBranch(), inv.To().Value(), inv.From().Value(), inv.CallID().Value()))
	p.response(200)
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("cause %s (from tag %s)", ev.Cause, from)
	}
}

func TestUnusableAnswerGetsAckAndBye(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 200, "OK", "x", "", "rubbish\n")
	p.request("ACK")
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonMedia {
		t.Errorf("cause %s", ev.Cause)
	}
}

func TestAnswerWithoutItsHeadersEndsTheLegAtOnce(t *testing.T) {
	r, p := withTrunk(t)
	for _, name := range []string{"To", "From", "Call-ID"} {
		leg := r.dial(t, bridge.Invite{Target: "201"})
		inv := p.request("INVITE")
		p.reply(inv, 180, "Ringing", "x", "", "")
		leg.expect(t, bridge.EventRinging)
		text := "SIP/2.0 200 OK\n"
		for _, h := range []msg.Header{inv.Via(), inv.From(), inv.To(), inv.CallID(), inv.CSeq()} {
			if h.Name() != name {
				text += h.Name() + ": " + h.Value() + "\n"
			}
		}
		p.send(text + "\n" + peerSDP(20000))
		if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Fault != bridge.FaultUpstream {
			t.Errorf("without %s: cause %s", name, ev.Cause)
		}
	}
	if n := testutil.ToFloat64(r.metrics.panics); n != 0 {
		t.Errorf("%g panics", n)
	}
	leg := r.dial(t, bridge.Invite{Target: "201"}) // without Contact the address we rang stays the target (RFC 3261 §12.1.2 wants one)
	inv := p.request("INVITE")
	p.send(fmt.Sprintf("SIP/2.0 200 OK\nVia: %s\nFrom: %s\nTo: %s;tag=x\nCall-ID: %s\nCSeq: %s\nContent-Type: application/sdp\n\n%s",
		inv.Via().Value(), inv.From().Value(), inv.To().Value(), inv.CallID().Value(), inv.CSeq().Value(), peerSDP(20000)))
	leg.expect(t, bridge.EventAnswered)
	if ack := p.request("ACK"); ack.Recipient.String() != inv.Recipient.String() {
		t.Errorf("ACK to %s", ack.Recipient.String())
	}
	leg.Hangup(normal())
	p.reply(p.request("BYE"), 200, "OK", "", "", "")
}

// A bug met while a phone rings must not leave the call ringing.
func TestPanicInABranchFailsIt(t *testing.T) {
	r, _ := withTrunk(t)
	l := r.newLeg(party{name: "pbx"}, false)
	b := &branch{l: l, stop: make(chan struct{}), where: func(context.Context) ([]flow, error) { panic("bug") }}
	r.legs.begin()
	r.spawn("invite", b.run)
	select {
	case h := <-l.in:
		if h.kind != hapFailed || h.cause.Reason != bridge.ReasonInternal {
			t.Errorf("%+v", h)
		}
	case <-time.After(testDeadline):
		t.Fatal("the leg was not told")
	}
}

// proves that creds answer ch for req.
func provesDigest(t *testing.T, req *msg.Request, header, user, password, algorithm, nonce string) {
	t.Helper()
	h := req.GetHeader(header)
	if h == nil {
		t.Fatalf("no %s", header)
	}
	got, err := digest.ParseCredentials(h.Value())
	if err != nil {
		t.Fatal(err)
	}
	want, err := digest.Digest(&digest.Challenge{Realm: "pbx", Nonce: nonce, Algorithm: algorithm, QOP: []string{"auth"}}, digest.Options{
		Method: string(req.Method), URI: got.URI, Username: user, Password: password, Cnonce: got.Cnonce, Count: got.Nc,
	})
	if err != nil || got.Response != want.Response || got.Username != user || got.Algorithm != algorithm {
		t.Errorf("credentials %s", h.Value())
	}
}

func TestInviteAnswersTheStrongestChallengeOncePerNonce(t *testing.T) {
	r, p := withTrunk(t, func(c *TrunkConfig) { c.Username, c.AuthUser, c.Password = "acme", "auth1", "s3cret" })
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 407, "Proxy Authentication Required", "x", `Proxy-Authenticate: Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"
Proxy-Authenticate: Digest realm="pbx", nonce="n2", algorithm=UNKNOWN-9, qop="auth"
Proxy-Authenticate: Digest realm="pbx", nonce="n3", algorithm=SHA-256, qop="auth, auth-int"
Proxy-Authenticate: Digest realm="pbx", nonce="n4", algorithm=sha-512-256, qop="auth-int"
`, "")
	p.request("ACK")
	second := p.request("INVITE")
	provesDigest(t, second, "Proxy-Authorization", "auth1", "s3cret", "SHA-256", "n3")
	if second.CSeq().SeqNo != inv.CSeq().SeqNo+1 || second.CallID().Value() != inv.CallID().Value() {
		t.Error("second INVITE is not the next of the same call")
	}
	stale := `Proxy-Authenticate: Digest realm="pbx", nonce="n5", stale=true, algorithm=SHA-512-256, qop="auth"` + "\n"
	p.reply(second, 407, "Proxy Authentication Required", "x", stale, "")
	third := p.request("INVITE")
	provesDigest(t, third, "Proxy-Authorization", "auth1", "s3cret", "SHA-512-256", "n5")
	p.reply(third, 407, "Proxy Authentication Required", "x", strings.Replace(stale, "stale=true", "stale=false", 1), "")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Fault != bridge.FaultUs || ev.Cause.Code != 407 {
		t.Errorf("cause %s", ev.Cause)
	}
}

func TestTrunkRegistersRefreshesAndLeaves(t *testing.T) {
	r, p := withTrunk(t, func(c *TrunkConfig) {
		c.Register, c.Username, c.Password = true, "acme", "s3cret"
	})
	first := p.request("REGISTER")
	p.reply(first, 401, "Unauthorized", "x", `WWW-Authenticate: Digest realm="pbx", nonce="n1", algorithm=MD5, qop="auth"`+"\n", "")
	second := p.request("REGISTER")
	provesDigest(t, second, "Authorization", "acme", "s3cret", "MD5", "n1")
	p.reply(second, 423, "Interval Too Brief", "x", "Min-Expires: 600\n", "")
	third := p.request("REGISTER")
	if third.GetHeader("Expires").Value() != "600" {
		t.Errorf("Expires %s after 423", third.GetHeader("Expires").Value())
	}
	p.reply(third, 200, "OK", "x", fmt.Sprintf("Contact: <%s>;expires=1\n", third.Contact().Address.String()), "")
	refresh := p.request("REGISTER") // 10 s is the least we believe; 3/4 of it
	if refresh.CSeq().SeqNo <= third.CSeq().SeqNo || refresh.CallID().Value() != third.CallID().Value() {
		t.Error("refresh is another registration")
	}
	p.reply(refresh, 200, "OK", "x", "Expires: 600\n", "")
	for deadline := time.Now().Add(testDeadline); !r.Trunks()[0].Registered; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not registered")
		}
	}
	done := make(chan struct{})
	go func() { defer close(done); r.apply(t, Settings{}) }()
	bye := p.request("REGISTER")
	if bye.GetHeader("Expires").Value() != "0" {
		t.Error("did not unregister")
	}
	p.reply(bye, 200, "OK", "x", "", "")
	<-done
}

func TestUnchangedTrunkKeepsItsRegistration(t *testing.T) {
	r, _ := withTrunk(t)
	before, _ := r.Trunk("pbx")
	r.apply(t, Settings{Trunks: []TrunkConfig{before.cfg}, Phones: []PhoneConfig{{User: "1", Password: "x"}}})
	if after, _ := r.Trunk("pbx"); after != before {
		t.Error("an unchanged trunk was replaced")
	}
	if err := r.Apply(Settings{Trunks: []TrunkConfig{{Name: "pbx"}}}); err == nil {
		t.Fatal("bad settings were taken")
	}
	if after, ok := r.Trunk("pbx"); !ok || after != before {
		t.Error("bad settings changed something")
	}
}

func TestTrunkIsPingedAndNoticedDead(t *testing.T) {
	r, p := withTrunk(t, func(c *TrunkConfig) { c.NoPing = false })
	p.reply(p.request("OPTIONS"), 200, "OK", "x", "", "")
	state := func() TrunkStatus { return r.Trunks()[0] }
	for deadline := time.Now().Add(testDeadline); state().RTT == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no round trip time")
		}
	}
	begin := time.Now()
	for state().Up {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("a dead trunk was not noticed within 10 s")
		}
		time.Sleep(10 * time.Millisecond)
	}
	tr, _ := r.Trunk("pbx")
	if _, err := tr.Dial(context.Background(), bridge.Invite{Target: "1"}, func(bridge.Event) {}); err == nil {
		t.Error("a dead trunk was dialled")
	}
}

// A PBX that plays ringback as early media sends it for as long as the phone rings.
func TestEarlyMediaIsGoneWhenThePhoneAnswers(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 183, "Session Progress", "x", "", "")
	leg.expect(t, bridge.EventRinging)
	pbx, session := newTestPeer(t, "127.0.0.1"), leg.Leg.(*Leg).media
	for range 300 {
		pbx.say(session, 'e')
	}
	eventually(t, "the early media read", func() bool { return queued(t, session) == 0 })
	<-time.After(earlyAge + 20*ms) // what is younger may be the answer's first word
	p.reply(inv, 200, "OK", "x", "", peerSDP(int(pbx.addr().Port())))
	p.request("ACK")
	leg.expect(t, bridge.EventAnswered)
	sink := newTestSink()
	leg.Stream().SetSink(sink)
	for range 20 {
		pbx.say(session, 'a')
		if got := sink.next(t); got.mark != 'a' {
			t.Fatalf("heard %q from before the answer", got.mark)
		}
	}
	if n := leg.Stream().Stats().Received; n != 20 {
		t.Errorf("%d packets counted, 20 came after the answer", n)
	}
}

// queued is the size of the packet that waits in a session's RTP socket, 0 for none.
func queued(t *testing.T, s *mediaSession) (n int) {
	t.Helper()
	raw, err := s.pair.rtp.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATrunkWithOneLiveAddressStaysUp(t *testing.T) {
	r, p := withTrunk(t)
	tr, _ := r.Trunk("pbx")
	dead, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // takes packets and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	_, _ = tr.addrs(context.Background()) // resolved for the next minute
	tr.targets.Store(&[]netip.AddrPort{addrPortOf(dead.LocalAddr()), (*tr.targets.Load())[0]})
	pinged := make(chan struct{})
	go func() { defer close(pinged); tr.pingOnce(context.Background()) }()
	second := p.request("OPTIONS") // the first address has been given up
	if !tr.usable() {
		t.Error("down while its second address was still to be asked")
	}
	p.reply(second, 200, "OK", "x", "", "")
	<-pinged
}

func TestARemovedTrunkSaysNothingMore(t *testing.T) {
	r, p := withTrunk(t)
	tr := newTrunk(r.Endpoint, TrunkConfig{Name: "gone", Host: "127.0.0.1", Port: p.port()}.withDefaults())
	ctx, cancel := context.WithCancel(context.Background())
	pinged := make(chan struct{})
	go func() { defer close(pinged); tr.pingOnce(ctx) }()
	p.request("OPTIONS")
	cancel()
	<-pinged
	if s := tr.Status(); !s.Since.IsZero() {
		t.Errorf("the ping of a trunk that was removed was counted: %+v", s)
	}
}

func TestDialRefusesWhatThePatternDoesNotAllow(t *testing.T) {
	for _, tc := range []struct {
		pattern, target string
		ok              bool
	}{
		{"", "201", true}, {"", "123456", true}, {"", "1234567", false}, {"", "+49301234", false}, {"", "sales", false},
		{"2XX,sales", "299", true}, {"2XX,sales", "sales", true}, {"2XX,sales", "399", false}, {"9.", "91", true}, {"9.", "9", false},
		{"NXX", "199", false}, {"ZX", "10", true}, {"ZX", "00", false}, {"2XX", "2XX", true}, {"9.", "9a", false}, {"", "", false},
	} {
		if got := parsePattern(tc.pattern).match(tc.target); got != tc.ok {
			t.Errorf("%q matches %q: %v", tc.pattern, tc.target, got)
		}
	}
}

func TestAByeThatOvertakesItsAnswerEndsTheCall(t *testing.T) {
	r, p := withTrunk(t)
	leg := r.dial(t, bridge.Invite{Target: "201"})
	inv := p.request("INVITE")
	p.reply(inv, 180, "Ringing", "x", "", "")
	leg.expect(t, bridge.EventRinging)
	p.send(fmt.Sprintf(`BYE %s SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:%d;branch=%s
From: %s;tag=x
To: %s
Call-ID: %s
CSeq: 77 BYE
Max-Forwards: 70

`, inv.Contact().Address.String(), p.port(), newBranch(), inv.To().Value(), inv.From().Value(), inv.CallID().Value()))
	p.response(200)
	p.reply(inv, 200, "OK", "x", "", peerSDP(20000))
	leg.expect(t, bridge.EventAnswered)
	p.request("ACK")
	if ev := leg.expect(t, bridge.EventEnded); ev.Cause.Reason != bridge.ReasonHangup {
		t.Errorf("cause %s", ev.Cause)
	}
}
