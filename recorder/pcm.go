package recorder

import (
	"fmt"
	"io"
	"time"

	"deskbridge/media"
)

// PCM reads a recording as audio: both sides apart, in step, in the order of time. Gaps are made up where they are short and
// silent where they are long. It belongs to one goroutine.
type PCM struct {
	*timeline
	rate  int
	sides [2]pcmSide
	skip  int   // samples before the recording's beginning
	given int64 // samples
	begun bool
	lean  bool // nothing is decoded: only lengths matter
}

// pcmSide is the audio of one side that is decoded.
type pcmSide struct {
	dec   slabDecoder
	up    *upsampler
	ready []int16
}

// NewPCM reads src from its beginning as PCM of 8, 16 or 48 kHz. length is that of the call; 0 ends it with its last packet.
func NewPCM(src Source, rate int, length time.Duration) (*PCM, error) {
	if rate != 8000 && rate != 16000 && rate != 48000 {
		return nil, fmt.Errorf("read recording at %d Hz: not 8000, 16000 or 48000", rate)
	}
	return newPCM(newTimeline(src, length), rate), nil
}

// PCM16k reads src as transcription wants it: 16 kHz.
func PCM16k(src Source) *PCM { return newPCM(newTimeline(src, 0), 16000) }

func newPCM(t *timeline, rate int) *PCM {
	p := &PCM{timeline: t, rate: rate}
	p.rest()
	return p
}

// rest forgets the decoders' state; what they need they hear again.
func (p *PCM) rest() {
	for i := range p.sides {
		s := &p.sides[i]
		s.dec = slabDecoder{rate: p.rate}
		s.up = nil
	}
}

// Next returns the next 20 ms of both sides, less at the beginning and the end; io.EOF after the last. The samples are valid
// until the next call.
func (p *PCM) Next() (customer, agent []int16, err error) {
	for {
		if err := p.need(2); err != nil {
			return nil, nil, err
		}
		if !p.begun {
			p.begun = true
			p.skip = int(p.preSkip()) * p.rate / ticksPerSecond
		}
		if p.over() {
			return nil, nil, io.EOF
		}
		a, b := p.slot(Customer), p.slot(Agent)
		p.take(1)
		n := min(p.skip, len(a))
		p.skip -= n
		a, b = a[n:], b[n:]
		if p.total > 0 {
			n := min(p.length*int64(p.rate)/ticksPerSecond-p.given, int64(len(a)))
			a, b = a[:n], b[:n]
		}
		p.given += int64(len(a))
		if len(a) > 0 {
			return a, b, nil
		}
	}
}

// slot decodes one side's next slot.
func (p *PCM) slot(side Side) []int16 {
	l, s := &p.lanes[side], &p.sides[side]
	if p.lean {
		return p.silence(s)
	}
	if s.dec.dec == nil {
		if len(l.queue.slabs) == 0 || l.queue.slabs[0].gap() && l.silent >= concealed {
			return p.silence(s)
		}
		s.dec.hear(&l.history, func(pcm []int16) { p.raise(s, pcm) })
	}
	if len(l.queue.slabs) == 0 {
		return p.raise(s, s.dec.slot(&slab{}, 0, l.silent < concealed, nil))
	}
	var next *slab
	first := &l.queue.slabs[0]
	if first.gap() && l.queue.used == first.slots-1 && len(l.queue.slabs) > 1 {
		next = &l.queue.slabs[1]
	}
	return p.raise(s, s.dec.slot(first, l.queue.used, l.silent < concealed, next))
}

func (p *PCM) silence(s *pcmSide) []int16 {
	n := p.rate / 50
	if len(s.ready) < n {
		s.ready = make([]int16, n)
	}
	clear(s.ready[:n])
	return s.ready[:n]
}

// raise brings G.711 to the rate wanted.
func (p *PCM) raise(s *pcmSide, pcm []int16) []int16 {
	if s.dec.codec == media.CodecNone || s.dec.outRate() == p.rate {
		return pcm
	}
	if s.up == nil {
		s.up = newUpsampler(p.rate / s.dec.outRate())
	}
	return s.up.push(pcm)
}
