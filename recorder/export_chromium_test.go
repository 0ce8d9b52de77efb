package recorder

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/simulator"
)

// listenJS decodes the export, looks for the tones, plays it and seeks. Frequencies are counted by crossings of zero.
const listenJS = `(async () => {
  const began = performance.now();
  const pcm = await new OfflineAudioContext(2, 48000, 48000).decodeAudioData(await (await fetch('/call.opus')).arrayBuffer());
  const hertz = (x) => { let n = 0; for (let i = 1; i < x.length; i++) if (x[i-1] < 0 && x[i] >= 0) n++; return n * pcm.sampleRate / x.length; };
  const part = (c) => pcm.getChannelData(c).subarray(48000 * 4, 48000 * 5);
  const out = {channels: pcm.numberOfChannels, seconds: pcm.duration, left: hertz(part(0)), right: hertz(part(1))};
  const audio = new Audio('/hour.opus');
  const event = (name) => new Promise((ok, bad) => { audio.addEventListener(name, ok, {once: true}); audio.onerror = () => bad(audio.error.message); });
  const start = performance.now();
  let ready = event('playing');
  await audio.play();
  await ready;
  out.started = performance.now() - start;
  out.hour = audio.duration;
  const jump = performance.now();
  ready = event('seeked');
  audio.currentTime = 3000;
  await ready;
  out.jumped = performance.now() - jump;
  await event('timeupdate');
  out.at = audio.currentTime;
  audio.pause();
  return JSON.stringify(out);
})()`

// TestChromiumPlaysTheStereoExport: decodeAudioData gives both channels; an hour starts playing at once and seeks by ranges.
func TestChromiumPlaysTheStereoExport(t *testing.T) {
	call, _ := export(t, simulate(t, 10*time.Second, ms20(Customer, 440), ms20(Agent, 1000)), ExportOptions{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/html") })
	var requests atomic.Int64
	serve := func(path string, e *Export) {
		mux.HandleFunc(path, func(w http.ResponseWriter, q *http.Request) {
			requests.Add(1)
			r := e.NewReader()
			defer r.Close()
			w.Header().Set("Content-Type", e.ContentType())
			http.ServeContent(w, q, "", time.Time{}, r)
		})
	}
	serve("/call.opus", call)
	hour, err := NewExport(t.Context(), hourOpener(t, time.Hour), ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	serve("/hour.opus", hour)
	server := httptest.NewServer(mux)
	defer server.Close()

	dir := t.TempDir()
	browser, err := simulator.StartChromium(dir, dir)
	if errors.Is(err, simulator.ErrNoChromium) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	tab, err := browser.Open(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tab.Eval(t.Context(), listenJS)
	if err != nil {
		t.Fatal(err)
	}
	var heard struct {
		Channels             int
		Seconds, Left, Right float64
		Started, Jumped      float64 // ms
		Hour, At             float64 // s
	}
	if err := json.Unmarshal([]byte(raw.(string)), &heard); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v, %d requests", heard, requests.Load())
	near := func(got, want, by float64) bool { return got > want-by && got < want+by }
	if heard.Channels != 2 || !near(heard.Seconds, 10, 0.02) || !near(heard.Left, 440, 3) || !near(heard.Right, 1000, 3) {
		t.Errorf("decoded: %+v", heard)
	}
	if !near(heard.Hour, 3600, 0.1) || !near(heard.At, 3000, 2) {
		t.Errorf("played: %+v", heard)
	}
}
