package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/media"
	"deskbridge/policy"
)

// Attempt is what an Authorizer decides about.
type Attempt struct {
	Call      string
	Direction Direction
	Line      string
	Customer  Customer
	From      string // outbound: the extension that dials
	Peer      string // outbound: where it came from, "phone:1001" or "trunk:pbx"
}

// Authorizer answers whether a call may happen. It may ask Meta; ctx bounds it. Unknown means no. An error (a CauseError
// names the cause) says that the question could not be decided at all: the call is refused, but by nobody's rule.
type Authorizer interface {
	Authorize(ctx context.Context, a Attempt) (policy.Decision, error)
}

// Target is one phone to ring, or the line to call the customer on.
type Target struct {
	Dialer  Dialer
	Name    string // for CDR and logs: "phone:1001", "trunk:pbx/200", "line:main"
	Address string // goes into Invite.Target
}

// Route says who is rung for a call. All targets ring at once; the first to answer wins.
type Route struct {
	Line     string
	LineName string
	Customer Customer
	Stage
	// Next are the stages to try, in order, when nobody of the one before takes the call.
	Next []Stage
	// Refused, when set, names who talks to leg A in the customer's place when policy says no: a menu that explains. Nobody:
	// leg A is refused.
	Refused   func(d policy.Decision) Stage
	Recording RecordingPlan
	// Feature, when set, says that nobody outside is called, so that nothing is to be decided: a feature code was dialled.
	Feature string
}

// Stage is who rings together, and for how long; 0: as long as the caller waits.
type Stage struct {
	Targets     []Target
	RingTimeout time.Duration
	// Early: leg A hears them without being answered, and is refused when they are done.
	Early bool
}

// Router finds the route of an offered call. A cause with a reason refuses the call instead.
type Router interface {
	Route(ctx context.Context, o Offer) (Route, Cause)
}

// Config is what an Exchange needs. Every field but HoldMusic, Ringback, Recorder and Now is required.
type Config struct {
	Router     Router
	Authorizer Authorizer
	Ledger     Ledger
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// MaxCalls is the rated number of calls at once; more are refused with ReasonOverload.
	MaxCalls int
	// HoldMusic starts music towards a stream and returns how to stop it. Nil: silence.
	HoldMusic func(dst media.Stream) (stop func())
	// Ringback plays to a leg A that was answered already while its new other end rings. Nil: silence.
	Ringback func(dst media.Stream) (stop func())
	// Now is the wall clock of records and facts; nil: time.Now. Durations inside a call are the machine's own.
	Now func() time.Time
	// Recorder records calls whose route wants it. Nil: none is.
	Recorder Recorder
}

// Times of a call that are not settings.
const (
	decideTimeout = 8 * time.Second  // policy, routing and Meta's permission answer together (reliability promise 7)
	acceptTimeout = 15 * time.Second // from the winner's answer to leg A's acceptance taking effect
	endTimeout    = 15 * time.Second // legs promise to be gone in 10 s; a leg that is not is a bug we don't wait for
	recordTimeout = 2 * time.Second  // the attempt must be on disk before Meta hears of it
	statsInterval = 5 * time.Second
)

// Exchange runs every call of the appliance.
type Exchange struct {
	cfg     Config
	metrics *metrics
	ledger  *ledgerWriter

	mu       sync.Mutex
	calls    map[string]*call
	draining bool
	idle     chan struct{} // closed and replaced whenever the last call ends
	watchers map[chan struct{}]struct{}
}

var _ Switchboard = (*Exchange)(nil)

// New makes an Exchange. Stop it with Drain, then Close.
func New(cfg Config) *Exchange {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	x := &Exchange{
		cfg: cfg, metrics: newMetrics(cfg.Registerer), calls: map[string]*call{},
		idle: make(chan struct{}), watchers: map[chan struct{}]struct{}{},
	}
	x.ledger = newLedgerWriter(cfg.Ledger, cfg.Logger, x.metrics)
	return x
}

// Offer takes a call that came in and returns its ID. It never fails: a call that cannot be taken is recorded and hung up.
func (x *Exchange) Offer(o Offer) string { return x.take(o, nil) }

func (x *Exchange) take(o Offer, s *Summons) string {
	c := newCall(x, newCallID(time.Now()), o, s)
	var refuse Cause
	x.mu.Lock()
	switch {
	case x.draining:
		refuse = Cause{Fault: FaultUs, Reason: ReasonDrain, Text: "The appliance is being restarted.", RetryAfter: 30 * time.Second}
	case len(x.calls) >= x.cfg.MaxCalls:
		refuse = Cause{Fault: FaultUs, Reason: ReasonOverload, Text: "The appliance is carrying as many calls as it is rated for.", RetryAfter: 30 * time.Second}
	}
	x.calls[c.id] = c
	x.mu.Unlock()
	x.metrics.active.WithLabelValues(string(o.Direction)).Inc()
	if s == nil || refuse.IsZero() { // nobody is summoned for a call that cannot be
		if cause := c.open(); refuse.IsZero() {
			refuse = cause
		}
	}
	go c.run(refuse)
	x.changed()
	return c.id
}

// Summon rings an agent for a call that begins with us, and returns the call's ID. Like Offer it never fails: a phone that
// cannot be rung makes a record of a call that did not happen.
func (x *Exchange) Summon(s Summons) string {
	return x.take(Offer{Direction: Outbound, Line: s.Line, Customer: s.Customer, Dialled: s.Dialled, Peer: s.Peer, From: s.From, Via: s.Via}, &s)
}

// CallInfo is a running call as others may see it.
type CallInfo struct {
	CDR   CDR
	State string
}

// Calls lists the running calls, oldest first.
func (x *Exchange) Calls() []CallInfo {
	x.mu.Lock()
	calls := make([]*call, 0, len(x.calls))
	for _, c := range x.calls {
		calls = append(calls, c)
	}
	x.mu.Unlock()
	out := make([]CallInfo, 0, len(calls))
	for _, c := range calls {
		out = append(out, c.info())
	}
	sort.Slice(out, func(i, j int) bool { return out[i].CDR.ID < out[j].CDR.ID })
	return out
}

// Hangup ends one call for an operator. It reports whether there was such a call.
func (x *Exchange) Hangup(id string, cause Cause) bool {
	x.mu.Lock()
	c := x.calls[id]
	x.mu.Unlock()
	if c == nil {
		return false
	}
	c.post(message{in: inHangup, cause: cause})
	return true
}

// ToggleRecording begins, pauses or resumes the recording of a call, as the agent's keys do. It reports whether there is such
// a call.
func (x *Exchange) ToggleRecording(id string) bool {
	x.mu.Lock()
	c := x.calls[id]
	x.mu.Unlock()
	if c == nil {
		return false
	}
	c.post(message{do: func() {
		if c.state == stateTalking || c.state == stateHeld {
			c.toggleRecording()
		}
	}})
	return true
}

// Watch returns a channel that gets a value after calls changed (coalesced), and a function to stop watching.
func (x *Exchange) Watch() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	x.mu.Lock()
	x.watchers[ch] = struct{}{}
	x.mu.Unlock()
	return ch, func() {
		x.mu.Lock()
		delete(x.watchers, ch)
		x.mu.Unlock()
	}
}

func (x *Exchange) changed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for ch := range x.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Drain stops new calls, waits for the running ones until ctx ends, hangs the rest up with ReasonDrain and waits for
// them to end. It may be called again.
func (x *Exchange) Drain(ctx context.Context) {
	x.mu.Lock()
	x.draining = true
	n := len(x.calls)
	x.mu.Unlock()
	if n > 0 {
		x.cfg.Logger.Info("waiting for calls to end", "calls", n)
	}
	if !x.waitIdle(ctx) {
		x.mu.Lock()
		for _, c := range x.calls {
			c.post(message{in: inHangup, cause: Cause{Fault: FaultUs, Reason: ReasonDrain}})
		}
		x.mu.Unlock()
		// A call ends within endTimeout whatever its legs do.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout+recordTimeout)
		x.waitIdle(end)
		cancel()
	}
}

// Close writes the facts still queued. Call it after Drain, when nobody offers calls any more: their facts would be lost.
func (x *Exchange) Close() { x.ledger.close() }

func (x *Exchange) waitIdle(ctx context.Context) bool {
	for {
		x.mu.Lock()
		n, idle := len(x.calls), x.idle
		x.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return false
		}
	}
}

func (x *Exchange) remove(c *call) {
	x.mu.Lock()
	delete(x.calls, c.id)
	if len(x.calls) == 0 {
		close(x.idle)
		x.idle = make(chan struct{})
	}
	x.mu.Unlock()
	x.metrics.active.WithLabelValues(string(c.offer.Direction)).Dec()
	x.changed()
}

var idAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newCallID makes a call ID that sorts by time: 48 bits of milliseconds, 72 random bits, base32 (24 characters).
func newCallID(now time.Time) string {
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:])
	return idAlphabet.EncodeToString(b[:])
}

// FirstCallID is the smallest ID that a call begun at t, or later, can have.
func FirstCallID(t time.Time) string {
	var b [15]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.UnixMilli())<<16)
	return idAlphabet.EncodeToString(b[:])
}
