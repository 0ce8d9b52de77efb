package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
)

// benchStream is an outlet that writes nowhere, as a Stream.
type benchStream struct{ *Outlet }

func (benchStream) SetSink(Sink) {}
func (benchStream) Stats() Stats { return Stats{} }

// discard returns a running outlet and its stream.
func discard(f Format) benchStream {
	o := NewOutlet(OutletConfig{Format: f, Write: func(*rtp.Header, []byte) error { return nil }})
	o.Start()
	return benchStream{o}
}

// flow feeds a pipe the same packets for ever, with fresh numbers.
type flow struct {
	packets []Packet
	ticks   uint32
	n       int
	pkt     Packet
}

func newFlow(t testing.TB, f Format) *flow {
	return &flow{packets: packetsOf(t, f, speech(EncodeRate(f.Codec), 2*time.Second), EncodeRate(f.Codec)), ticks: f.Codec.Ticks(f.PTime)}
}

func (f *flow) next() *Packet {
	f.pkt = f.packets[f.n%len(f.packets)]
	f.pkt.Sequence = uint16(f.n)
	f.pkt.Timestamp = uint32(f.n) * f.ticks
	f.pkt.Arrival = testEpoch.Add(time.Duration(f.n) * 20 * time.Millisecond)
	f.n++
	return &f.pkt
}

var pipeBenches = []struct {
	name    string
	in, out Codec
}{
	{"passthrough", Opus, Opus}, {"pcma-pcma", PCMA, PCMA}, {"pcma-pcmu", PCMA, PCMU},
	{"opus-pcma", Opus, PCMA}, {"pcma-opus", PCMA, Opus}, {"opus-pcmu", Opus, PCMU}, {"pcmu-opus", PCMU, Opus},
	{"opus-g722", Opus, G722}, {"g722-opus", G722, Opus},
}

// BenchmarkPipe is one packet through a pipe and an outlet, without sockets or SRTP. Compare with BenchmarkBare.
func BenchmarkPipe(b *testing.B) {
	for _, bench := range pipeBenches {
		b.Run(bench.name, func(b *testing.B) {
			in, out := Format{bench.in, 20 * ms}, Format{bench.out, 20 * ms}
			f := newFlow(b, in)
			dst := discard(out)
			defer dst.Close()
			p, err := NewPipe(in, dst, PipeOptions{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.ReceivePacket(f.next())
			}
			// 50 packets are a second of one direction.
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)*50/1000, "ms/call-s")
		})
	}
}

// BenchmarkBare is what the codecs alone cost for the same frames.
func BenchmarkBare(b *testing.B) {
	for _, rate := range []int{8000, 16000} {
		name := map[int]string{8000: "8k", 16000: "16k"}[rate]
		pcm := speech(rate, 2*time.Second)
		b.Run("OpusEncode"+name, func(b *testing.B) { benchEncode(b, Opus, pcm, rate) })
		b.Run("OpusDecode"+name, func(b *testing.B) { benchDecode(b, Opus, rate) })
	}
	b.Run("G722Encode", func(b *testing.B) { benchEncode(b, G722, speech(16000, 2*time.Second), 16000) })
	b.Run("G722Decode", func(b *testing.B) { benchDecode(b, G722, 16000) })
	b.Run("PCMAEncode", func(b *testing.B) { benchEncode(b, PCMA, speech(8000, 2*time.Second), 8000) })
	b.Run("PCMADecode", func(b *testing.B) { benchDecode(b, PCMA, 8000) })
}

func benchEncode(b *testing.B, c Codec, pcm []int16, rate int) {
	enc, err := NewEncoder(c, rate)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, MaxPayload)
	size, at := rate/50, 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := enc.Encode(pcm[at:at+size], buf); err != nil {
			b.Fatal(err)
		}
		at = (at + size) % len(pcm)
	}
}

func benchDecode(b *testing.B, c Codec, rate int) {
	f := newFlow(b, Format{c, 20 * ms})
	dec, err := NewDecoder(c, rate)
	if err != nil {
		b.Fatal(err)
	}
	pcm := make([]int16, rate*maxPacketMillis/1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dec.Decode(f.next().Payload, pcm); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	for _, bench := range pipeBenches {
		in, out := Format{bench.in, 20 * ms}, Format{bench.out, 20 * ms}
		f := newFlow(t, in)
		dst := discard(out)
		p, err := NewPipe(in, dst, PipeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		lossy := func() {
			p.ReceivePacket(f.next())
			p.ReceivePacket(f.next())
			f.n++ // lost
		}
		lossy()
		if n := testing.AllocsPerRun(200, lossy); n != 0 {
			t.Errorf("%s: %v allocations per two packets", bench.name, n)
		}
		dst.Close()
	}
}

func TestOutletWithFillerAllocatesNothing(t *testing.T) {
	o := NewOutlet(OutletConfig{Format: opusFormat, Gated: true, Fill: true, Write: func(*rtp.Header, []byte) error { return nil }})
	defer o.Close()
	o.Start()
	f := opusFrameOf(0)
	send := func() { o.SendFrame(f) }
	if n := testing.AllocsPerRun(100, send); n != 0 {
		t.Errorf("%v allocations per frame behind the gate", n)
	}
	o.OpenGate()
	if n := testing.AllocsPerRun(1000, send); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	r := NewReceiver(48000)
	seq := uint16(0)
	if n := testing.AllocsPerRun(100, func() { seq++; r.Receive(seq, uint32(seq)*960, testEpoch, true) }); n != 0 {
		t.Errorf("%v allocations per packet received", n)
	}
}
