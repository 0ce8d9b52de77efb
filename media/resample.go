package media

import (
	"fmt"
	"math"
)

// Resample converts prompts and music between rates whose ratio is a whole number, through a windowed-sinc filter. It
// works on whole recordings before a call needs them and is never in a call's path.
func Resample(pcm []int16, from, to int) ([]int16, error) {
	switch {
	case from == to:
		return pcm, nil
	case from > to && to > 0 && from%to == 0:
		return decimate(pcm, from/to), nil
	case to > from && from > 0 && to%from == 0:
		return interpolate(pcm, to/from), nil
	case from == 48000 || to == 48000 || from <= 0 || to <= 0:
		return nil, fmt.Errorf("resample from %d to %d Hz: no whole ratio", from, to)
	}
	up, err := Resample(pcm, from, 48000)
	if err != nil {
		return nil, err
	}
	return Resample(up, 48000, to)
}

const lobes = 16 // zero crossings of the sinc on either side

// lowpass returns a filter of 2·lobes·ratio+1 taps, cut off a little below the narrower rate's half, with unit gain.
func lowpass(ratio int) []float64 {
	half := lobes * ratio
	taps := make([]float64, 2*half+1)
	var sum float64
	for i := range taps {
		x := float64(i-half) / float64(ratio) * 0.92
		v := 1.0
		if x != 0 {
			v = math.Sin(math.Pi*x) / (math.Pi * x)
		}
		w := 0.42 + 0.5*math.Cos(math.Pi*float64(i-half)/float64(half)) + 0.08*math.Cos(2*math.Pi*float64(i-half)/float64(half))
		taps[i] = v * w
		sum += taps[i]
	}
	for i := range taps {
		taps[i] /= sum
	}
	return taps
}

func decimate(pcm []int16, ratio int) []int16 {
	taps := lowpass(ratio)
	half := len(taps) / 2
	out := make([]int16, len(pcm)/ratio)
	for i := range out {
		var sum float64
		for k, c := range taps {
			if at := i*ratio + k - half; at >= 0 && at < len(pcm) {
				sum += c * float64(pcm[at])
			}
		}
		out[i] = int16(clip16(int(math.Round(sum))))
	}
	return out
}

// interpolate is polyphase: for each output only the taps that meet a real sample are visited.
func interpolate(pcm []int16, ratio int) []int16 {
	taps := lowpass(ratio)
	half := len(taps) / 2
	out := make([]int16, len(pcm)*ratio)
	for i := range out {
		var sum float64
		first := (i + half) % ratio
		for k := first; k < len(taps); k += ratio {
			if at := (i + half - k) / ratio; i+half-k >= 0 && at < len(pcm) {
				sum += taps[k] * float64(pcm[at])
			}
		}
		out[i] = int16(clip16(int(math.Round(sum * float64(ratio)))))
	}
	return out
}
