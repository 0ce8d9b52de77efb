package sip

import (
	"net/netip"
	"sync/atomic"
)

// latch decides where a stream may come from and where ours goes: symmetric RTP (RFC 4961) that cannot be stolen.
//
// The address in SDP is a claim: behind a NAT it is wrong, and it may be somebody else's. It is sent to at once when the
// signalling comes from there or it lies in a configured network, else when something came from it. The first valid packet
// from an allowed address fixes the stream's source, and we send there from then on. Should the negotiated address itself
// speak up within the first packets, it wins. After that no other source is heard until SDP names a new address, which makes
// a new latch.
//
// Only the session's reader goroutine changes a latch; dest is read by whoever sends.
type latch struct {
	claim      netip.AddrPort // what SDP says
	negotiated netip.AddrPort // the same, or invalid when it is one we may not send to
	allowed    func(netip.Addr) bool

	from  netip.AddrPort
	count int
	dest  atomic.Pointer[netip.AddrPort] // nil: nowhere yet

	control atomic.Pointer[netip.AddrPort] // where RTCP came from
}

// latchPackets is how many packets a source other than the negotiated one is on probation.
const latchPackets = 5

type verdict uint8

const (
	stranger  verdict = iota
	heard             // the latched source
	candidate         // may become the source if its packet proves valid
)

func newLatch(negotiated netip.AddrPort, allowed func(netip.Addr) bool) *latch {
	l := &latch{allowed: allowed}
	if negotiated.IsValid() && negotiated.Port() != 0 && allowed(negotiated.Addr()) {
		l.negotiated = negotiated
		l.dest.Store(&l.negotiated)
	}
	return l
}

func (l *latch) check(src netip.AddrPort) verdict {
	switch {
	case src == l.from:
		return heard
	case src == l.negotiated && l.count < latchPackets:
		return candidate
	case !l.from.IsValid() && l.allowed(src.Addr()):
		return candidate
	}
	return stranger
}

// take notes a valid packet of a source that check let through, and reports whether the source is new.
func (l *latch) take(src netip.AddrPort) bool {
	fresh := src != l.from
	if fresh {
		l.from, l.count = src, 0
		dest := src // here, so that only a new source costs an allocation
		l.dest.Store(&dest)
	}
	if l.count < latchPackets {
		l.count++
	}
	if src == l.negotiated {
		l.count = latchPackets
	}
	return fresh
}

// to is where to send, the zero value while nowhere.
func (l *latch) to() netip.AddrPort {
	if p := l.dest.Load(); p != nil {
		return *p
	}
	return netip.AddrPort{}
}
