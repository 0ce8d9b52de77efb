package store

import (
	"deskbridge/bridge"
	"deskbridge/policy"
)

// countCall adds what a call fact means for the limits, in the fact's own transaction: no crash leaves a call whose end was
// recorded and not counted.
func (t *tx) countCall(f bridge.Fact) error {
	e, ok := countedEvent(f)
	if !ok {
		return nil
	}
	who, err := t.current(f.CDR.Customer.ID)
	if err != nil {
		return err
	}
	_, err = t.recordEvent(f.CDR.Line, who, e, nil)
	return err
}

// countedEvent is the policy event of a call fact. A call that was never dialled at Meta counts nothing.
func countedEvent(f bridge.Fact) (e policy.Event, ok bool) {
	c := &f.CDR
	if c.Customer.ID == "" || c.Line == "" || checkPair(c.Line, c.Customer.ID) != nil {
		return e, false
	}
	e = policy.Event{At: f.At, ID: c.ID, Inbound: c.Direction == bridge.Inbound}
	switch final := f.Kind == bridge.FactEnded || f.Kind == bridge.FactRefused; {
	case f.Kind == bridge.FactOffered && e.Inbound:
		e.Kind, e.At, e.Inbound = policy.EventOffered, c.OfferedAt, false
	case final && e.Inbound && !c.AnsweredAt.IsZero():
		e.Kind, e.Outcome = policy.EventEnded, policy.OutcomeConnected
	case final && !e.Inbound && dialledCustomer(c):
		e.Kind, e.Outcome = policy.EventEnded, outcome(c)
	default:
		return e, false
	}
	return e, !e.At.IsZero()
}

func dialledCustomer(c *bridge.CDR) bool {
	for _, l := range c.Legs {
		if l.Kind == bridge.KindWhatsApp {
			return true
		}
	}
	return false
}

// outcome is how an outbound call ended for the customer. An agent who gives up on a phone that rings leaves a missed call
// there: it counts as unanswered, as it does at Meta.
func outcome(c *bridge.CDR) policy.Outcome {
	switch {
	case !c.AnsweredAt.IsZero():
		return policy.OutcomeConnected
	case c.Cause.Reason == bridge.ReasonDeclined:
		return policy.OutcomeDeclined
	case c.Cause.Reason == bridge.ReasonNoAnswer, !c.RangAt.IsZero():
		return policy.OutcomeUnanswered
	}
	return policy.OutcomeFailed
}
