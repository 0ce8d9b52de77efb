package media

// G.722 at 64 kbit/s (ITU-T G.722, mode 1): two sub-bands of 8 kHz, the lower in 6 bits, the upper in 2, each by adaptive
// differential coding. Names follow the blocks of the recommendation's figures.

// band is the predictor and the step size of one sub-band.
type band struct {
	estimate int    // S: prediction of the next sample
	zero     int    // SZ: its part from the zeros
	r        [2]int // RLT: reconstructed signal, doubled, newest first
	neg      [2]bool
	a        [2]int // poles
	d        [6]int // DLT: quantised differences, doubled, newest first
	b        [6]int // zeros
	log      int    // NB: logarithm of the step size
	step     int    // DET
}

func (s *band) reset(step int) { *s = band{step: step} }

var (
	qmfTaps = [12]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}

	// Q6: decision levels of the lower band.
	lowLevels = [29]int{
		35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714,
		786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
	}
	// The lower band's output values, by 6 bit code (QQ6 with signs and code order applied).
	lowOut6 = [64]int{
		-17, -17, -17, -17, -3101, -2738, -2376, -2088, -1873, -1689, -1535, -1399, -1279, -1170, -1072, -982,
		-899, -822, -750, -682, -618, -558, -501, -447, -396, -347, -300, -254, -211, -170, -130, -91,
		3101, 2738, 2376, 2088, 1873, 1689, 1535, 1399, 1279, 1170, 1072, 982, 899, 822, 750, 682,
		618, 558, 501, 447, 396, 347, 300, 254, 211, 170, 130, 91, 54, 17, -54, -17,
	}
	// QQ4: what the predictor sees of it, by the upper 4 bits of the code.
	lowOut4 = [16]int{0, -2557, -1612, -1121, -786, -530, -323, -150, 2557, 1612, 1121, 786, 530, 323, 150, 0}
	// WL: how the lower band's step size moves.
	lowStep = [16]int{-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60}
	// QQ2 and WH: the same for the upper band.
	highOut2 = [4]int{-926, -202, 926, 202}
	highStep = [4]int{798, -214, 798, -214}
	// ILB: antilogarithm of the step size.
	antilog = [32]int{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
)

func clip(v, lo, hi int) int { return max(lo, min(v, hi)) }
func clip16(v int) int       { return clip(v, -32768, 32767) }
func clip15(v int) int       { return clip(v, -16384, 16383) }

// stepSize is SCALEL and SCALEH.
func stepSize(log int) int {
	v, shift := antilog[log>>6&31], log>>11
	if shift < 0 {
		return v >> -shift
	}
	return v << shift
}

// adaptLow is LOGSCL, SCALEL and the predictor for a lower band code.
func (s *band) adaptLow(code int) {
	s.predict(s.step * lowOut4[code>>2] >> 10)
	s.log = clip(s.log*127>>7+lowStep[code>>2], 0, 18432)
	s.step = stepSize(s.log - 8<<11)
}

// adaptHigh is LOGSCH, SCALEH and the predictor for an upper band code.
func (s *band) adaptHigh(code, difference int) {
	s.predict(difference)
	s.log = clip(s.log*127>>7+highStep[code], 0, 22528)
	s.step = stepSize(s.log - 10<<11)
}

// predict is RECONS, PARREC, UPPOL2, UPPOL1, UPZERO, FILTEP, FILTEZ and PREDIC.
func (s *band) predict(difference int) {
	negative := s.zero+difference < 0 // sign of the partial reconstruction
	sign1, sign2 := 1, -1
	if negative != s.neg[0] {
		sign1 = -1
	}
	if negative == s.neg[1] {
		sign2 = 1
	}
	s.neg = [2]bool{negative, s.neg[0]}

	// UPPOL2 with the clamped first pole, then UPPOL1 within the triangle of stability.
	s.a[1] = clip((-sign1*clip(s.a[0], -8191, 8191)>>5)+sign2*128+(s.a[1]*127>>7), -12288, 12288)
	limit := 15360 - s.a[1]
	s.a[0] = clip(sign1*192+(s.a[0]*255>>8), -limit, limit)

	s.updateZeros(difference)

	r := clip16((s.estimate + difference) * 2)
	s.estimate = clip16(s.zero + s.a[0]*r>>15 + s.a[1]*s.r[0]>>15)
	s.r[0] = r
}

// updateZeros is UPZERO and FILTEZ.
func (s *band) updateZeros(difference int) {
	newest := clip16(difference * 2)
	s.zero = 0
	for i := 5; i >= 0; i-- {
		older := newest
		if i > 0 {
			older = s.d[i-1]
		}
		s.b[i] = s.b[i] * 255 >> 8
		if newest != 0 {
			if (newest < 0) == (s.d[i] < 0) {
				s.b[i] += 128
			} else {
				s.b[i] -= 128
			}
		}
		s.d[i] = older
		s.zero += older * s.b[i] >> 15
	}
}

// qmf is the filter pair, over 24 samples kept twice in a row so that the window never wraps.
type qmf struct {
	x   [48]int32
	pos int
}

// push adds two samples and returns the sums over the odd and the even taps.
func (q *qmf) push(first, second int32) (odd, even int) {
	q.x[q.pos], q.x[q.pos+24] = first, first
	q.x[q.pos+1], q.x[q.pos+25] = second, second
	q.pos = (q.pos + 2) % 24
	w := q.x[q.pos : q.pos+24]
	for i, c := range qmfTaps {
		even += int(w[2*i]) * c
		odd += int(w[2*i+1]) * qmfTaps[11-i]
	}
	return odd, even
}

type g722Encoder struct {
	low, high band
	filter    qmf
	begun     bool
}

// Encode encodes an even number of 16 kHz samples, two to a byte.
func (e *g722Encoder) Encode(pcm []int16, dst []byte) (int, error) {
	if len(pcm)%2 != 0 || len(dst) < len(pcm)/2 {
		return 0, ErrMalformed
	}
	if !e.begun {
		e.begun = true
		e.low.reset(8)
		e.high.reset(2)
	}
	for i := range len(pcm) / 2 {
		odd, even := e.filter.push(int32(pcm[2*i]), int32(pcm[2*i+1]))
		low, high := e.encodeLow((odd+even)>>14), e.encodeHigh((odd-even)>>14)
		dst[i] = byte(high<<6 | low)
	}
	return len(pcm) / 2, nil
}

// encodeLow is SUBTRA and QUANTL.
func (e *g722Encoder) encodeLow(sample int) int {
	difference := clip16(sample - e.low.estimate)
	magnitude := difference
	if difference < 0 {
		magnitude = -difference - 1
	}
	level := 0
	for level < len(lowLevels) && (magnitude+1)<<10 > lowLevels[level]*e.low.step {
		level++
	}
	code := 61 - level
	if difference < 0 {
		code = 33 - level
		if level < 2 {
			code = 63 - level
		}
	}
	e.low.adaptLow(code)
	return code
}

// encodeHigh is SUBTRA and QUANTH, with its one decision level (Q2 = 564, scaled as the step is).
func (e *g722Encoder) encodeHigh(sample int) int {
	difference := clip16(sample - e.high.estimate)
	magnitude, code := difference, 2
	if difference < 0 {
		magnitude, code = -difference-1, 0
	}
	if magnitude < 141*e.high.step>>8 {
		code++
	}
	e.high.adaptHigh(code, e.high.step*highOut2[code]>>10)
	return code
}

type g722Decoder struct {
	low, high band
	filter    qmf
	begun     bool
	plc       *concealer
}

// Decode decodes each byte to two 16 kHz samples.
func (d *g722Decoder) Decode(payload []byte, pcm []int16) (int, error) {
	if len(payload) == 0 || 2*len(payload) > len(pcm) {
		return 0, ErrMalformed
	}
	if !d.begun {
		d.begun = true
		d.low.reset(8)
		d.high.reset(2)
	}
	for i, b := range payload {
		lowCode, highCode := int(b&63), int(b>>6)
		low := clip15(d.low.step*lowOut6[lowCode]>>10 + d.low.estimate)
		d.low.adaptLow(lowCode)
		difference := d.high.step * highOut2[highCode] >> 10
		high := clip15(difference + d.high.estimate)
		d.high.adaptHigh(highCode, difference)
		odd, even := d.filter.push(int32(low+high), int32(low-high))
		pcm[2*i] = int16(clip16(odd >> 11))
		pcm[2*i+1] = int16(clip16(even >> 11))
	}
	d.plc.heard(pcm[:2*len(payload)])
	return 2 * len(payload), nil
}

func (d *g722Decoder) Conceal(pcm []int16) { d.plc.conceal(pcm) }

func (d *g722Decoder) Recover(_ []byte, pcm []int16) bool {
	d.plc.conceal(pcm)
	return false
}
