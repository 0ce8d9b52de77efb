package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"deskbridge/policy"
)

// policyView is a state as it is kept. Version is the sequence of the newest policy event (or merge) of the customer; it
// is kept with the state over all lines, so it covers every line's.
type policyView struct {
	Version uint64       `json:"v"`
	State   policy.State `json:"s"` // stored open: without reasons
	// full has the reasons that people gave for a block or an override. It is sealed; nil: there never was one, or it was
	// erased, and State is all.
	full *policy.State
}

func (v policyView) state() policy.State {
	if v.full != nil {
		return *v.full
	}
	return v.State
}

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

// PolicyState reads the state of a line and customer, the customer's over all lines, and the version that RecordEvent may
// expect; it covers both. Nothing known: zero states and version 0.
func (s *Store) PolicyState(ctx context.Context, line, customer string) (pair, global policy.State, version uint64, err error) {
	err = s.view(ctx, func(t *tx) error {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		p, g, err := t.policyState(line, who)
		pair, global, version = p.state(), g.state(), g.Version
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
	_, open, personal, err := t.load(k)
	if errors.Is(err, ErrNotFound) {
		return v, nil
	}
	if err == nil {
		err = json.Unmarshal(open, &v)
	}
	if err == nil && personal != nil {
		err = json.Unmarshal(personal, &v.full)
	}
	if err != nil {
		return v, fmt.Errorf("policy state: %w", err)
	}
	return v, nil
}

func (t *tx) keepPolicy(k []byte, customer string, v policyView) error {
	open, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode policy state: %w", err)
	}
	var full []byte
	if v.full != nil {
		if full, err = json.Marshal(v.full); err != nil {
			return fmt.Errorf("encode policy state: %w", err)
		}
	}
	return t.put(k, customer, open, full)
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

// applyPolicy adds the event to both states.
func (t *tx) applyPolicy(f Fact) error {
	p, own, err := f.policy()
	if err != nil {
		return err
	}
	for _, k := range [][]byte{pairKey(p.Line, f.Customer), key(tabGlobal, f.Customer)} {
		v, err := t.policyView(k)
		if err != nil {
			return err
		}
		if err := t.keepPolicy(k, f.Customer, v.apply(p.Event, own.Reason, f.Seq)); err != nil {
			return err
		}
	}
	return nil
}

func (v policyView) apply(e policy.Event, reason string, seq uint64) policyView {
	if v.full != nil || reason != "" {
		told := e
		if reason != "" {
			told.Reason = reason
		}
		full := v.state().Apply(told)
		v.full = &full
	}
	v.Version, v.State = seq, v.State.Apply(e)
	return v
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
