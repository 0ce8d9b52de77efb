package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testPNID   = "700800900100200"
	testSecret = "appliance-test-secret"
	testToken  = "EAAtest"
)

// product is the smallest thing that can stand where the appliance stands: a webhook and stock PeerConnections.
type product struct {
	t    *testing.T
	meta *Meta
	srv  *httptest.Server
	hc   *http.Client

	mu      sync.Mutex
	status  int // what the webhook answers
	events  []hook
	changed chan struct{}
}

// hook is one update as received.
type hook struct {
	Field string
	Event string
	Call  map[string]any
	Value map[string]any
	Body  []byte
}

func testNumber() Number {
	return Number{PhoneNumberID: testPNID, WABA: "900100200300400", DisplayNumber: "6221500100200", AppID: "100200300400500",
		AppSecret: testSecret, Token: testToken, Name: "Toko Kita"}
}

// newProduct starts a Meta with fast timing and a product beside it.
func newProduct(t *testing.T, change ...func(*MetaConfig)) *product {
	t.Helper()
	p := &product{t: t, status: http.StatusOK, changed: make(chan struct{}), hc: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
	p.srv = httptest.NewServer(http.HandlerFunc(p.webhook))
	cfg := MetaConfig{Numbers: []Number{testNumber()}, WebhookURL: p.srv.URL + "/webhook/meta", VerifyToken: "verify-me",
		Timing: DefaultTiming().Fast(), Seed: 7}
	for _, f := range change {
		f(&cfg)
	}
	m, err := NewMeta(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.meta = m
	m.Start()
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if n := m.Panics(); n != 0 {
			t.Errorf("%d panics in the simulator", n)
		}
		p.hc.CloseIdleConnections()
		p.srv.Close()
	})
	return p
}

func (p *product) webhook(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		if r.URL.Query().Get("hub.verify_token") != "verify-me" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, r.URL.Query().Get("hub.challenge"))
		return
	}
	body, _ := io.ReadAll(r.Body)
	if !hmac.Equal([]byte(r.Header.Get("X-Hub-Signature-256")), []byte(Sign(testSecret, body))) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != http.StatusOK {
		w.WriteHeader(p.status)
		return
	}
	p.events = append(p.events, parseHooks(body)...)
	close(p.changed)
	p.changed = make(chan struct{})
}

func parseHooks(body []byte) []hook {
	var b struct {
		Entry []struct {
			Changes []struct {
				Field string         `json:"field"`
				Value map[string]any `json:"value"`
			} `json:"changes"`
		} `json:"entry"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	var out []hook
	for _, e := range b.Entry {
		for _, c := range e.Changes {
			h := hook{Field: c.Field, Value: c.Value, Body: body}
			for _, key := range []string{"calls", "statuses", "messages"} {
				if l, ok := c.Value[key].([]any); ok && len(l) > 0 {
					h.Call, _ = l[0].(map[string]any)
				}
			}
			for _, key := range []string{"event", "status", "type"} {
				if s, ok := h.Call[key].(string); ok {
					h.Event = s
					break
				}
			}
			out = append(out, h)
		}
	}
	return out
}

// wait returns the first hook that matches, now or later.
func (p *product) wait(event string) hook {
	p.t.Helper()
	return p.waitFor(func(h hook) bool { return h.Event == event })
}

func (p *product) waitFor(match func(hook) bool) hook {
	p.t.Helper()
	deadline := time.After(8 * time.Second)
	for {
		p.mu.Lock()
		for _, h := range p.events {
			if match(h) {
				p.mu.Unlock()
				return h
			}
		}
		changed, seen := p.changed, len(p.events)
		p.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			p.t.Fatalf("webhook did not come; %d others did: %v", seen, p.order())
		}
	}
}

func (p *product) order() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, h := range p.events {
		out = append(out, h.Event)
	}
	return out
}

// graph makes one request and returns the status and the decoded body.
func (p *product) graph(method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	status, out, err := p.try(method, path, body)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status, out
}

func (p *product) try(method, path string, body any) (int, map[string]any, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, p.meta.URL()+"/v25.0/"+path, r)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.hc.Do(req)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(resp.Body)
	out := map[string]any{}
	if json.Unmarshal(b, &out) != nil {
		out["raw"] = string(b)
	}
	return resp.StatusCode, out, errors.Join(err, resp.Body.Close())
}

func (p *product) action(wacid, action, sdp string) (int, map[string]any) {
	p.t.Helper()
	b := obj{"messaging_product": "whatsapp", "call_id": wacid, "action": action}
	if sdp != "" {
		b["session"] = obj{"sdp_type": "answer", "sdp": sdp}
	}
	return p.graph("POST", testPNID+"/calls", b)
}

func errCode(body map[string]any) int {
	e, _ := body["error"].(map[string]any)
	c, _ := e["code"].(float64)
	return int(c)
}

// bizLeg is the product's media: a stock full-ICE PeerConnection with one Opus track.
type bizLeg struct {
	t      *testing.T
	pc     *webrtc.PeerConnection
	track  *webrtc.TrackLocalStaticRTP
	up     chan struct{}
	stop   chan struct{}
	wg     sync.WaitGroup
	frames *frames

	mu      sync.Mutex
	packets []Packet
}

func newBizLeg(t *testing.T, tone float64) *bizLeg {
	t.Helper()
	me := &webrtc.MediaEngine{}
	for _, c := range []webrtc.RTPCodecParameters{
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "useinbandfec=1"}, PayloadType: 111},
		{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: 8000}, PayloadType: 126},
	} {
		if err := me.RegisterCodec(c, webrtc.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
	}
	se := webrtc.SettingEngine{}
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if err := se.SetAnsweringDTLSRole(webrtc.DTLSRoleClient); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(me), webrtc.WithSettingEngine(se)).NewPeerConnection(
		webrtc.Configuration{RTPHeaderEncryptionPolicy: webrtc.RTPHeaderEncryptionPolicyDisable})
	if err != nil {
		t.Fatal(err)
	}
	b := &bizLeg{t: t, pc: pc, up: make(chan struct{}), stop: make(chan struct{})}
	if b.frames, err = newFrames(Playback{Tone: tone}); err != nil {
		t.Fatal(err)
	}
	b.track, err = webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio0", "appliance")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = pc.AddTransceiverFromTrack(b.track); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			once.Do(func() { close(b.up) })
		}
	})
	pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := tr.ReadRTP()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.packets = append(b.packets, Packet{Arrival: time.Now(), Seq: p.SequenceNumber, TS: p.Timestamp, SSRC: p.SSRC,
				PT: p.PayloadType, Marker: p.Marker, Payload: append([]byte(nil), p.Payload...)})
			b.mu.Unlock()
		}
	})
	t.Cleanup(b.close)
	return b
}

func (b *bizLeg) close() {
	select {
	case <-b.stop:
	default:
		close(b.stop)
	}
	b.wg.Wait()
	_ = b.pc.GracefulClose()
}

func (b *bizLeg) set(sd webrtc.SessionDescription, err error) string {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	done := webrtc.GatheringCompletePromise(b.pc)
	if err := b.pc.SetLocalDescription(sd); err != nil {
		b.t.Fatal(err)
	}
	<-done
	return b.pc.LocalDescription().SDP
}

func (b *bizLeg) offer() string { b.t.Helper(); return b.set(b.pc.CreateOffer(nil)) }

func (b *bizLeg) remote(kind webrtc.SDPType, sdp string) {
	b.t.Helper()
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		b.t.Fatalf("%v\n%s", err, sdp)
	}
}

func (b *bizLeg) answer(offer string) string {
	b.t.Helper()
	b.remote(webrtc.SDPTypeOffer, offer)
	return b.set(b.pc.CreateAnswer(nil))
}

func (b *bizLeg) waitUp() {
	b.t.Helper()
	select {
	case <-b.up:
	case <-time.After(8 * time.Second):
		b.t.Fatalf("media did not come up: %s", b.pc.ConnectionState())
	}
}

// talk sends the tone until the leg closes.
func (b *bizLeg) talk() {
	b.wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for seq := uint16(100); ; seq++ {
			select {
			case <-tick.C:
				_ = b.track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: uint32(seq) * 960}, Payload: b.frames.next()})
			case <-b.stop:
				return
			}
		}
	})
}

func (b *bizLeg) heard() []Packet {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Packet
	for _, p := range b.packets {
		if p.PT == 111 {
			out = append(out, p)
		}
	}
	return out
}

func (b *bizLeg) waitHeard(n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%d packets from the customer", n), func() bool { return len(b.heard()) >= n })
}

// eventually polls for a fact that has no event; it fails after 8 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(8 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func testCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (p *product) customer(change ...func(*CustomerConfig)) *Customer {
	p.t.Helper()
	cfg := CustomerConfig{Phone: "6281234567890", Name: "Zoë", Permission: PermissionPermanent}
	for _, f := range change {
		f(&cfg)
	}
	c, err := p.meta.Customer(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func sessionSDP(h hook) string {
	s, _ := h.Call["session"].(map[string]any)
	v, _ := s["sdp"].(string)
	return v
}

func noViolations(t *testing.T, cc *CustomerCall) {
	t.Helper()
	for i, v := range cc.Violations() {
		if i < 5 {
			t.Errorf("violation %s", v)
		}
	}
}

func wantOK(t *testing.T, status int, body map[string]any) {
	t.Helper()
	if status != http.StatusOK {
		t.Fatalf("status %d: %v", status, body)
	}
}

func contains(list []string, s string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}
