package whatsapp

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
)

// opusStream is the only format there is towards WhatsApp (reference/meta-media-sdp.md §1).
var opusStream = media.Format{Codec: media.Opus, PTime: 20 * time.Millisecond}

// mediaStream is the session's audio as the other leg sees it.
type mediaStream struct{ s *mediaSession }

var (
	_ media.Stream   = mediaStream{}
	_ media.Tappable = mediaStream{}
)

func (mediaStream) Format() media.Format { return opusStream }

func (m mediaStream) SetSink(k media.Sink) { m.s.rx.setSink(k) }

func (m mediaStream) SendFrame(f *media.Frame) { m.s.tx.outlet.SendFrame(f) }

func (m mediaStream) SendDigit(d media.Digit) { m.s.tx.outlet.SendDigit(d) }

// SetTap implements media.Tappable.
func (m mediaStream) SetTap(t media.Tap) {
	m.s.rx.setTap(t)
	m.s.tx.setTap(t)
}

func (m mediaStream) Stats() (st media.Stats) {
	m.s.tx.outlet.FillStats(&st)
	m.s.rx.stats.FillStats(&st)
	return st
}

// sender is the outgoing half: the outlet paces and numbers, write encrypts.
type sender struct {
	s      *mediaSession
	outlet *media.Outlet
	gate   atomic.Bool

	// Set before the outlet starts, used by write only, which the outlet calls under its own lock.
	keys   *srtpKeys
	header rtp.Header
	plain  [maxDatagram]byte
	cipher [maxDatagram + srtpOverhead]byte

	tapMu sync.Mutex // held while the tap is fed, so that setTap can promise the former one hears nothing more
	tap   media.Tap
	opus  uint8 // payload type: digits are not audio

	rtcp sync.Mutex // one report at a time
	bye  bool       // the last one is sent
}

func newSender(s *mediaSession) *sender {
	t := &sender{s: s, opus: offerOpus}
	t.outlet = media.NewOutlet(media.OutletConfig{
		Format: opusStream, PayloadType: offerOpus, SSRC: s.ssrc,
		Gated: true, Fill: true, Write: t.write, Panicked: s.panicked,
	})
	return t
}

func (t *sender) negotiate(opus, dtmf uint8, digit bool) {
	var d *media.DigitFormat
	if digit {
		// RFC 4733 §2.5.1.1 and Meta's documents: durations in units of 1/8000 s on a 48 kHz timeline.
		d = &media.DigitFormat{PayloadType: dtmf, ClockRate: 8000}
	}
	t.tapMu.Lock()
	t.opus = opus
	t.tapMu.Unlock()
	t.outlet.SetFormat(opusStream, opus, d)
}

// start lets the outlet send with these keys.
func (t *sender) start(k *srtpKeys) {
	t.keys = k
	t.outlet.Start()
}

func (t *sender) openGate() {
	t.gate.Store(true)
	t.outlet.OpenGate()
}

// write encrypts one packet and sends it on the selected pair. No allocation: all buffers are the sender's.
func (t *sender) write(h *rtp.Header, payload []byte) error {
	n, err := h.MarshalTo(t.plain[:])
	if err != nil {
		return err
	}
	if n+len(payload) > len(t.plain) {
		return io.ErrShortBuffer
	}
	n += copy(t.plain[n:], payload)
	out, err := t.keys.out.EncryptRTP(t.cipher[:0], t.plain[:n], &t.header)
	if err != nil {
		return err
	}
	if _, err = t.s.ice.Load().Write(out); err != nil {
		return err
	}
	t.tapMu.Lock()
	defer t.tapMu.Unlock()
	if t.tap != nil && h.PayloadType == t.opus {
		t.tap.Sent(payload, media.Opus, h.Timestamp, h.SequenceNumber, h.Marker, time.Now())
	}
	return nil
}

func (t *sender) setTap(k media.Tap) {
	t.tapMu.Lock()
	defer t.tapMu.Unlock()
	t.tap = k
}
