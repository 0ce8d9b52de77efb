package media

import "fmt"

// repack passes G.711 and G.722 without decoding: bytes are copied into the outgoing ptime, and between A-law and µ-law
// looked up. Both codecs have one byte per tick of their 8 kHz RTP clock.
type repack struct {
	table   *[256]byte // nil: as they are
	silence byte
	size    int    // bytes of an outgoing frame
	buf     []byte // of that size
	n       int    // bytes in it
	lost    int    // frames missing before the one in buf
	marker  bool
}

const (
	minFlatBytes = 5 * 8 // 5 ms
	maxFlatBytes = maxPacketMillis * 8
)

func newRepack(in Codec, out Format) *repack {
	r := &repack{size: int(out.Codec.Ticks(out.PTime))}
	switch {
	case in == PCMA && out.Codec == PCMU:
		r.table = &alawToUlaw
	case in == PCMU && out.Codec == PCMA:
		r.table = &ulawToAlaw
	}
	r.buf = make([]byte, r.size)
	r.silence = SilenceFrame(out.Codec, 1)[0]
	return r
}

func (r *repack) String() string {
	if r.table != nil {
		return fmt.Sprintf("table, %d bytes", r.size)
	}
	return fmt.Sprintf("copy, %d bytes", r.size)
}

// length accepts whole milliseconds: anything else was cut off on its way.
func (r *repack) length(payload []byte) (uint32, bool) { return flatLength(payload) }

func flatLength(payload []byte) (uint32, bool) {
	n := len(payload)
	return uint32(n), n >= minFlatBytes && n <= maxFlatBytes && n%8 == 0
}

func (r *repack) packet(p *Pipe, payload []byte, ticks uint32, lost int, marker bool) {
	lost = min(lost, maxPassedLoss)
	if r.n == 0 && len(payload) == r.size {
		if r.table != nil {
			payload = r.translate(payload)
		}
		p.send(payload, ticks, lost, false, marker)
		return
	}
	r.skip(p, lost*int(ticks))
	r.marker = r.marker || marker
	for len(payload) > 0 {
		n := min(r.size-r.n, len(payload))
		r.fill(payload[:n])
		payload = payload[n:]
		r.flush(p)
	}
}

func (r *repack) translate(payload []byte) []byte {
	for i, b := range payload {
		r.buf[i] = r.table[b]
	}
	return r.buf[:len(payload)]
}

func (r *repack) fill(payload []byte) {
	if r.table == nil {
		r.n += copy(r.buf[r.n:], payload)
		return
	}
	for _, b := range payload {
		r.buf[r.n] = r.table[b]
		r.n++
	}
}

// flush sends the frame when it is full.
func (r *repack) flush(p *Pipe) {
	if r.n < r.size {
		return
	}
	p.send(r.buf, uint32(r.size), r.lost, false, r.marker)
	r.n, r.lost, r.marker = 0, 0, false
}

// skip moves over lost audio: whole outgoing frames become a gap, the remainder silence, so that time stays right.
func (r *repack) skip(p *Pipe, missing int) {
	if missing == 0 {
		return
	}
	if r.n > 0 {
		n := min(r.size-r.n, missing)
		r.quiet(n)
		missing -= n
		r.flush(p)
	}
	r.lost += missing / r.size
	if r.n == 0 {
		r.quiet(missing % r.size)
	}
}

func (r *repack) quiet(n int) {
	for range n {
		r.buf[r.n] = r.silence
		r.n++
	}
}
