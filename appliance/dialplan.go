package appliance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nyaruka/phonenumbers"

	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/store"
)

// aliasPrefix begins every alias of a customer without a phone number: +999 is not assigned to any country (ITU E.164).
const aliasPrefix = "999"

// customers is what the dial plan needs of the store.
type customers interface {
	Resolve(ctx context.Context, id store.Identity) (bridge.Customer, error)
	ByAlias(ctx context.Context, alias string) (bridge.Customer, error)
	Customer(ctx context.Context, id string) (bridge.Customer, error)
	Availabilities(ctx context.Context) ([]store.Availability, error)
	SetAvailability(ctx context.Context, a store.Availability) (changed bool, err error)
	LineState(ctx context.Context, line string) (store.LineState, error)
	SetLineOverride(ctx context.Context, line string, o *store.HoursOverride, at time.Time) (store.LineState, error)
	LastMissed(ctx context.Context, lines ...string) (bridge.CDR, error)
}

// callLine is what the appliance needs of a WhatsApp line.
type callLine interface {
	bridge.Dialer
	// Terminate and Disown end a call that a crash left open, by Meta's ID or by ours.
	Terminate(ctx context.Context, wacid string) error
	Disown(call string)
	frontdesk.Number
	CreateTemplate(ctx context.Context, s graph.TemplateSpec) (graph.Template, error)
	DeleteTemplate(ctx context.Context, name, id string) error
}

// plant is one version of the settings together with the running things they name. It is immutable: a change of settings
// makes a new one, and calls that began under the old keep what they got from it.
type plant struct {
	settings *Settings
	codes    ivr.Codes
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

// dialPlan says who is rung for a call, from the settings in force.
type dialPlan struct {
	plant       atomic.Pointer[plant]
	customers   customers
	desk        *frontdesk.Desk
	menus       *ivr.Menus
	prompts     *ivr.Library
	ringTimeout time.Duration
	dialTimeout time.Duration
	now         func() time.Time
	log         *slog.Logger
}

var _ bridge.Router = (*dialPlan)(nil)

// Route implements bridge.Router.
func (d *dialPlan) Route(ctx context.Context, o bridge.Offer) (bridge.Route, bridge.Cause) {
	if o.Direction == bridge.Inbound {
		return d.inbound(ctx, o)
	}
	return d.outbound(ctx, o)
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
