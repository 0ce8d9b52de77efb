package sip

import (
	"math"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"deskbridge/media"
)

// reception counts what arrives, after RFC 3550 appendix A.1, A.3 and A.8. The reader goroutine writes; the lock is the
// session's own and is otherwise taken once in seconds.
type reception struct {
	mu      sync.Mutex
	first   time.Time
	packets uint64

	ssrc     uint32
	baseSeq  uint16
	maxSeq   uint16
	cycles   uint32
	received uint32 // of this SSRC
	gone     uint64 // lost before the current SSRC or jump
	transit  int64  // arrival minus timestamp, in the clock's ticks
	jitter   float64
	clock    int

	priorExpected, priorReceived uint32 // at the last report
}

// note counts one packet, audio or digit: they share the sequence numbers. It reports whether the stream began anew: a new
// SSRC, or numbers that have nothing to do with the last ones.
func (c *reception) note(ssrc uint32, seq uint16, ts uint32, clock int, now time.Time, timed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.packets == 0 {
		c.first = now
	}
	c.packets++
	const maxDropout, maxMisorder = 3000, 100
	ahead := seq - c.maxSeq
	switch {
	case c.packets == 1 || ssrc != c.ssrc || ahead >= maxDropout && ahead <= math.MaxUint16-maxMisorder:
		c.restart(ssrc, seq)
	case ahead < maxDropout:
		if seq < c.maxSeq {
			c.cycles += 1 << 16
		}
		c.maxSeq = seq
	}
	c.received++
	if !timed {
		return
	}
	transit := int64(now.Sub(epoch))*int64(clock)/int64(time.Second) - int64(ts)
	if c.clock == clock && c.received > 1 {
		// The timestamp wraps every 26 hours at 48 kHz: only the difference modulo 2^32 means anything.
		d := float64(int32(uint32(transit) - uint32(c.transit)))
		c.jitter += (math.Abs(d) - c.jitter) / 16
	}
	c.transit, c.clock = transit, clock
}

func (c *reception) restart(ssrc uint32, seq uint16) {
	if c.packets > 1 {
		c.gone += uint64(max(0, int64(c.expected())-int64(c.received)))
	}
	c.ssrc, c.baseSeq, c.maxSeq, c.cycles = ssrc, seq, seq, 0
	c.received, c.priorExpected, c.priorReceived, c.clock = 0, 0, 0, 0
}

func (c *reception) expected() uint32 { return c.cycles + uint32(c.maxSeq) - uint32(c.baseSeq) + 1 }

// lost is never negative: duplicates do not make up for losses.
func (c *reception) lost() int64 { return max(0, int64(c.expected())-int64(c.received)) }

func (c *reception) fillStats(st *media.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.packets == 0 {
		return
	}
	st.Received, st.FirstReceived = c.packets, c.first
	st.Lost = c.gone + uint64(c.lost())
	if c.clock > 0 {
		st.Jitter = time.Duration(c.jitter * float64(time.Second) / float64(c.clock))
	}
}

// report makes the report block on what arrived since the last one.
func (c *reception) report() (rtcp.ReceptionReport, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.packets == 0 {
		return rtcp.ReceptionReport{}, false
	}
	expected := c.expected()
	e, r := expected-c.priorExpected, c.received-c.priorReceived
	c.priorExpected, c.priorReceived = expected, c.received
	var fraction uint8
	if e > r && e > 0 {
		fraction = uint8(min((e-r)*256/e, 255))
	}
	return rtcp.ReceptionReport{
		SSRC: c.ssrc, FractionLost: fraction, TotalLost: uint32(min(c.lost(), 0x7fffff)),
		LastSequenceNumber: c.cycles + uint32(c.maxSeq), Jitter: uint32(c.jitter),
	}, true
}
