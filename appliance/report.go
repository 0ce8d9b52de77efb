package appliance

import (
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/sip"
)

var _ Reporter = (*App)(nil)

// Status implements Reporter.
func (a *App) Status() Status {
	s := Status{Version: a.opt.Version, Started: a.started, Ready: "ready", Draining: a.draining.Load(), Calls: len(a.exchange.Calls())}
	if err := a.Ready(); err != nil {
		s.Ready = err.Error()
	}
	settings := a.keeper.Settings()
	for _, l := range settings.Lines {
		state := "on"
		if !l.Enabled {
			state = "off"
		}
		s.Lines = append(s.Lines, MemberStatus{Name: l.ID, State: state})
	}
	for _, t := range a.sip.Trunks() {
		s.Trunks = append(s.Trunks, MemberStatus{Name: t.Name, State: trunkState(t)})
	}
	registered := map[string]int{}
	for _, r := range a.sip.Registrations() {
		registered[r.User]++
	}
	for _, p := range settings.Phones {
		state := "not registered"
		switch n := registered[p.Extension]; {
		case !p.Enabled:
			state = "off"
		case n == 1:
			state = "registered"
		case n > 1:
			state = fmt.Sprintf("registered from %d places", n)
		}
		s.Phones = append(s.Phones, MemberStatus{Name: p.Extension, State: state})
	}
	return s
}

// Calls implements Reporter: the running calls, customers masked.
func (a *App) Calls() []CallStatus {
	running := a.exchange.Calls()
	out := make([]CallStatus, 0, len(running))
	for _, c := range running {
		out = append(out, callStatus(c.CDR))
	}
	return out
}

func callStatus(c bridge.CDR) CallStatus {
	since := c.OfferedAt
	if !c.AnsweredAt.IsZero() {
		since = c.AnsweredAt
	}
	customer := c.Customer.Username
	if c.Customer.Phone != "" {
		customer = Number(c.Customer.Phone).Mask()
	}
	return CallStatus{
		ID: c.ID, Direction: string(c.Direction), Line: c.Line, State: c.State, Agent: c.Agent, Customer: customer, Since: since.Round(time.Millisecond),
	}
}

func trunkState(t sip.TrunkStatus) string {
	switch {
	case t.Error != "":
		return t.Error
	case t.Registered:
		return "registered"
	case t.Up:
		return "up"
	}
	return "not reachable yet"
}
