package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// A row is a record that a view keeps under its ID. Its facts carry the record as it stands after them, so the row is the
// newest fact's record, and Rebuild has nothing to add up.
type row[T any] interface {
	*T
	// id names the record; it is the key, and with the noun the subject.
	id() string
	// who is the field with the customer whose key seals the private fields; nil: the appliance's.
	who() *string
	// private are the fields that an erasure takes out.
	private() []*string
	// about are the subjects of its facts beside its own.
	about() []string
	// rev is where the record's version is told, the sequence of the newest fact about it; nil: nobody asks.
	rev() *uint64
}

// rows is one view of such records.
type rows[T any, P row[T]] struct {
	table byte
	noun  string   // "callback": the subject "callback:ID", the facts "callback.…"
	kinds []string // the facts that carry a record; others of the noun say something about one
	// index gives the keys that lead to the row, made of what is stored open. nil: none.
	index func(v P) [][]byte
	// tally keeps sums: old is nil for a new row. nil: none.
	tally func(t *tx, old, v P) error
}

// split takes the private fields out of v. personal is nil when all are empty.
func (r rows[T, P]) split(v T) (open, personal []byte, err error) {
	var texts []string
	for _, field := range P(&v).private() {
		texts = append(texts, *field)
		*field = ""
	}
	if rev := P(&v).rev(); rev != nil {
		*rev = 0
	}
	if open, err = json.Marshal(v); err != nil {
		return nil, nil, fmt.Errorf("encode %s: %w", r.noun, err)
	}
	if strings.Join(texts, "") == "" {
		return open, nil, nil
	}
	personal, err = json.Marshal(texts)
	return open, personal, err
}

func (r rows[T, P]) join(open, personal []byte) (v T, err error) {
	if err := json.Unmarshal(open, &v); err != nil {
		return v, fmt.Errorf("%w: %s: %w", ErrCorrupt, r.noun, err)
	}
	if personal == nil {
		return v, nil
	}
	var texts []string
	if err := json.Unmarshal(personal, &texts); err != nil {
		return v, fmt.Errorf("%w: %s: %w", ErrCorrupt, r.noun, err)
	}
	for i, field := range P(&v).private() {
		if i < len(texts) {
			*field = texts[i]
		}
	}
	return v, nil
}

func (r rows[T, P]) subject(id string) string { return r.noun + ":" + id }

// load reads a row. Its customer is the one that the stored ID leads to today.
func (r rows[T, P]) load(t *tx, id string) (v T, err error) {
	_, open, personal, err := t.load(key(r.table, id))
	if err == nil {
		v, err = r.join(open, personal)
	}
	if err == nil {
		err = r.follow(t, &v)
	}
	if rev := P(&v).rev(); err == nil && rev != nil {
		*rev, err = t.version(r.subject(id))
	}
	if err != nil {
		return v, fmt.Errorf("%s %s: %w", r.noun, id, err)
	}
	return v, nil
}

// loadInto leaves v as it is when there is no row.
func (r rows[T, P]) loadInto(t *tx, id string, v *T) error {
	got, err := r.load(t, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		*v = got
	}
	return err
}

// all reads the whole view, by ID: for views that are as small as the installation.
func (r rows[T, P]) all(ctx context.Context, t *tx) (vs []T, err error) {
	err = t.scan([]byte{r.table}, func(k []byte, _ *badger.Item) (bool, error) {
		v, err := r.load(t, string(k[1:]))
		vs = append(vs, v)
		return len(vs) < maxScan, errors.Join(err, ctx.Err())
	})
	return vs, err
}

// follow replaces a customer that was merged by the one it was merged into.
func (r rows[T, P]) follow(t *tx, v *T) error {
	who := P(v).who()
	if who == nil || *who == "" {
		return nil
	}
	id, err := t.current(*who)
	*who = id
	return err
}

// apply makes the fact's record the row and moves the index entries.
func (r rows[T, P]) apply(t *tx, f Fact) error {
	if !slices.Contains(r.kinds, f.Kind) {
		return nil
	}
	v, err := r.join(f.Data, nil)
	if err != nil {
		return fmt.Errorf("fact %d: %w", f.Seq, err)
	}
	id := P(&v).id()
	k := key(r.table, id)
	_, open, before, err := t.load(k)
	var old *T
	if err == nil {
		was, err := r.join(open, nil)
		if err != nil {
			return err
		}
		old = &was
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := r.reindex(t, old, &v); err != nil {
		return err
	}
	personal := f.Personal
	if personal == nil {
		personal = before
	}
	return t.put(k, f.Customer, f.Data, personal)
}

func (r rows[T, P]) reindex(t *tx, old, v *T) error {
	if r.tally != nil {
		if err := r.tally(t, old, v); err != nil {
			return err
		}
	}
	if r.index == nil {
		return nil
	}
	want := r.index(v)
	if old != nil {
		for _, k := range r.index(old) {
			if slices.ContainsFunc(want, func(w []byte) bool { return bytes.Equal(w, k) }) {
				continue
			}
			if err := t.del(k); err != nil {
				return err
			}
		}
	}
	for _, k := range want {
		if err := t.set(k, []byte(P(v).id())); err != nil {
			return err
		}
	}
	return nil
}
