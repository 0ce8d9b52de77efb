package appliance

import (
	"context"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
)

// caller is what the settings say of whoever dials.
type caller struct {
	line       string // default line
	may        func(line string) bool
	language   string
	refusal    string // how refusals are explained: menu, announce, reject
	supervisor bool
}

// caller of an offer. Somebody unknown may do nothing.
func (p *plant) caller(o bridge.Offer) caller {
	for _, ph := range p.settings.Phones {
		if o.Peer == "phone:"+ph.Extension {
			return caller{ph.Line, ph.MayDial, firstOf(ph.Language, "en"), ph.Refusal, ph.Supervisor}
		}
	}
	for _, t := range p.settings.Trunks {
		if o.Peer == "trunk:"+t.Name {
			return caller{t.Line, t.MayDial, firstOf(t.Language, "en"), t.Refusal, false}
		}
	}
	return caller{may: func(string) bool { return false }, language: "en"}
}

// agentOf names who dialled, the way a route names whom it rings.
func agentOf(o bridge.Offer) string {
	if strings.HasPrefix(o.Peer, "trunk:") && o.From != "" {
		return o.Peer + "/" + o.From
	}
	return o.Peer
}

func (d *dialPlan) outbound(ctx context.Context, o bridge.Offer) (bridge.Route, bridge.Cause) {
	p := d.plant.Load()
	who := p.caller(o)
	if code, argument, ok := p.codes.Parse(o.Dialled); ok && o.Line == "" {
		return d.feature(ctx, p, o, who, code.Feature, argument)
	}
	l, number, ok := p.chooseLine(o, who)
	if !ok {
		return bridge.Route{}, notAllowed()
	}
	c, cause := d.customer(ctx, number, l.Country)
	if !cause.IsZero() {
		return bridge.Route{Line: l.ID}, cause
	}
	return d.toCustomer(ctx, p, o, who, l, c), bridge.Cause{}
}

func notAllowed() bridge.Cause {
	return bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RuleNotAllowed, Text: "This phone may not dial over a WhatsApp line. Give it a line, or dial the line's prefix first."}
}

// toCustomer calls a customer over a line; a caller who may not is told why by a menu.
func (d *dialPlan) toCustomer(ctx context.Context, p *plant, o bridge.Offer, who caller, l Line, c bridge.Customer) bridge.Route {
	r := bridge.Route{
		Line: l.ID, LineName: l.Label(), Customer: c,
		Stage:     bridge.Stage{Targets: []bridge.Target{{Dialer: p.lines[l.ID], Name: "line:" + l.ID}}, RingTimeout: d.dialTimeout},
		Recording: d.recordingPlan(ctx, p, l, o.Call),
	}
	if who.refusal != "reject" {
		r.Refused = func(dec policy.Decision) bridge.Stage { return d.explain(o, who, l, c, dec) }
	}
	return r
}

// explain tells an agent why the customer may not be called.
func (d *dialPlan) explain(o bridge.Offer, who caller, l Line, c bridge.Customer, dec policy.Decision) bridge.Stage {
	now := d.now().In(l.zone())
	if dec.Rule == ruleRecording {
		return bridge.Stage{Targets: d.menu(ivr.Announcement(who.language, "refusal", ivr.SayMustRecord)), Early: who.refusal == "announce" && o.Via == nil}
	}
	if who.refusal == "announce" && o.Via == nil {
		return bridge.Stage{Targets: d.menu(ivr.Announcement(who.language, "refusal", ivr.Sentence(dec, now))), Early: true}
	}
	return bridge.Stage{Targets: d.menu(ivr.RefusalMenu(who.language, l.withTemplates(dec), d.request(o, l, c), d.desk, now))}
}

// withTemplates is a refusal with what a template makes possible: policy knows of messages, not of templates, and so holds
// a call button for impossible outside the message window.
func (l Line) withTemplates(dec policy.Decision) policy.Decision {
	if dec.Facts == nil || l.Messages.ButtonTemplate.Name == "" || slices.Contains(dec.Possible, policy.ActionButton) {
		return dec
	}
	q := *dec.Facts
	q.Action = policy.ActionButton
	if policy.Decide(q).Rule == policy.RuleWindow {
		dec.Possible = append(slices.Clone(dec.Possible), policy.ActionButton)
	}
	return dec
}

func (d *dialPlan) request(o bridge.Offer, l Line, c bridge.Customer) ivr.Request {
	return ivr.Request{Call: o.Call, Line: l.ID, Customer: c, Agent: agentOf(o)}
}

// chooseLine finds the line of an outbound call: the one the call was made for, else the one whose prefix was dialled, else
// the caller's own. The prefix is taken off the number. A prefix of a line the caller may not use is an ordinary part of the
// number.
func (p *plant) chooseLine(o bridge.Offer, who caller) (l Line, number string, ok bool) {
	if o.Line != "" {
		l, ok = p.line(o.Line)
		return l, o.Dialled, ok && who.may(o.Line)
	}
	best := -1
	for i, line := range p.settings.Lines {
		pre := line.Outbound.Prefix
		if pre == "" || !who.may(line.ID) || !strings.HasPrefix(o.Dialled, pre) {
			continue
		}
		if best < 0 || len(pre) > len(p.settings.Lines[best].Outbound.Prefix) {
			best = i
		}
	}
	if best >= 0 {
		l = p.settings.Lines[best]
		return l, strings.TrimPrefix(o.Dialled, l.Outbound.Prefix), true
	}
	l, ok = p.line(who.line)
	return l, o.Dialled, ok
}

// usable are the lines the caller may dial over.
func (p *plant) usable(who caller) []string {
	var out []string
	for _, l := range p.settings.Lines {
		if l.Enabled && who.may(l.ID) {
			out = append(out, l.ID)
		}
	}
	return out
}
