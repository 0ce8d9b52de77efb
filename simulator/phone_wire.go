package simulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// phoneWire is the phone's SIP transport: one UDP socket, or one TCP listener and the connections made and taken.
type phoneWire struct {
	p    *Phone
	addr netip.AddrPort
	udp  *net.UDPConn
	tcp  *net.TCPListener

	mu    sync.Mutex
	conns map[string]net.Conn // by remote address
}

const (
	maxSIPMessage  = 32 << 10
	maxPhoneConns  = 64
	phoneWriteTime = 5 * time.Second
)

func newPhoneWire(p *Phone) (*phoneWire, error) {
	w := &phoneWire{p: p, conns: map[string]net.Conn{}}
	switch p.cfg.Transport {
	case "udp":
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.cfg.Listen))
		if err != nil {
			return nil, err
		}
		w.udp, w.addr = conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
	case "tcp":
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.cfg.Listen))
		if err != nil {
			return nil, err
		}
		w.tcp, w.addr = l, l.Addr().(*net.TCPAddr).AddrPort()
	default:
		return nil, fmt.Errorf("transport %q is neither udp nor tcp", p.cfg.Transport)
	}
	w.addr = netip.AddrPortFrom(w.addr.Addr().Unmap(), w.addr.Port())
	return w, nil
}

func (w *phoneWire) start() {
	if w.udp != nil {
		w.p.wg.Go(w.readUDP)
		return
	}
	w.p.wg.Go(w.accept)
}

func (w *phoneWire) close() error {
	if w.udp != nil {
		return w.udp.Close()
	}
	err := w.tcp.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	return err
}

func (w *phoneWire) readUDP() {
	buf := make([]byte, maxSIPMessage)
	for {
		n, src, err := w.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 12 { // keep-alives are shorter
			continue
		}
		w.take(buf[:n], netip.AddrPortFrom(src.Addr().Unmap(), src.Port()).String())
	}
}

func (w *phoneWire) accept() {
	for {
		c, err := w.tcp.Accept()
		if err != nil {
			return
		}
		if !w.add(c) {
			_ = c.Close()
		}
	}
}

// add keeps a connection and starts its reader.
func (w *phoneWire) add(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.conns) >= maxPhoneConns || w.p.ctx.Err() != nil {
		return false
	}
	w.conns[c.RemoteAddr().String()] = c
	w.p.wg.Go(func() { w.readTCP(c) })
	return true
}

func (w *phoneWire) readTCP(c net.Conn) {
	remote := c.RemoteAddr().String()
	defer func() {
		_ = c.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.conns[remote] == c {
			delete(w.conns, remote)
		}
	}()
	r := bufio.NewReaderSize(c, 4<<10)
	for {
		b, err := readStreamMessage(r)
		if err != nil {
			return
		}
		w.take(b, remote)
	}
}

// readStreamMessage cuts one message from a stream by its Content-Length (RFC 3261 §18.3).
func readStreamMessage(r *bufio.Reader) ([]byte, error) {
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		blank := strings.TrimRight(line, "\r\n") == ""
		if blank && head.Len() == 0 {
			continue // keep-alive between messages (RFC 5626 §3.5.1)
		}
		head.WriteString(line)
		if head.Len() > maxSIPMessage {
			return nil, errors.New("header too long")
		}
		if blank {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		switch textproto.TrimString(strings.ToLower(name)) {
		case "content-length", "l":
			if length, err = strconv.Atoi(textproto.TrimString(value)); err != nil || length < 0 || length > maxSIPMessage {
				return nil, errors.New("bad content length")
			}
		}
	}
	b := make([]byte, head.Len()+length)
	copy(b, head.String())
	_, err := io.ReadFull(r, b[head.Len():])
	return b, err
}

func (w *phoneWire) take(b []byte, from string) {
	defer w.p.fence()
	m, err := msg.ParseMessage(b)
	if err != nil {
		w.p.log.Debug("message not understood", "from", from, "err", err)
		return
	}
	m.SetSource(from)
	m.SetTransport(strings.ToUpper(w.p.cfg.Transport))
	switch m := m.(type) {
	case *msg.Request:
		w.p.takeRequest(m)
	case *msg.Response:
		w.p.takeResponse(m)
	}
}

// send writes one message to host:port.
func (w *phoneWire) send(ctx context.Context, b []byte, to string) error {
	if w.udp != nil {
		a, err := net.ResolveUDPAddr("udp", to)
		if err != nil {
			return err
		}
		_, err = w.udp.WriteToUDP(b, a)
		return err
	}
	c, err := w.conn(ctx, to)
	if err != nil {
		return err
	}
	_ = c.SetWriteDeadline(time.Now().Add(phoneWriteTime))
	_, err = c.Write(b)
	return err
}

func (w *phoneWire) conn(ctx context.Context, to string) (net.Conn, error) {
	w.mu.Lock()
	c := w.conns[to]
	w.mu.Unlock()
	if c != nil {
		return c, nil
	}
	d := net.Dialer{Timeout: phoneWriteTime}
	c, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	if !w.add(c) {
		_ = c.Close()
		return nil, errors.New("too many connections")
	}
	return c, nil
}
