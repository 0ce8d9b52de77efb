package simulator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/hraban/opus"
)

const (
	playRate    = 16000 // what a WhatsApp phone captures
	maxOpus     = 1275
	defaultTone = 0.3 // of full scale
)

// Playback is what a customer's microphone hears. The zero Playback is silence (RTP flows).
type Playback struct {
	Tone    float64       // Hz, continuous
	Level   float64       // of full scale; 0 means 0.3
	PCM     []int16       // 16 kHz mono; then silence
	Loop    bool          // PCM again and again
	Nothing bool          // no RTP at all
	Echo    bool          // what was heard goes back
	Late    time.Duration // the first packet is this late
	Stereo  bool
	FrameMS int // 20 (default), 40 or 60
}

// PlayWAV reads a 16-bit PCM WAV file (8, 16 or 48 kHz, mono or stereo) into a Playback.
func PlayWAV(path string) (Playback, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Playback{}, fmt.Errorf("play WAV: %w", err)
	}
	pcm, err := parseWAV(b)
	if err != nil {
		return Playback{}, fmt.Errorf("play WAV %s: %w", path, err)
	}
	return Playback{PCM: pcm}, nil
}

func parseWAV(b []byte) ([]int16, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, errors.New("not a WAV file")
	}
	var rate, channels int
	for b = b[12:]; len(b) >= 8; {
		id, n := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		n = min(n, len(b))
		switch id {
		case "fmt ":
			if n < 16 || binary.LittleEndian.Uint16(b) != 1 || binary.LittleEndian.Uint16(b[14:]) != 16 {
				return nil, errors.New("only 16-bit PCM")
			}
			channels, rate = int(binary.LittleEndian.Uint16(b[2:])), int(binary.LittleEndian.Uint32(b[4:]))
		case "data":
			return wavSamples(b[:n], rate, channels)
		}
		b = b[min(n+n%2, len(b)):]
	}
	return nil, errors.New("no data chunk")
}

// wavSamples converts to 16 kHz mono. Linear interpolation is good enough for what stands for a voice in tests.
func wavSamples(b []byte, rate, channels int) ([]int16, error) {
	if channels < 1 || channels > 2 || rate < 4000 || rate > 192000 {
		return nil, fmt.Errorf("%d channels at %d Hz", channels, rate)
	}
	n := len(b) / 2 / channels
	at := func(i int) float64 {
		if i >= n {
			i = n - 1
		}
		return float64(int16(binary.LittleEndian.Uint16(b[i*2*channels:])))
	}
	out := make([]int16, n*playRate/rate)
	for i := range out {
		pos := float64(i) * float64(rate) / playRate
		k := int(pos)
		out[i] = int16(at(k) + (at(k+1)-at(k))*(pos-float64(k)))
	}
	return out, nil
}

// frames turns a Playback into Opus payloads, one per frame.
type frames struct {
	p       Playback
	ms      int
	enc     *opus.Encoder
	loop    [][]byte // encoded once: tone and silence
	pos     int
	left    time.Duration // of Late
	pcm     []int16
	payload []byte
}

func newFrames(p Playback) (*frames, error) {
	f := &frames{p: p, ms: p.FrameMS, left: p.Late, payload: make([]byte, maxOpus)}
	if f.ms == 0 {
		f.ms = 20
	}
	if f.ms != 20 && f.ms != 40 && f.ms != 60 {
		return nil, fmt.Errorf("playback with %d ms frames: must be 20, 40 or 60", f.ms)
	}
	if p.Level == 0 {
		f.p.Level = defaultTone
	}
	var err error
	if len(p.PCM) > 0 {
		f.enc, err = newEncoder(p.Stereo)
	} else {
		f.loop, err = encodedLoop(f.p.Tone, f.p.Level, p.Stereo, f.ms)
	}
	return f, err
}

func newEncoder(stereo bool) (*opus.Encoder, error) {
	channels := 1
	if stereo {
		channels = 2
	}
	e, err := opus.NewEncoder(playRate, channels, opus.AppVoIP)
	if err != nil {
		return nil, err
	}
	return e, errors.Join(e.SetBitrate(20000*channels), e.SetComplexity(5), e.SetInBandFEC(true), e.SetPacketLossPerc(10), e.SetDTX(false))
}

// next returns the payload of the next frame, or nil when nothing is to be sent. It is valid until the next call.
func (f *frames) next() []byte {
	if f.p.Nothing {
		return nil
	}
	if f.left > 0 {
		f.left -= time.Duration(f.ms) * time.Millisecond
		return nil
	}
	if f.enc == nil {
		b := f.loop[f.pos%len(f.loop)]
		f.pos++
		return b
	}
	need := playRate * f.ms / 1000
	f.pcm = f.pcm[:0]
	for range need {
		var s int16
		if f.pos >= len(f.p.PCM) && f.p.Loop {
			f.pos = 0
		}
		if f.pos < len(f.p.PCM) {
			s = f.p.PCM[f.pos]
			f.pos++
		}
		f.pcm = append(f.pcm, s)
		if f.p.Stereo {
			f.pcm = append(f.pcm, s)
		}
	}
	n, err := f.enc.Encode(f.pcm, f.payload)
	if err != nil {
		return nil
	}
	return f.payload[:n]
}

type loopKey struct {
	tone, level float64
	stereo      bool
	ms          int
}

var (
	loopMu    sync.Mutex
	loopCache = map[loopKey][][]byte{}
)

// encodedLoop encodes a second of tone (whole Hz: it joins without a click) or silence once and keeps it, so that a
// hundred simulated customers cost no encoder.
func encodedLoop(tone, level float64, stereo bool, ms int) ([][]byte, error) {
	key := loopKey{math.Round(tone), level, stereo, ms}
	loopMu.Lock()
	defer loopMu.Unlock()
	if l, ok := loopCache[key]; ok {
		return l, nil
	}
	enc, err := newEncoder(stereo)
	if err != nil {
		return nil, err
	}
	const period = 1200 // ms, a multiple of 20, 40 and 60
	per := playRate * ms / 1000
	total := period / ms
	var out [][]byte
	buf := make([]byte, maxOpus)
	for i := range 2 * total { // the first round only warms the encoder up
		pcm := make([]int16, 0, 2*per)
		for k := range per {
			// Round to a whole number of periods per loop.
			cycles := math.Round(key.tone * period / 1000)
			phase := 2 * math.Pi * cycles * float64(i*per+k) / float64(total*per)
			s := int16(level * 32767 * math.Sin(phase))
			pcm = append(pcm, s)
			if stereo {
				pcm = append(pcm, s)
			}
		}
		n, err := enc.Encode(pcm, buf)
		if err != nil {
			return nil, err
		}
		if i >= total {
			out = append(out, append([]byte(nil), buf[:n]...))
		}
	}
	if len(loopCache) < 64 {
		loopCache[key] = out
	}
	return out, nil
}
