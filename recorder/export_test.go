package recorder

import (
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
