package appliance

import (
	"context"
	"errors"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// overrideFor is how long a line that was opened or closed by hand stays so when its hours never change by themselves.
const overrideFor = 12 * time.Hour

// feature is what a feature code does. Most answer with a voice; the ones that call somebody back lead to an ordinary call,
// decided like any other.
func (d *dialPlan) feature(ctx context.Context, p *plant, o bridge.Offer, who caller, f ivr.Feature, argument string) (bridge.Route, bridge.Cause) {
	if o.Peer == "" || len(p.usable(who)) == 0 {
		return bridge.Route{}, notAllowed()
	}
	switch f {
	case ivr.FeatureAsk, ivr.FeatureButton, ivr.FeatureStatus:
		return d.aboutCustomer(ctx, p, o, who, f, argument)
	case ivr.FeatureNextCall:
		return d.nextCallback(ctx, p, o, who)
	case ivr.FeatureReturn:
		return d.lastMissed(ctx, p, o, who)
	case ivr.FeatureAvailable, ivr.FeatureUnavailable:
		a := store.Availability{Target: agentOf(o), Available: f == ivr.FeatureAvailable, Since: d.now(), By: agentOf(o)}
		if _, err := d.customers.SetAvailability(ctx, a); err != nil {
			return d.trouble(who, f, "an agent's availability could not be kept", err)
		}
		d.desk.Look()
		if a.Available {
			return d.say(who, f, ivr.SayAvailable), bridge.Cause{}
		}
		return d.say(who, f, ivr.SayUnavailable), bridge.Cause{}
	case ivr.FeatureHours:
		return d.hoursOverride(ctx, p, o, who, argument)
	}
	return d.say(who, f, ivr.SayUnknownCode), bridge.Cause{}
}

// say answers with an announcement.
func (d *dialPlan) say(who caller, f ivr.Feature, s ivr.Speech) bridge.Route {
	return bridge.Route{Feature: string(f), Stage: bridge.Stage{Targets: d.menu(ivr.Announcement(who.language, string(f), s))}}
}

func (d *dialPlan) trouble(who caller, f ivr.Feature, what string, err error) (bridge.Route, bridge.Cause) {
	d.log.Error(what, "err", err)
	return d.say(who, f, ivr.SayServiceDown), bridge.Cause{}
}

// aboutCustomer asks, sends a button, or tells whether a customer may be called.
func (d *dialPlan) aboutCustomer(ctx context.Context, p *plant, o bridge.Offer, who caller, f ivr.Feature, number string) (bridge.Route, bridge.Cause) {
	if number == "" {
		return d.say(who, f, ivr.SayNumberMissing), bridge.Cause{}
	}
	o.Dialled = number
	l, number, ok := p.chooseLine(o, who)
	if !ok {
		return bridge.Route{}, notAllowed()
	}
	c, cause := d.customer(ctx, number, l.Country)
	if !cause.IsZero() {
		return d.say(who, f, ivr.SayBadNumber), bridge.Cause{}
	}
	req, now := d.request(o, l, c), d.now().In(l.zone())
	var m ivr.Menu
	switch f {
	case ivr.FeatureAsk:
		m = ivr.AskMenu(who.language, l.zone(), req, d.desk)
	case ivr.FeatureButton:
		m = ivr.ButtonMenu(who.language, l.zone(), req, d.desk)
	default:
		decision, err := d.desk.Explain(ctx, l.ID, c, policy.ActionCall, time.Time{}, true)
		if err != nil {
			return d.trouble(who, f, "a customer's status could not be decided", err)
		}
		m = ivr.StatusMenu(who.language, l.withTemplates(decision), req, d.desk, now)
	}
	return bridge.Route{Line: l.ID, Customer: c, Feature: string(f), Stage: bridge.Stage{Targets: d.menu(m)}}, bridge.Cause{}
}

// nextCallback calls the customer whose callback is due first.
func (d *dialPlan) nextCallback(ctx context.Context, p *plant, o bridge.Offer, who caller) (bridge.Route, bridge.Cause) {
	lines := p.usable(who)
	cb, found, err := d.desk.NextCallback(ctx, agentOf(o), func(line string) bool { return slices.Contains(lines, line) })
	if err != nil {
		return d.trouble(who, ivr.FeatureNextCall, "the callback requests could not be read", err)
	}
	if !found {
		return d.say(who, ivr.FeatureNextCall, ivr.SayNoCallback), bridge.Cause{}
	}
	return d.callBack(ctx, p, o, who, cb.Line, cb.Customer)
}

// lastMissed calls the customer whose call was missed last.
func (d *dialPlan) lastMissed(ctx context.Context, p *plant, o bridge.Offer, who caller) (bridge.Route, bridge.Cause) {
	cdr, err := d.customers.LastMissed(ctx, p.usable(who)...)
	if errors.Is(err, store.ErrNotFound) {
		return d.say(who, ivr.FeatureReturn, ivr.SayNoMissedCall), bridge.Cause{}
	}
	if err != nil {
		return d.trouble(who, ivr.FeatureReturn, "the missed calls could not be read", err)
	}
	return d.callBack(ctx, p, o, who, cdr.Line, cdr.Customer.ID)
}

func (d *dialPlan) callBack(ctx context.Context, p *plant, o bridge.Offer, who caller, line, customer string) (bridge.Route, bridge.Cause) {
	l, ok := p.line(line)
	c, err := d.customers.Customer(ctx, customer)
	if !ok || err != nil {
		return d.trouble(who, ivr.FeatureReturn, "the customer to call back could not be read", err)
	}
	return d.toCustomer(ctx, p, o, who, l, c), bridge.Cause{}
}

// hoursOverride opens or closes the caller's line until its hours change by themselves.
func (d *dialPlan) hoursOverride(ctx context.Context, p *plant, o bridge.Offer, who caller, choice string) (bridge.Route, bridge.Cause) {
	const f = ivr.FeatureHours
	l, ok := p.line(who.line)
	switch {
	case !ok || !who.supervisor:
		return bridge.Route{}, bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RuleNotAllowed, Text: "This phone may not open or close the line. Set supervisor: true for it."}
	case choice == "":
		return d.say(who, f, ivr.SayChoiceMissing), bridge.Cause{}
	}
	now := d.now()
	var over *store.HoursOverride
	said := ivr.SayHoursNormal
	if choice != ivr.HoursNormal {
		until, ok := l.LineHours().NextChange(now)
		if !ok {
			until = now.Add(overrideFor)
		}
		over = &store.HoursOverride{Open: choice == ivr.HoursOpen, Until: until, By: agentOf(o), At: now}
		if said = ivr.SayHoursClosed; over.Open {
			said = ivr.SayHoursOpen
		}
	}
	if _, err := d.customers.SetLineOverride(ctx, l.ID, over, now); err != nil {
		return d.trouble(who, f, "the line could not be opened or closed by hand", err)
	}
	d.log.Info("a line was opened or closed by hand", "line", l.ID, "choice", choice, "by", agentOf(o))
	d.desk.Look()
	return d.say(who, f, said), bridge.Cause{}
}
