package legtest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// events collects what a leg says.
type events struct {
	mu   sync.Mutex
	list []bridge.Event
	wake chan struct{}
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

func (e *events) notify(ev bridge.Event) {
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// own makes sure that the leg is gone when the test is.
func (e *events) own(t *testing.T, l bridge.Leg) {
	t.Cleanup(func() {
		l.Hangup(bridge.Cause{Reason: bridge.ReasonInternal})
		e.wait(t, bridge.EventEnded)
	})
}

// wait returns the first event of a kind, however long ago it came.
func (e *events) wait(t *testing.T, k bridge.EventKind) bridge.Event {
	t.Helper()
	timeout := time.After(deadline)
	for {
		e.mu.Lock()
		for _, ev := range e.list {
			if ev.Kind == k {
				e.mu.Unlock()
				return ev
			}
		}
		list := e.list
		e.mu.Unlock()
		select {
		case <-e.wake:
		case <-timeout:
			t.Fatalf("waited %s for event %d, got %+v", deadline, k, list)
		}
	}
}

// ended waits for the end and checks its cause (unless empty), that it is the last event, and the only one of its kind.
func (e *events) ended(t *testing.T, want bridge.Reason) {
	t.Helper()
	ev := e.wait(t, bridge.EventEnded)
	if want != "" && ev.Cause.Reason != want {
		t.Errorf("ended with %v, want %s", ev.Cause, want)
	}
	if ev.Cause.IsZero() {
		t.Error("ended without a cause")
	}
	e.quiet(t)
}

func (e *events) quiet(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, ev := range e.list {
		if ev.Kind == bridge.EventEnded {
			n++
		}
	}
	if n != 1 || e.list[len(e.list)-1].Kind != bridge.EventEnded {
		t.Errorf("the end must come once and last: %+v", e.list)
	}
}

func (e *events) never(t *testing.T, k bridge.EventKind) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		if ev.Kind == k {
			t.Errorf("event %d must not happen: %+v", k, e.list)
		}
	}
}

// decodingSink decodes what a leg receives.
type decodingSink struct {
	mu    sync.Mutex
	dec   media.Decoder
	buf   []int16
	heard []int16
}

func (s *decodingSink) ReceivePacket(p *media.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err := s.dec.Decode(p.Payload, s.buf); err == nil {
		s.heard = append(s.heard, s.buf[:n]...)
	}
}

func (s *decodingSink) pcm() []int16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int16(nil), s.heard...)
}

// countingSink fails the test when it is called after it was taken away.
type countingSink struct {
	n      atomic.Int64
	closed atomic.Bool
	after  atomic.Int64
}

func (s *countingSink) ReceivePacket(*media.Packet) {
	if s.closed.Load() {
		s.after.Add(1)
	}
	s.n.Add(1)
}

func (s *countingSink) waitFirst(t *testing.T) {
	t.Helper()
	until(t, "a packet", func() bool { return s.n.Load() > 0 })
	t.Cleanup(func() {
		if n := s.after.Load(); n > 0 {
			t.Errorf("%d packets after the sink was taken away", n)
		}
	})
}

func (s *countingSink) close() { s.closed.Store(true) }
