package sip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// Endpoint is the SIP side of the appliance: its listeners, trunks, registrar and legs.
type Endpoint struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	limits  *sourceLimits
	lines   *lineLimit

	ua    *sipgo.UserAgent
	srv   *sipgo.Server
	udp   []*udpSocket
	tcp   []*tcpListener
	media *mediaEngine

	digest    *digestServer
	registrar *registrar
	legs      *legTable

	timerT1 time.Duration // tests shorten it; zero is 500 ms

	applyMu sync.Mutex // one Apply at a time
	view    atomic.Pointer[view]

	ctx    context.Context // the life of everything the endpoint starts
	cancel context.CancelFunc
	life   sync.Mutex
	open   bool // false once Stop began: nothing new starts
	served bool
	sendMu sync.RWMutex   // held while a message leaves, and by Stop before it closes the sockets
	wg     sync.WaitGroup // listeners, trunks, handlers, branches
	legWG  sync.WaitGroup
}

// view is the settings in force, swapped as a whole.
type view struct {
	trunks []*Trunk
	byName map[string]*Trunk
	phones map[string]*Phone
}

// New builds the endpoint and binds its sockets; Start serves them.
func New(cfg Config) (*Endpoint, error) {
	cfg = cfg.withDefaults()
	if cfg.Switchboard == nil {
		return nil, errors.New("sip endpoint: no switchboard")
	}
	e := &Endpoint{
		cfg: cfg, log: cfg.Logger, limits: newSourceLimits(), lines: newLineLimit(),
		digest: newDigestServer(cfg.Realm), legs: newLegTable(), open: true,
	}
	e.view.Store(&view{byName: map[string]*Trunk{}, phones: map[string]*Phone{}})
	e.metrics = newMetrics(cfg.Registerer)
	e.registrar = newRegistrar(func(n int) { e.metrics.registrations.Set(float64(n)) })
	e.ctx, e.cancel = context.WithCancel(context.Background()) //nolint:gocritic // ended by Stop
	if err := e.bind(); err != nil {
		e.closeSockets()
		e.cancel()
		return nil, err
	}
	return e, nil
}

// bind does all of New that can fail.
func (e *Endpoint) bind() error {
	for _, a := range e.cfg.UDP {
		s, err := listenUDP(a)
		if err != nil {
			return fmt.Errorf("listen on udp %s: %w", a, err)
		}
		e.udp = append(e.udp, s)
	}
	for _, a := range e.cfg.TCP {
		l, err := listenTCP(e, a)
		if err != nil {
			return fmt.Errorf("listen on tcp %s: %w", a, err)
		}
		e.tcp = append(e.tcp, l)
	}
	if len(e.udp)+len(e.tcp) == 0 {
		return errors.New("sip endpoint: no listen address")
	}
	libraryOut.Store(e.log)
	var err error
	if e.ua, err = e.newUserAgent(); err != nil {
		return fmt.Errorf("sip user agent: %w", err)
	}
	if e.srv, err = sipgo.NewServer(e.ua, sipgo.WithServerLogger(newLibraryLogger())); err != nil {
		return fmt.Errorf("sip server: %w", err)
	}
	e.routes()
	mc := e.cfg.Media
	if mc.Logger == nil {
		mc.Logger = e.log
	}
	if mc.Registerer == nil {
		mc.Registerer = e.cfg.Registerer
	}
	if e.media, err = newMediaEngine(mc); err != nil {
		return fmt.Errorf("sip media: %w", err)
	}
	return nil
}

// Start serves the listeners.
func (e *Endpoint) Start() error {
	e.life.Lock()
	defer e.life.Unlock()
	if !e.open || e.served {
		return errors.New("sip endpoint: started or stopped before")
	}
	e.served = true
	for _, s := range e.udp {
		e.serve("udp", func() error { return e.srv.ServeUDP(s) })
	}
	for _, l := range e.tcp {
		e.serve("tcp", func() error { return e.srv.ServeTCP(l) })
	}
	for _, s := range e.udp {
		e.await(s)
	}
	e.wg.Go(func() { e.registrar.expire(e.ctx, e.cfg.Now) })
	e.wg.Go(e.keepAlive)
	return nil
}

// serve keeps one listener going: its return is a fault unless we are stopping. A panic of the parser ends here too.
func (e *Endpoint) serve(transport string, run func() error) {
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		for e.ctx.Err() == nil {
			func() {
				defer e.fence("listener " + transport)
				_ = run()
			}()
			if e.ctx.Err() != nil {
				return
			}
			e.metrics.restarts.WithLabelValues(transport).Inc()
			select { // never spin, whatever made it return
			case <-e.ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
}

// await waits until sipgo knows a listener: at the start, and for the moment a recycled one is gone. Requests leave through
// the listeners; without them sipgo would open a socket of its own.
func (e *Endpoint) await(s *udpSocket) {
	for n := 0; e.pooled(s) == nil && n < 100 && e.ctx.Err() == nil; n++ {
		time.Sleep(time.Millisecond) //nolint:forbidigo // sipgo tells nobody; at most 100 ms, once per listener
	}
}

// pooled is a listener as sipgo's pool knows it, nil before ServeUDP got there.
func (e *Endpoint) pooled(s *udpSocket) msg.Connection {
	c, err := e.ua.TransportLayer().GetConnection("udp", s.LocalAddr().String())
	if err != nil {
		return nil
	}
	_, _ = c.TryClose()
	return c
}

// UDPAddr is the first UDP listener's address, zero without one.
func (e *Endpoint) UDPAddr() netip.AddrPort {
	if len(e.udp) == 0 {
		return netip.AddrPort{}
	}
	return e.udp[0].addr()
}

// TCPAddr is the first TCP listener's address, zero without one.
func (e *Endpoint) TCPAddr() netip.AddrPort {
	if len(e.tcp) == 0 {
		return netip.AddrPort{}
	}
	return addrPortOf(e.tcp[0].Addr())
}

// Addr is where SIP is served: UDP if there is any, else TCP.
func (e *Endpoint) Addr() netip.AddrPort {
	if a := e.UDPAddr(); a.IsValid() {
		return a
	}
	return e.TCPAddr()
}

// Stop refuses new calls, hangs up the ones left (cause drain), unregisters from trunks and closes the sockets, all
// before ctx ends. More than once is harmless.
func (e *Endpoint) Stop(ctx context.Context) error {
	e.life.Lock()
	first := e.open
	e.open = false
	e.life.Unlock()
	if first {
		e.legs.each(func(l *Leg) { l.Hangup(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonDrain}) })
		waitFor(ctx, &e.legWG)
		e.stopTrunks(ctx)
		e.settle(ctx)
		e.sendMu.Lock()
		e.cancel()
		e.sendMu.Unlock()
		e.closeSockets()
	}
	if !waitFor(ctx, &e.wg) {
		return fmt.Errorf("stop sip endpoint: %w", ctx.Err())
	}
	_ = e.ua.Close() // what sipgo opened to answer a request that was being read when the sockets closed
	return nil
}

// settle lets BYEs and CANCELs under way be answered, for a second at most: the far end should not be left ringing.
func (e *Endpoint) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	e.legs.settled(ctx)
}

func (e *Endpoint) closeSockets() {
	if e.ua != nil {
		_ = e.ua.Close()
	}
	for _, s := range e.udp {
		_ = s.Close()
	}
	for _, l := range e.tcp {
		_ = l.Close()
	}
	if e.media != nil {
		e.media.Close()
	}
}

// waitFor waits for wg or ctx. The goroutine ends with wg, which the caller has told to end.
func waitFor(ctx context.Context, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter registers work of a goroutine the endpoint does not start itself. False: we are stopped.
func (e *Endpoint) enter() bool {
	e.life.Lock()
	defer e.life.Unlock()
	if e.ctx.Err() != nil {
		return false
	}
	e.wg.Add(1)
	return true
}

// spawn runs f in a goroutine Stop waits for.
func (e *Endpoint) spawn(name string, f func()) bool {
	if !e.enter() {
		return false
	}
	go func() {
		defer e.wg.Done()
		defer e.fence(name)
		f()
	}()
	return true
}

// fence turns a panic into a log line and a count. Deferred first in every goroutine and handler.
func (e *Endpoint) fence(where string) {
	if r := recover(); r != nil {
		e.metrics.panics.Inc()
		e.log.Error("panic in SIP", "where", where, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	}
}

// classify says how well we know an address.
func (e *Endpoint) classify(a netip.Addr) sourceClass {
	if e.trunkAt(netip.AddrPortFrom(a, 0)) != nil {
		return sourceTrunk
	}
	if e.registrar.knows(a) {
		return sourcePhone
	}
	return sourceUnknown
}

// trunkAt finds the trunk a request came from: the one resolved to exactly this address and port, else the first whose
// networks contain it.
func (e *Endpoint) trunkAt(src netip.AddrPort) *Trunk {
	var found *Trunk
	for _, t := range e.view.Load().trunks {
		if !t.contains(src.Addr()) {
			continue
		}
		if t.resolvedTo(src) {
			return t
		}
		if found == nil {
			found = t
		}
	}
	return found
}

// Trunk returns a trunk in force.
func (e *Endpoint) Trunk(name string) (*Trunk, bool) {
	t, ok := e.view.Load().byName[name]
	return t, ok
}

// Phone returns a phone in force.
func (e *Endpoint) Phone(user string) (*Phone, bool) {
	p, ok := e.view.Load().phones[user]
	return p, ok
}

// Trunks describes every trunk.
func (e *Endpoint) Trunks() []TrunkStatus {
	v := e.view.Load()
	out := make([]TrunkStatus, 0, len(v.trunks))
	for _, t := range v.trunks {
		out = append(out, t.Status())
	}
	return out
}

// Registrations lists the contacts registered with us.
func (e *Endpoint) Registrations() []Registration { return e.registrar.list() }

// newUserAgent configures sipgo: our filter, our limits, no DNS, no dialling but to trunks.
func (e *Endpoint) newUserAgent() (*sipgo.UserAgent, error) {
	l := newLibraryLogger()
	tcp := &msg.TransportTCP{ReadTimeout: trustedIdle, WriteTimeout: tcpWriteTime, DialerCreate: e.dialer}
	return sipgo.NewUA(
		sipgo.WithUserAgent(e.cfg.UserAgent),
		sipgo.WithUserAgentParser(msg.NewParser(func(p *msg.Parser) { p.MaxMessageLength = maxTCPMessage })),
		sipgo.WithUserAgentDNSResolver(noDNS),
		sipgo.WithUserAgentTransportLayerOptions(
			msg.WithTransportLayerLogger(l),
			msg.WithTransportLayerReadFilter(e.filter),
			msg.WithTransportLayerTransports(msg.TransportsConfig{TCP: tcp}),
		),
		sipgo.WithUserAgentTransactionLayerOptions(
			msg.WithTransactionLayerLogger(l),
			msg.WithTransactionLayerUnhandledResponseHandler(func(*msg.Response) {
				e.metrics.refused.WithLabelValues("stray_response").Inc()
			}),
		),
	)
}
