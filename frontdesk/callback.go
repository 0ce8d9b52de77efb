package frontdesk

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// automaticCallback is the request that Meta's automatic grant after a customer's call stands for (contract §9.1, §10.5): the
// grant names the call. A call that was answered asks for nothing; one that is answered yet closes the request.
func (d *Desk) automaticCallback(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	call, err := d.callNamed(ctx, c, ev.Message.Context)
	if err != nil || !call.AnsweredAt.IsZero() {
		return err
	}
	cb := store.Callback{ID: callbackID(ev.Message.Context), Line: line, Customer: c.ID, Call: call.ID, Source: store.CallbackMeta,
		Permission: policy.PermissionTemporary, Expires: ev.Message.Expires, RequestedAt: d.at(ev)}
	if ev.Message.Permanent {
		cb.Permission = policy.PermissionPermanent
	}
	return d.wantCallback(ctx, cb)
}

// callbackID makes one request of a call, however often and in whatever order its news come. Meta's ID itself holds the customer's
// number, so it must not stand in the open.
func callbackID(wacid string) string {
	sum := sha256.Sum256([]byte("callback " + wacid))
	return "b" + base32.HexEncoding.EncodeToString(sum[:])[:26]
}

// callNamed is our record of a call by Meta's ID; the zero record when it is not among the customer's latest, or not there yet.
func (d *Desk) callNamed(ctx context.Context, c bridge.Customer, wacid string) (bridge.CDR, error) {
	page, err := d.store.Calls(ctx, store.CallQuery{Customer: c.ID, Limit: 20})
	if err != nil {
		return bridge.CDR{}, err
	}
	for _, cdr := range page.Calls {
		if cdr.Wacid == wacid {
			return cdr, nil
		}
	}
	return bridge.CDR{}, nil
}

// wantCallback keeps a request, due within the line's time counted in call hours, and before the permission ends.
func (d *Desk) wantCallback(ctx context.Context, cb store.Callback) error {
	l, ok := d.line(cb.Line)
	if !ok {
		return fmt.Errorf("request callback: line %q: %w", cb.Line, errNoLine)
	}
	st, err := d.store.LineState(ctx, cb.Line)
	if err != nil {
		return err
	}
	cb.Due = openTime(hours(l, st), cb.RequestedAt, l.CallbackWithin)
	if !cb.Expires.IsZero() && cb.Due.After(cb.Expires) {
		cb.Due = cb.Expires
	}
	_, err = d.store.RequestCallback(ctx, cb)
	return err
}

// farAway is when a line that opens later counts as one that does not open.
const farAway = 366 * policy.Day

// openTime is when a line has been open for long enough after from. A line that does not open within a year counts every hour.
func openTime(h policy.Hours, from time.Time, enough time.Duration) time.Time {
	at, left := from, enough
	for range 1000 { // far more spans than any sensible enough takes
		open, ok := h.NextOpen(at)
		if !ok || open.Sub(from) > farAway {
			break
		}
		end, ok := h.NextChange(open)
		if !ok || end.Sub(open) >= left {
			return open.Add(left)
		}
		at, left = end, left-end.Sub(open)
	}
	return from.Add(enough)
}

// NextCallback is the request due first that this agent may take: nobody's, or their own, over a line they may use. One that was
// given out a moment ago comes last: another agent has it, or nobody was reached.
func (d *Desk) NextCallback(ctx context.Context, agent string, mayUse func(line string) bool) (store.Callback, bool, error) {
	now := d.now()
	var again *store.Callback
	span := store.Span{Limit: 100}
	for {
		page, err := d.store.Callbacks(ctx, store.CallbackQuery{Live: true, Span: span})
		if err != nil {
			return store.Callback{}, false, err
		}
		for _, cb := range page.Items {
			switch {
			case !mayUse(cb.Line), cb.Owner != "" && cb.Owner != agent:
			case d.leases.take(cb.ID, agent, now):
				return cb, true, nil
			case again == nil && d.leases.own(cb.ID, agent):
				again = &cb
			}
		}
		if span.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if again == nil {
		return store.Callback{}, false, nil
	}
	return *again, true, nil
}

// Completed closes the customer's requests: this call reached them.
func (d *Desk) Completed(ctx context.Context, line, customer, call string, at time.Time) {
	n, err := d.store.CompleteCallbacks(ctx, line, customer, call, at)
	if err != nil {
		d.log.Error("callback requests could not be closed", "call", call, "err", err)
		return
	}
	if n > 0 {
		d.log.Info("callback requests done", "call", call, "requests", n)
	}
}
