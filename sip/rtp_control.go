package sip

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"deskbridge/media"
)

// controlSide is RTCP: our reports on a timer, theirs for round trip and loss.
type controlSide struct {
	mu         sync.Mutex
	nextReport time.Time
	window     time.Time
	inWindow   int
}

// maxControlRate bounds what parsing RTCP may cost; a phone sends one packet in five seconds.
const maxControlRate = 20

func (s *mediaSession) readRTCP() {
	defer s.e.fence(s, "rtcp reader")
	s.readLoop(s.pair.rtcp, s.receiveControl)
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
			s.in.count.SenderReport(p.NTPTime, now)
			s.readReports(p.Reports, now)
		case *rtcp.ReceiverReport:
			s.readReports(p.Reports, now)
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

// readReports takes what the far end says of our stream.
func (s *mediaSession) readReports(reports []rtcp.ReceptionReport, now time.Time) {
	for _, r := range reports {
		if r.SSRC == s.ssrc {
			s.in.count.RemoteReport(r.FractionLost, r.LastSenderReport, r.Delay, now)
		}
	}
}

// controlDest is where our RTCP goes.
func (r *route) controlDest() netip.AddrPort {
	to := r.to()
	switch {
	case r.mute: // RFC 3264 §8.4: no RTCP either
		return netip.AddrPort{}
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
	reports := s.in.report(now)
	if o := s.out.outlet.Load(); o != nil {
		if i, ok := o.SenderInfo(); ok {
			return &rtcp.SenderReport{
				SSRC: s.ssrc, NTPTime: media.NTPTime(i.At), RTPTime: i.RTPTime,
				PacketCount: i.Packets, OctetCount: i.Octets, Reports: reports,
			}
		}
	}
	return &rtcp.ReceiverReport{SSRC: s.ssrc, Reports: reports}
}

// cname is per session and says nothing about us (RFC 7022 §4.2).
func (s *mediaSession) cname() string { return fmt.Sprintf("%016x", s.desc.id) }

// sendBye says that the stream ends (RFC 3550 §6.6).
func (s *mediaSession) sendBye() {
	if s.out.outlet.Load() != nil {
		s.sendControl(time.Now(), &rtcp.Goodbye{Sources: []uint32{s.ssrc}})
	}
}
