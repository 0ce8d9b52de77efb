package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// phoneReq is a request of a phone; auth answers a challenge from the same peer first.
type phoneReq struct {
	p    *peer
	user string
	id   string
	tag  string
	seq  int
}

func newPhone(p *peer, user string) *phoneReq {
	return &phoneReq{p: p, user: user, id: token(8), tag: token(4)}
}

func (q *phoneReq) register(extra string) {
	q.seq++
	q.p.send(fmt.Sprintf(`REGISTER sip:deskbridge SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:%d;branch=%s;rport
From: <sip:%s@deskbridge>;tag=%s
To: <sip:%s@deskbridge>
Call-ID: %s
CSeq: %d REGISTER
Max-Forwards: 70
%s

`, q.p.port(), newBranch(), q.user, q.tag, q.user, q.id, q.seq, extra))
}

// credentialsFor answers the challenge of the algorithm.
func credentialsFor(t *testing.T, res *msg.Response, method, user, password, algorithm string, nc int) string {
	t.Helper()
	for _, h := range res.GetHeaders("WWW-Authenticate") {
		ch, err := digest.ParseChallenge(h.Value())
		if err != nil {
			t.Fatal(err)
		}
		if ch.Algorithm != algorithm {
			continue
		}
		c, err := digest.Digest(ch, digest.Options{Method: method, URI: "sip:deskbridge", Username: user, Password: password, Count: nc})
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: " + c.String() + "\n"
	}
	t.Fatalf("no %s challenge in\n%s", algorithm, res)
	return ""
}

func (q *phoneReq) contact() string { return fmt.Sprintf("Contact: <sip:%s@10.1.2.3:5060>\n", q.user) }

func (q *phoneReq) login(t *testing.T, password string) {
	t.Helper()
	q.register(q.contact())
	res := q.p.response(401)
	q.register(q.contact() + credentialsFor(t, res, "REGISTER", q.user, password, "SHA-256", 1))
	ok := q.p.response(200)
	if n := len(ok.GetHeaders("Contact")); n == 0 {
		t.Fatal("200 lists no contact")
	}
}

func withPhone(t *testing.T) (*rig, *peer) {
	t.Helper()
	r := newRig(t)
	r.apply(t, Settings{Phones: []PhoneConfig{{User: "1001", Password: "pw"}, {User: "1002", Password: "pw2"}}})
	return r, newPeer(t, r.UDPAddr())
}

func TestPhoneLogsInWithEitherAlgorithmOnceEachCount(t *testing.T) {
	for _, alg := range []string{"SHA-256", "MD5"} {
		t.Run(alg, func(t *testing.T) {
			_, p := withPhone(t)
			q := newPhone(p, "1001")
			q.register(q.contact())
			res := p.response(401)
			auth := credentialsFor(t, res, "REGISTER", "1001", "pw", alg, 1)
			q.register(q.contact() + auth)
			p.response(200)
			q.register(q.contact() + auth) // replayed
			again := p.response(401)
			if !strings.Contains(again.GetHeader("WWW-Authenticate").Value(), "stale=true") {
				t.Error("a replayed count was not called stale")
			}
			q.register(q.contact() + credentialsFor(t, res, "REGISTER", "1001", "pw", alg, 2))
			p.response(200)
		})
	}
}

func TestWrongPasswordAndUnknownUserLookTheSameAndLockOut(t *testing.T) {
	r, p := withPhone(t)
	good := newPhone(p, "1002")
	good.login(t, "pw2") // from here on the address may send more than a stranger
	for _, user := range []string{"1001", "nobody"} {
		q := newPhone(p, user)
		q.register(q.contact())
		res := p.response(401)
		for i := range loginTries {
			q.register(q.contact() + credentialsFor(t, res, "REGISTER", user, "wrong", "SHA-256", i+1))
			res = p.response(401)
		}
		q.register(q.contact() + credentialsFor(t, res, "REGISTER", user, "pw", "SHA-256", 1))
		p.response(403)
	}
	if ph, _ := r.Phone("1001"); ph.Registered() {
		t.Error("registered")
	}
}

func TestPhoneCannotRegisterAnother(t *testing.T) {
	_, p := withPhone(t)
	q := newPhone(p, "1001")
	q.register(q.contact())
	res := p.response(401)
	q.register(q.contact() + credentialsFor(t, res, "REGISTER", "1002", "pw2", "SHA-256", 1))
	p.response(403)
}

func TestPhoneIsRungWhereItRegisteredFromAndItsOtherDeviceStops(t *testing.T) {
	r, a := withPhone(t)
	b := newPeer(t, r.UDPAddr())
	newPhone(a, "1001").login(t, "pw")
	second := newPhone(b, "1001")
	second.register(strings.ReplaceAll(second.contact(), "10.1.2.3", "10.1.2.4"))
	second.register(strings.ReplaceAll(second.contact(), "10.1.2.3", "10.1.2.4") + credentialsFor(t, b.response(401), "REGISTER", "1001", "pw", "SHA-256", 1))
	if n := len(b.response(200).GetHeaders("Contact")); n != 2 {
		t.Fatalf("%d contacts, want 2", n)
	}
	ph, _ := r.Phone("1001")
	w, notify := watch()
	leg, err := ph.Dial(context.Background(), bridge.Invite{Customer: bridge.Customer{Alias: "990017"}}, notify)
	if err != nil {
		t.Fatal(err)
	}
	ia, ib := a.request("INVITE"), b.request("INVITE")
	if ia.Recipient.Host != "10.1.2.3" || ia.From().Address.User != "990017" {
		t.Errorf("INVITE %s from %s", ia.StartLine(), ia.From().Value())
	}
	a.reply(ia, 180, "Ringing", "a", "", "")
	b.reply(ib, 180, "Ringing", "b", "", "")
	w.expect(t, bridge.EventRinging)
	b.reply(ib, 200, "OK", "b", "", peerSDP(20000))
	w.expect(t, bridge.EventAnswered)
	cancel := a.request("CANCEL")
	if h := cancel.GetHeader("Reason"); h == nil || !strings.Contains(h.Value(), "Call completed elsewhere") {
		t.Errorf("Reason %v", h)
	}
	a.reply(cancel, 200, "OK", "a", "", "")
	a.reply(ia, 200, "OK", "a", "", peerSDP(20002)) // answered at the same moment
	a.request("ACK")
	a.reply(a.request("BYE"), 200, "OK", "", "", "")
	w.quiet(t)
	leg.Hangup(normal())
	b.reply(b.request("BYE"), 200, "OK", "", "", "")
	w.expect(t, bridge.EventEnded)
}

func TestDeclineOnOneDeviceEndsBothAndBusyDoesNot(t *testing.T) {
	r, a := withPhone(t)
	newPhone(a, "1001").login(t, "pw")
	b := newPeer(t, r.UDPAddr())
	q := newPhone(b, "1001")
	alt := strings.ReplaceAll(q.contact(), "10.1.2.3", "10.1.2.4")
	q.register(alt)
	q.register(alt + credentialsFor(t, b.response(401), "REGISTER", "1001", "pw", "SHA-256", 1))
	b.response(200)
	ph, _ := r.Phone("1001")
	for _, tc := range []struct {
		first int
		want  bridge.Reason
	}{{603, bridge.ReasonDeclined}, {486, bridge.ReasonBusy}} {
		w, notify := watch()
		if _, err := ph.Dial(context.Background(), bridge.Invite{}, notify); err != nil {
			t.Fatal(err)
		}
		ia, ib := a.request("INVITE"), b.request("INVITE")
		b.reply(ib, 180, "Ringing", "b", "", "")
		w.expect(t, bridge.EventRinging)
		a.reply(ia, tc.first, "No", "a", "", "")
		if tc.first == 603 {
			b.reply(b.request("CANCEL"), 200, "OK", "b", "", "")
			b.reply(ib, 487, "Request Terminated", "b", "", "")
		} else {
			b.reply(ib, 480, "Away", "b", "", "")
		}
		if ev := w.expect(t, bridge.EventEnded); ev.Cause.Reason != tc.want {
			t.Errorf("cause %s", ev.Cause)
		}
	}
}

func TestPhoneThatIsNotRegisteredIsNotDialled(t *testing.T) {
	r, _ := withPhone(t)
	ph, _ := r.Phone("1001")
	if _, err := ph.Dial(context.Background(), bridge.Invite{}, func(bridge.Event) {}); err == nil {
		t.Fatal("dialled")
	}
}

func TestPasswordChangeDropsRegistrations(t *testing.T) {
	r, p := withPhone(t)
	newPhone(p, "1001").login(t, "pw")
	r.apply(t, Settings{Phones: []PhoneConfig{{User: "1001", Password: "new"}}})
	if ph, _ := r.Phone("1001"); ph.Registered() {
		t.Error("still registered with the old password")
	}
}

func parseReq(t *testing.T, text string) *msg.Request {
	t.Helper()
	m, err := msg.ParseMessage([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*msg.Request)
}

// The registrar by itself: time comes in.
func TestRegistrarRules(t *testing.T) {
	base := "REGISTER sip:d SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: <sip:1@d>;tag=a\nTo: <sip:1@d>\nCall-ID: %s\nCSeq: %d REGISTER\n%s\n"
	now := time.Unix(1_700_000_000, 0)
	f := flow{transport: "UDP", addr: netip.MustParseAddrPort("192.0.2.1:5060")}
	r := newRegistrar(func(int) {})
	steps := []struct {
		name, callID string
		seq          int
		headers      string
		status       int // of the refusal, 0 none
		bound        int
		order        bool
		after        time.Duration
	}{
		{"first", "a", 1, "Contact: <sip:1@h1>\nExpires: 3600\n", 0, 1, true, 0},
		{"second device", "b", 1, "Contact: <sip:1@h2>;expires=60\n", 0, 2, true, 0},
		{"same again", "a", 2, "Contact: <sip:1@h1>\n", 0, 2, true, 0},
		{"late packet", "a", 1, "Contact: <sip:1@h1>;expires=0\n", 0, 2, false, 0},
		{"fetch", "c", 1, "", 0, 2, true, 0},
		{"too brief", "c", 2, "Contact: <sip:1@h3>;expires=30\n", 423, 0, true, 0},
		{"bad expires", "c", 3, "Contact: <sip:1@h3>;expires=soon\n", 400, 0, true, 0},
		{"star without zero", "c", 4, "Contact: *\nExpires: 60\n", 400, 0, true, 0},
		{"six contacts", "c", 5, "Contact: <sip:1@a>, <sip:1@b>, <sip:1@c>, <sip:1@d>, <sip:1@e>, <sip:1@f>\n", 400, 0, true, 0},
		{"not sip", "c", 6, "Contact: <tel:+491>\n", 400, 0, true, 0},
		{"an hour at most", "d", 1, "Contact: <sip:1@h4>;expires=4294967295\n", 0, 3, true, 0},
		{"expiry", "e", 1, "", 0, 2, true, 61 * time.Second},
		{"remove one", "a", 3, "Contact: <sip:1@h1>;expires=0\n", 0, 1, true, 0},
		{"all expired", "e", 2, "", 0, 0, true, 2 * time.Hour},
		{"back", "a", 4, "Contact: <sip:1@h1>\n", 0, 1, true, 0},
		{"remove all", "f", 1, "Contact: *\nExpires: 0\n", 0, 0, true, 0},
	}
	for _, s := range steps {
		now = now.Add(s.after)
		u, bad := parseUpdate(parseReq(t, fmt.Sprintf(base, s.callID, s.seq, s.headers)), f)
		if bad.status != s.status {
			t.Fatalf("%s: refused with %d, want %d", s.name, bad.status, s.status)
		}
		if s.status != 0 {
			continue
		}
		bound, ok := r.apply("1", u, now)
		if ok != s.order || len(bound) != s.bound {
			t.Fatalf("%s: %d bound, in order %v; want %d, %v", s.name, len(bound), ok, s.bound, s.order)
		}
	}
	if r.knows(f.addr.Addr()) || len(r.m) != 0 {
		t.Error("something is left")
	}
	for i := range 2 * maxContacts { // more devices than allowed, one by one
		u, _ := parseUpdate(parseReq(t, fmt.Sprintf(base, fmt.Sprint(i), 1, fmt.Sprintf("Contact: <sip:1@x%d>\n", i))), f)
		if bound, _ := r.apply("1", u, now); len(bound) > maxContacts {
			t.Fatalf("%d contacts kept", len(bound))
		}
	}
}

func TestNonceIsOursFreshAndBoundToTheAddress(t *testing.T) {
	d := newDigestServer("r")
	now := time.Unix(1_700_000_000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	n := d.nonce(now, a)
	for _, tc := range []struct {
		name        string
		nonce       string
		at          time.Time
		from        netip.Addr
		ours, fresh bool
	}{
		{"fresh", n, now.Add(59 * time.Second), a, true, true},
		{"old", n, now.Add(61 * time.Second), a, true, false},
		{"other address", n, now, b, false, false},
		{"another server's", newDigestServer("r").nonce(now, a), now, a, false, false},
		{"flipped", "A" + n[1:], now, a, n[0] == 'A', n[0] == 'A'},
		{"empty", "", now, a, false, false},
	} {
		ours, fresh := d.checkNonce(tc.nonce, tc.at, tc.from)
		if ours != tc.ours || fresh != tc.fresh {
			t.Errorf("%s: ours %v fresh %v", tc.name, ours, fresh)
		}
	}
	cr := func(nc int) *digest.Credentials { return &digest.Credentials{Nonce: n, QOP: "auth", Nc: nc} }
	for _, s := range []struct {
		nc int
		ok bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {100, true}, {99, true}, {30, false}, {101, true}, {100, false}} {
		if got := d.count(cr(s.nc), now); got != s.ok {
			t.Errorf("nc %d: %v", s.nc, got)
		}
	}
}

func TestTCPConnectionsAreCapped(t *testing.T) {
	r := newRig(t)
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range maxConnsPerIP + 1 {
		c, err := net.Dial("tcp", r.TCPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	_ = open[maxConnsPerIP].SetReadDeadline(time.Now().Add(testDeadline))
	if _, err := open[maxConnsPerIP].Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the ninth connection lives: %v", err)
	}
}
