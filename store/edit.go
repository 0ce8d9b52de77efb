package store

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// edit is one change of a row.
type edit struct {
	class class
	id    string
	at    time.Time
}

// edit runs fn on the row inside the writer (found: it exists already) and appends the fact of the kind that fn returns,
// with the record as fn left it; an empty kind: nothing changed. fn may run more than once. kept: it waits in memory for
// the disk and out is not known.
func (r rows[T, P]) edit(ctx context.Context, s *Store, e edit, fn func(t *tx, v P, found bool) (kind string, err error)) (out T, kept bool, err error) {
	if err := checkID(r.noun, e.id); err != nil {
		return out, false, err
	}
	var got T
	kept, err = s.submit(ctx, e.class, func(t *tx) error {
		old, err := r.load(t, e.id)
		found := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		v := old
		kind, err := fn(t, &v, found)
		if err != nil {
			return err
		}
		if kind != "" {
			if err := r.follow(t, &v); err != nil {
				return err
			}
			seq, err := r.append(t, Fact{Kind: kind, At: e.at}, v, old)
			if err != nil {
				return err
			}
			if rev := P(&v).rev(); rev != nil {
				*rev = seq
			}
		}
		got = v
		return nil
	})
	if err != nil || kept { // the writer may still be at it: got is its
		return out, kept, err
	}
	return got, false, nil
}

// append adds the fact that makes v the row. A fact whose private fields are those of the fact before leaves them out:
// the text of a message isn't stored again with each of its delivery states.
func (r rows[T, P]) append(t *tx, f Fact, v, old T) (uint64, error) {
	open, personal, err := r.split(v)
	if err != nil {
		return 0, err
	}
	_, before, err := r.split(old)
	switch {
	case err != nil:
		return 0, err
	case bytes.Equal(before, personal):
		personal = nil
	case personal == nil:
		personal = []byte("[]")
	}
	p := P(&v)
	f.Subjects, f.Version, f.Data, f.Personal = append([]string{r.subject(p.id())}, p.about()...), 1, open, personal
	if who := p.who(); who != nil {
		f.Customer = *who
	}
	if err := f.check(); err != nil {
		return 0, err
	}
	return t.append(f)
}
