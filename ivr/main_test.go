package ivr

import (
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"deskbridge/bridge"
	"deskbridge/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLibrary(t testing.TB) *Library {
	t.Helper()
	l, err := NewLibrary(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newMenus(t testing.TB, l *Library) *Menus {
	t.Helper()
	return New(Config{Library: l, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
}

// caller is a fake call around a menu: it takes the menu's events and hears its audio.
type caller struct {
	t   testing.TB
	leg bridge.Leg

	mu      sync.Mutex
	events  []bridge.Event
	dec     media.Decoder
	buf     []int16
	heard   []int16
	packets []media.Packet
}

func dialMenu(t testing.TB, m *Menus, menu Menu) *caller {
	t.Helper()
	dec, err := media.NewDecoder(media.Opus, Rate)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, dec: dec, buf: make([]int16, Rate)}
	c.leg, err = m.Dialer(menu).Dial(t.Context(), bridge.Invite{Call: "call", Line: "main"}, c.notify)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *caller) notify(e bridge.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// ReceivePacket implements media.Sink.
func (c *caller) ReceivePacket(p *media.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.dec.Decode(p.Payload, c.buf)
	if err != nil || n != frameSamples {
		c.t.Errorf("%d samples, %v", n, err)
	}
	c.heard = append(c.heard, c.buf[:n]...)
	c.packets = append(c.packets, *p)
}

// join connects the audio as a call does once both legs are there.
func (c *caller) join() {
	c.leg.Stream().SetSink(c)
	c.leg.Stream().SendFrame(&media.Frame{Payload: media.SilenceFrame(media.Opus, frameTicks), Ticks: frameTicks})
}

func (c *caller) press(keys string) {
	for _, k := range []byte(keys) {
		c.leg.Stream().SendDigit(media.Digit(k))
	}
}

func (c *caller) hangup() {
	c.leg.Hangup(bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup})
}

// take returns what was heard since the last take.
func (c *caller) take() []int16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	pcm := c.heard
	c.heard = nil
	return pcm
}

func (c *caller) firstPacket() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.packets) == 0 {
		return time.Time{}
	}
	return c.packets[0].Arrival
}

func (c *caller) kinds() []bridge.EventKind {
	c.mu.Lock()
	defer c.mu.Unlock()
	var k []bridge.EventKind
	for _, e := range c.events {
		k = append(k, e.Kind)
	}
	return k
}

func (c *caller) last() bridge.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[len(c.events)-1]
}

func (c *caller) ended() bool { return c.last().Kind == bridge.EventEnded }

const envelopeStep = Rate / 100

// envelope is the level of each 10 ms, which survives the codec.
func envelope(pcm []int16) []float64 {
	var e []float64
	for at := 0; at+envelopeStep <= len(pcm); at += envelopeStep {
		var sum float64
		for _, v := range pcm[at : at+envelopeStep] {
			sum += float64(v) * float64(v)
		}
		e = append(e, math.Sqrt(sum/envelopeStep))
	}
	return e
}

// alike is the correlation of two envelopes of the same length.
func alike(a, b []float64) float64 {
	var ma, mb float64
	for i := range b {
		ma += a[i] / float64(len(b))
		mb += b[i] / float64(len(b))
	}
	var ab, aa, bb float64
	for i := range b {
		ab += (a[i] - ma) * (b[i] - mb)
		aa += (a[i] - ma) * (a[i] - ma)
		bb += (b[i] - mb) * (b[i] - mb)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// find says how well the best place of what was heard matches a speech, and where that is.
func find(heard, want []int16) (at time.Duration, match float64) {
	w := envelope(want)
	for shift := 0; shift < envelopeStep; shift += envelopeStep / 4 { // what was heard began between two steps
		h := envelope(heard[min(shift, len(heard)):])
		for i := 0; i+len(w) <= len(h); i++ {
			if m := alike(h[i:], w); m > match {
				at, match = time.Duration(i)*10*time.Millisecond, m
			}
		}
	}
	return at, match
}

// hears checks that this speech, whole, was among what was heard, and returns where it began.
func hears(t *testing.T, l *Library, lang string, heard []int16, s Speech) time.Duration {
	t.Helper()
	want := l.Say(t.Context(), lang, s...)
	at, match := find(append(heard, make([]int16, Rate/2)...), want)
	if match < 0.93 {
		t.Errorf("not heard (match %.2f) in %v of audio: %+v", match, time.Duration(len(heard))*time.Second/Rate, s)
	}
	return at
}

func hearsNot(t *testing.T, l *Library, lang string, heard []int16, s Speech) {
	t.Helper()
	if _, match := find(heard, l.Say(t.Context(), lang, s...)); match > 0.85 {
		t.Errorf("heard (match %.2f): %+v", match, s)
	}
}
