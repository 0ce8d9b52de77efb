package sip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"deskbridge/media"
)

// controlSide is RTCP: our reports on a timer, theirs for round trip and loss.
type controlSide struct {
	mu         sync.Mutex
	rtt        time.Duration
	remoteLoss float64
	known      bool // remoteLoss was reported
	lastSR     uint32
	lastSRAt   time.Time
	nextReport time.Time
	window     time.Time
	inWindow   int
}

// maxControlRate bounds what parsing RTCP may cost; a phone sends one packet in five seconds.
const maxControlRate = 20

func (c *controlSide) fillStats(st *media.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st.RTT = c.rtt
	st.RemoteLoss = -1
	if c.known {
		st.RemoteLoss = c.remoteLoss
	}
}

func (s *mediaSession) readRTCP() {
	defer s.e.fence(s, "rtcp reader")
	var buf [maxRTPPacket + 1]byte
	for {
		n, src, err := s.pair.rtcp.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		s.receiveControl(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()), time.Now())
	}
}

// receiveControl reads one compound packet. RTCP is heard from the host the audio comes from and from where SDP said.
func (s *mediaSession) receiveControl(b []byte, src netip.AddrPort, now time.Time) {
	r := s.route.Load()
	if r == nil {
		return
	}
	if src.Addr() != r.to().Addr() && (src != r.rtcp || !r.allowed(src.Addr())) {
		s.refuse(s.e.metrics.stranger)
		return
	}
	s.ctl.mu.Lock()
	defer s.ctl.mu.Unlock()
	if len(b) > maxRTPPacket || s.ctl.flooded(now) {
		s.refuse(s.e.metrics.control)
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		s.refuse(s.e.metrics.control)
		return
	}
	if !r.mux {
		r.control.CompareAndSwap(nil, &src)
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			s.ctl.lastSR, s.ctl.lastSRAt = uint32(p.NTPTime>>16), now
			s.ctl.read(p.Reports, s.ssrc, now)
		case *rtcp.ReceiverReport:
			s.ctl.read(p.Reports, s.ssrc, now)
		}
	}
}

func (c *controlSide) flooded(now time.Time) bool {
	if now.Sub(c.window) >= time.Second {
		c.window, c.inWindow = now, 0
	}
	c.inWindow++
	return c.inWindow > maxControlRate
}

// read takes the reports on our stream (RFC 3550 §6.4.1).
func (c *controlSide) read(reports []rtcp.ReceptionReport, ssrc uint32, now time.Time) {
	for _, r := range reports {
		if r.SSRC != ssrc {
			continue
		}
		c.remoteLoss, c.known = float64(r.FractionLost)/256, true
		if r.LastSenderReport == 0 {
			continue
		}
		ticks := ntpMiddle(now) - r.LastSenderReport - r.Delay
		// The clock may have been set, or the far end may lie: a round trip is neither negative nor ten seconds.
		if ticks < 10<<16 {
			c.rtt = time.Duration(int64(ticks) * int64(time.Second) >> 16)
		}
	}
}

// ntpTime is a wall-clock time in the format of RFC 3550 §4.
func ntpTime(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/1_000_000_000
}

func ntpMiddle(t time.Time) uint32 { return uint32(ntpTime(t) >> 16) }

// controlDest is where our RTCP goes.
func (r *route) controlDest() netip.AddrPort {
	to := r.to()
	switch {
	case r.mux || !to.IsValid():
		return to
	case r.control.Load() != nil:
		return *r.control.Load()
	case to == r.negotiated && r.rtcp.IsValid() && r.allowed(r.rtcp.Addr()):
		return r.rtcp
	case to.Port() == 65535:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(to.Addr(), to.Port()+1)
}

// report sends SR or RR with SDES, every few seconds (RFC 3550 §6.3: the interval varied by half, so that calls begun
// together don't report together).
func (s *mediaSession) report(now time.Time) {
	s.ctl.mu.Lock()
	due := !now.Before(s.ctl.nextReport)
	if due {
		base := s.e.cfg.ReportTime
		s.ctl.nextReport = now.Add(base/2 + rand.N(base))
	}
	s.ctl.mu.Unlock()
	if due {
		s.sendControl(now, nil)
	}
}

// sendControl sends a compound packet, with last at its end.
func (s *mediaSession) sendControl(now time.Time, last rtcp.Packet) {
	r := s.route.Load()
	if r == nil {
		return
	}
	to := r.controlDest()
	if !to.IsValid() {
		return
	}
	packets := []rtcp.Packet{s.ownReport(now), rtcp.NewCNAMESourceDescription(s.ssrc, s.cname())}
	if last != nil {
		packets = append(packets, last)
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		return
	}
	conn := s.pair.rtcp
	if r.mux {
		conn = s.pair.rtp
	}
	_, _ = conn.WriteToUDPAddrPort(b, to)
}

func (s *mediaSession) ownReport(now time.Time) rtcp.Packet {
	var reports []rtcp.ReceptionReport
	if r, ok := s.in.count.report(); ok {
		r.LastSenderReport, r.Delay = s.ctl.sinceSR(now)
		reports = append(reports, r)
	}
	if o := s.out.outlet.Load(); o != nil {
		if i, ok := o.SenderInfo(); ok {
			return &rtcp.SenderReport{
				SSRC: s.ssrc, NTPTime: ntpTime(i.At), RTPTime: i.RTPTime,
				PacketCount: i.Packets, OctetCount: i.Octets, Reports: reports,
			}
		}
	}
	return &rtcp.ReceiverReport{SSRC: s.ssrc, Reports: reports}
}

// sinceSR is the far end's last sender report and how long ago it came, in 1/65536 s.
func (c *controlSide) sinceSR(now time.Time) (last, delay uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastSR == 0 {
		return 0, 0
	}
	return c.lastSR, uint32(int64(now.Sub(c.lastSRAt)) << 16 / int64(time.Second))
}

// cname is per session and says nothing about us (RFC 7022 §4.2).
func (s *mediaSession) cname() string { return fmt.Sprintf("%016x", s.desc.id) }

// sendBye says that the stream ends (RFC 3550 §6.6).
func (s *mediaSession) sendBye() {
	if s.out.outlet.Load() != nil {
		s.sendControl(time.Now(), &rtcp.Goodbye{Sources: []uint32{s.ssrc}})
	}
}
