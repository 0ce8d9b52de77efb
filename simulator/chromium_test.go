package simulator

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// chromium drives a real browser through its debugging pipe (file descriptors 3 and 4, messages end with NUL): the
// page is tested in the browser engine it was written for, with a fake microphone that plays a tone.
type chromium struct {
	t  *testing.T
	in *os.File

	mu      sync.Mutex
	next    int
	pending map[int]chan json.RawMessage
}

func startChromium(t *testing.T, tone float64) *chromium {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("needs chromium (apt-get install chromium) and no -short")
	}
	dir := t.TempDir()
	wav := filepath.Join(dir, "mic.wav")
	if err := os.WriteFile(wav, toneWAV(tone, 48000, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	inR, inW, err1 := os.Pipe()
	outR, outW, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	cmd := exec.Command(bin, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-audio-capture="+wav,
		"--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
		"--user-data-dir="+filepath.Join(dir, "profile"), "about:blank")
	cmd.ExtraFiles = []*os.File{inR, outW}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = inR.Close(), outW.Close()
	c := &chromium{t: t, in: inW, pending: map[int]chan json.RawMessage{}}
	read := make(chan struct{})
	go func() { defer close(read); c.read(outR) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, _ = inW.Close(), outR.Close()
		<-read
	})
	return c
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

func (c *chromium) read(f *os.File) {
	r := bufio.NewReader(f)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if json.Unmarshal(raw[:len(raw)-1], &m) != nil || m.ID == 0 {
			continue
		}
		c.mu.Lock()
		ch := c.pending[m.ID]
		delete(c.pending, m.ID)
		c.mu.Unlock()
		if m.Error != nil {
			m.Result = m.Error
		}
		if ch != nil {
			ch <- m.Result
		}
	}
}

func (c *chromium) send(session, method string, params obj) json.RawMessage {
	c.t.Helper()
	ch := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.pending[id] = ch
	c.mu.Unlock()
	m := obj{"id": id, "method": method, "params": params}
	if session != "" {
		m["sessionId"] = session
	}
	raw, err := json.Marshal(m)
	if err == nil {
		_, err = c.in.Write(append(raw, 0))
	}
	if err != nil {
		c.t.Fatal(err)
	}
	select {
	case r := <-ch:
		return r
	case <-time.After(20 * time.Second):
		c.t.Fatalf("chromium did not answer %s", method)
		return nil
	}
}

// tab is one page.
type tab struct {
	c       *chromium
	session string
}

func (c *chromium) open(url string) *tab {
	c.t.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	_ = json.Unmarshal(c.send("", "Target.createTarget", obj{"url": url}), &target)
	var attached struct {
		ID string `json:"sessionId"`
	}
	_ = json.Unmarshal(c.send("", "Target.attachToTarget", obj{"targetId": target.ID, "flatten": true}), &attached)
	tb := &tab{c, attached.ID}
	tb.until("document.readyState === 'complete' && typeof Ring === 'function' && document.getElementById('phone').value !== ''")
	return tb
}

func (tb *tab) eval(js string) any {
	tb.c.t.Helper()
	var r struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception any `json:"exceptionDetails"`
	}
	raw := tb.c.send(tb.session, "Runtime.evaluate", obj{"expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true})
	if json.Unmarshal(raw, &r) != nil || r.Exception != nil {
		tb.c.t.Fatalf("%s: %s", js, raw)
	}
	return r.Result.Value
}

func (tb *tab) until(js string) {
	tb.c.t.Helper()
	for range 400 {
		if tb.eval(js) == true {
			return
		}
		tb.eval("new Promise(r => setTimeout(r, 25))")
	}
	tb.c.t.Fatalf("never true in the page: %s\nstatus %v, error %v", js, tb.eval("$('status').textContent"), tb.eval("$('error').textContent"))
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
	tb.until("$('far-level').value > 0.05")
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
	tb.until("!$('idle').hidden && $('status').textContent === 'You hung up'")
	if e := tb.eval("$('error').textContent"); e != "" {
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
	tb.until("$('far-level').value > 0.05")
	wacid := p.wait("ACCEPTED").Call["id"].(string)
	status, body = p.action(wacid, "terminate", "")
	wantOK(t, status, body)
	tb.until("$('status').textContent === 'The company hung up'")
}
