package sip

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"deskbridge/media"
)

// receiveSide is the incoming half of a session. Its reader goroutine alone touches the fields of the second group.
type receiveSide struct {
	// sinkMu is held while the sink runs: that is what lets SetSink promise that the former sink hears nothing more.
	// Nobody else waits for it.
	sinkMu sync.Mutex
	sink   media.Sink
	joined time.Time  // when the first sink was set
	early  earlyAudio // until then
	// changed is when the far end went over to another codec, zero once the sink was set anew.
	changed time.Time

	lastHeard atomic.Int64 // monotonic, since epoch
	silent    atomic.Bool  // Timeout was reported
	count     *media.Receiver
	digits    media.DigitReceiver
	ssrc      atomic.Uint32 // of the far end, for reports
	seqShift  atomic.Uint32 // added to its numbers: see resync

	before   earlyDatagrams
	packet   rtp.Packet
	out      media.Packet // the last one, as handed on
	tsShift  uint32
	window   time.Time // second of the rate limit
	inWindow int
}

// maxPacketRate is far above any phone's: 100 packets/s of audio and 50/s of a digit.
const maxPacketRate = 200

// epoch makes monotonic times fit an atomic.
var epoch = time.Now()

func (r *receiveSide) alive() { r.heardAt(time.Now()) }

func (r *receiveSide) heardAt(t time.Time) {
	r.lastHeard.Store(int64(t.Sub(epoch)))
	if r.silent.Load() {
		r.silent.Store(false)
	}
}

func (r *receiveSide) silence(now time.Time) time.Duration {
	return now.Sub(epoch) - time.Duration(r.lastHeard.Load())
}

// readRTP is the session's reader. It ends when the socket closes.
func (s *mediaSession) readRTP() {
	defer s.e.fence(s, "rtp reader")
	s.readLoop(s.pair.rtp, s.receive)
}

// maxReadErrors in a row mean that the socket is broken and not merely telling of an ICMP error.
const maxReadErrors = 100

func (s *mediaSession) readLoop(conn *media.Socket, take func([]byte, netip.AddrPort, time.Time)) {
	var buf [maxRTPPacket + 1]byte // a packet that fills it was longer than we take
	for failed := 0; failed < maxReadErrors; {
		n, src, err := conn.ReadFromUDPAddrPort(buf[:])
		switch {
		case err == nil:
			failed = 0
			take(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), time.Now())
		case errors.Is(err, net.ErrClosed):
			return
		default:
			failed++
		}
	}
	s.broken.Store(true)
}

// receive handles one datagram of the RTP port. Nothing here allocates, logs or takes a lock another call could hold.
func (s *mediaSession) receive(b []byte, src netip.AddrPort, now time.Time) {
	r := s.route.Load()
	if r == nil {
		s.in.before.keep(b, src, now)
		return
	}
	if s.in.before.ring != nil {
		s.replay(now)
	}
	m := s.e.metrics
	v := r.check(src)
	switch {
	case v == stranger:
		s.refuse(m.stranger)
		return
	case len(b) > maxRTPPacket:
		s.refuse(m.oversize)
		return
	case s.in.flooded(now):
		s.refuse(m.flood)
		return
	case r.mux && isControl(b):
		s.receiveControl(b, src, now)
		return
	}
	p := &s.in.packet
	if err := p.Unmarshal(b); err != nil || p.Version != 2 {
		s.refuse(m.malformed)
		return
	}
	kind := r.kinds[p.PayloadType]
	if kind == kindNone {
		s.refuse(m.payloadType)
		return
	}
	if r.take(src) {
		s.latched(r, src)
	}
	s.in.heardAt(now)
	s.in.place(p, r.audio.clock, now)
	s.in.count.Receive(s.in.out.Sequence, s.in.out.Timestamp, now, kind == kindAudio)
	switch kind {
	case kindAudio:
		s.in.deliver(now)
	case kindDigits:
		if d, ok := s.in.digits.Receive(p.Payload, s.in.out.Timestamp); ok && s.h.Digit != nil {
			s.h.Digit(d)
		}
	case kindOther:
		s.follow(p.PayloadType)
	}
}

func (s *mediaSession) refuse(c interface{ Inc() }) {
	c.Inc()
	s.in.count.Reject()
}

// isControl tells RTCP from RTP on one port (RFC 5761 §4).
func isControl(b []byte) bool { return len(b) >= 2 && b[1] >= 192 && b[1] <= 223 }

func (r *receiveSide) flooded(now time.Time) bool {
	if now.Sub(r.window) >= time.Second {
		r.window, r.inWindow = now, 0
	}
	r.inWindow++
	return r.inWindow > maxPacketRate
}

func (s *mediaSession) latched(r *route, src netip.AddrPort) {
	if src == r.negotiated {
		s.e.metrics.latched.WithLabelValues("negotiated").Inc()
		return
	}
	s.e.metrics.latched.WithLabelValues("other").Inc()
}

// place puts a packet on the line its listeners see. A new stream of the far end (another SSRC: a transfer inside the PBX)
// is joined to the old one: the next number, and a timestamp that moved by the time that passed.
func (r *receiveSide) place(p *rtp.Packet, clock int, now time.Time) {
	last := &r.out
	if p.SSRC != r.ssrc.Load() {
		r.ssrc.Store(p.SSRC)
		if !last.Arrival.IsZero() {
			passed := uint32(int64(now.Sub(last.Arrival)) * int64(clock) / int64(time.Second))
			r.seqShift.Store(uint32(last.Sequence + 1 - p.SequenceNumber))
			r.tsShift = last.Timestamp + passed - p.Timestamp
		}
	}
	r.out = media.Packet{
		Payload: p.Payload, Arrival: now, Marker: p.Marker,
		Timestamp: p.Timestamp + r.tsShift, Sequence: p.SequenceNumber + uint16(r.seqShift.Load()),
	}
}

// deliver hands the placed packet to the sink.
func (r *receiveSide) deliver(now time.Time) {
	r.sinkMu.Lock()
	defer r.sinkMu.Unlock()
	switch {
	case r.sink != nil && now.Sub(r.changed) > changePatience:
		if r.early.ring != nil {
			r.early.release(r.sink, r.joined)
		}
		r.sink.ReceivePacket(&r.out)
	case r.sink == nil && r.joined.IsZero():
		r.early.keep(&r.out)
	}
}

// report is the report block on the far end's stream.
func (r *receiveSide) report(now time.Time) []rtcp.ReceptionReport {
	m, ok := r.count.Report(now)
	if !ok {
		return nil
	}
	return []rtcp.ReceptionReport{{
		SSRC: r.ssrc.Load(), FractionLost: m.FractionLost, TotalLost: m.TotalLost, Jitter: m.Jitter,
		LastSequenceNumber: m.HighestSeq - r.seqShift.Load(), // in the sender's own numbers
		LastSenderReport:   m.LastSR, Delay: m.Delay,
	}}
}

// changePatience is how long a sink may take to learn of a new codec. Until it sets itself anew, it would take the new
// codec's bytes for the old one's, which sounds like a saw.
const changePatience = 100 * time.Millisecond

// follow goes over to another agreed codec because the far end did (RFC 3264 §7 allows it at any time). We send the same:
// phones that change expect it.
func (s *mediaSession) follow(pt uint8) {
	s.mu.Lock()
	r := s.route.Load()
	i := slices.IndexFunc(r.others, func(p payload) bool { return p.recv == pt || p.send == pt })
	if i < 0 || s.closed {
		s.mu.Unlock()
		return
	}
	g := *r.agreement
	g.others = slices.Clone(g.others)
	g.audio, g.others[i] = g.others[i], g.audio
	n := &route{agreement: &g, latch: r.latch, rtcp: r.rtcp, mute: r.mute, kinds: g.kinds()}
	s.in.sinkMu.Lock()
	s.in.changed = time.Now()
	s.in.early = earlyAudio{} // of the former codec
	s.in.sinkMu.Unlock()
	s.in.count.SetClock(g.audio.clock)
	s.route.Store(n)
	s.out.adopt(s, &g)
	s.mu.Unlock()
	if s.h.Format != nil {
		s.h.Format()
	}
}
