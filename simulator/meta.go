package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Number is one business number at Meta.
type Number struct {
	PhoneNumberID string
	WABA          string
	DisplayNumber string // digits
	AppID         string
	AppSecret     string
	Token         string
	Name          string   // verified name
	Scopes        []string // of the token; default both WhatsApp scopes

	Disabled           bool     // calling is switched off: 138000
	CallbackPermission bool     // callback_permission_status ENABLED
	Codecs             []string // audio.additional_codecs
	SIPMode            bool     // 131055
	OutboundBarred     bool     // the number's country may not call out: 138013
	NoPayment          bool     // 131044
	LowTier            bool     // messaging limit below 2 000: 138015
	Unsubscribed       bool     // no app takes the calls field: 138018
	Test               bool     // test number: relaxed limits and an allow list
	AllowList          []string // test number: digits that may be reached
}

// MetaConfig says which Meta to play. Only Numbers is needed.
type MetaConfig struct {
	Listen      string // default 127.0.0.1:0
	Numbers     []Number
	Templates   []Template // what the WABAs hold at the start
	WebhookURL  string
	VerifyToken string
	WebhookTLS  *tls.Config
	Timing      Timing
	Clock       *Clock
	Logger      *slog.Logger
	Seed        uint64
	// MediaIP is where customers' media lives; default 127.0.0.1.
	MediaIP netip.Addr
	// SharedMediaPort puts all customers behind one address and port, as Meta's relays do.
	SharedMediaPort bool
	Delivery        Delivery
	// SDPRulesOff switches validator rules off.
	SDPRulesOff []SDPRule
	// PermissionQPS limits GET call_permissions per number (613); default 100, the documentation also says 5.
	PermissionQPS int
	// MaxConcurrent calls per number (138002), default 1000; MaxAttempts outbound per number and day (138005), default 10000.
	MaxConcurrent int
	MaxAttempts   int
	// RequireProof makes appsecret_proof mandatory.
	RequireProof bool
	// LiveCalls feeds the browser page's list of calls; nil hides it.
	LiveCalls func() []LiveCall
}

// Meta is the simulated platform.
type Meta struct {
	cfg    MetaConfig
	timing Timing
	clock  *Clock
	log    *slog.Logger
	ln     net.Listener
	srv    *http.Server
	client *http.Client
	relay  *relay // shared media port, or nil

	ctx    context.Context // life of everything the simulator runs
	cancel context.CancelFunc
	wg     sync.WaitGroup
	panics atomic.Int64

	mu          sync.Mutex
	closed      bool
	rnd         *rand.Rand
	numbers     map[string]*number
	customers   map[string]*Customer // by phone and by BSUID
	calls       map[string]*call     // live
	past        map[string]struct{}  // IDs of ended calls
	pastOrder   []string
	permissions map[pairKey]*permission
	delivery    Delivery
	faults      []*fault
	templates   []*Template // of all WABAs, oldest first
	templateSeq int64
	requests    []Request
	deliveries  []Delivered
	browsers    map[string]*browser
	idSeq       uint64
}

// NewMeta binds the listener; nothing is served before Start.
func NewMeta(cfg MetaConfig) (*Meta, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m := &Meta{
		cfg: cfg, timing: cfg.Timing, clock: cfg.Clock, log: cfg.Logger, delivery: cfg.Delivery,
		rnd:     rand.New(rand.NewPCG(cfg.Seed, 0x6d657461)),
		numbers: map[string]*number{}, customers: map[string]*Customer{}, calls: map[string]*call{},
		past: map[string]struct{}{}, permissions: map[pairKey]*permission{}, browsers: map[string]*browser{},
	}
	for _, n := range cfg.Numbers {
		if _, dup := m.numbers[n.PhoneNumberID]; dup || n.PhoneNumberID == "" {
			return nil, fmt.Errorf("simulated number %q: empty or repeated phone number ID", n.PhoneNumberID)
		}
		m.numbers[n.PhoneNumberID] = newNumber(n)
	}
	for _, t := range cfg.Templates {
		if err := m.seedTemplate(t); err != nil {
			return nil, err
		}
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		m.cancel()
		return nil, fmt.Errorf("listen for the simulated Graph API: %w", err)
	}
	m.ln = ln
	if cfg.SharedMediaPort {
		if m.relay, err = newRelay(cfg.MediaIP); err != nil {
			m.cancel()
			return nil, errors.Join(err, ln.Close())
		}
	}
	m.client = &http.Client{
		Timeout:       m.timing.WebhookTimeout,
		Transport:     &http.Transport{TLSClientConfig: cfg.WebhookTLS, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	m.srv = &http.Server{
		Handler: m.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return m.ctx },
		ErrorLog:    slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
	}
	return m, nil
}

func (cfg *MetaConfig) defaults() error {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if !cfg.MediaIP.IsValid() {
		cfg.MediaIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if cfg.MediaIP.IsUnspecified() {
		return fmt.Errorf("simulated media address %s: must be one address of this machine", cfg.MediaIP)
	}
	if cfg.Timing.WebhookTimeout == 0 {
		cfg.Timing = DefaultTiming()
	}
	if cfg.Clock == nil {
		cfg.Clock = &Clock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PermissionQPS == 0 {
		cfg.PermissionQPS = 100
	}
	if cfg.MaxConcurrent == 0 {
		cfg.MaxConcurrent = 1000
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 10000
	}
	return nil
}

// Start serves until Close.
func (m *Meta) Start() {
	m.spawn("http server", func() {
		if err := m.srv.Serve(m.ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("simulated Graph API stopped", "err", err)
		}
	})
}

// Close ends every call without ceremony, stops everything and waits.
func (m *Meta) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	err := errors.Join(m.srv.Close(), ignoreClosed(m.ln.Close()))
	m.wg.Wait()
	m.client.CloseIdleConnections()
	if m.relay != nil {
		err = errors.Join(err, m.relay.close())
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// URL is the Graph base URL and the address of the browser page, without a trailing slash.
func (m *Meta) URL() string { return "http://" + m.ln.Addr().String() }

// Clock returns the simulated clock.
func (m *Meta) Clock() *Clock { return m.clock }

// Panics counts panics caught in the simulator's goroutines; a test expects zero.
func (m *Meta) Panics() int64 { return m.panics.Load() }

// SetWebhookURL points the webhooks somewhere else.
func (m *Meta) SetWebhookURL(url string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg.WebhookURL = url
}

// SetDelivery changes how webhooks are delivered from now on.
func (m *Meta) SetDelivery(d Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delivery = d
}

// SetLiveCalls gives the browser page its list of calls.
func (m *Meta) SetLiveCalls(f func() []LiveCall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cfg.LiveCalls = f
}

// spawn runs f in a goroutine that Close waits for. It refuses after Close began.
func (m *Meta) spawn(what string, f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		defer m.fence(what)
		f()
	}()
	return true
}

// fence keeps a bug in one goroutine from ending the process it is embedded in.
func (m *Meta) fence(what string) {
	if v := recover(); v != nil {
		m.panics.Add(1)
		m.log.Error("simulator goroutine panicked", "what", what, "panic", v, "stack", string(debug.Stack()))
	}
}

// between returns a random duration of [lo, hi].
func (m *Meta) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return lo + time.Duration(m.rnd.Int64N(int64(hi-lo)+1))
}

func (m *Meta) newID(prefix string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idSeq++
	return fmt.Sprintf("%s%06X%016X", prefix, m.idSeq, m.rnd.Uint64())
}

// sleep waits for d or the end of ctx and says whether it waited in full.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
