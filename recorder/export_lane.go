package recorder

import (
	"slices"

	"deskbridge/media"
)

const (
	// window is how long a packet's place is kept for it, and how far a lane looks ahead to tell jitter from a lasting change.
	window = 2 * ticksPerSecond
	// glance is how long after a packet's arrival the packets behind it are watched at the least.
	glance = window / 8
	// maxWaiting bounds the packets of the window: 2 s of 2.5 ms packets.
	maxWaiting = 1024
	// lasting is the least change of delay that, after a pause as long, is a stop of the sender's timestamps and not jitter.
	lasting = 60 * ticksPerMS
)

// waiting is a packet in the window.
type waiting struct {
	run     uint32
	fixed   bool // want is final: its run is over
	codec   media.Codec
	media   int64 // ticks since the run began
	at      int64 // arrival
	pause   int64 // arrival minus that of the packet before
	want    int64 // where it belongs, once fixed
	payload []byte
}

// lane puts one side's packets in order and on the grid.
type lane struct {
	placer
	clock   senderClock
	run     uint32
	codec   media.Codec
	last    int64     // arrival of the newest packet
	waiting []waiting // by run and media time; those beyond len keep their buffers
	history [warmUp]slab
	silent  int  // gap slots since the last audio taken
	heard   form // of the last audio taken
}

// receive takes a packet that arrived at this time.
func (l *lane) receive(p *Packet, at int64) {
	switch {
	case p.Codec != media.Opus && p.Codec != media.PCMA && p.Codec != media.PCMU || len(p.Payload) == 0 || len(p.Payload) > media.MaxPayload:
		l.stats.Malformed++
		return
	case len(l.waiting) == maxWaiting:
		l.pop()
	}
	pause := at - l.last
	l.last = max(l.last, at)
	position, ok := int64(0), false
	if p.Codec == l.codec {
		position, ok = l.clock.follow(p, at)
	}
	if !ok {
		l.settle()
		l.run++
		l.codec = p.Codec
		l.clock.begin(p, scale(p.Codec), at)
	}
	i := len(l.waiting)
	for i > 0 && l.waiting[i-1].run == l.run && l.waiting[i-1].media >= position {
		i--
	}
	if i < len(l.waiting) && l.waiting[i].run == l.run && l.waiting[i].media == position {
		l.stats.Duplicate++
		return
	}
	w := l.insert(i)
	*w = waiting{run: l.run, codec: p.Codec, media: position, at: at, pause: pause, payload: append(w.payload[:0], p.Payload...)}
}

// insert opens a place at i and keeps its buffer.
func (l *lane) insert(i int) *waiting {
	n := len(l.waiting)
	if n < cap(l.waiting) {
		l.waiting = l.waiting[:n+1]
	} else {
		l.waiting = append(l.waiting, waiting{})
	}
	spare := l.waiting[n]
	copy(l.waiting[i+1:], l.waiting[i:n])
	l.waiting[i] = spare
	return &l.waiting[i]
}

// settle fixes the places of a run that is over.
func (l *lane) settle() {
	if len(l.waiting) == 0 {
		return
	}
	offset := l.clock.offset()
	for i := range l.waiting {
		if w := &l.waiting[i]; !w.fixed {
			w.fixed, w.want = true, w.media+offset
		}
	}
}

// want returns where a packet belongs, in our time.
func (l *lane) want(w *waiting) int64 {
	if w.fixed {
		return w.want
	}
	return w.media + l.clock.offset()
}

// due returns where the first waiting packet belongs once nothing can come before it any more.
func (l *lane) due(now int64) (want int64, ok bool) {
	if len(l.waiting) == 0 {
		return 0, false
	}
	w := &l.waiting[0]
	if want = l.want(w); want > now-window || w.at > now-glance {
		return want, false
	}
	if l.resumed(w, want) {
		want = l.want(w)
		return want, want <= now-window
	}
	return want, true
}

// resumed reports that the sender's timestamps stood still before this packet, and then counts the run's place anew: it came
// after a pause, and all that came since is as late as it is.
func (l *lane) resumed(w *waiting, want int64) bool {
	late := w.at - want
	if w.fixed || late < lasting || w.pause < lasting {
		return false
	}
	for i := range l.waiting {
		if o := &l.waiting[i]; o.run == w.run && o.at >= w.at {
			late = min(late, o.at-(o.media+want-w.media))
		}
	}
	if late < lasting || w.pause < late {
		return false
	}
	l.clock.forget()
	for i := range l.waiting {
		if o := &l.waiting[i]; o.run == w.run && o.at >= w.at {
			l.clock.note(l.last, o.at-o.media)
		}
	}
	return true
}

// pop places the first waiting packet.
func (l *lane) pop() {
	w := &l.waiting[0]
	l.packet(w, l.want(w))
	first := l.waiting[0]
	copy(l.waiting, l.waiting[1:])
	l.waiting[len(l.waiting)-1] = first // its buffer
	l.waiting = l.waiting[:len(l.waiting)-1]
}

// fill makes gaps of slots for which nothing can come any more.
func (l *lane) fill(now int64) {
	until := now - window
	if len(l.waiting) > 0 {
		until = min(until, l.want(&l.waiting[0]))
	}
	if n := (until - l.origin - l.position()) / slotTicks; n > 0 {
		l.gap(int(n))
		l.filled = true
	}
}

// take forgets slots that were written, and remembers what is needed to take up decoding after them.
func (l *lane) take(slots int) {
	for n := slots; n > 0; {
		if len(l.queue.slabs) == 0 { // after the end
			l.silent += n
			return
		}
		s := &l.queue.slabs[0]
		k := min(n, s.slots-l.queue.used)
		if s.gap() {
			l.silent += k
		} else {
			l.silent, l.heard = 0, s.form
		}
		l.queue.drop(k, l.remember)
		n -= k
	}
}

func (l *lane) remember(s *slab) {
	if s.gap() {
		return
	}
	first := l.history[0]
	copy(l.history[:], l.history[1:])
	first.set(s)
	l.history[warmUp-1] = first
}

// clone copies the lane.
func (l *lane) clone() lane {
	c := *l
	c.queue = l.queue.clone()
	c.part = slab{}
	c.part.set(&l.part)
	c.waiting = slices.Clone(l.waiting)
	for i := range c.waiting {
		c.waiting[i].payload = slices.Clone(c.waiting[i].payload)
	}
	for i := range c.history {
		c.history[i] = slab{}
		c.history[i].set(&l.history[i])
	}
	c.frames = nil
	return c
}
