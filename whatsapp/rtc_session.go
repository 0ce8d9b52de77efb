package whatsapp

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/media"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"golang.org/x/time/rate"
)

// mediaSession is the media of one call with a WhatsApp customer: one socket, one ICE agent, one DTLS association, one
// SRTP stream each way. Its goroutines are run (which owns the course of things), readAgent, drainDTLS and those of the
// libraries; Close ends and awaits them.
type mediaSession struct {
	f     *mediaFactory
	h     mediaHandlers
	log   *slog.Logger
	port  uint16
	socks []*socket
	cert  tls.Certificate
	print fingerprint

	ufrag, pwd string
	ssrc       uint32
	id         uint64

	mu       sync.Mutex // the signalling: everything down to started
	offered  bool
	local    string // our SDP
	remote   *remoteSDP
	addrs    []netip.AddrPort // our address on each socket
	started  bool
	begun    bool // run is running
	closing  bool
	outbound bool

	// Set before run starts, constant afterwards.
	dtlsClient, controlling bool
	agent                   *ice.Agent
	dtlsIn                  *dtlsPipe
	tx                      *sender
	rx                      *receiver

	ice  atomic.Pointer[ice.Conn]
	dtls atomic.Pointer[dtls.Conn]
	peer atomic.Pointer[netip.AddrPort] // the selected remote address

	checkedMu    sync.Mutex
	checkedAddrs atomic.Pointer[[]netip.AddrPort] // remote addresses whose checks were good
	up           atomic.Bool
	nudges       atomic.Int32

	stunKnown, stunOther, dtlsRate *rate.Limiter

	ctx           context.Context // the life of the session
	cancel        context.CancelFunc
	wg            sync.WaitGroup
	runDone       chan struct{}
	inHandler     atomic.Bool
	connected     chan struct{}
	connectedOnce sync.Once
	failed        chan error
	digits        chan media.Digit
	dtlsGone      chan struct{}
	closeOnce     sync.Once
}

func newMediaSession(f *mediaFactory, h mediaHandlers) (*mediaSession, error) {
	cert, print, err := newCertificate(time.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	var random [12]byte
	if _, err = rand.Read(random[:]); err != nil {
		return nil, err
	}
	s := &mediaSession{
		f: f, h: h, log: cmp.Or(h.Logger, f.log), cert: cert, print: print,
		// 130 bits each; RFC 8445 §5.3 wants 24 for the fragment and 128 for the password.
		ufrag: rand.Text()[:8], pwd: rand.Text(),
		ssrc: binary.BigEndian.Uint32(random[:]) | 1, id: binary.BigEndian.Uint64(random[4:]) >> 2,
		stunKnown: rate.NewLimiter(400, 400), stunOther: rate.NewLimiter(50, 50), dtlsRate: rate.NewLimiter(100, 100),
		runDone: make(chan struct{}), connected: make(chan struct{}), failed: make(chan error, 1),
		digits: make(chan media.Digit, 32), dtlsGone: make(chan struct{}),
	}
	s.dtlsIn = newDTLSPipe(s.ice.Load)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.tx, s.rx = newSender(s), newReceiver(s)
	if err = s.bind(); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// bind takes a port and binds it for IPv4 and, when wanted and possible, IPv6.
func (s *mediaSession) bind() error {
	var want []netip.Addr
	switch ip := s.f.cfg.IP; {
	case ip.IsValid():
		want = []netip.Addr{ip}
	default:
		want = []netip.Addr{netip.IPv4Unspecified()}
	}
	if s.f.cfg.IPv6 && want[0].Is4() {
		if _, ok := localFor(true, nil); ok {
			want = append(want, netip.IPv6Unspecified())
		}
	}
	conns, port, err := s.f.ports.listen(want)
	if err != nil {
		return err
	}
	s.port = port
	for _, c := range conns {
		s.socks = append(s.socks, &socket{s: s, conn: c})
	}
	return nil
}

// setAddresses decides what to call ourselves, once it is known whom we talk to, if ever.
func (s *mediaSession) setAddresses(remote []remoteCandidate) error {
	s.addrs = nil
	for _, k := range s.socks {
		a := localAddrPort(k.conn)
		ip := a.Addr().Unmap()
		if ip.IsUnspecified() {
			var ok bool
			if ip, ok = localFor(ip.Is6(), remote); !ok {
				return fmt.Errorf("no local address for %s", a)
			}
		}
		s.addrs = append(s.addrs, netip.AddrPortFrom(ip, a.Port()))
	}
	return nil
}

// describe fills in what our offer and our answer have in common.
func (s *mediaSession) describe() localSDP {
	l := localSDP{session: s.id, addr: s.addrs[0], extra: s.addrs[1:], ufrag: s.ufrag, pwd: s.pwd,
		fingerprint: s.print, ssrc: s.ssrc, direction: "sendrecv"}
	if p := s.f.cfg.PublicIP; p.IsValid() {
		l.addr = netip.AddrPortFrom(p, l.addr.Port())
	}
	return l
}

var (
	errMediaState = errors.New("media: SDP out of turn")
	errMediaOver  = errors.New("media: session is closed")
)

// Offer returns our offer (reference/meta-media-sdp.md §8.3); the same one however often it is called.
func (s *mediaSession) Offer() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return "", errMediaOver
	case s.offered:
		return s.local, nil
	case s.local != "":
		return "", fmt.Errorf("%w: offer after an answer", errMediaState)
	}
	if err := s.setAddresses(nil); err != nil {
		return "", err
	}
	l := s.describe()
	l.setup = setupRole(s.f.cfg.OutboundSetup)
	l.opus, l.dtmf, l.digit = offerOpus, offerDTMF, true
	l.sections = []sdpSection{{media: "audio", proto: "UDP/TLS/RTP/SAVPF", mid: "0", hasMID: true}}
	l.bundled = true
	s.offered, s.outbound, s.local = true, true, l.String()
	return s.local, nil
}

// Answer returns our answer to the offer of an inbound call (§8.2). pre_accept and accept must carry the same bytes, so
// once made it is what every further call returns.
func (s *mediaSession) Answer(offer string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return "", errMediaOver
	case s.offered:
		return "", fmt.Errorf("%w: answer after an offer", errMediaState)
	case s.local != "":
		return s.local, nil
	}
	r, err := parseSDP(offer)
	if err != nil {
		return "", fmt.Errorf("offer: %w", err)
	}
	if err = s.setAddresses(r.candidates); err != nil {
		return "", err
	}
	l := s.describe()
	// Meta wants us to be the DTLS client (§2). Only to an offerer who insists on that role are we the server.
	l.setup = setupActive
	if r.setup == setupActive {
		l.setup = setupPassive
	}
	l.opus, l.dtmf, l.digit = r.opus, r.dtmf, r.digit
	l.sections, l.audio, l.bundled, l.direction = r.sections, r.audio, r.bundled, answerDirection(r.direction)
	s.local = l.String()
	s.dtlsClient = l.setup == setupActive
	// RFC 8445 §6.1.1: the full agent controls a lite one; between two full ones the offerer does.
	s.controlling = r.iceLite
	s.setRemote(r)
	return s.local, nil
}

// ApplyAnswer takes the answer to our offer (§8.4).
func (s *mediaSession) ApplyAnswer(answer string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return errMediaOver
	case !s.offered || s.remote != nil:
		return fmt.Errorf("%w: an answer nobody waits for", errMediaState)
	}
	r, err := parseSDP(answer)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if r.audio != 0 {
		return fmt.Errorf("answer: %w: audio is section %d of an offer with one", ErrSDPSyntax, r.audio+1)
	}
	s.dtlsClient = r.setup == setupPassive
	// An actpass that leaked from an offer into the answer means active, Meta's normal answer (§3). But if we offered to be
	// the client, it can only mean that the other side takes what is left.
	if s.f.cfg.OutboundSetup == string(setupActive) {
		if r.setup == setupActive {
			return fmt.Errorf("answer: %w: active to an offer of active", ErrSDPSetup)
		}
		s.dtlsClient = true
	}
	s.controlling = true
	s.setRemote(r)
	if s.started {
		return s.begin()
	}
	return nil
}

// setRemote makes the stream for the payload types that were agreed. In an answer these may differ from ours, and then
// each side sends with the number the other named (RFC 3264 §6.1).
func (s *mediaSession) setRemote(r *remoteSDP) {
	s.remote = r
	s.tx.negotiate(r.opus, r.dtmf, r.digit)
	s.rx.negotiate(r, s.offered)
}

// Start begins ICE checks and DTLS, as soon as both descriptions are there. Call it once ours is posted: a check or a
// handshake the peer can't understand yet only costs time.
func (s *mediaSession) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closing {
		return
	}
	s.started = true
	if s.remote == nil {
		return // ApplyAnswer begins
	}
	if err := s.begin(); err != nil {
		s.fail(err)
	}
}

// begin starts the goroutines. It holds mu.
func (s *mediaSession) begin() (err error) {
	s.begun = true
	if s.agent, err = s.newAgent(); err == nil {
		var conn *ice.Conn
		if s.controlling {
			conn, err = s.agent.StartDial(s.remote.ufrag, s.remote.pwd)
		} else {
			conn, err = s.agent.StartAccept(s.remote.ufrag, s.remote.pwd)
		}
		if err == nil {
			s.ice.Store(conn)
			s.wg.Add(1)
			go s.readAgent()
		}
	}
	if err != nil {
		s.fail(fmt.Errorf("%w: %w", ErrMediaICE, err))
	}
	go s.run()
	return nil
}

// fail makes run end the session; the first reason counts.
func (s *mediaSession) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// fence keeps a bug in one session from ending the process: the session dies instead.
func (s *mediaSession) fence() {
	if v := recover(); v != nil {
		s.panicked(v)
	}
}

func (s *mediaSession) panicked(v any) {
	s.f.metrics.panics.Inc()
	s.log.Error("panic in media session, its call ends", "panic", v, "stack", string(debug.Stack()))
	s.fail(ErrMediaPanic)
}

// run takes the session through its life.
func (s *mediaSession) run() {
	defer close(s.runDone)
	defer s.fence()
	if err := s.live(); err != nil && s.ctx.Err() == nil {
		s.tx.outlet.Close() // nothing to talk to any more
		s.f.metrics.dead.WithLabelValues(deadReason(err)).Inc()
		s.log.Warn("media session died", "err", err)
		s.call(func() { s.h.Dead(err) }, s.h.Dead != nil)
	}
}

// live returns why the session died; nil when it was closed.
func (s *mediaSession) live() error {
	begin := time.Now()
	select {
	case <-s.ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	case <-s.connected:
	}
	conn, err := s.handshake(s.ctx)
	if err != nil {
		return err
	}
	s.dtls.Store(conn)
	defer func() { _ = conn.Close() }()
	if err = s.keyed(conn); err != nil {
		return err
	}
	s.f.metrics.setup.Observe(time.Since(begin).Seconds())
	s.log.Debug("media up", "after", time.Since(begin), "dtls_client", s.dtlsClient, "controlling", s.controlling)
	s.call(s.h.Up, s.h.Up != nil)
	return s.attend()
}

// keyed lets media flow.
func (s *mediaSession) keyed(conn *dtls.Conn) error {
	keys, err := deriveSRTP(conn, s.dtlsClient)
	if err != nil {
		return err
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer s.fence()
		s.drainDTLS(conn)
	}()
	s.rx.setKeys(keys)
	s.up.Store(true)
	if s.outbound {
		s.tx.openGate() // comfort silence from now on (§7)
	}
	s.tx.start(keys)
	return nil
}

// closedGrace is how long after the peer closed DTLS media may still show that it didn't mean it.
const closedGrace = 5 * time.Second

// attend is the life of a session that is up.
func (s *mediaSession) attend() error {
	reports := time.NewTimer(s.reportDelay())
	defer reports.Stop()
	gone, grace := s.dtlsGone, (<-chan time.Time)(nil)
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case d := <-s.digits:
			s.call(func() { s.h.Digit(d) }, s.h.Digit != nil)
		case <-reports.C:
			s.sendReport(false)
			reports.Reset(s.reportDelay())
		case <-gone:
			gone, grace = nil, time.After(closedGrace)
		case <-grace:
			if time.Since(s.LastReceived()) >= closedGrace {
				return ErrMediaClosed
			}
			grace = time.After(closedGrace)
		}
	}
}

// call runs a handler, unless the session is closed. Close doesn't wait for a handler, which may itself be closing.
func (s *mediaSession) call(handler func(), ok bool) {
	s.inHandler.Store(true)
	defer s.inHandler.Store(false)
	if ok && s.ctx.Err() == nil {
		handler()
	}
}

func deadReason(err error) string {
	for reason, target := range map[string]error{"ice": ErrMediaICE, "dtls": ErrMediaDTLS, "fingerprint": ErrMediaFingerprint,
		"closed": ErrMediaClosed, "panic": ErrMediaPanic} {
		if errors.Is(err, target) {
			return reason
		}
	}
	return "other"
}

// Stream is the audio of the session.
func (s *mediaSession) Stream() media.Stream { return mediaStream{s} }

// OpenGate lets RTP and RTCP out: what was buffered goes first. Before the media is up it takes effect once it is.
func (s *mediaSession) OpenGate() { s.tx.openGate() }

// LastReceived is when the last authentic RTP or RTCP packet came; zero before the first.
func (s *mediaSession) LastReceived() time.Time { return s.rx.last() }

// Close says goodbye, ends every goroutine of the session and returns its port. It is idempotent.
func (s *mediaSession) Close() { s.closeOnce.Do(s.close) }

func (s *mediaSession) close() {
	s.mu.Lock()
	s.closing = true
	begun := s.begun
	s.mu.Unlock()

	s.tx.outlet.Close()
	s.sendReport(true)
	s.cancel()
	if begun && !s.inHandler.Load() {
		<-s.runDone
	}
	if c := s.dtls.Load(); c != nil {
		_ = c.Close() // says close_notify, unless run has
	}
	_ = s.dtlsIn.Close()
	if s.agent != nil {
		_ = s.agent.GracefulClose()
	}
	for _, k := range s.socks {
		_ = k.Close()
	}
	s.wg.Wait()
	s.f.ports.release(s.port)
	s.f.metrics.open.Dec()
}
