package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// answerInbound takes the customer's call up to accept's 200 and talks.
func answerInbound(t *testing.T, p *product, h hook, tone float64) *bizLeg {
	t.Helper()
	leg := newBizLeg(t, tone)
	wacid := h.Call["id"].(string)
	sdp := leg.answer(sessionSDP(h))
	status, body := p.action(wacid, "pre_accept", sdp)
	wantOK(t, status, body)
	leg.waitUp()
	status, body = p.action(wacid, "accept", sdp)
	wantOK(t, status, body)
	leg.talk()
	return leg
}

func TestInboundCallCarriesAudioBothWays(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	ctx := testCtx(t)
	cust := p.customer(func(c *CustomerConfig) { c.Behaviour.Play = Playback{Tone: 440} })
	cc, err := cust.Call(ctx, testPNID, CallOptions{DeeplinkPayload: "promo-7"})
	if err != nil {
		t.Fatal(err)
	}
	h := p.wait("connect")
	if h.Call["from"] != "6281234567890" || h.Call["direction"] != "USER_INITIATED" || h.Call["deeplink_payload"] != "promo-7" {
		t.Errorf("connect webhook %v", h.Call)
	}
	leg := answerInbound(t, p, h, 1000)
	leg.waitHeard(60)
	if err := cc.WaitHeard(ctx, 60); err != nil {
		t.Fatal(err)
	}
	pcm, err := cc.Heard(16000)
	if err != nil || !HasTone(pcm[3200:], 16000, 1000) {
		t.Errorf("customer hears no 1000 Hz: share %.2f, err %v", ToneShare(pcm, 16000, 1000), err)
	}
	pcm, err = decode(leg.heard(), 48000)
	if err != nil || !HasTone(pcm[4800:], 48000, 440) {
		t.Errorf("product hears no 440 Hz: share %.2f, err %v", ToneShare(pcm, 48000, 440), err)
	}
	noViolations(t, cc)
	status, body := p.action(cc.ID(), "terminate", "")
	wantOK(t, status, body)
	<-cc.Ended()
	if e := cc.End(); e.By != ByBusiness || !e.Answered {
		t.Errorf("end %+v", e)
	}
	term := p.wait("terminate")
	if term.Call["status"] != "COMPLETED" || term.Call["start_time"] == nil {
		t.Errorf("terminate webhook %v", term.Call)
	}
	if status, body = p.action(cc.ID(), "terminate", ""); status != 400 || errCode(body) != 100 {
		t.Errorf("second terminate: %d %v", status, body)
	}
}

func TestOutboundCallIsAnsweredByACCEPTED(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	ctx := testCtx(t)
	cust := p.customer(func(c *CustomerConfig) { c.Behaviour.Play = Playback{Tone: 440} })
	leg := newBizLeg(t, 1000)
	status, body := p.graph("POST", testPNID+"/calls", obj{"messaging_product": "whatsapp", "to": "+6281234567890", "action": "connect",
		"session": obj{"sdp_type": "offer", "sdp": leg.offer()}, "biz_opaque_callback_data": "call-1"})
	wantOK(t, status, body)
	var cc *CustomerCall
	select {
	case cc = <-cust.Calls():
	case <-ctx.Done():
		t.Fatal("no call at the customer")
	}
	h := p.wait("connect")
	if h.Call["direction"] != "BUSINESS_INITIATED" || h.Call["biz_opaque_callback_data"] != "call-1" || h.Call["to"] != "6281234567890" {
		t.Errorf("connect webhook %v", h.Call)
	}
	sdp := sessionSDP(h)
	if !strings.Contains(sdp, "a=setup:active\r\n") || !strings.Contains(sdp, "a=ice-lite\r\n") {
		t.Errorf("answer is not Meta's:\n%s", sdp)
	}
	leg.remote(webrtc.SDPTypeAnswer, sdp)
	leg.waitUp()
	leg.talk()
	p.wait("RINGING")
	p.wait("ACCEPTED")
	if err := cc.WaitState(ctx, StateConnected); err != nil {
		t.Fatal(err)
	}
	leg.waitHeard(60)
	if err := cc.WaitHeard(ctx, 60); err != nil {
		t.Fatal(err)
	}
	pcm, _ := cc.Heard(48000)
	if !HasTone(pcm[9600:], 48000, 1000) {
		t.Errorf("customer hears no 1000 Hz: %.2f", ToneShare(pcm, 48000, 1000))
	}
	pcm, _ = decode(leg.heard(), 48000)
	if !HasTone(pcm[4800:], 48000, 440) {
		t.Errorf("product hears no 440 Hz: %.2f", ToneShare(pcm, 48000, 440))
	}
	noViolations(t, cc)
	cc.Hangup()
	term := p.wait("terminate")
	if term.Call["start_time"] == nil || cc.End().By != ByCustomer {
		t.Errorf("terminate %v, end %+v", term.Call, cc.End())
	}
	if p.meta.ActiveCalls() != nil {
		t.Error("the call is still active")
	}
}

func TestMediaBeforeAcceptIsEarly(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, err := p.customer().Call(testCtx(t), "+62 21-500-100-200", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := p.wait("connect")
	leg := newBizLeg(t, 1000)
	status, body := p.action(cc.ID(), "pre_accept", leg.answer(sessionSDP(h)))
	wantOK(t, status, body)
	leg.waitUp()
	leg.talk()
	eventually(t, "early violation", func() bool {
		for _, v := range cc.Violations() {
			if v.Kind == ViolationEarly {
				return true
			}
		}
		return false
	})
}

func TestSilentBusinessIsDropped(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Timing.MediaStart = 150 * time.Millisecond })
	cc, err := p.customer().Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := p.wait("connect")
	leg := newBizLeg(t, 1000)
	sdp := leg.answer(sessionSDP(h))
	status, body := p.action(cc.ID(), "accept", sdp)
	wantOK(t, status, body)
	term := p.wait("terminate")
	if term.Call["status"] != "FAILED" {
		t.Errorf("terminate %v", term.Call)
	}
	if code := cc.End().Code; code != 138021 && code != 138023 {
		t.Errorf("code %d", code)
	}
}
