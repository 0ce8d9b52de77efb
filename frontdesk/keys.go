package frontdesk

import (
	"context"
	"errors"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// What the keys of the menus do.
var _ ivr.Desk = (*Desk)(nil)

// RequestCallback implements ivr.Desk: the customer pressed the key.
func (d *Desk) RequestCallback(ctx context.Context, r ivr.Request) ivr.Outcome {
	cb := store.Callback{Line: r.Line, Customer: r.Customer.ID, Call: r.Call, Source: store.CallbackMenu, RequestedAt: d.now()}
	if pair, _, _, err := d.store.PolicyState(ctx, r.Line, r.Customer.ID); err == nil {
		switch p := pair.Permission(cb.RequestedAt); p.Standing {
		case policy.StandingTemporary:
			cb.Permission, cb.Expires = policy.PermissionTemporary, p.Expires
		case policy.StandingPermanent:
			cb.Permission = policy.PermissionPermanent
		}
	}
	if err := d.wantCallback(ctx, cb); err != nil {
		d.log.Error("a callback request could not be kept", "call", r.Call, "err", err)
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	return ivr.Outcome{Done: true}
}

// AskPermission implements ivr.Desk: the agent pressed the key, and is rung when the customer allows; also when nobody knows
// whether the request has gone out.
func (d *Desk) AskPermission(ctx context.Context, r ivr.Request) ivr.Outcome {
	s, err := d.Ask(ctx, Request{Line: r.Line, Customer: r.Customer, By: r.Agent, Call: r.Call})
	out := s.outcome(err)
	if !out.Done {
		d.log.Info("a permission request was not sent", "call", r.Call, "rule", s.Decision.Rule, "err", errors.Join(err, s.Err))
	}
	if out.Done || errors.Is(s.Err, graph.ErrUncertain) {
		if watch := d.RingWhenAllowed(ctx, r); !watch.Done {
			d.log.Warn("the agent will not be rung when the customer allows calls", "call", r.Call)
		}
	}
	return out
}

// SendCallButton implements ivr.Desk. The payload leads the customer's call back to this agent.
func (d *Desk) SendCallButton(ctx context.Context, r ivr.Request) ivr.Outcome {
	s, err := d.Button(ctx, Request{Line: r.Line, Customer: r.Customer, By: r.Agent, Call: r.Call, Payload: AgentPayload(r.Agent)})
	if e := errors.Join(err, s.Err); e != nil {
		d.log.Info("a call button was not sent", "call", r.Call, "err", e)
	}
	return s.outcome(err)
}

// outcome is what a menu says of it.
func (s Sent) outcome(err error) ivr.Outcome {
	cause := &bridge.CauseError{}
	switch {
	case err == nil && s.Err == nil && s.Decision.Allowed:
		return ivr.Outcome{Done: true}
	case err == nil && s.Err == nil:
		return ivr.Outcome{Decision: s.Decision}
	case errors.Is(s.Err, ErrTemplate):
		return ivr.Outcome{Reason: ivr.ReasonTemplate}
	case errors.As(errors.Join(err, s.Err), &cause):
		return ivr.Outcome{Reason: ivr.ReasonUpstream}
	}
	return ivr.Outcome{Reason: ivr.ReasonTrouble}
}

// CallEnded is told of every call to or from a customer: what Meta said about them before holds no longer.
func (d *Desk) CallEnded(line string, c bridge.Customer) {
	if l, ok := d.line(line); ok {
		l.Number.Forget(c)
	}
	d.Look()
}
