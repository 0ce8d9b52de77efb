package sip

import (
	"net/netip"
	"time"

	"deskbridge/media"
)

const (
	// earlyAge is how old audio may be that is passed on when a leg is joined. Joining takes milliseconds after the answer,
	// while the first word is on its way already (RFC 3264 §5.1 lets it overtake the answer). Older than this it is what
	// was played before the answer, such as a PBX's ringing tone, and would only delay what follows. A call lost its first 20 ms
	// to this in every run of e2e's TestNothingSaidAfterTheAnswerIsLost.
	earlyAge = 100 * time.Millisecond
	// earlyPackets are earlyAge of 20 ms packets, and some.
	earlyPackets = 8

	// waitAge and waitPackets are the same for what came after the answer and waits only for its listener. All of it was said
	// to the customer, so it may wait longer; 10 ms packets fit too.
	waitAge     = 300 * time.Millisecond
	waitPackets = 32
)

// earlyAudio keeps the latest packets of a leg that is answered and that nobody listens to yet. It is used under sinkMu; it
// takes memory once per leg and only of legs that need it.
type earlyAudio struct {
	ring []media.Packet
	next int
}

func (e *earlyAudio) keep(p *media.Packet) {
	if e.ring == nil {
		e.ring = make([]media.Packet, waitPackets)
	}
	slot := &e.ring[e.next%waitPackets]
	buf := append(slot.Payload[:0], p.Payload...)
	*slot = *p
	slot.Payload = buf
	e.next++
}

// release gives the sink what was young enough when it was set, in the order it came, and lets go of the memory.
func (e *earlyAudio) release(sink media.Sink, joined time.Time) {
	for i := max(0, e.next-waitPackets); i < e.next; i++ {
		if p := &e.ring[i%waitPackets]; joined.Sub(p.Arrival) <= waitAge {
			sink.ReceivePacket(p)
		}
	}
	*e = earlyAudio{}
}

// earlyDatagram came before the agreement, which is on its way: nobody knows yet what it means.
type earlyDatagram struct {
	b   []byte
	src netip.AddrPort
	at  time.Time
}

// earlyDatagrams keeps the latest of them. Only the reader goroutine uses it.
type earlyDatagrams struct {
	ring []earlyDatagram
	next int
}

func (e *earlyDatagrams) keep(b []byte, src netip.AddrPort, now time.Time) {
	if e.ring == nil {
		e.ring = make([]earlyDatagram, earlyPackets)
	}
	slot := &e.ring[e.next%earlyPackets]
	slot.b = append(slot.b[:0], b...)
	slot.src, slot.at = src, now
	e.next++
}

// replay takes what is young enough as if it came now; every rule that holds for a packet then holds for it.
func (s *mediaSession) replay(now time.Time) {
	early := s.in.before
	s.in.before = earlyDatagrams{}
	for i := max(0, early.next-earlyPackets); i < early.next; i++ {
		if d := &early.ring[i%earlyPackets]; now.Sub(d.at) <= earlyAge {
			s.receive(d.b, d.src, d.at)
		}
	}
}
