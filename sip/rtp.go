package sip

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// receiveSide is the incoming half of a session. Its reader goroutine alone touches the fields of the second group.
type receiveSide struct {
	// sinkMu is held while the sink runs: that is what lets SetSink promise that the former sink hears nothing more.
	// Nobody else waits for it.
	sinkMu sync.Mutex
	sink   media.Sink
	// changed is when the far end went over to another codec, zero once the sink was set anew.
	changed time.Time

	lastHeard atomic.Int64 // monotonic, since epoch
	silent    atomic.Bool  // Timeout was reported
	rejected  atomic.Uint64
	count     reception

	packet   rtp.Packet
	out      media.Packet
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
	var buf [maxRTPPacket + 1]byte // a packet that fills it was longer than we take
	for {
		n, src, err := s.pair.rtp.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of something we sent
		}
		s.receive(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), time.Now())
	}
}

// receive handles one datagram of the RTP port. Nothing here allocates, logs or takes a lock another call could hold.
func (s *mediaSession) receive(b []byte, src netip.AddrPort, now time.Time) {
	r := s.route.Load()
	if r == nil {
		return // before the agreement: early packets mean nothing yet
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
	s.in.count.note(p.SSRC, p.SequenceNumber, p.Timestamp, r.audio.clock, now, kind == kindAudio)
	switch kind {
	case kindAudio:
		s.receiveAudio(p, now)
	case kindDigits:
		s.receiveDigit(p, now)
	case kindOther:
		s.follow(p.PayloadType)
	}
}

func (s *mediaSession) refuse(c interface{ Inc() }) {
	c.Inc()
	s.in.rejected.Add(1)
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

// receiveAudio hands a packet to the sink.
func (s *mediaSession) receiveAudio(p *rtp.Packet, now time.Time) {
	in := &s.in
	in.out = media.Packet{
		Payload: p.Payload, Arrival: now, Timestamp: p.Timestamp, Sequence: p.SequenceNumber, Marker: p.Marker,
	}
	in.sinkMu.Lock()
	defer in.sinkMu.Unlock()
	if in.sink != nil && now.Sub(in.changed) > changePatience {
		in.sink.ReceivePacket(&in.out)
	}
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
	n := &route{agreement: &g, latch: r.latch, rtcp: r.rtcp, kinds: g.kinds()}
	s.in.sinkMu.Lock()
	s.in.changed = time.Now()
	s.in.sinkMu.Unlock()
	s.route.Store(n)
	s.out.adopt(s, &g)
	s.mu.Unlock()
	if s.h.Format != nil {
		s.h.Format()
	}
}

// receiveDigit hands a telephone-event packet to the digit receiver.
func (s *mediaSession) receiveDigit(p *rtp.Packet, now time.Time) {
	_ = now
}

func (r *receiveSide) fillStats(st *media.Stats) {
	r.count.fillStats(st)
	st.Rejected = r.rejected.Load()
}
