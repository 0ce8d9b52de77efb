//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// The limits of reliability.md.
const (
	maxSeries        = 2000
	maxSeriesPerName = 60
)

// busy lets everything happen that has a metric: calls both ways and every outcome, Graph errors, odd webhooks, strangers.
func busy(t *testing.T, h *house) {
	t.Helper()
	phones := map[string]*simulator.Phone{}
	for i, c := range []media.Codec{media.PCMA, media.G722, media.Opus} {
		ext := fmt.Sprint(1001 + i)
		phones[ext] = h.newPhone(ext, simulator.PhoneConfig{Codecs: []media.Codec{c}, Source: simulator.PhoneSource{Tone: 1000}})
	}
	p := phones["1001"]
	tone := simulator.Behaviour{Play: simulator.Playback{Tone: 440}}
	for _, p := range phones {
		tk := outboundTalk(h, p, h.person(tone))
		tk.bothHear(1000, 440)
		tk.digits("12", "34")
		tk.over()
	}
	in := inboundTalk(h, p, h.person(tone))
	in.bothHear(1000, 440)
	if err := in.desk.Hold(t.Context()); err != nil {
		t.Error(err)
	}
	if err := in.desk.Resume(t.Context()); err != nil {
		t.Error(err)
	}
	in.over()
	dial := func(number string) {
		desk, err := p.Dial(t.Context(), number)
		if err != nil {
			t.Fatal(err)
		}
		h.waitDone(desk)
	}
	dial("+" + h.person(simulator.Behaviour{React: simulator.ReactDecline}).Config().Phone)
	stranger := h.person(simulator.Behaviour{})
	if err := stranger.SetPermission(numberID, simulator.PermissionNone, true); err != nil {
		t.Fatal(err)
	}
	dial("+" + stranger.Config().Phone)
	dial("+4915199999999") // nobody
	dial("12")
	dial("999123456")
	// Every code Graph is known to answer with, and some it is not: the labels stay few.
	for _, code := range []int{1, 2, 4, 10, 100, 102, 190, 200, 613, 80007, 130429, 131000, 131005, 131009, 131016, 131026, 131030, 131042, 131044, 131045, 131048, 131055, 131056, 131057, 138000, 138001, 138002, 138003, 138004, 138005, 138006, 138008, 138009, 138012, 138013, 138014, 138015, 138017, 138018, 999999, 7, -1} {
		h.meta.Fail(simulator.Match{Action: "connect", Count: 1}, simulator.Fault{Status: 400, Code: code})
		desk, err := p.Dial(t.Context(), "+"+h.person(simulator.Behaviour{React: simulator.ReactDecline}).Config().Phone)
		if err != nil {
			t.Fatal(err)
		}
		h.waitDone(desk)
	}
	h.meta.ClearFaults()
	for i := range 50 { // fields and events nobody has heard of
		value := map[string]any{"calls": []any{map[string]any{"id": fmt.Sprintf("wacid.X%d", i), "event": fmt.Sprintf("event%d", i)}}}
		if _, err := h.meta.SendWebhook(t.Context(), numberID, "calls", value); err != nil {
			t.Error(err)
		}
		if _, err := h.meta.SendWebhook(t.Context(), numberID, fmt.Sprintf("field%d", i), map[string]any{}); err != nil {
			t.Error(err)
		}
	}
	s := newStranger(t, "127.0.3.1")
	for i := range 100 { // methods nobody has heard of, each from an address of its own
		text := fmt.Sprintf("METHOD%d sip:x@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: m%d\r\nCSeq: 1 METHOD%d\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", i, h.sip.Addr(), s.addr(), i, i, i)
		_, _ = s.WriteToUDPAddrPort([]byte(text), h.sip)
	}
	h.nothingLeft()
}

// TestMetricsAndLogOfABusyHouse: the metrics an operator was promised are there, as Prometheus wants them and within the
// limits, and neither they nor the log at info level tell who talked with whom.
func TestMetricsAndLogOfABusyHouse(t *testing.T) {
	watchStandstill()
	h := newHouse(t, houseOptions{settings: func(s *appliance.Settings) {
		for i := range s.Phones {
			s.Phones[i].Refusal = "reject" // nobody is there to listen to the menu
		}
	}})
	busy(t, h)
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(h.app.Registry(), promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := rec.Body.String()
	t.Run("lint", func(t *testing.T) { lint(t, text) })
	t.Run("series", func(t *testing.T) { countSeries(t, h.as(t), text) })
	t.Run("present", func(t *testing.T) { present(t, h.as(t)) })
	t.Run("no numbers", func(t *testing.T) {
		if m := personal(sampleValue.ReplaceAllString(text, "")); m != "" {
			t.Errorf("in the metrics: %s", m)
		}
		said := h.infoLog(t)
		if !strings.Contains(said, "deskbridge is ready") || strings.Count(said, "\n") < 20 {
			t.Errorf("this is not a log: %q", said)
		}
		if m := personal(said); m != "" {
			t.Errorf("in the log at info: %s", m)
		}
	})
}

// infoLog is what the house has logged but for debug.
func (h *house) infoLog(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.dir, "deskbridge.log"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for l := range strings.Lines(string(b)) {
		if !strings.Contains(l, " level=DEBUG ") {
			out.WriteString(l)
		}
	}
	return out.String()
}

// sampleValue is the number at the end of a line of the exposition.
var sampleValue = regexp.MustCompile(`(?m) [^ \n]+$`)

var customerNumber = regexp.MustCompile(`.*(\b49151\d{5,}|Erika|\b999\d{8}\b|US\.7+).*`)

// personal finds a line with a customer's number, alias, ID or name.
func personal(text string) string { return customerNumber.FindString(text) }

// lint is promtool's own check, by the program when it is installed.
func lint(t *testing.T, text string) {
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "deskbridge_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	tool, err := exec.LookPath("promtool")
	if err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "metrics")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.CommandContext(t.Context(), tool, "check", "metrics")
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// countSeries: every line of the exposition is a series of Prometheus's; per name, sets of labels are counted.
func countSeries(t *testing.T, h *house, text string) {
	all := 0
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, "#") {
			all++
		}
	}
	if all > maxSeries {
		t.Errorf("%d series, want %d at most", all, maxSeries)
	}
	families, err := h.app.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); n > maxSeriesPerName {
			t.Errorf("%s has %d sets of labels, want %d at most", f.GetName(), n, maxSeriesPerName)
		}
	}
	t.Logf("%d series", all)
}

// present is issue 2's list.
func present(t *testing.T, h *house) {
	for what, series := range map[string][]string{
		"answered calls in":            {"deskbridge_calls_total", "direction=inbound", "outcome=answered"},
		"answered calls out":           {"deskbridge_calls_total", "direction=outbound", "outcome=answered"},
		"declined calls":               {"deskbridge_calls_total", "direction=outbound", "outcome=declined"},
		"refused calls":                {"deskbridge_calls_total", "direction=outbound", "outcome=refused"},
		"webhook to INVITE":            {"deskbridge_call_setup_seconds", "direction=inbound", "stage=offer_to_dial"},
		"INVITE to connect":            {"deskbridge_call_setup_seconds", "direction=outbound", "stage=offer_to_dial"},
		"dial to ring":                 {"deskbridge_call_setup_seconds", "direction=outbound", "stage=dial_to_ring"},
		"ring to answer":               {"deskbridge_call_setup_seconds", "direction=outbound", "stage=ring_to_answer"},
		"answer to first audio":        {"deskbridge_call_setup_seconds", "direction=inbound", "stage=answer_to_audio"},
		"RTP from phones":              {"deskbridge_rtp_packets_total", "leg=sip", "direction=received"},
		"RTP to phones":                {"deskbridge_rtp_packets_total", "leg=sip", "direction=sent"},
		"RTP from Meta":                {"deskbridge_rtp_packets_total", "leg=whatsapp", "direction=received"},
		"RTP to Meta":                  {"deskbridge_rtp_packets_total", "leg=whatsapp", "direction=sent"},
		"jitter of phones":             {"deskbridge_rtp_jitter_seconds", "leg=sip"},
		"jitter of Meta":               {"deskbridge_rtp_jitter_seconds", "leg=whatsapp"},
		"connect latency":              {"deskbridge_graph_request_seconds", "action=connect", "class=ok"},
		"accept latency":               {"deskbridge_graph_request_seconds", "action=accept", "class=ok"},
		"connect refused as forbidden": {"deskbridge_graph_request_seconds", "action=connect", "class=rate"},
		"webhooks stored":              {"deskbridge_webhook_requests_total", "result=stored"},
		"webhook events":               {"deskbridge_webhook_events_total", "result=offered"},
		"unknown events":               {"deskbridge_webhook_events_total", "result=unknown"},
		"registrations":                {"deskbridge_sip_registrations"},
	} {
		if v := h.metric(series[0], series[1:]...); v <= 0 {
			t.Errorf("%s: %v is %v", what, series, v)
		}
	}
	for _, name := range []string{"deskbridge_calls_active", "deskbridge_rtp_lost_total", "deskbridge_sip_rtp_sessions", "deskbridge_webrtc_sessions"} {
		if !has(h, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func has(h *house, name string) bool {
	families, err := h.app.Registry().Gather()
	if err != nil {
		return false
	}
	for _, f := range families {
		if f.GetName() == name {
			return true
		}
	}
	return false
}

// TestOneCallIsSeenWhileItLasts: the gauges of running calls go up and down with them.
func TestOneCallIsSeenWhileItLasts(t *testing.T) {
	watchStandstill()
	h := newHouse(t, houseOptions{})
	p := h.newPhone("1001", simulator.PhoneConfig{Source: simulator.PhoneSource{Tone: 1000}})
	tk := inboundTalk(h, p, h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}}))
	for _, name := range []string{"deskbridge_calls_active", "deskbridge_sip_legs", "deskbridge_whatsapp_legs", "deskbridge_sip_rtp_sessions", "deskbridge_webrtc_sessions"} {
		if v := h.metric(name); v != 1 {
			t.Errorf("%s is %v during a call", name, v)
		}
	}
	tk.over()
	h.nothingLeft()
}
