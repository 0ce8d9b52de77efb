package frontdesk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/store"
)

// liveAge is how old Meta's answer may be for a call to go by it (design §6).
const liveAge = 60 * time.Second

var errNoLine = errors.New("there is no such line")

var _ bridge.Authorizer = (*Desk)(nil)

// Authorize implements bridge.Authorizer. An outbound call that is allowed is counted on disk when this returns; the
// decision is kept with everything it rests on, whatever it is.
func (d *Desk) Authorize(ctx context.Context, a bridge.Attempt) (policy.Decision, error) {
	action := policy.ActionRing
	if a.Direction == bridge.Outbound {
		action = policy.ActionCall
	}
	decision, err := d.decide(ctx, a.Line, a.Customer, action, a.Call)
	if err != nil {
		return decision, err
	}
	d.metrics.decisions.WithLabelValues(string(action), decision.Rule).Inc()
	d.keep(ctx, a, decision)
	if decision.Rule == policy.RuleHours && action == policy.ActionRing {
		d.sayClosed(a.Line, a.Customer)
	}
	return decision, nil
}

// keep stores the decision. It is told even when the disk is full, from memory; its loss must not cost the call.
func (d *Desk) keep(ctx context.Context, a bridge.Attempt, decision policy.Decision) {
	data, err := json.Marshal(decision)
	if err == nil {
		err = d.store.RecordDecision(ctx, a.Call, a.Line, a.Customer.ID, data)
	}
	if err != nil {
		d.log.Error("a decision could not be stored", "call", a.Call, "rule", decision.Rule, "err", err)
	}
}

// Explain decides without doing or counting anything. With live set Meta is asked where the local view is too old. at is the
// time decided for; zero is now.
func (d *Desk) Explain(ctx context.Context, line string, c bridge.Customer, action policy.Action, at time.Time, live bool) (policy.Decision, error) {
	q, err := d.question(ctx, line, c, action)
	if err != nil {
		return policy.Decision{}, err
	}
	if !at.IsZero() {
		q.Now = at
	}
	if q.Pair, q.Global, _, err = d.store.PolicyState(ctx, line, c.ID); err != nil {
		return policy.Decision{}, err
	}
	q.Live = q.Pair.Live
	if live {
		if q.Live, err = d.live(ctx, line, c, q); err != nil {
			return policy.Decision{}, err
		}
	}
	return policy.Decide(q), nil
}

// decide answers a question and, for calls out and permission requests, counts what it allows in the same step. id names the
// call or the request.
func (d *Desk) decide(ctx context.Context, line string, c bridge.Customer, action policy.Action, id string) (policy.Decision, error) {
	q, err := d.question(ctx, line, c, action)
	if err != nil {
		return policy.Decision{}, err
	}
	if q.Pair, q.Global, _, err = d.store.PolicyState(ctx, line, c.ID); err != nil {
		if action != policy.ActionRing {
			return policy.Decision{}, fmt.Errorf("decide: %w", err)
		}
		// A customer who calls must not be lost because the disk cannot be read.
		d.log.Error("a customer's call is decided without its history", "err", err)
	}
	if action == policy.ActionRing {
		return policy.Decide(q), nil
	}
	if q.Live, err = d.live(ctx, line, c, q); err != nil {
		return policy.Decision{}, err
	}
	counts := map[policy.Action]policy.EventKind{policy.ActionCall: policy.EventAttempted, policy.ActionAsk: policy.EventRequested}[action]
	if counts == "" {
		return policy.Decide(q), nil
	}
	var decision policy.Decision
	got, err := d.store.Reserve(ctx, line, c.ID, func(pair, global policy.State) (policy.Event, bool) {
		q.Pair, q.Global = pair, global
		decision = policy.Decide(q)
		return policy.Event{Kind: counts, At: q.Now, ID: id, Template: decision.Template}, decision.Allowed
	})
	if err != nil {
		return policy.Decision{}, fmt.Errorf("count the %s: %w", action, err)
	}
	if decision.Allowed != got.Reserved { // cannot be; unknown means no
		return policy.Decision{}, errors.New("the decision was not counted")
	}
	return decision, nil
}

// question is what can be asked without looking at the customer's history.
func (d *Desk) question(ctx context.Context, line string, c bridge.Customer, action policy.Action) (policy.Question, error) {
	l, ok := d.line(line)
	if !ok {
		return policy.Question{}, fmt.Errorf("line %q: %w", line, errNoLine)
	}
	st, err := d.store.LineState(ctx, line)
	if err != nil && action != policy.ActionRing {
		return policy.Question{}, fmt.Errorf("line %q: %w", line, err)
	}
	now := d.now()
	q := policy.Question{Action: action, Now: now, Hours: hours(l, st), Rules: l.Rules, Zone: l.Hours.Zone}
	calls := d.cfg.Phones.Calls(line)
	if (action == policy.ActionRing || action == policy.ActionCall) && calls > 0 {
		calls-- // the one that is asked about is there already
	}
	q.Line = l.policyLine(calls, restrictions(st))
	return q, nil
}

// hours are the line's with what somebody opened or closed by hand.
func hours(l *LineConfig, st store.LineState) policy.Hours {
	h := l.Hours
	if o := st.Override; o != nil {
		h.Once = &policy.HoursOnce{Open: o.Open, Until: o.Until}
	}
	return h
}

func restrictions(st store.LineState) []policy.Restriction {
	var out []policy.Restriction
	for _, r := range st.Restrictions {
		if k, ok := restrictionKinds[r.Kind]; ok {
			out = append(out, policy.Restriction{Kind: k, Until: r.Until})
		}
	}
	return out
}

// live is Meta's answer, asked for only when everything that needs no answer allows the action: a line that is off must not
// cost a request, and a Meta that is down must not hide that it is night.
func (d *Desk) live(ctx context.Context, line string, c bridge.Customer, q policy.Question) (*policy.Live, error) {
	q.Live = nil
	if first := policy.Decide(q); first.Rule != policy.RulePermissionUnknown {
		return q.Pair.Live, nil
	}
	if known := q.Pair.Live; known != nil {
		// What the customer said since is not in it.
		if age := q.Now.Sub(known.At); age >= 0 && age < liveAge && !known.At.Before(q.Pair.Grant.At) {
			return known, nil
		}
	}
	l, _ := d.line(line)
	answer, err := l.Number.Live(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := d.store.RecordEvent(ctx, line, c.ID, policy.Event{Kind: policy.EventLive, At: answer.At, Live: &answer}, nil); err != nil {
		return nil, fmt.Errorf("keep Meta's answer: %w", err)
	}
	return &answer, nil
}
