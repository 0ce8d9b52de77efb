package admin

import (
	"net"
	"net/netip"
	"sync"
)

// limitListener closes connections beyond a number at once, in all and from one address, so that idle strangers cannot use
// up the process's files. Addresses for which exempt answers true (trusted proxies) count in all only.
type limitListener struct {
	net.Listener
	all, each int
	exempt    func(netip.Addr) bool

	mu    sync.Mutex
	total int
	from  map[netip.Addr]int
}

func newLimitListener(l net.Listener, all, each int, exempt func(netip.Addr) bool) net.Listener {
	return &limitListener{Listener: l, all: all, each: each, exempt: exempt, from: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		a := peer.Addr().Unmap()
		if l.take(a) {
			return &limitConn{Conn: c, release: sync.OnceFunc(func() { l.give(a) })}, nil
		}
		_ = c.Close()
	}
}

func (l *limitListener) take(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.all || l.from[a] >= l.each && !l.exempt(a) {
		return false
	}
	l.total++
	l.from[a]++
	return true
}

func (l *limitListener) give(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.from[a]--; l.from[a] == 0 {
		delete(l.from, a)
	}
}

type limitConn struct {
	net.Conn
	release func()
}

// Close gives the slot back, once.
func (c *limitConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
