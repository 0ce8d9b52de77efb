package sip

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/media"
)

// freeRange finds a run of ports that nobody holds now.
func freeRange(t testing.TB, pairs int) (from, to uint16) {
	t.Helper()
	p, err := newPortPool(0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		pair, err := p.get(loopback)
		if err != nil {
			continue
		}
		first := pair.port
		pair.close()
		if first+uint16(2*pairs) < first || !rangeIsFree(first, pairs) {
			continue
		}
		return first, first + uint16(2*pairs) - 1
	}
	t.Skip("no free run of ports on this machine")
	return 0, 0
}

func rangeIsFree(first uint16, pairs int) bool {
	for port := first; port < first+uint16(2*pairs); port++ {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}

func TestPairsAreEvenAndOddAndInRange(t *testing.T) {
	from, to := freeRange(t, 4)
	p, err := newPortPool(from, to, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint16]bool{}
	for range 4 {
		pair, err := p.get(loopback)
		if err != nil {
			t.Fatal(err)
		}
		defer pair.close()
		rtp := pair.rtp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		rtcp := pair.rtcp.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		if rtp != pair.port || rtp&1 != 0 || rtcp != rtp+1 || rtp < from || rtcp > to || seen[rtp] {
			t.Errorf("pair %d/%d in %d–%d, seen %v", rtp, rtcp, from, to, seen)
		}
		seen[rtp] = true
	}
	if _, err := p.get(loopback); !errors.Is(err, errPortsExhausted) {
		t.Errorf("fifth of four pairs: %v", err)
	}
}

func TestRangeWithoutAPairIsRefused(t *testing.T) {
	for _, r := range [][2]uint16{{5, 5}, {5, 6}, {9, 4}, {65535, 65535}} {
		if _, err := newPortPool(r[0], r[1], 0); err == nil {
			t.Errorf("range %v accepted", r)
		}
	}
	if p, err := newPortPool(65533, 65535, 0); err != nil || p.size != 1 {
		t.Errorf("65534/65535: %v", err)
	}
}

func TestUsedPairRestsBeforeItsNextCall(t *testing.T) {
	from, to := freeRange(t, 1)
	p, err := newPortPool(from, to, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	p.now = func() time.Time { return now }
	pair, err := p.get(loopback)
	if err != nil {
		t.Fatal(err)
	}
	pair.close()
	now = now.Add(5*time.Second - 1)
	if _, err := p.get(loopback); !errors.Is(err, errPortsExhausted) {
		t.Fatalf("handed out while resting: %v", err)
	}
	now = now.Add(1)
	pair, err = p.get(loopback)
	if err != nil {
		t.Fatal(err)
	}
	pair.close()
}

func TestPairHeldByAnotherProgramIsSteppedOver(t *testing.T) {
	from, to := freeRange(t, 4)
	other, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, from+1))) // the RTCP half of one
	if err != nil {
		t.Skip(err)
	}
	defer other.Close()
	p, err := newPortPool(from, to, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pair, err := p.get(loopback)
		if err != nil {
			t.Fatal(err)
		}
		defer pair.close()
		if pair.port == from {
			t.Error("handed out a pair whose odd port is taken")
		}
	}
}

func TestThousandCallsLeakNoPort(t *testing.T) {
	from, to := freeRange(t, 20)
	reg := prometheus.NewRegistry()
	e := engineTest(t, MediaConfig{PortMin: from, PortMax: to, Drain: time.Nanosecond, Registerer: reg})
	for i := range 1000 {
		s, err := e.open(mediaSessionConfig{Codecs: allCodecs, SignallingPeer: loopback}, mediaHandlers{})
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if i%2 == 0 {
			if _, err := s.Answer(offerWith("audio 4000 RTP/AVP 8")); err != nil {
				t.Fatal(err)
			}
			s.Start()
		}
		s.Close()
		s.Close()
	}
	if free, resting := e.ports.available(); free+resting != 20 {
		t.Errorf("%d free and %d resting of 20", free, resting)
	}
	if n, err := testutil.GatherAndCount(reg, "deskbridge_sip_rtp_sessions"); n != 1 || err != nil {
		t.Errorf("metrics: %d %v", n, err)
	}
}

func TestExhaustionIsAClearErrorAndCounted(t *testing.T) {
	from, to := freeRange(t, 1)
	e := engineTest(t, MediaConfig{PortMin: from, PortMax: to})
	openOn(t, e, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	_, err := e.open(mediaSessionConfig{Codecs: allCodecs, SignallingPeer: loopback}, mediaHandlers{})
	if !errors.Is(err, errPortsExhausted) {
		t.Fatalf("error %v", err)
	}
	if status, _, _ := sdpStatus(err); status != 503 {
		t.Errorf("status %d", status)
	}
	if n := testutil.ToFloat64(e.metrics.exhaust); n != 1 {
		t.Errorf("counted %v", n)
	}
}

func TestClosedEngineOpensNothing(t *testing.T) {
	e := engineTest(t, MediaConfig{})
	s := openOn(t, e, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	s.Start()
	e.Close()
	e.Close()
	if _, err := e.open(mediaSessionConfig{Codecs: allCodecs, SignallingPeer: loopback}, mediaHandlers{}); !errors.Is(err, errMediaClosed) {
		t.Errorf("error %v", err)
	}
	s.Stream().SendFrame(&media.Frame{Payload: []byte{1}, Ticks: 160}) // harmless
}

// The kernel must throw away what comes for a call that is over: nobody may hear it, least of all the next call.
func TestLatePacketsOfAClosedCallReachNobody(t *testing.T) {
	from, to := freeRange(t, 2)
	e := engineTest(t, MediaConfig{PortMin: from, PortMax: to})
	phone := newTestPeer(t, "127.0.0.1")
	old := openOn(t, e, mediaSessionConfig{Codecs: []media.Codec{media.PCMA}}, mediaHandlers{})
	if _, err := old.Answer(phone.offer("RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	old.Start()
	old.Close()
	fresh := openOn(t, e, mediaSessionConfig{Codecs: []media.Codec{media.PCMA}}, mediaHandlers{})
	if fresh.Port() == old.Port() {
		t.Fatal("the port went to the next call at once")
	}
	sink := newTestSink()
	fresh.Stream().SetSink(sink)
	next := newTestPeer(t, "127.0.0.1")
	if _, err := fresh.Answer(next.offer("RTP/AVP 8")); err != nil {
		t.Fatal(err)
	}
	fresh.Start()
	for range 5 {
		_, _ = phone.conn.WriteToUDPAddrPort(phone.packet(8, make([]byte, 160)), netip.AddrPortFrom(loopback, old.Port()))
	}
	next.say(fresh, 'n')
	if p := sink.next(t); p.mark != 'n' {
		t.Errorf("heard %q", p.mark)
	}
	if st := fresh.Stream().Stats(); st.Received != 1 {
		t.Errorf("received %d", st.Received)
	}
}
