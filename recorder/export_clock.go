package recorder

import "slices"

// All times of an export are ticks of Opus's 48 kHz clock, whatever clock the sender's RTP timestamps had.
const (
	ticksPerSecond = 48000
	slotTicks      = 960 // 20 ms: the grid on which both sides lie
	ticksPerMS     = ticksPerSecond / 1000
)

const (
	// clockReach is how far the arrival of a packet may leave the line of its timestamps before we take it for another line: a
	// new SSRC, or timestamps that stood still during a pause. It is also how late a packet may come and still get its place.
	clockReach = 2 * ticksPerSecond
	// maxOverdue is how far behind the newest packet's time one with an older number may be.
	maxOverdue = 30 * ticksPerSecond
	// rewound packets in a row with older numbers begin a new run.
	rewound = 3
	// clockBuckets seconds are looked at for the least delayed packet.
	clockBuckets = 12
	never        = int64(1) << 62
)

// senderClock maps the timestamps of one run of packets to our time. Timestamps say exactly how packets lie to each other;
// arrival says where the run lies, and how fast the sender's clock is. A packet comes late as often as the network likes and
// never early, so the least delayed packet of the last seconds tells (the minimum filter of clock synchronisation); jitter does
// not reach it, and a clock that is off by 500 ppm moves it by 6 ms within the window, which is what we then are off.
type senderClock struct {
	timestamp uint32 // of the newest packet, RTP clock
	sequence  uint16
	media     int64 // the same as ticks since the run began
	scale     int64 // 48 kHz ticks per tick of the RTP clock
	transit   int64 // arrival minus media of the newest packet
	overdue   int   // packets in a row
	second    int64 // that the newest bucket counts
	buckets   [clockBuckets]int64
	least     int64 // of the buckets
}

// begin starts a run at a packet.
func (c *senderClock) begin(p *Packet, scale, at int64) {
	*c = senderClock{timestamp: p.Timestamp, sequence: p.Sequence, scale: scale, transit: at, second: at / ticksPerSecond}
	c.forget()
	c.note(at, at)
}

func (c *senderClock) forget() {
	for i := range c.buckets {
		c.buckets[i] = never
	}
	c.least = never
}

// follow places the next packet on the run's media time. ok is false when it cannot belong to this run.
func (c *senderClock) follow(p *Packet, at int64) (media int64, ok bool) {
	media = c.media + int64(int32(p.Timestamp-c.timestamp))*c.scale
	transit := at - media
	if d := transit - c.transit; d > clockReach || d < -clockReach {
		// Some packets with older numbers are late, however late they are. More of them are a sender that began again.
		c.overdue++
		if c.overdue < rewound && media < c.media && media > c.media-maxOverdue && int16(p.Sequence-c.sequence) < 0 {
			return media, true
		}
		return 0, false
	}
	c.overdue = 0
	if media > c.media {
		c.timestamp, c.sequence, c.media, c.transit = p.Timestamp, p.Sequence, media, transit
	}
	c.note(at, transit)
	return media, true
}

// note counts one packet's transit.
func (c *senderClock) note(at, transit int64) {
	second := at / ticksPerSecond
	if c.second < second {
		c.turn(second)
	}
	b := &c.buckets[c.second%clockBuckets]
	*b = min(*b, transit)
	c.least = min(c.least, transit)
}

// turn begins the bucket of a second.
func (c *senderClock) turn(second int64) {
	c.second = max(c.second, second-clockBuckets)
	for c.second < second {
		c.second++
		c.buckets[c.second%clockBuckets] = never
	}
	c.least = slices.Min(c.buckets[:])
}

// offset returns what to add to media time to get our time.
func (c *senderClock) offset() int64 { return c.least }
