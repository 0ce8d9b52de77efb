package recorder

import "deskbridge/media"

// How far a side may leave its true place before a slot is left out or put in, since a frame cannot be shifted by less than a
// slot. Both sides start within half a slot of the truth. What is heard is where they lie to each other, so that is held
// tighter; a quiet frame, whose loss nobody hears, is used early.
const (
	ownBound       = 15 * ticksPerMS
	ownQuiet       = 12 * ticksPerMS
	otherBound     = 14 * ticksPerMS
	otherQuiet     = 11 * ticksPerMS
	slipEvery      = 50               // slots between two frames left out, so that a delay that shrank costs no syllable
	hopelesslyLate = 500 * ticksPerMS // beyond this every frame is left out
)

// placer lays frames on the grid: origin + n·20 ms.
type placer struct {
	queue   slabQueue
	part    slab  // of the slot that is not full yet
	partLen int64 // ticks in part
	slots   int64 // put in the queue so far
	origin  int64 // our time at which slot 0 begins

	filled  bool // the last slot is a gap because its packet was too late
	err     int64
	other   int64 // err of the other side
	skip    int64 // ticks still to leave out
	slipped int64 // the slot at which a frame was left out
	mean    int   // frame bytes, in sixteenths

	placedRun uint32
	placedEnd int64 // media time at which the last packet ended

	stats  LaneStats
	frames [][]byte
}

// LaneStats tells how a side's packets became slots.
type LaneStats struct {
	Packets   int // placed
	Duplicate int
	Late      int // more than 2 s late, or overtaken by audio in their place
	Malformed int
	Dropped   int // frames left out because the sender's clock is fast, or its delay shrank
	Inserted  int // gaps put in because the sender's clock is slow, or its delay grew
	Recoded   int // slots decoded and encoded: G.711, and frames of 40 or 60 ms that lie across the other side's
}

func (p *placer) position() int64 { return p.slots*slotTicks + p.partLen }

// packet places a packet's frames from our time want on.
func (p *placer) packet(w *waiting, want int64) {
	f := form{codec: w.codec}
	p.frames = p.frames[:0]
	if w.codec == media.Opus {
		var ok bool
		if p.frames, ok = media.OpusFrames(w.payload, p.frames); !ok {
			p.stats.Malformed++
			return
		}
		f.toc = w.payload[0] &^ 3
	} else {
		for b := w.payload; len(b) >= flatFrame; b = b[flatFrame:] {
			p.frames = append(p.frames, b[:flatFrame])
		}
	}
	d := f.ticks()
	end := w.media + int64(len(p.frames))*d
	same := w.run == p.placedRun
	if same && end <= p.placedEnd {
		p.stats.Late++
		return
	}
	if p.filled && p.position()-(want-p.origin) >= slotTicks/2 && want >= p.origin {
		p.stats.Late++
		return
	}
	p.stats.Packets++
	after := !same || w.media > p.placedEnd // something is missing before it, or may be
	p.placedRun, p.placedEnd, p.filled = w.run, end, false
	for _, frame := range p.frames {
		p.frame(f, d, frame, want-p.origin, after)
		want, after = want+d, false
	}
}

// frame places one frame at grid time want.
func (p *placer) frame(f form, d int64, frame []byte, want int64, after bool) {
	if p.skip > 0 {
		p.skip -= d
		return
	}
	p.err = p.position() - want
	quiet := f.codec == media.Opus && 32*len(frame) < p.mean
	p.mean += len(frame) - p.mean/16
	switch {
	case p.err > 0 && p.tooFar(quiet) && (p.slots-p.slipped >= slipEvery || p.err > hopelesslyLate):
		if p.leaveOut(f, d, frame) {
			return
		}
	case p.err < 0 && (after || p.tooFar(quiet)):
		if p.widen(f, d, -p.err) && !after {
			p.stats.Inserted++
		}
	}
	p.put(f, d, frame)
	p.err = p.position() - (want + d)
}

// tooFar reports that a slot must be left out or put in.
func (p *placer) tooFar(quiet bool) bool {
	own, other := int64(ownBound), int64(otherBound)
	if quiet {
		own, other = ownQuiet, otherQuiet
	}
	e, o := p.err, p.other
	if e < 0 {
		e, o = -e, -o
	}
	return e >= own || e-o >= other && e >= max(o, -o)
}

// leaveOut leaves out what brings the next frame closest to its place. It is false when the frame at hand must still be put.
func (p *placer) leaveOut(f form, d int64, frame []byte) bool {
	p.slipped = p.slots
	p.stats.Dropped++
	if d > slotTicks && p.err < d {
		p.flush()
		p.part.form = f
		p.part.add(frame)
		p.part.recode = true
		p.part.slots = int(d/slotTicks) - 1
		p.close()
		p.err -= slotTicks
		return true
	}
	n := min(max((p.err+d/2)/d, 1), max(slotTicks/d, 1))
	p.skip = (n - 1) * d
	p.err -= n * d
	return true
}

// widen puts a gap of about this many ticks before the next frame.
func (p *placer) widen(f form, d, gap int64) bool {
	if p.partLen > 0 {
		rest := slotTicks - p.partLen
		if gap+d/2 < rest && f == p.part.form {
			return p.missing(d, gap)
		}
		if gap+slotTicks/2 < rest {
			return false
		}
		p.flush()
		gap -= rest
	}
	if d >= slotTicks {
		n := (gap + slotTicks/2) / slotTicks
		p.gap(int(n))
		return n > 0
	}
	n := max(gap, 0) / slotTicks
	p.gap(int(n))
	gap -= n * slotTicks
	if gap+d/2 >= slotTicks {
		p.gap(1)
		return true
	}
	p.part.form = f
	return p.missing(d, gap) || n > 0
}

// missing puts lost frames into the slot at hand.
func (p *placer) missing(d, gap int64) bool {
	n := (gap + d/2) / d
	for range n {
		p.part.add(nil)
		p.partLen += d
	}
	return n > 0
}

func (p *placer) put(f form, d int64, frame []byte) {
	if p.partLen > 0 && (p.part.form != f || d >= slotTicks) {
		p.flush()
	}
	p.part.form = f
	p.part.add(frame)
	p.partLen += d
	if p.partLen%slotTicks == 0 {
		p.part.slots = int(p.partLen / slotTicks)
		p.close()
	}
}

// flush ends a slot that is not full: its other frames are missing.
func (p *placer) flush() {
	if p.partLen == 0 {
		return
	}
	for d := p.part.ticks(); p.partLen < slotTicks; p.partLen += d {
		p.part.add(nil)
	}
	p.part.slots = 1
	p.close()
}

func (p *placer) close() {
	p.queue.push(&p.part)
	p.slots += int64(p.part.slots)
	p.part = slab{sizes: p.part.sizes[:0], data: p.part.data[:0]}
	p.partLen = 0
}

func (p *placer) gap(slots int) {
	if slots <= 0 {
		return
	}
	p.flush()
	p.queue.gap(slots)
	p.slots += int64(slots)
}
