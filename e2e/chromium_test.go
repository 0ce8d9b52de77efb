//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/media"
	"deskbridge/simulator"
)

// webTab is a person at the customer's page, in a real browser. Every failure ends the test.
type webTab struct {
	t   *testing.T
	tab *simulator.Tab
}

// startBrowser starts Chromium with a tone as its microphone.
func startBrowser(t *testing.T, tone float64) *simulator.Chromium {
	t.Helper()
	dir := t.TempDir()
	wav := filepath.Join(dir, "microphone.wav")
	writeWAV(t, wav, media.Tone(tone, 48000, 10*time.Second), 48000)
	c, err := simulator.StartChromium(dir, wav)
	if errors.Is(err, simulator.ErrNoChromium) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// pageHelpers: the microphone is taken as it is, since noise suppression is right to remove a tone; ear keeps the last second of
// what the person hears.
const pageHelpers = `
openMicrophone = () => navigator.mediaDevices.getUserMedia({audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
var ear = null;
function listenClosely() {
  const ctx = audioContext(), source = ctx.createMediaStreamSource($('far').srcObject), tap = ctx.createScriptProcessor(4096, 1, 1);
  const mine = ear = {rate: ctx.sampleRate, pcm: new Int16Array(ctx.sampleRate), filled: 0};
  tap.onaudioprocess = (e) => {
    if (ear !== mine) { source.disconnect(); tap.disconnect(); return; }
    const x = e.inputBuffer.getChannelData(0);
    mine.pcm.copyWithin(0, x.length);
    mine.pcm.set(Int16Array.from(x, (v) => 32767 * v), mine.pcm.length - x.length);
    mine.filled += x.length;
  };
  source.connect(tap);
  tap.connect(ctx.destination);
}
function heardBytes() {
  let s = '';
  for (const b of new Uint8Array(ear.pcm.buffer)) s += String.fromCharCode(b);
  return JSON.stringify({rate: ear.rate, full: ear.filled >= ear.rate, pcm: btoa(s)});
}
`

// openPage opens the customer's page and signs in.
func openPage(t *testing.T, c *simulator.Chromium, url, name, phone string) *webTab {
	t.Helper()
	tab, err := c.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	w := &webTab{t, tab}
	w.until("typeof Ring === 'function' && document.getElementById('name').value !== ''")
	w.eval(pageHelpers + "0")
	w.eval(fmt.Sprintf("$('name').value=%q; $('phone').value=%q; $('signin-form').requestSubmit()", name, phone))
	w.until("!$('phone-card').hidden")
	return w
}

func (w *webTab) eval(js string) any {
	w.t.Helper()
	v, err := w.tab.Eval(w.t.Context(), js)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *webTab) until(js string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), wait)
	defer cancel()
	if err := w.tab.Until(ctx, js); err != nil {
		w.t.Fatalf("%v\nthe page shows %q, error %q", err, w.text("status"), w.text("error-text"))
	}
}

func (w *webTab) text(id string) string {
	w.t.Helper()
	s, _ := w.eval(fmt.Sprintf("document.getElementById('%s').textContent", id)).(string)
	return s
}

// click presses a button that a person could press.
func (w *webTab) click(id string) {
	w.t.Helper()
	w.until(fmt.Sprintf("$('%s').checkVisibility() && !$('%[1]s').disabled", id))
	w.eval(fmt.Sprintf("$('%s').click()", id))
}

func (w *webTab) connected() {
	w.t.Helper()
	w.until("$('status').textContent === 'Connected' && $('far').srcObject !== null")
	w.eval("listenClosely()")
}

// over waits until the page is idle again and returns what it says.
func (w *webTab) over() string {
	w.t.Helper()
	w.until("!$('idle').hidden")
	if e := w.text("error-text"); e != "" {
		w.t.Errorf("the page complains: %s", e)
	}
	return w.text("status")
}

// hears waits until a second of a tone and nothing else came out of the browser.
func (w *webTab) hears(freq float64) {
	w.t.Helper()
	(&house{t: w.t}).until(fmt.Sprintf("%.0f Hz in the browser", freq), func() bool {
		var heard struct {
			Rate int
			Full bool
			PCM  string
		}
		raw, _ := w.eval("heardBytes()").(string)
		if err := json.Unmarshal([]byte(raw), &heard); err != nil {
			w.t.Fatal(err)
		}
		b, err := base64.StdEncoding.DecodeString(heard.PCM)
		if err != nil {
			w.t.Fatal(err)
		}
		pcm := make([]int16, len(b)/2)
		for i := range pcm {
			pcm[i] = int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8)
		}
		return heard.Full && simulator.HasTone(pcm, heard.Rate, freq)
	})
}

// rtcStats is what libwebrtc counts about the audio it gets and what it is told about the audio it sends.
type rtcStats struct {
	Streams     int // received RTP streams
	SSRC        float64
	Received    float64
	Lost        float64
	Jitter      float64 // s
	Samples     float64
	Concealed   float64 // made up, without the silence a sender may leave out
	BufferDelay float64 // s, summed over emitted samples
	Emitted     float64
	FarLost     float64 // the product's receiver reports about us
	Reports     float64
	RoundTrip   float64
}

const statsJS = `(async () => {
  const s = {Streams: 0, FarLost: 0, Reports: 0};
  for (const r of (await call.media.pc.getStats()).values()) {
    if (r.type === 'inbound-rtp') {
      s.Streams++;
      Object.assign(s, {SSRC: r.ssrc, Received: r.packetsReceived, Lost: r.packetsLost, Jitter: r.jitter, Samples: r.totalSamplesReceived,
        Concealed: r.concealedSamples - r.silentConcealedSamples, BufferDelay: r.jitterBufferDelay, Emitted: r.jitterBufferEmittedCount});
    }
    if (r.type === 'remote-inbound-rtp') Object.assign(s, {FarLost: r.packetsLost, Reports: r.roundTripTimeMeasurements || 0, RoundTrip: r.roundTripTime || 0});
  }
  return JSON.stringify(s);
})()`

func (w *webTab) stats() (s rtcStats) {
	w.t.Helper()
	raw, _ := w.eval(statsJS).(string)
	if err := json.Unmarshal([]byte(raw), &s); err != nil {
		w.t.Fatalf("%v: %s", err, raw)
	}
	return s
}

// steady is how long the calls of TestBrowserAudioIsSteady are watched after they settled.
const steady = 20 * time.Second

// TestBrowserAudioIsSteady: libwebrtc, as in WhatsApp's own phones, finds nothing wrong with our audio: no loss, next to nothing
// concealed, a short jitter buffer, one SSRC for the whole call. One call is converted (G.711), one passes Opus; one came in,
// one went out.
func TestBrowserAudioIsSteady(t *testing.T) {
	h := newHouse(t, houseOptions{})
	c := startBrowser(t, 440)
	desk := func(ext string, codec media.Codec) *simulator.Phone {
		p, err := simulator.NewPhone(simulator.PhoneConfig{
			User: ext, Password: phonePassword(ext), Registrar: h.sip.String(), Codecs: []media.Codec{codec}, Source: simulator.PhoneSource{Tone: 1000},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		if err := p.Register(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p
	}
	desk("1001", media.PCMA)
	caller := openPage(t, c, h.meta.URL()+"/", "Erika", "+49 151 12345678")
	caller.click("call")

	opus := desk("1002", media.Opus)
	called := openPage(t, c, h.meta.URL()+"/", "Sari", "+62 812 0000 1111")
	if _, err := opus.Dial(t.Context(), "+6281200001111"); err != nil {
		t.Fatal(err)
	}
	called.click("answer")

	people := map[string]*webTab{"G.711, called in": caller, "Opus, was called": called}
	first := map[string]rtcStats{}
	for _, w := range people {
		w.connected()
		w.hears(1000)
	}
	for name, w := range people {
		first[name] = w.stats()
	}
	end := time.NewTimer(steady)
	<-end.C
	for name, w := range people {
		a, b := first[name], w.stats()
		t.Logf("%s: %.0f packets, jitter %.1f ms, concealed %.2f%%, buffer %.0f ms, round trip %.1f ms (%.0f reports)", name, b.Received-a.Received, 1000*b.Jitter,
			100*(b.Concealed-a.Concealed)/(b.Samples-a.Samples), 1000*(b.BufferDelay-a.BufferDelay)/(b.Emitted-a.Emitted), 1000*b.RoundTrip, b.Reports)
		for _, bad := range unsteady(a, b) {
			t.Errorf("%s: %s", name, bad)
		}
		w.hears(1000)
		w.click("hangup")
		if s := w.over(); !strings.HasPrefix(s, "You hung up after 0:2") {
			t.Errorf("%s: the page says %q", name, s)
		}
	}
	h.waitNoCalls()
}

// unsteady compares two moments of a call.
func unsteady(a, b rtcStats) (bad []string) {
	check := func(ok bool, what string, value any) {
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: %v", what, value))
		}
	}
	packets := b.Received - a.Received
	check(b.Streams == 1, "received streams", b.Streams)
	check(a.SSRC == b.SSRC, "SSRC changed", []float64{a.SSRC, b.SSRC})
	check(b.Lost == 0, "packets lost towards the browser", b.Lost)
	check(b.FarLost == 0, "packets lost from the browser", b.FarLost)
	check(b.Reports > a.Reports, "no RTCP receiver report with a round trip", b.Reports)
	// 20 ms packets; the two moments are not taken at a packet's edge.
	want := steady.Seconds() * 50
	check(packets > want-25 && packets < want+50, "packets", packets)
	check(b.Jitter < 0.03, "jitter (s)", b.Jitter)
	check((b.Concealed-a.Concealed)/(b.Samples-a.Samples) < 0.02, "concealed share", (b.Concealed-a.Concealed)/(b.Samples-a.Samples))
	delay := (b.BufferDelay - a.BufferDelay) / (b.Emitted - a.Emitted)
	check(delay > 0 && delay < 0.15, "jitter buffer (s)", delay)
	return bad
}
