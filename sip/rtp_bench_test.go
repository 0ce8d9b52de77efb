package sip

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

func FuzzRTP(f *testing.F) {
	e := engineTest(f, MediaConfig{})
	digits := 0
	s := openOn(f, e, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{Digit: func(media.Digit) { digits++ }})
	src := netip.MustParseAddrPort("127.0.0.1:4000")
	if _, err := s.Answer(offerAt(src, "RTP/AVP 96 97", "rtpmap:96 opus/48000/2", "rtpmap:97 telephone-event/48000", "rtcp-mux")); err != nil {
		f.Fatal(err)
	}
	seed := func(h rtp.Header, payload []byte) {
		b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(rtp.Header{Version: 2, PayloadType: 96, SSRC: 1}, []byte{0xf8, 0xff, 0xfe})
	seed(rtp.Header{Version: 2, PayloadType: 97, SSRC: 1, Marker: true}, []byte{5, 10, 0, 160})
	seed(rtp.Header{Version: 2, PayloadType: 96, SSRC: 2, CSRC: []uint32{1, 2, 3}}, []byte{1})
	seed(rtp.Header{Version: 2, PayloadType: 13, SSRC: 2}, []byte{40})
	f.Add([]byte("\x80\xc8\x00\x06" + "123456781234567812345678"))
	f.Add([]byte("\x90\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\xbe\xde\x00\x01\x51\xff\xff\x00a"))
	start := time.Now()
	agreed := s.route.Load()
	f.Fuzz(func(_ *testing.T, b []byte) {
		// The same state for each input, or the fuzzer takes chance for discovery. Then the datagram, and the same again.
		s.in = receiveSide{count: media.NewReceiver(48000), sink: discardSink{}}
		s.ctl = controlSide{}
		fresh := *agreed
		fresh.latch = newLatch(src, func(netip.Addr) bool { return true })
		s.route.Store(&fresh)
		for i := range 2 {
			now := start.Add(time.Duration(i) * 20 * ms)
			s.receive(b, src, now)
			s.receiveControl(b, src, now)
		}
		s.in.report(start)
		s.Stream().Stats()
	})
}

func BenchmarkReceive(b *testing.B) {
	s := openTest(b, mediaSessionConfig{Codecs: allCodecs}, mediaHandlers{})
	src := netip.MustParseAddrPort("127.0.0.1:4000")
	if _, err := s.Answer(offerAt(src, "RTP/AVP 8")); err != nil {
		b.Fatal(err)
	}
	s.Stream().SetSink(discardSink{})
	p := newTestPeer(b, "127.0.0.1")
	packet := p.packet(8, make([]byte, 160))
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(20 * ms)
		binary.BigEndian.PutUint16(packet[2:], binary.BigEndian.Uint16(packet[2:])+1)
		s.receive(packet, src, now)
	}
	if st := s.Stream().Stats(); st.Received == 0 || st.Rejected != 0 {
		b.Fatalf("stats %+v", st)
	}
}

type discardSink struct{}

func (discardSink) ReceivePacket(*media.Packet) {}

// BenchmarkSend is one packet through the outlet's write, system call included.
func BenchmarkSend(b *testing.B) {
	p := newTestPeer(b, "127.0.0.1")
	s, _ := talk(b, mediaSessionConfig{}, mediaHandlers{}, p)
	s.out.outlet.Load().Pause(true) // its filler would use the same buffer
	h, payload := rtp.Header{Version: 2, PayloadType: 8, SSRC: 1}, make([]byte, 160)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.writeRTP(&h, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is one packet in and one out over real sockets, read by the session's own goroutine.
func BenchmarkRoundTrip(b *testing.B) {
	p := newTestPeer(b, "127.0.0.1")
	s, _ := talk(b, mediaSessionConfig{}, mediaHandlers{}, p)
	s.out.outlet.Load().Pause(true)
	p.drain(20 * ms)
	s.Stream().SetSink(&echoSink{s: s, h: rtp.Header{Version: 2, PayloadType: 8, SSRC: 1}})
	packet := p.packet(8, make([]byte, 160))
	to := netip.AddrPortFrom(loopback, s.Port())
	var buf [1500]byte
	s.receive(packet, p.addr(), time.Now()) // makes the latch
	s.in.window = time.Now().Add(time.Hour)
	s.in.inWindow = -1 << 60 // no rate limit in this measurement
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	b.ReportAllocs()
	for b.Loop() {
		binary.BigEndian.PutUint16(packet[2:], binary.BigEndian.Uint16(packet[2:])+1)
		if _, err := p.conn.WriteToUDPAddrPort(packet, to); err != nil {
			b.Fatal(err)
		}
		if _, _, err := p.conn.ReadFromUDPAddrPort(buf[:]); err != nil {
			b.Fatal(err)
		}
	}
}

type echoSink struct {
	s *mediaSession
	h rtp.Header
}

func (k *echoSink) ReceivePacket(p *media.Packet) { _ = k.s.writeRTP(&k.h, p.Payload) }

func TestPacketPathAllocatesNothing(t *testing.T) {
	phone := newTestPeer(t, "127.0.0.1")
	s, _ := talk(t, mediaSessionConfig{}, mediaHandlers{}, phone)
	s.out.outlet.Load().Pause(true)
	s.Stream().SetSink(discardSink{})
	packet, now := phone.packet(8, make([]byte, 160)), time.Now()
	s.receive(packet, phone.addr(), now)
	h := rtp.Header{Version: 2, PayloadType: 8, SSRC: 1}
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(20 * ms)
		binary.BigEndian.PutUint16(packet[2:], binary.BigEndian.Uint16(packet[2:])+1)
		s.receive(packet, phone.addr(), now)
		_ = s.writeRTP(&h, packet[12:])
	}); n != 0 {
		t.Errorf("%v allocations per packet in and out", n)
	}
}
