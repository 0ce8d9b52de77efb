package media

import "time"

const (
	// maxWindow is the longest a packet waits for an earlier one.
	maxWindow = 60 * time.Millisecond
	// windowStep is the least the window grows by when a packet proves to have come late.
	windowStep = 10 * time.Millisecond
	// windowCalm is how long the network must keep order before the window halves.
	windowCalm = 10 * time.Second
	// windowSlots is what can wait: 60 ms of 10 ms packets, and some.
	windowSlots = 8
	// maxJump is how far a sequence number may leap and still be the same line (2 s of 20 ms).
	maxJump = 100
	// historyBits is how far back duplicates are told from late packets.
	historyBits = 64
	// lateRun: so many late packets in a row are a sender that started anew just behind its old place.
	lateRun = 5
)

type waiting struct {
	packet Packet
	buf    []byte
	used   bool
}

// window puts packets back in order. Without reordering it holds nothing and copies nothing: a gap is taken for loss at
// once. When a packet comes after its gap was given up, the window opens, and closes again as the network calms down. It
// has no timer: what waits is released by the next arrival.
type window struct {
	length  time.Duration // how long a gap may be waited for
	next    uint16        // expected sequence number
	begun   bool
	anew    bool   // no packet has passed since the numbers started (anew)
	history uint64 // bit i: next-1-i was seen
	late    int    // late packets in a row
	held    int
	slots   [windowSlots]waiting
	current Packet // the one given out from a slot
	calm    time.Time

	counts windowCounts
}

type windowCounts struct{ late, duplicate, resync uint64 }

// take decides on an arriving packet. now is p itself when it is the next in order (or the gap before it is given up);
// otherwise p was kept or dropped. The caller then drains with release.
func (w *window) take(p *Packet) (now *Packet) {
	if !w.begun {
		w.restart(p)
	}
	w.relax(p.Arrival)
	ahead := int16(p.Sequence - w.next)
	switch {
	case ahead > maxJump || ahead < -maxJump:
		w.resync(p)
		return p
	case ahead < 0:
		if !w.behind(p, int(-ahead)) {
			return nil
		}
		return p
	case ahead == 0, w.length == 0:
		w.late = 0
		return p
	}
	w.late = 0
	w.keep(p)
	return nil
}

// behind judges a packet before the expected one. It reports true when the sender evidently started anew there.
func (w *window) behind(p *Packet, distance int) (anew bool) {
	if distance <= historyBits && w.history&(1<<(distance-1)) != 0 {
		w.counts.duplicate++
		return false
	}
	w.late++
	if w.late >= lateRun {
		w.resync(p)
		return true
	}
	if distance <= historyBits {
		w.history |= 1 << (distance - 1)
	}
	w.counts.late++
	w.length = min(max(w.length+windowStep, 2*windowStep), maxWindow)
	w.calm = p.Arrival
	return false
}

func (w *window) resync(p *Packet) {
	w.counts.resync++
	w.restart(p)
}

func (w *window) restart(p *Packet) {
	w.begun, w.anew, w.next, w.history, w.late, w.held = true, true, p.Sequence, 0, 0, 0
	for i := range w.slots {
		w.slots[i].used = false
	}
	w.calm = p.Arrival
}

// relax lets the window close while the network keeps order.
func (w *window) relax(now time.Time) {
	if w.length == 0 || w.held > 0 || now.Sub(w.calm) < windowCalm {
		return
	}
	w.calm = now
	w.length /= 2
	if w.length < windowStep {
		w.length = 0
	}
}

// keep copies a packet that came before its turn. When all places are taken the gap is given up by release.
func (w *window) keep(p *Packet) {
	free := -1
	for i := range w.slots {
		s := &w.slots[i]
		if !s.used {
			free = i
			continue
		}
		if s.packet.Sequence == p.Sequence {
			w.counts.duplicate++
			return
		}
	}
	if free < 0 {
		return // release never leaves all places taken
	}
	s := &w.slots[free]
	s.buf = append(s.buf[:0], p.Payload...)
	s.packet = *p
	s.packet.Payload = s.buf
	s.used = true
	w.held++
	// Waiting at all means the network is not calm.
	w.calm = p.Arrival
}

// release gives out the next packet that may go now: the expected one, or the earliest when the gap before it has been
// waited for long enough. The packet is valid until the next call.
func (w *window) release(now time.Time) *Packet {
	if w.held == 0 {
		return nil
	}
	best := -1
	oldest := now
	for i := range w.slots {
		s := &w.slots[i]
		if !s.used {
			continue
		}
		if best < 0 || int16(s.packet.Sequence-w.slots[best].packet.Sequence) < 0 {
			best = i
		}
		if s.packet.Arrival.Before(oldest) {
			oldest = s.packet.Arrival
		}
	}
	s := &w.slots[best]
	due := s.packet.Sequence == w.next || now.Sub(oldest) >= w.length || w.held == windowSlots
	if !due {
		return nil
	}
	s.used = false
	w.held--
	w.current = s.packet
	return &w.current
}

// fresh reports, once, that the next packet to pass has nothing to do with those before.
func (w *window) fresh() bool {
	was := w.anew
	w.anew = false
	return was
}

// pass notes that p goes on and returns how many before it are given up.
func (w *window) pass(p *Packet) (missing int) {
	missing = int(p.Sequence - w.next)
	w.history = w.history<<(missing+1) | 1
	w.next = p.Sequence + 1
	return missing
}
