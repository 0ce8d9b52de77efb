package sip

import (
	"net"
	"net/netip"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// Limits per source and message (reliability.md, input limits).
const (
	maxUDPMessage = 16 << 10
	maxTCPMessage = 32 << 10
	maxHeaders    = 100
	maxHeaderLine = 2 << 10

	maxSources  = 4096 // buckets kept at once
	maxUnknowns = 200  // messages a second from all strangers together
)

// sourceClass is how much we know about an address.
type sourceClass uint8

const (
	sourceUnknown sourceClass = iota
	sourcePhone               // a phone is registered from there
	sourceTrunk
)

// rates are messages per second and source; twice that may come at once.
var rates = [...]float64{sourceUnknown: 5, sourcePhone: 50, sourceTrunk: 200}

// bucket is a token bucket.
type bucket struct {
	tokens float64
	last   time.Time
	class  sourceClass
}

func (b *bucket) take(rate float64, now time.Time) bool {
	b.tokens = min(2*rate, b.tokens+rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// sourceLimits keeps one bucket per address, at most maxSources of them, and one for all strangers together: forged
// sources would otherwise each get their own allowance.
type sourceLimits struct {
	mu      sync.Mutex
	m       map[netip.Addr]*bucket
	unknown bucket
}

func newSourceLimits() *sourceLimits { return &sourceLimits{m: make(map[netip.Addr]*bucket)} }

func (l *sourceLimits) allow(a netip.Addr, class sourceClass, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate := rates[class]
	b := l.m[a]
	if b == nil {
		if len(l.m) >= maxSources && !l.evict(now) && class == sourceUnknown {
			return false
		}
		b = &bucket{tokens: 2 * rate, last: now, class: class}
		l.m[a] = b
	}
	if class > b.class { // it has just logged in: the stranger's few tokens no longer count
		b.tokens = 2 * rate
	}
	b.class = class
	if !b.take(rate, now) {
		return false
	}
	return class != sourceUnknown || l.unknown.take(maxUnknowns, now)
}

// evict forgets idle sources. It looks at a few entries only (map order is random), so its cost is bounded.
func (l *sourceLimits) evict(now time.Time) bool {
	found, looked := false, 0
	for a, b := range l.m {
		if now.Sub(b.last) > 2*time.Second { // its bucket is full again anyway
			delete(l.m, a)
			found = true
		}
		if looked++; looked == 32 {
			break
		}
	}
	return found
}

// filter runs in front of sipgo's parser. Dropping is nil, nil: an error would stop the listener for good.
func (e *Endpoint) filter(info msg.TransportReadProps, data []byte) ([]byte, error) {
	if info.Transport != "UDP" {
		// A stream cannot lose a part of itself; connections are limited by number, time and size, and messages on
		// them after parsing (Endpoint.admit).
		return data, nil
	}
	from := addrPortOf(info.RemoteAddr)
	if !e.admit(from.Addr()) {
		return nil, nil
	}
	if len(data) > maxUDPMessage {
		e.metrics.refused.WithLabelValues("too_large").Inc()
		return nil, nil
	}
	return data, nil
}

// admit applies the rate of a source's class.
func (e *Endpoint) admit(a netip.Addr) bool {
	if !e.limits.allow(a, e.classify(a), time.Now()) {
		e.metrics.refused.WithLabelValues("rate").Inc()
		return false
	}
	return true
}

// addrPortOf is a socket address without the IPv4-in-IPv6 form dual-stack sockets give.
func addrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch v := a.(type) {
	case *net.UDPAddr:
		ap = v.AddrPort()
	case *net.TCPAddr:
		ap = v.AddrPort()
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func parseSource(s string) netip.AddrPort {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
