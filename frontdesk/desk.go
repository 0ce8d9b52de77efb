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

// Number is a line's number at Meta.
type Number interface {
	Live(ctx context.Context, c bridge.Customer) (policy.Live, error)
	Forget(c bridge.Customer)
	SendText(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error)
	AskPermission(ctx context.Context, c bridge.Customer, text, id string) (wamid string, err error)
	SendButton(ctx context.Context, c bridge.Customer, b graph.CallButton, id string) (wamid string, err error)
	SendTemplate(ctx context.Context, c bridge.Customer, m graph.TemplateMessage, id string) (wamid string, err error)
	Settings(ctx context.Context) (graph.Settings, error)
	WriteSettings(ctx context.Context, s graph.SettingsChange) error
	Templates(ctx context.Context) ([]graph.Template, error)
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

// Config is what a Desk needs. All but Logger and Now is required; the lines come with SetLines.
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
	wake    chan struct{} // something the background should look at

	templates templates
	meta      metaStates
	rings     rings

	ctx    context.Context // the life of the work nobody waits for
	cancel context.CancelFunc
	work   sync.WaitGroup
	slots  chan struct{} // bounds it
}

// New makes a Desk. Nothing is sent before Start.
func New(cfg Config) *Desk {
	d := &Desk{cfg: cfg, store: cfg.Store, now: cfg.Now, log: cfg.Logger, metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1),
		slots: make(chan struct{}, maxWork)}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.lines.Store(&map[string]*LineConfig{})
	d.templates.init()
	d.meta.init()
	d.rings.by = map[string]ringing{}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// maxWork bounds the messages under way that nobody waits for.
const maxWork = 32

// SetLines replaces the lines. What is under way goes on as it began.
func (d *Desk) SetLines(lines []LineConfig) {
	m := make(map[string]*LineConfig, len(lines))
	for i := range lines {
		m[lines[i].ID] = &lines[i]
	}
	d.lines.Store(&m)
	d.meta.forget(m)
	d.Look()
}

func (d *Desk) line(id string) (*LineConfig, bool) {
	l, ok := (*d.lines.Load())[id]
	return l, ok
}

// Start begins the work beside the calls.
func (d *Desk) Start() { d.work.Go(d.run) }

// Stop ends it, and waits for what is being sent as long as ctx lets it.
func (d *Desk) Stop(ctx context.Context) error {
	d.cancel()
	done := make(chan struct{})
	go func() { d.work.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Look makes the background look at watches and settings soon: something that they depend on has changed.
func (d *Desk) Look() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
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
	d.work.Go(func() {
		defer func() { <-d.slots }()
		defer d.fence(what)
		ctx, cancel := context.WithTimeout(d.ctx, limit)
		defer cancel()
		f(ctx)
	})
}

// fence keeps a bug from ending the process. Use it deferred.
func (d *Desk) fence(what string) {
	if p := recover(); p != nil {
		d.metrics.panics.Inc()
		d.log.Error("bug at the front desk; please report it", "while", what, "panic", p, "stack", string(debug.Stack()))
	}
}

// The background's rhythm.
const (
	watchEvery = 30 * time.Second
	metaEvery  = 10 * time.Minute
)

func (d *Desk) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var checked time.Time
	for {
		changed := false
		select {
		case <-d.ctx.Done():
			return
		case <-d.wake:
			changed = true
		case <-tick.C:
		}
		func() {
			defer d.fence("looking after watches")
			d.ringWatches(d.ctx)
			d.countCallbacks(d.ctx)
		}()
		refresh := time.Since(checked) >= metaEvery
		if refresh {
			checked = time.Now()
		}
		if changed || refresh {
			func() {
				defer d.fence("looking after settings at WhatsApp")
				d.syncLines(d.ctx, refresh)
			}()
		}
	}
}
