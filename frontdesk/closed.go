package frontdesk

import (
	"context"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

// closedLimit bounds the sending of one message.
const closedLimit = 20 * time.Second

// sayClosed sends the message outside call hours, once per customer and closed span. It is counted before it is sent: a crash
// may cost one message, never send two.
func (d *Desk) sayClosed(line string, c bridge.Customer) {
	l, ok := d.line(line)
	if !ok || l.Texts.Closed == "" || c.ID == "" {
		return
	}
	d.background("closed message", closedLimit, func(ctx context.Context) {
		if err := d.sendClosed(ctx, l, c); err != nil {
			d.log.Warn("the message outside call hours was not sent", "line", line, "err", err)
		}
	})
}

func (d *Desk) sendClosed(ctx context.Context, l *LineConfig, c bridge.Customer) error {
	st, err := d.store.LineState(ctx, l.ID)
	if err != nil {
		return err
	}
	now := d.now()
	span := hours(l, st).ClosedSpan(now)
	if span == "" {
		return nil
	}
	got, err := d.store.Reserve(ctx, l.ID, c.ID, func(pair, _ policy.State) (policy.Event, bool) {
		return policy.Event{Kind: policy.EventAutoReply, At: now, ID: span}, !pair.AutoReplied(span)
	})
	if err != nil || !got.Reserved {
		return err
	}
	m := store.Message{Line: l.ID, Customer: c.ID, Kind: kindClosed, By: byAppliance, Text: l.Texts.Closed}
	return d.send(ctx, m, nil, func(ctx context.Context, m store.Message) (string, error) {
		return l.Number.SendText(ctx, c, m.Text, m.ID)
	}).Err
}
