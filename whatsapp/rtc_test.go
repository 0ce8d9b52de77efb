package whatsapp

import (
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
)

const testRate = 16000

// tone is one second of Opus frames of a sine.
func toneFrames(t testing.TB, freq float64, n int) [][]byte {
	t.Helper()
	enc, err := media.NewEncoder(media.Opus, testRate)
	must(t, err)
	pcm := media.Tone(freq, testRate, time.Duration(n)*20*time.Millisecond)
	var frames [][]byte
	for i := range n {
		buf := make([]byte, 1000)
		k, err := enc.Encode(pcm[i*320:(i+1)*320], buf)
		must(t, err)
		frames = append(frames, buf[:k])
	}
	return frames
}

// heardTone decodes payloads and returns the share of their energy at freq, the first quarter left out.
func heardTone(t testing.TB, payloads [][]byte, freq float64) float64 {
	t.Helper()
	dec, err := media.NewDecoder(media.Opus, testRate)
	must(t, err)
	var pcm []int16
	buf := make([]int16, testRate*120/1000)
	for _, p := range payloads {
		n, err := dec.Decode(p, buf)
		must(t, err)
		pcm = append(pcm, buf[:n]...)
	}
	return media.ToneLevel(pcm[len(pcm)/4:], testRate, freq)
}

// pace calls f n times, 20 ms apart.
func pace(n int, f func(i int)) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		f(i)
		<-tick.C
	}
}

// every way two sides come together.
var rtcWays = []struct {
	name    string
	connect func(testing.TB, *mediaFactory, peerKind) (*testLeg, *peer)
	kind    peerKind
}{
	{"inbound from Meta", inbound, peerKind{lite: true}},
	{"inbound from a browser", inbound, peerKind{}},
	{"outbound to Meta", outbound, peerKind{lite: true}},
	{"outbound to a browser", outbound, peerKind{}},
}

func TestTonesPassBothWays(t *testing.T) {
	for _, w := range rtcWays {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l, p := w.connect(t, newTestFactory(t), w.kind)
			l.OpenGate()
			got := make(chan []byte, 200)
			l.Stream().SetSink(sinkFunc(func(p *media.Packet) { got <- append([]byte(nil), p.Payload...) }))
			const n = 60
			ours, theirs := toneFrames(t, 440, n), toneFrames(t, 1000, n)
			pace(n, func(i int) {
				l.Stream().SendFrame(&media.Frame{Payload: ours[i], Ticks: 960})
				p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(65500 + i), Timestamp: uint32(i * 960)}, theirs[i])
			})
			var heard [][]byte
			for range n {
				heard = append(heard, await(t, got, "the customer's audio"))
			}
			if lvl := heardTone(t, heard, 1000); lvl < 0.9 {
				t.Errorf("1000 Hz from the customer: level %.2f", lvl)
			}
			heard = nil
			var last *rtp.Packet
			for len(heard) < n-5 { // the first ones may be silence that filled the time before
				x := await(t, p.in, "our audio")
				if last != nil && (x.SSRC != last.SSRC || x.SequenceNumber != last.SequenceNumber+1 || x.Timestamp != last.Timestamp+960) {
					t.Fatalf("line jumps: %v after %v", x.Header, last.Header)
				}
				last = x
				if len(heard) > 0 || string(x.Payload) == string(ours[0]) {
					heard = append(heard, x.Payload)
				}
			}
			if lvl := heardTone(t, heard, 440); lvl < 0.9 {
				t.Errorf("440 Hz to the customer: level %.2f", lvl)
			}
			st := l.Stream().Stats()
			if st.Received != n || st.Lost != 0 || st.Rejected != 0 || st.SendErrors != 0 || st.FirstReceived.IsZero() || st.FirstSent.IsZero() {
				t.Errorf("stats %+v", st)
			}
			if time.Since(l.LastReceived()) > 5*time.Second {
				t.Errorf("last received %v", l.LastReceived())
			}
		})
	}
}
