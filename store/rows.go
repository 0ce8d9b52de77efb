package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// subjects are what a record is about beside itself.
func subjects(line, customer, call string) (about []string) {
	if customer != "" {
		about = append(about, "customer:"+customer)
		if line != "" {
			about = append(about, pairSubject(line, customer))
		}
	}
	if call != "" {
		about = append(about, "call:"+call)
	}
	return about
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

// checkID bounds what names a record: it becomes part of a key and of a subject.
func checkID(noun, id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("%w: %s ID of %d bytes, want 1 to %d", ErrInvalid, noun, len(id), maxID)
	}
	for _, r := range id {
		if r < 0x20 {
			return fmt.Errorf("%w: control character in %s ID", ErrInvalid, noun)
		}
	}
	return nil
}

// newID is a random name, in the form of a customer's.
func newID(prefix string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return prefix + hex.EncodeToString(b[:])
}

// derivedID is the same for the same parts, and tells nothing about them.
func (s *Store) derivedID(prefix string, parts ...string) string {
	return prefix + hex.EncodeToString([]byte(s.crypt.hash("id", strings.Join(parts, "\x00"))[:12]))
}

// maxID leaves room for the noun in a subject.
const maxID = maxSubject - len("recording:")
