package appliance

import (
	"context"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/ivr"
	"deskbridge/policy"
)

const (
	// firstRing is how long the agent whose call button was pressed rings alone.
	firstRing      = 15 * time.Second
	overflowRing   = 20 * time.Second
	maxInboundRing = 55 * time.Second // in all: Meta gives up at 60 s (contract §17)
)

// inbound rings the line's phones, then its overflow, then a voice that takes a callback request.
func (d *dialPlan) inbound(ctx context.Context, o bridge.Offer) (bridge.Route, bridge.Cause) {
	p := d.plant.Load()
	l, ok := p.line(o.Line)
	if !ok {
		return bridge.Route{}, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonNoRoute, Text: "The line was removed from the settings."}
	}
	r := bridge.Route{Line: l.ID, LineName: l.Label(), Customer: o.Customer, Recording: d.recordingPlan(ctx, p, l, o.Call)}
	away := d.away(ctx)
	ring := d.ringTimeout
	if l.Inbound.RingTimeout > 0 {
		ring = l.Inbound.RingTimeout
	}
	var stages []bridge.Stage
	if first := frontdesk.PayloadAgent(o.Payload); slices.Contains(l.Inbound.Ring, first) || slices.Contains(l.Inbound.Overflow, first) {
		stages = append(stages, bridge.Stage{Targets: p.targets([]string{first}, away), RingTimeout: min(firstRing, ring)})
	}
	stages = append(stages, bridge.Stage{Targets: p.targets(l.Inbound.Ring, away), RingTimeout: ring})
	if len(l.Inbound.Overflow) > 0 {
		timeout := l.Inbound.OverflowTimeout
		if timeout == 0 {
			timeout = overflowRing
		}
		stages = append(stages, bridge.Stage{Targets: p.targets(l.Inbound.Overflow, away), RingTimeout: timeout})
	}
	stages = slices.DeleteFunc(stages, func(s bridge.Stage) bool { return len(s.Targets) == 0 })
	limitRing(stages)
	req := ivr.Request{Call: o.Call, Line: l.ID, Customer: o.Customer, Wacid: o.Wacid}
	if l.Inbound.Menu {
		menu := ivr.ClosedMenu(l.Language, ivr.ClosedNobody, time.Time{}, req, d.desk, d.now().In(l.zone()))
		stages = append(stages, bridge.Stage{Targets: d.menu(menu)})
	}
	if len(stages) > 0 {
		r.Stage, r.Next = stages[0], stages[1:]
	}
	r.Refused = func(dec policy.Decision) bridge.Stage {
		if !l.explains(dec) {
			return bridge.Stage{}
		}
		if dec.Rule == ruleRecording {
			return bridge.Stage{Targets: d.menu(ivr.ClosedMenu(l.Language, ivr.ClosedNobody, time.Time{}, req, d.desk, d.now().In(l.zone())))}
		}
		return bridge.Stage{Targets: d.menu(ivr.RefusedMenu(l.Language, dec, req, d.desk, d.now().In(l.zone())))}
	}
	return r, bridge.Cause{}
}

// limitRing shortens the later stages so that the customer does not wait longer than Meta lets them.
func limitRing(stages []bridge.Stage) {
	left := maxInboundRing
	for i := range stages {
		stages[i].RingTimeout = max(min(stages[i].RingTimeout, left), time.Second)
		left -= stages[i].RingTimeout
	}
}

// explains reports whether a customer whom policy refuses is told so by a voice. Somebody who is blocked, or whose call comes
// to a line that is off, is not.
func (l Line) explains(d policy.Decision) bool {
	switch d.Rule {
	case policy.RuleHours:
		return l.Hours.Outside != string(frontdesk.ModePopup)
	case policy.RuleConcurrency, policy.RuleRestricted, ruleRecording:
		return l.Inbound.Menu
	}
	return false
}

func (l Line) zone() *time.Location {
	if z, err := time.LoadLocation(l.Hours.TimeZone); err == nil {
		return z
	}
	return time.UTC
}

// menu is who answers with a menu.
func (d *dialPlan) menu(m ivr.Menu) []bridge.Target {
	return []bridge.Target{{Dialer: d.menus.Dialer(m), Name: "menu:" + m.Name}}
}

// away are the targets whose agents said that they are not available. When the disk cannot tell, everybody rings.
func (d *dialPlan) away(ctx context.Context) map[string]bool {
	list, err := d.customers.Availabilities(ctx)
	if err != nil {
		d.log.Warn("nobody knows which agents are available; all phones ring", "err", err)
	}
	away := map[string]bool{}
	for _, a := range list {
		if !a.Available {
			away[a.Target] = true
		}
	}
	return away
}

// targets are the phones of these names that exist and are not away.
func (p *plant) targets(names []string, away map[string]bool) []bridge.Target {
	var out []bridge.Target
	for _, name := range names {
		if away[name] {
			continue
		}
		if t, ok := p.target(name); ok {
			out = append(out, t)
		}
	}
	return out
}

func (p *plant) target(name string) (bridge.Target, bool) {
	t, err := ParseTarget(name)
	if err != nil {
		return bridge.Target{}, false // Validate lets no such target through
	}
	dialer := p.phone(t.Number)
	if t.Trunk != "" {
		dialer = p.trunk(t.Trunk)
	}
	if dialer == nil {
		return bridge.Target{}, false
	}
	return bridge.Target{Dialer: dialer, Name: name, Address: t.Number}, true
}
