//go:build e2e

package e2e

import (
	"encoding/binary"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// The delay that the house adds is measured from the moment before a packet is sent to the moment the far end has read
// what became of it, on loopback. Passed packets carry their number in the payload. Where audio is converted every output
// packet belongs to one input packet, and tone onsets prove to which.

const (
	onsetEvery  = 50 // frames: a tone begins once a second
	onsetFrames = 5
)

// marker sends numbered frames one way and matches what arrives.
type marker struct {
	codec, out media.Codec
	plain      [][]byte // frames of one second: silence and a tone; nil: numbers in the payload
	dec        media.Decoder

	mu     sync.Mutex
	sent   []time.Time
	buf    []byte
	pcm    []int16
	base   uint32
	begun  bool
	loud   bool
	shift  int // output frame i is input frame i - shift
	known  bool
	moved  int // times the shift changed: filler came between
	delays []time.Duration
	onsets int
}

// newMarker makes marks for one direction. Silence and tone are encoded in one go, so that the tone begins as a voice does.
func newMarker(t testing.TB, in, out media.Codec) *marker {
	t.Helper()
	m := &marker{codec: in, out: out, pcm: make([]int16, 5760), buf: make([]byte, 0, 64)}
	if in == out {
		return m
	}
	rate := media.EncodeRate(in)
	enc, err := media.NewEncoder(in, rate)
	if err != nil {
		t.Fatal(err)
	}
	if m.dec, err = media.NewDecoder(out, 8000); err != nil {
		t.Fatal(err)
	}
	tone, quiet, buf := media.Tone(1000, rate, time.Second), make([]int16, rate/50), make([]byte, media.MaxPayload)
	for i := range 2 * onsetEvery { // the first second is for the encoder to find its feet
		frame := quiet
		if k := i % onsetEvery; k >= onsetEvery-onsetFrames {
			frame = tone[k*rate/50 : (k+1)*rate/50]
		}
		n, err := enc.Encode(frame, buf)
		if err != nil {
			t.Fatal(err)
		}
		if i >= onsetEvery {
			m.plain = append(m.plain, append([]byte(nil), buf[:n]...))
		}
	}
	return m
}

// next is the next frame to send, as of now.
func (m *marker) next() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.sent)
	var f []byte
	if m.plain != nil {
		f = m.plain[n%len(m.plain)]
	} else {
		f = binary.BigEndian.AppendUint64(append(m.buf[:0], 0x48), uint64(n)) // 0x48: SILK wideband, one frame of 20 ms
	}
	m.sent = append(m.sent, time.Now())
	return f
}

func (m *marker) heard(h *rtp.Header, payload []byte, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plain == nil {
		if len(payload) == 9 && payload[0] == 0x48 {
			m.note(int(binary.BigEndian.Uint64(payload[1:])), at)
		}
		return
	}
	if !m.begun {
		m.begun, m.base = true, h.Timestamp
	}
	i := int(h.Timestamp-m.base) / int(m.out.Ticks(20*time.Millisecond))
	n, err := m.dec.Decode(payload, m.pcm)
	if err != nil {
		return
	}
	if loud := level(m.pcm[:n]) > 1000; loud != m.loud {
		if m.loud = loud; loud {
			m.onset(i)
		}
	}
	if m.known {
		m.note(i-m.shift, at)
	}
}

// onset is a tone beginning in output frame i: the tone of the latest input that began one.
func (m *marker) onset(i int) {
	first := onsetEvery - onsetFrames
	k := len(m.sent) - 1
	for ; k >= 0 && k%onsetEvery != first; k-- {
	}
	if k < 0 {
		return
	}
	if m.known && i-k != m.shift {
		m.moved++
	}
	m.known, m.shift = true, i-k
	m.onsets++
}

func (m *marker) note(k int, at time.Time) {
	if k >= 0 && k < len(m.sent) {
		m.delays = append(m.delays, at.Sub(m.sent[k]))
	}
}

func level(pcm []int16) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += math.Abs(float64(v))
	}
	return sum / float64(max(len(pcm), 1))
}

// measureDelay runs one call for some seconds and returns the delays of both directions.
func measureDelay(t testing.TB, codec media.Codec, d time.Duration) (towardsPhone, towardsCustomer *marker) {
	t.Helper()
	r := newLoadRig(t, codec, 2, false)
	l, err := r.call(1)
	if err != nil {
		t.Fatal(err)
	}
	r.calls = []*loadCall{l}
	towardsPhone, towardsCustomer = newMarker(t, media.Opus, codec), newMarker(t, codec, media.Opus)
	atPhone, atCustomer := towardsPhone.heard, towardsCustomer.heard
	l.p.heard.Store(&atPhone)
	l.c.heard.Store(&atCustomer)
	r.pacer.add(func() { _ = l.c.send(towardsPhone.next()) })
	r.pacer.add(func() { _ = l.p.send(towardsCustomer.next()) })
	<-time.After(d)
	r.finish()
	return towardsPhone, towardsCustomer
}

var delayPaths = []struct {
	name  string
	codec media.Codec
}{{"passthrough", media.Opus}, {"PCMA", media.PCMA}}

// TestAddedDelay checks that every mark arrives in its place, and reports how much later. The figures are not checked: the
// machine that runs the tests decides them.
func TestAddedDelay(t *testing.T) {
	for _, path := range delayPaths {
		t.Run(path.name, func(t *testing.T) {
			phone, customer := measureDelay(t, path.codec, 5*time.Second)
			for _, way := range []struct {
				name string
				m    *marker
			}{{"customer to phone", phone}, {"phone to customer", customer}} {
				m := way.m
				if len(m.delays) < len(m.sent)*3/5 || m.plain != nil && m.onsets < 3 {
					t.Errorf("%s: %d of %d marks came, %d onsets", way.name, len(m.delays), len(m.sent), m.onsets)
				}
				t.Logf("%-18s median %s  p99 %s  max %s  (%d packets, %d onsets, %d shifts by filler)", way.name,
					quantile(m.delays, .5), quantile(m.delays, .99), quantile(m.delays, 1), len(m.delays), m.onsets, m.moved)
			}
		})
	}
}

// BenchmarkDelay is TestAddedDelay with its figures as metrics.
func BenchmarkDelay(b *testing.B) {
	for _, path := range delayPaths {
		b.Run(path.name, func(b *testing.B) {
			var phone, customer []time.Duration
			for b.Loop() {
				p, c := measureDelay(b, path.codec, 10*time.Second)
				phone, customer = append(phone, p.delays...), append(customer, c.delays...)
			}
			for _, m := range []struct {
				unit string
				d    []time.Duration
			}{{"to-phone", phone}, {"to-customer", customer}} {
				b.ReportMetric(quantile(m.d, .5).Seconds()*1000, m.unit+"-p50-ms")
				b.ReportMetric(quantile(m.d, .99).Seconds()*1000, m.unit+"-p99-ms")
			}
		})
	}
}
