package recorder

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
	media     int64  // the same as ticks since the run began
	scale     int64  // 48 kHz ticks per tick of the RTP clock
	transit   int64  // arrival minus media of the newest packet
	second    int64  // that the newest bucket counts
	buckets   [clockBuckets]int64
}

// begin starts a run at a packet.
func (c *senderClock) begin(timestamp uint32, scale, at int64) {
	*c = senderClock{timestamp: timestamp, scale: scale, transit: at, second: at / ticksPerSecond}
	c.forget()
	c.note(at, at)
}

func (c *senderClock) forget() {
	for i := range c.buckets {
		c.buckets[i] = never
	}
}

// follow places the next packet on the run's media time. ok is false when it cannot belong to this run.
func (c *senderClock) follow(timestamp uint32, at int64) (media int64, ok bool) {
	media = c.media + int64(int32(timestamp-c.timestamp))*c.scale
	transit := at - media
	if d := transit - c.transit; d > clockReach || d < -clockReach {
		return 0, false
	}
	if media > c.media {
		c.timestamp, c.media, c.transit = timestamp, media, transit
	}
	c.note(at, transit)
	return media, true
}

// note counts one packet's transit.
func (c *senderClock) note(at, transit int64) {
	second := at / ticksPerSecond
	for c.second < second {
		if second-c.second > clockBuckets {
			c.second = second - clockBuckets
		}
		c.second++
		c.buckets[c.second%clockBuckets] = never
	}
	b := &c.buckets[c.second%clockBuckets]
	*b = min(*b, transit)
}

// offset returns what to add to media time to get our time.
func (c *senderClock) offset() int64 {
	least := never
	for _, b := range c.buckets {
		least = min(least, b)
	}
	return least
}
