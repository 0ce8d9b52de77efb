package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxSubjects = 16
	maxSubject  = 128
	maxData     = 256 << 10
)

// Fact is one immutable entry of the ledger. Bridge's call facts become one of these too.
type Fact struct {
	Seq  uint64    // given by the ledger
	Kind string    // "permission.granted", "login", …
	At   time.Time // when it happened
	// Subjects are what it is about ("call:…", "customer:…", "line:…/customer:…"): IDs, never numbers or names.
	Subjects []string
	Customer string // whose key seals Personal; empty: the appliance's
	Version  int    // of the payload's layout
	Data     []byte // payload without anything personal; stays after an erasure
	Personal []byte // sealed; nil after an erasure
	// Expect, on Append, demands that the subject's newest fact is this one (0: that it has none), else ErrVersion.
	Expect *Expect
	// Optional facts are the first to be refused when space runs low.
	Optional bool
}

// Expect is a condition on the version of a subject.
type Expect struct {
	Subject string
	Version uint64
}

// factClear is the part of a fact that is stored open.
type factClear struct {
	Kind     string          `json:"k"`
	At       time.Time       `json:"t"`
	Subjects []string        `json:"s,omitempty"`
	Customer string          `json:"c,omitempty"`
	Version  int             `json:"v,omitempty"`
	Data     json.RawMessage `json:"d,omitempty"` // JSON payloads as they are
	Raw      []byte          `json:"r,omitempty"` // others
}

// Append adds one fact and returns its sequence once it is on stable storage.
func (s *Store) Append(ctx context.Context, f Fact) (seq uint64, err error) {
	if err := f.check(); err != nil {
		return 0, fmt.Errorf("append fact %q: %w", f.Kind, err)
	}
	c := classNormal
	if f.Optional {
		c = classOptional
	}
	var got uint64
	_, err = s.submit(ctx, c, func(t *tx) error {
		var err error
		got, err = t.append(f)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("append fact %q: %w", f.Kind, err)
	}
	return got, nil
}

func (f Fact) check() error {
	switch {
	case f.Kind == "" || len(f.Kind) > 64:
		return fmt.Errorf("%w: kind", ErrInvalid)
	case len(f.Subjects) > maxSubjects:
		return fmt.Errorf("%w: %d subjects", ErrTooLarge, len(f.Subjects))
	case len(f.Data)+len(f.Personal) > maxData:
		return fmt.Errorf("%w: payload of %d bytes", ErrTooLarge, len(f.Data)+len(f.Personal))
	}
	for _, sub := range append([]string{f.Customer}, f.Subjects...) {
		if len(sub) > maxSubject {
			return fmt.Errorf("%w: subject of %d bytes", ErrTooLarge, len(sub))
		}
		for _, r := range sub {
			if r < 0x20 {
				return fmt.Errorf("%w: control character in subject", ErrInvalid)
			}
		}
	}
	return nil
}

// append writes a fact and the views it changes.
func (t *tx) append(f Fact) (uint64, error) {
	if f.Expect != nil {
		v, err := t.version(f.Expect.Subject)
		if err != nil {
			return 0, err
		}
		if v != f.Expect.Version {
			return 0, fmt.Errorf("%w: %s is at %d, expected %d", ErrVersion, f.Expect.Subject, v, f.Expect.Version)
		}
	}
	f.Seq = t.seq + 1
	c := factClear{Kind: f.Kind, At: f.At.UTC(), Subjects: f.Subjects, Customer: f.Customer, Version: f.Version}
	if json.Valid(f.Data) {
		c.Data = f.Data
	} else {
		c.Raw = f.Data
	}
	open, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("encode fact: %w", err)
	}
	if err := t.put(numKey(tabFact, f.Seq), f.Customer, open, f.Personal); err != nil {
		return 0, err
	}
	if err := t.apply(f); err != nil {
		return 0, err
	}
	t.seq = f.Seq
	return f.Seq, nil
}

// apply changes the views for a fact. Append and Rebuild both come through here, so the views follow from the ledger.
func (t *tx) apply(f Fact) error {
	for _, sub := range f.Subjects {
		if err := t.set(key(tabSubject, sub), u64(f.Seq)); err != nil {
			return err
		}
		if err := t.set(mentionKey(sub, f.Seq), nil); err != nil {
			return err
		}
	}
	switch {
	case isCall(f.Kind):
		return t.applyCall(f)
	case isPolicy(f.Kind):
		return t.applyPolicy(f)
	}
	switch f.Kind {
	case factCustomer:
		return errors.Join(t.applyCustomer(f), t.indexCustomer(f))
	case factErased:
		return errors.Join(t.applyErased(f), t.unindexCustomers(f))
	case factDecided:
		return t.applyDecision(f)
	}
	return t.applyRow(f)
}

// applyRow makes the record that a fact carries the row of its view. Other facts change no view.
func (t *tx) applyRow(f Fact) error {
	switch noun, _, _ := strings.Cut(f.Kind, "."); noun {
	case callbackRows.noun:
		return callbackRows.apply(t, f)
	case messageRows.noun:
		return messageRows.apply(t, f)
	case watchRows.noun:
		return watchRows.apply(t, f)
	case recordingRows.noun:
		return recordingRows.apply(t, f)
	case agentRows.noun:
		return agentRows.apply(t, f)
	case lineRows.noun:
		return lineRows.apply(t, f)
	}
	return nil
}

func (t *tx) version(subject string) (uint64, error) {
	b, err := t.get(key(tabSubject, subject))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return asU64(b), err
}

// Version is the sequence of the newest fact about a subject; 0 when there is none.
func (s *Store) Version(ctx context.Context, subject string) (v uint64, err error) {
	err = s.view(ctx, func(t *tx) error {
		v, err = t.version(subject)
		return err
	})
	return v, err
}

// FactQuery selects facts, oldest first.
type FactQuery struct {
	Subject string // empty: all
	After   uint64 // sequence to start behind
	Limit   int    // default 100, at most 1000
}

// Facts reads the ledger.
func (s *Store) Facts(ctx context.Context, q FactQuery) (facts []Fact, err error) {
	limit := clamp(q.Limit, 100, 1000)
	err = s.view(ctx, func(t *tx) error {
		prefix, start := []byte{tabFact}, numKey(tabFact, q.After+1)
		if q.Subject != "" {
			prefix, start = append(key(tabMention, q.Subject), 0), mentionKey(q.Subject, q.After+1)
		}
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues = prefix, false
		it := t.t.NewIterator(o)
		defer it.Close()
		for it.Seek(start); it.Valid() && len(facts) < limit; it.Next() {
			k := it.Item().Key()
			f, err := t.fact(asU64(k[len(k)-8:]))
			if err != nil {
				return err
			}
			facts = append(facts, f)
		}
		return ctx.Err()
	})
	return facts, err
}

func (t *tx) fact(seq uint64) (Fact, error) {
	_, open, personal, err := t.load(numKey(tabFact, seq))
	if err != nil {
		return Fact{}, fmt.Errorf("fact %d: %w", seq, err)
	}
	var c factClear
	if err := json.Unmarshal(open, &c); err != nil {
		return Fact{}, fmt.Errorf("fact %d: %w: %w", seq, ErrCorrupt, err)
	}
	f := Fact{Seq: seq, Kind: c.Kind, At: c.At, Subjects: c.Subjects, Customer: c.Customer, Version: c.Version,
		Data: c.Data, Personal: personal}
	if len(c.Raw) > 0 {
		f.Data = c.Raw
	}
	return f, nil
}

func clamp(n, def, most int) int {
	if n <= 0 {
		n = def
	}
	return min(n, most)
}
