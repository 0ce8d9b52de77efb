package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/sip"
	"deskbridge/store"
	"deskbridge/whatsapp"
)

// Options is what a program gives an App besides its configuration.
type Options struct {
	Version string
	Logger  *slog.Logger
	// Registry takes every metric; nil makes a new one with the Go and process collectors.
	Registry *prometheus.Registry
	// Now is the wall clock of rules, records and the store; nil: time.Now. A simulated Meta brings its own.
	Now func() time.Time
}

// App is the whole appliance in one process. New builds and binds everything, Start serves, Stop unwinds.
type App struct {
	cfg      *Config
	opt      Options
	log      *slog.Logger
	registry *prometheus.Registry
	started  time.Time
	draining atomic.Bool

	store   *store.Store
	plan    *dialPlan
	desk    *frontdesk.Desk
	menus   *ivr.Menus
	prompts *ivr.Library

	recordings *Recordings

	exchange *bridge.Exchange
	hub      *whatsapp.Hub
	webhook  *whatsapp.Webhook
	sip      *sip.Endpoint
	keeper   *keeper
	accounts *admin.Accounts
	admin    *admin.Server
	control  *Control
	hooks    *listener
	scrape   *listener

	levels chan struct{} // something changed about the data disk
	late   bool          // the store could not be opened yet at the start
	life   context.Context
	// endLife ends the work beside the calls, background waits for it.
	endLife    context.CancelFunc
	background sync.WaitGroup

	unwind []step // what Stop undoes, last first
}

// step is one part of shutting down.
type step struct {
	name string
	stop func(ctx context.Context) error
}

func (a *App) onStop(name string, stop func(ctx context.Context) error) {
	a.unwind = append(a.unwind, step{name, stop})
}

// New builds an App and binds its sockets. When it fails, nothing is left behind.
func New(cfg *Config, opt Options) (*App, error) {
	if opt.Registry == nil {
		opt.Registry = prometheus.NewRegistry()
		opt.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	a := &App{cfg: cfg, opt: opt, log: opt.Logger, registry: opt.Registry, started: time.Now(), levels: make(chan struct{}, 1)}
	if err := a.build(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return nil, errors.Join(err, a.undo(ctx))
	}
	return a, nil
}

// build is the wiring, in order. It is long because it is straight.
func (a *App) build() error {
	c := a.cfg
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	key, err := store.LoadOrCreateKey(c.DataDir)
	if err != nil {
		return fmt.Errorf("appliance key: %w", err)
	}
	a.store, err = store.Open(store.Config{
		Dir: c.DataDir, Key: key, Logger: a.log.With("part", "store"), Registerer: a.registry, OnLevel: a.diskLevel, Clock: a.opt.Now,
	})
	if err != nil {
		return err
	}
	a.onStop("store", func(context.Context) error { return a.store.Close() })
	// Only the store outlives the webhook listener: what Meta tells us while the rest stops is stored and acknowledged
	// (reliability promise 12), and worked off at the next start.
	a.onStop("webhook listener", func(ctx context.Context) error {
		if a.hooks == nil {
			return nil
		}
		return a.hooks.stop(ctx)
	})

	if err := a.buildRecordings(key); err != nil {
		return err
	}
	music, err := loadHoldMusic(c.Media.HoldMusic)
	if err != nil {
		return err
	}
	if err := a.buildMenus(); err != nil {
		return err
	}
	a.desk = frontdesk.New(frontdesk.Config{Store: a.store, Phones: agents{a}, Now: a.opt.Now, Logger: a.log.With("part", "frontdesk"), Registerer: a.registry})
	a.onStop("front desk", a.desk.Stop)
	a.plan = &dialPlan{customers: a.store, desk: a.desk, menus: a.menus, prompts: a.prompts, ringTimeout: c.Calls.RingTimeout, dialTimeout: c.Calls.DialTimeout, now: a.opt.Now, log: a.log}
	a.exchange = bridge.New(bridge.Config{
		Router: a.plan, Authorizer: recordingGate{a.desk, a.plan, a.recordings.rec.Disk}, Recorder: tapes{a.recordings.rec}, Ledger: ledger{a}, Logger: a.log, Registerer: a.registry, MaxCalls: c.Calls.Max, HoldMusic: music,
		Ringback: ringback, Now: a.opt.Now,
	})
	a.onStop("calls", func(ctx context.Context) error { a.exchange.Drain(ctx); a.exchange.Close(); return nil })

	if err := a.buildWhatsApp(); err != nil {
		return err
	}
	if err := a.buildSIP(); err != nil {
		return err
	}
	a.keeper = newKeeper(a)
	if a.late, err = a.keeper.load(context.Background()); err != nil {
		return err
	}
	a.onStop("settings", a.keeper.stop)
	a.life, a.endLife = context.WithCancel(context.Background())
	a.onStop("background work", func(context.Context) error {
		a.endLife()
		a.background.Wait()
		return nil
	})
	return a.buildServers()
}

func (a *App) buildWhatsApp() error {
	c := a.cfg.WebRTC
	ip, err := optionalAddr(c.Address)
	if err != nil {
		return fmt.Errorf("webrtc.address: %w", err)
	}
	public, err := optionalAddr(c.PublicAddress)
	if err != nil {
		return fmt.Errorf("webrtc.public_address: %w", err)
	}
	log := a.log.With("part", "whatsapp")
	a.hub, err = whatsapp.NewHub(context.Background(), whatsapp.HubConfig{
		Media: whatsapp.MediaConfig{
			PortMin: uint16(c.PortMin), PortMax: uint16(c.PortMax), IP: ip, PublicIP: public, IPv6: c.IPv6, OutboundSetup: c.OutboundSetup,
			Logger: log, Registerer: a.registry,
		},
		Registerer: a.registry, Logger: log,
	})
	if err != nil {
		return err
	}
	a.onStop("whatsapp", a.hub.Stop)
	a.webhook = whatsapp.NewWebhook(whatsapp.WebhookConfig{
		Inbox: a.store, Directory: directory{a.store}, Switchboard: a.exchange, Hub: a.hub, Logger: log, Listener: ears{a}, Now: a.opt.Now,
	})
	return nil
}

func (a *App) buildSIP() error {
	c := a.cfg
	advertised, err := optionalAddr(c.SIP.AdvertisedAddress)
	if err != nil {
		return fmt.Errorf("sip.advertised_address: %w", err)
	}
	rtp, err := optionalAddr(c.RTP.Address)
	if err != nil {
		return fmt.Errorf("rtp.address: %w", err)
	}
	a.sip, err = sip.New(sip.Config{
		UDP: nonEmpty(c.SIP.UDP), TCP: nonEmpty(c.SIP.TCP), PublicAddress: advertised, Realm: c.SIP.Domain,
		UserAgent: "deskbridge/" + a.opt.Version, Switchboard: a.exchange,
		Media:      sip.MediaConfig{PortMin: uint16(c.RTP.PortMin), PortMax: uint16(c.RTP.PortMax), AdvertisedIP: rtp},
		MaxCalls:   4 * c.Calls.Max, // a ring-all call has a leg for every phone that rings
		Registerer: a.registry, Logger: a.log.With("part", "sip"),
	})
	if err != nil {
		return err
	}
	a.onStop("sip", a.sip.Stop)
	return nil
}

func (a *App) buildServers() error {
	c := a.cfg
	var err error
	if err := a.buildPanel(); err != nil {
		return err
	}
	if c.Metrics.Listen != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
		if a.scrape, err = newListener(c.Metrics.Listen, TLSConfig{}, mux, a.log.With("part", "metrics")); err != nil {
			return fmt.Errorf("metrics.listen: %w", err)
		}
		a.onStop("metrics", a.scrape.stop)
	}
	if a.control, err = NewControl(c.DataDir, a.keeper, a, a, a.log.With("part", "control")); err != nil {
		return err
	}
	a.control.accounts, a.control.recordings = a.accounts, a.recordings
	a.onStop("control", a.control.Stop)
	if a.hooks, err = newListener(c.Webhook.Listen, c.Webhook.TLS, a.webhook, a.log.With("part", "webhook")); err != nil {
		return fmt.Errorf("webhook.listen: %w", err)
	}
	return nil
}

// Start recovers from a crash, if there was one, and serves.
func (a *App) Start(ctx context.Context) error {
	if err := a.sip.Start(); err != nil {
		return err
	}
	if !a.late {
		a.recoverCalls(ctx)
	}
	a.startRecordings()
	a.desk.Start()
	a.webhook.Start(ctx)
	a.hooks.start()
	if a.scrape != nil {
		a.scrape.start()
	}
	if a.admin != nil {
		a.admin.Start()
	}
	a.control.Start()
	if a.late {
		a.background.Go(fenced(a.log, func() {
			if a.keeper.readLate(a.life) {
				a.recoverCalls(a.life)
			}
		}))
	}
	a.log.Info("deskbridge is ready", "version", a.opt.Version, "opus", media.OpusVersion(), "sip", a.sip.Addr().String(), "webhook", a.hooks.addr())
	return nil
}

// Stop drains: no new calls; running ones may finish until the drain limit or ctx ends; then everything is closed. More
// than once is harmless.
func (a *App) Stop(ctx context.Context) error {
	a.draining.Store(true)
	limit, cancel := context.WithTimeout(ctx, a.cfg.DrainLimit)
	a.exchange.Drain(limit)
	cancel()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return a.undo(end)
}

func (a *App) undo(ctx context.Context) error {
	var errs []error
	if a.webhook != nil {
		errs = append(errs, a.webhook.Stop(ctx))
	}
	for i := len(a.unwind) - 1; i >= 0; i-- {
		if err := a.unwind[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", a.unwind[i].name, err))
		}
	}
	a.unwind = nil
	return errors.Join(errs...)
}

// Ready implements admin.Health: nil, or why no calls should be sent here.
func (a *App) Ready() error {
	switch {
	case a.draining.Load():
		return errors.New("stopping: running calls may finish, new ones are refused")
	case a.store.Level() >= store.Full:
		return fmt.Errorf("the data disk is %s", a.store.Level())
	}
	return nil
}

// SIPAddr is where SIP is served.
func (a *App) SIPAddr() netip.AddrPort { return a.sip.Addr() }

// WebhookAddr is where Meta's webhooks are taken.
func (a *App) WebhookAddr() string { return a.hooks.addr() }

// AdminAddr is where the panel's API and the probes are served; empty when switched off.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.Addr().String()
}

// MetricsAddr is where Prometheus scrapes; empty when switched off.
func (a *App) MetricsAddr() string {
	if a.scrape == nil {
		return ""
	}
	return a.scrape.addr()
}

// Exchange gives access to the running calls.
func (a *App) Exchange() *bridge.Exchange { return a.exchange }

// Recordings gives access to what was recorded.
func (a *App) Recordings() *Recordings { return a.recordings }

// Store gives access to what survives.
func (a *App) Store() *store.Store { return a.store }

// Registry holds every metric.
func (a *App) Registry() *prometheus.Registry { return a.registry }

// ApplySettings validates, stores and puts in force a settings document.
func (a *App) ApplySettings(ctx context.Context, s *Settings) error { return a.keeper.Apply(ctx, s) }

// Registrations lists the phones registered with us.
func (a *App) Registrations() []sip.Registration { return a.sip.Registrations() }

func optionalAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(s)
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// directory is the store as whatsapp wants it.
type directory struct{ s *store.Store }

func (d directory) Resolve(ctx context.Context, id graph.Identity) (bridge.Customer, error) {
	return d.s.Resolve(ctx, store.Identity{Phone: id.Phone, BSUID: id.BSUID, ParentBSUID: id.ParentBSUID, Username: id.Username, Name: id.Name})
}

// loadHoldMusic reads the WAV file once; nil when there is none.
func loadHoldMusic(path string) (func(media.Stream) func(), error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("media.hold_music: %w", err)
	}
	defer f.Close()
	pcm, rate, err := media.ReadWAV(f)
	if err != nil {
		return nil, fmt.Errorf("media.hold_music: %s: %w; convert it with: sox IN -r 16000 -c 1 -b 16 OUT.wav", path, err)
	}
	return func(dst media.Stream) func() {
		p, err := media.NewPlayer(dst, pcm, rate, true)
		if err != nil {
			return func() {}
		}
		p.Start()
		return p.Stop
	}, nil
}

// diskLevel is told of every change of the data disk's level. It must not block.
func (a *App) diskLevel(l store.Level) {
	if l >= store.Full {
		a.log.Error("the data disk cannot be written: calls go on, free space now", "level", l.String())
	}
	select {
	case a.levels <- struct{}{}:
	default:
	}
}

// Alive is the systemd watchdog's question: it fails only when the process is beyond help. A full or stuck disk is not:
// calls go on.
func (a *App) Alive() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.exchange.Calls() // takes every lock a call's state needs
	}()
	select {
	case <-done:
		return nil
	case <-time.After(5 * time.Second):
		return errors.New("the call exchange does not answer")
	}
}
