package sip

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"deskbridge/media"
)

// testPeer is a bare far end: one socket, which sends what it is told and keeps what it gets.
type testPeer struct {
	t    testing.TB
	conn *net.UDPConn
	seq  uint16
	ts   uint32
	ssrc uint32
}

func newTestPeer(t testing.TB, ip string) *testPeer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &testPeer{t: t, conn: conn, ssrc: 0x1234, seq: 100, ts: 1000}
}

func (p *testPeer) addr() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// offer is SDP with the peer's address and the given m-line tail, such as "RTP/AVP 8".
func (p *testPeer) offer(formats string, attrs ...string) []byte {
	return offerAt(p.addr(), formats, attrs...)
}

func offerAt(at netip.AddrPort, formats string, attrs ...string) []byte {
	body := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d %[3]s\r\n",
		at.Addr(), at.Port(), formats)
	for _, a := range attrs {
		body += "a=" + a + "\r\n"
	}
	return []byte(body)
}

// packet builds the next packet of the peer's stream.
func (p *testPeer) packet(pt uint8, payload []byte) []byte {
	h := rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: p.seq, Timestamp: p.ts, SSRC: p.ssrc}
	p.seq++
	p.ts += 160
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *testPeer) raw(s *mediaSession, b []byte) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(loopback, s.Port())); err != nil {
		p.t.Fatal(err)
	}
}

// say sends one packet of A-law whose bytes are all mark.
func (p *testPeer) say(s *mediaSession, mark byte) {
	p.t.Helper()
	payload := make([]byte, 160)
	for i := range payload {
		payload[i] = mark
	}
	p.raw(s, p.packet(8, payload))
}

// hear waits for the next RTP packet.
func (p *testPeer) hear(within time.Duration) (*rtp.Packet, bool) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(within))
	var buf [2000]byte
	n, _, err := p.conn.ReadFromUDPAddrPort(buf[:])
	if err != nil {
		return nil, false
	}
	pkt := &rtp.Packet{}
	if err := pkt.Unmarshal(buf[:n]); err != nil {
		p.t.Fatal(err)
	}
	return pkt, true
}

// drain reads what is queued and waits for quiet.
func (p *testPeer) drain(quiet time.Duration) (n int) {
	for {
		if _, ok := p.hear(quiet); !ok {
			return n
		}
		n++
	}
}

// heardPacket is a packet a sink got, copied.
type heardPacket struct {
	media.Packet
	mark byte
}

// testSink passes on what it receives.
type testSink struct{ ch chan heardPacket }

func newTestSink() *testSink { return &testSink{ch: make(chan heardPacket, 1000)} }

func (k *testSink) ReceivePacket(p *media.Packet) {
	h := heardPacket{Packet: *p}
	h.Payload = append([]byte(nil), p.Payload...)
	if len(p.Payload) > 0 {
		h.mark = p.Payload[0]
	}
	select {
	case k.ch <- h:
	default:
	}
}

func (k *testSink) next(t testing.TB) heardPacket {
	t.Helper()
	select {
	case p := <-k.ch:
		return p
	case <-time.After(5 * time.Second):
		t.Fatal("no packet arrived")
		return heardPacket{}
	}
}

// pcmSink decodes what it receives.
type pcmSink struct {
	mu   sync.Mutex
	dec  media.Decoder
	pcm  []int16
	want int
	full chan struct{}
}

func newPCMSink(t testing.TB, c media.Codec, samples int) *pcmSink {
	t.Helper()
	dec, err := media.NewDecoder(c, c.SampleRate())
	if err != nil {
		t.Fatal(err)
	}
	return &pcmSink{dec: dec, want: samples, full: make(chan struct{})}
}

func (k *pcmSink) ReceivePacket(p *media.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pcm) >= k.want {
		return
	}
	var pcm [5760]int16
	n, err := k.dec.Decode(p.Payload, pcm[:])
	if err != nil {
		return
	}
	if k.pcm = append(k.pcm, pcm[:n]...); len(k.pcm) >= k.want {
		close(k.full)
	}
}

// eventually waits for a condition that an event of another goroutine makes true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
