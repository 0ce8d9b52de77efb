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
// that nothing is lost as long as it is told again: every part may be repeated.
func (d *Desk) Heard(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	d.metrics.heard.WithLabelValues(ev.Kind.String()).Inc()
	switch ev.Kind {
	case graph.KindPermission:
		return d.replied(ctx, line, c, ev)
	case graph.KindMessage:
		return d.wrote(ctx, line, c, ev)
	case graph.KindMessageStatus:
		return d.messageStatus(ctx, line, ev)
	case graph.KindIdentity:
		return d.identity(ctx, ev)
	case graph.KindSettings:
		return d.settingsNews(ctx, line, ev)
	case graph.KindRestriction, graph.KindViolation, graph.KindQuality:
		return d.accountNews(ctx, line, ev)
	case graph.KindTemplate:
		d.forgetTemplates()
		t := ev.Template
		log := d.log.Info
		if t.Reason != "" {
			log = d.log.Warn
		}
		log("a template's status changed at WhatsApp", "template", t.Name, "language", t.Language, "status", ev.Name, "reason", t.Reason)
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
	if line == "" || c.ID == "" {
		return nil
	}
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
	d.log.Info("a customer's call permission changed", "line", line, "customer", c.ID, "kind", string(e.Kind), "automatic", e.Automatic, "permanent", e.Permanent, "expires", e.Expires)
	if !m.Granted {
		return nil
	}
	if m.Automatic && m.AnswersCall() {
		if err := d.automaticCallback(ctx, line, c, ev); err != nil {
			return err
		}
	}
	d.Look()
	return nil
}

// wrote is a message of a customer.
func (d *Desk) wrote(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	if line == "" || c.ID == "" || ev.Message.Group != "" {
		return nil
	}
	at := d.at(ev)
	if ev.ID != "" {
		m := store.Message{Line: line, Customer: c.ID, Kind: ev.Message.Type, At: at, Wamid: ev.ID, Text: ev.Message.Text}
		if _, _, err := d.store.ReceiveMessage(ctx, m); err != nil {
			return err
		}
	}
	if !ev.OpensWindow() {
		return nil
	}
	_, err := d.store.RecordEvent(ctx, line, c.ID, policy.Event{Kind: policy.EventWrote, At: at, ID: ev.ID}, nil)
	return err
}

// statuses of Meta in the store's words; the others say nothing about delivery.
var statuses = map[string]store.MessageStatus{
	"SENT": store.MessageSent, "DELIVERED": store.MessageDelivered, "READ": store.MessageRead, "PLAYED": store.MessageRead, "FAILED": store.MessageFailed,
}

// messageStatus is what became of a message of ours. Our own ID comes back with it, so it also names a message whose sending
// was uncertain.
func (d *Desk) messageStatus(ctx context.Context, line string, ev *graph.Event) error {
	status, ok := statuses[ev.Name]
	if !ok {
		return nil
	}
	u := store.MessageUpdate{ID: ev.CallbackData, Wamid: ev.ID, Status: status, At: d.at(ev)}
	if len(ev.Errors) > 0 {
		u.Code = ev.Errors[0].Code
	}
	m, _, err := d.store.SetMessageStatus(ctx, u)
	if errors.Is(err, store.ErrNotFound) && u.ID != "" { // somebody else's callback data, or none of ours
		u.ID = ""
		m, _, err = d.store.SetMessageStatus(ctx, u)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil // sent by another program with the same number
	case err != nil:
		return err
	case m.Kind != kindAsk:
		return nil
	}
	// A request that was uncertain is named now; one that arrived expires seven days from here.
	e := policy.Event{Kind: policy.EventRequestNamed, At: u.At, ID: m.ID, Wamid: ev.ID}
	if _, err := d.store.RecordEvent(ctx, m.Line, m.Customer, e, nil); err != nil {
		return err
	}
	if status == store.MessageDelivered || status == store.MessageRead {
		e = policy.Event{Kind: policy.EventRequestReceived, At: u.At, ID: m.ID, Wamid: ev.ID}
		_, err = d.store.RecordEvent(ctx, m.Line, m.Customer, e, nil)
	}
	return err
}

// identity is a customer with a new number or user ID (contract §16.4).
func (d *Desk) identity(ctx context.Context, ev *graph.Event) error {
	if ev.Change == nil {
		return nil
	}
	c, err := d.store.ChangeIdentity(ctx, identityOf(ev.Change.Before), identityOf(ev.Change.Now))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) {
		return nil // nobody we know
	}
	if err != nil {
		return fmt.Errorf("change of identity: %w", err)
	}
	d.log.Info("a customer has a new number or user ID", "customer", c.ID, "type", ev.Change.Type)
	return nil
}

func identityOf(id graph.Identity) store.Identity {
	return store.Identity{Phone: id.Phone, BSUID: id.BSUID, ParentBSUID: id.ParentBSUID, Username: id.Username, Name: id.Name}
}
