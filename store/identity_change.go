package store

import (
	"context"
	"fmt"
	"sync"

	"deskbridge/bridge"
)

// ChangeIdentity gives a customer a new number or user ID (contract §16.4). Somebody who was seen under the new one already is
// the same person and is merged. ErrNotFound: nobody is known under before.
func (s *Store) ChangeIdentity(ctx context.Context, before, after Identity) (bridge.Customer, error) {
	before, err := before.normal()
	if err == nil {
		after, err = after.normal()
	}
	if err != nil {
		return bridge.Customer{}, fmt.Errorf("change identity: %w", err)
	}
	var mu sync.Mutex // the writer may still run the op when a stuck disk made us go on without it
	var out bridge.Customer
	_, err = s.submit(ctx, classInbox, func(t *tx) error {
		c, err := t.changeIdentity(before, after)
		mu.Lock()
		defer mu.Unlock()
		out = c.bridge()
		return err
	})
	if err != nil {
		return bridge.Customer{}, fmt.Errorf("change identity: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return out, nil
}

func (t *tx) changeIdentity(before, after Identity) (customer, error) {
	old, err := t.match(before)
	if err != nil {
		return customer{}, err
	}
	if old.primary == nil {
		return customer{}, ErrNotFound
	}
	c := *old.primary
	if after.Phone == "" && after.BSUID != "" && after.BSUID != c.BSUID {
		// A user ID changes only with the number (contract §16.1), and the new number is not told: the old one may be anybody's
		// soon.
		c.Phone = ""
	}
	c, _ = c.with(after)
	seen, err := t.match(after)
	if err != nil {
		return c, err
	}
	for _, other := range append(seen.absorb, seen.primary) {
		if other == nil || other.ID == c.ID {
			continue
		}
		if err := t.merge(&c, *other); err != nil {
			return c, err
		}
	}
	if r := seen.rob; r != nil && r.ID != c.ID { // the number is no longer theirs
		r.Phone = ""
		if err := t.keep(*r); err != nil {
			return c, err
		}
	}
	return c, t.keep(c)
}
