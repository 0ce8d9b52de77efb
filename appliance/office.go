package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// Office answers what an operator asks about customers and lines.
type Office interface {
	// Explain decides without doing or counting anything.
	Explain(ctx context.Context, q ExplainQuery) (Explanation, error)
	// ExplainCall repeats the decision about a call from the ledger alone.
	ExplainCall(ctx context.Context, call string) (Explanation, error)
	// LineAtMeta is a line's settings at Meta beside ours; with apply ours are put in force there first.
	LineAtMeta(ctx context.Context, line string, apply bool) (frontdesk.MetaState, error)
	// AdoptFromMeta takes over what somebody set at Meta into our settings.
	AdoptFromMeta(ctx context.Context, line string) ([]Change, error)
	// ImportHolidays puts the events of a calendar file into a line's call hours as closed dates.
	ImportHolidays(ctx context.Context, line string, calendar io.Reader) ([]Change, error)
	Templates(ctx context.Context, line string) ([]graph.Template, error)
	CreateTemplate(ctx context.Context, o TemplateOrder) (graph.Template, error)
	DeleteTemplate(ctx context.Context, line, name string) error
	// Callbacks are the requests somebody still has to call for, the one due first first.
	Callbacks(ctx context.Context) ([]CallbackRow, error)
}

// ExplainQuery asks about a customer as people name them: a number, an alias, or our ID.
type ExplainQuery struct {
	Line     string
	Customer string
	Action   policy.Action // empty: call
	At       time.Time     // zero: now
	Live     bool          // ask Meta
}

// Explanation is a decision with what it rests on.
type Explanation struct {
	Line       string                 `json:"line"`
	Customer   string                 `json:"customer"` // our ID
	Number     string                 `json:"number"`   // masked
	At         time.Time              `json:"at"`
	Zone       string                 `json:"zone,omitempty"`
	Permission policy.PermissionState `json:"permission"`
	Window     time.Time              `json:"window,omitzero"` // free-form messages may be sent until then
	Decision   policy.Decision        `json:"decision"`
	History    []store.PolicyEvent    `json:"history,omitempty"` // newest last
	// Replayed, on ExplainCall, says that the stored facts give the stored decision again.
	Replayed *bool `json:"replayed,omitempty"`
}

var _ Office = (*App)(nil)

// historyShown is how many events an explanation carries.
const historyShown = 200

var errNoCustomer = errors.New("no such customer: give the number with country code, the alias, or the ID of a call's record")

// whoIs finds a customer by number, alias or our ID, without making one.
func (a *App) whoIs(ctx context.Context, text, country string) (bridge.Customer, error) {
	digits := strings.TrimPrefix(text, "+")
	if strings.HasPrefix(digits, aliasPrefix) {
		if c, err := a.store.ByAlias(ctx, digits); err == nil {
			return c, nil
		}
	}
	if number, err := normalizeNumber(text, country); err == nil {
		c, err := a.store.ByPhone(ctx, number)
		if errors.Is(err, store.ErrNotFound) { // nothing is known: a decision can still be made
			return bridge.Customer{Phone: number}, nil
		}
		return c, err
	}
	c, err := a.store.Customer(ctx, text)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return c, errNoCustomer
	}
	return c, err
}

// Explain implements Office.
func (a *App) Explain(ctx context.Context, q ExplainQuery) (Explanation, error) {
	l, ok := a.plan.plant.Load().line(q.Line)
	if !ok {
		return Explanation{}, fmt.Errorf("there is no line %q", q.Line)
	}
	c, err := a.whoIs(ctx, q.Customer, l.Country)
	if err != nil {
		return Explanation{}, err
	}
	if q.Action == "" {
		q.Action = policy.ActionCall
	}
	if c.ID == "" { // an ID nobody has: it stands for no history at all
		c.ID = "unknown"
		q.Live = false
	}
	e := Explanation{Line: l.ID, Customer: c.ID, Number: Number(c.Phone).Mask(), At: q.At, Zone: l.Hours.TimeZone}
	if e.At.IsZero() {
		e.At = a.opt.Now()
	}
	if e.Decision, err = a.desk.Explain(ctx, l.ID, c, q.Action, q.At, q.Live); err != nil {
		return e, err
	}
	pair, _, _, err := a.store.PolicyState(ctx, l.ID, c.ID)
	if err != nil {
		return e, err
	}
	e.Permission = pair.Permission(e.At)
	if open, until := pair.Window(e.At); open {
		e.Window = until
	}
	e.History, err = a.history(ctx, l.ID, c.ID)
	return e, err
}

// history is the newest events of a line and customer.
func (a *App) history(ctx context.Context, line, customer string) ([]store.PolicyEvent, error) {
	var all []store.PolicyEvent
	for after := uint64(0); ; {
		page, err := a.store.PolicyEvents(ctx, line, customer, after, 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if n := len(all); n > historyShown {
			all = slices.Clone(all[n-historyShown:])
		}
		if len(page) < 1000 {
			return all, nil
		}
		after = page[len(page)-1].Seq
	}
}

// ExplainCall implements Office.
func (a *App) ExplainCall(ctx context.Context, call string) (Explanation, error) {
	data, err := a.store.Decision(ctx, call)
	if errors.Is(err, store.ErrNotFound) {
		return Explanation{}, fmt.Errorf("no decision is kept about call %q", call)
	}
	if err != nil {
		return Explanation{}, err
	}
	var d policy.Decision
	if err := json.Unmarshal(data, &d); err != nil || d.Facts == nil {
		return Explanation{}, fmt.Errorf("the decision about call %q cannot be read: %w", call, err)
	}
	facts, err := json.Marshal(d.Facts)
	if err != nil {
		return Explanation{}, err
	}
	again, err := policy.Replay(facts)
	if err != nil {
		return Explanation{}, err
	}
	same := again.Allowed == d.Allowed && again.Rule == d.Rule && again.NextAllowed.Equal(d.NextAllowed)
	e := Explanation{At: d.Facts.Now, Zone: d.Facts.Zone, Decision: d, Permission: d.Facts.Pair.Permission(d.Facts.Now), Replayed: &same}
	if cdr, err := a.store.Call(ctx, call); err == nil {
		e.Line, e.Customer, e.Number = cdr.Line, cdr.Customer.ID, Number(cdr.Customer.Phone).Mask()
	}
	return e, nil
}

// LineAtMeta implements Office.
func (a *App) LineAtMeta(ctx context.Context, line string, apply bool) (frontdesk.MetaState, error) {
	return a.desk.SyncLine(ctx, line, apply)
}
