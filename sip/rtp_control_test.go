package sip

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/media"
)

func TestReportsGiveLossAndRoundTrip(t *testing.T) {
	e := engineTest(t, MediaConfig{ReportTime: 300 * ms})
	a := openOn(t, e, mediaSessionConfig{Codecs: []media.Codec{media.PCMA}}, mediaHandlers{})
	b := openOn(t, e, mediaSessionConfig{Codecs: []media.Codec{media.PCMA}}, mediaHandlers{})
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ApplyAnswer(answer); err != nil {
		t.Fatal(err)
	}
	if st := a.Stream().Stats(); st.RemoteLoss != -1 || st.RTT != 0 {
		t.Errorf("unknown must stay unknown: %+v", st)
	}
	a.Start()
	b.Start()
	eventually(t, "both know round trip and loss", func() bool {
		x, y := a.Stream().Stats(), b.Stream().Stats()
		return x.RTT > 0 && y.RTT > 0 && x.RemoteLoss == 0 && y.RemoteLoss == 0
	})
	if rtt := a.Stream().Stats().RTT; rtt > 100*ms {
		t.Errorf("round trip on loopback %v", rtt)
	}
}

// controlPeer is a far end with an RTCP socket.
func controlPeer(t *testing.T) (*testPeer, *net.UDPConn) {
	p := newTestPeer(t, "127.0.0.1")
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return p, conn
}

func readControl(t *testing.T, conn *net.UDPConn) []rtcp.Packet {
	t.Helper()
	var buf [1500]byte
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		if !isControl(buf[:n]) {
			continue
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		return packets
	}
}

func TestReportsGoWhereSDPSaysAndEndWithBye(t *testing.T) {
	for _, mux := range []bool{false, true} {
		phone, control := controlPeer(t)
		attrs := []string{"rtcp:" + control.LocalAddr().(*net.UDPAddr).AddrPort().String()[len("127.0.0.1:"):]}
		if mux {
			attrs, control = []string{"rtcp-mux"}, phone.conn
		}
		s := openOn(t, engineTest(t, MediaConfig{ReportTime: 100 * ms}), mediaSessionConfig{Codecs: []media.Codec{media.PCMA}}, mediaHandlers{})
		if _, err := s.Answer(phone.offer("RTP/AVP 8", attrs...)); err != nil {
			t.Fatal(err)
		}
		sink := newTestSink()
		s.Stream().SetSink(sink)
		s.Start()
		phone.say(s, '1')
		phone.seq += 3 // three lost
		phone.say(s, '2')
		sink.next(t)
		sink.next(t)
		var report *rtcp.SenderReport
		for report == nil || len(report.Reports) == 0 {
			packets := readControl(t, control)
			report, _ = packets[0].(*rtcp.SenderReport)
			if d, ok := packets[1].(*rtcp.SourceDescription); !ok || d.Chunks[0].Source != s.ssrc {
				t.Errorf("no SDES: %v", packets)
			}
		}
		if r := report.Reports[0]; report.SSRC != s.ssrc || r.SSRC != phone.ssrc || r.TotalLost != 3 || r.LastSequenceNumber != 104 {
			t.Errorf("mux %v: report %+v", mux, report)
		}
		s.Close()
		for bye := false; !bye; {
			packets := readControl(t, control)
			_, bye = packets[len(packets)-1].(*rtcp.Goodbye)
		}
	}
}

func TestControlFromStrangersIsNotRead(t *testing.T) {
	phone, stray := newTestPeer(t, "127.0.0.1"), newTestPeer(t, "127.0.0.9")
	s, sink := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	phone.say(s, '1')
	sink.next(t)
	lie, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 7, Reports: []rtcp.ReceptionReport{{SSRC: s.ssrc, FractionLost: 255}}}})
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(loopback, s.Port()+1)
	if _, err := stray.conn.WriteToUDPAddrPort(lie, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lie counted", func() bool { return s.Stream().Stats().Rejected == 1 })
	if l := s.Stream().Stats().RemoteLoss; l != -1 {
		t.Errorf("loss %v believed", l)
	}
	if _, err := phone.conn.WriteToUDPAddrPort(lie, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the truth believed", func() bool { return s.Stream().Stats().RemoteLoss > 0.9 })
	if _, err := phone.conn.WriteToUDPAddrPort([]byte{0x80, 200, 0, 99, 1}, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, "rubbish counted", func() bool { return testutil.ToFloat64(s.e.metrics.control) == 1 })
}
