package appliance

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"deskbridge/admin"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/store"
)

// buildPanel wires the admin listener. The accounts exist without it too: the command line manages them.
func (a *App) buildPanel() error {
	c := a.cfg.Admin
	data := panelStore{a.store}
	a.accounts = admin.NewAccounts(admin.Stores{Accounts: data, Credentials: data, Audit: data}, a.opt.Now)
	if c.Listen == "" {
		return nil
	}
	o := admin.Options{
		Listen: c.Listen, Accounts: a.accounts, Audit: data, Calls: data, Live: panelLive{a.exchange}, Settings: panelSettings{a.keeper},
		System: panelSystem{a}, Sounds: panelSound{a.recordings, a.exchange}, Customers: panelDesk{a}, Callbacks: panelDesk{a}, Agents: panelDesk{a}, Lines: panelDesk{a},
		Recordings: a.recordings.Links(), Log: a.log.With("part", "admin"), Now: a.opt.Now,
	}
	if c.TLS.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
		if err != nil {
			return fmt.Errorf("admin.tls: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	for _, text := range c.TrustedProxies {
		n, err := ParseNetwork(text)
		if err != nil {
			return fmt.Errorf("admin.trusted_proxies: %w", err)
		}
		o.TrustedProxies = append(o.TrustedProxies, n)
	}
	var err error
	if a.admin, err = admin.New(o); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	a.onStop("admin", a.admin.Stop)
	return nil
}

// AdminURL is where a browser on this machine finds the panel; empty when it is switched off.
func (a *App) AdminURL() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.URL()
}

// Accounts are the people who may sign in to the panel.
func (a *App) Accounts() *admin.Accounts { return a.accounts }

// panelLive are the running calls as admin wants them.
type panelLive struct{ x *bridge.Exchange }

var _ admin.LiveCalls = panelLive{}

// Running implements admin.LiveCalls.
func (p panelLive) Running(s admin.Scope) []admin.CallRecord {
	var list []admin.CallRecord
	for _, c := range p.x.Calls() {
		if !inScope(&c.CDR, s) {
			continue
		}
		r := admin.CallRecord{CDR: c.CDR, Group: "running"}
		if !c.CDR.AnsweredAt.IsZero() {
			r.Talk = time.Since(c.CDR.AnsweredAt)
		}
		list = append(list, r)
	}
	return list
}

// Watch implements admin.LiveCalls.
func (p panelLive) Watch() (<-chan struct{}, func()) { return p.x.Watch() }

// Hangup implements admin.LiveCalls.
func (p panelLive) Hangup(id string) bool {
	return p.x.Hangup(id, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonHangup, Text: "Hung up from the panel."})
}

func inScope(c *bridge.CDR, s admin.Scope) bool {
	return s.All || store.HandledBy(c, s.Targets, s.Rang)
}

// panelSystem says how the appliance is.
type panelSystem struct{ a *App }

var _ admin.System = panelSystem{}

// Ready implements admin.Health.
func (p panelSystem) Ready() error { return p.a.Ready() }

// Status implements admin.System.
func (p panelSystem) Status() admin.SystemStatus {
	a := p.a
	s := admin.SystemStatus{
		Version: a.opt.Version, Started: a.started.UTC(), Uptime: time.Since(a.started).Seconds(), Ready: true, Draining: a.draining.Load(),
		Calls: len(a.exchange.Calls()), MaxCalls: a.cfg.Calls.Max, Disk: a.store.Level().String(), Opus: media.OpusVersion(),
	}
	if err := a.Ready(); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	var st unix.Statfs_t
	if a.store.Level() != store.Stuck && unix.Statfs(a.cfg.DataDir, &st) == nil { // a stuck disk would hold the question
		s.DiskFree = int64(st.Bavail) * st.Bsize
	}
	return s
}

// Connections implements admin.System.
func (p panelSystem) Connections() admin.Connections {
	settings := p.a.keeper.Settings()
	var c admin.Connections
	for _, l := range settings.Lines {
		c.Lines = append(c.Lines, admin.LineState{ID: l.ID, Name: l.Label(), Number: l.DisplayNumber, Enabled: l.Enabled,
			Inbound: l.Enabled && l.Inbound.Enabled, Outbound: l.Enabled && l.Outbound.Enabled})
	}
	c.Trunks = p.trunks(settings)
	places := map[string][]admin.Registration{}
	for _, r := range p.a.sip.Registrations() {
		places[r.User] = append(places[r.User], admin.Registration{Address: hostOf(r.Source), Agent: r.Agent, Expires: r.Expires.UTC()})
	}
	for _, ph := range settings.Phones {
		c.Phones = append(c.Phones, admin.PhoneState{Extension: ph.Extension, Target: Target{Number: ph.Extension}.String(), Name: ph.Name,
			Enabled: ph.Enabled, Places: places[ph.Extension]})
	}
	return c
}

func (p panelSystem) trunks(settings *Settings) (list []admin.TrunkState) {
	for _, t := range settings.Trunks {
		s := admin.TrunkState{Name: t.Name, Enabled: t.Enabled}
		for _, now := range p.a.sip.Trunks() {
			if now.Name == t.Name {
				s.Up, s.Registered, s.Error, s.Since = now.Up, now.Registered, now.Error, now.Since
				s.RTT = float64(now.RTT.Microseconds()) / 1000
			}
		}
		list = append(list, s)
	}
	return list
}

// hostOf is the address without its transport and port, which mean nothing to people.
func hostOf(source string) string {
	if _, rest, ok := strings.Cut(source, ":"); ok && (strings.HasPrefix(source, "udp:") || strings.HasPrefix(source, "tcp:") || strings.HasPrefix(source, "tls:")) {
		source = rest
	}
	if a, err := netip.ParseAddrPort(source); err == nil {
		return a.Addr().String()
	}
	return source
}
