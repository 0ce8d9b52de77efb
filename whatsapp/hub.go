package whatsapp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
)

// HubConfig is what all lines share.
type HubConfig struct {
	Media      MediaConfig
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Hub is what all lines share: the media sockets, the calls in progress by Meta's ID, and the waiting for all of it to
// end. Lines come and go with the settings; the calls in the hub outlive the Line they began on.
type Hub struct {
	ctx     context.Context // the life of the legs, ended by Stop
	cancel  context.CancelFunc
	open    openSession
	calls   *calls
	metrics *hubMetrics
	log     *slog.Logger
	running *tracker
	reapers chan struct{} // limits how many calls are reaped at once

	mu       sync.Mutex
	legs     map[*Leg]struct{}
	stopping bool
}

// NewHub builds the media factory and an empty registry of calls. Of ctx only the values are used: what ends the hub is Stop.
func NewHub(ctx context.Context, cfg HubConfig) (*Hub, error) {
	f, err := newMediaFactory(cfg.Media)
	if err != nil {
		return nil, fmt.Errorf("whatsapp media: %w", err)
	}
	return newHub(ctx, cfg, func(h mediaHandlers) (session, error) {
		s, err := f.open(h)
		if err != nil {
			return nil, err
		}
		return s, nil
	}), nil
}

func newHub(ctx context.Context, cfg HubConfig, open openSession) *Hub {
	h := &Hub{open: open, metrics: newHubMetrics(cfg.Registerer), log: cfg.Logger, running: newTracker(),
		reapers: make(chan struct{}, 64), legs: map[*Leg]struct{}{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.calls = newCalls(h.metrics)
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return h
}

// Active is how many customer calls are in progress.
func (h *Hub) Active() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.legs)
}

// Stop hangs up every call still there and waits until nothing of them is left, or ctx ends. Legs that come after it end
// at once.
func (h *Hub) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopping = true
	for l := range h.legs {
		l.Hangup(drainCause())
	}
	h.mu.Unlock()
	err := h.running.wait(ctx, func() bool { return h.Active() == 0 })
	h.cancel() // ends reaping, and after a missed deadline whatever still waits for Meta
	if err == nil {
		err = h.running.wait(ctx, h.running.empty)
	}
	if err != nil {
		return fmt.Errorf("stop whatsapp: %d calls left: %w", h.Active(), err)
	}
	return nil
}

func drainCause() bridge.Cause {
	return bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonDrain}
}

func (h *Hub) enter(l *Leg) {
	h.running.add()
	h.mu.Lock()
	h.legs[l] = struct{}{}
	late := h.stopping
	h.mu.Unlock()
	h.metrics.legs.WithLabelValues(string(direction(l.outbound))).Inc()
	if late {
		l.Hangup(drainCause())
	}
}

func (h *Hub) leave(l *Leg) {
	h.mu.Lock()
	delete(h.legs, l)
	h.mu.Unlock()
	h.metrics.legs.WithLabelValues(string(direction(l.outbound))).Dec()
	h.running.done()
}

// Over marks a call as one that ended before this process began: its late webhooks belong to nobody.
func (h *Hub) Over(wacid string) {
	if wacid == "" {
		return
	}
	h.calls.mu.Lock()
	defer h.calls.mu.Unlock()
	h.calls.see(wacid)
}

// disown takes over ending a call at Meta from a leg that could not: by its ID, or, when Meta never told it, as soon as a
// webhook names a call with our callback data.
func (h *Hub) disown(l *Leg) {
	if id := l.id(); id != "" {
		h.reap(l.line, id)
		return
	}
	if l.outbound {
		h.calls.orphan(l.call, l.line)
	}
}

// The patience with a call that does not end. Meta ends it by itself some 30 s after our media stopped.
const (
	reapTries = 3
	reapPause = 10 * time.Second
)

// reap ends a call that has no leg any more.
func (h *Hub) reap(line *Line, wacid string) {
	select {
	case h.reapers <- struct{}{}:
	default:
		h.metrics.reaped.WithLabelValues("refused").Inc()
		return
	}
	h.running.add()
	go func() {
		defer h.running.done()
		defer func() { <-h.reapers }()
		defer h.fence("ending a call at WhatsApp")
		for n := range reapTries {
			if n > 0 && !sleep(h.ctx, reapPause) {
				break
			}
			if line.graph.Terminate(h.ctx, line.number, wacid) == nil {
				h.metrics.reaped.WithLabelValues("ended").Inc()
				return
			}
		}
		h.metrics.reaped.WithLabelValues("failed").Inc()
		h.log.Warn("a call could not be ended at WhatsApp; it ends there by its own timeout", "line", line.id, "wacid", wacid)
	}()
}

// fence keeps a bug from ending the process. Use it deferred.
func (h *Hub) fence(what string) {
	if p := recover(); p != nil {
		h.metrics.panics.Inc()
		h.log.Error("bug", "while", what, "panic", p, "stack", stack())
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
