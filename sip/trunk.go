package sip

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// A PBX that dies is noticed within 10 s (reliability.md, promise 8): one ping lost with all its retransmissions.
const (
	pingEvery   = 5 * time.Second
	pingTimeout = 4 * time.Second
	resolveTTL  = time.Minute
)

// Trunk is a link to a PBX or provider in force. It dials extensions behind it.
type Trunk struct {
	e       *Endpoint
	cfg     TrunkConfig
	pattern pattern

	targets atomic.Pointer[[]netip.AddrPort]
	cancel  context.CancelFunc
	done    sync.WaitGroup

	// creds answers the trunk's challenges; nil without a password.
	creds *credentials

	mu         sync.Mutex
	resolved   time.Time
	answers    trunkAnswer
	rtt        time.Duration
	registered bool
	lastErr    string
	since      time.Time
}

var _ bridge.Dialer = (*Trunk)(nil)

type trunkAnswer uint8

const (
	answerUnknown trunkAnswer = iota // not asked yet
	answerYes
	answerNo
)

// errNoHost is for a trunk that only calls us.
var errNoHost = errors.New("the trunk has no host to call")

// TrunkStatus is a trunk as operators see it.
type TrunkStatus struct {
	Name       string        `json:"name"`
	Up         bool          `json:"up"`
	Registered bool          `json:"registered"`
	RTT        time.Duration `json:"rtt"` // of the last ping, 0 while unknown
	Error      string        `json:"error,omitempty"`
	Since      time.Time     `json:"since,omitzero"` // of the last change
}

func newTrunk(e *Endpoint, c TrunkConfig) *Trunk {
	t := &Trunk{e: e, cfg: c, pattern: parsePattern(c.DialPattern)}
	if c.Password != "" && c.AuthUser != "" {
		t.creds = &credentials{user: c.AuthUser, password: c.Password}
	}
	if a, err := netip.ParseAddr(c.Host); err == nil { // known from the first packet on
		t.targets.Store(&[]netip.AddrPort{netip.AddrPortFrom(a.Unmap(), defaultPort(c.Port))})
	}
	return t
}

func (t *Trunk) start() {
	ctx, cancel := context.WithCancel(t.e.ctx)
	t.cancel = cancel
	run := func(name string, f func(context.Context)) {
		t.done.Add(1)
		if !t.e.spawn(name, func() { defer t.done.Done(); f(ctx) }) {
			t.done.Done()
		}
	}
	t.report()
	if t.cfg.Host == "" {
		return // nowhere to ask
	}
	run("trunk ping", t.ping)
	if t.cfg.Register {
		run("trunk registration", t.register)
	}
}

// stop ends the trunk's loops; the registration loop takes itself back at the registrar, within two seconds.
func (t *Trunk) stop(ctx context.Context) {
	if t.cancel != nil {
		t.cancel()
	}
	waitFor(ctx, &t.done)
}

// addrs returns the addresses to try, resolving them when they are old. An old answer beats none.
func (t *Trunk) addrs(ctx context.Context) ([]netip.AddrPort, error) {
	t.mu.Lock()
	fresh := time.Since(t.resolved) < resolveTTL
	t.mu.Unlock()
	if p := t.targets.Load(); p != nil && fresh {
		return *p, nil
	}
	if t.cfg.Host == "" {
		return nil, errNoHost
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	a, err := resolve(ctx, t.e.cfg.Resolver, t.cfg.Host, t.cfg.Port, t.cfg.Transport)
	if err != nil {
		if p := t.targets.Load(); p != nil {
			return *p, nil
		}
		return nil, err
	}
	t.targets.Store(&a)
	t.mu.Lock()
	t.resolved = time.Now()
	t.mu.Unlock()
	return a, nil
}

func (t *Trunk) flows(ctx context.Context) ([]flow, error) {
	a, err := t.addrs(ctx)
	if err != nil {
		return nil, err
	}
	f := make([]flow, len(a))
	for i := range a {
		f[i] = flow{transport: strings.ToUpper(t.cfg.Transport), addr: a[i]}
	}
	return f, nil
}

func (t *Trunk) resolvedTo(a netip.AddrPort) bool {
	p := t.targets.Load()
	return p != nil && slices.Contains(*p, a)
}

// contains tells whether requests from a are this trunk's.
func (t *Trunk) contains(a netip.Addr) bool {
	if len(t.cfg.Addresses) > 0 {
		return slices.ContainsFunc(t.cfg.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	p := t.targets.Load()
	return p != nil && slices.ContainsFunc(*p, func(x netip.AddrPort) bool { return x.Addr() == a })
}

// networks are the addresses media of this trunk may come from.
func (t *Trunk) networks() []netip.Prefix { return t.cfg.Addresses }

// ping asks the trunk every few seconds whether it is there, and keeps its addresses fresh.
func (t *Trunk) ping(ctx context.Context) {
	for ctx.Err() == nil {
		if t.cfg.NoPing {
			_, _ = t.addrs(ctx)
		} else {
			t.pingOnce(ctx)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pingEvery - time.Duration(rand.Int64N(int64(time.Second)))):
		}
	}
}

// pingOnce asks the addresses in order until one answers.
func (t *Trunk) pingOnce(ctx context.Context) {
	all, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	flows, err := t.flows(all)
	why := ""
	if err != nil {
		why = err.Error()
	}
	for _, f := range flows {
		one, cancel := context.WithTimeout(all, pingTimeout/time.Duration(len(flows)))
		begin := time.Now()
		res, err := t.e.do(one, t.options(f), f)
		cancel()
		switch {
		case err != nil:
			why = "no answer to OPTIONS"
		case res.StatusCode == 503:
			why = "503 to OPTIONS"
		default: // any other answer, even 404, says that somebody is there (RFC 3261 §11)
			t.answered(answerYes, time.Since(begin), "")
			return
		}
	}
	if ctx.Err() == nil { // else the trunk is no longer in force: neither up nor down
		t.answered(answerNo, 0, why)
	}
}

func (t *Trunk) options(f flow) *msg.Request {
	uri := msg.Uri{Scheme: "sip", Host: uriHostText(t.cfg.Host), Port: t.cfg.Port}
	return t.e.options(uri, t.ourUser(), f)
}

func (t *Trunk) ourUser() string {
	if t.cfg.Username != "" {
		return t.cfg.Username
	}
	return "deskbridge"
}

func uriHostText(h string) string {
	if a, err := netip.ParseAddr(h); err == nil {
		return uriHost(a)
	}
	return h
}

func (t *Trunk) answered(a trunkAnswer, rtt time.Duration, why string) {
	t.change(func() { t.answers, t.rtt, t.lastErr = a, rtt, why })
}

// change updates the state and tells the log and the metrics what became of it.
func (t *Trunk) change(f func()) {
	t.mu.Lock()
	before := t.up()
	first := t.since.IsZero()
	f()
	after, why := t.up(), t.lastErr
	if before != after || first {
		t.since = t.e.cfg.Now()
	}
	t.mu.Unlock()
	t.report()
	switch {
	case after && (!before || first):
		t.e.log.Info("trunk is up", "peer", t.cfg.Name)
	case !after && (before || first && why != ""): // at first nothing is known yet
		t.e.log.Warn("trunk is down: check the PBX and the network to it", "peer", t.cfg.Name, "err", cleanText(why, 120))
	}
}

// up is called with mu held. A trunk not asked yet counts as up: the first call must not wait for the first ping.
func (t *Trunk) up() bool {
	return t.answers != answerNo && (!t.cfg.Register || t.registered)
}

// usable tells whether a call may be tried. A trunk waiting for its first registration may be.
func (t *Trunk) usable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answers != answerNo
}

func (t *Trunk) report() {
	s := t.Status()
	up := 0.0
	if s.Up {
		up = 1
	}
	t.e.metrics.trunkUp.WithLabelValues(s.Name).Set(up)
	t.e.metrics.trunkRTT.WithLabelValues(s.Name).Set(s.RTT.Seconds())
}

// Status describes the trunk now.
func (t *Trunk) Status() TrunkStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	return TrunkStatus{
		Name: t.cfg.Name, Up: t.up(), Registered: t.registered, RTT: t.rtt, Error: t.lastErr, Since: t.since,
	}
}
