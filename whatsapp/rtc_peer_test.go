package whatsapp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const rtcTestLimit = 15 * time.Second

// peerKind is how the other side behaves.
type peerKind struct {
	lite    bool // like Meta; otherwise like a browser
	profile []webrtc.RTPCodecParameters
}

// peer is the customer's side, played by an independent stack.
type peer struct {
	t     testing.TB
	pc    *webrtc.PeerConnection
	track *rawTrack
	in    chan *rtp.Packet // what arrived, in order
	rtcp  chan rtcp.Packet
	up    chan struct{}
	gone  chan struct{}
}

// rawTrack sends packets exactly as given, whatever their payload type.
type rawTrack struct {
	mu   sync.Mutex
	w    webrtc.TrackLocalWriter
	ssrc uint32
}

func (r *rawTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.w, r.ssrc = c.WriteStream(), uint32(c.SSRC())
	for _, p := range c.CodecParameters() {
		if strings.EqualFold(p.MimeType, webrtc.MimeTypeOpus) {
			return p, nil
		}
	}
	return webrtc.RTPCodecParameters{}, fmt.Errorf("no opus in %v", c.CodecParameters())
}
func (r *rawTrack) Unbind(webrtc.TrackLocalContext) error { return nil }
func (r *rawTrack) ID() string                            { return "audio" }
func (r *rawTrack) RID() string                           { return "" }
func (r *rawTrack) StreamID() string                      { return "customer" }
func (r *rawTrack) Kind() webrtc.RTPCodecType             { return webrtc.RTPCodecTypeAudio }

func (r *rawTrack) send(t testing.TB, h rtp.Header, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Version = 2
	if h.SSRC == 0 {
		h.SSRC = r.ssrc
	}
	if _, err := r.w.WriteRTP(&h, payload); err != nil {
		t.Errorf("peer sends: %v", err)
	}
}

func newPeer(t testing.TB, kind peerKind) *peer {
	t.Helper()
	m := new(webrtc.MediaEngine)
	codecs := kind.profile
	if codecs == nil {
		codecs = []webrtc.RTPCodecParameters{
			{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "useinbandfec=1"}, PayloadType: 111},
			{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000}, PayloadType: 126},
		}
	}
	for _, c := range codecs {
		must(t, m.RegisterCodec(c, webrtc.RTPCodecTypeAudio))
	}
	reports := new(interceptor.Registry)
	must(t, webrtc.ConfigureRTCPReports(reports))
	var se webrtc.SettingEngine
	se.SetLite(kind.lite)
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	se.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(se), webrtc.WithInterceptorRegistry(reports)).
		NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	p := &peer{t: t, pc: pc, track: new(rawTrack), in: make(chan *rtp.Packet, 4096), rtcp: make(chan rtcp.Packet, 256),
		up: make(chan struct{}), gone: make(chan struct{})}
	// Must come before our session's end: pion's SRTCP reader hangs when the first report of a source arrives while it closes.
	t.Cleanup(func() { _ = pc.GracefulClose() })
	sender, err := pc.AddTrack(p.track)
	must(t, err)
	go func() {
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			p.gotRTCP(packets)
		}
	}()
	pc.OnTrack(func(track *webrtc.TrackRemote, recv *webrtc.RTPReceiver) {
		go func() {
			for {
				packets, _, err := recv.ReadRTCP()
				if err != nil {
					return
				}
				p.gotRTCP(packets)
			}
		}()
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			p.in <- packet
		}
	})
	var up, gone sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			up.Do(func() { close(p.up) })
		case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			gone.Do(func() { close(p.gone) })
		}
	})
	return p
}

func (p *peer) gotRTCP(packets []rtcp.Packet) {
	for _, x := range packets {
		select {
		case p.rtcp <- x:
		default:
		}
	}
}

// offer is the peer's description with its candidates.
func (p *peer) offer() string {
	p.t.Helper()
	d, err := p.pc.CreateOffer(nil)
	must(p.t, err)
	return p.describe(d)
}

// answer is the peer's answer to an offer.
func (p *peer) answer(offer string) string {
	p.t.Helper()
	must(p.t, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}))
	d, err := p.pc.CreateAnswer(nil)
	must(p.t, err)
	return p.describe(d)
}

func (p *peer) describe(d webrtc.SessionDescription) string {
	p.t.Helper()
	done := webrtc.GatheringCompletePromise(p.pc)
	must(p.t, p.pc.SetLocalDescription(d))
	await(p.t, done, "the peer's candidates")
	return p.pc.LocalDescription().SDP
}

func (p *peer) accept(answer string) {
	p.t.Helper()
	must(p.t, p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
}

// leg is our session with what its handlers saw.
type testLeg struct {
	*mediaSession
	up     chan struct{}
	dead   chan error
	digits chan media.Digit
}

func newTestFactory(t testing.TB, change ...func(*MediaConfig)) *mediaFactory {
	t.Helper()
	cfg := MediaConfig{IP: netip.MustParseAddr("127.0.0.1"), Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))}
	for _, c := range change {
		c(&cfg)
	}
	f, err := newMediaFactory(cfg)
	must(t, err)
	return f
}

func openLeg(t testing.TB, f *mediaFactory) *testLeg {
	t.Helper()
	l := &testLeg{up: make(chan struct{}), dead: make(chan error, 1), digits: make(chan media.Digit, 64)}
	s, err := f.open(mediaHandlers{
		Up:    func() { close(l.up) },
		Digit: func(d media.Digit) { l.digits <- d },
		Dead:  func(err error) { l.dead <- err },
	})
	must(t, err)
	l.mediaSession = s
	t.Cleanup(s.Close)
	return l
}

// inbound connects a call the customer made: the peer offers.
func inbound(t testing.TB, f *mediaFactory, kind peerKind) (*testLeg, *peer) {
	t.Helper()
	l, p := openLeg(t, f), newPeer(t, kind)
	answer, err := l.Answer(p.offer())
	must(t, err)
	p.accept(answer)
	l.Start()
	await(t, l.up, "our side up")
	await(t, p.up, "the peer up")
	return l, p
}

// outbound connects a call to the customer: we offer.
func outbound(t testing.TB, f *mediaFactory, kind peerKind) (*testLeg, *peer) {
	t.Helper()
	l, p := openLeg(t, f), newPeer(t, kind)
	offer, err := l.Offer()
	must(t, err)
	l.Start()
	must(t, l.ApplyAnswer(p.answer(offer)))
	await(t, l.up, "our side up")
	await(t, p.up, "the peer up")
	return l, p
}

// sinkFunc is a sink that calls a function.
type sinkFunc func(*media.Packet)

func (f sinkFunc) ReceivePacket(p *media.Packet) { f(p) }

// wire stands between session and peer and sees, drops or keeps what passes; it only forwards.
type wire struct {
	front, back *net.UDPConn // towards our session, towards the peer
	session     atomic.Pointer[netip.AddrPort]
	peer        netip.AddrPort
	cut         atomic.Bool
	fromUs      [4]atomic.Int64 // by kind: STUN, DTLS, RTP, RTCP
	tapped      atomic.Pointer[func(fromUs bool, b []byte) bool]
	wg          sync.WaitGroup
}

func kindOf(b []byte) int {
	switch {
	case b[0] < 4:
		return 0
	case b[0] < 64:
		return 1
	case len(b) > 1 && b[1] >= 192 && b[1] <= 223:
		return 3
	}
	return 2
}

var candidateLine = regexp.MustCompile(`(a=candidate:\S+ 1 udp \d+ )(\S+) (\d+)( typ host)`)

// newWire puts a wire before the one candidate of an SDP and returns the SDP that names the wire instead.
func newWire(t testing.TB, sdp string) (*wire, string) {
	t.Helper()
	m := candidateLine.FindStringSubmatch(sdp)
	if m == nil {
		t.Fatalf("no candidate in %s", sdp)
	}
	w := &wire{peer: netip.MustParseAddrPort(m[2] + ":" + m[3])}
	var err error
	w.front, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	w.back, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	w.wg.Add(2)
	go w.pump(w.front, w.back, true)
	go w.pump(w.back, w.front, false)
	t.Cleanup(func() { _ = w.front.Close(); _ = w.back.Close(); w.wg.Wait() })
	a := localAddrPort(w.front)
	return w, candidateLine.ReplaceAllString(sdp, fmt.Sprintf("${1}%s %d${4}", a.Addr(), a.Port()))
}

func (w *wire) pump(in, out *net.UDPConn, fromUs bool) {
	defer w.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, src, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		to := w.peer
		if fromUs {
			w.session.Store(&src)
			w.fromUs[kindOf(buf[:n])].Add(1)
		} else if s := w.session.Load(); s != nil {
			to = *s
		} else {
			continue
		}
		if f := w.tapped.Load(); f != nil && !(*f)(fromUs, buf[:n]) || w.cut.Load() {
			continue
		}
		_, _ = out.WriteToUDPAddrPort(buf[:n], to)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func await[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), rtcTestLimit)
	defer cancel()
	select {
	case v = <-c:
	case <-ctx.Done():
		t.Fatalf("waited %v for %s", rtcTestLimit, what)
	}
	return v
}

// testWriter prints the log under the test it belongs to, and nothing after its end.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if testing.Verbose() && w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

var _ io.Writer = testWriter{}
