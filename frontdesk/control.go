package frontdesk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// maxReason and maxOverride bound what a person gives. An override lifts limits that protect the customer, so it is for today.
const (
	maxReason   = 200
	maxOverride = policy.Day
)

// ErrControl says that what a person asked for lacks something; the error names it.
var ErrControl = errors.New("not possible like this")

// Control is what a person decides about a customer. It is in the ledger with their name; the reason is erased with the customer.
type Control struct {
	Line     string
	Customer bridge.Customer
	By       string // "user:anna", "phone:1001"
	Reason   string
	Until    time.Time // Override only
}

func (c Control) check(reason bool) error {
	switch {
	case c.Customer.ID == "":
		return fmt.Errorf("%w: %w", ErrControl, errNoCustomer)
	case strings.TrimSpace(c.By) == "":
		return fmt.Errorf("%w: nobody is named who decides it", ErrControl)
	case reason && strings.TrimSpace(c.Reason) == "":
		return fmt.Errorf("%w: no reason is given", ErrControl)
	case len(c.Reason) > maxReason:
		return fmt.Errorf("%w: the reason has %d bytes, allowed are %d", ErrControl, len(c.Reason), maxReason)
	}
	return nil
}

// Block puts a customer on the blocklist of all lines: no call in or out, no message.
func (d *Desk) Block(ctx context.Context, c Control) error {
	return d.control(ctx, c, policy.EventBlocked)
}

// Unblock takes a customer off it.
func (d *Desk) Unblock(ctx context.Context, c Control) error {
	return d.control(ctx, c, policy.EventFreed)
}

func (d *Desk) control(ctx context.Context, c Control, kind policy.EventKind) error {
	err := c.check(kind == policy.EventBlocked)
	if _, ok := d.line(c.Line); err == nil && !ok {
		err = fmt.Errorf("line %q: %w", c.Line, errNoLine)
	}
	if err == nil {
		e := policy.Event{Kind: kind, At: d.now(), By: c.By, Reason: strings.TrimSpace(c.Reason)}
		_, err = d.store.RecordEvent(ctx, c.Line, c.Customer.ID, e, nil)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	d.log.Info("the blocklist was changed", "event", string(kind), "customer", c.Customer.ID, "by", c.By)
	return nil
}

// Override lifts the profile's limits for an action (call, ask) until a time, never Meta's. The decision is how things stand then:
// Allowed with Override set means that it was recorded; otherwise nothing was, because the action is refused all the same, or allowed
// as it is.
func (d *Desk) Override(ctx context.Context, c Control, action policy.Action) (policy.Decision, error) {
	decision, err := d.override(ctx, c, action)
	if err != nil {
		return policy.Decision{}, fmt.Errorf("override: %w", err)
	}
	return decision, nil
}

func (d *Desk) override(ctx context.Context, c Control, action policy.Action) (policy.Decision, error) {
	now := d.now()
	if err := c.check(true); err != nil {
		return policy.Decision{}, err
	}
	switch {
	case action != policy.ActionCall && action != policy.ActionAsk:
		return policy.Decision{}, fmt.Errorf("%w: only calls and permission requests have limits", ErrControl)
	case !c.Until.After(now), c.Until.Sub(now) > maxOverride:
		return policy.Decision{}, fmt.Errorf("%w: it must end within %v from now", ErrControl, maxOverride)
	}
	i, err := d.inquire(ctx, c.Line, c.Customer, action)
	if err == nil {
		err = d.live(ctx, &i)
	}
	if err != nil {
		return policy.Decision{}, err
	}
	if before := policy.Decide(i.Question); before.Allowed {
		return before, nil
	}
	e := policy.Event{Kind: policy.EventOverride, At: i.Now, By: c.By, Reason: strings.TrimSpace(c.Reason), Expires: c.Until}
	var decision policy.Decision
	q := i.Question
	_, err = d.store.Reserve(ctx, c.Line, c.Customer.ID, func(pair, global policy.State) (policy.Event, bool) {
		q.Pair, q.Global = pair.Apply(e), global
		decision = policy.Decide(q)
		return e, decision.Allowed && decision.Override
	})
	if err != nil { // the closure may still run, so nothing of it is looked at
		return policy.Decision{}, err
	}
	if decision.Override {
		d.log.Warn("a supervisor lifted the limits for a customer", "line", c.Line, "customer", c.Customer.ID, "by", c.By, "until", c.Until)
		d.Look()
	}
	return decision, nil
}
