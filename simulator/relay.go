package simulator

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// relay is a media socket of Meta's side: one per call, or one for all calls (every call then meets the same address and
// port, as with the real relays).
type relay struct {
	conn *faultyConn
	mux  *ice.UDPMuxDefault
	addr netip.AddrPort
}

func newRelay(ip netip.Addr) (*relay, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, fmt.Errorf("open simulated media socket: %w", err)
	}
	fc := &faultyConn{UDPConn: c}
	r := &relay{conn: fc, addr: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	r.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: fc, Logger: quietLogger()})
	return r, nil
}

func (r *relay) close() error { return ignoreClosed(errors.Join(r.mux.Close())) }

// faultyConn is a socket whose owner can vanish: nothing gets in or out while gone.
type faultyConn struct {
	*net.UDPConn
	gone    atomic.Bool
	dropped atomic.Uint64
}

func (c *faultyConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, a, err := c.UDPConn.ReadFrom(b)
		if err != nil || !c.gone.Load() {
			return n, a, err
		}
		c.dropped.Add(1)
	}
}

func (c *faultyConn) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, a, err := c.UDPConn.ReadFromUDPAddrPort(b)
		if err != nil || !c.gone.Load() {
			return n, a, err
		}
		c.dropped.Add(1)
	}
}

func (c *faultyConn) WriteTo(b []byte, a net.Addr) (int, error) {
	if c.gone.Load() {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, a)
}

func (c *faultyConn) WriteToAddrPort(b []byte, a netip.AddrPort) (int, error) {
	if c.gone.Load() {
		return len(b), nil
	}
	return c.UDPConn.WriteToUDPAddrPort(b, a)
}

func quietLogger() logging.LeveledLogger {
	return (&logging.DefaultLoggerFactory{Writer: nowhere{}, DefaultLogLevel: logging.LogLevelDisabled}).NewLogger("sim")
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

func quietFactory() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: nowhere{}, DefaultLogLevel: logging.LogLevelDisabled}
}
