package sip

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestAPBXSeesOneAddressOfOursOverUDPAndTCP(t *testing.T) {
	pbx, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pbx.Close()
	e, err := New(Config{UDP: []string{"127.0.0.10:0"}, TCP: []string{"127.0.0.10:0"}, Switchboard: newBoard()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Stop(t.Context()) }()
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(pbx.Addr().String())
	if err := e.Apply(Settings{Trunks: []TrunkConfig{{Name: "pbx", Host: "127.0.0.1", Port: int(at.Port()), Transport: "tcp"}}}); err != nil {
		t.Fatal(err)
	}
	if err := pbx.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := pbx.Accept() // our OPTIONS ping
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String(); got != "127.0.0.10" {
		t.Errorf("over TCP we come from %s", got)
	}
}
