package recorder

import "deskbridge/media"

// form is what the frames of one Opus packet have in common. The zero form is a gap.
type form struct {
	codec media.Codec // Opus, PCMA or PCMU
	toc   byte        // Opus: configuration and stereo flag (RFC 6716 §3.1), without the frame count code
}

// flatFrame is the piece in which G.711 is laid on the grid: 2.5 ms, as Opus's shortest frame.
const (
	flatFrame      = 20 // bytes
	flatFrameTicks = 120
)

// ticks returns how long one frame lasts.
func (f form) ticks() int64 {
	if f.codec == media.Opus {
		return int64(media.OpusFrameTicks(f.toc))
	}
	return flatFrameTicks
}

// scale returns the 48 kHz ticks in one tick of a codec's RTP clock.
func scale(c media.Codec) int64 { return int64(ticksPerSecond / c.ClockRate()) }

// slab is one side's audio, or gap, in consecutive slots. A slab of several slots is one frame of 40 or 60 ms, which cannot be
// cut without decoding it, or a gap of any length.
type slab struct {
	form
	slots  int
	recode bool // its audio is one slot longer than it may be: decode, shorten, encode
	sizes  []uint16
	data   []byte // the frames, one after the other; a frame of size 0 is missing
}

func (s *slab) gap() bool { return s.codec == media.CodecNone }

func (s *slab) add(frame []byte) {
	s.sizes = append(s.sizes, uint16(len(frame)))
	s.data = append(s.data, frame...)
}

// frames appends the slab's frames to dst; they are parts of the slab.
func (s *slab) frames(dst [][]byte) [][]byte {
	data := s.data
	for _, n := range s.sizes {
		dst, data = append(dst, data[:n:n]), data[n:]
	}
	return dst
}

// set makes s a copy of o in memory of its own.
func (s *slab) set(o *slab) {
	sizes, data := append(s.sizes[:0], o.sizes...), append(s.data[:0], o.data...)
	*s = *o
	s.sizes, s.data = sizes, data
}

// slabQueue is one side's slabs that are placed and not yet taken. Its memory is used again.
type slabQueue struct {
	slabs []slab // cap: those beyond len keep their buffers
	used  int    // slots taken of the first
	slots int    // left in all
}

// grow appends an empty slab.
func (q *slabQueue) grow() *slab {
	if len(q.slabs) < cap(q.slabs) {
		q.slabs = q.slabs[:len(q.slabs)+1]
	} else {
		q.slabs = append(q.slabs, slab{})
	}
	s := &q.slabs[len(q.slabs)-1]
	*s = slab{sizes: s.sizes[:0], data: s.data[:0]}
	return s
}

// gap appends empty slots.
func (q *slabQueue) gap(slots int) {
	if slots <= 0 {
		return
	}
	if n := len(q.slabs); n == 0 || !q.slabs[n-1].gap() {
		q.grow()
	}
	q.slabs[len(q.slabs)-1].slots += slots
	q.slots += slots
}

// push appends a copy of s.
func (q *slabQueue) push(s *slab) {
	q.grow().set(s)
	q.slots += s.slots
}

// drop forgets the first slots, which must be there, and tells done of each slab that is over.
func (q *slabQueue) drop(slots int, done func(*slab)) {
	q.slots -= slots
	q.used += slots
	n := 0
	for n < len(q.slabs) && q.used >= q.slabs[n].slots {
		q.used -= q.slabs[n].slots
		done(&q.slabs[n])
		n++
	}
	// Rotate, so that the buffers of what is over are kept.
	for i := range len(q.slabs) - n {
		q.slabs[i], q.slabs[i+n] = q.slabs[i+n], q.slabs[i]
	}
	q.slabs = q.slabs[:len(q.slabs)-n]
}

// clone copies what is waiting.
func (q *slabQueue) clone() slabQueue {
	c := slabQueue{used: q.used, slots: q.slots, slabs: make([]slab, len(q.slabs))}
	for i := range q.slabs {
		c.slabs[i].set(&q.slabs[i])
	}
	return c
}
