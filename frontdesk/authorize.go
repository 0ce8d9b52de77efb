package frontdesk

import (
	"context"
	"encoding/json"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

var _ bridge.Authorizer = (*Desk)(nil)

// Authorize implements bridge.Authorizer. An outbound call that is allowed is counted on disk when this returns; the
// decision is kept with everything it rests on, whatever it is. An error (Meta or the disk cannot be asked) is a no.
func (d *Desk) Authorize(ctx context.Context, a bridge.Attempt) (policy.Decision, error) {
	action := policy.ActionRing
	if a.Direction == bridge.Outbound {
		action = policy.ActionCall
	}
	decision, err := d.authorize(ctx, a, action)
	if decision.Rule == "" { // not even a question could be asked
		return decision, err
	}
	d.metrics.decisions.WithLabelValues(string(action), decision.Rule).Inc()
	d.keep(ctx, a, decision)
	if decision.Rule == policy.RuleHours && action == policy.ActionRing {
		d.sayClosed(a.Line, a.Customer)
	}
	return decision, err
}

func (d *Desk) authorize(ctx context.Context, a bridge.Attempt, action policy.Action) (policy.Decision, error) {
	i, err := d.inquire(ctx, a.Line, a.Customer, action)
	if err != nil {
		return policy.Decision{}, err
	}
	i.Line.Calls = max(0, i.Line.Calls-1) // the one that is asked about is there already
	if action == policy.ActionRing {
		return policy.Decide(i.Question), nil
	}
	if err := d.live(ctx, &i); err != nil {
		return policy.Decide(i.Question), err // Meta's answer is not known: permission.unknown
	}
	return d.reserve(ctx, &i, policy.Event{Kind: policy.EventAttempted, ID: a.Call}, nil)
}

// keep stores the decision. A full disk keeps it in memory; its loss must not cost the call.
func (d *Desk) keep(ctx context.Context, a bridge.Attempt, decision policy.Decision) {
	data, err := json.Marshal(decision)
	if err == nil {
		err = d.store.RecordDecision(ctx, a.Call, a.Line, a.Customer.ID, data)
	}
	if err != nil {
		d.log.Error("a decision could not be stored", "call", a.Call, "rule", decision.Rule, "err", err)
	}
}

// Explain decides without doing or counting anything. at is the time decided for; zero is now. With live set Meta is asked, which
// only makes sense for now.
func (d *Desk) Explain(ctx context.Context, line string, c bridge.Customer, action policy.Action, at time.Time, live bool) (policy.Decision, error) {
	i, err := d.inquire(ctx, line, c, action)
	if err != nil {
		return policy.Decision{}, err
	}
	i.Live = i.Pair.Live
	switch {
	case !at.IsZero():
		i.Now = at
	case live:
		if err := d.live(ctx, &i); err != nil {
			return policy.Decision{}, err
		}
	}
	return policy.Decide(i.Question), nil
}
