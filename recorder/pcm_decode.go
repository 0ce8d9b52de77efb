package recorder

import "deskbridge/media"

// concealed is how many slots of a gap a decoder makes up; then it has faded. The rest is silence.
const concealed = 5

// slabDecoder decodes one side's slabs in order, a slot at a time.
type slabDecoder struct {
	rate  int // of Opus; G.711 is always decoded at 8 kHz
	codec media.Codec
	dec   media.Decoder
	pcm   []int16 // of the slab at hand
	known bool    // pcm is of the slab that comes next

	frames [][]byte
	bytes  []byte
	quiet  []int16
}

// use makes the decoder of a codec.
func (d *slabDecoder) use(c media.Codec) {
	if d.dec != nil && d.codec == c {
		return
	}
	d.codec = c
	dec, err := media.NewDecoder(c, d.outRate())
	if err != nil {
		panic(err) // lanes take only codecs that we decode
	}
	d.dec = dec
}

// outRate returns the sample rate of what slot returns.
func (d *slabDecoder) outRate() int {
	if flat(d.codec) {
		return 8000
	}
	return d.rate
}

// hear decodes what was before, and gives each slot of it to then.
func (d *slabDecoder) hear(history *[warmUp]slab, then func(pcm []int16)) {
	for i := range history {
		s := &history[i]
		for k := range s.slots {
			then(d.slot(s, k, false, nil))
		}
	}
}

// slot returns slot i of a slab: valid until the next call. conceal says whether a gap is made up or silent; next, which may be
// nil, is what follows the gap at once and may repeat what is missing.
func (d *slabDecoder) slot(s *slab, i int, conceal bool, next *slab) []int16 {
	if s.gap() {
		d.known = false
		return d.gap(conceal, next)
	}
	if !d.known {
		d.pcm = d.decode(s, d.pcm[:0])
	}
	d.known = i+1 < s.slots
	n := d.outRate() / 50
	return d.pcm[i*n : (i+1)*n]
}

// decode appends a slab's audio to pcm: exactly as long as its frames are.
func (d *slabDecoder) decode(s *slab, pcm []int16) []int16 {
	d.use(s.codec)
	d.frames = s.frames(d.frames[:0])
	if flat(s.codec) {
		return d.decodeFlat(pcm)
	}
	n := int(s.ticks()) * d.rate / ticksPerSecond
	for _, f := range d.frames {
		at := len(pcm)
		pcm = append(pcm, make([]int16, n)...)
		d.bytes = append(append(d.bytes[:0], s.toc), f...)
		if len(f) == 0 {
			d.dec.Conceal(pcm[at:])
		} else if got, err := d.dec.Decode(d.bytes, pcm[at:]); err != nil || got != n {
			d.dec.Conceal(pcm[at:])
		}
	}
	return pcm
}

// decodeFlat decodes runs of G.711 as one, since concealment wants longer pieces than 2.5 ms.
func (d *slabDecoder) decodeFlat(pcm []int16) []int16 {
	for i := 0; i < len(d.frames); {
		k := i
		d.bytes = d.bytes[:0]
		for k < len(d.frames) && (len(d.frames[k]) == 0) == (len(d.frames[i]) == 0) {
			d.bytes = append(d.bytes, d.frames[k]...)
			k++
		}
		at := len(pcm)
		pcm = append(pcm, make([]int16, (k-i)*flatFrame)...)
		if len(d.bytes) == 0 {
			d.dec.Conceal(pcm[at:])
		} else if _, err := d.dec.Decode(d.bytes, pcm[at:]); err != nil {
			clear(pcm[at:])
		}
		i = k
	}
	return pcm
}

// gap returns a slot of made-up audio, or of silence.
func (d *slabDecoder) gap(conceal bool, next *slab) []int16 {
	n := d.outRate() / 50
	if cap(d.quiet) < n {
		d.quiet = make([]int16, n)
	}
	q := d.quiet[:n]
	switch {
	case !conceal || d.dec == nil:
		clear(q)
	case next != nil && next.codec == media.Opus && d.codec == media.Opus && next.ticks() == slotTicks && len(next.data) > 0:
		d.bytes = append(append(d.bytes[:0], next.toc), next.data...)
		d.dec.Recover(d.bytes, q)
	default:
		d.dec.Conceal(q)
	}
	return q
}
