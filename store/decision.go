package store

import (
	"context"
	"encoding/json"
	"fmt"
)

const factDecided = "call.decided"

// maxDecision bounds one decision's data.
const maxDecision = 64 << 10

// RecordDecision keeps what was decided about a call and the facts it rested on, as JSON with nothing personal in it, so
// that it can be told later from the ledger alone. Line and customer may be empty when the call never got so far. While
// the disk refuses writes it waits in memory, as the call's facts do.
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
	if !json.Valid(data) {
		return fmt.Errorf("%w: decision is not JSON", ErrInvalid)
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
	f := Fact{Kind: factDecided, At: t.s.cfg.Clock(), Subjects: []string{"call:" + call}, Version: 1, Data: data}
	if customer != "" {
		who, err := t.current(customer)
		if err != nil {
			return err
		}
		f.Subjects = append(f.Subjects, "customer:"+who)
		if line != "" {
			f.Subjects = append(f.Subjects, pairSubject(line, who))
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	_, err := t.append(f)
	return err
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
		data = f.Data
		return err
	})
	return data, wrap(err, "decision of call "+call)
}
