package recorder

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"deskbridge/media"
)

const millisecond = time.Millisecond

// wantTone checks a channel's tone over its length, but for the first and last 100 ms.
func wantTone(t *testing.T, what string, pcm []int16, rate int, freq float64) {
	t.Helper()
	f, level := media.DominantTone(pcm[rate/10:len(pcm)-rate/10], rate)
	if f < freq-3 || f > freq+3 || level < 0.8 {
		t.Errorf("%s: %.0f Hz at %.2f, want %.0f Hz", what, f, level, freq)
	}
}

func TestStereoExportHasEachSideInItsChannel(t *testing.T) {
	packets := simulate(t, 10*time.Second,
		talker{side: Customer, codec: media.Opus, ptime: 20 * millisecond, say: tone(440)},
		talker{side: Agent, codec: media.Opus, ptime: 20 * millisecond, begin: 3 * millisecond, say: tone(1000)})
	e, b := export(t, packets, ExportOptions{})
	f := readOgg(t, b)
	if got := time.Duration(f.last-f.preSkip) * time.Second / 48000; got != e.Duration() || got < 9980*millisecond || got > 10020*millisecond {
		t.Errorf("lasts %v, announced %v", got, e.Duration())
	}
	wantTone(t, "left", f.decode(t, false, 16000), 16000, 440)
	wantTone(t, "right", f.decode(t, true, 16000), 16000, 1000)
	for _, s := range []Side{Customer, Agent} {
		if got := e.Stats(s); got.Packets < 499 || got != (LaneStats{Packets: got.Packets}) {
			t.Errorf("%v: %+v", s, got)
		}
	}
	// Nothing was encoded: the packets are the sender's, bit by bit.
	sent := map[string]bool{}
	for _, p := range packets {
		sent[string(p.Payload)] = true
	}
	foreign := 0
	for _, p := range f.packets {
		for _, side := range [][]byte{p.left, p.right} {
			if !sent[string(side)] {
				foreign++
			}
		}
	}
	if foreign > 3 {
		t.Errorf("%d of %d packets are nobody's", foreign, 2*len(f.packets))
	}
}

// ms20 is a talker with 20 ms Opus packets.
func ms20(side Side, freq float64) talker {
	return talker{side: side, codec: media.Opus, ptime: 20 * millisecond, say: tone(freq)}
}

// beeps says a tone in the second half of every second.
func beeps(freq float64) func(float64) float64 {
	return func(t float64) float64 {
		if math.Mod(t, 1) < 0.5 {
			return 0
		}
		return tone(freq)(t)
	}
}

// onset returns when a beep that is heard in the second beginning at from begins.
func onset(t *testing.T, pcm []int16, rate int, freq float64, from time.Duration) time.Duration {
	t.Helper()
	at := int(from * time.Duration(rate) / time.Second)
	block := rate / 1000
	for i := at + rate/10; i+block < min(at+rate, len(pcm)); i += block {
		if media.Level(pcm[i:i+4*block]) > -24 {
			return time.Duration(i) * time.Second / time.Duration(rate)
		}
	}
	t.Fatalf("no beep of %.0f Hz after %v", freq, from)
	return 0
}

// TestSidesStayTogetherOnAnyClock: the customer's clock is off, packets are jittered, lost and out of order; both sides beep at
// the same true moments and do so in the export.
func TestSidesStayTogetherOnAnyClock(t *testing.T) {
	for name, c := range map[string]struct {
		ppm     float64
		ptime   time.Duration
		frames  int
		codec   media.Codec
		begin   time.Duration
		messy   bool
		agent60 bool
		dtx     bool
	}{
		"same clock":                 {ptime: 20 * millisecond},
		"half a slot apart":          {ptime: 20 * millisecond, begin: 10 * millisecond},
		"500 ppm slow, messy":        {ppm: 500, ptime: 20 * millisecond, messy: true, begin: 7 * millisecond},
		"500 ppm fast, messy":        {ppm: -500, ptime: 20 * millisecond, messy: true, begin: 13 * millisecond},
		"500 ppm fast, 60 ms frames": {ppm: -500, ptime: 60 * millisecond},
		"500 ppm slow, 60 ms frames": {ppm: 500, ptime: 60 * millisecond, messy: true},
		"60 ms frames on both sides": {ppm: -200, ptime: 60 * millisecond, agent60: true, begin: 25 * millisecond},
		"40 ms frames":               {ppm: 300, ptime: 40 * millisecond},
		"three frames in a packet":   {ppm: 300, ptime: 60 * millisecond, frames: 3},
		"DTX":                        {ppm: 300, ptime: 20 * millisecond, dtx: true},
		"10 ms frames":               {ppm: -300, ptime: 10 * millisecond},
		"G.711":                      {ppm: 500, ptime: 20 * millisecond, codec: media.PCMA, messy: true},
		"G.711, 30 ms":               {ppm: -500, ptime: 30 * millisecond, codec: media.PCMU},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := talker{side: Customer, codec: c.codec, ptime: c.ptime, frames: c.frames, ppm: c.ppm, begin: c.begin, say: beeps(440), dtx: c.dtx}
			if k.codec == media.CodecNone {
				k.codec = media.Opus
			}
			if c.messy {
				r := rand.New(rand.NewPCG(1, 2))
				k.delay = func(i int) time.Duration {
					if i%97 == 50 {
						return 250 * millisecond
					}
					return time.Duration(r.ExpFloat64() * 8 * float64(millisecond))
				}
				k.skip = func(i int) bool {
					at := math.Mod(float64(i)*c.ptime.Seconds(), 1) // a lost onset is a late one
					return i%61 == 7 && (at < 0.4 || at > 0.6)
				}
			}
			agent := ms20(Agent, 0)
			agent.say = beeps(1000)
			if c.agent60 {
				agent.ptime = 60 * millisecond
			}
			const length = 45 * time.Second
			e, b := export(t, simulate(t, length, k, agent), ExportOptions{Length: length})
			f := readOgg(t, b)
			left, right := f.decode(t, false, 16000), f.decode(t, true, 16000)
			if len(left) != 45*16000 {
				t.Errorf("%d samples", len(left))
			}
			var worst time.Duration
			for s := 2 * time.Second; s < length; s += time.Second {
				l, r := onset(t, left, 16000, 440, s), onset(t, right, 16000, 1000, s)
				worst = max(worst, l-r, r-l)
				if d := r - s - 500*millisecond; d < -30*millisecond || d > 30*millisecond {
					t.Errorf("the agent beeps at %v", r)
				}
			}
			if n := e.Stats(Customer).Packets; c.dtx && n > 2000 {
				t.Errorf("%d packets: the talker knows no DTX", n)
			}
			t.Logf("at most %v apart; %+v, %+v", worst, e.Stats(Customer), e.Stats(Agent))
			if worst >= 20*millisecond {
				t.Errorf("%v apart", worst)
			}
		})
	}
}
