package whatsapp

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// rubbish is one datagram of every kind a stranger may send.
func rubbish(r *rand.Rand, ufrag string) []byte {
	b := make([]byte, 1+r.IntN(300))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	switch r.IntN(6) {
	case 0: // a check with the right name and a wrong key
		m, _ := stun.Build(stun.BindingRequest, stun.TransactionID, stun.NewUsername(ufrag+":abcd"), stun.NewShortTermIntegrity("wrong"), stun.Fingerprint)
		return m.Raw
	case 1: // an answer nobody asked for
		m, _ := stun.Build(stun.BindingSuccess, stun.TransactionID, stun.NewShortTermIntegrity("wrong"), stun.Fingerprint)
		return m.Raw
	case 2:
		b[0] = 22 // DTLS
	case 3:
		b[0] = 0x80 // RTP
	case 4:
		return []byte{0x80, 200}
	}
	return b
}

func TestStrangersDontDisturbACall(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	l.OpenGate()
	got := make(chan []byte, 300)
	l.Stream().SetSink(sinkFunc(func(p *media.Packet) { got <- append([]byte(nil), p.Payload...) }))
	stranger, err := net.Dial("udp4", l.addrs[0].String())
	must(t, err)
	defer stranger.Close()
	const n = 50
	frames := toneFrames(t, 1000, n)
	r := rand.New(rand.NewPCG(1, 2))
	pace(n, func(i int) {
		p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, frames[i])
		for range 100 { // 5,000 packets a second
			_, _ = stranger.Write(rubbish(r, l.ufrag))
		}
	})
	for i := range n {
		if b := await(t, got, "audio"); string(b) != string(frames[i]) {
			t.Fatalf("packet %d isn't the customer's", i)
		}
	}
	if st := l.Stream().Stats(); st.Rejected != 0 || st.Lost != 0 {
		t.Errorf("a stranger's packets got as far as the stream: %+v", st)
	}
	_ = stranger.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if k, err := stranger.Read(make([]byte, 1500)); err == nil {
		t.Errorf("a stranger got an answer of %d bytes", k)
	}
	select {
	case err := <-l.dead:
		t.Errorf("dead of %v", err)
	default:
	}
}

func TestStrangersDontPreventACall(t *testing.T) {
	l, p := openLeg(t, newTestFactory(t)), newPeer(t, peerKind{lite: true})
	answer, err := l.Answer(p.offer())
	must(t, err)
	stranger, err := net.Dial("udp4", l.addrs[0].String())
	must(t, err)
	defer stranger.Close()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		r := rand.New(rand.NewPCG(3, 4))
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				for range 10 {
					_, _ = stranger.Write(rubbish(r, l.ufrag))
				}
			}
		}
	}()
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up")
	close(stop)
	<-done
}

func TestMediaIsTakenFromEveryCheckedAddressOfThePeer(t *testing.T) {
	s, peer := offlineSession(t)
	selected, other, stranger := netip.MustParseAddrPort("127.0.0.99:3480"), netip.MustParseAddrPort("127.0.0.98:3480"), netip.MustParseAddrPort("127.0.0.97:3480")
	heard := 0
	s.rx.setSink(sinkFunc(func(*media.Packet) { heard++ }))
	s.peer.Store(&selected)
	s.up.Store(true)
	sock := s.socks[0]
	// The agent's answer to a good check is what makes an address the peer's; only success counts (RFC 8489 §5).
	answer := func(kind byte, to netip.AddrPort) {
		b := append([]byte{1, kind, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
		_, _ = sock.WriteToAddrPort(b, to)
	}
	answer(1, selected)
	answer(1, other)
	answer(0x11, stranger)
	for i, from := range []netip.AddrPort{selected, other, stranger} {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SSRC: 1, SequenceNumber: uint16(i)}, Payload: []byte{1, 2, 3}}).Marshal()
		must(t, err)
		b, err = peer.EncryptRTP(nil, b, nil)
		must(t, err)
		sock.agentSaw = time.Now()
		if sock.arrive(b, from) {
			t.Errorf("the agent is given media from %v", from)
		}
	}
	if heard != 2 {
		t.Errorf("%d packets heard, want those of the two checked addresses", heard)
	}
}

func TestDamagedAndReplayedPacketsAreRejected(t *testing.T) {
	reg := prometheus.NewRegistry()
	l, p := openLeg(t, newTestFactory(t, func(c *MediaConfig) { c.Registerer = reg })), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	answer, err := l.Answer(offer)
	must(t, err)
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up")
	await(t, p.up, "the peer up")
	got := make(chan uint16, 100)
	l.Stream().SetSink(sinkFunc(func(p *media.Packet) { got <- p.Sequence }))
	again := func(fromUs bool, b []byte) bool {
		if !fromUs && kindOf(b) == 2 {
			bad := append([]byte(nil), b...)
			bad[len(bad)-1] ^= 1
			for _, x := range [][]byte{b, b, bad, b[:12]} { // twice, damaged, cut
				_, _ = w.front.WriteToUDPAddrPort(x, *w.session.Load())
			}
			return false
		}
		return true
	}
	w.tapped.Store(&again)
	frame := toneFrames(t, 440, 1)[0]
	for i := range 10 {
		p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, frame)
	}
	for i := range 10 {
		if seq := await(t, got, "audio"); seq != uint16(i) {
			t.Fatalf("packet %d, want %d", seq, i)
		}
	}
	for until := time.Now().Add(rtcTestLimit); l.Stream().Stats().Rejected < 30 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if st := l.Stream().Stats(); st.Rejected != 30 || st.Received != 10 {
		t.Errorf("stats %+v, want 30 rejected of 40", st)
	}
	if n := testutil.ToFloat64(l.f.metrics.drops[dropAuth]); n != 30 {
		t.Errorf("%v packets counted as not authentic, want 30", n)
	}
}

func TestUnknownPayloadTypesAndTooManySourcesAreRejected(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	got := make(chan uint32, 100)
	l.Stream().SetSink(sinkFunc(func(p *media.Packet) { got <- p.Timestamp }))
	frame := toneFrames(t, 440, 1)[0]
	p.track.send(t, rtp.Header{PayloadType: 0, SequenceNumber: 1, Timestamp: 7}, frame)
	for i := range maxSources + 3 {
		p.track.send(t, rtp.Header{PayloadType: 111, SSRC: uint32(1000 + i), SequenceNumber: uint16(i * 3000), Timestamp: uint32(i)}, frame)
	}
	for i := range maxSources {
		if ts := await(t, got, "audio"); ts != uint32(i) {
			t.Fatalf("timestamp %d, want %d", ts, i)
		}
	}
	for until := time.Now().Add(rtcTestLimit); l.Stream().Stats().Rejected < 4 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if st := l.Stream().Stats(); st.Rejected != 4 {
		t.Errorf("%d rejected, want 1 payload type and 3 sources", st.Rejected)
	}
	if len(got) != 0 {
		t.Error("a source beyond the limit was heard")
	}
}

func TestAnAuthenticPeerIsLimitedTo200PacketsPerSecond(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	begin := time.Now()
	frame := toneFrames(t, 440, 1)[0]
	for i := range 1000 {
		p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i * 960)}, frame)
	}
	for until := time.Now().Add(rtcTestLimit); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if st := l.Stream().Stats(); st.Received+st.Rejected >= 300 {
			break
		}
	}
	limit := uint64(maxPacketRate + time.Since(begin).Seconds()*maxPacketRate + 1)
	if st := l.Stream().Stats(); st.Received > limit || st.Received < maxPacketRate {
		t.Errorf("%d packets taken of 1000, limit %d", st.Received, limit)
	}
}

func TestABugInASinkEndsOnlyItsSession(t *testing.T) {
	f := newTestFactory(t)
	l, p := inbound(t, f, peerKind{lite: true})
	l.Stream().SetSink(sinkFunc(func(*media.Packet) { panic("bug") }))
	p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: 1}, toneFrames(t, 440, 1)[0])
	if err := await(t, l.dead, "the death"); err != ErrMediaPanic {
		t.Errorf("dead of %v", err)
	}
	if n := testutil.ToFloat64(f.metrics.panics); n != 1 {
		t.Errorf("%v panics counted", n)
	}
	l.Stream().SetSink(nil) // the lock isn't left behind
}

func TestFormerSinkHearsNothingMore(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	frame := toneFrames(t, 440, 1)[0]
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(i)}, frame)
			}
		}
	}()
	heard := make(chan struct{}, 1)
	for range 50 {
		var over bool // plain: the race detector watches
		l.Stream().SetSink(sinkFunc(func(*media.Packet) {
			if over {
				t.Error("heard after SetSink returned")
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}))
		await(t, heard, "audio")
		l.Stream().SetSink(nil)
		over = true
	}
	close(stop)
	<-done
}

// Meta's relay has one address for many calls; the sockets are what keeps them apart.
func TestTwoSessionsToOneAddressDontMix(t *testing.T) {
	relay, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	to := map[netip.AddrPort]*net.UDPConn{} // by session address: the socket towards its peer
	peers := map[string]netip.AddrPort{}    // by our ufrag: the peer's real address
	defer func() { _ = relay.Close() }()
	f := newTestFactory(t)
	var legs [2]*testLeg
	var ps [2]*peer
	for i := range legs {
		legs[i], ps[i] = openLeg(t, f), newPeer(t, peerKind{lite: true})
		offer := ps[i].offer()
		m := candidateLine.FindStringSubmatch(offer)
		a := localAddrPort(relay)
		answer, err := legs[i].Answer(candidateLine.ReplaceAllString(offer, fmt.Sprintf("${1}%s %d${4}", a.Addr(), a.Port())))
		must(t, err)
		peers[legs[i].addrs[0].String()] = netip.MustParseAddrPort(m[2] + ":" + m[3])
		ps[i].accept(answer)
	}
	for _, l := range legs {
		c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(peers[l.addrs[0].String()]))
		must(t, err)
		defer c.Close()
		to[l.addrs[0]] = c
		go func() {
			buf := make([]byte, 2048)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				_, _ = relay.WriteToUDPAddrPort(buf[:n], l.addrs[0])
			}
		}()
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, src, err := relay.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if c := to[src]; c != nil {
				_, _ = c.Write(buf[:n])
			}
		}
	}()
	for i, l := range legs {
		l.Start()
		await(t, l.up, "session up")
		await(t, ps[i].up, "peer up")
	}
	heard := [2]chan byte{make(chan byte, 100), make(chan byte, 100)}
	for i, l := range legs {
		l.Stream().SetSink(sinkFunc(func(p *media.Packet) { heard[i] <- p.Payload[0] }))
	}
	for k := range 20 {
		for i := range legs {
			ps[i].track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(k)}, []byte{byte(i + 1), 0, 0})
		}
	}
	for i := range legs {
		for range 20 {
			if b := await(t, heard[i], "audio"); b != byte(i+1) {
				t.Fatalf("session %d heard the customer of the other", i)
			}
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(d)
}

func TestOpeningAndClosingLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("200 sessions")
	}
	f := newTestFactory(t, func(c *MediaConfig) { c.PortMin, c.PortMax = freePorts(t, 40) })
	before := openFiles(t)
	for i := range 200 {
		l := &testLeg{up: make(chan struct{})}
		s, err := f.open(mediaHandlers{Up: func() { close(l.up) }})
		must(t, err)
		switch i % 5 {
		case 0: // never used
		case 1: // offered, nobody answered
			_, err = s.Offer()
			must(t, err)
			s.Start()
		case 2: // closed while it checks
			_, err = s.Answer(sdpMetaOffer)
			must(t, err)
			s.Start()
		case 3, 4: // came up
			p := newPeer(t, peerKind{lite: i%2 == 0})
			answer, err := s.Answer(p.offer())
			must(t, err)
			p.accept(answer)
			s.Start()
			await(t, l.up, "session up")
			await(t, p.up, "the peer up") // pion deadlocks when closed while its DTLS starts
			s.OpenGate()
			must(t, p.pc.GracefulClose())
		}
		s.Close()
		s.Close()
		if _, err := s.Offer(); err == nil {
			t.Fatal("an offer of a closed session")
		}
	}
	if n := len(f.ports.free); n != 40 {
		t.Errorf("%d of 40 ports came back", n)
	}
	if n := testutil.ToFloat64(f.metrics.open); n != 0 {
		t.Errorf("%v sessions open", n)
	}
	if after := openFiles(t); after > before+2 {
		t.Errorf("%d open files, %d before", after, before)
	}
}

// freePorts finds n consecutive UDP ports nobody uses now.
func freePorts(t testing.TB, n uint16) (first, last uint16) {
	t.Helper()
	for range 20 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		must(t, err)
		p := localAddrPort(c).Port()
		_ = c.Close()
		if p < 60000 {
			return p + 1, p + n
		}
	}
	t.Fatal("no port range")
	return 0, 0
}
