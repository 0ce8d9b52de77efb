package store

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// tx is one Badger transaction with our sealing on top. Reads copy. A write transaction belongs to the writer goroutine.
type tx struct {
	s      *Store
	t      *badger.Txn
	seq    uint64 // last sequence given out
	writes int
	bytes  int
	keys   map[string]cipher.AEAD // made or read in this transaction; cached once it is committed
	after  []func()               // run once it is committed
}

func (t *tx) get(k []byte) ([]byte, error) {
	it, err := t.t.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read %c record: %w", k[0], err)
	}
	return it.ValueCopy(nil)
}

func (t *tx) has(k []byte) (bool, error) {
	_, err := t.t.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) set(k, v []byte) error { return t.setTTL(k, v, 0) }

func (t *tx) setTTL(k, v []byte, ttl time.Duration) error {
	e := badger.NewEntry(k, v)
	if ttl > 0 {
		e = e.WithTTL(ttl)
	}
	t.writes++
	t.bytes += len(k) + len(v)
	if err := t.t.SetEntry(e); err != nil {
		return fmt.Errorf("write %c record: %w", k[0], err)
	}
	return nil
}

func (t *tx) del(k []byte) error {
	t.writes++
	t.bytes += len(k)
	if err := t.t.Delete(k); err != nil {
		return fmt.Errorf("delete %c record: %w", k[0], err)
	}
	return nil
}

// scan visits keys with prefix in order; fn must not keep k. Returning false stops.
func (t *tx) scan(prefix []byte, fn func(k []byte, it *badger.Item) (bool, error)) error {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = prefix, false
	it := t.t.NewIterator(o)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		more, err := fn(it.Item().Key(), it.Item())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// put stores a record at k: clear as it is, personal sealed for owner. An erased owner's personal part is dropped.
func (t *tx) put(k []byte, owner string, clear, personal []byte) error {
	r := record{owner: owner, clear: clear}
	if len(personal) > 0 {
		sealed, err := t.seal(owner, k, personal)
		if err != nil && !errors.Is(err, errErased) {
			return err
		}
		r.sealed = sealed
	}
	return t.set(k, r.encode(t.s.crypt.mac, k))
}

// load reads the record at k. personal is nil when there is none or its owner was erased.
func (t *tx) load(k []byte) (owner string, clear, personal []byte, err error) {
	b, err := t.get(k)
	if err != nil {
		return "", nil, nil, err
	}
	return t.open(k, b)
}

// clear is the part of the record at k that is stored open; nothing is decrypted.
func (t *tx) clear(k []byte) ([]byte, error) {
	b, err := t.get(k)
	if err != nil {
		return nil, err
	}
	r, err := decodeRecord(t.s.crypt.mac, k, b)
	return r.clear, err
}

func (t *tx) open(k, b []byte) (owner string, clear, personal []byte, err error) {
	r, err := decodeRecord(t.s.crypt.mac, k, b)
	if err != nil {
		return "", nil, nil, fmt.Errorf("%c record: %w", k[0], err)
	}
	if len(r.sealed) == 0 {
		return r.owner, r.clear, nil, nil
	}
	personal, err = t.unseal(r.owner, k, r.sealed)
	if errors.Is(err, errErased) {
		return r.owner, r.clear, nil, nil
	}
	if err != nil {
		return "", nil, nil, fmt.Errorf("%c record: %w", k[0], err)
	}
	return r.owner, r.clear, personal, nil
}

func (t *tx) seal(owner string, k, plain []byte) ([]byte, error) {
	if owner == "" {
		return t.s.crypt.sealBox(t.s.crypt.box, plain, place(k, owner))
	}
	a, err := t.ownerKey(owner)
	if errors.Is(err, errErased) {
		a, err = t.newOwnerKey(owner)
	}
	if err != nil {
		return nil, err
	}
	return sealWith(a, plain, place(k, owner))
}

func (t *tx) unseal(owner string, k, sealed []byte) ([]byte, error) {
	if owner == "" {
		return t.s.crypt.openBox(t.s.crypt.box, sealed, place(k, owner))
	}
	a, err := t.ownerKey(owner)
	if err != nil {
		return nil, err
	}
	return openWith(a, sealed, place(k, owner))
}

// ownerKey finds an owner's key. A missing key means that it was erased (or never made).
func (t *tx) ownerKey(owner string) (cipher.AEAD, error) {
	if a := t.keys[owner]; a != nil {
		return a, nil
	}
	// Only the presence check decides: the cache merely saves the unwrapping, so an erasure is seen at once.
	k := key(tabKey, owner)
	wrapped, err := t.get(k)
	if errors.Is(err, ErrNotFound) {
		return nil, errErased
	}
	if err != nil {
		return nil, err
	}
	if a := t.s.crypt.cached(owner); a != nil {
		return a, nil
	}
	raw, err := t.s.crypt.openBox(t.s.crypt.wrap, wrapped, place(k, owner))
	if err != nil {
		return nil, fmt.Errorf("unwrap customer key: %w", err)
	}
	a, err := newAEAD(raw)
	if err != nil {
		return nil, err
	}
	t.s.crypt.remember(owner, a) // committed: keys made in this transaction are in t.keys
	return a, nil
}

func (t *tx) newOwnerKey(owner string) (cipher.AEAD, error) {
	gone, err := t.has(key(tabErased, owner))
	if err != nil {
		return nil, err
	}
	if gone {
		return nil, errErased
	}
	raw := make([]byte, keySize)
	if _, err := rand.Read(raw); err != nil {
		return nil, fmt.Errorf("read random: %w", err)
	}
	k := key(tabKey, owner)
	wrapped, err := t.s.crypt.sealBox(t.s.crypt.wrap, raw, place(k, owner))
	if err != nil {
		return nil, err
	}
	if err := t.set(k, wrapped); err != nil {
		return nil, err
	}
	a, err := newAEAD(raw)
	if err == nil {
		t.keys[owner] = a
	}
	return a, err
}
