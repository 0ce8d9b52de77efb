package whatsapp

import (
	"context"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
)

// liveLimit leaves time for the call itself within the 8 s an agent may have to wait.
const liveLimit = 4 * time.Second

// Live asks Meta what the customer allows now (contract §10.2). An answer of the last 30 s is good enough.
func (l *Line) Live(ctx context.Context, c bridge.Customer) (policy.Live, error) {
	ctx, cancel := context.WithTimeout(ctx, liveLimit)
	defer cancel()
	p, err := l.graph.CallPermissions(ctx, l.number, recipient(c))
	if err != nil {
		return policy.Live{Permission: policy.PermissionUnknown}, l.failed(err)
	}
	live := policy.Live{At: p.At, Permission: policy.PermissionUnknown, Expires: p.Expires}
	switch s := policy.Permission(p.Status); s {
	case policy.PermissionNone, policy.PermissionTemporary, policy.PermissionPermanent:
		live.Permission = s
	}
	live.CanStart, live.NextStart = p.Actions[graph.ActionStartCall].Allowed, p.NextAllowed(graph.ActionStartCall)
	live.CanRequest, live.NextRequest = p.Actions[graph.ActionSendPermission].Allowed, p.NextAllowed(graph.ActionSendPermission)
	live.StartDay = quota(p, graph.ActionStartCall, graph.PeriodDay)
	live.RequestDay = quota(p, graph.ActionSendPermission, graph.PeriodDay)
	live.RequestWeek = quota(p, graph.ActionSendPermission, graph.PeriodWeek)
	return live, nil
}

func quota(p graph.Permissions, action, period string) *policy.Quota {
	l, ok := p.Limit(action, period)
	if !ok {
		return nil
	}
	return &policy.Quota{Max: int(l.Max), Used: int(l.Used)}
}

// Forget drops Meta's answer about a customer: something has changed it.
func (l *Line) Forget(c bridge.Customer) { l.graph.ForgetPermissions(l.number, recipient(c)) }

func recipient(c bridge.Customer) graph.Recipient {
	return graph.Recipient{Phone: c.Phone, BSUID: c.BSUID}
}

// failed is an error of Graph as everybody else understands it: the cause, with Meta's code. What Meta said stays in the
// chain (graph.AsError, graph.ErrUncertain).
func (l *Line) failed(err error) error {
	return &bridge.CauseError{Cause: causeOf(err, time.Now()), Err: fmt.Errorf("line %q: %w", l.id, err)}
}
