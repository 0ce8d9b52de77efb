package store

import (
	"encoding/json"
	"fmt"
	"time"

	"deskbridge/policy"
)

// policyKinds are the facts whose payload is a policy.Event, each with what its fact may do when the disk refuses writes:
// what happened anyway waits in memory like the call it belongs to; what is counted before it is done is refused.
var policyKinds = map[policy.EventKind]class{
	policy.EventRequested: classInbox, policy.EventRequestNamed: classInbox, policy.EventRequestRefused: classInbox,
	policy.EventRequestReceived: classInbox, policy.EventGranted: classInbox, policy.EventDeclined: classInbox,
	policy.EventRevoked: classInbox, policy.EventAttempted: classInbox, policy.EventEnded: classCall,
	policy.EventOffered: classCall, policy.EventWrote: classInbox, policy.EventAutoReply: classInbox,
	policy.EventLive: classInbox, policy.EventBlocked: classInbox, policy.EventFreed: classInbox, policy.EventOverride: classInbox,
}

func isPolicy(kind string) bool {
	_, ok := policyKinds[policy.EventKind(kind)]
	return ok
}

// withheld stands where a reason was given: that there was one counts (an override without one is none).
const withheld = "~"

// policyFact is the open payload of a policy event. Meta's IDs in it are masked, the reason is withheld.
type policyFact struct {
	Line  string       `json:"l"`
	Event policy.Event `json:"e"`
}

// policyPersonal is what an erasure takes out of a policy event.
type policyPersonal struct {
	Wamid   string `json:"w,omitempty"`
	Context string `json:"c,omitempty"`
	Reason  string `json:"r,omitempty"`
}

const maxEvent = 8 << 10

func checkEvent(e policy.Event) error {
	switch {
	case !isPolicy(string(e.Kind)):
		return fmt.Errorf("%w: unknown event kind %q", ErrInvalid, e.Kind)
	case e.At.IsZero():
		return fmt.Errorf("%w: %s without a time", ErrInvalid, e.Kind)
	case len(e.ID)+len(e.Wamid)+len(e.Context)+len(e.By)+len(e.Reason) > maxEvent:
		return fmt.Errorf("%w: %s of over %d bytes", ErrTooLarge, e.Kind, maxEvent)
	}
	return nil
}

// eventName is what tells an event from all others of the line and customer, so that a webhook worked off twice counts
// once: its own ID, or Meta's IDs with Meta's time (a customer may answer one request several times). Names are remembered
// like inbox keys, for Limits.DedupeKeep, longer than Meta redelivers. Empty: what a person did or what Meta answered when
// asked is new each time.
func eventName(line, customer string, e policy.Event) string {
	switch e.Kind {
	case policy.EventLive, policy.EventBlocked, policy.EventFreed, policy.EventOverride:
		return ""
	}
	name := "event\x00" + line + "\x00" + customer + "\x00" + string(e.Kind) + "\x00" + e.ID + "\x00" + e.Wamid + "\x00" + e.Context
	if e.ID == "" {
		name += "\x00" + e.At.UTC().Format(time.RFC3339Nano)
	}
	return name
}

func (t *tx) policyFact(line, customer string, e policy.Event) (Fact, error) {
	p := policyPersonal{Wamid: e.Wamid, Context: e.Context, Reason: e.Reason}
	e.Wamid, e.Context = t.mask(e.Wamid), t.mask(e.Context)
	if e.Reason != "" {
		e.Reason = withheld
	}
	data, err := json.Marshal(policyFact{Line: line, Event: e})
	if err != nil {
		return Fact{}, fmt.Errorf("encode event: %w", err)
	}
	f := Fact{Kind: string(e.Kind), At: e.At, Subjects: []string{pairSubject(line, customer), "customer:" + customer},
		Customer: customer, Version: 1, Data: data}
	if p != (policyPersonal{}) {
		if f.Personal, err = json.Marshal(p); err != nil {
			return Fact{}, fmt.Errorf("encode event: %w", err)
		}
	}
	return f, nil
}

// policy reads the payload of a policy event; own is empty after an erasure.
func (f Fact) policy() (p policyFact, own policyPersonal, err error) {
	err = json.Unmarshal(f.Data, &p)
	if err == nil && f.Personal != nil {
		err = json.Unmarshal(f.Personal, &own)
	}
	if err != nil {
		return p, own, fmt.Errorf("%w: event %d: %w", ErrCorrupt, f.Seq, err)
	}
	return p, own, nil
}
