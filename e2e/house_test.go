//go:build e2e

// Package e2e runs deskbridge against software nobody here wrote: baresip, SIPp, Kamailio, linphone, Chromium. Each test
// has a house of its own: a simulated Meta, the whole appliance in this process, everything on 127.0.0.0/8.
package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
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

// The one business number of every house.
const (
	numberID      = "700800900100200"
	displayNumber = "15550100200"
	appSecret     = "appliance-test-secret"
	verifyToken   = "verify-me"
	accessToken   = "test-token"
	lineID        = "main"
)

// wait bounds every wait for something that takes milliseconds when it works.
const wait = 20 * time.Second

// house is an appliance, its Meta, and a folder for what peers write.
type house struct {
	t    *testing.T
	dir  string
	meta *simulator.Meta
	app  *appliance.App
	ip   string // what the appliance's SIP is bound to
	sip  netip.AddrPort
}

// houseOptions are what a test may choose.
type houseOptions struct {
	settings func(*appliance.Settings) // change the default settings: add trunks, phones, targets
	timing   *simulator.Timing         // default: fast, but the customer's pick-up and ring times a person could watch
	config   func(*appliance.Config)
	meta     func(*simulator.MetaConfig)
}

// newHouse starts everything. Phones 1001 to 1003 may register with password "pw-" + extension + "-secret".
func newHouse(t *testing.T, o houseOptions) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), ip: "127.0.0.10"}
	timing := simulator.DefaultTiming().Fast()
	if o.timing != nil {
		timing = *o.timing
	}
	mc := simulator.MetaConfig{
		Numbers: []simulator.Number{{
			PhoneNumberID: numberID, WABA: "900100200300400", DisplayNumber: displayNumber, AppID: "100200300400500",
			AppSecret: appSecret, Token: accessToken,
		}},
		VerifyToken: verifyToken, Timing: timing, Logger: slog.New(slog.DiscardHandler),
	}
	if o.meta != nil {
		o.meta(&mc)
	}
	var err error
	if h.meta, err = simulator.NewMeta(mc); err != nil {
		t.Fatal(err)
	}
	h.meta.Start()
	t.Cleanup(func() { _ = h.meta.Close() })
	h.startApp(o)
	return h
}

func (h *house) startApp(o houseOptions) {
	t := h.t
	t.Helper()
	cfg := appliance.DefaultConfig()
	cfg.DataDir = filepath.Join(h.dir, "data")
	cfg.Graph.BaseURL = h.meta.URL()
	cfg.Webhook.Listen = "127.0.0.1:0"
	cfg.Admin.Listen = "127.0.0.1:0"
	cfg.Metrics.Listen = "127.0.0.1:0"
	// One port for both transports, as phones expect it.
	cfg.SIP.UDP = fmt.Sprintf("%s:%d", h.ip, freeTCPPort(t))
	cfg.SIP.TCP = cfg.SIP.UDP
	cfg.DrainLimit = 5 * time.Second
	if o.config != nil {
		o.config(cfg)
	}
	log, err := os.Create(filepath.Join(h.dir, "deskbridge.log"))
	if err != nil {
		t.Fatal(err)
	}
	h.app, err = appliance.New(cfg, appliance.Options{Version: "e2e", Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := h.app.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = log.Close()
		if t.Failed() {
			if b, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("appliance log:\n%s", tail(string(b), 200))
			}
		}
	})
	h.sip = h.app.SIPAddr()
	h.meta.SetWebhookURL("http://" + h.app.WebhookAddr() + "/webhook/meta")
	s := &appliance.Settings{
		Lines: []appliance.Line{{
			ID: lineID, Name: "Main", Enabled: true, PhoneNumberID: numberID, DisplayNumber: "+" + displayNumber, Country: "DE",
			AppSecret: appliance.NewSecret(appSecret), VerifyToken: appliance.NewSecret(verifyToken), AccessToken: appliance.NewSecret(accessToken),
			Inbound:  appliance.InboundRoute{Enabled: true, Ring: []string{"phone:1001"}},
			Outbound: appliance.OutboundRoute{Enabled: true},
		}},
	}
	for _, ext := range []string{"1001", "1002", "1003"} {
		s.Phones = append(s.Phones, appliance.Phone{
			Extension: ext, Enabled: true, Password: appliance.NewSecret(phonePassword(ext)), PTime: 20 * time.Millisecond, Line: lineID,
		})
	}
	if o.settings != nil {
		o.settings(s)
	}
	if err := h.app.ApplySettings(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func phonePassword(ext string) string { return "pw-" + ext + "-secret" }

// customer makes a person on WhatsApp who may be called.
func (h *house) customer(c simulator.CustomerConfig) *simulator.Customer {
	h.t.Helper()
	if c.Phone == "" && c.BSUID == "" {
		c.Phone, c.Name = "4915112345678", "Erika M."
	}
	if c.Permission == "" {
		c.Permission = simulator.PermissionPermanent
	}
	cust, err := h.meta.Customer(c)
	if err != nil {
		h.t.Fatal(err)
	}
	return cust
}

// waitRegistered waits until an extension has registered.
func (h *house) waitRegistered(ext string) {
	h.t.Helper()
	h.until("registration of "+ext, func() bool {
		for _, r := range h.app.Registrations() {
			if r.User == ext {
				return true
			}
		}
		return false
	})
}

// waitNoCalls waits until no call is left and returns the latest record.
func (h *house) waitNoCalls() bridge.CDR {
	h.t.Helper()
	h.until("the end of every call", func() bool { return len(h.app.Exchange().Calls()) == 0 })
	var cdr bridge.CDR
	h.until("the record of the call", func() bool {
		page, err := h.app.Store().Calls(h.t.Context(), store.CallQuery{Limit: 1})
		if err != nil || len(page.Calls) == 0 {
			return false
		}
		cdr = page.Calls[0]
		return !cdr.EndedAt.IsZero()
	})
	return cdr
}

// until polls: peers are processes that send no events.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	end := time.Now().Add(wait)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			h.t.Fatalf("waited %s for %s", wait, what)
		}
		<-tick.C
	}
}

// hasTone reports whether the last second of the audio is this tone and nothing else.
func hasTone(pcm []int16, rate int, freq float64) bool {
	return len(pcm) >= rate && media.ToneLevel(pcm[len(pcm)-rate:], rate, freq) > 0.8
}

// customerHears waits until the customer hears a tone.
func (h *house) customerHears(c *simulator.CustomerCall, freq float64) {
	h.t.Helper()
	h.until(fmt.Sprintf("%.0f Hz at the customer", freq), func() bool {
		pcm, err := c.Heard(16000)
		return err == nil && hasTone(pcm, 16000, freq)
	})
}

// clean fails the test for whatever Meta would hold against the appliance.
func (h *house) clean(c *simulator.CustomerCall) {
	h.t.Helper()
	for _, v := range c.Violations() {
		h.t.Errorf("towards Meta: %s", v)
	}
}

func tail(s string, lines int) string {
	l := strings.Split(s, "\n")
	if len(l) > lines {
		l = l[len(l)-lines:]
	}
	return strings.Join(l, "\n")
}
