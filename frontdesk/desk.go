package frontdesk

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// Number is a line's number at Meta. Errors are *bridge.CauseError, with graph.ErrUncertain in the chain when a message may have
// been taken.
type Number interface {
	// Live is what Meta says of a customer, at most 30 s old; Forget makes the next answer a new one.
	Live(ctx context.Context, c bridge.Customer) (policy.Live, error)
	Forget(c bridge.Customer)
	SendText(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error)
	AskPermission(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error)
	SendButton(ctx context.Context, c bridge.Customer, b graph.CallButton, id string) (wamid string, err error)
	SendTemplate(ctx context.Context, c bridge.Customer, m graph.TemplateMessage, id string) (wamid string, err error)
	Settings(ctx context.Context) (graph.Settings, error)
	WriteSettings(ctx context.Context, s graph.SettingsChange) error
	Templates(ctx context.Context) ([]graph.Template, error)
	CreateTemplate(ctx context.Context, s graph.TemplateSpec) (graph.Template, error)
}

// Phones is what the Desk needs to ring an agent.
type Phones interface {
	// Target is the phone of this name ("phone:1001", "trunk:pbx/200"); false when there is none.
	Target(name string) (bridge.Target, bool)
	// RingMenu answers the agent who was rung because a customer allows calls: one key calls what to names.
	RingMenu(agent string, c bridge.Customer, to string, later func(context.Context) ivr.Outcome) bridge.Target
	Summon(s bridge.Summons) (call string)
	// Calls is how many calls a line has now, and whether this agent is in one.
	Calls(line string) int
	Busy(agent string) bool
}

// Config is what a Desk needs. All but Now, Logger and Registerer is required; the lines come with SetLines.
type Config struct {
	Store      *store.Store
	Phones     Phones
	Now        func() time.Time // wall clock; nil: time.Now
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Desk is the front desk of all lines. Its methods are safe for concurrent use.
type Desk struct {
	cfg     Config
	store   *store.Store
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	lines   atomic.Pointer[map[string]*LineConfig]

	templates templates
	meta      metaStates
	rings     rings
	leases    leases

	restricting sync.Mutex // one change of a line's restrictions at a time

	wakeWatches, wakeMeta chan struct{} // something that they depend on has changed

	ctx    context.Context // the life of the work nobody waits for
	cancel context.CancelFunc
	slots  chan struct{} // bounds it
	mu     sync.Mutex    // guards work against being added to after Stop
	work   sync.WaitGroup
}

// maxWork bounds the messages under way that nobody waits for.
const maxWork = 32

// New makes a Desk. Nothing happens by itself before Start.
func New(cfg Config) *Desk {
	d := &Desk{cfg: cfg, store: cfg.Store, now: cfg.Now, log: cfg.Logger, metrics: newMetrics(cfg.Registerer), slots: make(chan struct{}, maxWork),
		wakeWatches: make(chan struct{}, 1), wakeMeta: make(chan struct{}, 1)}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.lines.Store(&map[string]*LineConfig{})
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// SetLines replaces the lines. What is under way goes on as it began.
func (d *Desk) SetLines(lines []LineConfig) {
	m := make(map[string]*LineConfig, len(lines))
	for i := range lines {
		m[lines[i].ID] = &lines[i]
	}
	d.lines.Store(&m)
	for _, gone := range d.meta.keep(m) {
		d.metrics.forget(gone)
	}
	d.templates.keep(m)
	d.Look()
}

func (d *Desk) line(id string) (*LineConfig, bool) {
	l, ok := (*d.lines.Load())[id]
	return l, ok
}

// Start begins the work beside the calls.
func (d *Desk) Start() {
	d.loop("ringing agents", d.wakeWatches, d.ringWatches)
	d.loop("looking after settings at WhatsApp", d.wakeMeta, d.syncLines)
	d.loop("housekeeping", nil, d.keepHouse)
}

// Stop ends it, and waits for what is being sent as long as ctx lets it. It may be called again.
func (d *Desk) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.cancel()
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { d.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Look makes the loops look at watches and settings soon: something that they depend on has changed. It costs nothing to call
// it often.
func (d *Desk) Look() {
	for _, wake := range []chan struct{}{d.wakeWatches, d.wakeMeta} {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// The loops' rhythm: a round at least every lookEvery, however idle the desk; and after each a rest of lookRest or nine times what the
// round took, so that a busy hour does not keep them running.
const (
	lookEvery = 30 * time.Second
	lookRest  = time.Second
)

func (d *Desk) loop(what string, wake <-chan struct{}, round func(context.Context)) {
	d.goWork(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for d.ctx.Err() == nil {
			begun := time.Now()
			func() {
				defer d.fence(what)
				round(d.ctx)
			}()
			rest := time.NewTimer(min(max(lookRest, 9*time.Since(begun)), lookEvery))
			select {
			case <-rest.C:
			case <-d.ctx.Done():
				rest.Stop()
				return
			}
			select {
			case <-wake:
			case <-tick.C:
			case <-d.ctx.Done():
			}
		}
	})
}

// background does something that nobody waits for. When too much is under way it is left, counted.
func (d *Desk) background(what string, limit time.Duration, f func(ctx context.Context)) {
	select {
	case d.slots <- struct{}{}:
	default:
		d.metrics.left.WithLabelValues(what).Inc()
		d.log.Warn("too much is under way at WhatsApp; this was left", "what", what)
		return
	}
	started := d.goWork(func() {
		defer func() { <-d.slots }()
		defer d.fence(what)
		ctx, cancel := context.WithTimeout(d.ctx, limit)
		defer cancel()
		f(ctx)
	})
	if !started {
		<-d.slots
	}
}

// goWork starts a goroutine that Stop waits for, unless Stop has begun.
func (d *Desk) goWork(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return false
	}
	d.work.Go(f)
	return true
}

// fence keeps a bug from ending the process. Use it deferred.
func (d *Desk) fence(what string) {
	if p := recover(); p != nil {
		d.metrics.panics.Inc()
		d.log.Error("bug at the front desk; please report it", "while", what, "panic", p, "stack", string(debug.Stack()))
	}
}
