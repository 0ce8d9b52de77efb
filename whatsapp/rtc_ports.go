package whatsapp

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"deskbridge/media"
)

// errNoPort means that every port of the range is taken.
var errNoPort = errors.New("no free UDP port in the media range")

// portPool hands out the ports of the range, the longest unused first: packets of the last call on a port have died out
// by the time another call gets it, as far as the size of the range allows.
type portPool struct {
	mu   sync.Mutex
	any  bool
	free []uint16 // in the order of release
}

func newPortPool(first, last uint16) *portPool {
	p := &portPool{any: last == 0}
	if p.any {
		return p
	}
	n := int(last) - int(first) + 1
	// A random start: after a restart the ports of interrupted calls, to which Meta may still send, come late.
	for i, off := 0, rand.IntN(n); i < n; i++ {
		p.free = append(p.free, first+uint16((off+i)%n))
	}
	return p
}

// listen binds the first port in turn that nobody else on the machine holds, on each of the addresses (one per family).
func (p *portPool) listen(addrs []netip.Addr) ([]*media.Socket, uint16, error) {
	p.mu.Lock()
	tries := len(p.free)
	p.mu.Unlock()
	if p.any {
		tries = 16 // the port the system gives for IPv4 may be taken for IPv6
	}
	err := errNoPort
	for range tries {
		port, ok := p.take()
		if !ok {
			return nil, 0, errNoPort
		}
		var conns []*media.Socket
		if conns, port, err = listenAll(addrs, port); err == nil {
			return conns, port, nil
		}
		p.release(port)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err // no such address, no files left: the next port wouldn't do better
		}
	}
	return nil, 0, err
}

func (p *portPool) take() (uint16, bool) {
	if p.any {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return 0, false
	}
	port := p.free[0]
	p.free = p.free[1:]
	return port, true
}

func (p *portPool) release(port uint16) {
	if p.any || port == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, port)
}

// listenAll binds the same port on every address; with port 0 the first address chooses.
func listenAll(addrs []netip.Addr, port uint16) (conns []*media.Socket, _ uint16, err error) {
	for _, a := range addrs {
		c, err := listenOne(netip.AddrPortFrom(a, port))
		if err != nil {
			for _, c := range conns {
				_ = c.Close()
			}
			return nil, port, err
		}
		conns = append(conns, c)
		if port == 0 {
			port = localAddrPort(c).Port()
		}
	}
	return conns, port, nil
}

func listenOne(at netip.AddrPort) (*media.Socket, error) {
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	s, err := media.NewSocket(c)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return s, nil
}

func localAddrPort(c interface{ LocalAddr() net.Addr }) netip.AddrPort {
	a, _ := c.LocalAddr().(*net.UDPAddr)
	return a.AddrPort()
}
