package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Erase deletes a customer's key, and the keys of everything merged into them. What it sealed (number, name, user IDs,
// dialled digits, payloads, texts) is gone from facts and views; times, counters and codes stay. The customer's ID
// stays known as erased, so that no later fact seals anything for it again. A person who calls again is a new customer.
func (s *Store) Erase(ctx context.Context, id string) error {
	_, err := s.submit(ctx, classNormal, func(t *tx) error { return t.erase(id) })
	if err != nil {
		return fmt.Errorf("erase customer: %w", err)
	}
	return nil
}

func (t *tx) erase(id string) error {
	c, err := t.customer(id)
	if err != nil {
		return err
	}
	if c.Erased {
		return nil
	}
	ids := append([]string{c.ID}, c.Merged...)
	owners := ids
	var lookups [][]byte
	for _, one := range ids {
		calls, err := t.callsOwned(one)
		if err != nil {
			return err
		}
		owners = append(owners, calls...)
		more, err := t.lookupsOf(one)
		if err != nil {
			return err
		}
		lookups = append(lookups, more...)
	}
	for _, k := range lookups {
		if err := t.del(k); err != nil {
			return err
		}
	}
	for _, o := range owners {
		delete(t.keys, o)
		if err := t.set(key(tabErased, o), []byte(t.s.cfg.Clock().UTC().Format("2006-01-02T15:04:05Z"))); err != nil {
			return err
		}
		if err := t.del(key(tabKey, o)); err != nil {
			return err
		}
	}
	t.after = append(t.after, func() { t.s.crypt.forget(owners...) })
	data, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	_, err = t.append(Fact{Kind: factErased, At: t.s.cfg.Clock(), Subjects: []string{"customer:" + c.ID}, Version: 1, Data: data})
	return err
}

// callsOwned are the call keys made while a call's customer wasn't known yet.
func (t *tx) callsOwned(customer string) (owners []string, err error) {
	prefix := append(key(tabOwned, customer), 0)
	err = t.scan(prefix, func(k []byte, _ *badger.Item) (bool, error) {
		owners = append(owners, "call:"+string(k[len(prefix):]))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	have := owners[:0]
	for _, o := range owners {
		ok, err := t.has(key(tabKey, o))
		if err != nil {
			return nil, err
		}
		if ok {
			have = append(have, o)
		}
	}
	return have, nil
}

// lookupsOf are the identity keys that lead to exactly this customer record (current and past).
func (t *tx) lookupsOf(id string) (keys [][]byte, err error) {
	_, open, personal, err := t.load(key(tabCustomer, id))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := decodeCustomer(open, personal)
	if err != nil {
		return nil, err
	}
	for _, i := range append(c.identities(), c.Past...) {
		k := t.identityKey(i)
		who, err := t.get(k)
		if err == nil && (string(who) == id || string(who) == c.Into) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// applyErased leaves of the customer's view only the ID and the fact that it was erased.
func (t *tx) applyErased(f Fact) error {
	var ids []string
	if err := json.Unmarshal(f.Data, &ids); err != nil {
		return fmt.Errorf("%w: erasure %d: %w", ErrCorrupt, f.Seq, err)
	}
	for i, id := range ids {
		k := key(tabCustomer, id)
		_, open, _, err := t.load(k)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		c, err := decodeCustomer(open, nil)
		if err != nil {
			return err
		}
		if c.Alias != "" {
			if err := t.del(key(tabAlias, c.Alias)); err != nil {
				return err
			}
		}
		rest := customerOpen{ID: id, Merged: c.Merged, Erased: true} // what has only times and counters left is still found
		if i > 0 {
			rest.Into = ids[0]
		}
		left, err := json.Marshal(rest)
		if err != nil {
			return err
		}
		if err := t.put(k, id, left, nil); err != nil {
			return err
		}
	}
	return nil
}
