package media

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// FuzzPipe feeds every pair of codecs packets of a stranger's making. Input: one byte choosing the pair, then per packet
// sequence delta, timestamp delta, arrival in ms, length, bytes.
func FuzzPipe(f *testing.F) {
	f.Add([]byte{1, 1, 3, 20, 2, 0x08, 0x01})
	for i := range joinable {
		in := Format{joinable[i][0], 20 * time.Millisecond}
		seed := []byte{byte(i)}
		for _, p := range packetsOf(f, in, Tone(440, EncodeRate(in.Codec), 100*ms), EncodeRate(in.Codec)) {
			seed = append(seed, 1, 1, 20, byte(len(p.Payload)))
			seed = append(seed, p.Payload...)
		}
		f.Add(seed)
		f.Add(append(seed, 3, 3, 60, 4, 0xff, 0xff, 0xff, 0xff, 0xfe, 1, 0, 3, 0x1b, 0xc2, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		pair := joinable[int(data[0])%len(joinable)]
		out := Format{pair[1], []time.Duration{20 * ms, 10 * ms, 30 * ms, 60 * ms}[data[0]>>4&3]}
		var frames uint64
		dst := &recordingStream{format: out}
		dst.onFrame = func(fr *Frame) {
			frames++
			if len(fr.Payload) == 0 || len(fr.Payload) > MaxPayload || fr.Ticks == 0 || fr.Lost > maxPassedLoss {
				t.Errorf("bad frame: %d bytes, %d ticks, %d lost", len(fr.Payload), fr.Ticks, fr.Lost)
			}
		}
		p, err := NewPipe(Format{pair[0], 20 * ms}, dst, PipeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pkt := Packet{Sequence: 65530, Arrival: testEpoch}
		data = data[1:]
		packets := uint64(0)
		for ; len(data) >= 4 && packets < 300; packets++ {
			pkt.Sequence += uint16(int16(int8(data[0])) * max(1, int16(data[1]>>6)*50))
			pkt.Timestamp += uint32(int32(int8(data[1])) * 160)
			pkt.Arrival = pkt.Arrival.Add(time.Duration(data[2]) * ms)
			n := min(int(data[3]), len(data)-4)
			pkt.Payload, data = data[4:4+n], data[4+n:]
			p.ReceivePacket(&pkt)
		}
		s := p.Stats()
		if s.Packets != packets || s.Frames != frames {
			t.Errorf("counted %d packets, %d frames; were %d, %d", s.Packets, s.Frames, packets, frames)
		}
		// A packet makes at most 120 ms of frames, 5 more before it for loss, and what was cut off or waited.
		if frames > packets*(12+maxConcealed*12)+windowSlots {
			t.Errorf("%d frames of %d packets", frames, packets)
		}
		if s.Window > maxWindow {
			t.Errorf("window grew to %v", s.Window)
		}
	})
}

// FuzzOpusPacket: what our own check lets through, libopus takes too, and finds equally long.
func FuzzOpusPacket(f *testing.F) {
	f.Add(SilenceFrame(Opus, 960))
	f.Add([]byte{0x1b, 0xc2, 1, 0xaa, 0xbb})
	f.Add([]byte{0xff, 0x41, 5, 1, 2, 3, 4, 5})
	f.Add([]byte{0x5a, 252, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		ticks, ok := opusTicks(p)
		opusHasFEC(p)
		if !ok {
			return
		}
		if ticks == 0 || ticks > 5760 {
			t.Fatalf("%d ticks", ticks)
		}
		dec, err := NewDecoder(Opus, 8000)
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, 960)
		n, err := dec.Decode(p, pcm)
		if err != nil || n != int(ticks)/6 {
			t.Errorf("libopus: %d samples, %v; we: %d ticks for %x", n, err, ticks, p)
		}
	})
}

func FuzzDigitReceiver(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 10, 0, 160, 0, 0, 0, 0, 1, 0x8a, 3, 32})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 11, 0x8a, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r DigitReceiver
		digits, packets := 0, uint64(0)
		for len(data) >= 5 {
			ts := binary.BigEndian.Uint32(data)
			n := min(int(data[3]&7), len(data)-4)
			if d, ok := r.Receive(data[4:4+n], ts); ok {
				digits++
				if _, valid := d.event(); !valid {
					t.Errorf("digit %q", d)
				}
				if _, again := r.Receive(data[4:4+n], ts); again {
					t.Errorf("digit %q reported twice", d)
				}
			}
			packets++
			data = data[4+n:]
		}
		if uint64(digits)+r.Malformed+r.Ignored > packets {
			t.Errorf("%d digits, %d malformed, %d ignored of %d packets", digits, r.Malformed, r.Ignored, packets)
		}
	})
}

func FuzzReadWAV(f *testing.F) {
	var b bytes.Buffer
	if err := WriteWAV(&b, Tone(440, 8000, 10*ms), 8000); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		pcm, rate, err := ReadWAV(bytes.NewReader(data))
		if err == nil && (rate != 8000 && rate != 16000 && rate != 48000 || 2*len(pcm) > len(data)) {
			t.Errorf("%d samples at %d Hz from %d bytes", len(pcm), rate, len(data))
		}
	})
}
