package media

import (
	"sync"
	"time"
)

const (
	maxDropout  = 3000 // RFC 3550 appendix A.1
	maxMisorder = 100
)

// Receiver keeps the reception statistics of one incoming stream (RFC 3550 appendix A.1, A.3, A.8). The reader goroutine
// feeds it; reports may be read from any other. Its lock is the leg's own.
type Receiver struct {
	mu    sync.Mutex
	clock int

	begun              bool
	base               uint32
	maxSeq             uint16
	cycles             uint32
	bad                uint32
	received           uint64 // of the current numbering
	earlier            uint64 // received before the numbering last started anew
	earlierLost        uint64
	expectedPrior      uint32
	receivedPrior      uint64
	transitTS          uint32
	transitAt          time.Time
	transitOK          bool
	jitter             float64 // in timestamp units
	late, rejected     uint64
	first, last        time.Time
	reportMiddle       uint32 // last sender report, middle 32 bits of its NTP time
	reportAt           time.Time
	rtt                time.Duration
	remoteLoss         float64
	remoteLossMeasured bool
}

// NewReceiver returns a receiver for a stream with this RTP clock.
func NewReceiver(clock int) *Receiver { return &Receiver{clock: clock} }

// SetClock changes the RTP clock after a re-negotiation.
func (r *Receiver) SetClock(clock int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if clock != r.clock {
		r.clock, r.transitOK, r.jitter = clock, false, 0
	}
}

// Receive counts one packet of the stream. audio is false for DTMF events: their timestamp stands still, so they say
// nothing about jitter.
func (r *Receiver) Receive(sequence uint16, timestamp uint32, arrival time.Time, audio bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first.IsZero() {
		r.first = arrival
	}
	r.last = arrival
	if !r.begun {
		r.restart(sequence)
	} else if !r.update(sequence) {
		return
	}
	r.received++
	if audio {
		r.measure(timestamp, arrival)
	}
}

func (r *Receiver) restart(sequence uint16) {
	if r.begun {
		r.earlierLost += uint64(r.lost())
		r.earlier += r.received
	}
	r.begun = true
	r.base, r.maxSeq, r.cycles, r.bad = uint32(sequence), sequence, 0, 1<<16+1
	r.received, r.expectedPrior, r.receivedPrior = 0, 0, 0
	r.transitOK = false
}

// update is update_seq of RFC 3550 appendix A.1, without the probation: the source was authenticated by address or SRTP.
func (r *Receiver) update(sequence uint16) bool {
	delta := sequence - r.maxSeq
	switch {
	case delta < maxDropout:
		if sequence < r.maxSeq {
			r.cycles += 1 << 16
		}
		r.maxSeq = sequence
	case uint32(delta) <= 1<<16-maxMisorder:
		// A large jump counts only when the next packet confirms it.
		if uint32(sequence) != r.bad {
			r.bad = (uint32(sequence) + 1) & 0xffff
			return false
		}
		r.restart(sequence)
	}
	return true
}

// measure is appendix A.8, over the arrival difference of two packets so that no common epoch is needed.
func (r *Receiver) measure(timestamp uint32, arrival time.Time) {
	if r.transitOK {
		spaced := float64(arrival.Sub(r.transitAt)) * float64(r.clock) / float64(time.Second)
		d := spaced - float64(int32(timestamp-r.transitTS))
		if d < 0 {
			d = -d
		}
		// A pause of the sender or a new clock is no jitter.
		if d < 10*float64(r.clock) {
			r.jitter += (d - r.jitter) / 16
		}
	}
	r.transitTS, r.transitAt, r.transitOK = timestamp, arrival, true
}

// Reject counts a packet that was malformed, from a wrong source, not authentic or replayed.
func (r *Receiver) Reject() {
	r.mu.Lock()
	r.rejected++
	r.mu.Unlock()
}

// Late counts a packet that came too late to be used.
func (r *Receiver) Late() {
	r.mu.Lock()
	r.late++
	r.mu.Unlock()
}

func (r *Receiver) extended() uint32 { return r.cycles + uint32(r.maxSeq) }

// lost is appendix A.3, never negative: duplicates must not hide loss from a person reading it.
func (r *Receiver) lost() uint32 {
	expected := uint64(r.extended() - r.base + 1)
	if !r.begun || r.received >= expected {
		return 0
	}
	return uint32(expected - r.received)
}

// LastReceived is when the last packet came; zero before the first.
func (r *Receiver) LastReceived() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// FillStats writes the receiving side's counters into s.
func (r *Receiver) FillStats(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Received = r.earlier + r.received
	s.Lost = r.earlierLost + uint64(r.lost())
	s.Late = r.late
	s.Rejected = r.rejected
	s.Jitter = time.Duration(r.jitter * float64(time.Second) / float64(r.clock))
	s.RTT = r.rtt
	s.RemoteLoss = -1
	if r.remoteLossMeasured {
		s.RemoteLoss = r.remoteLoss
	}
	s.FirstReceived = r.first
}
