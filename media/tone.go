package media

import (
	"math"
	"time"
)

// Tone returns a sine of this frequency at a quarter of full scale (-12 dBFS).
func Tone(freq float64, rate int, dur time.Duration) []int16 {
	pcm := make([]int16, int(int64(dur)*int64(rate)/int64(time.Second)))
	for i := range pcm {
		pcm[i] = int16(math.Round(8192 * math.Sin(2*math.Pi*freq*float64(i)/float64(rate))))
	}
	return pcm
}

// ToneLevel returns the share (0–1) of the signal's energy that lies at freq, by the Goertzel algorithm under a Hann
// window. A clean tone gives about 1, speech or noise far less, silence 0.
func ToneLevel(pcm []int16, rate int, freq float64) float64 { return hann(pcm).level(rate, freq) }

// windowed is a signal under a Hann window, ready to be searched.
type windowed struct {
	x              []float64
	energy, window float64
}

func hann(pcm []int16) windowed {
	w := windowed{x: make([]float64, len(pcm))}
	for i, v := range pcm {
		h := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(pcm)))
		w.x[i] = float64(v) * h
		w.energy += w.x[i] * w.x[i]
		w.window += h * h
	}
	return w
}

func (w windowed) level(rate int, freq float64) float64 {
	n := float64(len(w.x))
	if n == 0 || w.energy < n { // below one step of the converter: silence
		return 0
	}
	coeff := 2 * math.Cos(2*math.Pi*freq/float64(rate))
	var s1, s2 float64
	for _, x := range w.x {
		s1, s2 = x+coeff*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - coeff*s1*s2
	// A sine of amplitude a has energy a²/2·Σh² and power (a/2·Σh)², Σh being half the length.
	return min(power*2*w.window/(w.energy*n/2*n/2), 1)
}

// Level returns the RMS level in dBFS, -infinity for digital silence.
func Level(pcm []int16) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return 10 * math.Log10(sum/float64(max(len(pcm), 1))/(32768*32768))
}

// DominantTone searches 100 Hz to 3900 Hz and returns the strongest frequency (to 1 Hz for a second of audio) and its
// ToneLevel.
func DominantTone(pcm []int16, rate int) (freq, level float64) {
	pcm = pcm[:min(len(pcm), rate)] // a second is plenty
	if len(pcm) == 0 {
		return 0, 0
	}
	// First coarsely over a part of it, then closely around what was found.
	part := hann(pcm[:min(len(pcm), rate/8)])
	step := float64(rate) / float64(len(part.x))
	for f := 100.0; f <= 3900 && f < float64(rate)/2; f += step / 2 {
		if l := part.level(rate, f); l > level {
			freq, level = f, l
		}
	}
	whole, around := hann(pcm), freq
	level = 0
	for f := around - step; f <= around+step; f++ {
		if l := whole.level(rate, f); l > level {
			freq, level = f, l
		}
	}
	return freq, level
}

// ToneOnset finds where a tone begins, to 5 ms: the first of four 5 ms blocks in a row that hold it at -30 dBFS or more.
// ok is false when it never does.
func ToneOnset(pcm []int16, rate int, freq float64) (sample int, ok bool) {
	block := rate / 200
	run := 0
	for at := 0; at+2*block <= len(pcm); at += block {
		// Two blocks overlap, so that low tones have enough periods.
		part := pcm[at : at+2*block]
		if Level(part) > -30 && ToneLevel(part, rate, freq) > 0.5 {
			run++
			if run == 4 {
				return at - 3*block, true
			}
			continue
		}
		run = 0
	}
	return 0, false
}
