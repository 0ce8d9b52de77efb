package media

import (
	"encoding/binary"
	"time"
)

const (
	digitLength   = 100 * time.Millisecond
	digitInterval = 20 * time.Millisecond
	// digitPackets: five of 20 ms, and the last one twice more (RFC 4733 §2.5.1.4). All go at the packet interval, so over
	// the whole event sequence and timestamp advance as they do for audio.
	digitPackets = int(digitLength/digitInterval) + 2
	digitGap     = digitInterval // after the last repeat, so 60 ms after the event itself
	maxDigits    = 32
	digitVolume  = 10 // -10 dBm0
)

// digitQueue holds the digits to send and the one being sent.
type digitQueue struct {
	digits  [maxDigits]Digit
	head, n int
	active  bool
	code    byte
	sent    int
	start   uint32    // timestamp of the event
	next    time.Time // next packet, or the end of the event
	free    time.Time // no new event before
	payload [4]byte
}

func (q *digitQueue) clear() { q.head, q.n, q.active = 0, 0, false }

// SendDigit queues one digit. Audio is suppressed while it is sent and the line goes on behind it.
func (o *Outlet) SendDigit(d Digit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := &o.events
	if _, ok := d.event(); !ok || o.closed || o.paused || o.cfg.Digits == nil || q.n == maxDigits {
		o.count.digitsDropped++
		return
	}
	q.digits[(q.head+q.n)%maxDigits] = d
	q.n++
	now := time.Now()
	o.advance(now)
	o.arm(now)
}

// startEvent begins the next digit once the audio queued before it has left.
func (o *Outlet) startEvent(now time.Time) {
	q := &o.events
	if q.n == 0 || q.active || o.queue.n > 0 || now.Before(q.free) || o.cfg.Digits == nil {
		return
	}
	l := &o.line
	if !l.begun {
		l.begun, l.end = true, now
	} else if !o.cfg.Fill && now.Sub(l.end) >= o.cfg.FillAfter {
		l.jump(o.cfg.Format, now)
	}
	q.code, _ = q.digits[q.head].event()
	q.head = (q.head + 1) % maxDigits
	q.n--
	q.active, q.sent, q.start, q.next = true, 0, l.ts, now
	o.advanceEvent(now)
}

// advanceEvent sends the packets of the running event that are due.
func (o *Outlet) advanceEvent(now time.Time) {
	q := &o.events
	for q.active && !now.Before(q.next) {
		if q.sent == digitPackets {
			o.finishEvent()
			return
		}
		q.sent++
		o.writeEvent()
		q.next = q.next.Add(digitInterval)
	}
}

func (o *Outlet) writeEvent() {
	q := &o.events
	length := min(time.Duration(q.sent)*digitInterval, digitLength)
	q.payload[0] = q.code
	q.payload[1] = digitVolume
	if length == digitLength {
		q.payload[1] |= 0x80 // E
	}
	binary.BigEndian.PutUint16(q.payload[2:], uint16(int64(length)*int64(o.cfg.Digits.ClockRate)/int64(time.Second)))
	o.write(q.payload[:], o.cfg.Digits.PayloadType, q.start, q.sent == 1)
}

// finishEvent moves the line behind the event. Audio the source lost or had concealed meanwhile is covered by it.
func (o *Outlet) finishEvent() {
	q := &o.events
	if !q.active {
		return
	}
	q.active = false
	length := time.Duration(q.sent) * digitInterval
	ticks := o.cfg.Format.Codec.Ticks(length)
	o.line.ts = q.start + ticks
	o.line.end = o.line.end.Add(length)
	o.line.filled += ticks
	q.free = q.next.Add(digitGap)
}
