package frontdesk

import (
	"context"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// automaticCallback is the request that Meta's automatic grant after a customer's call stands for (contract §9.1, §10.5): the
// grant names the call. A call that was answered asks for nothing.
func (d *Desk) automaticCallback(ctx context.Context, line string, c bridge.Customer, ev *graph.Event) error {
	call, err := d.callNamed(ctx, c, ev.Message.Context)
	if err != nil {
		return err
	}
	if !call.AnsweredAt.IsZero() {
		return nil
	}
	p := policy.PermissionTemporary
	if ev.Message.Permanent {
		p = policy.PermissionPermanent
	}
	return d.wantCallback(ctx, store.Callback{Line: line, Customer: c.ID, Call: firstOf(call.ID, ev.Message.Context), Source: store.CallbackMeta, Permission: p, Expires: ev.Message.Expires, RequestedAt: d.at(ev)})
}

// callNamed is our record of a call by Meta's ID; the zero record when there is none among the customer's latest.
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

// wantCallback keeps a request, due within the line's time counted in call hours.
func (d *Desk) wantCallback(ctx context.Context, cb store.Callback) error {
	l, ok := d.line(cb.Line)
	if !ok {
		return fmt.Errorf("request callback: line %q: %w", cb.Line, errNoLine)
	}
	st, err := d.store.LineState(ctx, cb.Line)
	if err != nil {
		return err
	}
	begin := cb.RequestedAt
	if open, ok := hours(l, st).NextOpen(begin); ok {
		begin = open
	}
	cb.Due = begin.Add(l.CallbackWithin)
	if !cb.Expires.IsZero() && cb.Due.After(cb.Expires) {
		cb.Due = cb.Expires
	}
	if _, err := d.store.RequestCallback(ctx, cb); err != nil {
		return err
	}
	d.Look()
	return nil
}

// countCallbacks keeps the metric.
func (d *Desk) countCallbacks(ctx context.Context) {
	n, err := d.store.OverdueCallbacks(ctx, d.now())
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn("overdue callbacks could not be counted", "err", err)
		}
		return
	}
	d.metrics.overdue.Set(float64(n))
}

// NextCallback is the request due first that this agent may take: nobody's, or their own, over a line they may use.
func (d *Desk) NextCallback(ctx context.Context, agent string, mayUse func(line string) bool) (store.Callback, bool, error) {
	span := store.Span{Limit: 100}
	for {
		page, err := d.store.Callbacks(ctx, store.CallbackQuery{Live: true, Span: span})
		if err != nil {
			return store.Callback{}, false, err
		}
		for _, cb := range page.Items {
			if mayUse(cb.Line) && (cb.Owner == "" || cb.Owner == agent) && (cb.Expires.IsZero() || d.now().Before(cb.Expires)) {
				return cb, true, nil
			}
		}
		if span.Cursor = page.Next; page.Next == "" {
			return store.Callback{}, false, nil
		}
	}
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
		d.Look()
	}
}

var _ ivr.Desk = (*Desk)(nil)

// RequestCallback implements ivr.Desk: the customer pressed the key.
func (d *Desk) RequestCallback(ctx context.Context, r ivr.Request) ivr.Outcome {
	cb := store.Callback{Line: r.Line, Customer: r.Customer.ID, Call: r.Call, Source: store.CallbackMenu, RequestedAt: d.now()}
	if pair, _, _, err := d.store.PolicyState(ctx, r.Line, r.Customer.ID); err == nil {
		if p := pair.Permission(cb.RequestedAt); p.Standing == policy.StandingTemporary {
			cb.Permission, cb.Expires = policy.PermissionTemporary, p.Expires
		} else if p.Standing == policy.StandingPermanent {
			cb.Permission = policy.PermissionPermanent
		}
	}
	if err := d.wantCallback(ctx, cb); err != nil {
		d.log.Error("a callback request could not be kept", "call", r.Call, "err", err)
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	return ivr.Outcome{Done: true}
}

// AskPermission implements ivr.Desk: the agent pressed the key, and is rung when the customer allows.
func (d *Desk) AskPermission(ctx context.Context, r ivr.Request) ivr.Outcome {
	s, err := d.Ask(ctx, Request{Line: r.Line, Customer: r.Customer, By: r.Agent, Call: r.Call})
	out := s.outcome(err)
	if !out.Done {
		d.log.Info("a permission request was not sent", "call", r.Call, "rule", s.Decision.Rule, "err", firstErr(err, s.Err))
		return out
	}
	if watch := d.RingWhenAllowed(ctx, r); !watch.Done {
		d.log.Warn("the agent will not be rung when the customer allows calls", "call", r.Call)
	}
	return out
}

// SendCallButton implements ivr.Desk. The payload leads the customer's call back to this agent.
func (d *Desk) SendCallButton(ctx context.Context, r ivr.Request) ivr.Outcome {
	s, err := d.Button(ctx, Request{Line: r.Line, Customer: r.Customer, By: r.Agent, Call: r.Call, Payload: AgentPayload(r.Agent)})
	if e := firstErr(err, s.Err); e != nil {
		d.log.Info("a call button was not sent", "call", r.Call, "err", e)
	}
	return s.outcome(err)
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}


// CallEnded is told of every call to or from a customer: what Meta said about them before holds no longer.
func (d *Desk) CallEnded(line string, c bridge.Customer) {
	if l, ok := d.line(line); ok {
		l.Number.Forget(c)
	}
	d.Look()
}
