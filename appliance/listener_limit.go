package appliance

import (
	"net"
	"net/netip"
	"sync"
)

// Connections at once (reliability.md, input limits), so that idle strangers cannot use up the process's files.
const (
	maxConnsPerIP = 64
	maxConns      = 1024
)

// limitListener closes connections beyond its limits as soon as they come.
type limitListener struct {
	net.Listener
	perIP, all int

	mu   sync.Mutex
	open map[netip.Addr]int
	sum  int
}

func newLimitListener(l net.Listener, perIP, all int) *limitListener {
	return &limitListener{Listener: l, perIP: perIP, all: all, open: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var ip netip.Addr
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			ip = a.AddrPort().Addr().Unmap()
		}
		if l.enter(ip) {
			return &limitConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(ip) })}, nil
		}
		_ = c.Close()
	}
}

func (l *limitListener) enter(ip netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum >= l.all || l.open[ip] >= l.perIP {
		return false
	}
	l.sum++
	l.open[ip]++
	return true
}

func (l *limitListener) leave(ip netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum--
	if l.open[ip]--; l.open[ip] == 0 {
		delete(l.open, ip)
	}
}

// limitConn gives its place back when it closes.
type limitConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *limitConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
