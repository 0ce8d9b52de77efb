package whatsapp

import (
	"math/rand/v2"
	"time"

	"deskbridge/media"

	"github.com/pion/rtcp"
)

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
		packets = append(packets, &rtcp.SenderReport{SSRC: i.SSRC, NTPTime: media.NTPTime(i.At), RTPTime: i.RTPTime,
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
			r.stats.SenderReport(p.NTPTime, now)
			r.heard(p.Reports, now)
		case *rtcp.ReceiverReport:
			r.heard(p.Reports, now)
		}
	}
}

// heard passes on the block about us; others are about somebody else's stream.
func (r *receiver) heard(reports []rtcp.ReceptionReport, now time.Time) {
	for _, b := range reports {
		if b.SSRC == r.s.ssrc {
			r.stats.RemoteReport(b.FractionLost, b.LastSenderReport, b.Delay, now)
		}
	}
}

// report is our view of the peer's stream; nil before its first packet.
func (r *receiver) report(now time.Time) []rtcp.ReceptionReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.stats.Report(now)
	if !ok {
		return nil
	}
	return []rtcp.ReceptionReport{{SSRC: r.ssrc, FractionLost: b.FractionLost, TotalLost: b.TotalLost,
		LastSequenceNumber: b.HighestSeq, Jitter: b.Jitter, LastSenderReport: b.LastSR, Delay: b.Delay}}
}
