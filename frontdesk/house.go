package frontdesk

import (
	"context"
	"errors"
	"time"

	"deskbridge/policy"
	"deskbridge/store"
)

// keepHouse closes what time has ended, and shows what changes with time.
func (d *Desk) keepHouse(ctx context.Context) {
	for what, f := range map[string]func(context.Context) error{
		"expired callback requests": d.expireCallbacks, "overdue callback requests": d.countOverdue,
		"uncertain messages": d.giveUpMessages, "restrictions": d.refreshRestrictions,
	} {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("something could not be looked after; it is tried again", "what", what, "err", err)
		}
	}
}

// expireCallbacks closes the requests whose permission ended before anybody called. A customer who allowed calls anew in the
// meantime still wants one. A request is due before its permission ends, so only overdue ones are looked at.
func (d *Desk) expireCallbacks(ctx context.Context) error {
	now := d.now()
	span := store.Span{Limit: 100}
	for {
		page, err := d.store.Callbacks(ctx, store.CallbackQuery{Live: true, Span: span})
		if err != nil {
			return err
		}
		for _, cb := range page.Items {
			if cb.Due.After(now) {
				return nil
			}
			if cb.Expires.IsZero() || now.Before(cb.Expires) {
				continue
			}
			pair, _, _, err := d.store.PolicyState(ctx, cb.Line, cb.Customer)
			if err != nil {
				return err
			}
			if pair.Permission(now).Standing.Granted() {
				continue
			}
			cb.State = store.CallbackExpired
			if _, err := d.store.UpdateCallback(ctx, cb, now); err != nil && !errors.Is(err, store.ErrVersion) { // somebody was faster
				return err
			}
			d.log.Info("nobody called a customer back before the permission ended", "callback", cb.ID, "line", cb.Line)
		}
		if span.Cursor = page.Next; page.Next == "" {
			return nil
		}
	}
}

func (d *Desk) countOverdue(ctx context.Context) error {
	n, err := d.store.OverdueCallbacks(ctx, d.now())
	if err == nil {
		d.metrics.overdue.Set(float64(n))
	}
	return err
}

// giveUpAfter is when a message of which nobody knows whether Meta has it counts as failed: Meta repeats its webhooks for seven
// days at most (contract §5.5). Until then it is shown as sending, that is unknown; a request among them stays counted, its window
// is as long.
const giveUpAfter = policy.Week + time.Hour

// giveUpMessages closes the oldest uncertain messages.
func (d *Desk) giveUpMessages(ctx context.Context) error {
	now := d.now()
	page, err := d.store.UncertainMessages(ctx, store.Span{Limit: 100})
	if err != nil {
		return err
	}
	for _, m := range page.Items {
		if now.Sub(m.At) < giveUpAfter {
			return nil
		}
		if _, _, err := d.store.SetMessageStatus(ctx, store.MessageUpdate{ID: m.ID, Status: store.MessageFailed, At: now}); err != nil {
			return err
		}
	}
	return nil
}

// refreshRestrictions shows that a restriction has ended: nothing happens when it does.
func (d *Desk) refreshRestrictions(ctx context.Context) error {
	for id := range *d.lines.Load() {
		st, err := d.store.LineState(ctx, id)
		if err != nil {
			return err
		}
		d.showRestrictions(id, st.Restrictions)
	}
	return nil
}
