package whatsapp

import (
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const testRate = 16000

// tone is one second of Opus frames of a sine.
func toneFrames(t testing.TB, freq float64, n int) [][]byte {
	t.Helper()
	enc, err := media.NewEncoder(media.Opus, testRate)
	must(t, err)
	pcm := media.Tone(freq, testRate, time.Duration(n)*20*time.Millisecond)
	var frames [][]byte
	for i := range n {
		buf := make([]byte, 1000)
		k, err := enc.Encode(pcm[i*320:(i+1)*320], buf)
		must(t, err)
		frames = append(frames, buf[:k])
	}
	return frames
}

// heardTone decodes payloads and returns the share of their energy at freq, the first quarter left out.
func heardTone(t testing.TB, payloads [][]byte, freq float64) float64 {
	t.Helper()
	dec, err := media.NewDecoder(media.Opus, testRate)
	must(t, err)
	var pcm []int16
	buf := make([]int16, testRate*120/1000)
	for _, p := range payloads {
		n, err := dec.Decode(p, buf)
		must(t, err)
		pcm = append(pcm, buf[:n]...)
	}
	return media.ToneLevel(pcm[len(pcm)/4:], testRate, freq)
}

// pace calls f n times, 20 ms apart.
func pace(n int, f func(i int)) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		f(i)
		<-tick.C
	}
}

// every way two sides come together.
var rtcWays = []struct {
	name    string
	connect func(testing.TB, *mediaFactory, peerKind) (*testLeg, *peer)
	kind    peerKind
}{
	{"inbound from Meta", inbound, peerKind{lite: true}},
	{"inbound from a browser", inbound, peerKind{}},
	{"outbound to Meta", outbound, peerKind{lite: true}},
	{"outbound to a browser", outbound, peerKind{}},
}

func TestTonesPassBothWays(t *testing.T) {
	for _, w := range rtcWays {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l, p := w.connect(t, newTestFactory(t), w.kind)
			l.OpenGate()
			got := make(chan []byte, 200)
			l.Stream().SetSink(sinkFunc(func(p *media.Packet) { got <- append([]byte(nil), p.Payload...) }))
			const n = 60
			ours, theirs := toneFrames(t, 440, n), toneFrames(t, 1000, n)
			pace(n, func(i int) {
				l.Stream().SendFrame(&media.Frame{Payload: ours[i], Ticks: 960})
				p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(65500 + i), Timestamp: uint32(i * 960)}, theirs[i])
			})
			var heard [][]byte
			for range n {
				heard = append(heard, await(t, got, "the customer's audio"))
			}
			if lvl := heardTone(t, heard, 1000); lvl < 0.9 {
				t.Errorf("1000 Hz from the customer: level %.2f", lvl)
			}
			heard = nil
			var last *rtp.Packet
			for len(heard) < n-5 { // the first ones may be silence that filled the time before
				x := await(t, p.in, "our audio")
				if last != nil && (x.SSRC != last.SSRC || x.SequenceNumber != last.SequenceNumber+1 || x.Timestamp != last.Timestamp+960) {
					t.Fatalf("line jumps: %v after %v", x.Header, last.Header)
				}
				last = x
				if len(heard) > 0 || string(x.Payload) == string(ours[0]) {
					heard = append(heard, x.Payload)
				}
			}
			if lvl := heardTone(t, heard, 440); lvl < 0.9 {
				t.Errorf("440 Hz to the customer: level %.2f", lvl)
			}
			st := l.Stream().Stats()
			if st.Received != n || st.Lost != 0 || st.Rejected != 0 || st.SendErrors != 0 || st.FirstReceived.IsZero() || st.FirstSent.IsZero() {
				t.Errorf("stats %+v", st)
			}
			if time.Since(l.LastReceived()) > 5*time.Second {
				t.Errorf("last received %v", l.LastReceived())
			}
		})
	}
}

func TestNothingButSTUNAndDTLSLeavesBeforeTheGateOpens(t *testing.T) {
	l, p := openLeg(t, newTestFactory(t, func(c *MediaConfig) { c.ReportInterval = 20 * time.Millisecond })), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	answer, err := l.Answer(offer)
	must(t, err)
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up")
	frames := toneFrames(t, 440, 40)
	pace(20, func(i int) { // twenty reports and twenty frames are due meanwhile
		l.Stream().SendFrame(&media.Frame{Payload: frames[i], Ticks: 960})
		l.Stream().SendDigit('5')
	})
	if rtpOut, rtcpOut := w.fromUs[2].Load(), w.fromUs[3].Load(); rtpOut+rtcpOut != 0 {
		t.Fatalf("%d RTP and %d RTCP packets left a closed gate", rtpOut, rtcpOut)
	}
	l.OpenGate()
	if first := await(t, p.in, "audio"); string(first.Payload) != string(frames[5]) {
		t.Error("the first packet isn't the oldest of the 300 ms that were kept")
	}
	await(t, p.rtcp, "a report")
	if st := l.Stream().Stats(); st.GateBuffered != 20 || st.GateDropped != 5 {
		t.Errorf("stats %+v", st)
	}
}

func TestGateOpenedBeforeMediaIsUpKeepsTheAudio(t *testing.T) {
	l, p := openLeg(t, newTestFactory(t)), newPeer(t, peerKind{lite: true})
	answer, err := l.Answer(p.offer())
	must(t, err)
	p.accept(answer)
	l.OpenGate()
	frames := toneFrames(t, 440, 5)
	for _, f := range frames {
		l.Stream().SendFrame(&media.Frame{Payload: f, Ticks: 960})
	}
	l.Start()
	for i, f := range frames {
		if x := await(t, p.in, "audio"); string(x.Payload) != string(f) {
			t.Fatalf("packet %d isn't frame %d", i, i)
		}
	}
}

func TestOneContinuousLineWhileTheSourceComesAndGoes(t *testing.T) {
	l, p := outbound(t, newTestFactory(t), peerKind{lite: true})
	frames := toneFrames(t, 440, 10)
	talk := func() {
		pace(10, func(i int) { l.Stream().SendFrame(&media.Frame{Payload: frames[i], Ticks: 960}) })
	}
	first := await(t, p.in, "comfort silence, the moment media is up")
	talk()
	quiet := time.NewTimer(200 * time.Millisecond) // nobody feeds the stream
	<-quiet.C
	l.Stream().SendDigit('1')
	quiet.Reset(200 * time.Millisecond)
	<-quiet.C
	talk()
	l.Close()
	prev, n := first, 1
	for ; ; n++ {
		select {
		case x := <-p.in:
			if x.SSRC != first.SSRC || x.SequenceNumber != prev.SequenceNumber+1 {
				t.Fatalf("packet %d: %v after %v", n, x.Header, prev.Header)
			}
			if x.PayloadType == 111 && prev.PayloadType == 111 && x.Timestamp != prev.Timestamp+960 {
				t.Fatalf("packet %d: timestamp %d after %d", n, x.Timestamp, prev.Timestamp)
			}
			prev = x
			continue
		default:
		}
		break
	}
	if n < 35 {
		t.Errorf("%d packets in 800 ms", n)
	}
}

func TestDigitsBothWays(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	l.OpenGate()
	// Meta: 8 kHz durations on the 48 kHz timeline, the end packet three times (reference §6.4).
	seq := uint16(100)
	for k, d := range []byte{1, 10, 11, 9} {
		for i := range 7 {
			dur := uint16(min(i+1, 5) * 160)
			payload := []byte{d, 10, byte(dur >> 8), byte(dur)}
			if i >= 4 {
				payload[1] |= 0x80
			}
			p.track.send(t, rtp.Header{PayloadType: 126, SequenceNumber: seq, Timestamp: uint32(48000 + k*9600), Marker: i == 0}, payload)
			seq++
		}
	}
	for _, want := range "1*#9" {
		if d := await(t, l.digits, "a digit"); d != media.Digit(want) {
			t.Errorf("digit %v, want %c", d, want)
		}
	}
	l.Stream().SendDigit('7')
	for {
		x := await(t, p.in, "our digit")
		if x.PayloadType != 126 {
			continue
		}
		if x.Payload[0] != 7 {
			t.Errorf("event %d", x.Payload[0])
		}
		if x.Payload[1]&0x80 != 0 {
			if dur := int(x.Payload[2])<<8 | int(x.Payload[3]); dur != 800 {
				t.Errorf("100 ms are %d units, want 800 at 8 kHz", dur)
			}
			break
		}
	}
	select {
	case d := <-l.digits:
		t.Errorf("digit %v a second time", d)
	default:
	}
}

var fingerprintLine = regexp.MustCompile(`(a=fingerprint:sha-256 )..`)

func TestWrongFingerprintIsRefused(t *testing.T) {
	for _, w := range []struct {
		name     string
		outbound bool
	}{{"we are client", false}, {"we are server", true}} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l, p := openLeg(t, newTestFactory(t)), newPeer(t, peerKind{lite: true})
			if w.outbound {
				offer, err := l.Offer()
				must(t, err)
				must(t, l.ApplyAnswer(flipFingerprint(p.answer(offer))))
			} else {
				answer, err := l.Answer(flipFingerprint(p.offer()))
				must(t, err)
				p.accept(answer)
			}
			l.Start()
			if err := await(t, l.dead, "the refusal"); !errors.Is(err, ErrMediaFingerprint) {
				t.Errorf("dead of %v", err)
			}
			select {
			case <-l.up:
				t.Error("it came up")
			default:
			}
		})
	}
}

func flipFingerprint(sdp string) string {
	return fingerprintLine.ReplaceAllStringFunc(sdp, func(m string) string {
		if strings.HasSuffix(m, "00") {
			return m[:len(m)-2] + "01"
		}
		return m[:len(m)-2] + "00"
	})
}

func TestDeadWhenThePeerVanishes(t *testing.T) {
	f := newTestFactory(t, func(c *MediaConfig) { c.DisconnectedAfter, c.DeadAfter = 300*time.Millisecond, time.Second })
	l, p := openLeg(t, f), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	answer, err := l.Answer(offer)
	must(t, err)
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up")
	w.cut.Store(true)
	begin := time.Now()
	if err := await(t, l.dead, "the death"); !errors.Is(err, ErrMediaICE) {
		t.Errorf("dead of %v", err)
	}
	if d := time.Since(begin); d < 700*time.Millisecond || d > 3*time.Second {
		t.Errorf("dead after %v, want about 1 s", d)
	}
}

func TestDeadWhenNobodyEverAnswers(t *testing.T) {
	f := newTestFactory(t, func(c *MediaConfig) { c.DisconnectedAfter, c.DeadAfter = 200*time.Millisecond, 600*time.Millisecond })
	l, p := openLeg(t, f), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	w.cut.Store(true)
	_, err := l.Answer(offer)
	must(t, err)
	l.Start()
	if err := await(t, l.dead, "the death"); !errors.Is(err, ErrMediaICE) {
		t.Errorf("dead of %v", err)
	}
	if n := w.fromUs[0].Load(); n < 8 {
		t.Errorf("%d checks in 600 ms, want one each 50 ms", n)
	}
}

func TestDeadWhenTheHandshakeNeverEnds(t *testing.T) {
	f := newTestFactory(t, func(c *MediaConfig) { c.HandshakeLimit = 700 * time.Millisecond })
	l, p := openLeg(t, f), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	noDTLS := func(_ bool, b []byte) bool { return kindOf(b) != 1 }
	w.tapped.Store(&noDTLS)
	answer, err := l.Answer(offer)
	must(t, err)
	p.accept(answer)
	l.Start()
	if err := await(t, l.dead, "the death"); !errors.Is(err, ErrMediaDTLS) {
		t.Errorf("dead of %v", err)
	}
	if n := w.fromUs[1].Load(); n < 2 {
		t.Errorf("%d ClientHellos: no retransmission", n)
	}
}

func TestComesUpThroughLostChecksAndFlights(t *testing.T) {
	l, p := openLeg(t, newTestFactory(t)), newPeer(t, peerKind{lite: true})
	w, offer := newWire(t, p.offer())
	var n atomic.Int64
	lossy := func(bool, []byte) bool { return n.Add(1)%3 != 0 }
	w.tapped.Store(&lossy)
	answer, err := l.Answer(offer)
	must(t, err)
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up with every third packet lost")
}

func TestHandlersMayCloseTheSession(t *testing.T) {
	f := newTestFactory(t)
	p := newPeer(t, peerKind{lite: true})
	var s *mediaSession
	ready, done := make(chan struct{}), make(chan struct{})
	s, err := f.open(mediaHandlers{Up: func() { <-ready; await(t, p.up, "the peer up"); s.Close(); close(done) }})
	must(t, err)
	answer, err := s.Answer(p.offer())
	must(t, err)
	p.accept(answer)
	s.Start()
	close(ready)
	await(t, done, "Close inside Up")
	s.Close()
}

func TestPeerClosingItsTransportIsDeathOnlyWithoutMedia(t *testing.T) {
	l, p := inbound(t, newTestFactory(t), peerKind{lite: true})
	must(t, p.pc.GracefulClose())
	if err := await(t, l.dead, "the death"); !errors.Is(err, ErrMediaClosed) {
		t.Errorf("dead of %v", err)
	}
}

func TestReportsMeasureRoundTripAndRemoteLoss(t *testing.T) {
	l, p := inbound(t, newTestFactory(t, func(c *MediaConfig) { c.ReportInterval = 200 * time.Millisecond }), peerKind{lite: true})
	l.OpenGate()
	frames := toneFrames(t, 440, 1)
	var sawSR, sawSDES bool
	for deadline := time.Now().Add(rtcTestLimit); time.Now().Before(deadline); {
		p.track.send(t, rtp.Header{PayloadType: 111, SequenceNumber: uint16(time.Now().UnixMilli() / 20), Timestamp: uint32(time.Now().UnixMilli() * 48)}, frames[0])
		select {
		case x := <-p.rtcp:
			switch x := x.(type) {
			case *rtcp.SenderReport:
				sawSR = sawSR || x.PacketCount > 0 && x.SSRC == l.ssrc && len(x.Reports) == 1
			case *rtcp.SourceDescription:
				sawSDES = true
			}
		case <-time.After(20 * time.Millisecond):
		}
		if st := l.Stream().Stats(); sawSR && sawSDES && st.RTT > 0 && st.RemoteLoss == 0 {
			if st.RTT > time.Second {
				t.Errorf("round trip %v on loopback", st.RTT)
			}
			return
		}
	}
	t.Errorf("SR with our view of the peer: %v, SDES: %v, stats %+v", sawSR, sawSDES, l.Stream().Stats())
}

// TestByeWhenClosed: the stock peer drops what it has not read yet when our close_notify follows the BYE at once, so it sees
// the BYE of some sessions only; one is proof.
func TestByeWhenClosed(t *testing.T) {
	f := newTestFactory(t)
	for range 20 {
		l, p := inbound(t, f, peerKind{lite: true})
		l.OpenGate()
		await(t, p.in, "our audio")
		l.Close()
		if !l.tx.bye {
			t.Fatal("closed without a BYE")
		}
		if bye := p.nextBye(time.Second); bye != nil {
			if len(bye.Sources) != 1 || bye.Sources[0] != l.ssrc {
				t.Errorf("%v", bye)
			}
			return
		}
	}
	t.Error("no BYE in twenty sessions")
}

// nextBye returns the first BYE that comes within limit, nil if none does.
func (p *peer) nextBye(limit time.Duration) *rtcp.Goodbye {
	timeout := time.After(limit)
	for {
		select {
		case x := <-p.rtcp:
			if bye, ok := x.(*rtcp.Goodbye); ok {
				return bye
			}
		case <-timeout:
			return nil
		}
	}
}
