package store

import (
	"context"
	"encoding/json"
	"errors"
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

// policyFact is the open payload of a policy event. Meta's IDs in it are masked, the reason is left out.
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

// policyView is a state as it is kept. Version is the sequence of the newest policy event (or merge) of the customer; it
// is kept with the state over all lines, so it covers every line's.
type policyView struct {
	Version uint64       `json:"v"`
	State   policy.State `json:"s"`
}

const maxEvent = 8 << 10

func pairSubject(line, customer string) string { return "line:" + line + "/customer:" + customer }

func pairKey(line, customer string) []byte { return key(tabPair, customer, line) }

// RecordEvent appends a policy event about a line and customer, together with the two states it changes, in one synced
// transaction. expect (when not nil) demands that PolicyState's version is still this, else ErrVersion. It returns the new
// version. An event that is there already (eventName) is not appended again: the version is then the one that is.
//
// While the disk refuses writes, what happened to a call anyway (finished, received) waits in memory and the version is 0;
// everything else is refused, so nothing is done that wasn't counted.
func (s *Store) RecordEvent(ctx context.Context, line, customer string, e policy.Event, expect *uint64) (version uint64, err error) {
	if err = checkPair(line, customer); err == nil {
		err = checkEvent(e)
	}
	if err != nil {
		return 0, fmt.Errorf("record %s: %w", e.Kind, err)
	}
	var got uint64
	kept, err := s.submit(ctx, policyKinds[e.Kind], func(t *tx) error {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		got, err = t.recordEvent(line, who, e, expect)
		return err
	})
	if err != nil || kept {
		return 0, wrap(err, "record "+string(e.Kind))
	}
	return got, nil
}

// Reservation is what Reserve did.
type Reservation struct {
	Reserved bool
	Event    policy.Event // what decide returned
	Version  uint64
}

// Reserve decides and counts in one step: decide sees the pair's state and the customer's over all lines, and returns the
// event to append (an attempt, a request) or false. Nothing else is written between what it sees and its event, so a limit
// holds however many agents dial; it is on stable storage when Reserve returns.
//
// RecordEvent with expect promises the same, but its losers have to read and decide again, each time behind another sync:
// with n agents dialling one customer, n rounds. Expect stays for decisions that need longer than the writer may wait, as
// when Meta is asked in between.
//
// decide runs in the writer, which all of the store waits for: it must be quick and pure, and may run more than once; the
// last run counts. When Reserve returns an error the event may have been counted all the same (ErrStuck, a ctx that
// ended), so don't do what it was to count.
func (s *Store) Reserve(ctx context.Context, line, customer string, decide func(pair, global policy.State) (policy.Event, bool)) (Reservation, error) {
	if err := checkPair(line, customer); err != nil {
		return Reservation{}, fmt.Errorf("reserve: %w", err)
	}
	var got Reservation
	_, err := s.submit(ctx, classInbox, func(t *tx) error {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		pair, global, err := t.policyState(line, who)
		if err != nil {
			return err
		}
		got = Reservation{Version: global.Version}
		got.Event, got.Reserved = decide(pair.State, global.State)
		if !got.Reserved {
			return nil
		}
		if err := checkEvent(got.Event); err != nil {
			return err
		}
		got.Version, err = t.recordEvent(line, who, got.Event, nil)
		return err
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("reserve: %w", err)
	}
	return got, nil
}

// PolicyState reads the state of a line and customer, the customer's over all lines, and the version that RecordEvent may
// expect; it covers both. Nothing known: zero states and version 0.
func (s *Store) PolicyState(ctx context.Context, line, customer string) (pair, global policy.State, version uint64, err error) {
	err = s.view(ctx, func(t *tx) error {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		p, g, err := t.policyState(line, who)
		pair, global, version = p.State, g.State, g.Version
		return err
	})
	if err != nil {
		return pair, global, 0, fmt.Errorf("policy state: %w", err)
	}
	return pair, global, version, nil
}

func (t *tx) policyState(line, customer string) (pair, global policyView, err error) {
	if pair, err = t.policyView(pairKey(line, customer)); err == nil {
		global, err = t.policyView(key(tabGlobal, customer))
	}
	return pair, global, err
}

func (t *tx) policyView(k []byte) (v policyView, err error) {
	open, err := t.clear(k)
	if errors.Is(err, ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(open, &v); err != nil {
		return v, fmt.Errorf("%w: policy state: %w", ErrCorrupt, err)
	}
	return v, nil
}

func (t *tx) keepPolicy(k []byte, v policyView) error {
	open, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode policy state: %w", err)
	}
	return t.put(k, "", open, nil)
}

// recordEvent checks first and writes last.
func (t *tx) recordEvent(line, customer string, e policy.Event, expect *uint64) (uint64, error) {
	global, err := t.policyView(key(tabGlobal, customer))
	if err != nil {
		return 0, err
	}
	var seen []byte
	if name := eventName(line, customer, e); name != "" {
		seen = t.dedupeKey(name)
		if have, err := t.has(seen); err != nil || have {
			return global.Version, err
		}
	}
	if expect != nil && *expect != global.Version {
		return 0, fmt.Errorf("%w: customer %s is at %d, expected %d", ErrVersion, customer, global.Version, *expect)
	}
	f, err := t.policyFact(line, customer, e)
	if err != nil {
		return 0, err
	}
	if seen != nil {
		if err := t.setTTL(seen, u64(0), t.s.cfg.Limits.DedupeKeep); err != nil {
			return 0, err
		}
	}
	return t.append(f)
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
	e.Wamid, e.Context, e.Reason = t.mask(e.Wamid), t.mask(e.Context), ""
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

// applyPolicy adds the event to both states.
func (t *tx) applyPolicy(f Fact) error {
	var p policyFact
	if err := json.Unmarshal(f.Data, &p); err != nil {
		return fmt.Errorf("%w: event %d: %w", ErrCorrupt, f.Seq, err)
	}
	for _, k := range [][]byte{pairKey(p.Line, f.Customer), key(tabGlobal, f.Customer)} {
		v, err := t.policyView(k)
		if err != nil {
			return err
		}
		if err := t.keepPolicy(k, policyView{Version: f.Seq, State: v.State.Apply(p.Event)}); err != nil {
			return err
		}
	}
	return nil
}

func checkPair(line, customer string) error {
	if err := checkID("line", line); err != nil {
		return err
	}
	if err := checkID("customer", customer); err != nil {
		return err
	}
	if n := len(pairSubject(line, customer)); n > maxSubject {
		return fmt.Errorf("%w: line and customer of %d bytes, at most %d", ErrTooLarge, n, maxSubject)
	}
	return nil
}

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

// wrap adds what was being done to an error, if there is one.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
