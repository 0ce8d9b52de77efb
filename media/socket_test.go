package media

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func listenSocket(t testing.TB, network, addr string) *Socket {
	t.Helper()
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Skipf("%s %s: %v", network, addr, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := NewSocket(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func portOf(s *Socket) uint16 { return s.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func TestSocketPassesPacketsWithTheirAddresses(t *testing.T) {
	for _, c := range []struct{ name, network, a, b, to string }{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "udp6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 through a socket of both", "udp", "[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4 mapped", "udp4", "127.0.0.1:0", "127.0.0.1:0", "::ffff:127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := listenSocket(t, c.network, c.a)
			network := c.network
			if network == "udp" {
				network = "udp4"
			}
			b := listenSocket(t, network, c.b)
			buf := make([]byte, 100)
			_ = b.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := a.WriteToUDPAddrPort([]byte("hello"), netip.AddrPortFrom(netip.MustParseAddr(c.to), portOf(b))); err != nil {
				t.Fatal(err)
			}
			n, src, err := b.ReadFromUDPAddrPort(buf)
			want := netip.AddrPortFrom(netip.MustParseAddr(c.to).Unmap(), portOf(a))
			if err != nil || string(buf[:n]) != "hello" || src != want {
				t.Fatalf("%q from %v, %v; want it from %v", buf[:n], src, err, want)
			}
			// And back, so that the address the other kind of socket reports is one it can send to.
			_ = a.SetReadDeadline(time.Now().Add(5 * time.Second))
			if _, err := b.WriteToUDPAddrPort([]byte("back"), src); err != nil {
				t.Fatal(err)
			}
			if n, src, err = a.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "back" || !src.Addr().Is4() && c.network != "udp6" {
				t.Fatalf("%q from %v, %v", buf[:n], src, err)
			}
		})
	}
}

func TestSocketKeepsWhatAPlainOneDoes(t *testing.T) {
	s := listenSocket(t, "udp4", "127.0.0.1:0")
	self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(s))
	buf := make([]byte, 4)
	if _, err := s.WriteToUDPAddrPort([]byte("longer than that"), self); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.ReadFromUDPAddrPort(buf); n != 4 || err != nil {
		t.Errorf("cut packet: %d, %v", n, err)
	}
	if _, err := s.WriteToUDPAddrPort(nil, self); err != nil {
		t.Errorf("empty packet: %v", err)
	}
	if n, _, err := s.ReadFromUDPAddrPort(buf); n != 0 || err != nil {
		t.Errorf("empty packet: %d, %v", n, err)
	}
	if _, err := s.WriteToUDPAddrPort(make([]byte, 1<<17), self); err == nil {
		t.Error("a packet larger than UDP allows was sent")
	}
	if _, err := s.WriteToUDPAddrPort([]byte("x"), netip.MustParseAddrPort("[::1]:9")); err == nil {
		t.Error("an IPv4 socket sent to an IPv6 address")
	}
	_ = s.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, _, err := s.ReadFromUDPAddrPort(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = s.SetReadDeadline(time.Time{})
	ended := make(chan error, 1)
	go func() { _, _, err := s.ReadFromUDPAddrPort(make([]byte, 9)); ended <- err }()
	_ = s.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("read of a closed socket: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Close doesn't end a read")
	}
	if _, err := s.WriteToUDPAddrPort([]byte("x"), self); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed socket: %v", err)
	}
}

func TestSocketAllocatesNothing(t *testing.T) {
	s := listenSocket(t, "udp4", "127.0.0.1:0")
	self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(s))
	b := make([]byte, 172)
	if n := testing.AllocsPerRun(500, func() {
		_, err := s.WriteToUDPAddrPort(b, self)
		if _, _, err2 := s.ReadFromUDPAddrPort(b); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
	}); n != 0 {
		t.Errorf("%v allocations per packet out and in", n)
	}
}

// BenchmarkSocket is one packet out and in, next to net.UDPConn. What the difference is under load, when threads are
// woken for nothing, only a load shows: BenchmarkPath in e2e.
func BenchmarkSocket(b *testing.B) {
	s := listenSocket(b, "udp4", "127.0.0.1:0")
	self := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), portOf(s))
	buf := make([]byte, 172)
	for name, c := range map[string]interface {
		ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error)
		WriteToUDPAddrPort([]byte, netip.AddrPort) (int, error)
	}{"ours": s, "net": s.UDPConn} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.WriteToUDPAddrPort(buf, self); err != nil {
					b.Fatal(err)
				}
				if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
