package sip

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/media"
)

// portPool hands out RTP/RTCP port pairs: even port for RTP, the next one for RTCP (RFC 3550 §11).
//
// A pair that a call gave back rests for the drain time before the next call may have it, unbound: packets of the old
// call that are still under way then die in the kernel and cannot be heard in the new one. The free list is shuffled once
// and then used first in, first out, so that a pair rests for as long as the load allows and its next number cannot be
// told from the last.
type portPool struct {
	drain time.Duration
	now   func() time.Time

	mu      sync.Mutex
	free    portQueue // even ports
	resting []restingPort
	size    int // pairs in the range; 0 means the kernel chooses (tests, demo)
}

type restingPort struct {
	port  uint16
	until time.Time
}

// bindTries bounds how many pairs held by other programs one allocation steps over.
const bindTries = 16

func newPortPool(minPort, maxPort uint16, drain time.Duration) (*portPool, error) {
	p := &portPool{drain: drain, now: time.Now}
	if minPort == 0 && maxPort == 0 {
		return p, nil
	}
	first := int(minPort) + int(minPort)&1
	for port := first; port+1 <= int(maxPort); port += 2 {
		p.free.push(uint16(port))
	}
	p.size = p.free.len()
	if p.size == 0 {
		return nil, fmt.Errorf("rtp ports %d–%d: the range holds no even/odd pair", minPort, maxPort)
	}
	rand.Shuffle(p.size, func(i, j int) { b := p.free.ports; b[i], b[j] = b[j], b[i] })
	return p, nil
}

// portPair is two bound sockets. Whoever closes it does so once.
type portPair struct {
	pool *portPool
	rtp  *media.Socket
	rtcp *media.Socket
	port uint16
}

// get binds a free pair on ip.
func (p *portPool) get(ip netip.Addr) (*portPair, error) {
	var last error
	for range bindTries {
		port, ok := p.take()
		if !ok {
			return nil, errPortsExhausted
		}
		pair, err := p.bind(ip, port)
		if err == nil {
			return pair, nil
		}
		last = err
		p.put(port) // another program holds it, or holds its neighbour: look again after the rest
	}
	return nil, fmt.Errorf("bind an RTP port pair on %s: %w", ip, last)
}

func (p *portPool) bind(ip netip.Addr, port uint16) (*portPair, error) {
	if p.size == 0 {
		return p.bindAny(ip)
	}
	rtp, err := listenMedia(netip.AddrPortFrom(ip, port))
	if err != nil {
		return nil, err
	}
	rtcp, err := listenMedia(netip.AddrPortFrom(ip, port+1))
	if err != nil {
		_ = rtp.Close()
		return nil, err
	}
	return &portPair{pool: p, rtp: rtp, rtcp: rtcp, port: port}, nil
}

// bindAny lets the kernel choose a first port and keeps it when it is even and its neighbour is free.
func (p *portPool) bindAny(ip netip.Addr) (*portPair, error) {
	rtp, err := listenMedia(netip.AddrPortFrom(ip, 0))
	if err != nil {
		return nil, err
	}
	port := rtp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	odd := port&1 == 1
	rtcp, err := listenMedia(netip.AddrPortFrom(ip, port^1))
	if err != nil {
		_ = rtp.Close()
		return nil, err
	}
	if odd {
		rtp, rtcp = rtcp, rtp
	}
	return &portPair{pool: p, rtp: rtp, rtcp: rtcp, port: port &^ 1}, nil
}

func (p *portPool) take() (uint16, bool) {
	if p.size == 0 {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
	return p.free.pop()
}

func (p *portPool) put(port uint16) {
	if p.size == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting = append(p.resting, restingPort{port, p.now().Add(p.drain)})
}

// wake frees the pairs that rested long enough. They come back in the order they went. The caller holds mu.
func (p *portPool) wake() {
	now, n := p.now(), 0
	for n < len(p.resting) && !p.resting[n].until.After(now) {
		p.free.push(p.resting[n].port)
		n++
	}
	if n > 0 {
		p.resting = append(p.resting[:0], p.resting[n:]...)
	}
}

// available counts the pairs a call could have now, and those resting.
func (p *portPool) available() (free, resting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
	return p.free.len(), len(p.resting)
}

// close unbinds the pair and lets it rest.
func (pp *portPair) close() {
	_ = pp.rtp.Close()
	_ = pp.rtcp.Close()
	pp.pool.put(pp.port)
}

// portQueue is a first-in-first-out list of ports.
type portQueue struct {
	ports []uint16
	head  int
}

func (q *portQueue) push(port uint16) { q.ports = append(q.ports, port) }

func (q *portQueue) len() int { return len(q.ports) - q.head }

func (q *portQueue) pop() (uint16, bool) {
	if q.len() == 0 {
		return 0, false
	}
	port := q.ports[q.head]
	q.head++
	if q.head >= 1024 && q.head*2 >= len(q.ports) { // keep the slice as long as the range, not as the history
		q.ports = append(q.ports[:0], q.ports[q.head:]...)
		q.head = 0
	}
	return port, true
}

// mediaBuffer is the socket buffer we ask for: about two seconds of G.711 while the process is stopped or the machine
// busy. The default, 208 KiB, counts kernel bookkeeping and holds about 250 packets; small is enough, and bounds what a
// flood may park in the kernel.
const mediaBuffer = 128 << 10

func listenMedia(at netip.AddrPort) (*media.Socket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(mediaBuffer)
	markVoice(conn, at.Addr().Is6())
	sock, err := media.NewSocket(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return sock, nil
}

// markVoice asks the network for the voice class: DSCP EF (RFC 4594 §4.1). Best effort; a container may forbid it.
func markVoice(conn *net.UDPConn, v6 bool) {
	const ef = 46 << 2
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if v6 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, ef)
			return
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, ef)
	})
}
