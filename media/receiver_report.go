package media

import "time"

// ReceptionReport is what an RTCP report block says about a received stream (RFC 3550 §6.4.1).
type ReceptionReport struct {
	FractionLost  uint8  // since the last report, in 1/256
	TotalLost     uint32 // 24 bits
	HighestSeq    uint32 // extended
	Jitter        uint32 // timestamp units
	LastSR, Delay uint32 // middle 32 bits of the last SR's NTP time; time since in 1/65536 s
}

// Report returns the next report block and begins a new interval. ok is false while nothing was received.
func (r *Receiver) Report(now time.Time) (report ReceptionReport, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		return ReceptionReport{}, false
	}
	expected := r.extended() - r.base + 1
	expectedNow := expected - r.expectedPrior
	receivedNow := r.received - r.receivedPrior
	r.expectedPrior, r.receivedPrior = expected, r.received
	if uint64(expectedNow) > receivedNow {
		report.FractionLost = uint8(min((uint64(expectedNow)-receivedNow)<<8/uint64(expectedNow), 255))
	}
	report.TotalLost = uint32(min(r.earlierLost+uint64(r.lost()), 0x7fffff))
	report.HighestSeq = r.extended()
	report.Jitter = uint32(r.jitter)
	if !r.reportAt.IsZero() {
		report.LastSR = r.reportMiddle
		report.Delay = uint32(int64(now.Sub(r.reportAt)) * 65536 / int64(time.Second))
	}
	return report, true
}

// SenderReport notes the far end's sender report, by its NTP time.
func (r *Receiver) SenderReport(ntp uint64, arrival time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reportMiddle, r.reportAt = uint32(ntp>>16), arrival
}

// RemoteReport notes what the far end reports about what we send: lost since its last report in 1/256, and the LSR and
// DLSR fields, from which the round trip follows (RFC 3550 §6.4.1).
func (r *Receiver) RemoteReport(fractionLost uint8, lastSR, delay uint32, arrival time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remoteLoss, r.remoteLossMeasured = float64(fractionLost)/256, true
	if lastSR == 0 {
		return // it has not had a sender report yet
	}
	trip := int32(uint32(NTPTime(arrival)>>16) - delay - lastSR)
	// Clocks stepped, or invented numbers: keep the last good value.
	if trip >= 0 && trip < 30*65536 {
		r.rtt = time.Duration(int64(trip) * int64(time.Second) / 65536)
	}
}

// NTPTime returns t as a 64 bit NTP timestamp (RFC 3550 §4).
func NTPTime(t time.Time) uint64 {
	const from1900 = 2208988800
	seconds := uint64(t.Unix() + from1900)
	return seconds<<32 | uint64(t.Nanosecond())<<32/1e9
}
