package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

const (
	partSize    = 128 << 10
	maxRaw      = 4 << 20 // reliability.md: webhook body
	maxInboxKey = 2048
	maxItems    = 1000
)

// InboxItem is one event of a webhook. Key is its idempotency key: (call, event), a message ID.
type InboxItem struct {
	Key string
	Raw []byte
}

// Put stores one event before it is acknowledged. duplicate: the key was seen before (done or not) and nothing changed.
func (s *Store) Put(ctx context.Context, key string, raw []byte) (duplicate bool, err error) {
	dup, err := s.PutBatch(ctx, []InboxItem{{Key: key, Raw: raw}})
	return len(dup) == 1 && dup[0], err
}

// PutBatch stores all events of one POST or none. dup says for each whether it was seen before, within the batch too.
func (s *Store) PutBatch(ctx context.Context, items []InboxItem) (dup []bool, err error) {
	total := 0
	for _, it := range items {
		total += len(it.Raw)
		if it.Key == "" || len(it.Key) > maxInboxKey {
			return nil, fmt.Errorf("put webhook: %w: key", ErrInvalid)
		}
	}
	if total > maxRaw || len(items) > maxItems {
		return nil, fmt.Errorf("put webhook: %w: %d events, %d bytes", ErrTooLarge, len(items), total)
	}
	if len(items) == 0 {
		return nil, nil
	}
	// A transaction holds about 1 MB: bodies of a bigger POST go ahead in parts, which nothing refers to until the
	// transaction that enters the events. Parts without events are swept at the next start.
	parts := make([][]byte, len(items))
	if total > softBytes {
		if parts, err = s.putParts(ctx, items); err != nil {
			return nil, fmt.Errorf("put webhook: %w", err)
		}
	}
	var got []bool
	_, err = s.submit(ctx, classInbox, func(t *tx) error {
		got = make([]bool, len(items))
		for i, it := range items {
			var err error
			if got[i], err = t.receive(it, parts[i]); err != nil {
				return err
			}
			if !got[i] || parts[i] == nil {
				continue
			}
			for n := range binary.BigEndian.Uint32(parts[i][16:]) {
				if err := t.del(partKey(parts[i], n)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("put webhook: %w", err)
	}
	return got, nil
}

// The first byte of a pending event says where its body is.
const (
	bodyHere  = 0
	bodyParts = 1
)

func (t *tx) receive(it InboxItem, parts []byte) (duplicate bool, err error) {
	k := t.dedupeKey(it.Key)
	if seen, err := t.has(k); err != nil || seen {
		return seen, err
	}
	n := t.s.arrivals + 1
	t.s.arrivals = n // a number lost with its transaction is only a gap
	kind, body := byte(bodyHere), it.Raw
	if parts != nil {
		kind, body = bodyParts, parts
	}
	v := binary.AppendUvarint([]byte{kind}, uint64(len(it.Key)))
	v = append(append(v, it.Key...), body...)
	if err := t.put(numKey(tabPending, n), "", nil, v); err != nil {
		return false, err
	}
	return false, t.set(k, u64(n))
}

func (t *tx) dedupeKey(k string) []byte { return key(tabDedupe, t.s.crypt.hash("inbox", k)) }

// putParts stores the bodies in pieces; a reference is blob ID and number of parts.
func (s *Store) putParts(ctx context.Context, items []InboxItem) ([][]byte, error) {
	refs := make([][]byte, len(items))
	for i, it := range items {
		ref := make([]byte, 16, 20)
		_, _ = rand.Read(ref) // never fails (crypto/rand, Go 1.24)
		n := uint32(0)
		for rest := it.Raw; len(rest) > 0; n++ {
			part := rest[:min(partSize, len(rest))]
			rest = rest[len(part):]
			k := partKey(ref, n)
			_, err := s.submit(ctx, classInbox, func(t *tx) error { return t.put(k, "", nil, part) })
			if err != nil {
				return nil, err
			}
		}
		refs[i] = binary.BigEndian.AppendUint32(ref, n)
	}
	return refs, nil
}

func partKey(blob []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{tabPart}, blob[:16]...), n)
}

// Pending calls fn for each event that isn't done, oldest first. fn may call Done. An error from fn stops and is returned.
func (s *Store) Pending(ctx context.Context, fn func(key string, raw []byte) error) error {
	for after := uint64(0); ; {
		var n uint64
		var it InboxItem
		err := s.view(ctx, func(t *tx) (err error) {
			n, it, err = t.nextPending(after)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pending webhooks: %w", err)
		}
		if err := fn(it.Key, it.Raw); err != nil {
			return err
		}
		after = n
	}
}

func (t *tx) nextPending(after uint64) (n uint64, it InboxItem, err error) {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = []byte{tabPending}, false
	iter := t.t.NewIterator(o)
	defer iter.Close()
	iter.Seek(numKey(tabPending, after+1))
	if !iter.Valid() {
		return 0, it, ErrNotFound
	}
	k := iter.Item().KeyCopy(nil)
	n = asU64(k[1:])
	it, blob, count, err := t.pending(k)
	if err != nil || blob == nil {
		return n, it, err
	}
	it.Raw = nil
	for i := range count {
		_, _, part, err := t.load(partKey(blob, i))
		if err != nil {
			return n, it, fmt.Errorf("webhook part: %w", err)
		}
		it.Raw = append(it.Raw, part...)
	}
	return n, it, nil
}

// pending reads one event; blob is set when its body is in parts.
func (t *tx) pending(k []byte) (it InboxItem, blob []byte, count uint32, err error) {
	_, _, v, err := t.load(k)
	if err != nil {
		return it, nil, 0, err
	}
	return decodePending(v)
}

// decodePending reads where-byte, key length, key, body or reference.
func decodePending(v []byte) (it InboxItem, blob []byte, count uint32, err error) {
	bad := fmt.Errorf("%w: pending webhook", ErrCorrupt)
	if len(v) < 2 {
		return it, nil, 0, bad
	}
	n, w := binary.Uvarint(v[1:])
	if w <= 0 || n > uint64(len(v)-1-w) {
		return it, nil, 0, bad
	}
	it.Key, it.Raw = string(v[1+w:1+w+int(n)]), v[1+w+int(n):]
	if v[0] == bodyHere {
		return it, nil, 0, nil
	}
	if len(it.Raw) != 20 {
		return it, nil, 0, bad
	}
	return it, it.Raw[:16], binary.BigEndian.Uint32(it.Raw[16:]), nil
}

// Done drops an event's body; its key is remembered for Limits.DedupeKeep. Unknown keys are not an error.
func (s *Store) Done(ctx context.Context, k string) error {
	_, err := s.submit(ctx, classInbox, func(t *tx) error { return t.finish(k) })
	if err != nil {
		return fmt.Errorf("finish webhook: %w", err)
	}
	return nil
}

func (t *tx) finish(k string) error {
	dk := t.dedupeKey(k)
	b, err := t.get(dk)
	if errors.Is(err, ErrNotFound) || err == nil && asU64(b) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	wk := numKey(tabPending, asU64(b))
	_, blob, count, err := t.pending(wk)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	for i := range count {
		if err := t.del(partKey(blob, i)); err != nil {
			return err
		}
	}
	if err := t.del(wk); err != nil {
		return err
	}
	return t.setTTL(dk, u64(0), t.s.cfg.Limits.DedupeKeep)
}
