package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"deskbridge/appliance"
	"deskbridge/simulator"
)

// The one WhatsApp number of demo and selftest.
const (
	stageLine    = "demo"
	stageNumber  = "700800900100200"
	stageAccount = "900100200300400"
	stageDigits  = "15550100200"
	builtIn      = "1001" // extension of the built-in desk phone
	softphone    = "1002" // extension for a softphone of the user's
)

// stage is the whole product on this machine with everybody it talks to: a simulated Meta and a built-in desk phone.
type stage struct {
	dir   string
	meta  *simulator.Meta
	app   *appliance.App
	phone *simulator.Phone
	// password is the softphone's.
	password string
}

// stageOptions say how the stage is set.
type stageOptions struct {
	address netip.Addr // SIP, RTP and the customers' media
	sipPort uint16     // 0: any
	page    string     // listen address of the simulated Meta and its page
	timing  simulator.Timing
	// panel is the listen address of the API; empty: any port of this machine
	panel string
	// password is the softphone's; empty: a new one
	password string
	phone    simulator.PhoneConfig // built-in phone: what it does; identity is filled in
	logger   *slog.Logger
}

// newStage starts everything. Close it, also when it could only half start.
func newStage(ctx context.Context, o stageOptions) (*stage, error) {
	s := &stage{}
	if err := s.build(ctx, o); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		return nil, errors.Join(err, s.close(stop))
	}
	return s, nil
}

func (s *stage) build(ctx context.Context, o stageOptions) (err error) {
	if s.dir, err = os.MkdirTemp("", "deskbridge-demo-"); err != nil {
		return err
	}
	appSecret, token, verify := rand.Text(), rand.Text(), rand.Text()
	if s.password = o.password; s.password == "" {
		s.password = newPassword()
	}
	s.meta, err = simulator.NewMeta(simulator.MetaConfig{
		Listen: o.page, VerifyToken: verify, Timing: o.timing, MediaIP: o.address, Logger: o.logger.With("part", "simulator"),
		Templates: []simulator.Template{
			simulator.PermissionTemplate("ask_to_call", "en", "May we call you on WhatsApp?"),
			simulator.CallButtonTemplate("call_us", "en", "Tap the button to call us.", "Call now"),
		},
		Numbers: []simulator.Number{{
			PhoneNumberID: stageNumber, WABA: stageAccount, DisplayNumber: stageDigits, AppID: "100200300400500",
			AppSecret: appSecret, Token: token, Name: "Demo Company",
		}},
	})
	if err != nil {
		return err
	}
	s.meta.Start()

	cfg := appliance.DefaultConfig()
	cfg.DataDir = filepath.Join(s.dir, "data")
	cfg.Graph.BaseURL = s.meta.URL()
	cfg.Webhook.Listen, cfg.Admin.Listen, cfg.Metrics.Listen = "127.0.0.1:0", firstOf(o.panel, "127.0.0.1:0"), "127.0.0.1:0"
	cfg.SIP.UDP = netip.AddrPortFrom(o.address, o.sipPort).String()
	cfg.SIP.TCP = cfg.SIP.UDP
	cfg.WebRTC.Address = o.address.String()
	cfg.DrainLimit = time.Second
	if s.app, err = appliance.New(cfg, appliance.Options{Version: version, Logger: o.logger, Now: s.meta.Clock().Now}); err != nil {
		return err
	}
	if err = s.app.Start(ctx); err != nil {
		return err
	}
	s.meta.SetWebhookURL("http://" + s.app.WebhookAddr() + "/webhook/meta")
	s.meta.SetLiveCalls(s.liveCalls)
	phonePassword := rand.Text()
	if err = s.app.ApplySettings(ctx, &appliance.Settings{
		Lines: []appliance.Line{{
			ID: stageLine, Name: "Demo Company", Enabled: true, PhoneNumberID: stageNumber, WABAID: stageAccount, DisplayNumber: "+" + stageDigits, Country: "ID",
			AppSecret: appliance.NewSecret(appSecret), VerifyToken: appliance.NewSecret(verify), AccessToken: appliance.NewSecret(token),
			Inbound:  appliance.InboundRoute{Enabled: true, Ring: []string{"phone:" + builtIn, "phone:" + softphone}, Menu: true},
			Outbound: appliance.OutboundRoute{Enabled: true},
			Messages: appliance.MessageSettings{AskTemplate: appliance.TemplateSettings{Name: "ask_to_call"}, ButtonTemplate: appliance.TemplateSettings{Name: "call_us"}},
		}},
		// Meta's own limits: whoever tries things out calls the same customer more often than the strict profile allows.
		Policy: appliance.PolicySettings{Profile: "meta"},
		Phones: []appliance.Phone{
			{Extension: builtIn, Name: "Built-in desk phone", Enabled: true, Password: appliance.NewSecret(phonePassword), PTime: 20 * time.Millisecond, Line: stageLine},
			{Extension: softphone, Name: "Your softphone", Enabled: true, Password: appliance.NewSecret(s.password), PTime: 20 * time.Millisecond, Line: stageLine},
		},
	}); err != nil {
		return err
	}
	if err = s.meta.Subscribe(ctx); err != nil {
		return fmt.Errorf("webhook handshake: %w", err)
	}
	o.phone.User, o.phone.Password, o.phone.Registrar = builtIn, phonePassword, s.app.SIPAddr().String()
	o.phone.Listen = netip.AddrPortFrom(o.address, 0)
	if s.phone, err = simulator.NewPhone(o.phone); err != nil {
		return err
	}
	register, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.phone.Register(register)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// addAdmin makes the user who may sign in to the panel.
func (s *stage) addAdmin(ctx context.Context, login, password string) error {
	_, err := appliance.NewControlClient(filepath.Join(s.dir, "data")).AddUser(ctx, appliance.AddUserRequest{
		Login: login, Name: "Demo admin", Role: "admin", Targets: []string{"phone:" + softphone}, Password: password})
	if err != nil {
		return fmt.Errorf("make the panel's user: %w", err)
	}
	return nil
}

func newPassword() string { return rand.Text()[:12] }

// close stops everything in the order that lets goodbyes be said.
func (s *stage) close(ctx context.Context) error {
	var errs []error
	if s.phone != nil {
		errs = append(errs, s.phone.Close())
	}
	if s.app != nil {
		errs = append(errs, s.app.Stop(ctx))
	}
	if s.meta != nil {
		errs = append(errs, s.meta.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// liveCalls feeds the list on the page.
func (s *stage) liveCalls() []simulator.LiveCall {
	calls := s.app.Exchange().Calls()
	out := make([]simulator.LiveCall, 0, len(calls))
	for _, c := range calls {
		customer := c.CDR.Customer.Name
		if customer == "" {
			customer = c.CDR.Customer.Dialable()
		}
		agent := ""
		if c.CDR.Agent != "" {
			agent = agentLabel(c.CDR.Agent)
		}
		out = append(out, simulator.LiveCall{
			ID: c.CDR.ID, Direction: string(c.CDR.Direction), Customer: customer, Agent: agent, State: c.State, Started: c.CDR.OfferedAt,
		})
	}
	return out
}

// freeSIPPort returns want if both transports can have it at this address, else a port that is free now.
func freeSIPPort(ip netip.Addr, want uint16) (uint16, error) {
	for _, port := range []uint16{want, 0, 0, 0} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(ip, port).String())
		if err != nil {
			continue
		}
		got := l.Addr().(*net.TCPAddr).AddrPort()
		u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(got))
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return got.Port(), nil
		}
	}
	return 0, fmt.Errorf("no free port for SIP at %s: is that an address of this machine?", ip)
}
