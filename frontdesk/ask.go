package frontdesk

import (
	"context"
	"errors"
	"fmt"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// Ask sends a permission request, free-form inside the 24-hour window and as the line's template outside. It is counted before
// it is sent, whatever becomes of it (reliability promise 3); one that Meta refuses for certain counts no longer.
func (d *Desk) Ask(ctx context.Context, r Request) (Sent, error) {
	i, err := d.inquire(ctx, r.Line, r.Customer, policy.ActionAsk)
	if err == nil {
		err = d.live(ctx, &i)
	}
	if err != nil {
		return Sent{}, fmt.Errorf("ask for permission: %w", err)
	}
	l := i.line
	open, _ := i.Pair.Window(i.Now) // it is decided for this time, so a window that is open now can only become newer
	template, problem := d.pick(ctx, l, r.Template, l.AskTemplate, graph.TemplatePermission, !open)
	id, wished := newID("q"), r.Template.Name != ""
	decision, err := d.reserve(ctx, &i, policy.Event{Kind: policy.EventRequested, ID: id}, func(dec policy.Decision) bool {
		return problem == nil || !dec.Template && !wished // what cannot be sent does not count
	})
	if err != nil {
		return Sent{}, fmt.Errorf("ask for permission: %w", err)
	}
	d.metrics.decisions.WithLabelValues(string(policy.ActionAsk), decision.Rule).Inc()
	switch {
	case !decision.Allowed:
		return Sent{Decision: decision}, nil
	case decision.Template || wished:
		if problem != nil {
			return Sent{Decision: decision, Err: problem}, nil //nolint:nilerr // it is told in Sent
		}
	default:
		template = nil
	}
	m := store.Message{ID: id, Line: l.ID, Customer: r.Customer.ID, Kind: kindAsk, Call: r.Call, By: r.By, Text: firstOf(r.Text, l.Texts.Ask)}
	out := d.send(ctx, m, template, func(ctx context.Context, m store.Message) (string, error) {
		if template != nil {
			return l.Number.SendTemplate(ctx, r.Customer, template.message(), m.ID)
		}
		return l.Number.AskPermission(ctx, r.Customer, m.Text, m.ID)
	})
	out.Decision = decision
	d.named(ctx, out)
	return out, nil
}

// named tells the ledger what became of a counted request. What is uncertain stays counted, and is named by its status webhook.
func (d *Desk) named(ctx context.Context, s Sent) {
	m := s.Message
	e := policy.Event{Kind: policy.EventRequestNamed, At: d.now(), ID: m.ID, Wamid: m.Wamid}
	switch {
	case s.Err == nil:
	case errors.Is(s.Err, graph.ErrUncertain):
		return
	default:
		e.Kind, e.Wamid = policy.EventRequestRefused, ""
	}
	if _, err := d.store.RecordEvent(context.WithoutCancel(ctx), m.Line, m.Customer, e, nil); err != nil {
		d.log.Error("what became of a permission request could not be stored; it stays counted", "err", err)
	}
}
