package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/media"
	"deskbridge/policy"
)

// fakeStream records what a call does to a leg's audio.
type fakeStream struct {
	mu     sync.Mutex
	format media.Format
	sink   media.Sink
	digits []media.Digit
	frames int
	first  time.Time
}

func (s *fakeStream) Format() media.Format {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.format
}

func (s *fakeStream) SetSink(k media.Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = k
}

func (s *fakeStream) SendFrame(*media.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames == 0 {
		s.first = time.Now()
	}
	s.frames++
}

func (s *fakeStream) SendDigit(d media.Digit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.digits = append(s.digits, d)
}

func (s *fakeStream) Stats() media.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return media.Stats{Sent: uint64(s.frames), FirstSent: s.first}
}

// receive plays one packet into whatever the stream is joined to.
func (s *fakeStream) receive(seq uint16) {
	s.mu.Lock()
	k := s.sink
	s.mu.Unlock()
	if k != nil {
		k.ReceivePacket(&media.Packet{Payload: make([]byte, 160), Sequence: seq, Timestamp: uint32(seq) * 160, Arrival: time.Now()})
	}
}

// fakeLeg is a leg whose far end is the test.
type fakeLeg struct {
	kind   Kind
	stream *fakeStream
	notify Notify

	mu       sync.Mutex
	did      []string
	hangups  []Cause
	ended    bool
	deaf     bool // does not end when told to
	autoEnd  bool
	onAccept func(*fakeLeg)
}

func newFakeLeg(k Kind, n Notify) *fakeLeg {
	return &fakeLeg{
		kind: k, notify: n, autoEnd: true, stream: &fakeStream{format: media.Format{Codec: media.PCMA, PTime: 20 * time.Millisecond}},
		onAccept: func(l *fakeLeg) { l.emit(EventAccepted) },
	}
}

func (l *fakeLeg) note(s string) {
	l.mu.Lock()
	l.did = append(l.did, s)
	l.mu.Unlock()
}

func (l *fakeLeg) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.did {
		if d == s {
			return true
		}
	}
	return false
}

func (l *fakeLeg) emit(k EventKind) { l.notify(Event{Kind: k, At: time.Now()}) }

func (l *fakeLeg) end(c Cause) {
	l.mu.Lock()
	was := l.ended
	l.ended = true
	l.mu.Unlock()
	if !was {
		l.notify(Event{Kind: EventEnded, Cause: c, At: time.Now()})
	}
}

func (l *fakeLeg) Kind() Kind           { return l.kind }
func (l *fakeLeg) Stream() media.Stream { return l.stream }
func (l *fakeLeg) Prepare()             { l.note("prepare") }
func (l *fakeLeg) Alert()               { l.note("alert") }
func (l *fakeLeg) Record() LegRecord {
	r := LegRecord{Kind: l.kind}
	if l.kind == KindWhatsApp {
		r.CallID = "wacid.fake"
	}
	return r
}

func (l *fakeLeg) Accept() {
	l.note("accept")
	l.onAccept(l)
}

func (l *fakeLeg) Hangup(c Cause) {
	l.mu.Lock()
	l.hangups = append(l.hangups, c)
	deaf := l.deaf
	l.mu.Unlock()
	if !deaf {
		l.end(c)
	}
}

func (l *fakeLeg) lastHangup() Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.hangups) == 0 {
		return Cause{}
	}
	return l.hangups[len(l.hangups)-1]
}

func (l *fakeLeg) hangupCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.hangups)
}

func (s *fakeStream) sentFrames() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

// fakePhone is a Dialer with one leg.
type fakePhone struct {
	kind   Kind
	err    error
	panics bool
	mu     sync.Mutex
	leg    *fakeLeg
	inv    Invite
}

func (p *fakePhone) Dial(_ context.Context, inv Invite, n Notify) (Leg, error) {
	if p.panics {
		panic("dial")
	}
	if p.err != nil {
		return nil, p.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inv = inv
	p.leg = newFakeLeg(p.kind, n)
	return p.leg, nil
}

// memLedger keeps facts in memory.
type memLedger struct {
	mu    sync.Mutex
	facts []Fact
	err   error
}

func (l *memLedger) Record(_ context.Context, f Fact) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.facts = append(l.facts, f)
	return nil
}

func (l *memLedger) kinds() []FactKind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var k []FactKind
	for _, f := range l.facts {
		k = append(k, f.Kind)
	}
	return k
}

func (l *memLedger) last() Fact {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.facts[len(l.facts)-1]
}

type routerFunc func(ctx context.Context, o Offer) (Route, Cause)

func (f routerFunc) Route(ctx context.Context, o Offer) (Route, Cause) { return f(ctx, o) }

type authorizerFunc func(ctx context.Context, a Attempt) policy.Decision

func (f authorizerFunc) Authorize(ctx context.Context, a Attempt) (policy.Decision, error) {
	if d := f(ctx, a); d.Rule != "error" {
		return d, nil
	}
	return policy.Decision{}, &CauseError{Cause: Cause{Fault: FaultUpstream, Reason: ReasonUpstream, RetryAfter: time.Minute}}
}

var errNoAnswerFromPBX = &CauseError{Cause: Cause{Fault: FaultUpstream, Reason: ReasonUnreachable}, Err: errors.New("pbx is down")}

// world is an Exchange with fakes around it.
type world struct {
	*Exchange
	ledger *memLedger
	phones []*fakePhone
	a      *fakeLeg
	reg    *prometheus.Registry
}

func newWorld(t *testing.T, phones ...*fakePhone) *world {
	t.Helper()
	w := &world{ledger: &memLedger{}, phones: phones, reg: prometheus.NewRegistry()}
	w.Exchange = New(Config{
		Router: routerFunc(func(context.Context, Offer) (Route, Cause) {
			r := Route{Line: "main", Stage: Stage{RingTimeout: 25 * time.Second}, Customer: Customer{ID: "c1", Phone: "4915112345678"}}
			for _, p := range phones {
				r.Targets = append(r.Targets, Target{Dialer: p, Name: "phone"})
			}
			return r, Cause{}
		}),
		Authorizer: authorizerFunc(func(context.Context, Attempt) policy.Decision { return policy.Decision{Allowed: true} }),
		Ledger:     w.ledger, Logger: slog.New(slog.DiscardHandler), Registerer: w.reg, MaxCalls: 10,
	})
	return w
}

func (w *world) offer(d Direction) string {
	k := KindWhatsApp
	o := Offer{Direction: d, Line: "main", Wacid: "wacid.in"}
	if d == Outbound {
		k, o = KindSIP, Offer{Direction: d, Dialled: "+4915112345678", From: "1001", Peer: "phone:1001"}
	}
	o.Open = func(_ string, n Notify) Leg {
		w.a = newFakeLeg(k, n)
		return w.a
	}
	return w.Offer(o)
}

// stop ends the world; no call may be left.
func (w *world) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w.Drain(ctx)
	w.Close()
	if n := len(w.Calls()); n != 0 {
		t.Errorf("%d calls left after drain", n)
	}
	seen := map[string]int{}
	for _, f := range w.ledger.facts {
		if seen[f.CDR.ID] > 0 {
			t.Errorf("fact %s after the final one", f.Kind)
		}
		if f.Kind == FactEnded || f.Kind == FactRefused {
			seen[f.CDR.ID]++
		}
	}
}
