package frontdesk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// Heard takes what webhooks tell besides the course of calls. line and c are empty when the event is about none. An error means
// that nothing is lost as long as it is told again: every part may be repeated. What telling again cannot cure is logged and
// dropped, or it would come back for ever.
func (d *Desk) Heard(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	d.metrics.heard.WithLabelValues(ev.Kind.String()).Inc()
	err := d.hear(ctx, line, c, ev)
	if errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrTooLarge) || errors.Is(err, errNoLine) {
		d.log.Error("a webhook event cannot be kept; it is dropped", "kind", ev.Kind.String(), "line", line, "err", err)
		return nil
	}
	return err
}

func (d *Desk) hear(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	about := line != "" && c.ID != ""
	switch ev.Kind {
	case graph.KindPermission:
		if about {
			return d.replied(ctx, line, c, ev)
		}
	case graph.KindMessage:
		if about && ev.Message.Group == "" {
			return d.wrote(ctx, line, c, ev)
		}
	case graph.KindMessageStatus:
		return d.messageStatus(ctx, ev)
	case graph.KindIdentity:
		return d.identity(ctx, line, ev)
	case graph.KindSettings:
		d.settingsNews(line)
	case graph.KindRestriction, graph.KindViolation, graph.KindQuality:
		return d.accountNews(ctx, line, ev)
	case graph.KindTemplate:
		d.templateNews(ev)
	}
	return nil
}

// at is Meta's timestamp of an event, ours where it gave none.
func (d *Desk) at(ev *graph.Event) time.Time {
	if ev.At.IsZero() {
		return d.now()
	}
	return ev.At
}

// replied is a permission reply: one of the six scenarios of the contract, §10.5.
func (d *Desk) replied(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	m := ev.Message
	e := policy.Event{At: d.at(ev), ID: ev.ID, Context: m.Context, Automatic: m.Automatic, Permanent: m.Permanent, Expires: m.Expires}
	switch {
	case m.Granted:
		e.Kind = policy.EventGranted
	case m.Context != "" && !m.Automatic:
		e.Kind = policy.EventDeclined
	default: // by Meta after unanswered calls, or by the customer in the business profile
		e.Kind = policy.EventRevoked
	}
	if _, err := d.store.RecordEvent(ctx, line, c.ID, e, nil); err != nil {
		return err
	}
	if err := d.opened(ctx, line, c, ev); err != nil {
		return err
	}
	d.log.Info("a customer's call permission changed", "line", line, "customer", c.ID, "kind", string(e.Kind), "automatic", e.Automatic, "permanent", e.Permanent, "expires", e.Expires)
	if l, ok := d.line(line); ok {
		l.Number.Forget(c) // what Meta said before holds no longer
	}
	d.rings.news(c.ID)
	if m.Granted && m.Automatic && m.AnswersCall() {
		if err := d.automaticCallback(ctx, line, c, ev); err != nil {
			return err
		}
	}
	d.Look()
	return nil
}

// wrote is a message of a customer.
func (d *Desk) wrote(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	if ev.ID != "" {
		m := store.Message{Line: line, Customer: c.ID, Kind: firstOf(ev.Message.Type, "unknown"), At: d.at(ev), Wamid: ev.ID, Text: ev.Message.Text}
		if _, _, err := d.store.ReceiveMessage(ctx, m); err != nil {
			return err
		}
	}
	return d.opened(ctx, line, c, ev)
}

// opened counts the 24-hour window from a message or a tap of the customer's (contract §11.3).
func (d *Desk) opened(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	if !ev.OpensWindow() {
		return nil
	}
	_, err := d.store.RecordEvent(ctx, line, c.ID, policy.Event{Kind: policy.EventWrote, At: d.at(ev), ID: ev.ID}, nil)
	return err
}

// identity is a customer with a new number or user ID (contract §16.4). Whether permissions survive that is not documented, so Meta
// is asked again.
func (d *Desk) identity(ctx context.Context, line string, ev *graph.Event) error {
	if ev.Change == nil {
		return nil
	}
	c, err := d.store.ChangeIdentity(ctx, identityOf(ev.Change.Before), identityOf(ev.Change.Now))
	if errors.Is(err, store.ErrNotFound) {
		return nil // nobody we know
	}
	if err != nil {
		return fmt.Errorf("change of identity: %w", err)
	}
	if l, ok := d.line(line); ok {
		l.Number.Forget(c)
	}
	d.log.Info("a customer has a new number or user ID", "customer", c.ID, "type", ev.Change.Type)
	return nil
}

func identityOf(id graph.Identity) store.Identity {
	return store.Identity{Phone: id.Phone, BSUID: id.BSUID, ParentBSUID: id.ParentBSUID, Username: id.Username, Name: id.Name}
}
