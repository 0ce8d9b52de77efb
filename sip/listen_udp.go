package sip

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// errRecycle ends one run of sipgo's UDP reader; the socket stays open and is served again at once.
var errRecycle = errors.New("forget the sources seen so far")

// maxSeen bounds the set of sources sipgo's UDP reader keeps for as long as it runs.
const maxSeen = 20_000

// udpSocket is a listening socket as sipgo sees it. Its ReadFrom fails only for good reasons: sipgo stops reading at the
// first error. It also makes sipgo forget: its reader and pool remember every source address for ever.
type udpSocket struct {
	*net.UDPConn
	seen map[netip.AddrPort]struct{} // only the one reader touches it
}

func listenUDP(addr string) (*udpSocket, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	c, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(1 << 20) // best effort: a burst must survive a scheduling delay
	return &udpSocket{UDPConn: c, seen: map[netip.AddrPort]struct{}{}}, nil
}

// ReadFrom implements net.PacketConn.
func (s *udpSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := s.UDPConn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return 0, nil, err
		}
		if err != nil { // an ICMP error of an earlier send, or memory pressure: not the end of the socket
			time.Sleep(time.Millisecond) //nolint:forbidigo // only so as not to spin; nothing tells when memory is free again
			continue
		}
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if _, ok := s.seen[a]; !ok {
			if len(s.seen) >= maxSeen {
				clear(s.seen)
				return 0, nil, errRecycle
			}
			s.seen[a] = struct{}{}
		}
		return n, net.UDPAddrFromAddrPort(a), nil
	}
}

func (s *udpSocket) addr() netip.AddrPort { return addrPortOf(s.LocalAddr()) }
