package media

import (
	"time"

	"github.com/pion/rtp"
)

const (
	// follow is how slowly the clock base follows the source: 1/128 of the difference per frame, about 2.5 s. Fast enough
	// for the skew of two sound cards, slow enough to average jitter.
	follow = 128
	// maxFillBurst bounds the silence sent at once after the process itself was held up.
	maxFillBurst = 10
)

// line is the RTP position: what the next packet will carry, and the wall-clock moment at which its audio begins.
type line struct {
	header rtp.Header
	seq    uint16
	ts     uint32

	begun    bool
	end      time.Time // the audio sent so far lasts until then
	lastReal time.Time // when the last frame of real audio left
	filling  bool      // silence is standing in: one per ptime
	filled   uint32    // ticks of silence (or digit) sent since the last real frame
	marker   bool      // mark the next packet: the timestamp jumped
}

// jump moves the timestamp over quiet time that was not filled.
func (l *line) jump(f Format, now time.Time) {
	if frames := int64(now.Sub(l.end) / f.PTime); frames > 0 {
		l.ts += uint32(frames) * f.Codec.Ticks(f.PTime)
		l.end = l.end.Add(time.Duration(frames) * f.PTime)
		l.marker = true
	}
}

// sendReal sends a frame of the source, with the gap before it. arrived is when it reached us.
func (o *Outlet) sendReal(f *Frame, now, arrived time.Time) {
	l := &o.line
	if f.Concealed && l.filled >= f.Ticks {
		l.filled -= f.Ticks // silence was already sent in its place
		return
	}
	dur := o.cfg.Format.Codec.Duration(f.Ticks)
	if !l.begun {
		l.end = arrived
	} else {
		o.skipLost(f, dur)
		if !o.cfg.Fill && now.Sub(l.end) >= o.cfg.FillAfter {
			l.jump(o.cfg.Format, now)
		}
	}
	if o.count.firstSent.IsZero() {
		o.count.firstSent = now
	}
	o.emit(f.Payload, f.Ticks, f.Marker || l.marker)
	l.filling = false
	l.lastReal = now
	if !f.Concealed {
		l.filled = 0
	}
	if now.Equal(arrived) {
		// The source's clock is not ours. Without this the difference would add up to a false quiet (or never be one).
		l.end = l.end.Add(now.Add(dur).Sub(l.end) / follow)
	}
}

// skipLost leaves out the numbers of frames lost on the source's side, except those silence was sent for.
func (o *Outlet) skipLost(f *Frame, dur time.Duration) {
	lost := uint32(f.Lost) * f.Ticks
	if lost <= o.line.filled {
		return
	}
	frames := (lost - o.line.filled + f.Ticks/2) / f.Ticks
	o.line.seq += uint16(frames)
	o.line.ts += frames * f.Ticks
	o.line.end = o.line.end.Add(time.Duration(frames) * dur)
}

// emit writes one audio packet and moves the line behind it.
func (o *Outlet) emit(payload []byte, ticks uint32, marker bool) {
	o.line.begun = true
	o.write(payload, o.cfg.PayloadType, o.line.ts, marker)
	o.line.marker = false
	o.line.ts += ticks
	o.line.end = o.line.end.Add(o.cfg.Format.Codec.Duration(ticks))
}

// write sends one packet of either kind. A packet that could not be sent keeps its number: to the far end it is lost.
func (o *Outlet) write(payload []byte, payloadType uint8, ts uint32, marker bool) {
	h := &o.line.header
	h.PayloadType = payloadType
	h.SequenceNumber = o.line.seq
	h.Timestamp = ts
	h.Marker = marker
	o.line.seq++
	if err := o.cfg.Write(h, payload); err != nil {
		o.count.errors++
		return
	}
	o.count.sent++
	o.count.octets += uint64(len(payload))
}

// fillTicks is the length of a filler frame.
func (o *Outlet) fillTicks() uint32 {
	if o.cfg.Format.Codec == Opus {
		return opusFrameTicks
	}
	return o.cfg.Format.Codec.Ticks(o.cfg.Format.PTime)
}

// fillDue is when silence must begin or go on.
func (o *Outlet) fillDue() time.Time {
	if o.line.filling {
		return o.line.end
	}
	return o.line.end.Add(o.cfg.FillAfter)
}

// advanceFill sends the silence that is due: first what the line is behind, then one frame per ptime.
func (o *Outlet) advanceFill(now time.Time) {
	l := &o.line
	if !o.cfg.Fill || o.events.active || o.queue.n > 0 || !(l.begun || l.filling) || now.Before(o.fillDue()) {
		return
	}
	ticks := o.fillTicks()
	silence := SilenceFrame(o.cfg.Format.Codec, ticks)
	l.filling = true
	for i := 0; !now.Before(l.end); i++ {
		if i == maxFillBurst {
			l.end = now.Add(o.cfg.Format.Codec.Duration(ticks))
			return
		}
		o.emit(silence, ticks, false)
		o.count.filler++
		l.filled += ticks
	}
}

// advance does everything that is due.
func (o *Outlet) advance(now time.Time) {
	if !o.open() {
		return
	}
	o.advanceEvent(now)
	o.advanceQueue(now)
	o.startEvent(now)
	o.advanceFill(now)
}

// due is when there is next something to do.
func (o *Outlet) due(now time.Time) (time.Time, bool) {
	switch {
	case !o.open():
		return time.Time{}, false
	case o.events.active:
		return o.events.next, true
	case o.queue.n > 0:
		return o.queue.nextAt, true
	}
	var at time.Time
	ok := false
	if o.cfg.Fill && (o.line.begun || o.line.filling) {
		at, ok = o.fillDue(), true
	}
	if o.events.n > 0 {
		if start := o.events.free; !ok || start.Before(at) {
			at, ok = start, true
		}
	}
	return at, ok
}

// arm sets the timer for the next thing to do. A timer that is set earlier stays: it looks again when it fires, which is
// cheaper than moving it with every packet.
func (o *Outlet) arm(now time.Time) {
	at, ok := o.due(now)
	if !ok || o.armed && !at.Before(o.armedAt) {
		return
	}
	o.armed, o.armedAt = true, at
	d := max(at.Sub(now), 0)
	if o.timer == nil {
		o.timer = time.AfterFunc(d, o.fire)
		return
	}
	o.timer.Reset(d)
}

// fire is the timer's goroutine. A panic ends this line only.
func (o *Outlet) fire() {
	defer func() {
		if v := recover(); v != nil {
			o.Close()
			if o.cfg.Panicked != nil {
				o.cfg.Panicked(v)
			}
		}
	}()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	now := time.Now()
	o.advance(now)
	o.arm(now)
}
