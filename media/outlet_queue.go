package media

import "time"

const (
	// queueFrames is 300 ms of 20 ms frames: what may wait for the gate.
	queueFrames = 15
	// slotBytes is what each place holds from the start (60 ms of G.711); a larger frame grows its place once.
	slotBytes = 480
	// burst is how close together frames of one split packet come.
	burst = 5 * time.Millisecond
	// standing is how long a queue may stay filled before it is drained faster than real time. A 60 ms packet split in
	// three is gone after 40 ms; longer means delay that would never go away by itself.
	standing = 80 * time.Millisecond
)

type queuedFrame struct {
	frame   Frame
	arrived time.Time
	buf     []byte
}

// frameQueue is a fixed ring of copied frames. Beyond its size the oldest goes.
type frameQueue struct {
	slots    [queueFrames]queuedFrame
	head, n  int
	nextAt   time.Time // when the head may leave
	since    time.Time // when the queue became non-empty; being empty for an instant doesn't count
	emptied  time.Time
	draining bool // the gate just opened: faster than real time until empty
}

func (q *frameQueue) init() {
	mem := make([]byte, queueFrames*slotBytes)
	for i := range q.slots {
		q.slots[i].buf = mem[i*slotBytes : i*slotBytes : (i+1)*slotBytes]
	}
}

func (q *frameQueue) clear() { q.head, q.n = 0, 0 }

// push copies f to the tail and reports whether the oldest frame had to go for it.
func (q *frameQueue) push(f *Frame, now time.Time) (dropped bool) {
	if q.n == 0 && now.Sub(q.emptied) > burst {
		q.since = now
	}
	if q.n == queueFrames {
		q.drop()
		dropped = true
	}
	s := &q.slots[(q.head+q.n)%queueFrames]
	s.buf = append(s.buf[:0], f.Payload...)
	s.frame = *f
	s.frame.Payload = s.buf
	s.arrived = now
	q.n++
	return dropped
}

func (q *frameQueue) drop() {
	q.head = (q.head + 1) % queueFrames
	q.n--
}

// early reports whether f belongs to audio that lies ahead: it came together with the frame before it and the line is
// already past the clock. Frames of a late burst are behind the clock and go at once.
func (o *Outlet) early(f *Frame, now time.Time) bool {
	dur := o.cfg.Format.Codec.Duration(f.Ticks)
	return o.line.begun && now.Sub(o.line.lastReal) < burst && o.line.end.Sub(now) >= dur*3/4
}

func (o *Outlet) enqueue(f *Frame, now time.Time) {
	empty := o.queue.n == 0
	if o.queue.push(f, now) {
		o.count.dropped++
	}
	if empty {
		// Its place on the line, but never more than its own length from now: silence may have pushed the line far ahead.
		o.queue.nextAt = o.line.lastReal.Add(o.interval(f, now))
		if o.line.end.Before(o.queue.nextAt) {
			o.queue.nextAt = o.line.end
		}
	}
}

// interval is how long after f left the next may leave: its length, or half of that while too many wait or have for long.
func (o *Outlet) interval(f *Frame, now time.Time) time.Duration {
	d := o.cfg.Format.Codec.Duration(f.Ticks)
	if o.queue.draining || o.queue.n > 2 || now.Sub(o.queue.since) > standing {
		d /= 2
	}
	return d
}

// advanceQueue sends the frames whose time has come.
func (o *Outlet) advanceQueue(now time.Time) {
	if !o.open() || o.events.active {
		return
	}
	for o.queue.n > 0 && !now.Before(o.queue.nextAt) {
		s := &o.queue.slots[o.queue.head]
		o.queue.drop() // the slot stays untouched until the next push
		o.sendReal(&s.frame, now, s.arrived)
		interval := o.interval(&s.frame, now)
		// From the planned moment, so that a late timer doesn't stretch the pace; but never a burst.
		if late := now.Sub(o.queue.nextAt); late > interval/2 {
			o.queue.nextAt = now
		}
		o.queue.nextAt = o.queue.nextAt.Add(interval)
		o.queue.emptied = now
	}
	if o.queue.n == 0 {
		o.queue.draining = false
	}
}
