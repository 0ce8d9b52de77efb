package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

const factDecided = "call.decided"

// maxDecision bounds one decision's data.
const maxDecision = 64 << 10

// RecordDecision keeps what was decided about a call and what it rested on, as JSON, so that it can be told and made again
// later from the ledger alone. Members named "reason" are people's words about people: they are sealed, and an erasure
// leaves null in their place. Nothing else personal may be in data. Line and customer may be empty when the call never got
// so far. While the disk refuses writes it waits in memory, as the call's facts do.
func (s *Store) RecordDecision(ctx context.Context, call, line, customer string, data []byte) error {
	err := checkDecision(call, line, customer, data)
	if err == nil {
		_, err = s.submit(ctx, classCall, func(t *tx) error { return t.recordDecision(call, line, customer, data) })
	}
	return wrap(err, "record decision of call "+call)
}

func checkDecision(call, line, customer string, data []byte) error {
	if err := checkID("call", call); err != nil {
		return err
	}
	if len(data) > maxDecision {
		return fmt.Errorf("%w: decision of %d bytes, at most %d", ErrTooLarge, len(data), maxDecision)
	}
	if line != "" && customer != "" {
		return checkPair(line, customer)
	}
	return nil
}

func (t *tx) recordDecision(call, line, customer string, data []byte) error {
	bare, err := withoutReasons(data)
	if err != nil {
		return err
	}
	f := Fact{Kind: factDecided, At: t.s.cfg.Clock(), Subjects: []string{"call:" + call}, Customer: "call:" + call, Version: 1, Data: bare}
	if !bytes.Equal(bare, data) {
		f.Personal = data
	}
	if customer != "" {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		f.Customer = who
		f.Subjects = append(f.Subjects, "customer:"+who)
		if line != "" {
			f.Subjects = append(f.Subjects, pairSubject(line, who))
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	_, err = t.append(f)
	return err
}

// withoutReasons replaces every member named "reason" by null. What has none comes back as it is.
func withoutReasons(data []byte) ([]byte, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("%w: decision is not JSON", ErrInvalid)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // numbers stay as they are written
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: decision: %w", ErrInvalid, err)
	}
	// Of a name that comes twice only the last is looked at, so what may hold a reason is always written anew.
	if !dropReasons(v) && !bytes.Contains(data, []byte(`"reason"`)) {
		return data, nil
	}
	return json.Marshal(v)
}

func dropReasons(v any) (did bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if name == "reason" && member != nil && member != "" {
				v[name], did = nil, true
			} else {
				did = dropReasons(member) || did
			}
		}
	case []any:
		for _, member := range v {
			did = dropReasons(member) || did
		}
	}
	return did
}

// applyDecision remembers where the call's newest decision is.
func (t *tx) applyDecision(f Fact) error {
	if len(f.Subjects) == 0 || len(f.Subjects[0]) <= len("call:") {
		return fmt.Errorf("%w: decision %d without a call", ErrCorrupt, f.Seq)
	}
	return t.set(key(tabDecision, f.Subjects[0][len("call:"):]), u64(f.Seq))
}

// Decision is the newest decision recorded about a call; ErrNotFound when there is none.
func (s *Store) Decision(ctx context.Context, call string) (data []byte, err error) {
	err = s.view(ctx, func(t *tx) error {
		seq, err := t.get(key(tabDecision, call))
		if err != nil {
			return err
		}
		f, err := t.fact(asU64(seq))
		if data = f.Data; f.Personal != nil {
			data = f.Personal
		}
		return err
	})
	return data, wrap(err, "decision of call "+call)
}
