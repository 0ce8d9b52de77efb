package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Rebuild makes the views again from the ledger alone. Writes wait meanwhile; readers may see half of it. A crash in
// the middle is noticed at the next start, which begins anew.
func (s *Store) Rebuild(ctx context.Context) error {
	_, err := s.submitOp(ctx, &op{class: classNormal, alone: true, done: make(chan error, 1),
		run: func(*tx) error { return s.rebuild(s.db.Load()) }})
	if err != nil {
		return fmt.Errorf("rebuild views: %w", err)
	}
	return nil
}

func (s *Store) rebuild(db *badger.DB) error {
	w := &rebuilder{s: s, db: db}
	w.begin()
	defer func() { w.t.t.Discard() }()
	if err := w.do(func(t *tx) error { return t.set(keyRebuild, nil) }); err != nil {
		return err
	}
	if err := w.next(); err != nil {
		return err
	}
	for _, table := range viewTables {
		if err := w.clear(table); err != nil {
			return err
		}
	}
	last := w.t.last(tabFact)
	for seq := uint64(1); seq <= last; seq++ {
		f, err := w.t.fact(seq)
		if err != nil {
			return err
		}
		if err := w.do(func(t *tx) error { return t.apply(f) }); err != nil {
			return fmt.Errorf("fact %d: %w", seq, err)
		}
	}
	if err := w.do(func(t *tx) error { return errors.Join(t.del(keyRebuild), t.set(keyIndexed, nil)) }); err != nil {
		return err
	}
	return w.next()
}

// rebuilder spreads the work over transactions of a bearable size.
type rebuilder struct {
	s  *Store
	db *badger.DB
	t  *tx
}

func (w *rebuilder) begin() { w.t = w.s.begin(w.db) }

func (w *rebuilder) do(fn func(*tx) error) error {
	if err := fn(w.t); err != nil {
		return err
	}
	if w.t.bytes < softBytes && w.t.writes < 2000 {
		return nil
	}
	return w.next()
}

func (w *rebuilder) next() error {
	if err := w.t.commit(); err != nil {
		return err
	}
	w.begin()
	return nil
}

func (w *rebuilder) clear(table byte) error {
	for {
		var keys [][]byte
		err := w.t.scan([]byte{table}, func(k []byte, _ *badger.Item) (bool, error) {
			keys = append(keys, append([]byte(nil), k...))
			return len(keys) < 1000, nil
		})
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return nil
		}
		for _, k := range keys {
			if err := w.t.del(k); err != nil {
				return err
			}
		}
		if err := w.next(); err != nil {
			return err
		}
	}
}

// sweepParts deletes body parts that no pending event refers to: their POST was never acknowledged.
func sweepParts(s *Store, db *badger.DB) error {
	w := &rebuilder{s: s, db: db}
	w.begin()
	defer func() { w.t.t.Discard() }()
	used := map[string]bool{}
	err := w.t.scan([]byte{tabPending}, func(k []byte, _ *badger.Item) (bool, error) {
		_, blob, _, err := w.t.pending(append([]byte(nil), k...))
		if err != nil {
			s.log.Error("a pending webhook is damaged", "err", err)
		}
		if blob != nil {
			used[string(blob)] = true
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	var orphans [][]byte
	err = w.t.scan([]byte{tabPart}, func(k []byte, _ *badger.Item) (bool, error) {
		if len(k) > 17 && !used[string(k[1:17])] {
			orphans = append(orphans, append([]byte(nil), k...))
		}
		return true, nil
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	for _, k := range orphans {
		if err := w.do(func(t *tx) error { return t.del(k) }); err != nil {
			return err
		}
	}
	return w.next()
}
