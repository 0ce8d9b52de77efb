package media

import (
	"fmt"
	"sync"
	"time"
)

// playLate is how far behind its clock a player may fall before it gives up catching up frame by frame.
const playLate = 200 * time.Millisecond

// Player plays PCM to a stream on a clock of its ptime (20 ms for Opus): hold music, prompts. It runs on a timer of its own, which ends with the
// audio or with Stop.
type Player struct {
	mu      sync.Mutex
	dst     Stream
	source  []int16
	rate    int
	loop    bool
	format  Format
	pcm     []int16 // source at the encoder's rate
	at      int
	enc     Encoder
	piece   []int16 // one frame, for the last and the looping one
	payload []byte
	frame   Frame
	ticks   uint32
	every   time.Duration // length of a frame
	next    time.Time
	timer   *time.Timer
	started bool
	over    bool
	done    chan struct{}
}

// NewPlayer makes a player of pcm (8, 16 or 48 kHz). It plays at whatever format dst has, and follows when that changes.
func NewPlayer(dst Stream, pcm []int16, rate int, loop bool) (*Player, error) {
	if len(pcm) == 0 {
		return nil, fmt.Errorf("new player: no audio")
	}
	p := &Player{dst: dst, source: pcm, rate: rate, loop: loop, payload: make([]byte, MaxPayload), done: make(chan struct{}), every: 20 * time.Millisecond}
	if f := dst.Format(); f.Codec != CodecNone {
		if err := p.prepare(f); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// prepare makes encoder and samples for a format.
func (p *Player) prepare(f Format) error {
	rate := EncodeRate(f.Codec)
	enc, err := NewEncoder(f.Codec, rate)
	if err != nil {
		return fmt.Errorf("new player: %w", err)
	}
	pcm, err := Resample(p.source, p.rate, rate)
	if err != nil {
		return fmt.Errorf("new player: %w", err)
	}
	if len(p.pcm) > 0 { // keep the place
		p.at = int(int64(p.at) * int64(len(pcm)) / int64(len(p.pcm)))
	}
	p.format, p.enc, p.pcm = f, enc, pcm
	p.every = f.PTime
	if f.Codec == Opus || p.every <= 0 {
		p.every = 20 * time.Millisecond
	}
	p.piece = make([]int16, int64(rate)*int64(p.every)/int64(time.Second))
	p.ticks = f.Codec.Ticks(p.every)
	return nil
}

// Start begins playing.
func (p *Player) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.over {
		return
	}
	p.started = true
	p.next = time.Now()
	p.timer = time.AfterFunc(0, p.tick)
}

// Stop ends playing. When it returns no more frames come.
func (p *Player) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// Done is closed when playing is over, by itself or by Stop.
func (p *Player) Done() <-chan struct{} { return p.done }

func (p *Player) end() {
	if p.over {
		return
	}
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
	close(p.done)
}

// tick sends one frame and sets the timer for the next, by the clock and not by the last tick. A panic ends this player
// only; its stream's filler takes over.
func (p *Player) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		if recover() != nil {
			p.end()
		}
	}()
	if p.over {
		return
	}
	if !p.step() {
		p.end()
		return
	}
	p.next = p.next.Add(p.every)
	wait := time.Until(p.next)
	if wait < -playLate {
		p.next = time.Now()
	}
	p.timer.Reset(max(wait, 0))
}

// step sends one frame; false at the end of the audio.
func (p *Player) step() bool {
	f := p.dst.Format()
	if f.Codec == CodecNone {
		return true // nothing negotiated yet: wait, without losing the beginning
	}
	if f != p.format && p.prepare(f) != nil {
		return false
	}
	if p.at >= len(p.pcm) {
		if !p.loop {
			return false
		}
		p.at = 0
	}
	clear(p.piece)
	n := copy(p.piece, p.pcm[p.at:])
	p.at += n
	if p.loop && n < len(p.piece) {
		p.at = copy(p.piece[n:], p.pcm)
	}
	size, err := p.enc.Encode(p.piece, p.payload)
	if err != nil {
		return false
	}
	p.frame = Frame{Payload: p.payload[:size], Ticks: p.ticks}
	p.dst.SendFrame(&p.frame)
	return true
}
