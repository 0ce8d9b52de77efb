package appliance_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
	"deskbridge/store"
)

const (
	pnid    = "700800900100200"
	number  = "15550100200"
	waiting = 20 * time.Second
)

// world is a whole appliance in this process, a simulated Meta, and one desk phone.
type world struct {
	t     *testing.T
	cfg   *appliance.Config
	meta  *simulator.Meta
	app   *appliance.App
	phone *simulator.Phone
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	w.meta, err = simulator.NewMeta(simulator.MetaConfig{
		VerifyToken: "verify", Timing: simulator.DefaultTiming().Fast(),
		Numbers: []simulator.Number{{PhoneNumberID: pnid, WABA: "9", DisplayNumber: number, AppID: "1", AppSecret: "app-secret", Token: "token"}},
	})
	w.must(err)
	w.meta.Start()
	t.Cleanup(func() { _ = w.meta.Close() })
	w.cfg = appliance.DefaultConfig()
	w.cfg.DataDir = filepath.Join(t.TempDir(), "data")
	w.cfg.Graph.BaseURL = w.meta.URL()
	w.cfg.SIP.UDP, w.cfg.SIP.TCP = "127.0.0.1:0", "127.0.0.1:0"
	w.cfg.Webhook.Listen, w.cfg.Admin.Listen, w.cfg.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	w.cfg.DrainLimit = time.Second
	w.start()
	t.Cleanup(w.stop)
	w.must(w.app.ApplySettings(t.Context(), w.settings()))
	w.must(w.meta.Subscribe(t.Context()))
	w.phone, err = simulator.NewPhone(simulator.PhoneConfig{
		User: "1001", Password: "phone-password", Registrar: w.app.SIPAddr().String(), Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000},
	})
	w.must(err)
	t.Cleanup(func() { _ = w.phone.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	w.must(w.phone.Register(ctx))
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	w.app, err = appliance.New(w.cfg, appliance.Options{Version: "test", Logger: slog.New(slog.DiscardHandler)})
	w.must(err)
	w.must(w.app.Start(w.t.Context()))
	w.meta.SetWebhookURL("http://" + w.app.WebhookAddr() + "/webhook/meta")
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), waiting)
	defer cancel()
	if err := w.app.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
}

func (w *world) settings() *appliance.Settings {
	return &appliance.Settings{
		Lines: []appliance.Line{{
			ID: "main", Enabled: true, PhoneNumberID: pnid, DisplayNumber: "+" + number, Country: "DE", AppSecret: appliance.NewSecret("app-secret"),
			VerifyToken: appliance.NewSecret("verify"), AccessToken: appliance.NewSecret("token"),
			Inbound: appliance.InboundRoute{Enabled: true, Ring: []string{"phone:1001"}}, Outbound: appliance.OutboundRoute{Enabled: true},
		}},
		Phones: []appliance.Phone{{Extension: "1001", Enabled: true, Password: appliance.NewSecret("phone-password"), PTime: 20 * time.Millisecond, Line: "main"}},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(waiting); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.t.Fatalf("waited %s for %s", waiting, what)
		}
	}
}

func (w *world) customer(c simulator.CustomerConfig) *simulator.Customer {
	w.t.Helper()
	c.Behaviour.Play = simulator.Playback{Tone: 440}
	cust, err := w.meta.Customer(c)
	w.must(err)
	return cust
}

func (w *world) dial(target string) *simulator.PhoneCall {
	w.t.Helper()
	call, err := w.phone.Dial(w.t.Context(), "sip:"+target+"@"+w.app.SIPAddr().String())
	w.must(err)
	return call
}

func (w *world) hearEachOther(c *simulator.CustomerCall, p *simulator.PhoneCall) {
	w.t.Helper()
	tone := func(pcm []int16, rate int, freq float64) bool {
		return len(pcm) >= rate/2 && media.ToneLevel(pcm[len(pcm)-rate/2:], rate, freq) > 0.8
	}
	w.until("1000 Hz at the customer", func() bool { pcm, err := c.Heard(16000); return err == nil && tone(pcm, 16000, 1000) })
	w.until("440 Hz at the phone", func() bool { pcm, rate := p.Heard(); return rate > 0 && tone(pcm, rate, 440) })
}

// lastRecord waits until no call runs and returns the newest record.
func (w *world) lastRecord() bridge.CDR {
	w.t.Helper()
	var cdr bridge.CDR
	w.until("the closed record", func() bool {
		if len(w.app.Exchange().Calls()) > 0 {
			return false
		}
		page, err := w.app.Store().Calls(w.t.Context(), store.CallQuery{Limit: 1})
		if err != nil || len(page.Calls) == 0 {
			return false
		}
		cdr = page.Calls[0]
		return !cdr.EndedAt.IsZero()
	})
	return cdr
}

func (w *world) get(addr, path string) (int, string) {
	w.t.Helper()
	res, err := (&http.Client{Timeout: waiting}).Get("http://" + addr + path)
	w.must(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	w.must(err)
	return res.StatusCode, string(body)
}

func TestACustomerWithoutANumberIsCalledBackByAlias(t *testing.T) {
	w := newWorld(t)
	cust := w.customer(simulator.CustomerConfig{BSUID: "DE.7001122334455667788", Username: "erika.m", Permission: simulator.PermissionPermanent})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	var desk *simulator.PhoneCall
	select {
	case desk = <-w.phone.Calls():
	case <-time.After(waiting):
		t.Fatal("the phone did not ring")
	}
	w.hearEachOther(call, desk)
	w.must(desk.Hangup(t.Context()))
	cdr := w.lastRecord()
	if cdr.Customer.Phone != "" || cdr.Customer.Alias == "" || !strings.Contains(desk.Header("From"), cdr.Customer.Alias) {
		t.Fatalf("customer %+v, the phone saw From: %s", cdr.Customer, desk.Header("From"))
	}
	back := w.dial(cdr.Customer.Alias)
	w.hearEachOther(<-cust.Calls(), back)
	w.must(back.Hangup(t.Context()))
	if again := w.lastRecord(); again.Customer.ID != cdr.Customer.ID || again.Direction != bridge.Outbound {
		t.Errorf("the call back is %+v", again)
	}
}

func TestThePhoneLearnsWhyItMayNotCall(t *testing.T) {
	for refusal, want := range map[string]int{"menu": 0, "announce": 403, "reject": 403} {
		t.Run(refusal, func(t *testing.T) {
			w := newWorld(t)
			s := w.settings()
			s.Phones[0].Refusal = refusal
			w.must(w.app.ApplySettings(t.Context(), s))
			w.customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionNone})
			call := w.dial("+4915112345678")
			voice := func() bool { pcm, rate := call.Heard(); return rate > 0 && len(pcm) > 2*rate && media.Level(pcm) > -40 }
			if refusal != "reject" {
				w.until("a voice at the phone", voice)
			}
			if refusal == "menu" {
				w.must(call.Hangup(t.Context()))
			}
			<-call.Done()
			said := fmt.Sprintf("%+v", call.End())
			if end := call.End(); refusal != "menu" && (end.Status != want || !strings.Contains(said, "permission.none") || !strings.Contains(said, "has not allowed calls")) {
				t.Errorf("the phone's call ended with %s", said)
			}
			if n := len(w.meta.Requests("connect")); n != 0 {
				t.Errorf("%d connects reached Meta", n)
			}
			if cdr := w.lastRecord(); cdr.Cause.Reason != bridge.ReasonRefused || cdr.Cause.Rule != "permission.none" || !cdr.AnsweredAt.IsZero() {
				t.Errorf("record %+v", cdr)
			}
		})
	}
}

func TestABadChangeOfSettingsLeavesTheOldInForce(t *testing.T) {
	w := newWorld(t)
	bad := w.settings()
	bad.Lines[0].Inbound.Ring = []string{"phone:4711"}
	if err := w.app.ApplySettings(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "4711") {
		t.Fatalf("a route to an unknown phone: %v", err)
	}
	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345678"})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	desk := <-w.phone.Calls()
	w.hearEachOther(call, desk)
	call.Hangup()
	w.lastRecord()
}

func TestSettingsAndRecordsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika"})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	desk := <-w.phone.Calls()
	w.hearEachOther(call, desk)
	call.Hangup()
	before := w.lastRecord()
	w.stop()
	w.start()
	after := w.lastRecord()
	if after.ID != before.ID || after.Customer.Name != "Erika" || !after.EndedAt.Equal(before.EndedAt) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if s := w.app.Status(); len(s.Lines) != 1 || len(s.Phones) != 1 {
		t.Errorf("status after the restart: %+v", s)
	}
}

func TestMetricsAndProbes(t *testing.T) {
	w := newWorld(t)
	code, body := w.get(w.app.AdminAddr(), "/readyz")
	if code != http.StatusOK {
		t.Errorf("readyz %d %s", code, body)
	}
	_, text := w.get(w.app.MetricsAddr(), "/metrics")
	for _, want := range []string{"deskbridge_calls_active", "deskbridge_store_disk_level", "go_goroutines"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}
