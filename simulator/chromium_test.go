package simulator

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// chromium is a browser whose every failure ends the test.
type chromium struct {
	t *testing.T
	*Chromium
}

func startChromium(t *testing.T, tone float64) *chromium {
	t.Helper()
	if testing.Short() {
		t.Skip("no browser with -short")
	}
	dir := t.TempDir()
	wav := filepath.Join(dir, "mic.wav")
	if err := os.WriteFile(wav, toneWAV(tone, 48000, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := StartChromium(dir, wav)
	if errors.Is(err, ErrNoChromium) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &chromium{t, c}
}

func toneWAV(hz float64, rate, seconds int) []byte {
	n := rate * seconds
	b := bytes.NewBufferString("RIFF")
	for _, v := range []any{uint32(36 + 2*n), []byte("WAVEfmt "), uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate),
		uint16(2), uint16(16), []byte("data"), uint32(2 * n)} {
		_ = binary.Write(b, binary.LittleEndian, v)
	}
	for i := range n {
		_ = binary.Write(b, binary.LittleEndian, int16(10000*math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return b.Bytes()
}

// tab is one page.
type tab struct {
	c *chromium
	*Tab
}

func (c *chromium) open(url string) *tab {
	c.t.Helper()
	page, err := c.Open(c.t.Context(), url)
	if err != nil {
		c.t.Fatal(err)
	}
	tb := &tab{c, page}
	tb.until("typeof Ring === 'function' && document.getElementById('phone').value !== ''")
	return tb
}

func (tb *tab) eval(js string) any {
	tb.c.t.Helper()
	v, err := tb.Eval(tb.c.t.Context(), js)
	if err != nil {
		tb.c.t.Fatal(err)
	}
	return v
}

func (tb *tab) until(js string) {
	tb.c.t.Helper()
	ctx, cancel := context.WithTimeout(tb.c.t.Context(), 15*time.Second)
	defer cancel()
	if err := tb.Until(ctx, js); err != nil {
		tb.c.t.Fatalf("%v\nstatus %v, error %v", err, tb.eval("$('status').textContent"), tb.eval("$('error-text').textContent"))
	}
}

func (tb *tab) click(id string) { tb.c.t.Helper(); tb.eval(fmt.Sprintf("$('%s').click()", id)) }

func (tb *tab) signIn(name, phone string) {
	tb.c.t.Helper()
	tb.eval(fmt.Sprintf("$('name').value=%q; $('phone').value=%q; $('signin-form').requestSubmit()", name, phone))
	tb.until("!$('phone-card').hidden")
}

func TestBrowserCustomerCallsTheCompany(t *testing.T) {
	c := startChromium(t, 440)
	p := newProduct(t, func(c *MetaConfig) {
		c.LiveCalls = func() []LiveCall { return []LiveCall{{Direction: "inbound", Customer: "Sari"}} }
	})
	tb := c.open(p.meta.URL() + "/")
	tb.signIn("Sari", "+62 812 0000 1111")
	tb.click("call")
	h := p.wait("connect")
	if h.Call["from"] != "6281200001111" {
		t.Errorf("connect webhook %v", h.Call)
	}
	leg := answerInbound(t, p, h, 1000)
	tb.until("$('status').textContent === 'Connected'")
	leg.waitHeard(80)
	pcm, err := decode(leg.heard(), 48000)
	// A real client fades in and adapts at first; the tone has to stand after half a second.
	if err != nil || len(pcm) < 48000 || !HasTone(pcm[24000:], 48000, 440) {
		t.Errorf("product hears no 440 Hz from the browser: %.2f, err %v", ToneShare(pcm, 48000, 440), err)
	}
	tb.until("$('far-level').value > 0.5")
	tb.eval("press('5')")
	eventually(t, "digit 5", func() bool {
		leg.mu.Lock()
		defer leg.mu.Unlock()
		for _, pk := range leg.packets {
			if pk.PT == 126 && len(pk.Payload) == 4 && pk.Payload[0] == 5 {
				return true
			}
		}
		return false
	})
	tb.until("$('live-rows').children.length === 1")
	tb.click("hangup")
	p.wait("terminate")
	tb.until("!$('idle').hidden && $('status').textContent.startsWith('You hung up')")
	if e := tb.eval("$('error-text').textContent"); e != "" {
		t.Errorf("the page complains: %v", e)
	}
}

func TestBrowserCustomerIsCalledBesideAnotherTab(t *testing.T) {
	c := startChromium(t, 440)
	p := newProduct(t)
	other, tb := c.open(p.meta.URL()+"/"), c.open(p.meta.URL()+"/")
	other.signIn("Budi", "+62 812 0000 2222")
	tb.signIn("Sari", "+62 812 0000 1111")
	leg := newBizLeg(t, 1000)
	status, body := p.graph("POST", testPNID+"/calls", obj{"messaging_product": "whatsapp", "to": "+6281200001111", "action": "connect",
		"session": obj{"sdp_type": "offer", "sdp": leg.offer()}})
	wantOK(t, status, body)
	leg.remote(webrtc.SDPTypeAnswer, sessionSDP(p.wait("connect")))
	leg.waitUp()
	leg.talk()
	tb.until("!$('ringing').hidden")
	if other.eval("$('ringing').hidden") != true {
		t.Error("the other tab rings too")
	}
	tb.click("answer")
	p.wait("ACCEPTED")
	leg.waitHeard(80)
	pcm, _ := decode(leg.heard(), 48000)
	if len(pcm) < 48000 || !HasTone(pcm[24000:], 48000, 440) {
		t.Errorf("product hears no 440 Hz from the browser: %.2f", ToneShare(pcm, 48000, 440))
	}
	tb.until("$('far-level').value > 0.5")
	wacid := p.wait("ACCEPTED").Call["id"].(string)
	status, body = p.action(wacid, "terminate", "")
	wantOK(t, status, body)
	tb.until("$('status').textContent.startsWith('The company hung up')")
}

func TestBrowserCustomerAllowsAndPressesTheCallButton(t *testing.T) {
	c := startChromium(t, 440)
	p := newProduct(t)
	tb := c.open(p.meta.URL() + "/")
	tb.eval("$('first-permission').value = 'no_permission'")
	tb.signIn("Sari", "+62 812 3456 7890")
	status, body := p.graph("POST", testPNID+"/messages", permissionRequestBody())
	wantOK(t, status, body)
	tb.until("!$('request').hidden && $('request-text').textContent === 'May we call?'")
	tb.eval("document.querySelector('[data-attitude=temporary]').click()")
	tb.until("$('request').hidden && $('permission').value === 'temporary'")
	if r, _ := replyOf(p.replies(1)[0]); r["response"] != "accept" || r["is_permanent"] != false {
		t.Errorf("reply %v", r)
	}
	tb.eval("$('text').value = 'Is my order ready?'; $('write').requestSubmit()")
	if h := p.wait("text"); h.Call["text"].(map[string]any)["body"] != "Is my order ready?" {
		t.Errorf("text %v", h.Call)
	}
	status, body = p.graph("POST", testPNID+"/messages", buttonMessage(obj{"display_text": "Call support", "payload": "order-4711"}))
	wantOK(t, status, body)
	tb.until("document.querySelectorAll('#messages li').length === 2 && document.querySelector('#messages button').textContent === 'Call support'")
	tb.eval("document.querySelector('#messages button').click()")
	if h := p.wait("connect"); h.Call["cta_payload"] != "order-4711" {
		t.Errorf("connect %v", h.Call)
	}
	tb.click("hangup")
	p.wait("terminate")
	if e := tb.eval("$('error-text').textContent"); e != "" {
		t.Errorf("the page complains: %v", e)
	}
}
