package sip

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits on TCP connections (reliability.md).
const (
	maxConnsPerIP = 8
	maxConns      = 256

	strangerTime = 30 * time.Second // until a stranger has logged in
	trustedIdle  = 70 * time.Minute // longer than a registration lasts
	tcpWriteTime = 5 * time.Second
)

// tcpListener caps connections and puts deadlines on them; sipgo does neither. Connections from trunk addresses and of
// registered phones are trusted: they may idle.
type tcpListener struct {
	*net.TCPListener
	e *Endpoint

	mu    sync.Mutex
	conns map[netip.AddrPort]*tcpConn
	perIP map[netip.Addr]int
}

func listenTCP(e *Endpoint, addr string) (*tcpListener, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", a)
	if err != nil {
		return nil, err
	}
	return &tcpListener{TCPListener: l, e: e, conns: map[netip.AddrPort]*tcpConn{}, perIP: map[netip.Addr]int{}}, nil
}

// Accept implements net.Listener. It fails only when the listener is closed.
func (l *tcpListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil { // out of descriptors, or the peer was faster than us
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // nothing tells when descriptors are free again
			continue
		}
		if t := l.admit(c); t != nil {
			return t, nil
		}
		l.e.metrics.refused.WithLabelValues("connections").Inc()
		_ = c.Close()
	}
}

func (l *tcpListener) admit(c *net.TCPConn) *tcpConn {
	a := addrPortOf(c.RemoteAddr())
	l.mu.Lock()
	defer l.mu.Unlock()
	trunk := l.e.classify(a.Addr()) == sourceTrunk
	if len(l.conns) >= maxConns || (l.perIP[a.Addr()] >= maxConnsPerIP && !trunk) {
		return nil
	}
	t := &tcpConn{TCPConn: c, l: l, remote: a, born: time.Now()}
	t.trusted.Store(trunk)
	l.conns[a] = t
	l.perIP[a.Addr()]++
	return t
}

func (l *tcpListener) gone(t *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[t.remote] != t {
		return
	}
	delete(l.conns, t.remote)
	if l.perIP[t.remote.Addr()]--; l.perIP[t.remote.Addr()] <= 0 {
		delete(l.perIP, t.remote.Addr())
	}
}

func (l *tcpListener) get(a netip.AddrPort) *tcpConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[a]
}

// tcpConn is one accepted connection.
type tcpConn struct {
	*net.TCPConn
	l       *tcpListener
	remote  netip.AddrPort
	born    time.Time
	trusted atomic.Bool
	once    sync.Once
}

// Read implements net.Conn with a deadline of ours: a stranger has strangerTime in all, however slowly it talks.
func (t *tcpConn) Read(b []byte) (int, error) {
	deadline := t.born.Add(strangerTime)
	if t.trusted.Load() {
		deadline = time.Now().Add(trustedIdle)
	}
	if err := t.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return t.TCPConn.Read(b)
}

// Write implements net.Conn with a deadline.
func (t *tcpConn) Write(b []byte) (int, error) {
	if err := t.SetWriteDeadline(time.Now().Add(tcpWriteTime)); err != nil {
		return 0, err
	}
	return t.TCPConn.Write(b)
}

// trust lifts the stranger's limit once the peer has logged in.
func (t *tcpConn) trust() {
	if !t.trusted.Swap(true) {
		_ = t.SetReadDeadline(time.Now().Add(trustedIdle)) // the Read under way has the old one
	}
}

// Close implements net.Conn.
func (t *tcpConn) Close() error {
	t.once.Do(func() { t.l.gone(t) })
	return t.TCPConn.Close()
}
