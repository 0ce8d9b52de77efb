package media

import "time"

// FillStats writes the sending side's counters into s. GateDropped counts every frame the outlet's ring had no room for.
// FirstSent is the first frame of the source: silence sent before it doesn't count.
func (o *Outlet) FillStats(s *Stats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Sent = o.count.sent
	s.Filler = o.count.filler
	s.GateBuffered = o.count.gateBuffered
	s.GateDropped = o.count.dropped
	s.SendErrors = o.count.errors
	s.FirstSent = o.count.firstSent
}

// SenderInfo is what an RTCP sender report says about the line (RFC 3550 §6.4.1).
type SenderInfo struct {
	SSRC    uint32
	At      time.Time
	RTPTime uint32 // the line's timestamp at At
	Packets uint32
	Octets  uint32
}

// SenderInfo reports on the line at this moment. ok is false before the first packet: RFC 3550 §6.4 wants a receiver
// report then.
func (o *Outlet) SenderInfo() (info SenderInfo, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	l := &o.line
	// line.ts stands for the moment line.end.
	ticks := int64(now.Sub(l.end)) * int64(o.cfg.Format.Codec.ClockRate()) / int64(time.Second)
	return SenderInfo{
		SSRC: o.cfg.SSRC, At: now, RTPTime: l.ts + uint32(ticks),
		Packets: uint32(o.count.sent), Octets: uint32(o.count.octets),
	}, o.count.sent > 0
}
