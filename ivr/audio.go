package ivr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"deskbridge/media"
)

// Rate is the sample rate of all speech in memory: what Opus towards Meta carries.
const Rate = 16000

// The limits of an uploaded recording.
const (
	MaxUpload       = 2 << 20
	MaxUploadLength = 60 * time.Second
)

// ErrAudio says that an upload is not a recording we play.
var ErrAudio = errors.New("not a recording that can be played")

// decodeAudio reads an upload: a WAV file of 16 bit, mono or stereo, at a common rate, or an Ogg Opus file. The result is
// mono at Rate.
func decodeAudio(file []byte) ([]int16, error) {
	switch {
	case len(file) > MaxUpload:
		return nil, fmt.Errorf("the file has %d bytes, at most %d are taken: %w", len(file), MaxUpload, ErrAudio)
	case len(file) >= 12 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WAVE":
		return decodeWAV(file[12:], MaxUploadLength)
	case len(file) >= 4 && string(file[:4]) == "OggS":
		pcm, err := media.ReadOggOpus(file, Rate, MaxUploadLength)
		if err != nil {
			return nil, fmt.Errorf("%w; save it as Ogg Opus or as 16 bit WAV, at most %v long: %w", err, MaxUploadLength, ErrAudio)
		}
		return pcm, nil
	}
	return nil, fmt.Errorf("the file is neither WAV nor Ogg Opus; save it as 16 bit WAV: %w", ErrAudio)
}

// wavFormat is what counts of a WAV file's "fmt " chunk.
type wavFormat struct{ channels, rate int }

// decodeWAV reads the chunks after the RIFF header. A data chunk may claim to be longer than the file: that is what a
// program writes that could not know the length.
func decodeWAV(b []byte, limit time.Duration) ([]int16, error) {
	var f wavFormat
	for len(b) >= 8 {
		name, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		body := b[:min(size, int64(len(b)))]
		switch name {
		case "fmt ":
			var err error
			if f, err = parseWAVFormat(body); err != nil {
				return nil, err
			}
		case "data":
			if f.rate == 0 {
				return nil, fmt.Errorf("the WAV file has its data before its format: %w", ErrAudio)
			}
			if most := int64(limit) * int64(f.rate) / int64(time.Second); int64(len(body)/(2*f.channels)) > most {
				return nil, fmt.Errorf("the recording is longer than %v: shorten it: %w", limit, ErrAudio)
			}
			return resample(mono(body, f.channels), f.rate), nil
		}
		b = b[min(size+size&1, int64(len(b))):] // chunks are padded to even length
	}
	return nil, fmt.Errorf("the WAV file has no audio: %w", ErrAudio)
}

func parseWAVFormat(b []byte) (wavFormat, error) {
	if len(b) < 16 {
		return wavFormat{}, fmt.Errorf("the WAV file's format is cut off: %w", ErrAudio)
	}
	coding, channels := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
	rate, bits := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[14:])
	// 0xfffe is the extensible form of the same; its first sub-format word says PCM again.
	pcm := coding == 1 || coding == 0xfffe && len(b) >= 26 && binary.LittleEndian.Uint16(b[24:]) == 1
	if !pcm || bits != 16 || channels != 1 && channels != 2 {
		return wavFormat{}, fmt.Errorf("the WAV file has coding %d, %d bit and %d channels; save it as 16 bit PCM, mono or stereo: %w", coding, bits, channels, ErrAudio)
	}
	switch rate {
	case 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000:
		return wavFormat{channels, int(rate)}, nil
	}
	return wavFormat{}, fmt.Errorf("the WAV file has %d Hz; save it with 8000, 16000, 44100 or 48000 Hz: %w", rate, ErrAudio)
}

func mono(b []byte, channels int) []int16 {
	pcm := make([]int16, len(b)/(2*channels))
	for i := range pcm {
		if channels == 1 {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
			continue
		}
		l, r := int16(binary.LittleEndian.Uint16(b[4*i:])), int16(binary.LittleEndian.Uint16(b[4*i+2:]))
		pcm[i] = int16((int(l) + int(r)) / 2)
	}
	return pcm
}

// resample brings a recording to Rate from any rate, through a windowed sinc of one set of taps for each phase the two
// rates have. media.Resample does only whole ratios.
func resample(pcm []int16, from int) []int16 {
	if from == Rate {
		return pcm
	}
	up, down := reduce(Rate, from)
	cut := min(1, float64(Rate)/float64(from)) * 0.92 // of the source's half rate
	half := int(math.Ceil(16 / cut))                  // 16 zero crossings on either side
	taps := make([][]float64, up)
	for p := range taps {
		taps[p] = sinc(float64(p)/float64(up), half, cut)
	}
	out := make([]int16, len(pcm)*up/down)
	for i := range out {
		at, phase := i*down/up, i*down%up
		var sum float64
		for k, c := range taps[phase] {
			if j := at + k - half; j >= 0 && j < len(pcm) {
				sum += c * float64(pcm[j])
			}
		}
		out[i] = int16(min(max(math.Round(sum), -32768), 32767))
	}
	return out
}

// sinc returns the taps that read a signal offset samples after the middle one, with unit gain.
func sinc(offset float64, half int, cut float64) []float64 {
	taps := make([]float64, 2*half+2)
	var sum float64
	for k := range taps {
		x := float64(k-half) - offset
		v := cut
		if x != 0 {
			v = math.Sin(math.Pi*cut*x) / (math.Pi * x)
		}
		w := 0.0
		if r := x / float64(half+1); r > -1 && r < 1 {
			w = 0.42 + 0.5*math.Cos(math.Pi*r) + 0.08*math.Cos(2*math.Pi*r)
		}
		taps[k] = v * w
		sum += taps[k]
	}
	for k := range taps {
		taps[k] /= sum
	}
	return taps
}

func reduce(a, b int) (int, int) {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x, b / x
}

// peak is the highest sample.
func peak(pcm []int16) int {
	p := 0
	for _, v := range pcm {
		p = max(p, int(v), -int(v))
	}
	return p
}

// trim cuts the quiet off both ends, but for 10 ms.
func trim(pcm []int16) []int16 {
	quiet, keep := peak(pcm)/100, Rate/100
	a, b := 0, len(pcm)
	for a < b && within(pcm[a], quiet) {
		a++
	}
	for b > a && within(pcm[b-1], quiet) {
		b--
	}
	return pcm[max(a-keep, 0):min(b+keep, len(pcm))]
}

func within(v int16, quiet int) bool { return int(v) <= quiet && -int(v) <= quiet }
