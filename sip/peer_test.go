package sip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	msg "github.com/emiago/sipgo/sip"
	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
)

const testDeadline = 8 * time.Second

// peer is a SIP element made of one UDP socket and text: it shares nothing with the code under test but the parser.
type peer struct {
	t    *testing.T
	conn *net.UDPConn
	to   netip.AddrPort
	in   chan msg.Message
}

func newPeer(t *testing.T, to netip.AddrPort) *peer {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: c, to: to, in: make(chan msg.Message, 256)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, src, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			m, err := msg.ParseMessage(append([]byte(nil), b[:n]...))
			if err != nil {
				t.Errorf("peer got what is not SIP: %v\n%s", err, b[:n])
				continue
			}
			m.SetSource(src.String())
			select {
			case p.in <- m:
			default:
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return p
}

func (p *peer) port() int { return p.conn.LocalAddr().(*net.UDPAddr).Port }

func (p *peer) send(text string) {
	p.t.Helper()
	head, body, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
	head = strings.TrimRight(head, "\n")
	body = strings.ReplaceAll(body, "\n", "\r\n")
	out := strings.ReplaceAll(head, "\n", "\r\n") + fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	p.raw([]byte(out))
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(b, p.to); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) next(what string, ok func(msg.Message) bool) msg.Message {
	p.t.Helper()
	deadline := time.After(testDeadline)
	for {
		select {
		case m := <-p.in:
			if ok(m) {
				return m
			}
		case <-deadline:
			p.t.Fatalf("%s did not come", what)
		}
	}
}

func (p *peer) request(method string) *msg.Request {
	p.t.Helper()
	return p.next(method, func(m msg.Message) bool {
		r, ok := m.(*msg.Request)
		return ok && string(r.Method) == method
	}).(*msg.Request)
}

func (p *peer) response(status int) *msg.Response {
	p.t.Helper()
	return p.next(fmt.Sprint(status), func(m msg.Message) bool {
		r, ok := m.(*msg.Response)
		return ok && r.StatusCode == status
	}).(*msg.Response)
}

// reply answers a request it received.
func (p *peer) reply(req *msg.Request, status int, phrase, tag, extra, body string) {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\n", status, phrase)
	for _, h := range req.GetHeaders("Via") {
		fmt.Fprintf(&b, "Via: %s\n", h.Value())
	}
	fmt.Fprintf(&b, "From: %s\n", req.From().Value())
	to := req.To().Value()
	if tag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + tag
	}
	fmt.Fprintf(&b, "To: %s\nCall-ID: %s\nCSeq: %s\n", to, req.CallID().Value(), req.CSeq().Value())
	if req.IsInvite() && status > 100 && status < 300 {
		fmt.Fprintf(&b, "Contact: <sip:peer@127.0.0.1:%d>\n", p.port())
	}
	b.WriteString(extra)
	if body != "" {
		b.WriteString("Content-Type: application/sdp\n")
	}
	b.WriteString("\n" + body)
	home := p.to
	p.to = netip.MustParseAddrPort(req.Source())
	p.send(b.String())
	p.to = home
}

// call is a dialog the peer began.
type call struct {
	p                   *peer
	id, fromTag, branch string
	user, from          string
	seq                 int
	toTag               string
	extra               string
}

func (p *peer) call(user string) *call {
	return &call{p: p, id: token(8), fromTag: token(4), branch: newBranch(), user: user, from: "201", seq: 1}
}

func (c *call) text(method, branch, extra, body string) string {
	to := fmt.Sprintf("<sip:%s@127.0.0.1>", c.user)
	if c.toTag != "" {
		to += ";tag=" + c.toTag
	}
	if body != "" && !strings.Contains(extra, "Content-Type") {
		extra += "Content-Type: application/sdp\n"
	}
	return fmt.Sprintf(`%s sip:%s@%s SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:%d;branch=%s;rport
Max-Forwards: 70
From: "Agent" <sip:%s@127.0.0.1>;tag=%s
To: %s
Call-ID: %s
CSeq: %d %s
Contact: <sip:%s@127.0.0.1:%d>
%s%s
%s`, method, c.user, c.p.to, c.p.port(), branch, c.from, c.fromTag, to, c.id, c.seq, method, c.from, c.p.port(), c.extra, extra, body)
}

func (c *call) invite(body string) { c.p.send(c.text("INVITE", c.branch, "", body)) }

func (c *call) learn(res *msg.Response) *msg.Response {
	c.toTag, _ = res.To().Params.Get("tag")
	return res
}

func (c *call) ack(body string) { c.p.send(c.text("ACK", newBranch(), "", body)) }

func (c *call) in(method, extra, body string) {
	c.seq++
	c.p.send(c.text(method, newBranch(), extra, body))
}

// peerSDP is a plain PCMA session of the peer.
func peerSDP(port int, attrs ...string) string {
	s := fmt.Sprintf(`v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio %d RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
`, port)
	for _, a := range attrs {
		s += "a=" + a + "\n"
	}
	return s
}

// board is a switchboard that opens every leg.
type board struct {
	offers chan bridge.Offer
	legs   chan *watched
	auto   atomic.Pointer[func(*watched)]
}

// does sets what becomes of every call.
func (b *board) does(f func(*watched)) { b.auto.Store(&f) }

// watched is a leg with its events.
type watched struct {
	bridge.Leg
	offer  bridge.Offer
	events chan bridge.Event
}

func newBoard() *board {
	return &board{offers: make(chan bridge.Offer, 64), legs: make(chan *watched, 64)}
}

func watch() (*watched, bridge.Notify) {
	w := &watched{events: make(chan bridge.Event, 64)}
	return w, func(ev bridge.Event) { w.events <- ev }
}

func (b *board) Offer(o bridge.Offer) string {
	w, notify := watch()
	w.offer = o
	w.Leg = o.Open("call-1", notify)
	b.offers <- o
	if f := b.auto.Load(); f != nil {
		(*f)(w)
	}
	b.legs <- w
	return "call-1"
}

func (b *board) leg(t *testing.T) *watched {
	t.Helper()
	select {
	case w := <-b.legs:
		return w
	case <-time.After(testDeadline):
		t.Fatal("no call reached the switchboard")
		return nil
	}
}

func (w *watched) expect(t *testing.T, kinds ...bridge.EventKind) (last bridge.Event) {
	t.Helper()
	for _, k := range kinds {
		select {
		case ev := <-w.events:
			if ev.Kind != k {
				t.Fatalf("event %d (%s), want %d", ev.Kind, ev.Cause, k)
			}
			last = ev
		case <-time.After(testDeadline):
			t.Fatalf("event %d did not come", k)
		}
	}
	return last
}

func (w *watched) quiet(t *testing.T) {
	t.Helper()
	select {
	case ev := <-w.events:
		t.Fatalf("unexpected event %d (%s)", ev.Kind, ev.Cause)
	default:
	}
}

type rig struct {
	*Endpoint
	board *board
	reg   *prometheus.Registry
}

// newRig starts an endpoint on loopback.
func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{board: newBoard(), reg: prometheus.NewRegistry()}
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("SIP_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	cfg := Config{
		UDP: []string{"127.0.0.1:0"}, TCP: []string{"127.0.0.1:0"}, Switchboard: r.board, Registerer: r.reg, Logger: log,
		Media: MediaConfig{IP: netip.MustParseAddr("127.0.0.1"), Drain: time.Millisecond},
	}
	for _, c := range change {
		c(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Endpoint = e
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testDeadline)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) apply(t *testing.T, s Settings) {
	t.Helper()
	if err := r.Apply(s); err != nil {
		t.Fatal(err)
	}
}

// withTrunk is a rig with a peer as its trunk "pbx".
func withTrunk(t *testing.T, change ...func(*TrunkConfig)) (*rig, *peer) {
	t.Helper()
	r := newRig(t)
	p := newPeer(t, r.UDPAddr())
	c := TrunkConfig{Name: "pbx", Host: "127.0.0.1", Port: p.port(), NoPing: true}
	for _, f := range change {
		f(&c)
	}
	r.apply(t, Settings{Trunks: []TrunkConfig{c}})
	return r, p
}

func (r *rig) dial(t *testing.T, inv bridge.Invite) *watched {
	t.Helper()
	tr, _ := r.Trunk("pbx")
	w, notify := watch()
	leg, err := tr.Dial(context.Background(), inv, notify)
	if err != nil {
		t.Fatal(err)
	}
	w.Leg = leg
	return w
}

func normal() bridge.Cause {
	return bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}
}
