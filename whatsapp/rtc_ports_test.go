package whatsapp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

var loopback = []netip.Addr{netip.MustParseAddr("127.0.0.1")}

func TestAPortRestsWhileOthersAreFree(t *testing.T) {
	first, last := freePorts(t, 4)
	p := newPortPool(first, last)
	var order []uint16
	for range 8 {
		conns, port, err := p.listen(loopback)
		must(t, err)
		must(t, conns[0].Close())
		p.release(port)
		order = append(order, port)
	}
	for i := range 4 {
		if order[i] != order[i+4] {
			t.Errorf("order of use %v: a port came back before all others were used", order)
		}
	}
}

func TestTakenPortsAreSkippedAndAnEmptyRangeSaysSo(t *testing.T) {
	first, _ := freePorts(t, 2)
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(first)})
	must(t, err)
	defer other.Close()
	p := newPortPool(first, first+1)
	conns, port, err := p.listen(loopback)
	must(t, err)
	defer conns[0].Close()
	if port != first+1 {
		t.Errorf("port %d, want %d", port, first+1)
	}
	if _, _, err := p.listen(loopback); err == nil {
		t.Error("a third socket of two ports, one of them taken")
	}
	p.take()
	if _, _, err := p.listen(loopback); !errors.Is(err, errNoPort) {
		t.Errorf("%v, want %v", err, errNoPort)
	}
}
