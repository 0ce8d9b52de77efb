package media

import (
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// maxConcealed is how many lost packets in a row are made up for (100 ms of 20 ms packets); more sounds worse than quiet.
	maxConcealed = 5
	// maxPassedLoss is the longest gap passed on as a gap (1 s); beyond it the line just goes on.
	maxPassedLoss = 50
)

// PipeOptions are the choices a Pipe leaves open. The zero value is the default.
type PipeOptions struct {
	Opus OpusSettings // zero: DefaultOpusSettings
}

// PipeStats counts what a pipe did.
type PipeStats struct {
	Packets   uint64 // that came in
	Frames    uint64 // that went out, made-up ones included
	Lost      uint64 // given up
	Recovered uint64 // of these, rebuilt by FEC
	Concealed uint64 // of these, made up
	Late      uint64
	Duplicate uint64
	Malformed uint64
	Unjoined  uint64        // dropped because the outgoing leg changed to a format that cannot be joined
	Resyncs   uint64        // times the sender's numbers started anew
	Window    time.Duration // reorder window now
}

// Pipe is one direction of a call: it takes the packets one leg receives, puts them in order, converts them if the codecs
// differ, and sends them on the other leg. It runs on the first leg's reader goroutine and has none of its own.
type Pipe struct {
	in   Format
	out  Format
	dst  Stream
	opt  PipeOptions
	win  window
	path path
	// refused is a format of the outgoing leg that cannot be joined; packets are dropped while it lasts.
	refused Format
	// lastTS and lastTicks are the timestamp and length of the packet that went on last.
	lastTS, lastTicks uint32
	timed             bool
	frame             Frame

	packets, frames, lost, recovered, concealed, malformed atomic.Uint64
	late, duplicate, resyncs, unjoined                     atomic.Uint64
	windowLength                                           atomic.Int64
}

var _ Sink = (*Pipe)(nil)

// path is what happens to packets in order.
type path interface {
	// length checks a payload and returns its duration on the incoming codec's clock.
	length(payload []byte) (ticks uint32, ok bool)
	// packet handles one payload before which lost packets of the same duration are missing.
	packet(p *Pipe, payload []byte, ticks uint32, lost int, marker bool)
}

// NewPipe joins a leg that sends us in to the leg dst is the audio of.
func NewPipe(in Format, dst Stream, opt PipeOptions) (*Pipe, error) {
	if opt.Opus == (OpusSettings{}) {
		opt.Opus = DefaultOpusSettings
	}
	p := &Pipe{in: in, dst: dst, opt: opt}
	if err := p.connect(dst.Format()); err != nil {
		return nil, err
	}
	return p, nil
}

// connect builds the path to an outgoing format.
func (p *Pipe) connect(out Format) error {
	if out.PTime <= 0 {
		out.PTime = 20 * time.Millisecond
	}
	var err error
	var next path
	switch {
	case p.in.Codec == CodecNone || out.Codec == CodecNone:
		err = ErrNoConversion
	case p.in.Codec == Opus && out.Codec == Opus:
		next = &opusPath{opt: p.opt.Opus}
	case isG711(p.in.Codec) && isG711(out.Codec), p.in.Codec == out.Codec:
		next = newRepack(p.in.Codec, out)
	default:
		next, err = newTranscode(p.in.Codec, out, p.opt.Opus)
	}
	if err != nil {
		return fmt.Errorf("connect %v to %v: %w", p.in.Codec, out.Codec, err)
	}
	p.out, p.path = out, next
	return nil
}

func isG711(c Codec) bool { return c == PCMA || c == PCMU }

// String prints the chain.
func (p *Pipe) String() string {
	return fmt.Sprintf("%v → %v → %v %v", p.in.Codec, p.path, p.out.Codec, p.out.PTime)
}

// ReceivePacket takes one packet from the incoming leg.
func (p *Pipe) ReceivePacket(pkt *Packet) {
	p.packets.Add(1)
	if len(pkt.Payload) == 0 || len(pkt.Payload) > MaxPayload {
		p.malformed.Add(1)
		return
	}
	if !p.follow() {
		return
	}
	if now := p.win.take(pkt); now != nil {
		p.pass(now)
	}
	for {
		next := p.win.release(pkt.Arrival)
		if next == nil {
			break
		}
		p.pass(next)
	}
	p.publish()
}

// follow rebuilds the path when the outgoing leg re-negotiated its format.
func (p *Pipe) follow() bool {
	out := p.dst.Format()
	if out.PTime <= 0 {
		out.PTime = 20 * time.Millisecond
	}
	switch out {
	case p.out:
		return true
	case p.refused:
		p.unjoined.Add(1)
		return false
	}
	if p.connect(out) != nil {
		p.refused = out
		p.unjoined.Add(1)
		return false
	}
	p.refused = Format{}
	return true
}

func (p *Pipe) publish() {
	p.late.Store(p.win.counts.late)
	p.duplicate.Store(p.win.counts.duplicate)
	p.resyncs.Store(p.win.counts.resync)
	p.windowLength.Store(int64(p.win.length))
}

// pass handles a packet whose turn it is.
func (p *Pipe) pass(pkt *Packet) {
	fresh := p.win.fresh()
	missing := p.win.pass(pkt)
	ticks, ok := p.path.length(pkt.Payload)
	if !ok {
		p.malformed.Add(1)
		return
	}
	if fresh {
		p.timed = false
	}
	lost := p.audioLost(pkt, missing, ticks)
	p.lost.Add(uint64(lost))
	p.lastTS, p.lastTicks, p.timed = pkt.Timestamp, ticks, true
	p.path.packet(p, pkt.Payload, ticks, lost, pkt.Marker)
}

// audioLost is how many of the missing packets held audio. DTMF events take sequence numbers too, and repeat the last one
// without time passing; a pause of the sender takes time but no numbers. So it is the lesser of both gaps.
func (p *Pipe) audioLost(pkt *Packet, missing int, ticks uint32) int {
	if missing == 0 || !p.timed {
		return 0
	}
	gap := int32(pkt.Timestamp - p.lastTS - p.lastTicks)
	if gap < 0 {
		return missing // the sender's clock jumped: only the numbers tell
	}
	return min(missing, int((uint32(gap)+ticks/2)/ticks))
}

// send gives one frame to the outgoing leg.
func (p *Pipe) send(payload []byte, ticks uint32, lost int, concealed, marker bool) {
	if lost > maxPassedLoss {
		lost = 0
	}
	p.frame = Frame{Payload: payload, Ticks: ticks, Lost: uint16(lost), Concealed: concealed, Marker: marker}
	p.frames.Add(1)
	p.dst.SendFrame(&p.frame)
}

// Stats returns counters so far, from any goroutine.
func (p *Pipe) Stats() PipeStats {
	return PipeStats{
		Packets: p.packets.Load(), Frames: p.frames.Load(), Lost: p.lost.Load(), Recovered: p.recovered.Load(),
		Concealed: p.concealed.Load(), Late: p.late.Load(), Duplicate: p.duplicate.Load(), Malformed: p.malformed.Load(),
		Unjoined: p.unjoined.Load(), Resyncs: p.resyncs.Load(), Window: time.Duration(p.windowLength.Load()),
	}
}
