package store

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// NewestFacts reads the ledger backwards: the facts that name subject, newest first, from before the sequence before (0:
// from the end). next is where to go on, 0 at the end.
func (s *Store) NewestFacts(ctx context.Context, subject string, before uint64, limit int) (facts []Fact, next uint64, err error) {
	if subject == "" || len(subject) > maxSubject {
		return nil, 0, fmt.Errorf("list facts: %w: subject", ErrInvalid)
	}
	limit = clamp(limit, 50, 1000)
	err = s.view(ctx, func(t *tx) error {
		prefix := append(key(tabMention, subject), 0)
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues, o.Reverse = prefix, false, true
		it := t.t.NewIterator(o)
		defer it.Close()
		start := ^uint64(0)
		if before > 0 {
			start = before - 1
		}
		for it.Seek(mentionKey(subject, start)); it.Valid(); it.Next() {
			k := it.Item().Key()
			if len(facts) == limit {
				next = facts[limit-1].Seq
				return nil
			}
			f, err := t.fact(asU64(k[len(k)-8:]))
			if err != nil {
				return err
			}
			facts = append(facts, f)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list facts: %w", err)
	}
	return facts, next, nil
}

// AppendAll adds facts in one transaction: all of them are kept, or none.
func (s *Store) AppendAll(ctx context.Context, facts ...Fact) error {
	for _, f := range facts {
		if err := f.check(); err != nil {
			return fmt.Errorf("append fact %q: %w", f.Kind, err)
		}
	}
	_, err := s.submit(ctx, classNormal, func(t *tx) error { return t.appendAll(facts) })
	if err != nil {
		return fmt.Errorf("append facts: %w", err)
	}
	return nil
}
