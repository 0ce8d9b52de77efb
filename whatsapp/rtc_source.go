package whatsapp

import (
	"time"

	"deskbridge/media"

	"github.com/pion/rtcp"
)

// sourceStats counts what arrives from one source as RFC 3550 appendix A.1, A.3 and A.8 say.
type sourceStats struct {
	first          time.Time
	total, expBase uint64 // packets received, and those expected from former sources
	lost           int64  // of former sources

	begun              bool
	base, max          uint16
	cycles             uint32
	received           uint64
	transit            time.Duration
	jitter             float64 // ns
	priorExp, priorRec uint64
}

func (c *sourceStats) update(p *media.Packet) {
	if c.first.IsZero() {
		c.first = p.Arrival
	}
	transit := p.Arrival.Sub(c.first) - media.Opus.Duration(p.Timestamp)
	if !c.begun {
		c.begun, c.base, c.max, c.transit = true, p.Sequence, p.Sequence, transit
	}
	if d := p.Sequence - c.max; d != 0 && d < 1<<15 {
		if p.Sequence < c.max {
			c.cycles += 1 << 16
		}
		c.max = p.Sequence
	}
	d := transit - c.transit
	c.transit = transit
	if d > -time.Second && d < time.Second { // else the timestamp wrapped or jumped
		c.jitter += (max(float64(d), -float64(d)) - c.jitter) / 16
	}
	c.received++
	c.total++
}

func (c *sourceStats) expected() uint64 {
	if !c.begun {
		return 0
	}
	return uint64(c.cycles) + uint64(c.max) - uint64(c.base) + 1
}

// resync begins a new source; the totals go on.
func (c *sourceStats) resync() {
	*c = sourceStats{first: c.first, total: c.total, lost: c.allLost()}
}

func (c *sourceStats) allLost() int64 { return c.lost + int64(c.expected()) - int64(c.received) }

func (c *sourceStats) block() rtcp.ReceptionReport {
	exp, rec := c.expected()-c.priorExp, c.received-c.priorRec
	c.priorExp, c.priorRec = c.expected(), c.received
	b := rtcp.ReceptionReport{
		TotalLost:          uint32(min(max(int64(c.expected())-int64(c.received), 0), 0x7fffff)),
		LastSequenceNumber: c.cycles + uint32(c.max),
		Jitter:             media.Opus.Ticks(time.Duration(c.jitter)),
	}
	if exp > rec {
		b.FractionLost = uint8(min((exp-rec)*256/exp, 255))
	}
	return b
}

func (c *sourceStats) fill(st *media.Stats) {
	st.Received, st.Lost = c.total, uint64(max(c.allLost(), 0))
	st.Jitter, st.FirstReceived = time.Duration(c.jitter), c.first
}
