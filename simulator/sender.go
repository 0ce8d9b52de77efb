package simulator

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Impairment is what the customer's network does to the packets on their way to the business.
type Impairment struct {
	Loss    float64       // probability
	Jitter  time.Duration // each packet is delayed by a random part of this; order is kept
	Reorder float64       // probability that a packet changes places with the next one
}

// outTrack is the customer's one track. It exists because pion's own ones cannot send two payload types.
type outTrack struct {
	mu  sync.Mutex
	ctx webrtc.TrackLocalContext
}

func (t *outTrack) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, c := range ctx.CodecParameters() {
		if c.MimeType == webrtc.MimeTypeOpus {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.ctx = ctx
			return c, nil
		}
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

func (t *outTrack) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx = nil
	return nil
}

func (t *outTrack) ID() string                { return "audio" }
func (t *outTrack) RID() string               { return "" }
func (t *outTrack) StreamID() string          { return "customer" }
func (t *outTrack) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

func (t *outTrack) write(h *rtp.Header, payload []byte) {
	t.mu.Lock()
	ctx := t.ctx
	t.mu.Unlock()
	if ctx == nil {
		return
	}
	h.SSRC = uint32(ctx.SSRC())
	_, _ = ctx.WriteStream().WriteRTP(h, payload) // a lost packet is a lost packet
}

type outPacket struct {
	due     time.Time
	header  rtp.Header
	payload []byte
}

// sender paces one RTP line: a frame every 20 ms on an absolute schedule, digits in between, impairments last.
type sender struct {
	track  *outTrack
	impair Impairment
	rnd    *rand.Rand // owned by run
	echo   *heard

	mu      sync.Mutex
	frames  *frames
	audioPT uint8
	dtmfPT  uint8 // 0: not negotiated
	digits  []byte
	idle    chan struct{} // closed when digits are through
	muted   bool

	// owned by run
	seq     uint16
	ts      uint32
	started bool
	event   *eventSend
	pause   int
	queue   []outPacket
	swapped *outPacket
	lastDue time.Time
	cursor  uint64 // of echo
}

// eventSend is a digit on its way (RFC 4733).
type eventSend struct {
	code     uint8
	ts       uint32
	duration uint16 // 8 kHz units, whatever the audio clock (media reference §6.4)
}

func newSender(t *outTrack, imp Impairment, seed uint64) *sender {
	r := rand.New(rand.NewPCG(seed, 0x72747020))
	return &sender{track: t, impair: imp, rnd: r, seq: uint16(r.Uint32()), ts: r.Uint32()}
}

func (s *sender) payloadTypes(audio, dtmf string) {
	a, _ := strconv.ParseUint(audio, 10, 7)
	d, _ := strconv.ParseUint(dtmf, 10, 7)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audioPT, s.dtmfPT = uint8(a), uint8(d)
}

// play changes what is sent from the next frame on. A Playback that can't be encoded sends nothing.
func (s *sender) play(p Playback) error {
	f, err := newFrames(p)
	if err != nil {
		f = &frames{p: Playback{Nothing: true}, ms: 20}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = f
	return err
}

func (s *sender) setImpairment(i Impairment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.impair = i
}

func (s *sender) mute(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = on
}

// dial queues digits; the channel closes when all are sent.
func (s *sender) dial(digits string) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dtmfPT == 0 {
		return nil, errors.New("telephone-event was not negotiated")
	}
	for _, d := range []byte(digits) {
		if eventCode(d) < 0 {
			return nil, errors.New("not a digit: " + strconv.QuoteRune(rune(d)))
		}
	}
	if len(s.digits)+len(digits) > 64 {
		return nil, errors.New("too many digits at once")
	}
	s.digits = append(s.digits, digits...)
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	return s.idle, nil
}

func eventCode(d byte) int {
	const order = "0123456789*#ABCD"
	return slices.Index([]byte(order), d)
}

func (s *sender) run(ctx context.Context) {
	next := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		wake := next
		if len(s.queue) > 0 && s.queue[0].due.Before(wake) {
			wake = s.queue[0].due
		}
		t.Reset(time.Until(wake))
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		for n := 0; !now.Before(next); n++ {
			if n == 10 { // the machine slept: don't flood, skip
				next = now
			}
			next = next.Add(s.slot(next))
		}
		s.flush(time.Now())
	}
}

// slot makes the packets of one frame time and returns its length.
func (s *sender) slot(at time.Time) time.Duration {
	s.mu.Lock()
	f, muted, imp, pt, dtmf := s.frames, s.muted, s.impair, s.audioPT, s.dtmfPT
	if s.event == nil && s.pause == 0 && len(s.digits) > 0 && dtmf != 0 {
		s.event = &eventSend{code: uint8(eventCode(s.digits[0])), ts: s.ts}
		s.digits = s.digits[1:]
	}
	if s.event == nil && s.pause == 0 && len(s.digits) == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
	s.mu.Unlock()
	ms := f.ms
	switch {
	case muted:
	case s.event != nil:
		s.sendEvent(at, imp, dtmf, ms)
	default:
		if s.pause > 0 {
			s.pause--
		}
		payload := f.next()
		if f.p.Echo {
			if payload = s.echo.nextPayload(&s.cursor); payload == nil {
				payload = f.loop[0]
			}
		}
		if payload != nil {
			s.enqueue(at, imp, rtp.Header{Version: 2, PayloadType: pt, Timestamp: s.ts, Marker: !s.started}, payload)
			s.started = true
		}
	}
	s.ts += uint32(48 * ms)
	return time.Duration(ms) * time.Millisecond
}

func (s *sender) sendEvent(at time.Time, imp Impairment, pt uint8, ms int) {
	e := s.event
	first := e.duration == 0
	e.duration += uint16(8 * ms)
	last := e.duration >= 800 // 100 ms
	times := 1
	if last {
		times = 3 // RFC 4733 §2.5.1.4: the end packet three times
		s.event, s.pause = nil, 3
	}
	for range times {
		flags := uint8(10) // volume
		if last {
			flags |= 0x80
		}
		s.enqueue(at, imp, rtp.Header{Version: 2, PayloadType: pt, Timestamp: e.ts, Marker: first},
			[]byte{e.code, flags, byte(e.duration >> 8), byte(e.duration)})
		first = false
	}
}

// enqueue numbers a packet and lets the impaired network have it.
func (s *sender) enqueue(at time.Time, imp Impairment, h rtp.Header, payload []byte) {
	h.SequenceNumber = s.seq
	s.seq++
	if imp.Loss > 0 && s.rnd.Float64() < imp.Loss {
		return
	}
	due := at
	if imp.Jitter > 0 {
		due = due.Add(time.Duration(s.rnd.Int64N(int64(imp.Jitter))))
	}
	if due.Before(s.lastDue) {
		due = s.lastDue
	}
	s.lastDue = due
	p := outPacket{due, h, append([]byte(nil), payload...)}
	switch {
	case s.swapped != nil:
		first := *s.swapped
		first.due = due
		s.swapped = nil
		s.queue = append(s.queue, p, first)
	case imp.Reorder > 0 && s.rnd.Float64() < imp.Reorder:
		s.swapped = &p
	default:
		s.queue = append(s.queue, p)
	}
}

func (s *sender) flush(now time.Time) {
	n := 0
	for n < len(s.queue) && !now.Before(s.queue[n].due) {
		s.track.write(&s.queue[n].header, s.queue[n].payload)
		n++
	}
	s.queue = slices.Delete(s.queue, 0, n)
}
