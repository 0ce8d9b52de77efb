package recorder

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
)

// numbered returns 20 ms packets that can be told apart: CELT frames of their number, which nobody decodes here.
func numbered(side Side, n int) (out []Packet) {
	for i := range n {
		out = append(out, Packet{Side: side, At: time.Duration(i) * 20 * millisecond, Codec: media.Opus, Timestamp: uint32(i) * 960,
			Sequence: uint16(i), Payload: []byte{0xf8, 0xaa, byte(i >> 8), byte(i)}})
	}
	return out
}

// placed exports packets and returns the slot of each numbered one, -1 for those that are not there.
func placed(t *testing.T, packets []Packet, n int) (slots []int, e *Export) {
	t.Helper()
	e, b := export(t, sortPackets(packets), ExportOptions{Format: OggCustomer})
	f := readOgg(t, b)
	slots = slices.Repeat([]int{-1}, n)
	for slot, p := range f.packets {
		if len(p.left) == 4 && p.left[1] == 0xaa {
			slots[int(p.left[2])<<8|int(p.left[3])] = slot
		}
	}
	return slots, e
}

// wantSlots checks that packet i lies in slot i plus what shift says.
func wantSlots(t *testing.T, slots []int, shift func(i int) int) {
	t.Helper()
	for i, s := range slots {
		if want := i + shift(i); s != want {
			t.Errorf("packet %d in slot %d, want %d", i, s, want)
		}
	}
}

func unshifted(int) int { return 0 }

func TestPacketsGetTheirPlaceInWhateverOrderTheyCome(t *testing.T) {
	p := numbered(Customer, 500)
	for i := range p {
		p[i].At += time.Duration(i*7919%60) * millisecond // jitter that reorders
	}
	p[100].At += 1500 * millisecond
	for i := 200; i < 290; i++ { // the network stood still
		p[i].At = p[290].At
	}
	p[0].At, p[1].At = 0, 20*millisecond
	slots, e := placed(t, append(p, p[5], p[250], p[499]), 500)
	wantSlots(t, slots, unshifted)
	if s := e.Stats(Customer); s != (LaneStats{Packets: 500, Duplicate: 3}) {
		t.Errorf("%+v", s)
	}
}

func TestPacketBeyondTheWindowIsLeftOutAndMovesNothing(t *testing.T) {
	p := numbered(Customer, 500)
	p[100].At += 2500 * millisecond
	slots, e := placed(t, p, 500)
	wantSlots(t, slots, func(i int) int {
		if i == 100 {
			return -101
		}
		return 0
	})
	if s := e.Stats(Customer); s != (LaneStats{Packets: 499, Late: 1}) {
		t.Errorf("%+v", s)
	}
}

// TestStallBeyondTheWindowCostsOnlyWhatCameTooLate: 150 packets came at once.
func TestStallBeyondTheWindowCostsOnlyWhatCameTooLate(t *testing.T) {
	p := numbered(Customer, 600)
	for i := 200; i < 350; i++ {
		p[i].At = p[350].At
	}
	slots, e := placed(t, p, 600)
	for i, s := range slots {
		if s != i && (i < 200 || i > 252) {
			t.Errorf("packet %d in slot %d", i, s)
		}
	}
	t.Logf("%+v", e.Stats(Customer))
}

// TestPauseOfTheSendersTimestampsIsKept: the sender was silent for a while and its timestamps went on as if it had not been.
func TestPauseOfTheSendersTimestampsIsKept(t *testing.T) {
	for _, pause := range []int{5, 40, 95, 500} { // packets
		p := numbered(Customer, 600)
		for i := 300; i < 600; i++ {
			p[i].At += time.Duration(pause) * 20 * millisecond
		}
		slots, _ := placed(t, p, 600)
		wantSlots(t, slots, func(i int) int {
			if i < 300 {
				return 0
			}
			return pause
		})
	}
}

func TestNewTimestampsInTheMiddleAreAnchoredByArrival(t *testing.T) {
	p := numbered(Customer, 600)
	for i := 300; i < 600; i++ {
		p[i].Timestamp += 0x9000_0000
		p[i].Sequence -= 5
		p[i].At += time.Duration(20+i*31%17) * millisecond
	}
	p[350].At -= time.Duration(350*31%17) * millisecond // the least delayed
	slots, _ := placed(t, p, 600)
	wantSlots(t, slots, func(i int) int { return i / 300 })
}

// TestRewoundNumbersBeginANewRun: the sender began again with numbers it had used.
func TestRewoundNumbersBeginANewRun(t *testing.T) {
	p := numbered(Customer, 600)
	for i := 300; i < 600; i++ {
		p[i].Timestamp -= 250 * 960
		p[i].Sequence -= 250
	}
	slots, e := placed(t, p, 600)
	wantSlots(t, slots, func(i int) int {
		if i == 300 || i == 301 { // taken for late ones
			return -1 - i
		}
		return 0
	})
	if s := e.Stats(Customer); s.Packets != 598 {
		t.Errorf("%+v", s)
	}
}

// TestBurstAtTheBeginningIsHeard: what waited for the send gate leaves at once, and its timestamps lie before the recording.
func TestBurstAtTheBeginningIsHeard(t *testing.T) {
	p := numbered(Customer, 1500)
	for i := range p {
		p[i].At = max(p[i].At-300*millisecond, 0)
	}
	slots, e := placed(t, p, 1500)
	for i := range 50 {
		if slots[i] != i {
			t.Errorf("packet %d in slot %d", i, slots[i])
		}
	}
	// A frame a second is left out until the rest lies where it arrived.
	if slots[1499] != 1499-15 || e.Stats(Customer).Dropped != 15 {
		t.Errorf("the last in slot %d; %+v", slots[1499], e.Stats(Customer))
	}
}

func TestGapsAreSilence(t *testing.T) {
	p := numbered(Customer, 100)
	p = append(slices.Clone(p[:30]), p[60:]...)
	_, b := export(t, p, ExportOptions{Length: 3 * time.Second})
	f := readOgg(t, b)
	for i, q := range f.packets {
		left := media.SilenceFrame(media.Opus, slotTicks)
		if i < 30 || i >= 60 && i < 100 {
			left = p[i-i/60*30].Payload
		}
		if !bytes.Equal(q.left, left) || !bytes.Equal(q.right, media.SilenceFrame(media.Opus, slotTicks)) {
			t.Errorf("packet %d: %x, %x", i, q.left, q.right)
		}
	}
	if len(f.packets) != 151 || f.last-f.preSkip != 3*48000 { // the encoder's delay takes a part of one more
		t.Errorf("%d packets, %d samples", len(f.packets), f.last-f.preSkip)
	}
}

// TestLongFramesAreJoinedToNotCoded: a side with 60 ms frames, the other with 20 ms ones: every frame of both is the sender's.
func TestLongFramesAreJoinedToNotCoded(t *testing.T) {
	for name, agent := range map[string]talker{
		"20 ms":                      ms20(Agent, 1000),
		"2.5 ms":                     {side: Agent, codec: media.Opus, ptime: 2500 * time.Microsecond, rate: 48000, say: tone(1000)},
		"120 ms of 20 ms":            {side: Agent, codec: media.Opus, ptime: 120 * millisecond, frames: 6, say: tone(1000)},
		"60 ms":                      {side: Agent, codec: media.Opus, ptime: 60 * millisecond, say: tone(1000)},
		"120 ms of 60 ms, in step":   {side: Agent, codec: media.Opus, ptime: 120 * millisecond, frames: 2, say: tone(1000)},
		"40 ms of 10 ms, with a gap": {side: Agent, codec: media.Opus, ptime: 40 * millisecond, frames: 4, say: tone(1000), skip: func(i int) bool { return i == 20 }},
	} {
		customer := talker{side: Customer, codec: media.Opus, ptime: 60 * millisecond, say: tone(440)}
		packets := simulate(t, 6*time.Second, customer, agent)
		e, b := export(t, packets, ExportOptions{})
		if a, c := e.Stats(Agent), e.Stats(Customer); a.Recoded+c.Recoded+a.Dropped+c.Dropped > 0 {
			t.Errorf("%s: %+v, %+v", name, c, a)
		}
		var sent, got [2][]string
		for _, p := range packets {
			sent[p.Side] = appendFrameStrings(sent[p.Side], p.Payload)
		}
		for _, p := range readOgg(t, b).packets {
			got[0] = appendFrameStrings(got[0], p.left)
			got[1] = appendFrameStrings(got[1], p.right)
		}
		for side := range sent {
			if !slices.Equal(got[side], sent[side]) {
				t.Errorf("%s: side %d: %d frames, sent %d", name, side, len(got[side]), len(sent[side]))
			}
		}
	}
}

// appendFrameStrings appends a packet's frames with what tells their kind, but for silence and missing ones.
func appendFrameStrings(dst []string, p []byte) []string {
	frames, _ := media.OpusFrames(p, nil)
	for _, f := range frames {
		if s := string(p[0]&^3) + string(f); len(f) > 0 && s != string(media.SilenceFrame(media.Opus, slotTicks)) {
			dst = append(dst, s)
		}
	}
	return dst
}

func TestEmptyRecordingIsAFile(t *testing.T) {
	for f := OggStereo; f <= WAV48k; f++ {
		e, b := export(t, nil, ExportOptions{Format: f})
		if f < WAV16k {
			readOgg(t, b)
		}
		if e.Duration() != 0 {
			t.Errorf("lasts %v", e.Duration())
		}
	}
}

func TestStrangePacketsAreCounted(t *testing.T) {
	p := numbered(Customer, 50)
	for i, payload := range [][]byte{nil, {}, {0xfb}, {0xfb, 0}, {0x49, 1}, bytes.Repeat([]byte{0x78}, 4000)} {
		p[10+i].Payload = payload
	}
	p[20].Codec = media.G722
	_, e := placed(t, p, 50)
	if s := e.Stats(Customer); s.Malformed != 7 || s.Packets != 43 {
		t.Errorf("%+v", s)
	}
}

func TestImpossibleTimeIsAnError(t *testing.T) {
	for _, at := range []time.Duration{-1, maxExport + 1} {
		p := numbered(Customer, 2)
		p[1].At = at
		if _, err := NewExport(t.Context(), opened(p), ExportOptions{}); err == nil || !strings.Contains(err.Error(), "packet 2") {
			t.Errorf("%v: %v", at, err)
		}
	}
}
