package recorder

import "math"

const upsampleTaps = 16 // input samples around each output sample

// upsampler raises the rate of G.711 by a whole number through a windowed sinc, slot after slot. It delays by half its taps,
// 1 ms.
type upsampler struct {
	ratio int
	taps  [][upsampleTaps]float32 // of each output sample between two of the input
	last  [upsampleTaps - 1]int16
	in    []int16
	out   []int16
}

func newUpsampler(ratio int) *upsampler {
	u := &upsampler{ratio: ratio, taps: make([][upsampleTaps]float32, ratio)}
	for phase := range u.taps {
		var sum float64
		var taps [upsampleTaps]float64
		for k := range taps {
			x := float64(k) - upsampleTaps/2 + 1 - float64(phase)/float64(ratio)
			taps[k] = math.Pow(math.Cos(math.Pi*x/(upsampleTaps+1)), 2)
			if y := math.Pi * 0.92 * x; y != 0 {
				taps[k] *= math.Sin(y) / y
			}
			sum += taps[k]
		}
		for k := range taps {
			u.taps[phase][k] = float32(taps[k] / sum)
		}
	}
	return u
}

// push returns what pcm becomes: valid until the next call.
func (u *upsampler) push(pcm []int16) []int16 {
	u.in = append(append(u.in[:0], u.last[:]...), pcm...)
	u.out = u.out[:0]
	for i := range pcm {
		window := u.in[i : i+upsampleTaps]
		for phase := range u.taps {
			var sum float32
			for k, t := range u.taps[phase] {
				sum += t * float32(window[k])
			}
			u.out = append(u.out, int16(min(max(math.Round(float64(sum)), math.MinInt16), math.MaxInt16)))
		}
	}
	copy(u.last[:], u.in[len(pcm):])
	return u.out
}
