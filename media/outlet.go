package media

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// MaxPayload is the largest audio payload we take or send: an Ethernet frame less IP, UDP and RTP headers.
const MaxPayload = 1460

// DefaultFillAfter is how far an outlet's line may fall behind the clock before silence fills it.
const DefaultFillAfter = 60 * time.Millisecond

// DigitFormat is the negotiated telephone-event format (RFC 4733). ClockRate is what the duration field counts in; the
// timestamp stays on the audio's clock. Towards Meta these differ: 8000 and 48000.
type DigitFormat struct {
	PayloadType uint8
	ClockRate   int
}

// OutletConfig is what an Outlet is made of.
type OutletConfig struct {
	Format      Format
	PayloadType uint8
	SSRC        uint32       // 0: random
	Digits      *DigitFormat // nil: none negotiated, digits are dropped
	// Gated holds everything back until OpenGate.
	Gated bool
	// Fill sends silence while the source is quiet. Without it the timestamp jumps over the quiet time.
	Fill      bool
	FillAfter time.Duration // 0: DefaultFillAfter
	// Write sends one packet. It is called with the outlet's lock held, must not block and must not call the outlet.
	// Header and payload are reused.
	Write func(h *rtp.Header, payload []byte) error
	// Panicked, when set, is told of a panic in the outlet's timer; the outlet is closed by then.
	Panicked func(v any)
}

// Outlet is the outgoing side of one leg's audio: one line of SSRC, sequence numbers and timestamps for the leg's whole
// life, whoever feeds it. Towards Meta a second SSRC or a jump means broken audio, and a quiet line a dropped call.
//
// It runs on the goroutines of its callers and on one timer; Close stops that, and Write is never called again.
type Outlet struct {
	mu  sync.Mutex
	cfg OutletConfig

	started, gateOpen, paused, closed bool

	line   line
	queue  frameQueue
	events digitQueue

	timer   *time.Timer
	armed   bool
	armedAt time.Time

	count outletCounters
}

type outletCounters struct {
	sent, filler, gateBuffered, dropped, errors uint64
	octets                                      uint64
	digitsDropped                               uint64
	firstSent                                   time.Time
}

// NewOutlet makes an outlet. Nothing is sent before Start.
func NewOutlet(cfg OutletConfig) *Outlet {
	if cfg.FillAfter <= 0 {
		cfg.FillAfter = DefaultFillAfter
	}
	if cfg.SSRC == 0 {
		cfg.SSRC = rand.Uint32() | 1
	}
	if cfg.Format.PTime <= 0 {
		cfg.Format.PTime = 20 * time.Millisecond
	}
	o := &Outlet{cfg: cfg, gateOpen: !cfg.Gated}
	// RFC 3550 §5.1: both start at random. Below 2^15 the SRTP rollover counter cannot be guessed wrong at the start
	// (RFC 3711 §3.3.1).
	o.line.seq = uint16(rand.UintN(1 << 15))
	o.line.ts = rand.Uint32()
	o.line.header = rtp.Header{Version: 2, SSRC: cfg.SSRC}
	o.queue.init()
	if cfg.Fill {
		silences() // encoded once per process, and not while a call waits
	}
	return o
}

// SSRC returns the line's SSRC.
func (o *Outlet) SSRC() uint32 { return o.cfg.SSRC }

// Format returns the format now in force.
func (o *Outlet) Format() Format {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg.Format
}

// Start lets the outlet send. Frames given before wait as behind a gate.
func (o *Outlet) Start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started {
		return
	}
	o.started = true
	o.begin(time.Now())
}

// OpenGate lets the frames buffered so far go out, faster than real time, and later ones pass.
func (o *Outlet) OpenGate() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gateOpen {
		return
	}
	o.gateOpen = true
	o.begin(time.Now())
}

// begin is the moment the line may first speak: what waited goes now, or silence if nothing did.
func (o *Outlet) begin(now time.Time) {
	if !o.open() {
		return
	}
	o.queue.draining = true
	o.queue.nextAt = now
	if !o.line.begun && o.queue.n == 0 && o.cfg.Fill {
		o.line.end = now
		o.line.filling = true
	}
	o.advance(now)
	o.arm(now)
}

// Pause stops (true) or resumes sending because the far end asked for it (a=sendonly, a=inactive).
func (o *Outlet) Pause(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.paused == on || o.closed {
		return
	}
	o.paused = on
	o.finishEvent()
	o.queue.clear()
	o.events.clear()
	now := time.Now()
	if !on && o.line.begun {
		// The far end's playout goes by timestamp: the pause must show in it.
		o.line.jump(o.cfg.Format, now)
	}
	o.arm(now)
}

// SetFormat changes codec, payload type, ptime and digits after a re-negotiation. SSRC and sequence go on; the timestamp
// goes on from where it is, in the new codec's clock. Frames still queued are in the old codec and are dropped.
func (o *Outlet) SetFormat(f Format, payloadType uint8, digits *DigitFormat) {
	if f.PTime <= 0 {
		f.PTime = 20 * time.Millisecond
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if f == o.cfg.Format && payloadType == o.cfg.PayloadType {
		o.cfg.Digits = digits
		return
	}
	o.finishEvent()
	o.count.dropped += uint64(o.queue.n)
	o.queue.clear()
	o.line.filled = 0
	o.cfg.Format, o.cfg.PayloadType, o.cfg.Digits = f, payloadType, digits
	o.arm(time.Now())
}

// Close stops everything. When it returns Write is not running and will not be called again.
func (o *Outlet) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.timer != nil {
		o.timer.Stop()
	}
}

func (o *Outlet) open() bool { return o.started && o.gateOpen && !o.paused && !o.closed }

// SendFrame sends f now, or queues it when its time hasn't come. It never blocks and never allocates.
func (o *Outlet) SendFrame(f *Frame) {
	if f.Ticks == 0 || len(f.Payload) == 0 || len(f.Payload) > MaxPayload {
		o.mu.Lock()
		o.count.errors++
		o.mu.Unlock()
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.paused {
		return
	}
	now := time.Now()
	if !o.open() {
		o.hold(f, now)
		return
	}
	o.advanceEvent(now)
	o.advanceQueue(now)
	switch {
	case o.events.active:
		// RFC 4733 §2.5.1.2: audio is not sent while an event covers its time.
	case o.queue.n > 0 || o.early(f, now):
		o.enqueue(f, now)
	default:
		o.sendReal(f, now, now)
	}
	o.arm(now)
}

// hold keeps a frame that came before the gate opened. Made-up audio isn't worth a place.
func (o *Outlet) hold(f *Frame, now time.Time) {
	if f.Concealed {
		return
	}
	o.count.gateBuffered++
	if o.queue.push(f, now) {
		o.count.dropped++
	}
}
