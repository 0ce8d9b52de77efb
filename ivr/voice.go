package ivr

import (
	"fmt"
	"time"

	"deskbridge/media"
)

// voice turns speech into packets on a 20 ms clock. It belongs to the leg's goroutine.
type voice struct {
	out     *stream
	enc     media.Encoder
	pcm     []int16 // being said
	at      int
	piece   []int16
	payload []byte
	clock   *time.Timer
	next    time.Time
}

// behind is how far the clock may fall back before it gives up catching up frame by frame.
const behind = 200 * time.Millisecond

func newVoice(out *stream) (*voice, error) {
	enc, err := media.NewEncoder(media.Opus, Rate)
	if err != nil {
		return nil, fmt.Errorf("new voice: %w", err)
	}
	v := &voice{out: out, enc: enc, piece: make([]int16, frameSamples), payload: make([]byte, media.MaxPayload), clock: time.NewTimer(time.Hour)}
	v.clock.Stop()
	return v, nil
}

// start lets the clock run.
func (v *voice) start() {
	v.next = time.Now()
	v.clock.Reset(0)
}

// say is what is said from now on; what was being said is cut off.
func (v *voice) say(pcm []int16) { v.pcm, v.at = pcm, 0 }

func (v *voice) speaking() bool { return v.at < len(v.pcm) }

// frame says 20 ms, of silence when there is nothing to say: the line is continuous from its first word on. While nobody
// listens time stands still, so that nothing is lost. It sets the clock for the next frame.
func (v *voice) frame() error {
	if v.out.joined() {
		n := copy(v.piece, v.pcm[v.at:])
		clear(v.piece[n:])
		size, err := v.enc.Encode(v.piece, v.payload)
		if err != nil {
			return fmt.Errorf("encode speech: %w", err)
		}
		if v.out.push(v.payload[:size]) {
			v.at += n
		}
	}
	v.next = v.next.Add(framePTime)
	wait := time.Until(v.next)
	if wait < -behind {
		v.next = time.Now()
	}
	v.clock.Reset(max(wait, 0))
	return nil
}

func (v *voice) stop() { v.clock.Stop() }
