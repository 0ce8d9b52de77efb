package frontdesk

import (
	"context"
	"errors"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// statuses of Meta in the store's words; the others say nothing about delivery.
var statuses = map[string]store.MessageStatus{
	"SENT": store.MessageSent, "DELIVERED": store.MessageDelivered, "READ": store.MessageRead, "PLAYED": store.MessageRead, "FAILED": store.MessageFailed,
}

// messageStatus is what became of a message of ours. Our own ID comes back with it, so it also names a message whose sending
// was uncertain.
func (d *Desk) messageStatus(ctx context.Context, ev *graph.Event) error {
	status, ok := statuses[ev.Name]
	if !ok {
		return nil
	}
	u := store.MessageUpdate{ID: ev.CallbackData, Wamid: ev.ID, Status: status, At: d.at(ev)}
	if len(ev.Errors) > 0 {
		u.Code = ev.Errors[0].Code
	}
	m, _, err := d.store.SetMessageStatus(ctx, u)
	if notOurs(err) && u.ID != "" && u.Wamid != "" { // somebody else's callback data
		u.ID = ""
		m, _, err = d.store.SetMessageStatus(ctx, u)
	}
	switch {
	case notOurs(err):
		return nil // sent by another program with the same number
	case err != nil || m.Kind != kindAsk:
		return err
	}
	return d.requestStatus(ctx, m, u)
}

func notOurs(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid)
}

// requestStatus: a request that was uncertain is named now; one that arrived expires seven days from here. One that Meta took and
// reports as failed stays counted: a handset may have it all the same, and a count must never be too low.
func (d *Desk) requestStatus(ctx context.Context, m store.Message, u store.MessageUpdate) error {
	e := policy.Event{Kind: policy.EventRequestNamed, At: u.At, ID: m.ID, Wamid: u.Wamid}
	if _, err := d.store.RecordEvent(ctx, m.Line, m.Customer, e, nil); err != nil {
		return err
	}
	if u.Status != store.MessageDelivered && u.Status != store.MessageRead {
		return nil
	}
	e.Kind = policy.EventRequestReceived
	_, err := d.store.RecordEvent(ctx, m.Line, m.Customer, e, nil)
	return err
}
