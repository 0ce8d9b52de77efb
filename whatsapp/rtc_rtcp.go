package whatsapp

import (
	"math/rand/v2"
	"time"

	"deskbridge/media"

	"github.com/pion/rtcp"
)

// peerReport is what RTCP told us about the peer: its clock, and how our packets arrive there.
type peerReport struct {
	lastSR   uint32 // middle of the NTP time of its last sender report
	lastSRAt time.Time
	rtt      time.Duration
	loss     float64 // -1 while unknown
}

// reportDelay spreads reports over half to one and a half intervals (RFC 3550 §6.2).
func (s *mediaSession) reportDelay() time.Duration {
	d := s.f.cfg.ReportInterval
	return d/2 + rand.N(d)
}

// sendReport sends one compound RTCP packet; with bye the last one (RFC 3550 §6.6). Nothing leaves before the gate is
// open: whether RTCP already counts as accepting the call isn't known (reference/meta-media-sdp.md §7).
func (s *mediaSession) sendReport(bye bool) {
	if !s.up.Load() || !s.tx.gate.Load() {
		return
	}
	s.tx.rtcp.Lock()
	defer s.tx.rtcp.Unlock()
	if s.tx.bye {
		return
	}
	s.tx.bye = bye
	plain, err := rtcp.Marshal(s.compound(bye))
	if err == nil {
		if plain, err = s.tx.keys.outRTCP.EncryptRTCP(nil, plain, nil); err == nil {
			_, err = s.ice.Load().Write(plain)
		}
	}
	if err != nil {
		s.log.Debug("RTCP report not sent", "err", err)
	}
}

func (s *mediaSession) compound(bye bool) []rtcp.Packet {
	reports := s.rx.report(time.Now())
	var packets []rtcp.Packet
	if i, ok := s.tx.outlet.SenderInfo(); ok {
		packets = append(packets, &rtcp.SenderReport{SSRC: i.SSRC, NTPTime: ntpTime(i.At), RTPTime: i.RTPTime,
			PacketCount: i.Packets, OctetCount: i.Octets, Reports: reports})
	} else {
		packets = append(packets, &rtcp.ReceiverReport{SSRC: s.ssrc, Reports: reports})
	}
	packets = append(packets, rtcp.NewCNAMESourceDescription(s.ssrc, sdpLabel))
	if bye {
		packets = append(packets, &rtcp.Goodbye{Sources: []uint32{s.ssrc}})
	}
	return packets
}

// receiveRTCP reads the parts of a compound packet we use and ignores the rest of it.
func (r *receiver) receiveRTCP(b []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.reject(dropEarly)
		return
	}
	plain, err := r.keys.in.DecryptRTCP(r.plain[:0], b, nil)
	if err != nil {
		r.reject(dropAuth)
		return
	}
	if !r.limit.AllowN(now, 1) {
		r.reject(dropRate)
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		r.reject(dropFormat)
		return
	}
	r.seen(now)
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			r.peer.lastSR, r.peer.lastSRAt = uint32(p.NTPTime>>16), now
			r.peer.heard(p.Reports, r.s.ssrc, now)
		case *rtcp.ReceiverReport:
			r.peer.heard(p.Reports, r.s.ssrc, now)
		}
	}
}

// heard takes round trip and loss from the block about us (RFC 3550 §6.4.1).
func (p *peerReport) heard(reports []rtcp.ReceptionReport, ssrc uint32, now time.Time) {
	for _, b := range reports {
		if b.SSRC != ssrc {
			continue
		}
		p.loss = float64(b.FractionLost) / 256
		if b.LastSenderReport == 0 {
			continue
		}
		// In 1/65536 s, modulo 2^32. A negative result or one beyond a minute is a peer that calculates badly.
		ticks := int32(uint32(ntpTime(now)>>16) - b.LastSenderReport - b.Delay)
		if rtt := time.Duration(int64(ticks) * int64(time.Second) >> 16); rtt >= 0 && rtt < time.Minute {
			p.rtt = max(rtt, time.Microsecond)
		}
	}
}

// report is our view of the peer's stream; nil before its first packet.
func (r *receiver) report(now time.Time) []rtcp.ReceptionReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sources == 0 {
		return nil
	}
	b := r.stats.block()
	b.SSRC = r.ssrc
	if r.peer.lastSR != 0 {
		b.LastSenderReport = r.peer.lastSR
		b.Delay = uint32(now.Sub(r.peer.lastSRAt).Seconds() * 65536)
	}
	return []rtcp.ReceptionReport{b}
}

func (r *receiver) fillStats(st *media.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.fill(st)
	st.Rejected += r.rejected
	st.RTT, st.RemoteLoss = r.peer.rtt, r.peer.loss
}

// ntpTime is the 64-bit timestamp of RFC 3550 §4.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800 // seconds from 1900 to 1970
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
