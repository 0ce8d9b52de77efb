package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v5/packetio"
	"github.com/pion/webrtc/v4"
)

const gatherTimeout = 5 * time.Second

// peer is the media of one customer: a PeerConnection with ICE-lite, one host candidate, one Opus SSRC. It has a stack of
// its own on purpose; nothing of the product's media code is in it.
type peer struct {
	pc        *webrtc.PeerConnection
	relay     *relay
	ownRelay  bool
	track     *outTrack
	rtpSender *webrtc.RTPSender
	sender    *sender
	heard     *heard
	setup     string // override for the answer
	plain     bool
	fence     func(string)
	seed      uint64

	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
	up     chan struct{} // closed when DTLS is through
	upOnce sync.Once
	start  sync.Once

	signalling sync.Mutex // descriptions are applied one at a time, and none while close runs

	mu     sync.Mutex
	closed bool
}

func newPeer(m *Meta, h *heard, b Behaviour) (*peer, error) {
	p := &peer{relay: m.relay, heard: h, setup: b.AnswerSetup, plain: b.PlainFmtp, up: make(chan struct{}), track: &outTrack{}, fence: m.fence}
	m.mu.Lock()
	p.seed = m.rnd.Uint64()
	m.mu.Unlock()
	p.ctx, p.cancel = context.WithCancel(m.ctx)
	if p.relay == nil {
		r, err := newRelay(m.cfg.MediaIP)
		if err != nil {
			p.cancel()
			return nil, err
		}
		p.relay, p.ownRelay = r, true
	}
	p.sender = newSender(p.track, b.Impair, p.seed)
	p.sender.echo = h
	if err := p.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open simulated customer media: %w", err), p.close())
	}
	return p, nil
}

func (p *peer) open() error {
	api, err := p.api()
	if err != nil {
		return err
	}
	if p.pc, err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return err
	}
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			p.upOnce.Do(func() { close(p.up) })
		}
	})
	p.pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		p.drain(func(b []byte) error { _, _, err := r.Read(b); return err })
		p.drain(func(b []byte) error { _, _, err := t.Read(b); return err })
	})
	tr, err := p.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		return err
	}
	p.rtpSender = tr.Sender()
	p.drain(func(b []byte) error { _, _, err := p.rtpSender.Read(b); return err })
	return nil
}

// spawn starts a goroutine that close waits for, or none once close began: pion may call back late.
func (p *peer) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.wg.Go(func() {
		defer p.fence("customer media")
		f()
	})
}

// drain reads until the PeerConnection closes; what matters was seen by the packet taps.
func (p *peer) drain(read func([]byte) error) {
	p.spawn(func() {
		buf := make([]byte, 1500)
		for read(buf) == nil {
		}
	})
}

func (p *peer) api() (*webrtc.API, error) {
	me := &webrtc.MediaEngine{}
	for pt, c := range map[webrtc.PayloadType]webrtc.RTPCodecCapability{
		111: {MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
		126: {MimeType: "audio/telephone-event", ClockRate: 8000},
	} {
		if err := me.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	ir := &interceptor.Registry{}
	if err := webrtc.ConfigureRTCPReports(ir); err != nil {
		return nil, err
	}
	se := webrtc.SettingEngine{BufferFactory: p.tap}
	se.SetLite(true)
	se.SetICEUDPMux(p.relay.mux)
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	se.LoggerFactory = quietFactory()
	// The lite end answers active (§8.4), so it is the DTLS client of outbound calls.
	role := webrtc.DTLSRoleClient
	if p.setup == "passive" {
		role = webrtc.DTLSRoleServer
	}
	if err := se.SetAnsweringDTLSRole(role); err != nil {
		return nil, err
	}
	// ICE never gives up by itself: the call's watchdogs decide.
	se.SetICETimeouts(30*time.Second, 5*time.Minute, 2*time.Second)
	return webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithInterceptorRegistry(ir), webrtc.WithSettingEngine(se)), nil
}

// tap sees every decrypted packet at its arrival, whatever its SSRC, before pion sorts it.
func (p *peer) tap(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	b := packetio.NewBuffer()
	b.SetLimitCount(200)
	if kind == packetio.RTPBufferPacket {
		return &tapBuffer{Buffer: b, see: p.heard.packet}
	}
	return &tapBuffer{Buffer: b, see: p.heard.rtcp}
}

type tapBuffer struct {
	*packetio.Buffer
	see func([]byte)
}

func (t *tapBuffer) Write(b []byte) (int, error) {
	t.see(b)
	return t.Buffer.Write(b, nil)
}

func (t *tapBuffer) Read(b []byte) (int, error) {
	n, _, err := t.Buffer.Read(b, nil)
	return n, err
}

func (p *peer) isUp() bool {
	select {
	case <-p.up:
		return true
	default:
		return false
	}
}

var errPeerClosed = errors.New("the simulated phone has closed its media")

// lockOpen takes the signalling lock unless close began.
func (p *peer) lockOpen() error {
	p.signalling.Lock()
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		p.signalling.Unlock()
		return errPeerClosed
	}
	return nil
}

// offer makes the inbound call's offer, in Meta's words.
func (p *peer) offer(ctx context.Context) (string, error) {
	if err := p.lockOpen(); err != nil {
		return "", err
	}
	defer p.signalling.Unlock()
	if err := p.pc.GetTransceivers()[0].SetMid("audio"); err != nil {
		return "", err
	}
	sd, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	p.heard.payloadTypes("111", "126")
	p.sender.payloadTypes("111", "126")
	return p.local(ctx, sd, sdpParts{setup: "actpass", mid: "audio", bundle: "audio", opusPT: "111", dtmfPT: "126"})
}

// answer takes the business's offer and echoes its numbers.
func (p *peer) answer(ctx context.Context, offer string) (string, error) {
	if err := p.lockOpen(); err != nil {
		return "", err
	}
	defer p.signalling.Unlock()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", err
	}
	sd, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	t := splitSDP(offer)
	parts := sdpParts{answer: true, setup: "active", mid: "0"}
	if p.setup != "" {
		parts.setup = p.setup
	}
	if mid := t.anywhere("mid"); len(mid) > 0 {
		parts.mid = mid[0]
	}
	if g := values(t.session, "group"); len(g) > 0 {
		parts.bundle = strings.TrimPrefix(g[0], "BUNDLE ")
	}
	parts.opusPT, parts.dtmfPT = audioTypes(t)
	p.heard.payloadTypes(parts.opusPT, parts.dtmfPT)
	p.sender.payloadTypes(parts.opusPT, parts.dtmfPT)
	return p.local(ctx, sd, parts)
}

// audioTypes finds the payload types of Opus and of telephone-event/8000.
func audioTypes(t sdpText) (opus, dtmf string) {
	if len(t.media) == 0 {
		return "", ""
	}
	maps := t.media[0].rtpmaps()
	for _, pt := range t.media[0].formats() {
		switch {
		case maps[pt] == "opus/48000/2" && opus == "":
			opus = pt
		case maps[pt] == "telephone-event/8000" && dtmf == "":
			dtmf = pt
		}
	}
	return opus, dtmf
}

// local sets pion's description and renders ours with its credentials.
func (p *peer) local(ctx context.Context, sd webrtc.SessionDescription, parts sdpParts) (string, error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(sd); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	select {
	case <-gathered:
	case <-p.ctx.Done():
		return "", errPeerClosed
	case <-ctx.Done():
		return "", fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	t := splitSDP(p.pc.LocalDescription().SDP)
	one := func(name string) string {
		if v := t.anywhere(name); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	parts.ufrag, parts.pwd, parts.fingerprint = one("ice-ufrag"), one("ice-pwd"), one("fingerprint")
	parts.addr, parts.ssrc = p.relay.addr, p.ssrc()
	parts.session, parts.plainFmtp = p.seed>>1, p.plain
	return metaSDP(parts), nil
}

func (p *peer) ssrc() uint32 {
	if e := p.rtpSender.GetParameters().Encodings; len(e) > 0 {
		return uint32(e[0].SSRC)
	}
	return 0
}

// applyAnswer takes the business's answer to our offer. Until now nothing it sends can pass: neither its ICE
// credentials nor its fingerprint are known.
func (p *peer) applyAnswer(sdp string) error {
	if p == nil {
		return errors.New("no media")
	}
	if err := p.lockOpen(); err != nil {
		return err
	}
	defer p.signalling.Unlock()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return err
	}
	if _, dtmf := audioTypes(splitSDP(sdp)); dtmf == "" {
		p.sender.payloadTypes("111", "")
	}
	return nil
}

// startSending begins the RTP line as soon as DTLS is up.
func (p *peer) startSending() {
	p.start.Do(func() {
		p.spawn(func() {
			select {
			case <-p.up:
				p.sender.run(p.ctx)
			case <-p.ctx.Done():
			}
		})
	})
}

func (p *peer) bye() error {
	return p.pc.WriteRTCP([]rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{p.ssrc()}, Reason: "bye"}})
}

func (p *peer) close() error {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signalling.Lock() // a description that pion applies while it closes leaves its ICE agent behind
	defer p.signalling.Unlock()
	var err error
	if p.pc != nil {
		err = closeBounded(p.pc.GracefulClose)
	}
	if p.ownRelay {
		err = errors.Join(err, p.relay.close())
	}
	p.wg.Wait()
	return err
}

// closeLimit bounds the end of a PeerConnection: pion/srtp v3.1.3 can wait for ever in session.close when the first packet of
// a source arrives while it closes, because nobody accepts the new stream any more.
const closeLimit = 5 * time.Second

var errCloseHangs = errors.New("the simulated phone's WebRTC stack does not close")

func closeBounded(closeIt func() error) error {
	done := make(chan error, 1)
	go func() { done <- closeIt() }() // ends with closeIt, or hangs with it: that is the fault this bounds
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return errCloseHangs
	}
}
