package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"deskbridge/bridge"
)

// Identity is what Meta (or a dialling agent) says about a person. At least one of Phone, BSUID, ParentBSUID is needed;
// empty fields mean "not said" and never erase what is known.
type Identity struct {
	Phone       string // E.164 digits without +
	BSUID       string
	ParentBSUID string
	Username    string
	Name        string
}

func (id Identity) normal() (Identity, error) {
	id.Phone = strings.TrimPrefix(id.Phone, "+")
	if id.Phone == "" && id.BSUID == "" && id.ParentBSUID == "" {
		return id, fmt.Errorf("%w: identity without number and user ID", ErrInvalid)
	}
	if len(id.Phone) > 32 || len(id.BSUID) > 256 || len(id.ParentBSUID) > 256 {
		return id, fmt.Errorf("%w: identity", ErrTooLarge)
	}
	id.Name, id.Username = shown(id.Name), shown(id.Username)
	return id, nil
}

// shown keeps at most 128 runes of valid UTF-8 (reliability.md, input limits).
func shown(s string) string { return limited(s, 128) }

func limited(s string, runes int) string {
	s = strings.ToValidUTF8(s, "")
	for i, n := 0, 0; i < len(s); n++ {
		if n == runes {
			return s[:i]
		}
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	return s
}

// Resolve finds the customer behind an identity, or makes one, and attaches what is new. While the disk refuses
// writes the customer exists in memory and reaches the disk, in order, before the call facts recorded after it.
func (s *Store) Resolve(ctx context.Context, id Identity) (bridge.Customer, error) {
	id, err := id.normal()
	if err != nil {
		return bridge.Customer{}, fmt.Errorf("resolve customer: %w", err)
	}
	if c, ok, err := s.known(ctx, id); err == nil && ok {
		return c, nil
	}
	newID := s.guests.id(id)
	var mu sync.Mutex // the writer may still run the op when a stuck disk made us go on without it
	var out bridge.Customer
	kept, err := s.submit(ctx, classCall, func(t *tx) error {
		c, err := t.resolve(id, newID)
		if err != nil {
			return err
		}
		t.after = append(t.after, func() { s.guests.drop(newID) })
		mu.Lock()
		out = c.bridge()
		mu.Unlock()
		return nil
	})
	if err != nil {
		return bridge.Customer{}, fmt.Errorf("resolve customer: %w", err)
	}
	if kept {
		return bridge.Customer{ID: newID, Phone: id.Phone, BSUID: id.BSUID, Name: id.Name, Username: id.Username}, nil
	}
	mu.Lock()
	defer mu.Unlock()
	return out, nil
}

// known answers from the view alone when nothing would change: the usual case costs no write.
func (s *Store) known(ctx context.Context, id Identity) (out bridge.Customer, ok bool, err error) {
	err = s.view(ctx, func(t *tx) error {
		m, err := t.match(id)
		if err != nil || m.primary == nil {
			return err
		}
		next, changed := m.primary.with(id)
		ok = len(m.absorb) == 0 && m.rob == nil && !changed
		if s.Level() >= Full && !ok && len(m.absorb) == 0 {
			ok = true // what is new about a known customer can wait for the next sighting
		}
		out = next.bridge()
		return nil
	})
	return out, ok, err
}

// match is who an identity means.
type match struct {
	primary *customer
	absorb  []*customer // same person, to be merged into primary
	rob     *customer   // another person who had this number before
}

func (t *tx) match(id Identity) (m match, err error) {
	var found [3]*customer // in lookup order: BSUID, parent, phone
	for i, v := range []string{id.BSUID, id.ParentBSUID, id.Phone} {
		if v == "" {
			continue
		}
		if found[i], err = t.lookup([]string{"b:", "r:", "p:"}[i] + v); err != nil && !errors.Is(err, ErrNotFound) {
			return m, err
		}
	}
	for i, c := range found {
		switch {
		case c == nil || m.primary != nil && c.ID == m.primary.ID:
		case i == 2 && id.BSUID != "" && c.BSUID != "" && c.BSUID != id.BSUID && (id.ParentBSUID == "" || c.Parent != id.ParentBSUID):
			// A BSUID changes only with the phone number (contract §16.1): the same number under another BSUID is a
			// number that got a new owner.
			m.rob = c
		case m.primary == nil:
			m.primary = c
		case c.BSUID == "" || c.BSUID == m.primary.BSUID || i == 1:
			m.absorb = append(m.absorb, c)
		default:
			m.rob = c
		}
	}
	return m, nil
}

// with is the customer after learning id.
func (c customer) with(id Identity) (customer, bool) {
	changed := false
	learn := func(field *string, v, kind string) {
		if v == "" || v == *field {
			return
		}
		if *field != "" && kind != "" {
			c.retire(kind + ":" + *field)
		}
		*field, changed = v, true
	}
	c.Past = append([]string(nil), c.Past...)
	learn(&c.BSUID, id.BSUID, "b")
	learn(&c.Parent, id.ParentBSUID, "r")
	learn(&c.Phone, id.Phone, "p")
	learn(&c.Username, id.Username, "")
	learn(&c.Name, id.Name, "")
	return c, changed
}

func (t *tx) resolve(id Identity, newID string) (customer, error) {
	m, err := t.match(id)
	if err != nil {
		return customer{}, err
	}
	c := customer{customerOpen: customerOpen{ID: newID}}
	fresh := m.primary == nil
	if !fresh {
		c = *m.primary
	}
	c, changed := c.with(id)
	if m.rob != nil { // the number is no longer theirs
		r := *m.rob
		r.Phone = ""
		if err := t.keep(r); err != nil {
			return c, err
		}
		changed = true
	}
	for _, other := range m.absorb {
		if err := t.merge(&c, *other); err != nil {
			return c, err
		}
		changed = true
	}
	if fresh {
		if c.Alias, err = t.nextAlias(); err != nil {
			return c, err
		}
	} else if !changed {
		return c, t.follow(newID, c)
	}
	if err := t.keep(c); err != nil {
		return c, err
	}
	return c, t.follow(newID, c)
}

// follow makes an ID that was given out while the disk refused writes lead to the customer it turned out to be.
func (t *tx) follow(newID string, c customer) error {
	if newID == c.ID || !t.s.guests.given(newID) {
		return nil
	}
	if have, err := t.has(key(tabCustomer, newID)); err != nil || have {
		return err
	}
	return t.keep(customer{customerOpen: customerOpen{ID: newID, Into: c.ID}})
}

// merge makes other a part of c. Its alias stays dialable.
func (t *tx) merge(c *customer, other customer) error {
	c.Merged = append(append(c.Merged, other.ID), other.Merged...)
	for _, id := range other.identities() {
		c.retire(id)
	}
	if c.Phone == "" {
		c.Phone = other.Phone
	}
	if c.Name == "" {
		c.Name = other.Name
	}
	other.Into = c.ID
	return t.keep(other)
}

// guests remembers which IDs were given to identities that aren't on disk yet, so that the second sighting of a new
// person, while the disk is full, is the same customer.
type guests struct {
	mu   sync.Mutex
	byID map[string]Identity
	ids  map[string]string // "kind:value" → ID
}

const maxGuests = 10_000

func (g *guests) id(id Identity) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	keys := customerPersonal{Phone: id.Phone, BSUID: id.BSUID, Parent: id.ParentBSUID}.identities()
	for _, k := range keys {
		if known := g.ids[k]; known != "" {
			return known
		}
	}
	nid := newID("c")
	if len(g.byID) < maxGuests {
		g.byID[nid] = id
		for _, k := range keys {
			g.ids[k] = nid
		}
	}
	return nid
}

func (g *guests) given(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.byID[id]
	return ok
}

func (g *guests) drop(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	who, ok := g.byID[id]
	if !ok {
		return
	}
	delete(g.byID, id)
	for _, k := range (customerPersonal{Phone: who.Phone, BSUID: who.BSUID, Parent: who.ParentBSUID}).identities() {
		if g.ids[k] == id {
			delete(g.ids, k)
		}
	}
}
