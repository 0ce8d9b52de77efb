package media

// concealer makes up audio for codecs without concealment of their own: it repeats the last pitch period, fading to
// silence, and blends into what comes after (the idea of ITU-T G.711 appendix I, without its finer points).
type concealer struct {
	rate    int
	history []int16 // the last 40 ms heard
	period  int     // samples repeated; 0 while nothing is concealed
	pos     int     // samples made up so far
}

const (
	concealHistoryMillis = 40
	concealHoldMillis    = 10 // full level
	concealFadeMillis    = 60 // silent from here on
	concealBlendMillis   = 4
)

func newConcealer(rate int) *concealer {
	return &concealer{rate: rate, history: make([]int16, concealHistoryMillis*rate/1000)}
}

// heard takes real audio. The first after a gap is blended with what we would have made up.
func (c *concealer) heard(pcm []int16) {
	if c.period > 0 {
		n := min(concealBlendMillis*c.rate/1000, len(pcm))
		for i := range n {
			pcm[i] = int16((int(pcm[i])*i + int(c.next())*(n-i)) / n)
		}
		c.period = 0
	}
	c.remember(pcm)
}

func (c *concealer) remember(pcm []int16) {
	if len(pcm) >= len(c.history) {
		copy(c.history, pcm[len(pcm)-len(c.history):])
		return
	}
	copy(c.history, c.history[len(pcm):])
	copy(c.history[len(c.history)-len(pcm):], pcm)
}

func (c *concealer) conceal(pcm []int16) {
	if c.period == 0 {
		c.period, c.pos = c.pitch(), 0
	}
	for i := range pcm {
		pcm[i] = c.next()
	}
}

func (c *concealer) next() int16 {
	s := int(c.history[len(c.history)-c.period+c.pos%c.period])
	hold, fade := concealHoldMillis*c.rate/1000, concealFadeMillis*c.rate/1000
	switch {
	case c.pos >= fade:
		s = 0
	case c.pos > hold:
		s = s * (fade - c.pos) / (fade - hold)
	}
	c.pos++
	return int16(s)
}

// pitch finds the period (5 to 15 ms) at which the last 20 ms repeat best, by normalised correlation.
func (c *concealer) pitch() int {
	h := c.history
	window := 20 * c.rate / 1000
	tail := h[len(h)-window:]
	best, bestScore := 15*c.rate/1000, -1.0
	for lag := 5 * c.rate / 1000; lag <= 15*c.rate/1000; lag++ {
		past := h[len(h)-window-lag : len(h)-lag]
		var cross, energy float64
		for i := 0; i < window; i += 2 {
			cross += float64(tail[i]) * float64(past[i])
			energy += float64(past[i]) * float64(past[i])
		}
		if cross <= 0 {
			continue
		}
		if score := cross * cross / (energy + 1); score > bestScore {
			best, bestScore = lag, score
		}
	}
	return best
}
