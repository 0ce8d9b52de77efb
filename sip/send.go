package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// maxUDPRequest is the size beyond which a request goes over TCP (RFC 3261 §18.1.1).
const maxUDPRequest = 1300

// tcpFallback bounds the try to send a big request over TCP to a peer that is spoken to over UDP.
const tcpFallback = time.Second

var errNoConnection = errors.New("the phone's connection is gone")

// host is the address a peer at dst should use for us.
func (e *Endpoint) host(dst netip.AddrPort) netip.Addr {
	local := e.listenIP(dst.Addr())
	if !local.IsValid() || local.IsUnspecified() {
		if a, err := localAddrTowards(dst.Addr()); err == nil {
			local = a
		}
	}
	// Behind a 1:1 NAT only peers outside see the public address; the PBX in the same network sees our own.
	if p := e.cfg.PublicAddress; p.IsValid() && !isInside(dst.Addr()) && isInside(local) {
		return p
	}
	return local
}

func isInside(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }

func (e *Endpoint) listenIP(dst netip.Addr) netip.Addr {
	if s := e.socketFor(dst); s != nil {
		return s.addr().Addr()
	}
	for _, l := range e.tcp {
		return addrPortOf(l.Addr()).Addr()
	}
	return netip.Addr{}
}

// socketFor is the UDP listener to send to dst from: loopback to loopback, else the first of the family.
func (e *Endpoint) socketFor(dst netip.Addr) *udpSocket {
	var found *udpSocket
	for _, s := range e.udp {
		a := s.addr().Addr()
		if !a.IsUnspecified() && a.Is4() != dst.Is4() {
			continue
		}
		if a.IsUnspecified() && a.Is4() && !dst.Is4() {
			continue
		}
		if found == nil || (a.IsLoopback() == dst.IsLoopback() && found.addr().Addr().IsLoopback() != dst.IsLoopback()) {
			found = s
		}
	}
	return found
}

func (e *Endpoint) port(transport string, dst netip.Addr) int {
	if transport == "UDP" {
		if s := e.socketFor(dst); s != nil {
			return int(s.addr().Port())
		}
	}
	if a := e.TCPAddr(); a.IsValid() {
		return int(a.Port())
	}
	return 0
}

// contact is our address in a dialog or registration over f.
func (e *Endpoint) contact(user string, f flow) *msg.ContactHeader {
	u := msg.Uri{Scheme: "sip", User: user, Host: uriHost(e.host(f.addr)), Port: e.port(f.transport, f.addr.Addr())}
	if f.transport != "UDP" {
		u.UriParams = msg.HeaderParams{{K: "transport", V: strings.ToLower(f.transport)}}
	}
	return &msg.ContactHeader{Address: u}
}

func uriHost(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// address puts Via, transport and destination of f on a request. rport as RFC 3581 asks.
func (e *Endpoint) address(req *msg.Request, f flow, branch string) {
	via := &msg.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: f.transport,
		Host: uriHost(e.host(f.addr)), Port: e.port(f.transport, f.addr.Addr()),
		Params: msg.HeaderParams{{K: "branch", V: branch}, {K: "rport", V: ""}},
	}
	for req.RemoveHeader("Via") { //nolint:revive // removes one at a time
	}
	req.PrependHeader(via)
	e.aim(req, f)
}

// aim sets where a complete request goes.
func (e *Endpoint) aim(req *msg.Request, f flow) {
	req.SetTransport(f.transport)
	req.SetDestination(f.addr.String())
	if f.transport != "UDP" {
		return
	}
	if s := e.socketFor(f.addr.Addr()); s != nil {
		// Without this sipgo opens a socket of its own for a peer it never heard from.
		a := s.LocalAddr().(*net.UDPAddr)
		req.Laddr = msg.Addr{IP: a.IP, Port: a.Port}
	}
}

// pick keeps big requests off UDP where the peer takes TCP from us; where it does not they go as IP fragments.
func (e *Endpoint) pick(ctx context.Context, req *msg.Request, f flow) flow {
	if f.transport != "UDP" || f.reuse || len(req.String()) <= maxUDPRequest {
		return f
	}
	if !e.mayDial(f.addr) {
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, tcpFallback)
	defer cancel()
	d := net.Dialer{LocalAddr: e.tcpSource()}
	c, err := d.DialContext(ctx, "tcp", f.addr.String())
	if err != nil {
		return f
	}
	_ = c.Close()
	return flow{transport: "TCP", addr: f.addr}
}

// start begins a client transaction for a request made ready by address. again is called for every further 2xx to an
// INVITE; it is in place before the request leaves, so that no fork is missed.
func (e *Endpoint) start(ctx context.Context, req *msg.Request, f flow, again func(*msg.Response)) (*msg.ClientTx, error) {
	if f.transport == "UDP" {
		s := e.socketFor(f.addr.Addr())
		if s == nil {
			return nil, fmt.Errorf("no UDP listener for %s", f.addr)
		}
		e.await(s)
	}
	if f.reuse && f.transport == "TCP" {
		c, err := e.ua.TransportLayer().GetConnection("tcp", f.addr.String())
		if err != nil {
			return nil, errNoConnection
		}
		_, _ = c.TryClose() // gives back the reference GetConnection took
	}
	var tx *msg.ClientTx
	if err := e.sending(f.transport, func() (err error) {
		tx, err = e.ua.TransactionLayer().NewClientTransaction(ctx, req)
		return err
	}); err != nil {
		return nil, err
	}
	if again != nil {
		tx.OnRetransmission(func(res *msg.Response) {
			defer e.fence("2xx again")
			again(res)
		})
	}
	if err := tx.Init(); err != nil {
		tx.Terminate()
		return nil, err
	}
	return tx, nil
}

// sending keeps the sockets open while f sends. Once Stop has closed them sipgo would open one of its own and keep it.
func (e *Endpoint) sending(transport string, f func() error) error {
	if transport == "UDP" { // TCP may have to connect first, which Stop must not wait for
		e.sendMu.RLock()
		defer e.sendMu.RUnlock()
	}
	if e.ctx.Err() != nil {
		return ErrStopped
	}
	return f()
}

// do sends a request that is no INVITE and waits for its final answer.
func (e *Endpoint) do(ctx context.Context, req *msg.Request, f flow) (*msg.Response, error) {
	tx, err := e.start(ctx, req, f, nil)
	if err != nil {
		e.metrics.sent.WithLabelValues(methodLabel(string(req.Method)), "none").Inc()
		return nil, err
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				continue
			}
			e.metrics.sent.WithLabelValues(methodLabel(string(req.Method)), statusClass(res.StatusCode)).Inc()
			return res, nil
		case <-tx.Done():
			err = tx.Err()
		case <-ctx.Done():
			err = ctx.Err()
		case <-e.ctx.Done():
			err = ErrStopped
		}
		e.metrics.sent.WithLabelValues(methodLabel(string(req.Method)), "none").Inc()
		return nil, err
	}
}

// write sends an ACK, which has no transaction.
func (e *Endpoint) write(req *msg.Request) error {
	return e.sending(req.Transport(), func() error { return e.ua.TransportLayer().WriteMsg(req) })
}

// noDNS fails every lookup: names were resolved by us, and a name in a stranger's Via must not make us ask.
var noDNS = &net.Resolver{
	PreferGo: true,
	Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name lookups for messages")
	},
}

// dialer is what sipgo connects with. It refuses every address that is not a trunk's: sipgo would follow a stranger's Via.
func (e *Endpoint) dialer(laddr net.Addr) net.Dialer {
	if a, ok := laddr.(*net.TCPAddr); ok && a == nil {
		laddr = e.tcpSource() // sipgo passes a typed nil
	}
	return net.Dialer{
		Timeout: 4 * time.Second, LocalAddr: laddr,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			if a, err := netip.ParseAddrPort(address); err == nil && e.mayDial(netip.AddrPortFrom(a.Addr().Unmap(), a.Port())) {
				return nil
			}
			return errors.New("not a trunk address")
		},
	}
}

// tcpSource is the address connections of ours come from: a PBX that knows us by address must see the one it knows from UDP.
// Nil, the system's choice, when we listen everywhere.
func (e *Endpoint) tcpSource() net.Addr {
	if len(e.tcp) != 1 {
		return nil
	}
	a, ok := e.tcp[0].Addr().(*net.TCPAddr)
	if !ok || a.IP.IsUnspecified() {
		return nil
	}
	return &net.TCPAddr{IP: a.IP, Zone: a.Zone}
}

func (e *Endpoint) mayDial(a netip.AddrPort) bool {
	for _, t := range e.view.Load().trunks {
		if t.resolvedTo(a) || t.contains(a.Addr()) {
			return true
		}
	}
	return false
}
