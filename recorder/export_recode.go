package recorder

import (
	"deskbridge/media"
)

const (
	// recodedBytes is the most a frame of 20 ms gets, 32 kbit/s. What a frame does not use is padded, so that a file's length is
	// known without encoding it.
	recodedBytes = 80
	// warmUp is how many slabs a decoder hears before the first it is wanted for.
	warmUp = 3
)

// recodedSize returns the bytes of a coded packet of n slots: TOC, frame count, padding, a length for each frame.
func recodedSize(n int) int { return 3 + n*(1+recodedBytes) }

// recoder decodes one side and encodes it again.
type recoder struct {
	enc    media.Encoder
	dec    slabDecoder
	out    [maxGroup][]byte
	frames [][]byte
}

// recoded codes the audio of parts, 20 ms a frame. It makes the coder if there is none, and lets it hear what was before.
func recoded(l *lane, c **recoder, parts []slabPart) (toc byte, frames [][]byte) {
	rate := media.EncodeRate(media.Opus)
	if flat(l.heard.codec) {
		rate = 8000
	}
	for _, p := range parts {
		if flat(p.slab.codec) {
			rate = 8000
		}
	}
	if *c == nil || (*c).dec.rate != rate {
		*c = newRecoder(rate, &l.history)
	}
	return (*c).code(parts, l.silent)
}

func newRecoder(rate int, history *[warmUp]slab) *recoder {
	enc, err := media.NewEncoder(media.Opus, rate)
	if err != nil {
		panic(err) // these rates are those of the encoder
	}
	r := &recoder{enc: enc, dec: slabDecoder{rate: rate}}
	r.dec.hear(history, func(pcm []int16) { r.out[0] = r.encode(r.out[0], pcm) })
	return r
}

func (r *recoder) code(parts []slabPart, silent int) (toc byte, frames [][]byte) {
	made := 0
	for _, p := range parts {
		for i := range p.n {
			r.out[made] = r.encode(r.out[made], r.dec.slot(p.slab, p.from+i, silent+i < concealed, nil))
			made++
		}
	}
	r.frames = r.frames[:0]
	for i := range made {
		frame := r.out[i][1:]
		if r.out[i][0] != r.out[0][0] { // the encoder changed its mode: a packet has one
			frame = nil
		}
		r.frames = append(r.frames, frame)
	}
	return r.out[0][0], r.frames
}

// encode returns a packet of one frame.
func (r *recoder) encode(dst []byte, pcm []int16) []byte {
	if cap(dst) < recodedBytes {
		dst = make([]byte, recodedBytes)
	}
	dst = dst[:recodedBytes]
	n, err := r.enc.Encode(pcm, dst)
	if err != nil || n < 1 || dst[0]&3 != 0 {
		return append(dst[:0], media.SilenceFrame(media.Opus, slotTicks)...)
	}
	return dst[:n]
}
