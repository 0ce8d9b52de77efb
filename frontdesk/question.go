package frontdesk

import (
	"context"
	"errors"
	"fmt"

	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

var (
	errNoLine     = errors.New("there is no such line")
	errNoCustomer = errors.New("the customer is not known")
)

// inquiry is a question about a customer, and whom it is about.
type inquiry struct {
	policy.Question
	line     *LineConfig
	customer bridge.Customer
}

// inquire gathers what a decision needs, all but Meta's answer. A customer who calls must not be lost because the disk cannot be
// read: that question goes without the history.
func (d *Desk) inquire(ctx context.Context, line string, c bridge.Customer, action policy.Action) (inquiry, error) {
	l, ok := d.line(line)
	switch {
	case !ok:
		return inquiry{}, fmt.Errorf("line %q: %w", line, errNoLine)
	case c.ID == "" && action != policy.ActionRing:
		return inquiry{}, fmt.Errorf("decide %s: %w", action, errNoCustomer)
	}
	i := inquiry{line: l, customer: c, Question: policy.Question{Action: action, Now: d.now(), Rules: l.Rules, Zone: l.Hours.Zone}}
	st, err := d.store.LineState(ctx, line)
	if err == nil && c.ID != "" {
		i.Pair, i.Global, _, err = d.store.PolicyState(ctx, line, c.ID)
	}
	if err != nil {
		if action != policy.ActionRing {
			return inquiry{}, fmt.Errorf("decide %s: %w", action, err)
		}
		d.log.Error("a customer's call is decided without its history", "line", line, "err", err)
	}
	i.Hours = hours(l, st)
	i.Line = policy.Line{Enabled: l.Enabled, Inbound: l.Inbound, Outbound: l.Outbound, Restricted: restrictions(st),
		Calls: d.cfg.Phones.Calls(line), MaxCalls: l.MaxCalls}
	return i, nil
}

// forGood is the end of what was opened or closed by hand without one.
const forGood = 10 // years

// hours are the line's with what somebody opened or closed by hand.
func hours(l *LineConfig, st store.LineState) policy.Hours {
	h := l.Hours
	if o := st.Override; o != nil {
		h.Once = &policy.HoursOnce{Open: o.Open, Until: o.Until}
		if o.Until.IsZero() {
			h.Once.Until = o.At.AddDate(forGood, 0, 0)
		}
	}
	return h
}

// live adds Meta's answer, asked for only when everything that needs no answer allows the action: a line that is off must not
// cost a request, and a Meta that is down must not hide that it is night.
func (d *Desk) live(ctx context.Context, i *inquiry) error {
	i.Live = nil
	if policy.Decide(i.Question).Rule != policy.RulePermissionUnknown {
		i.Live = i.Pair.Live // for what is possible instead, while it is fresh
		return nil
	}
	answer, err := i.line.Number.Live(ctx, i.customer)
	if err != nil {
		return err
	}
	i.Live, i.Now = &answer, d.now()
	if known := i.Pair.Live; known != nil && !answer.At.After(known.At) {
		return nil
	}
	e := policy.Event{Kind: policy.EventLive, At: answer.At, Live: &answer}
	if _, err := d.store.RecordEvent(ctx, i.line.ID, i.customer.ID, e, nil); err != nil {
		d.log.Warn("Meta's answer about a customer could not be kept; the decision holds it too", "line", i.line.ID, "err", err)
	}
	return nil
}

var errNotCounted = errors.New("the decision was not counted") // cannot be; unknown means no

// reserve decides and, where the decision allows it and also (may be nil) agrees, counts e in the same step. e has its time from
// the question. What also rejects is allowed but not counted.
func (d *Desk) reserve(ctx context.Context, i *inquiry, e policy.Event, also func(policy.Decision) bool) (policy.Decision, error) {
	var decision policy.Decision
	q, agreed := i.Question, false
	got, err := d.store.Reserve(ctx, i.line.ID, i.customer.ID, func(pair, global policy.State) (policy.Event, bool) {
		q.Pair, q.Global = pair, global
		decision = policy.Decide(q)
		e.At, e.Template = q.Now, decision.Template
		agreed = also == nil || also(decision)
		return e, decision.Allowed && agreed
	})
	switch {
	case err != nil: // the closure may still run, so nothing of it is looked at
		return policy.Decision{}, fmt.Errorf("count %s: %w", e.Kind, err)
	case got.Reserved != (decision.Allowed && agreed):
		return policy.Decision{}, errNotCounted
	}
	return decision, nil
}
