package bridge

import (
	"context"
	"time"

	"deskbridge/policy"
)

// decide finds the route and asks policy, away from the call's goroutine so that a hang-up is heard meanwhile. What comes of
// it is an inRouted or inRefused.
func (c *call) decide() {
	c.decided = false
	c.at.decide = time.Now()
	c.timer.Stop()
	o, cdr := c.offer, c.snapshot()
	if c.summons == nil && c.at.dialled.IsZero() {
		c.at.decide = o.Received // the time it took to get here counts
	}
	c.deciding.Go(func() {
		m := message{in: inRefused, cause: Cause{Fault: FaultUs, Reason: ReasonInternal}}
		defer func() { c.post(m) }()
		defer func() {
			if r := recover(); r != nil {
				_ = fence(c.log, c.x.metrics, c.id, r)
			}
		}()
		ctx, cancel := context.WithTimeout(c.ctx, decideTimeout)
		defer cancel()
		m = c.ask(ctx, o, cdr)
	})
}

// ask is the deciding itself. It runs beside the call and may use nothing of the call that changes.
func (c *call) ask(ctx context.Context, o Offer, cdr CDR) message {
	if len(o.Via) > 0 {
		return message{in: inRouted, route: Route{Line: o.Line, Customer: o.Customer, Stage: Stage{Targets: o.Via}}}
	}
	route, cause := c.x.cfg.Router.Route(ctx, o)
	if cause.IsZero() && len(route.Targets) == 0 && len(route.Next) == 0 {
		cause = Cause{Fault: FaultUs, Reason: ReasonNoRoute, Text: "Nobody is set up to take this call."}
	}
	if !cause.IsZero() {
		return message{in: inRefused, cause: cause, route: route}
	}
	if route.Feature != "" {
		return message{in: inRouted, route: route}
	}
	d, err := c.x.cfg.Authorizer.Authorize(ctx, Attempt{Call: c.id, Direction: o.Direction, Line: route.Line, Customer: route.Customer, From: o.From, Peer: o.Peer})
	if err != nil {
		c.log.Warn("the call could not be decided about", "err", err)
		return message{in: inRefused, route: route, cause: causeOf(err)}
	}
	if !d.Allowed {
		return refused(route, d)
	}
	cdr.Line, cdr.Customer = route.Line, route.Customer
	allowed := Fact{Kind: FactAllowed, At: c.x.cfg.Now(), CDR: cdr}
	if o.Direction == Inbound {
		c.x.ledger.add(allowed, nil)
		return message{in: inRouted, route: route}
	}
	// The attempt counts before Meta hears of it: a crash may over-count by one, never under-count.
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	if err := c.x.ledger.addSync(ctx, allowed); err != nil {
		c.log.Error("call refused because the attempt could not be stored; check the data disk", "err", err)
		return message{in: inRefused, route: route, cause: Cause{Fault: FaultUs, Reason: ReasonInternal, Text: "The call could not be recorded.", RetryAfter: 30 * time.Second}}
	}
	return message{in: inRouted, route: route}
}

// refused is a call that policy forbids: leg A is told by whoever the route names for that, else by its own refusal.
func refused(route Route, d policy.Decision) message {
	why := Cause{Fault: FaultPolicy, Reason: ReasonRefused, Rule: d.Rule, Text: d.Sentence}
	if route.Refused != nil {
		if stage := route.Refused(d); len(stage.Targets) > 0 {
			route.Stage, route.Next, route.Recording = stage, nil, RecordingPlan{}
			return message{in: inRouted, route: route, verdict: why}
		}
	}
	return message{in: inRefused, route: route, cause: why}
}
