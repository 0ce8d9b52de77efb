package media

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// network loses and delays packets; what is left arrives in order of arrival.
type network struct {
	loss   float64
	jitter time.Duration
	random *rand.Rand
}

func (n network) carry(packets []Packet) []Packet {
	var out []Packet
	for i, p := range packets {
		// The first packets pass, so that tests know where the line begins.
		if i > 2 && n.random.Float64() < n.loss {
			continue
		}
		if n.jitter > 0 {
			p.Arrival = p.Arrival.Add(time.Duration(n.random.Int64N(int64(n.jitter))))
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b Packet) int { return a.Arrival.Compare(b.Arrival) })
	return out
}

var testEpoch = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// packetsOf encodes pcm as a sender of this format would.
func packetsOf(t testing.TB, f Format, pcm []int16, rate int) []Packet {
	t.Helper()
	enc, err := NewEncoder(f.Codec, rate)
	if err != nil {
		t.Fatal(err)
	}
	var out []Packet
	size := int(int64(f.PTime) * int64(rate) / 1e9)
	buf := make([]byte, MaxPayload)
	for i := 0; (i+1)*size <= len(pcm); i++ {
		n, err := enc.Encode(pcm[i*size:(i+1)*size], buf)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Packet{
			Payload: slices.Clone(buf[:n]), Sequence: uint16(65500 + i), Timestamp: 0xfffff000 + uint32(i)*f.Codec.Ticks(f.PTime),
			Arrival: testEpoch.Add(time.Duration(i) * f.PTime), Marker: i == 0,
		})
	}
	return out
}

// renumber makes packets of frames, as an outlet does.
func renumber(f Format, frames []Frame) []Packet {
	var out []Packet
	seq, ts := uint16(100), uint32(5000)
	at := testEpoch
	for _, fr := range frames {
		seq += fr.Lost
		ts += uint32(fr.Lost) * fr.Ticks
		at = at.Add(time.Duration(fr.Lost) * f.Codec.Duration(fr.Ticks))
		out = append(out, Packet{Payload: fr.Payload, Sequence: seq, Timestamp: ts, Arrival: at})
		seq++
		ts += fr.Ticks
		at = at.Add(f.Codec.Duration(fr.Ticks))
	}
	return out
}

func decodeFrames(t testing.TB, f Format, frames []Frame) []int16 {
	t.Helper()
	rate := EncodeRate(f.Codec)
	dec, err := NewDecoder(f.Codec, rate)
	if err != nil {
		t.Fatal(err)
	}
	var pcm []int16
	buf := make([]int16, rate*maxPacketMillis/1000)
	for _, fr := range frames {
		n := int(int64(f.Codec.Duration(fr.Ticks)) * int64(rate) / 1e9)
		for range fr.Lost {
			dec.Conceal(buf[:n])
			pcm = append(pcm, buf[:n]...)
		}
		n, err := dec.Decode(fr.Payload, buf)
		if err != nil {
			t.Fatalf("decode what we sent: %v", err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return pcm
}

func runPipe(t testing.TB, in, out Format, packets []Packet) (*Pipe, []Frame) {
	t.Helper()
	dst := &recordingStream{format: out}
	p, err := NewPipe(in, dst, PipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		p.ReceivePacket(&packets[i])
	}
	return p, dst.frames
}

var joinable = [][2]Codec{
	{Opus, Opus}, {Opus, PCMA}, {Opus, PCMU}, {Opus, G722}, {PCMA, Opus}, {PCMU, Opus}, {G722, Opus},
	{PCMA, PCMA}, {PCMU, PCMU}, {PCMA, PCMU}, {PCMU, PCMA}, {G722, G722},
}

func TestTonesSurviveTheBridgeThereAndBack(t *testing.T) {
	for _, pair := range joinable {
		for _, bad := range []bool{false, true} {
			for _, freq := range []float64{440, 1000} {
				t.Run(fmt.Sprintf("%v-%v/%v/loss=%v", pair[0], pair[1], freq, bad), func(t *testing.T) {
					t.Parallel()
					net := network{random: rand.New(rand.NewPCG(1, uint64(freq)))}
					if bad {
						net.loss, net.jitter = 0.05, 30*time.Millisecond
					}
					a, b := Format{pair[0], 20 * time.Millisecond}, Format{pair[1], 20 * time.Millisecond}
					rate := EncodeRate(a.Codec)
					there := net.carry(packetsOf(t, a, Tone(freq, rate, 4*time.Second), rate))
					_, frames := runPipe(t, a, b, there)
					_, frames = runPipe(t, b, a, net.carry(renumber(b, frames)))
					pcm := decodeFrames(t, a, frames)
					if len(pcm) < rate*33/10 {
						t.Fatalf("%d samples of %d came back", len(pcm), 4*rate)
					}
					pcm = pcm[rate : rate*2]
					got, level := DominantTone(pcm, rate)
					want := 0.9
					if bad {
						want = 0.5
					}
					if got < freq-5 || got > freq+5 || level < want {
						t.Errorf("dominant tone %.0f Hz at %.2f, want %.0f Hz", got, level, freq)
					}
					if l := Level(pcm); l < -21 || l > -12 {
						t.Errorf("level %.1f dBFS, sent -15", l)
					}
				})
			}
		}
	}
}

func TestEveryPTimeIsRepackedWithoutLosingASample(t *testing.T) {
	for _, c := range []Codec{PCMA, PCMU, G722, Opus} {
		for _, from := range []int{10, 20, 30, 40, 60} {
			for _, to := range []int{10, 20, 30, 40, 60} {
				in, out := Format{PCMA, time.Duration(from) * ms}, Format{c, time.Duration(to) * ms}
				if c == G722 {
					in.Codec = G722
				}
				if c == Opus {
					out.PTime = 20 * ms
				}
				packets := packetsOf(t, in, Tone(440, in.Codec.SampleRate(), 1200*ms), in.Codec.SampleRate())
				_, frames := runPipe(t, in, out, packets)
				var total uint32
				for _, f := range frames {
					if f.Ticks != out.Codec.Ticks(out.PTime) || f.Lost != 0 || f.Concealed {
						t.Fatalf("%v→%v: frame of %d ticks, lost %d", in, out, f.Ticks, f.Lost)
					}
					total += f.Ticks
				}
				if got := out.Codec.Duration(total); got != 1200*ms {
					t.Errorf("%v→%v: %v came out of 1.2 s", in, out, got)
				}
				if f, l := DominantTone(decodeFrames(t, out, frames), EncodeRate(c)); f < 435 || f > 445 || l < 0.9 {
					t.Errorf("%v→%v: %.0f Hz at %.2f", in, out, f, l)
				}
			}
		}
	}
}

func TestSameCodecPassesBytesUntouched(t *testing.T) {
	for _, c := range []Codec{PCMA, PCMU, G722, Opus} {
		f := Format{c, 20 * ms}
		packets := packetsOf(t, f, Tone(440, EncodeRate(c), time.Second), EncodeRate(c))
		_, frames := runPipe(t, f, f, packets)
		if len(frames) != len(packets) {
			t.Fatalf("%v: %d frames of %d packets", c, len(frames), len(packets))
		}
		for i := range frames {
			if !slices.Equal(frames[i].Payload, packets[i].Payload) || frames[i].Marker != packets[i].Marker {
				t.Fatalf("%v: packet %d changed", c, i)
			}
		}
	}
}

func TestOpusOfOtherLengthsBecomes20ms(t *testing.T) {
	// Two 20 ms frames in one packet: code 1 with equal sizes needs constant bit rate, so code 2.
	f := Format{Opus, 20 * ms}
	single := packetsOf(t, f, Tone(440, 16000, 2*time.Second), 16000)
	var double []Packet
	for i := 0; i+1 < len(single); i += 2 {
		a, b := single[i], single[i+1]
		body := []byte{a.Payload[0]&^3 | 2, byte(len(a.Payload) - 1)}
		body = append(append(body, a.Payload[1:]...), b.Payload[1:]...)
		double = append(double, Packet{Payload: body, Sequence: uint16(i / 2), Timestamp: uint32(i) * 960, Arrival: a.Arrival})
	}
	p, frames := runPipe(t, f, f, double)
	if len(frames) != 100 {
		t.Fatalf("%d frames, want 100; %v, %+v", len(frames), p, p.Stats())
	}
	for _, fr := range frames {
		if n, ok := opusTicks(fr.Payload); !ok || n != 960 {
			t.Fatalf("a frame of %d ticks came out", n)
		}
	}
	if freq, level := DominantTone(decodeFrames(t, f, frames)[8000:], 16000); freq < 435 || freq > 445 || level < 0.9 {
		t.Errorf("%.0f Hz at %.2f", freq, level)
	}
}

// speech is a voice-like signal: harmonics of 120 Hz that swell and fade four times a second.
func speech(rate int, dur time.Duration) []int16 {
	pcm := make([]int16, int(int64(dur)*int64(rate)/int64(time.Second)))
	for i := range pcm {
		at := float64(i) / float64(rate)
		v := 0.0
		for h := 1.0; h <= 12; h++ {
			v += math.Sin(2*math.Pi*120*h*at+h*h) / h
		}
		pcm[i] = int16(6000 * v * (0.6 - 0.4*math.Cos(2*math.Pi*4*at)))
	}
	return pcm
}

func TestLossIsRebuiltFromFEC(t *testing.T) {
	f := Format{Opus, 20 * ms}
	packets := packetsOf(t, f, speech(16000, 4*time.Second), 16000)
	packets = slices.DeleteFunc(packets, func(p Packet) bool { return p.Sequence%10 == 5 })
	p, frames := runPipe(t, f, Format{PCMA, 20 * ms}, packets)
	s := p.Stats()
	if s.Lost != 20 || s.Recovered+s.Concealed != 20 || s.Recovered < 10 || len(frames) != 200 {
		t.Errorf("%d frames, %+v", len(frames), s)
	}
	n := 0
	for _, fr := range frames {
		if fr.Concealed {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d frames marked as made up, want 20", n)
	}
}

// What FEC rebuilds must resemble what was lost more than concealment alone does.
func TestFECSoundsBetterThanConcealment(t *testing.T) {
	f := Format{Opus, 20 * ms}
	packets := packetsOf(t, f, speech(16000, 4*time.Second), 16000)
	_, clean := runPipe(t, f, Format{PCMA, 20 * ms}, packets)
	want := decodeFrames(t, Format{PCMA, 20 * ms}, clean)
	lossy := slices.DeleteFunc(slices.Clone(packets), func(p Packet) bool { return p.Sequence%10 == 5 })
	_, frames := runPipe(t, f, Format{PCMA, 20 * ms}, lossy)
	withFEC := snr(want, decodeFrames(t, Format{PCMA, 20 * ms}, frames))

	dec, _ := NewDecoder(Opus, 8000)
	var concealed []int16
	buf := make([]int16, 960)
	for _, p := range packets {
		n := 160
		if p.Sequence%10 == 5 {
			dec.Conceal(buf[:n])
		} else if n, _ = dec.Decode(p.Payload, buf); n != 160 {
			t.Fatal("not 20 ms")
		}
		concealed = append(concealed, buf[:n]...)
	}
	without := snr(want, concealed)
	t.Logf("signal to noise: %.1f dB with FEC, %.1f dB with concealment alone", withFEC, without)
	if withFEC < without+2 {
		t.Errorf("%.1f dB with FEC, %.1f dB without", withFEC, without)
	}
}

func snr(want, got []int16) float64 {
	var signal, noise float64
	for i := range min(len(want), len(got)) {
		d := float64(want[i]) - float64(got[i])
		signal += float64(want[i]) * float64(want[i])
		noise += d * d
	}
	return 10 * math.Log10(signal/noise)
}

func TestAtMostFiveFramesInARowAreMadeUp(t *testing.T) {
	f := Format{PCMA, 20 * ms}
	packets := packetsOf(t, f, Tone(440, 8000, 2*time.Second), 8000)
	packets = slices.Delete(packets, 20, 50)
	p, frames := runPipe(t, f, Format{Opus, 20 * ms}, packets)
	if s := p.Stats(); s.Lost != 30 || s.Concealed != 5 || len(frames) != 75 {
		t.Errorf("%d frames, %+v", len(frames), s)
	}
}

func TestGapsPassThroughAsGaps(t *testing.T) {
	f := Format{Opus, 20 * ms}
	packets := packetsOf(t, f, Tone(440, 16000, 3*time.Second), 16000)
	packets = slices.Delete(packets, 20, 23)
	packets = slices.Delete(packets, 40, 110) // more than is passed on
	_, frames := runPipe(t, f, f, packets)
	for i, fr := range frames {
		want := uint16(0)
		if i == 20 {
			want = 3
		}
		if fr.Lost != want {
			t.Errorf("frame %d has %d lost before it, want %d", i, fr.Lost, want)
		}
	}
}

func TestQuietTimeIsNoLoss(t *testing.T) {
	f := Format{Opus, 20 * ms}
	packets := packetsOf(t, f, Tone(440, 16000, time.Second), 16000)
	for i := 25; i < 50; i++ { // DTX: time passes, numbers don't
		packets[i].Timestamp += 48000
		packets[i].Arrival = packets[i].Arrival.Add(time.Second)
	}
	// DTMF: numbers pass; time for only two frames.
	for i := 40; i < 50; i++ {
		packets[i].Sequence += 10
		packets[i].Timestamp += 2 * 960
	}
	p, _ := runPipe(t, f, f, packets)
	if s := p.Stats(); s.Lost != 2 || s.Frames != 50 {
		t.Errorf("%+v", s)
	}
}

func TestSenderMayStartAnew(t *testing.T) {
	for name, from := range map[string]uint16{"far": 20000, "just behind": 65500 - 20} {
		f := Format{PCMA, 20 * ms}
		packets := packetsOf(t, f, Tone(440, 8000, 2*time.Second), 8000)
		for i := 20; i < len(packets); i++ {
			packets[i].Sequence = from + uint16(i-20)
			packets[i].Timestamp += 1 << 30
		}
		p, frames := runPipe(t, f, Format{Opus, 20 * ms}, packets)
		lateOnes := 0
		if name == "just behind" {
			lateOnes = lateRun - 1 // taken for late until they persist
		}
		if s := p.Stats(); s.Resyncs != 1 || s.Lost != 0 || len(frames) != 100-lateOnes {
			t.Errorf("%s: %d frames, %+v", name, len(frames), s)
		}
	}
}

func TestWindowOpensForReorderingAndCloses(t *testing.T) {
	f := Format{PCMA, 20 * ms}
	packets := packetsOf(t, f, Tone(440, 8000, 60*time.Second), 8000)
	swap := func(i int) { // i arrives just after i+1
		packets[i].Arrival = packets[i+1].Arrival.Add(ms)
	}
	for i := 100; i < 500; i += 10 {
		swap(i)
	}
	slices.SortStableFunc(packets, func(a, b Packet) int { return a.Arrival.Compare(b.Arrival) })
	dst := &recordingStream{format: f}
	p, err := NewPipe(f, dst, PipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range packets {
		before := len(dst.frames)
		p.ReceivePacket(&packets[i])
		if i < 100 && len(dst.frames) != before+1 {
			t.Fatalf("packet %d waited in a clean network", i)
		}
		if i == 400 && p.Stats().Window == 0 {
			t.Error("window closed although packets come out of order")
		}
	}
	s := p.Stats()
	if s.Late > 3 || s.Lost != s.Late || s.Window != 0 {
		t.Errorf("%+v", s)
	}
	if len(dst.frames) != len(packets)-int(s.Late) {
		t.Errorf("%d frames of %d packets", len(dst.frames), len(packets))
	}
	// In order: the tone of the middle is whole.
	pcm := decodeFrames(t, f, dst.frames)
	if l := ToneLevel(pcm[8000*5:8000*6], 8000, 440); l < 0.95 {
		t.Errorf("tone level %.2f: order not restored", l)
	}
}

func TestDuplicatesAreDropped(t *testing.T) {
	f := Format{PCMA, 20 * ms}
	packets := packetsOf(t, f, Tone(440, 8000, time.Second), 8000)
	var twice []Packet
	for i, p := range packets {
		twice = append(twice, p)
		if i >= 3 {
			twice = append(twice, packets[i-3], p)
		}
	}
	p, frames := runPipe(t, f, f, twice)
	if s := p.Stats(); len(frames) != 50 || s.Duplicate != 94 || s.Late != 0 {
		t.Errorf("%d frames, %+v", len(frames), s)
	}
}

func TestMalformedPacketsAreCountedAndDropped(t *testing.T) {
	bad := map[Codec][][]byte{
		PCMA: {nil, {1}, make([]byte, 159), make([]byte, 1000), make([]byte, MaxPayload+1)},
		Opus: {nil, {3}, {3, 0}, {3, 0xff, 1, 2}, {1, 2}, {2, 255}, {0x1b, 0x43, 255}, make([]byte, MaxPayload+1)},
	}
	for c, payloads := range bad {
		for _, to := range []Codec{c, Opus, PCMA} {
			dst := &recordingStream{format: Format{to, 20 * ms}}
			p, err := NewPipe(Format{c, 20 * ms}, dst, PipeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range payloads {
				p.ReceivePacket(&Packet{Payload: b, Sequence: uint16(i), Arrival: testEpoch})
			}
			if s := p.Stats(); s.Malformed != uint64(len(payloads)) || s.Frames != 0 {
				t.Errorf("%v→%v: %+v", c, to, s)
			}
		}
	}
}

func TestFormatsThatCannotBeJoinedAreRefused(t *testing.T) {
	for _, pair := range [][2]Codec{{PCMA, G722}, {G722, PCMU}, {CodecNone, Opus}, {Opus, CodecNone}} {
		_, err := NewPipe(Format{pair[0], 20 * ms}, &recordingStream{format: Format{pair[1], 20 * ms}}, PipeOptions{})
		if !errors.Is(err, ErrNoConversion) {
			t.Errorf("%v to %v: %v", pair[0], pair[1], err)
		}
	}
}

func TestPipeFollowsARenegotiation(t *testing.T) {
	in := Format{Opus, 20 * ms}
	dst := &recordingStream{format: Format{PCMA, 20 * ms}}
	p, err := NewPipe(in, dst, PipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	packets := packetsOf(t, in, Tone(440, 16000, time.Second), 16000)
	for i := range packets {
		if i == 20 {
			dst.format = Format{G722, 40 * ms}
		}
		p.ReceivePacket(&packets[i])
	}
	if n := len(dst.frames); n != 20+15 || len(dst.frames[n-1].Payload) != 320 {
		t.Errorf("%d frames, the last of %d bytes", n, len(dst.frames[n-1].Payload))
	}
}

func TestAFormatThatCannotBeJoinedDropsPacketsUntilItGoes(t *testing.T) {
	in := Format{PCMA, 20 * ms}
	dst := &recordingStream{format: in}
	p, err := NewPipe(in, dst, PipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	packets := packetsOf(t, in, Tone(440, 8000, time.Second), 8000)
	for i := range packets {
		switch i {
		case 10:
			dst.format = Format{G722, 20 * ms}
		case 30:
			dst.format = Format{PCMU, 20 * ms}
		}
		p.ReceivePacket(&packets[i])
	}
	if s := p.Stats(); s.Unjoined != 20 || len(dst.frames) != 30 {
		t.Errorf("%d frames, %+v", len(dst.frames), s)
	}
}
