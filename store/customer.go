package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"deskbridge/bridge"
)

const (
	factCustomer = "customer.changed"
	factErased   = "customer.erased"
	// aliasBase: +999 is not assigned to any country (ITU-T E.164), so an alias can never be somebody's number.
	aliasBase = 99_900_000_000
	// maxPast bounds the identities remembered of a customer beside the current ones.
	maxPast = 16
)

// customerOpen is the part of a customer record that is stored open.
type customerOpen struct {
	ID     string   `json:"id"`
	Alias  string   `json:"a,omitempty"`
	Into   string   `json:"i,omitempty"` // merged into this customer
	Merged []string `json:"m,omitempty"` // customers merged into this one: an erasure takes their keys too
	Erased bool     `json:"e,omitempty"`
}

type customerPersonal struct {
	Phone    string   `json:"p,omitempty"`
	BSUID    string   `json:"b,omitempty"`
	Parent   string   `json:"r,omitempty"`
	Username string   `json:"u,omitempty"`
	Name     string   `json:"n,omitempty"`
	Past     []string `json:"o,omitempty"` // former identities, "kind:value"
}

type customer struct {
	customerOpen
	customerPersonal
}

func (c customer) bridge() bridge.Customer {
	return bridge.Customer{ID: c.ID, Phone: c.Phone, BSUID: c.BSUID, Name: c.Name, Username: c.Username, Alias: c.Alias}
}

// identities are the current lookup values, "kind:value".
func (p customerPersonal) identities() []string {
	var ids []string
	for _, kv := range [][2]string{{"b", p.BSUID}, {"r", p.Parent}, {"p", p.Phone}} {
		if kv[1] != "" {
			ids = append(ids, kv[0]+":"+kv[1])
		}
	}
	return ids
}

func (t *tx) identityKey(identity string) []byte {
	return key(tabIdentity, t.s.crypt.hash("identity", identity))
}

// lookup finds the customer behind an identity; nil when there is none.
func (t *tx) lookup(identity string) (*customer, error) {
	b, err := t.get(t.identityKey(identity))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return t.customer(string(b))
}

// customer reads a record and follows merges.
func (t *tx) customer(id string) (*customer, error) {
	for range maxPast {
		_, open, personal, err := t.load(key(tabCustomer, id))
		if err != nil {
			return nil, fmt.Errorf("customer %s: %w", id, err)
		}
		c, err := decodeCustomer(open, personal)
		if err != nil {
			return nil, fmt.Errorf("customer %s: %w", id, err)
		}
		if c.Into == "" {
			return &c, nil
		}
		id = c.Into
	}
	return nil, fmt.Errorf("customer %s: %w: merged in a circle", id, ErrCorrupt)
}

func decodeCustomer(open, personal []byte) (c customer, err error) {
	if err := json.Unmarshal(open, &c.customerOpen); err != nil {
		return c, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if personal != nil {
		if err := json.Unmarshal(personal, &c.customerPersonal); err != nil {
			return c, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return c, nil
}

// keep appends the fact that makes c the customer's state.
func (t *tx) keep(c customer) error {
	open, err := json.Marshal(c.customerOpen)
	if err != nil {
		return fmt.Errorf("encode customer: %w", err)
	}
	personal, err := json.Marshal(c.customerPersonal)
	if err != nil {
		return fmt.Errorf("encode customer: %w", err)
	}
	_, err = t.append(Fact{Kind: factCustomer, At: t.s.cfg.Clock(), Subjects: []string{"customer:" + c.ID}, Customer: c.ID,
		Version: 1, Data: open, Personal: personal})
	return err
}

func (t *tx) applyCustomer(f Fact) error {
	c, err := decodeCustomer(f.Data, f.Personal)
	if err != nil {
		return fmt.Errorf("customer fact %d: %w", f.Seq, err)
	}
	if err := t.put(key(tabCustomer, c.ID), c.ID, f.Data, f.Personal); err != nil {
		return err
	}
	if c.Into != "" {
		if err := t.mergePolicy(c.ID, c.Into, f.Seq); err != nil {
			return err
		}
	}
	for _, id := range c.identities() {
		if c.Into != "" {
			break
		}
		if err := t.set(t.identityKey(id), []byte(c.ID)); err != nil {
			return err
		}
	}
	if c.Alias == "" {
		return nil
	}
	to := c.ID
	if c.Into != "" {
		to = c.Into
	}
	return t.set(key(tabAlias, c.Alias), []byte(to))
}

// nextAlias gives out the next stand-in number. The counter isn't a view: an alias is never given twice, not even after
// its customer was erased.
func (t *tx) nextAlias() (string, error) {
	b, err := t.get(keyAliasSeq)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", err
	}
	n := asU64(b) + 1
	return strconv.FormatUint(aliasBase+n, 10), t.set(keyAliasSeq, u64(n))
}

// Customer reads a customer; an ID that was merged leads to the one it was merged into.
func (s *Store) Customer(ctx context.Context, id string) (bridge.Customer, error) {
	return s.findCustomer(ctx, func(t *tx) (*customer, error) { return t.customer(id) })
}

// ByPhone finds a customer by number (E.164 digits without +).
func (s *Store) ByPhone(ctx context.Context, phone string) (bridge.Customer, error) {
	return s.findCustomer(ctx, func(t *tx) (*customer, error) { return t.lookup("p:" + phone) })
}

// ByAlias finds a customer by the alias a phone dialled.
func (s *Store) ByAlias(ctx context.Context, alias string) (bridge.Customer, error) {
	return s.findCustomer(ctx, func(t *tx) (*customer, error) {
		if len(alias) > 32 {
			return nil, nil
		}
		b, err := t.get(key(tabAlias, alias))
		if err != nil {
			return nil, err
		}
		return t.customer(string(b))
	})
}

func (s *Store) findCustomer(ctx context.Context, find func(*tx) (*customer, error)) (out bridge.Customer, err error) {
	err = s.view(ctx, func(t *tx) error {
		c, err := find(t)
		if err != nil {
			return err
		}
		if c == nil {
			return ErrNotFound
		}
		out = c.bridge()
		return nil
	})
	if err != nil {
		return bridge.Customer{}, fmt.Errorf("find customer: %w", err)
	}
	return out, nil
}

func (p *customerPersonal) retire(identity string) {
	if slices.Contains(p.Past, identity) {
		return
	}
	p.Past = append(p.Past, identity)
	if len(p.Past) > maxPast {
		p.Past = p.Past[len(p.Past)-maxPast:]
	}
}
