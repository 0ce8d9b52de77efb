package recorder

import (
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hraban/opus"

	"deskbridge/media"
)

// talker is one side of a made-up call. What it says is a function of true time, our clock; its packets follow its own clock.
type talker struct {
	side    Side
	codec   media.Codec
	ptime   time.Duration
	frames  int     // Opus frames in a packet; 0: one
	ppm     float64 // how much too slowly its clock runs
	begin   time.Duration
	say     func(t float64) float64 // t in seconds; within ±1
	silent  func(t float64) bool    // nothing is encoded: a ready-made frame (to save time)
	delay   func(i int) time.Duration
	skip    func(i int) bool // lost
	app     opus.Application
	bitrate int
	dtx     bool
	rate    int // of the encoder; 0: 16 kHz
}

func tone(freq float64) func(float64) float64 {
	return func(t float64) float64 { return 0.25 * math.Sin(2*math.Pi*freq*t) }
}

// packets returns what the talker sends in a call of this length.
func (k talker) packets(t testing.TB, length time.Duration) (out []Packet) {
	t.Helper()
	enc := k.encoder(t)
	pace := time.Duration(float64(k.ptime) * (1 + k.ppm*1e-6))
	stamp, seq := uint32(math.MaxUint32-5000), uint16(65500) // both wrap soon
	for i := 0; ; i++ {
		at := k.begin + time.Duration(i)*pace
		if at+k.ptime > length+time.Millisecond {
			break
		}
		p := Packet{Side: k.side, At: at, Codec: k.codec, Timestamp: stamp, Sequence: seq, Marker: i == 0}
		p.Payload = enc(at.Seconds(), pace.Seconds())
		stamp += k.codec.Ticks(k.ptime)
		seq++
		if k.delay != nil {
			p.At += k.delay(i)
		}
		if p.Payload == nil || k.skip != nil && k.skip(i) {
			continue
		}
		out = append(out, p)
	}
	return out
}

func (k talker) encoder(t testing.TB) func(at, dur float64) []byte {
	rate := k.rate
	if rate == 0 {
		rate = 16000
	}
	if k.codec != media.Opus {
		rate = 8000
	}
	frames := max(k.frames, 1)
	pcm := make([]int16, rate*int(k.ptime/time.Microsecond)/1e6)
	fill := func(at, dur float64) {
		for i := range pcm {
			pcm[i] = int16(32767 * k.say(at+dur*float64(i)/float64(len(pcm))))
		}
	}
	if k.codec != media.Opus {
		enc, err := media.NewEncoder(k.codec, rate)
		if err != nil {
			t.Fatal(err)
		}
		return func(at, dur float64) []byte {
			b := make([]byte, len(pcm))
			fill(at, dur)
			if _, err := enc.Encode(pcm, b); err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	app := k.app
	if app == 0 {
		app = opus.AppVoIP
	}
	enc, err := opus.NewEncoder(rate, 1, app)
	if err != nil {
		t.Fatal(err)
	}
	enc.SetBitrate(max(k.bitrate, 20000))
	enc.SetComplexity(2)
	enc.SetDTX(k.dtx)
	return func(at, dur float64) []byte {
		if k.silent != nil && k.silent(at) {
			return media.SilenceFrame(media.Opus, 960)
		}
		fill(at, dur)
		n := len(pcm) / frames
		var cut [][]byte
		var toc byte
		for i := range frames {
			b := make([]byte, 1275)
			size, err := enc.Encode(pcm[i*n:(i+1)*n], b)
			if err != nil {
				t.Fatal(err)
			}
			if b[0]&3 != 0 {
				t.Fatalf("the encoder made several frames: %x", b[0])
			}
			toc, cut = b[0], append(cut, b[1:size])
		}
		if k.dtx && frames == 1 && len(cut[0]) <= 1 { // RFC 6716 §2.1.9: need not be sent
			return nil
		}
		return media.AppendOpus(nil, toc, cut, media.OpusJoin{})
	}
}

// record puts the talkers' packets in the order of their arrival.
func simulate(t testing.TB, length time.Duration, talkers ...talker) []Packet {
	t.Helper()
	var all []Packet
	for _, k := range talkers {
		all = append(all, k.packets(t, length)...)
	}
	slices.SortStableFunc(all, func(a, b Packet) int { return int(a.At - b.At) })
	return all
}

// script is a Source of packets in memory, without cipher or disk.
type script struct {
	packets []Packet
	next    int
}

func (s *script) Next(p *Packet) error {
	if s.next == len(s.packets) {
		return io.EOF
	}
	*p = s.packets[s.next]
	s.next++
	return nil
}

func opened(packets []Packet) Opener {
	return func() (Source, error) { return &script{packets: packets}, nil }
}

// export returns the whole file.
func export(t testing.TB, packets []Packet, opt ExportOptions) (*Export, []byte) {
	t.Helper()
	e, err := NewExport(t.Context(), opened(packets), opt)
	if err != nil {
		t.Fatal(err)
	}
	r := e.NewReader()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != e.Size() {
		t.Fatalf("%d bytes, announced %d", len(b), e.Size())
	}
	return e, b
}

func sortPackets(packets []Packet) []Packet {
	slices.SortStableFunc(packets, func(a, b Packet) int { return int(a.At - b.At) })
	return packets
}
