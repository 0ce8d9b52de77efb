package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Span is which part of a list to read.
type Span struct {
	Limit  int    // default 50, at most 500
	Cursor string // Next of the page before; empty: the first page
}

// Page is a part of a list. Next is empty on the last page. A page may be shorter than its limit, even empty, and still
// have a Next: at most maxScan entries are looked at for one page.
type Page[T any] struct {
	Items []T
	Next  string
}

// list reads rows through an index: the entries under all of prefixes as one list, ordered by what follows the prefix.
// keep says which belong to the page. A damaged row is logged and left out: it must not hide the others.
func (r rows[T, P]) list(ctx context.Context, t *tx, w walk, span Span, keep func(P) bool) (page Page[T], err error) {
	if w.from, err = hex.DecodeString(span.Cursor); err != nil || len(w.from) > maxSubject+16 {
		return page, fmt.Errorf("list: %w: cursor", ErrInvalid)
	}
	limit, seen := clamp(span.Limit, 50, 500), 0
	err = w.run(ctx, t, func(rest, id []byte) (bool, error) {
		v, err := r.load(t, string(id))
		switch {
		case errors.Is(err, ErrCorrupt):
			t.s.log.Error("a record is damaged and left out of the list", "record", string(id), "err", err)
		case err != nil:
			return false, err
		case keep == nil || keep(&v):
			page.Items = append(page.Items, v)
		}
		if seen++; len(page.Items) == limit || seen == maxScan {
			page.Next = hex.EncodeToString(rest)
			return false, nil
		}
		return true, nil
	})
	return page, err
}

// walk is a way through index entries.
type walk struct {
	prefixes [][]byte
	newest   bool   // backwards
	from     []byte // what followed the prefix of the last entry seen

	since, before uint64 // sortable; 0: no bound. Only for entries that begin with a time
}

// bound narrows the walk to entries with a time in [since, before); zero times don't.
func (w *walk) bound(since, before time.Time) {
	if !since.IsZero() {
		w.since = sortable(since)
	}
	if !before.IsZero() {
		w.before = sortable(before)
	}
}

// run visits the entries behind from; rest is what follows the prefix. Read transactions only: Badger allows a write
// transaction one iterator.
func (w walk) run(ctx context.Context, t *tx, fn func(rest, value []byte) (more bool, err error)) error {
	its := make([]*badger.Iterator, len(w.prefixes))
	for i, prefix := range w.prefixes {
		its[i] = w.open(t, prefix)
		defer its[i].Close()
	}
	for {
		best, rest := -1, []byte(nil)
		for i, it := range its {
			if !it.Valid() {
				continue
			}
			r := it.Item().Key()[len(w.prefixes[i]):]
			if c := bytes.Compare(r, rest); best < 0 || (c > 0) == w.newest && c != 0 {
				best, rest = i, r
			}
		}
		if best < 0 || w.past(rest) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		v, err := its[best].Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		more, err := fn(bytes.Clone(rest), v)
		if err != nil || !more {
			return err
		}
		its[best].Next()
	}
}

// past tells whether the walk left its bounds.
func (w walk) past(rest []byte) bool {
	if w.newest {
		return w.since != 0 && asU64(rest[:8]) < w.since
	}
	return w.before != 0 && asU64(rest[:8]) >= w.before
}

func (w walk) open(t *tx, prefix []byte) *badger.Iterator {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues, o.Reverse = prefix, false, w.newest
	it := t.t.NewIterator(o)
	seek := append(bytes.Clone(prefix), w.start()...)
	it.Seek(seek)
	if len(w.from) > 0 && it.Valid() && bytes.Equal(it.Item().Key(), seek) {
		it.Next()
	}
	return it
}

// start is what follows the prefix where the walk begins.
func (w walk) start() []byte {
	switch {
	case len(w.from) > 0:
		return w.from
	case w.newest && w.before != 0:
		return u64(w.before) // entries of that very time are longer and so behind it
	case w.newest:
		return bytes.Repeat([]byte{0xff}, 9) // behind the latest time
	case w.since != 0:
		return u64(w.since)
	}
	return nil
}
