package store

import (
	"context"

	"deskbridge/policy"
)

// PolicyEvents is the history behind a pair's state, or with an empty line behind the customer's over all lines: events
// after a sequence, in the order they were recorded, also those of customers merged into this one. Applied to a zero
// State one after the other they give the state at any time since. limit: default 100, at most 1000.
func (s *Store) PolicyEvents(ctx context.Context, line, customer string, after uint64, limit int) (events []PolicyEvent, err error) {
	limit = clamp(limit, 100, 1000)
	err = s.view(ctx, func(t *tx) error {
		ids, err := t.everyID(customer)
		if err != nil {
			return err
		}
		w := walk{from: u64(after)}
		for _, id := range ids {
			subject := "customer:" + id
			if line != "" {
				subject = pairSubject(line, id)
			}
			w.prefixes = append(w.prefixes, append(key(tabMention, subject), 0))
		}
		return w.run(ctx, t, func(seq, _ []byte) (bool, error) {
			f, err := t.fact(asU64(seq))
			if err != nil || !isPolicy(f.Kind) {
				return true, err
			}
			e, err := f.event()
			events = append(events, e)
			return len(events) < limit, err
		})
	})
	return events, wrap(err, "policy events")
}

// PolicyEvent is one entry of the history that a decision rests on.
type PolicyEvent struct {
	Seq  uint64
	Line string
	policy.Event
}

// event restores a policy event from its fact. After an erasure Meta's IDs stay masked and a reason withheld ("~").
func (f Fact) event() (PolicyEvent, error) {
	p, own, err := f.policy()
	if err != nil {
		return PolicyEvent{}, err
	}
	e := PolicyEvent{Seq: f.Seq, Line: p.Line, Event: p.Event}
	if own != (policyPersonal{}) {
		e.Wamid, e.Context, e.Reason = own.Wamid, own.Context, own.Reason
	}
	return e, nil
}
