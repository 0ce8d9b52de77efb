package recorder

import (
	"errors"
	"fmt"
	"io"
	"time"

	"deskbridge/media"
)

// maxExport is the longest recording that is exported: four days are not a call.
const maxExport = 100 * time.Hour

// opusDelay is how long before its sound an encoder's packet begins: libopus looks ahead 6.5 ms in the settings that telephones
// use, and RFC 7845 §4.2 has players drop it.
const opusDelay = 312

// timeline reads a Source and lays both sides on one grid of 20 ms slots, in the time of our clock since the recording began.
type timeline struct {
	src     Source
	left    int64 // packets still to read; what is appended later does not change an export under way
	read    int64 // packets
	now     int64 // the newest arrival
	length  int64 // of the call, in ticks; 0: until the last packet ends
	started bool  // the origin is known
	ended   bool
	total   int64  // slots, once ended
	id      uint32 // differs from recording to recording, and not from reading to reading
	taken   int64  // slots
	packet  Packet // at hand
	lanes   [2]lane
}

func newTimeline(src Source, length time.Duration) *timeline {
	return &timeline{src: src, left: never, length: ticksOf(length)}
}

// ticksOf counts d in 48 kHz ticks. It is exact to the microsecond and does not overflow.
func ticksOf(d time.Duration) int64 { return int64(d/time.Microsecond) * 6 / 125 }

// line is the timeline itself, for those that embed one.
func (t *timeline) line() *timeline { return t }

// copied copies the timeline. The copy has no source.
func (t *timeline) copied() *timeline {
	c := *t
	c.src, c.packet = nil, Packet{}
	for i := range c.lanes {
		c.lanes[i] = t.lanes[i].clone()
	}
	return &c
}

// mark names the packet that is read next.
func (t *timeline) mark() int64 {
	if r, ok := t.src.(Resumer); ok {
		return r.Mark()
	}
	return t.read
}

// resume brings a fresh source to where this timeline left another, which it marked.
func (t *timeline) resume(mark int64) error {
	if r, ok := t.src.(Resumer); ok {
		if err := r.Resume(mark); err != nil {
			return fmt.Errorf("resume recording: %w", err)
		}
		return nil
	}
	var p Packet
	for range t.read {
		if err := t.src.Next(&p); err != nil {
			return fmt.Errorf("resume recording after %d packets: %w", t.read, err)
		}
	}
	return nil
}

// need reads until both sides have this many slots to take, or the recording has ended: then what is missing is a gap.
func (t *timeline) need(slots int) error {
	for !t.ended && (t.lanes[0].queue.slots < slots || t.lanes[1].queue.slots < slots) {
		if err := t.pull(); err != nil {
			return err
		}
	}
	return nil
}

// pull reads one packet and places what is due.
func (t *timeline) pull() error {
	p := &t.packet
	if t.left == 0 {
		t.finish()
		return nil
	}
	switch err := t.src.Next(p); {
	case errors.Is(err, io.EOF):
		t.finish()
		return nil
	case err != nil:
		return fmt.Errorf("read recording: %w", err)
	}
	if t.read == 0 {
		t.id = p.Timestamp ^ uint32(p.Sequence)<<16 // both chosen at random by the sender
	}
	t.left--
	t.read++
	if p.Side > Agent || p.At < 0 || p.At > maxExport {
		return fmt.Errorf("read recording: packet %d of side %d at %v: not of a call of at most %v", t.read, p.Side, p.At, maxExport)
	}
	at := ticksOf(p.At)
	t.now = max(t.now, at)
	t.lanes[p.Side].receive(p, at)
	t.advance(t.now)
	if t.started {
		t.lanes[0].fill(t.now)
		t.lanes[1].fill(t.now)
	}
	return nil
}

// advance places all packets whose turn has come, on both sides in the order of time.
func (t *timeline) advance(now int64) {
	for {
		a, aDue := t.lanes[0].due(now)
		b, bDue := t.lanes[1].due(now)
		side, want := 0, a
		if !aDue || bDue && b < a {
			side, want = 1, b
		}
		if !aDue && !bDue {
			break
		}
		t.start(want)
		l := &t.lanes[side]
		l.other = t.lanes[1-side].err
		l.pop()
	}
}

// start lays the grid so that the first packet of all lies on it exactly. Slot 0 begins at most a slot before the recording.
func (t *timeline) start(want int64) {
	if t.started {
		return
	}
	t.started = true
	origin := (max(want, 0)+slotTicks-1)%slotTicks - slotTicks + 1
	t.lanes[0].origin, t.lanes[1].origin = origin, origin
	if t.length > 0 {
		t.setTotal()
	}
}

// finish places what is left.
func (t *timeline) finish() {
	t.ended = true
	t.advance(never)
	end := int64(0)
	for i := range t.lanes {
		l := &t.lanes[i]
		l.flush()
		end = max(end, l.slots*slotTicks+l.origin)
	}
	if t.length == 0 {
		t.length = end
	}
	t.setTotal()
}

func (t *timeline) setTotal() { t.total = max((t.length+t.preSkip()+slotTicks-1)/slotTicks, 1) }

// preSkip returns the samples at 48 kHz before the recording's beginning.
func (t *timeline) preSkip() int64 { return opusDelay - t.lanes[0].origin }

// over reports that all slots were taken. need comes first.
func (t *timeline) over() bool { return t.total > 0 && t.taken >= t.total }

// take forgets slots of both sides.
func (t *timeline) take(slots int) {
	t.taken += int64(slots)
	t.lanes[0].take(slots)
	t.lanes[1].take(slots)
}

// flat reports that the codec is one we encode to Opus.
func flat(c media.Codec) bool { return c == media.PCMA || c == media.PCMU }
