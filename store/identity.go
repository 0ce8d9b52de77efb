package store

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// current is the ID that a customer's ID leads to after merges. An ID that isn't on disk (a guest of a full disk) is its own.
func (t *tx) current(id string) (string, error) {
	for range maxPast {
		c, err := t.customerOpen(id)
		if errors.Is(err, ErrNotFound) || err == nil && c.Into == "" {
			return id, nil
		}
		if err != nil {
			return "", err
		}
		id = c.Into
	}
	return "", fmt.Errorf("customer %s: %w: merged in a circle", id, ErrCorrupt)
}

// everyID is the current ID of a customer and all that were merged into it: rows and facts keep the ID they were
// written with.
func (t *tx) everyID(id string) ([]string, error) {
	id, err := t.current(id)
	if err != nil {
		return nil, err
	}
	c, err := t.customerOpen(id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return append([]string{id}, c.Merged...), nil
}

func (t *tx) customerOpen(id string) (c customerOpen, err error) {
	open, err := t.clear(key(tabCustomer, id))
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(open, &c); err != nil {
		return c, fmt.Errorf("customer %s: %w: %w", id, ErrCorrupt, err)
	}
	return c, nil
}

// mask is what stands for one of Meta's message or call IDs where it is stored open: the customer's number is encoded in
// those. The same ID has the same mask, so replies still find their request. 32 characters behind a "~".
func (t *tx) mask(id string) string {
	if id == "" {
		return ""
	}
	return "~" + base64.RawURLEncoding.EncodeToString([]byte(t.s.crypt.hash("meta", id)))
}
