package simulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/media"
)

// PhoneConfig describes a desk phone.
type PhoneConfig struct {
	User     string // extension; also the digest user name
	Password string
	Domain   string // of the address of record; empty: the registrar's host
	// Registrar is host:port of the registrar; dialled calls go there too unless the URI names another host and port.
	Registrar string
	Transport string         // "udp" (the default) or "tcp"
	Listen    netip.AddrPort // zero: 127.0.0.1 and a port of the kernel's choice

	Codecs []media.Codec // in order of preference; nil: PCMA, PCMU
	PTime  time.Duration // 0: 20 ms

	Answer PhoneAnswer
	Source PhoneSource

	// What the phone's own line does to the packets it sends.
	Loss   float64       // share of packets dropped, 0–1
	Jitter time.Duration // each packet is delayed by up to this
	Seed   uint64        // of loss and jitter; 0: random

	Expires   time.Duration // of the registration; 0: 60 s
	KeepHeard time.Duration // how much of what it hears a call keeps; 0: 60 s
	Logger    *slog.Logger
}

// PhoneAnswer is what the phone does with a call that comes in. The zero value answers at once.
type PhoneAnswer struct {
	After   time.Duration // rings so long first
	Decline int           // declines with this status (603, 486, 480 …) instead of answering
	Manual  bool          // only rings; PhoneCall.Accept or Decline decides
}

// Phone is a desk phone on real sockets: it registers, answers, dials, holds, sends digits, and keeps what it hears. It
// speaks SIP of its own making, so that a misunderstanding in package sip is not repeated here.
//
// Goroutines: one reader per socket and connection, one per call's audio in and one out, one per request under way. Close
// ends the calls, unregisters, stops and waits for all of them.
type Phone struct {
	cfg  PhoneConfig
	log  *slog.Logger
	tag  string // From tag and instance name
	wire *phoneWire

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	calls  chan *PhoneCall

	mu      sync.Mutex
	byID    map[string]*PhoneCall         // by Call-ID
	pending map[string]chan *msg.Response // client transactions, by branch and method
	served  map[string]*phoneServed       // server transactions, by branch and method
	order   []string                      // of served, oldest first
	bound   bool                          // registered
	regID   string
	closed  bool

	regCSeq atomic.Uint32
}

// maxServed bounds what is remembered of requests already answered, maxPhoneCalls the calls at once.
const (
	maxServed     = 256
	maxPhoneCalls = 512
)

// NewPhone makes a phone and binds its socket.
func NewPhone(cfg PhoneConfig) (*Phone, error) {
	if cfg.User == "" {
		return nil, errors.New("new phone: no user")
	}
	if cfg.Transport == "" {
		cfg.Transport = "udp"
	}
	if !cfg.Listen.Addr().IsValid() {
		cfg.Listen = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), cfg.Listen.Port())
	}
	if len(cfg.Codecs) == 0 {
		cfg.Codecs = []media.Codec{media.PCMA, media.PCMU}
	}
	for d, v := range map[*time.Duration]time.Duration{
		&cfg.PTime: 20 * time.Millisecond, &cfg.Expires: time.Minute, &cfg.KeepHeard: time.Minute,
	} {
		if *d == 0 {
			*d = v
		}
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Domain == "" {
		cfg.Domain, _, _ = net.SplitHostPort(cfg.Registrar)
	}
	p := &Phone{
		cfg: cfg, log: cfg.Logger.With("phone", cfg.User), tag: msg.GenerateTagN(10),
		calls: make(chan *PhoneCall, 16), byID: map[string]*PhoneCall{},
		pending: map[string]chan *msg.Response{}, served: map[string]*phoneServed{},
		regID: msg.GenerateTagN(20),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	var err error
	if p.wire, err = newPhoneWire(p); err != nil {
		p.cancel()
		return nil, fmt.Errorf("new phone %q: %w", cfg.User, err)
	}
	if p.cfg.Domain == "" {
		p.cfg.Domain = p.Addr().Addr().String()
	}
	p.wire.start()
	return p, nil
}

// Addr is where the phone takes SIP.
func (p *Phone) Addr() netip.AddrPort { return p.wire.addr }

// URI is the phone's own address, for others to dial without a registrar.
func (p *Phone) URI() string {
	return fmt.Sprintf("sip:%s@%s;transport=%s", p.cfg.User, p.Addr(), p.cfg.Transport)
}

// Calls gives the calls that come in, each when it begins to ring. Nobody needs to read it.
func (p *Phone) Calls() <-chan *PhoneCall { return p.calls }

// Close hangs up, unregisters and stops the phone.
func (p *Phone) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.wg.Wait()
		return nil
	}
	p.closed = true
	bound := p.bound
	calls := make([]*PhoneCall, 0, len(p.byID))
	for _, c := range p.byID {
		calls = append(calls, c)
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	var hangups sync.WaitGroup
	for _, c := range calls {
		hangups.Go(func() { _ = c.Hangup(ctx) })
	}
	hangups.Wait()
	if bound {
		_ = p.register(ctx, 0)
	}
	cancel()
	p.cancel()
	for _, c := range calls {
		c.end(PhoneEnd{By: "phone closed"})
	}
	err := p.wire.close()
	p.wg.Wait()
	return err
}

// do runs f on a goroutine of the phone's. A bug in it ends that one thing.
func (p *Phone) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.wg.Go(func() {
		defer p.fence()
		f()
	})
}

func (p *Phone) fence() {
	if r := recover(); r != nil {
		p.log.Error("panic in the simulated phone", "panic", r, "stack", string(debug.Stack()))
	}
}
