package media

import "fmt"

// calmPackets is how many 20 ms packets in a row end a conversion that other lengths had begun.
const calmPackets = 50

// opusPath joins Opus to Opus. Packets of 20 ms, what Meta sends and wants, pass as they are; a sender of other lengths
// is decoded and encoded anew.
type opusPath struct {
	opt    OpusSettings
	via    *transcode // made when first needed
	active bool       // packets go through via
	calm   int
}

func (o *opusPath) String() string {
	if o.active {
		return fmt.Sprint(o.via)
	}
	return "pass"
}

func (o *opusPath) length(payload []byte) (uint32, bool) { return opusTicks(payload) }

func (o *opusPath) packet(p *Pipe, payload []byte, ticks uint32, lost int, marker bool) {
	if ticks != opusFrameTicks {
		o.calm = 0
		o.active = o.active || o.open(p)
	} else {
		o.calm++
	}
	if o.active && o.calm > calmPackets && o.via.n == 0 {
		o.active = false
	}
	switch {
	case o.active:
		o.via.packet(p, payload, ticks, lost, marker)
	case ticks == opusFrameTicks:
		p.send(payload, ticks, lost, false, marker)
	}
}

func (o *opusPath) open(p *Pipe) bool {
	if o.via != nil {
		return true
	}
	via, err := newTranscode(Opus, Format{Codec: Opus}, o.opt)
	if err != nil {
		p.malformed.Add(1) // cannot happen: the same settings made the silence at start
		return false
	}
	o.via = via
	return true
}
