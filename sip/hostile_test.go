package sip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	msg "github.com/emiago/sipgo/sip"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/bridge"
)

func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d torture messages, %v", len(files), err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = b
	}
	return out
}

func options(p *peer) string {
	return fmt.Sprintf("OPTIONS sip:%s SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:%d;branch=%s;rport\nFrom: <sip:a@b>;tag=%s\nTo: <sip:a@b>\nCall-ID: %s\nCSeq: 1 OPTIONS\n\n",
		p.to, p.port(), newBranch(), token(4), token(8))
}

func alive(t *testing.T, r *rig, p *peer, after string) {
	t.Helper()
	p.send(options(p))
	p.next("answer to OPTIONS after "+after, func(m msg.Message) bool {
		res, ok := m.(*msg.Response)
		return ok && res.StatusCode == 200 && res.CSeq().MethodName == msg.OPTIONS
	})
	if n := testutil.ToFloat64(r.metrics.panics); n != 0 {
		t.Fatalf("%s: %v panics", after, n)
	}
}

// RFC 4475 (and more of our own) against the listening sockets. Sent as a trunk, so that nothing is stopped by the rate.
func TestTortureMessagesDoNotHarmTheSockets(t *testing.T) {
	r, p := withTrunk(t)
	r.apply(t, Settings{
		Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}},
		Phones: []PhoneConfig{{User: "1001", Password: "pw"}},
	})
	r.board.does(func(w *watched) { w.Hangup(bridge.Cause{Reason: bridge.ReasonBusy}) })
	victim := newPeer(t, r.UDPAddr())
	drain := func(p *peer) {
		for len(p.in) > 0 {
			<-p.in
		}
	}
	for name, b := range corpus(t) {
		p.raw(b)
		drain(p)
		alive(t, r, victim, name)
		c, err := net.Dial("tcp", r.TCPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(b)
		c.Close()
		for len(r.board.legs) > 0 {
			<-r.board.legs
			<-r.board.offers
		}
	}
	alive(t, r, victim, "all")
	if n := testutil.ToFloat64(r.metrics.restarts.WithLabelValues("udp")); n != 0 {
		t.Errorf("the listener restarted %v times", n)
	}
}

func TestFilterNeverFailsAndBoundsWhatItKeeps(t *testing.T) {
	l := newSourceLimits()
	now := time.Unix(1_700_000_000, 0)
	one := netip.MustParseAddr("198.51.100.1")
	passed := 0
	for range 1000 {
		if l.allow(one, sourceUnknown, now) {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("%d packets of a stranger passed at once, want 10", passed)
	}
	if !l.allow(one, sourceUnknown, now.Add(time.Second)) {
		t.Error("refused after a second")
	}
	passed = 0
	for range 1000 {
		if l.allow(netip.MustParseAddr("192.0.2.1"), sourceTrunk, now) {
			passed++
		}
	}
	if passed != 400 {
		t.Errorf("%d packets of a trunk passed at once, want 400", passed)
	}
	passed = 0
	a := netip.MustParseAddr("10.0.0.0")
	for range 100_000 { // forged sources, one packet each
		a = a.Next()
		if l.allow(a, sourceUnknown, now) {
			passed++
		}
	}
	if passed > 2*maxUnknowns || len(l.m) > maxSources {
		t.Errorf("%d packets of strangers passed, %d sources kept", passed, len(l.m))
	}
	if !l.allow(netip.MustParseAddr("192.0.2.9"), sourceTrunk, now) {
		t.Error("a full table refuses a trunk")
	}
}

func TestFloodFromStrangersGetsFewAnswersAndLeavesNothing(t *testing.T) {
	r, p := withTrunk(t)
	r.apply(t, Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.2", NoPing: true}}})
	goroutines := runtime.NumGoroutine()
	const n = 3000
	for range n {
		p.send(p.call("1").text("INVITE", newBranch(), "", peerSDP(20000)))
	}
	eventually(t, "the flood was refused", func() bool {
		return testutil.ToFloat64(r.metrics.refused.WithLabelValues("rate")) > n*8/10
	})
	if got := len(p.in); got > 30 {
		t.Errorf("%d answers to strangers", got)
	}
	eventually(t, "goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+5 })
}

func TestUDPSocketForgetsSourcesByRecycling(t *testing.T) {
	s, err := listenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range maxSeen {
		s.seen[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5060)] = struct{}{}
	}
	c, err := net.Dial("udp", s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	if _, _, err := s.ReadFrom(make([]byte, 100)); !errors.Is(err, errRecycle) || len(s.seen) != 0 {
		t.Errorf("%v, %d kept", err, len(s.seen))
	}
	_, _ = c.Write([]byte("y"))
	if n, _, err := s.ReadFrom(make([]byte, 100)); n != 1 || err != nil {
		t.Errorf("the socket does not go on: %v", err)
	}
}

func TestNameInStrangersViaIsNotFollowed(t *testing.T) {
	r := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := r.dialer((*net.TCPAddr)(nil))
	if c, err := d.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("dialled an address that is no trunk's")
	}
}

func TestSecretsHideThemselves(t *testing.T) {
	s := Secret("hunter2")
	for _, f := range []string{"%v", "%s", "%+v", "%#v", "%q"} {
		if out := fmt.Sprintf(f, TrunkConfig{Password: s}); strings.Contains(out, "hunter2") {
			t.Errorf("%s shows it", f)
		}
	}
}

func FuzzParseChallenge(f *testing.F) {
	f.Add(`Digest realm="a", nonce="b", algorithm=SHA-256, qop="auth, auth-int"`)
	f.Add(`Digest realm="\"", nonce="`)
	f.Fuzz(func(t *testing.T, v string) {
		c := parseChallenge(v)
		if c == nil {
			return
		}
		req := msg.NewRequest(msg.INVITE, msg.Uri{Scheme: "sip", Host: "h"})
		res := msg.NewResponse(401, "x")
		res.AppendHeader(msg.NewHeader("WWW-Authenticate", v))
		if err := (&credentials{user: "u", password: "p"}).authorize(req, res, &attempt{}); err != nil {
			return
		}
		if h := req.GetHeader("Authorization"); strings.ContainsAny(h.Value(), "\r\n") {
			t.Fatalf("%q", h.Value())
		}
	})
}

func FuzzParseCredentials(f *testing.F) {
	f.Add(`Digest username="1", realm="deskbridge", nonce="n", uri="sip:x", response="r", nc=00000001, cnonce="c", qop=auth`)
	f.Add(`Digest nc=-1`)
	d := newDigestServer("deskbridge")
	f.Fuzz(func(t *testing.T, v string) {
		req := msg.NewRequest(msg.REGISTER, msg.Uri{Scheme: "sip", Host: "h"})
		req.AppendHeader(msg.NewHeader("Authorization", v))
		if _, l := d.check(req, netip.MustParseAddr("192.0.2.1"), time.Unix(1, 0), func(string) (Secret, bool) { return "s", true }); l == loginOK {
			t.Fatal("logged in without a nonce of ours")
		}
	})
}

func FuzzInfoDigit(f *testing.F) {
	f.Add("application/dtmf-relay", []byte("Signal=5\r\nDuration=160\r\n"))
	f.Add("application/dtmf", []byte("*"))
	f.Fuzz(func(t *testing.T, ct string, b []byte) {
		if d, ok := infoDigit(ct, b); ok && !strings.ContainsRune("0123456789*#ABCD", rune(d)) {
			t.Fatalf("digit %q", d)
		}
	})
}

func FuzzHeaderText(f *testing.F) {
	f.Add("Budi \"X\"\r\nX-Evil: 1\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []string{displayName(s), headerText(s), userPart(s), dialled(s), cut(s)} {
			if strings.ContainsAny(v, "\r\n\x00") {
				t.Fatalf("%q", v)
			}
		}
		if strings.ContainsAny(userPart(s), "@;:<>\" ?") {
			t.Fatalf("user part %q", userPart(s))
		}
	})
}

func FuzzParseUpdate(f *testing.F) {
	for _, b := range corpus(f) {
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		m, err := msg.ParseMessage(b)
		if err != nil {
			return
		}
		req, ok := m.(*msg.Request)
		if !ok {
			return
		}
		in := &inbound{req: req, src: netip.MustParseAddrPort("192.0.2.1:5060"), transport: "UDP"}
		if why, _ := in.malformed(); why != "" {
			return
		}
		u, _ := parseUpdate(req, flow{})
		newRegistrar(func(int) {}).apply("1", u, time.Unix(1, 0))
		newServerDialog(req, "t", flow{}).request(msg.BYE, 2)
		required(req)
	})
}

func FuzzSavedDialog(f *testing.F) {
	f.Add([]byte(`[{"peer":"p","call_id":"c","local":"sip:a@b","remote":"sip:a@b","target":"sip:a@b","addr":"127.0.0.1:1","transport":"UDP"}]`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		s, err := parseSaved(b)
		if err != nil {
			return
		}
		for _, d := range s {
			_, _ = d.dialog()
		}
	})
}
