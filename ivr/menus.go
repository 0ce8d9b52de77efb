package ivr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
)

const (
	// ActionTimeout is how long a key's action may take: as long as a Graph request with its retries (8 s), and a margin.
	ActionTimeout = 15 * time.Second
	// actionsAtOnce bounds the actions under way for callers who may have hung up long ago.
	actionsAtOnce = 64
)

// ErrStopped says that no more menus are made.
var ErrStopped = errors.New("menus are stopped")

// Config is what Menus are made of.
type Config struct {
	Library    *Library
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Menus makes menus and owns what their keys set in motion.
type Menus struct {
	library *Library
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{} // one per action under way

	mu      sync.Mutex
	stopped bool
	actions sync.WaitGroup
}

// New makes Menus. It starts nothing.
func New(cfg Config) *Menus {
	return &Menus{library: cfg.Library, log: cfg.Logger, metrics: newMetrics(cfg.Registerer), slots: make(chan struct{}, actionsAtOnce)}
}

// Stop makes Dial fail from now on and waits for the actions under way. Menus in progress end with their calls.
func (m *Menus) Stop(ctx context.Context) error {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the last action, which ends by ActionTimeout
		m.actions.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop menus: actions are still under way: %w", ctx.Err())
	}
}

// Dialer dials a menu: a target that answers at once.
func (m *Menus) Dialer(menu Menu) bridge.Dialer { return dialer{m, menu} }

type dialer struct {
	m    *Menus
	menu Menu
}

// Dial implements bridge.Dialer. Nothing of it waits, so ctx bounds nothing.
func (d dialer) Dial(_ context.Context, inv bridge.Invite, notify bridge.Notify) (bridge.Leg, error) {
	d.m.mu.Lock()
	stopped := d.m.stopped
	d.m.mu.Unlock()
	if stopped {
		return nil, &bridge.CauseError{Cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonDrain}, Err: ErrStopped}
	}
	l, err := newLeg(d.m, d.menu, inv, notify)
	if err != nil {
		return nil, fmt.Errorf("dial menu %q: %w", d.menu.Name, err)
	}
	d.m.metrics.menus.WithLabelValues(d.menu.Name).Inc()
	d.m.metrics.active.Inc()
	go l.run() // ends with EventEnded, which every call waits for
	return l, nil
}

// act carries out an action away from the leg, and tells it by done; the leg may be gone by then. A bug in it is an outcome.
func (m *Menus) act(log *slog.Logger, do func(context.Context) Outcome, done func(Outcome)) {
	select {
	case m.slots <- struct{}{}:
	default:
		log.Error("a key's action was not carried out: too many are under way; look for what makes them slow", "limit", actionsAtOnce)
		done(Outcome{Reason: ReasonTrouble})
		return
	}
	m.actions.Add(1)
	go func() {
		defer m.actions.Done()
		defer func() { <-m.slots }()
		o := Outcome{Reason: ReasonTrouble}
		defer func() {
			if r := recover(); r != nil {
				m.fence(log, r)
			}
			m.metrics.count(o)
			done(o)
		}()
		ctx, cancel := context.WithTimeout(context.Background(), ActionTimeout)
		defer cancel()
		o = do(ctx)
	}()
}

// fence logs and counts a bug that ended one menu, or one action.
func (m *Menus) fence(log *slog.Logger, r any) {
	m.metrics.panics.Inc()
	log.Error("a bug ended this menu; please report it with this stack", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
}

type metrics struct {
	active  prometheus.Gauge
	menus   *prometheus.CounterVec
	actions *prometheus.CounterVec
	panics  prometheus.Counter
	dropped prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		active:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_menus_active", Help: "Menus in progress."}),
		menus:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_menus_total", Help: "Menus begun, by kind."}, []string{"menu"}),
		actions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_menu_actions_total", Help: "Actions that keys asked for: done, refused by policy, or failed."}, []string{"outcome"}),
		panics:  prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_menu_panics_total", Help: "Bugs that ended one menu or action."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_menu_keys_dropped_total", Help: "Keys that came faster than a menu takes them."}),
	}
	r.MustRegister(m.active, m.menus, m.actions, m.panics, m.dropped)
	for _, o := range []string{"done", "refused", "failed"} {
		m.actions.WithLabelValues(o)
	}
	return m
}

func (m *metrics) count(o Outcome) {
	switch {
	case o.Done:
		m.actions.WithLabelValues("done").Inc()
	case o.Decision.Rule != "":
		m.actions.WithLabelValues("refused").Inc()
	default:
		m.actions.WithLabelValues("failed").Inc()
	}
}
