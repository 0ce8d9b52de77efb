package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"deskbridge/bridge"
)

var _ bridge.Ledger = (*Store)(nil)

// isCall tells the facts that carry a CDR from the policy events and decisions that are about a call too.
func isCall(kind string) bool {
	return strings.HasPrefix(kind, "call.") && !isPolicy(kind) && kind != factDecided
}

// callOwner is whose key seals a call: the customer's, or the call's own while nobody knows who the customer is. The
// call's own key is erased together with the customer it turns out to belong to.
func callOwner(c *bridge.CDR) string {
	if c.Customer.ID != "" {
		return c.Customer.ID
	}
	return "call:" + c.ID
}

// callPersonal is what an erasure takes out of a CDR. Meta's call ID is in it because the number is encoded in it; the
// far end's words and a leg's dialog because numbers stand in them.
type callPersonal struct {
	Phone    string        `json:"p,omitempty"`
	BSUID    string        `json:"b,omitempty"`
	Name     string        `json:"n,omitempty"`
	Username string        `json:"u,omitempty"`
	Wacid    string        `json:"w,omitempty"`
	Dialled  string        `json:"d,omitempty"`
	Payload  string        `json:"y,omitempty"`
	Text     string        `json:"t,omitempty"`
	Legs     []legPersonal `json:"l,omitempty"`
}

type legPersonal struct {
	CallID string `json:"c,omitempty"`
	Dialog []byte `json:"d,omitempty"`
	Text   string `json:"t,omitempty"`
}

func splitCDR(c bridge.CDR) (open, personal []byte, err error) {
	p := callPersonal{Phone: c.Customer.Phone, BSUID: c.Customer.BSUID, Name: c.Customer.Name,
		Username: c.Customer.Username, Wacid: c.Wacid, Dialled: c.Dialled, Payload: c.Payload, Text: c.Cause.Text}
	c.Customer = bridge.Customer{ID: c.Customer.ID, Alias: c.Customer.Alias}
	c.Wacid, c.Dialled, c.Payload, c.Cause.Text = "", "", "", ""
	legs := make([]bridge.LegRecord, len(c.Legs))
	for i, l := range c.Legs {
		p.Legs = append(p.Legs, legPersonal{CallID: l.CallID, Dialog: l.Dialog, Text: l.Cause.Text})
		l.CallID, l.Dialog, l.Cause.Text = "", nil, ""
		legs[i] = l
	}
	c.Legs = legs
	if open, err = json.Marshal(c); err != nil {
		return nil, nil, fmt.Errorf("encode call: %w", err)
	}
	personal, err = json.Marshal(p)
	return open, personal, err
}

func joinCDR(open, personal []byte) (c bridge.CDR, err error) {
	if err := json.Unmarshal(open, &c); err != nil {
		return c, fmt.Errorf("%w: call: %w", ErrCorrupt, err)
	}
	if personal == nil {
		return c, nil
	}
	var p callPersonal
	if err := json.Unmarshal(personal, &p); err != nil {
		return c, fmt.Errorf("%w: call: %w", ErrCorrupt, err)
	}
	c.Customer.Phone, c.Customer.BSUID, c.Customer.Name, c.Customer.Username = p.Phone, p.BSUID, p.Name, p.Username
	c.Wacid, c.Dialled, c.Payload, c.Cause.Text = p.Wacid, p.Dialled, p.Payload, p.Text
	for i := range min(len(c.Legs), len(p.Legs)) {
		c.Legs[i].CallID, c.Legs[i].Dialog, c.Legs[i].Cause.Text = p.Legs[i].CallID, p.Legs[i].Dialog, p.Legs[i].Text
	}
	return c, nil
}

// Record keeps a call fact: the fact, the call's view, its place in the list and in the set of open calls, in one
// synced transaction. While the disk is full, read-only or stuck the fact waits in memory, in order, and Record returns
// nil: a call doesn't end because the disk did. ErrJournalFull when too many wait.
func (s *Store) Record(ctx context.Context, f bridge.Fact) error {
	fact, err := callFact(f)
	if err != nil {
		return fmt.Errorf("record %s: %w", f.Kind, err)
	}
	_, err = s.submit(ctx, classCall, func(t *tx) error {
		if _, err := t.append(fact); err != nil {
			return err
		}
		return t.countCall(f)
	})
	if err != nil {
		return fmt.Errorf("record %s of call %s: %w", f.Kind, f.CDR.ID, err)
	}
	return nil
}

func callFact(f bridge.Fact) (Fact, error) {
	if f.CDR.ID == "" || len(f.CDR.ID) > maxSubject-len("call:") || !isCall(string(f.Kind)) {
		return Fact{}, fmt.Errorf("%w: call fact without ID or kind", ErrInvalid)
	}
	open, personal, err := splitCDR(f.CDR)
	if err != nil {
		return Fact{}, err
	}
	subjects := []string{"call:" + f.CDR.ID}
	if f.CDR.Customer.ID != "" {
		subjects = append(subjects, "customer:"+f.CDR.Customer.ID)
	}
	fact := Fact{Kind: string(f.Kind), At: f.At, Subjects: subjects, Customer: callOwner(&f.CDR), Version: 1,
		Data: open, Personal: personal}
	return fact, fact.check()
}

// applyCall makes the fact's CDR the call's view. A closed record is final: later facts stay in the ledger only.
func (t *tx) applyCall(f Fact) error {
	var c bridge.CDR
	if err := json.Unmarshal(f.Data, &c); err != nil {
		return fmt.Errorf("%w: call fact %d: %w", ErrCorrupt, f.Seq, err)
	}
	old, err := t.callClear(c.ID)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return err
	case !old.EndedAt.IsZero():
		return nil
	case !old.OfferedAt.Equal(c.OfferedAt):
		if err := t.del(timeKey(old.OfferedAt, c.ID)); err != nil {
			return err
		}
	}
	if err := t.put(key(tabCall, c.ID), f.Customer, f.Data, f.Personal); err != nil {
		return err
	}
	if err := t.set(timeKey(c.OfferedAt, c.ID), nil); err != nil {
		return err
	}
	if c.Customer.ID != "" {
		if err := t.set(key(tabOwned, c.Customer.ID, c.ID), nil); err != nil {
			return err
		}
	}
	if c.EndedAt.IsZero() {
		return t.set(key(tabOpen, c.ID), nil)
	}
	if err := t.del(key(tabOpen, c.ID)); err != nil {
		return err
	}
	return t.indexCall(&c)
}

func (t *tx) callClear(id string) (c bridge.CDR, err error) {
	open, err := t.clear(key(tabCall, id))
	if err != nil {
		return c, err
	}
	return joinCDR(open, nil)
}

func (t *tx) call(id string) (c bridge.CDR, err error) {
	_, open, personal, err := t.load(key(tabCall, id))
	if err != nil {
		return c, fmt.Errorf("call %s: %w", id, err)
	}
	return joinCDR(open, personal)
}

// Call is one call's record.
func (s *Store) Call(ctx context.Context, id string) (c bridge.CDR, err error) {
	err = s.view(ctx, func(t *tx) error {
		c, err = t.call(id)
		return err
	})
	return c, err
}
