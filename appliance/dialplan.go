package appliance

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nyaruka/phonenumbers"

	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

// aliasPrefix begins every alias of a customer without a phone number: +999 is not assigned to any country (ITU E.164).
const aliasPrefix = "999"

// customers is what the dial plan needs of the store.
type customers interface {
	Resolve(ctx context.Context, id store.Identity) (bridge.Customer, error)
	ByAlias(ctx context.Context, alias string) (bridge.Customer, error)
}

// callLine is what the appliance needs of a WhatsApp line.
type callLine interface {
	bridge.Dialer
	// Terminate and Disown end a call that a crash left open, by Meta's ID or by ours.
	Terminate(ctx context.Context, wacid string) error
	Disown(call string)
	// Permission asks Meta, and says what it answered.
	Permission(ctx context.Context, c bridge.Customer) (policy.Facts, error)
}

// plant is one version of the settings together with the running things they name. It is immutable: a change of settings
// makes a new one, and calls that began under the old keep what they got from it.
type plant struct {
	settings *Settings
	lines    map[string]callLine
	// phone and trunk give the dialer of a target; nil when there is none of that name.
	phone func(extension string) bridge.Dialer
	trunk func(name string) bridge.Dialer
}

func (p *plant) line(id string) (Line, bool) {
	for _, l := range p.settings.Lines {
		if l.ID == id {
			return l, true
		}
	}
	return Line{}, false
}

// dialPlan answers the exchange's two questions, who is rung and may it happen, from the settings in force.
type dialPlan struct {
	plant       atomic.Pointer[plant]
	customers   customers
	ringTimeout time.Duration
	dialTimeout time.Duration
	now         func() time.Time
}

var (
	_ bridge.Router     = (*dialPlan)(nil)
	_ bridge.Authorizer = (*dialPlan)(nil)
)

// Route implements bridge.Router.
func (d *dialPlan) Route(ctx context.Context, o bridge.Offer) (bridge.Route, bridge.Cause) {
	if o.Direction == bridge.Inbound {
		return d.inbound(o)
	}
	return d.outbound(ctx, o)
}

func (d *dialPlan) inbound(o bridge.Offer) (bridge.Route, bridge.Cause) {
	p := d.plant.Load()
	l, ok := p.line(o.Line)
	if !ok {
		return bridge.Route{}, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonNoRoute, Text: "The line was removed from the settings."}
	}
	r := bridge.Route{Line: l.ID, LineName: l.Label(), Customer: o.Customer, Stage: bridge.Stage{RingTimeout: d.ringTimeout}}
	if l.Inbound.RingTimeout > 0 {
		r.RingTimeout = l.Inbound.RingTimeout
	}
	for _, text := range l.Inbound.Ring {
		t, err := ParseTarget(text)
		if err != nil {
			continue // Validate lets no such target through
		}
		dialer := p.phone(t.Number)
		if t.Trunk != "" {
			dialer = p.trunk(t.Trunk)
		}
		if dialer != nil {
			r.Targets = append(r.Targets, bridge.Target{Dialer: dialer, Name: text, Address: t.Number})
		}
	}
	return r, bridge.Cause{}
}

func (d *dialPlan) outbound(ctx context.Context, o bridge.Offer) (bridge.Route, bridge.Cause) {
	p := d.plant.Load()
	l, number, ok := p.chooseLine(o)
	if !ok {
		return bridge.Route{}, bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RuleNotAllowed, Text: "This phone may not dial over a WhatsApp line. Give it a line, or dial the line's prefix first."}
	}
	c, cause := d.customer(ctx, number, l.Country)
	if !cause.IsZero() {
		return bridge.Route{Line: l.ID}, cause
	}
	return bridge.Route{
		Line: l.ID, LineName: l.Label(), Customer: c,
		Stage: bridge.Stage{Targets: []bridge.Target{{Dialer: p.lines[l.ID], Name: "line:" + l.ID}}, RingTimeout: d.dialTimeout},
	}, bridge.Cause{}
}

// chooseLine finds the line of an outbound call: the one whose prefix was dialled, else the caller's own. The prefix is
// taken off the number. A prefix of a line the caller may not use is an ordinary part of the number.
func (p *plant) chooseLine(o bridge.Offer) (l Line, number string, ok bool) {
	def, may := p.rights(o)
	best := -1
	for i, line := range p.settings.Lines {
		pre := line.Outbound.Prefix
		if pre == "" || !may(line.ID) || !strings.HasPrefix(o.Dialled, pre) {
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
	l, ok = p.line(def)
	return l, o.Dialled, ok
}

// rights are the default line of whoever dialled, and the lines it may use.
func (p *plant) rights(o bridge.Offer) (def string, may func(line string) bool) {
	for _, ph := range p.settings.Phones {
		if o.Peer == "phone:"+ph.Extension {
			return ph.Line, ph.MayDial
		}
	}
	for _, t := range p.settings.Trunks {
		if o.Peer == "trunk:"+t.Name {
			return t.Line, t.MayDial
		}
	}
	return "", func(string) bool { return false }
}

// customer reads what was dialled: an alias, or a phone number as people of the line's country write it.
func (d *dialPlan) customer(ctx context.Context, dialled, country string) (bridge.Customer, bridge.Cause) {
	digits := strings.TrimPrefix(dialled, "+")
	if strings.HasPrefix(digits, aliasPrefix) {
		c, err := d.customers.ByAlias(ctx, digits)
		return c, lookupCause(err)
	}
	phone, err := normalizeNumber(dialled, country)
	if err != nil {
		return bridge.Customer{}, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber, Text: err.Error()}
	}
	c, err := d.customers.Resolve(ctx, store.Identity{Phone: phone})
	return c, lookupCause(err)
}

func lookupCause(err error) bridge.Cause {
	switch {
	case err == nil:
		return bridge.Cause{}
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
		return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber, Text: "No customer is known under this number."}
	}
	return bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal, Text: "The customer could not be looked up.", RetryAfter: 10 * time.Second}
}

var errBadNumber = errors.New("This is not a phone number: dial it with country code, or the way it is dialled in the line's own country.") //nolint:staticcheck // a sentence for people: it is shown on phones

// normalizeNumber returns the E.164 digits, without +, of a number dialled as 08…, 62…, +62… or 0062….
func normalizeNumber(dialled, country string) (string, error) {
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/", r) {
			return -1
		}
		return r
	}, dialled)
	if len(s) > 20 || strings.TrimLeft(strings.TrimPrefix(s, "+"), "0123456789") != "" {
		return "", errBadNumber
	}
	if rest, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + rest
	}
	if n, err := phonenumbers.Parse(s, strings.ToUpper(country)); err == nil && phonenumbers.IsValidNumber(n) {
		return strings.TrimPrefix(phonenumbers.Format(n, phonenumbers.E164), "+"), nil
	}
	// Digits that begin with a country code but without the +, as WhatsApp itself shows them; and numbers newer than our
	// copy of the world's numbering plans. Meta has the last word on whether anybody is there.
	digits := strings.TrimPrefix(s, "+")
	if len(digits) < 7 || len(digits) > 15 || digits[0] == '0' {
		return "", errBadNumber
	}
	return digits, nil
}

// Authorize implements bridge.Authorizer: the settings' static allow, and for outbound calls Meta's live permission.
func (d *dialPlan) Authorize(ctx context.Context, a bridge.Attempt) (policy.Decision, error) {
	p := d.plant.Load()
	l, ok := p.line(a.Line)
	facts := policy.Facts{Outbound: a.Direction == bridge.Outbound, LineOn: ok && l.Enabled, Allow: l.Inbound.Enabled}
	if facts.Outbound {
		facts.Allow = l.Outbound.Enabled
		if facts.LineOn && facts.Allow {
			live, err := p.lines[l.ID].Permission(ctx, a.Customer)
			if err != nil {
				return policy.Decision{}, err
			}
			facts.Permission, facts.PermissionExpires = live.Permission, live.PermissionExpires
			facts.CanStart, facts.NextStart = live.CanStart, live.NextStart
		}
	}
	return policy.Decide(facts, d.now()), nil
}
