package simulator

import "math"

// ToneShare returns how much of the energy of pcm lies at hz, from 0 to 1.
func ToneShare(pcm []int16, rate int, hz float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var re, im, energy float64
	step := 2 * math.Pi * hz / float64(rate)
	for i, s := range pcm {
		v := float64(s)
		re += v * math.Cos(step*float64(i))
		im += v * math.Sin(step*float64(i))
		energy += v * v
	}
	if energy == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (energy * float64(len(pcm)))
}

// Level returns the RMS of pcm relative to full scale.
func Level(pcm []int16) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var sum float64
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum/float64(len(pcm))) / 32768
}

// HasTone says whether hz dominates pcm. It judges windows of 100 ms, because a codec and a jittery line shift the phase, and
// wants nine in ten to agree.
func HasTone(pcm []int16, rate int, hz float64) bool {
	win := rate / 10
	if len(pcm) < win {
		return false
	}
	good, all := 0, 0
	for i := 0; i+win <= len(pcm); i += win {
		all++
		if w := pcm[i : i+win]; Level(w) > 0.01 && ToneShare(w, rate, hz) > 0.8 {
			good++
		}
	}
	return good*10 >= all*9
}
