package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// wavHeader is how many bytes come before the samples.
const wavHeader = 44

// wavWriter writes 16 bit stereo PCM, left the customer, a second at a time.
type wavWriter struct {
	pcm     *PCM
	samples int64 // in all; 0 while they are being counted
	chunks  int   // seconds
}

func (w *wavWriter) resting() bool { return w.chunks%restEvery == 0 }

func (w *wavWriter) clone() producer {
	p := *w.pcm
	p.timeline = w.pcm.copied()
	p.sides = [2]pcmSide{}
	p.lean = false
	p.rest()
	return &wavWriter{pcm: &p, samples: w.samples, chunks: w.chunks}
}

// next appends the next second, the header before the first.
func (w *wavWriter) next(dst []byte) ([]byte, error) {
	if w.chunks == 0 {
		dst = w.header(dst)
	}
	err := w.second(func(a, b []int16) {
		for i := range a {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(a[i]))
			dst = binary.LittleEndian.AppendUint16(dst, uint16(b[i]))
		}
	})
	return dst, err
}

// pass counts the next second.
func (w *wavWriter) pass() (n int64, err error) {
	w.pcm.lean = true
	if w.chunks == 0 {
		n = wavHeader
	}
	err = w.second(func(a, _ []int16) { n += 4 * int64(len(a)) })
	return n, err
}

func (w *wavWriter) line() *timeline { return w.pcm.timeline }

func (w *wavWriter) second(each func(customer, agent []int16)) error {
	for range pageSlots {
		a, b, err := w.pcm.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		each(a, b)
	}
	w.chunks++
	if w.resting() {
		w.pcm.rest()
	}
	return nil
}

// header appends the header (RIFF, format 1).
func (w *wavWriter) header(dst []byte) []byte {
	size := uint32(4 * w.samples)
	dst = append(dst, "RIFF"...)
	dst = binary.LittleEndian.AppendUint32(dst, wavHeader-8+size)
	dst = append(dst, "WAVEfmt "...)
	dst = binary.LittleEndian.AppendUint32(dst, 16)
	for _, v := range []uint16{1, 2} { // PCM, two channels
		dst = binary.LittleEndian.AppendUint16(dst, v)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(w.pcm.rate))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(4*w.pcm.rate))
	for _, v := range []uint16{4, 16} { // bytes and bits
		dst = binary.LittleEndian.AppendUint16(dst, v)
	}
	dst = append(dst, "data"...)
	return binary.LittleEndian.AppendUint32(dst, size)
}

// checkWAV refuses what a WAV file's 32 bit lengths cannot hold.
func checkWAV(size int64) error {
	if size-8 > math.MaxUint32 {
		return fmt.Errorf("export a WAV file of %d bytes: over its 4 GiB; export Ogg Opus or a lower sample rate", size)
	}
	return nil
}
