package media

import (
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sent is one packet an outlet wrote.
type sent struct {
	at time.Duration // since the wire was made
	rtp.Header
	payload []byte
}

// wire records what an outlet writes.
type wire struct {
	mu      sync.Mutex
	began   time.Time
	packets []sent
	err     error
}

func newWire() *wire { return &wire{began: time.Now()} }

func (w *wire) write(h *rtp.Header, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packets = append(w.packets, sent{time.Since(w.began), *h, append([]byte(nil), payload...)})
	return w.err
}

func (w *wire) all() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sent(nil), w.packets...)
}

func (w *wire) take() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.packets
	w.packets = nil
	return p
}

// recordingStream is a Stream that keeps copies of its frames, and optionally passes them on.
type recordingStream struct {
	format  Format
	frames  []Frame
	onFrame func(*Frame)
}

func (s *recordingStream) Format() Format { return s.format }
func (s *recordingStream) SetSink(Sink)   {}
func (s *recordingStream) SendFrame(f *Frame) {
	if s.onFrame != nil {
		s.onFrame(f)
		return
	}
	g := *f
	g.Payload = append([]byte(nil), f.Payload...)
	s.frames = append(s.frames, g)
}
func (s *recordingStream) SendDigit(Digit) {}
func (s *recordingStream) Stats() Stats    { return Stats{} }
