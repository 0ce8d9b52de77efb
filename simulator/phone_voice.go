package simulator

import (
	"errors"
	"fmt"
	"math"
	"os"

	"deskbridge/media"
)

// PhoneSource is what a phone says. The zero value is silence.
type PhoneSource struct {
	Tone  float64 // Hz, at a quarter of full scale
	WAV   string  // file, mono 16 bit at 8, 16 or 48 kHz, repeated
	PCM   []int16 // repeated
	Rate  int     // of PCM
	Echo  bool    // says what it hears
	Quiet bool    // sends nothing at all, not even silence: a phone with a dead microphone and silence suppression
}

// phoneVoice makes the samples a phone sends. It lives under its phoneAudio's lock.
type phoneVoice struct {
	src   PhoneSource
	base  []int16 // source audio as given
	baseR int
	rate  int
	pcm   []int16 // the same at rate
	at    int
	phase float64

	echo []int16
	full bool // enough echo is stored to begin
}

// play changes the source.
func (a *phoneAudio) play(s PhoneSource) error {
	base, rate := s.PCM, s.Rate
	if s.WAV != "" {
		f, err := os.Open(s.WAV)
		if err != nil {
			return fmt.Errorf("phone audio: %w", err)
		}
		defer f.Close()
		if base, rate, err = media.ReadWAV(f); err != nil {
			return fmt.Errorf("phone audio %q: %w", s.WAV, err)
		}
	}
	if len(base) > 0 && rate == 0 {
		return errors.New("phone audio: PCM without its rate")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v := &a.voice
	v.src, v.base, v.baseR, v.at, v.pcm, v.echo, v.full = s, base, rate, 0, nil, nil, false
	if v.rate != 0 {
		v.setRate(v.rate)
	}
	return nil
}

func (v *phoneVoice) setRate(rate int) {
	v.rate, v.pcm, v.echo = rate, nil, nil
	if len(v.base) == 0 {
		return
	}
	pcm, err := media.Resample(v.base, v.baseR, rate)
	if err != nil {
		pcm = v.base // a rate we cannot convert plays at the wrong pitch, which a test notices
	}
	v.pcm = pcm
}

// maxEcho bounds the delay of the echo.
func (v *phoneVoice) maxEcho() int { return v.rate / 2 }

func (v *phoneVoice) hear(pcm []int16) {
	if !v.src.Echo {
		return
	}
	v.echo = append(v.echo, pcm...)
	if over := len(v.echo) - v.maxEcho(); over > 0 {
		v.echo = append(v.echo[:0], v.echo[over:]...)
	}
}

// say fills the next frame.
func (v *phoneVoice) say(pcm []int16) {
	clear(pcm)
	switch {
	case v.src.Echo:
		// Two frames and 20 ms in hand, so that a late packet does not tear the echo.
		v.full = v.full && len(v.echo) >= len(pcm) || len(v.echo) >= 2*len(pcm)+v.rate/50
		if v.full {
			n := copy(pcm, v.echo)
			v.echo = append(v.echo[:0], v.echo[n:]...)
		}
	case len(v.pcm) > 0:
		for i := range pcm {
			pcm[i] = v.pcm[v.at]
			v.at = (v.at + 1) % len(v.pcm)
		}
	case v.src.Tone > 0:
		step := 2 * math.Pi * v.src.Tone / float64(v.rate)
		for i := range pcm {
			pcm[i] = int16(8192 * math.Sin(v.phase))
			v.phase = math.Mod(v.phase+step, 2*math.Pi)
		}
	}
}
