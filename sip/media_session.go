package sip

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/sdp/v3"

	"deskbridge/media"
)

// mediaSession is the audio of one SIP leg: its port pair, its SDP and its stream. It is opened before the first offer or
// answer is written and closed once.
//
// Goroutines: one reader per socket from Listen or Start on, ended and awaited by Close. Offers and answers may come from any
// goroutine; they are applied one at a time.
type mediaSession struct {
	e    *mediaEngine
	cfg  mediaSessionConfig
	h    mediaHandlers
	pair *portPair
	ssrc uint32

	mu      sync.Mutex // offers and answers, start and close
	desc    description
	offered []payload // our last offer: an answer may come twice (183 and 200), or from another fork
	wg      sync.WaitGroup

	listening, started, closed bool // under mu

	// What packets need, replaced whole by each agreement.
	route  atomic.Pointer[route]
	broken atomic.Bool

	in  receiveSide
	out sendSide
	ctl controlSide
}

// route is an agreement as the packet path needs it. It never changes; an agreement makes a new one.
type route struct {
	*agreement
	*latch
	rtcp  netip.AddrPort // where SDP wants RTCP
	mute  bool           // on hold at the zero address
	kinds [128]payloadKind
}

type payloadKind uint8

const (
	kindNone payloadKind = iota
	kindAudio
	kindOther // another agreed codec
	kindDigits
	kindNoise // RFC 3389 comfort noise: a sign of life, no audio for us
)

const comfortNoisePayloadType = 13

// open binds a port pair for one leg.
func (e *mediaEngine) open(cfg mediaSessionConfig, h mediaHandlers) (*mediaSession, error) {
	setDefault(&cfg.PTime, 20*time.Millisecond)
	cfg.SignallingPeer = cfg.SignallingPeer.Unmap()
	if len(cfg.Codecs) == 0 {
		return nil, errNoCommonCodec
	}
	if !cfg.LocalIP.IsValid() {
		cfg.LocalIP = e.cfg.IP
	}
	if !cfg.AdvertisedIP.IsValid() {
		cfg.AdvertisedIP = e.cfg.AdvertisedIP
	}
	if !cfg.LocalIP.IsValid() || cfg.LocalIP.IsUnspecified() {
		ip, err := localAddrTowards(cfg.SignallingPeer)
		if err != nil {
			return nil, err
		}
		cfg.LocalIP = ip
	}
	cfg.LocalIP = cfg.LocalIP.Unmap()
	if !cfg.AdvertisedIP.IsValid() {
		cfg.AdvertisedIP = cfg.LocalIP
	}
	cfg.AdvertisedIP = cfg.AdvertisedIP.Unmap()
	pair, err := e.ports.get(cfg.LocalIP)
	if err != nil {
		e.metrics.exhaust.Inc()
		return nil, err
	}
	s := &mediaSession{e: e, cfg: cfg, h: h, pair: pair, ssrc: rand.Uint32() | 1} // an Outlet takes 0 for "choose one"
	s.in.count = media.NewReceiver(cfg.Codecs[0].ClockRate())
	s.desc = description{addr: cfg.AdvertisedIP, id: rand.Uint64() >> 2} // some parsers read it signed
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		pair.close()
		return nil, errMediaClosed
	}
	e.sessions[s] = struct{}{}
	return s, nil
}

// localAddrTowards asks the routing table for our address towards the peer. Nothing is sent.
func localAddrTowards(peer netip.Addr) (netip.Addr, error) {
	if !peer.IsValid() {
		return netip.Addr{}, fmt.Errorf("media: neither a local address nor a peer to choose one by")
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer, 9)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("media: find the local address: %w", err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// Port is the local RTP port.
func (s *mediaSession) Port() uint16 { return s.pair.port }

// Offer writes our offer. The first lists all codecs; after an agreement it repeats what was agreed, numbers included.
// It changes nothing until ApplyAnswer.
func (s *mediaSession) Offer() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := audioLine{port: s.pair.port, ptime: s.cfg.PTime, dir: dirSendRecv}
	if r := s.route.Load(); r != nil {
		line.formats, line.ptime, line.mux, line.feedback = r.formats(), r.ptime, r.mux, r.feedback
	} else {
		line.formats = offerFormats(s.cfg.Codecs)
	}
	s.offered = line.formats
	return s.desc.write([]*sdp.MediaDescription{line.describe()})
}

// ApplyAnswer takes the answer to our last Offer. After an error the former agreement stands.
func (s *mediaSession) ApplyAnswer(answer []byte) error {
	remote, err := parseSDP(answer)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offered == nil || len(remote.lines) != 1 {
		return errAnswerMismatch
	}
	a := remote.audio
	if err := s.checkFamily(a); err != nil {
		return err
	}
	g, err := agreeOnAnswer(a, s.offered, s.cfg.PTime)
	if err != nil {
		return err
	}
	if r := s.route.Load(); r != nil {
		g.mux = r.mux && a.mux
	}
	s.adopt(a, g)
	return nil
}

// Answer takes an offer, first or later (re-INVITE, UPDATE), and writes our answer. After an error the former agreement
// stands; sdpStatus says what to tell the far end.
func (s *mediaSession) Answer(offer []byte) ([]byte, error) {
	remote, err := parseSDP(offer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := remote.audio
	if err := s.checkFamily(a); err != nil {
		return nil, err
	}
	if err := s.checkMove(a); err != nil {
		return nil, err
	}
	g, err := agreeOnOffer(a, s.preference(), s.cfg.PTime)
	if err != nil {
		return nil, err
	}
	line := audioLine{port: s.pair.port, formats: g.formats(), ptime: g.ptime, dir: g.dir, mux: g.mux, feedback: g.feedback}
	lines := make([]*sdp.MediaDescription, len(remote.lines))
	for i, l := range remote.lines {
		lines[i] = l.refuse()
	}
	lines[a.line] = line.describe()
	body, err := s.desc.write(lines)
	if err != nil {
		return nil, err
	}
	s.offered = nil
	s.adopt(a, g)
	return body, nil
}

// preference is our order of codecs; once a call runs, its codec comes first, so that a re-INVITE for hold does not
// change it.
func (s *mediaSession) preference() []media.Codec {
	r := s.route.Load()
	if r == nil {
		return s.cfg.Codecs
	}
	return append([]media.Codec{r.audio.codec}, s.cfg.Codecs...)
}

func (s *mediaSession) checkFamily(a *remoteAudio) error {
	if a.addr.IsValid() && !a.zero && a.addr.Is4() != s.cfg.LocalIP.Is4() {
		return errAddressFamily
	}
	return nil
}

// checkMove refuses a later offer that takes the media to an address we may not send to. The first offer may name one: behind
// a NAT that is what the far end believes, and its packets tell the truth. So may hold: a PBX's music server is not sent to.
func (s *mediaSession) checkMove(a *remoteAudio) error {
	r := s.route.Load()
	if r == nil || a.hold() || !a.addr.IsValid() || a.addr == r.claim.Addr() || s.allowed(a.addr)(a.addr) {
		return nil
	}
	return errMediaAddress
}

// adopt puts an agreement into force. The caller holds mu.
func (s *mediaSession) adopt(a *remoteAudio, g *agreement) {
	old := s.route.Load()
	r := &route{agreement: g, latch: s.relatch(old, a), rtcp: a.controlAddr(), mute: a.zero, kinds: g.kinds()}
	s.in.count.SetClock(g.audio.clock)
	s.route.Store(r)
	s.out.adopt(s, g)
	if old == nil || old.held != g.held {
		s.in.alive() // the silence of a hold is not counted against the time after it
	}
}

// relatch keeps the latch while the far end's address stays, and while it is on hold at the zero address: then there is
// nothing new to learn and something to steal.
func (s *mediaSession) relatch(old *route, a *remoteAudio) *latch {
	addr := netip.AddrPortFrom(a.addr, a.port)
	if old != nil && (a.zero || old.claim == addr) {
		return old.latch
	}
	negotiated := addr
	if a.zero || !a.addr.IsValid() {
		negotiated = netip.AddrPort{}
	}
	l := newLatch(negotiated, s.allowed(a.addr))
	l.claim = addr
	if !s.known(a.addr) {
		l.dest.Store(nil) // until something comes from there: an account must not point our audio at somebody else
	}
	return l
}

// known are the addresses we send to on the far end's word alone: the one it signals from and the configured networks.
func (s *mediaSession) known(a netip.Addr) bool {
	return a == s.cfg.SignallingPeer || slices.ContainsFunc(s.cfg.RemoteAllowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

// allowed are the addresses media may come from and go to.
func (s *mediaSession) allowed(claimed netip.Addr) func(netip.Addr) bool {
	peer, nets := s.cfg.SignallingPeer, s.cfg.RemoteAllowed
	if nets == nil && claimed.IsLoopback() && !peer.IsLoopback() {
		claimed = netip.Addr{} // nobody elsewhere has his media on this machine
	}
	return func(a netip.Addr) bool {
		if !a.IsValid() || a.IsUnspecified() {
			return false
		}
		if a == peer || nets == nil && a == claimed {
			return true
		}
		return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}

func (a *agreement) kinds() (k [128]payloadKind) {
	k[comfortNoisePayloadType] = kindNoise
	for _, p := range a.others {
		k[p.recv] = kindOther
		k[p.send] = kindOther
	}
	if d := a.digits; d != nil {
		k[d.recv], k[d.send] = kindDigits, kindDigits
	}
	k[a.audio.recv], k[a.audio.send] = kindAudio, kindAudio
	return k
}

// controlAddr is where the far end wants RTCP: a=rtcp, the RTP port itself with rtcp-mux, else the next port.
func (a *remoteAudio) controlAddr() netip.AddrPort {
	switch {
	case a.mux:
		return netip.AddrPortFrom(a.addr, a.port)
	case a.rtcp.Port() != 0 && a.rtcp.Addr().IsValid():
		return a.rtcp
	case a.rtcp.Port() != 0:
		return netip.AddrPortFrom(a.addr, a.rtcp.Port())
	}
	return netip.AddrPortFrom(a.addr, a.port+1)
}

// Held reports whether the far end has us on hold.
func (s *mediaSession) Held() bool {
	r := s.route.Load()
	return r != nil && r.held
}

// Listen reads, and drops, what comes before the agreement. A PBX may send ringback for as long as the phone rings: left in
// the socket it would be heard after the answer, and what is too much of it would count as a flood and silence the agent.
func (s *mediaSession) Listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listen()
}

// listen starts the readers, once. The caller holds mu.
func (s *mediaSession) listen() {
	if s.listening || s.closed {
		return
	}
	s.listening = true
	s.wg.Go(s.readRTP)
	s.wg.Go(s.readRTCP)
}

// Start lets packets flow. It may come before or after the agreement.
func (s *mediaSession) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return
	}
	s.started = true
	s.in.alive()
	s.listen()
	if r := s.route.Load(); r != nil {
		s.out.adopt(s, r.agreement)
	}
}

// Close ends the session: RTCP BYE, sockets closed, goroutines awaited, ports set to rest. It must not be called from a
// handler. Again is harmless.
func (s *mediaSession) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.wg.Wait()
		return
	}
	s.closed = true
	s.out.close()
	s.mu.Unlock()
	s.sendBye()
	s.e.mu.Lock()
	delete(s.e.sessions, s)
	s.e.mu.Unlock()
	s.pair.close()
	s.wg.Wait()
}
