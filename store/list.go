package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"deskbridge/bridge"

	"github.com/dgraph-io/badger/v4"
)

// maxScan bounds the calls one page looks at when a filter matches few of them; the cursor goes on from there.
const maxScan = 5000

// CallQuery selects calls. Zero values don't filter.
type CallQuery struct {
	Limit     int    // default 50, at most 500
	Before    string // cursor of the page before
	Direction bridge.Direction
	Open      bool // only calls without an end
	Line      string
	Agent     string
	Customer  string // customer ID; also the calls of those merged into it
}

// CallPage is a page of calls, newest first. Next is empty on the last page.
type CallPage struct {
	Calls []bridge.CDR
	Next  string
}

// Calls lists calls, newest first.
func (s *Store) Calls(ctx context.Context, q CallQuery) (page CallPage, err error) {
	from := []byte{tabTime + 1} // behind the last call
	if q.Before != "" {
		b, err := hex.DecodeString(q.Before)
		if err != nil || len(b) < 9 || b[0] != tabTime || len(b) > 9+maxSubject {
			return page, fmt.Errorf("list calls: %w: cursor", ErrInvalid)
		}
		from = b
	}
	limit := clamp(q.Limit, 50, 500)
	err = s.view(ctx, func(t *tx) error {
		who, err := t.everyID(q.Customer)
		if err != nil {
			return err
		}
		o := badger.DefaultIteratorOptions
		o.Prefix, o.PrefetchValues, o.Reverse = []byte{tabTime}, false, true
		it := t.t.NewIterator(o)
		defer it.Close()
		it.Seek(from)
		if it.Valid() && string(it.Item().Key()) == string(from) {
			it.Next() // Before itself was on the last page
		}
		for n := 0; it.Valid(); it.Next() {
			k := it.Item().KeyCopy(nil)
			if err := ctx.Err(); err != nil {
				return err
			}
			c, err := t.listed(string(k[9:]), q, who)
			if err != nil {
				return err
			}
			if c != nil {
				page.Calls = append(page.Calls, *c)
			}
			if n++; len(page.Calls) == limit || n == maxScan {
				page.Next = hex.EncodeToString(k)
				return nil
			}
		}
		return nil
	})
	return page, err
}

// listed reads a call and returns it if it matches; what is stored open is looked at before anything is decrypted.
func (t *tx) listed(id string, q CallQuery, who []string) (*bridge.CDR, error) {
	k := key(tabCall, id)
	b, err := t.get(k)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", id, err)
	}
	_, open, personal, err := t.open(k, b)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", id, err)
	}
	c, err := joinCDR(open, personal)
	if err != nil || !q.matches(&c, who) {
		return nil, err
	}
	return &c, nil
}

func (q CallQuery) matches(c *bridge.CDR, who []string) bool {
	return (q.Direction == "" || q.Direction == c.Direction) &&
		(!q.Open || c.EndedAt.IsZero()) &&
		(q.Line == "" || q.Line == c.Line) &&
		(q.Agent == "" || q.Agent == c.Agent) &&
		(q.Customer == "" || slices.Contains(who, c.Customer.ID))
}

// OpenCalls are the calls without an end, oldest call ID first. After a start these are the ones the last run left
// behind: end them at Meta and the PBX (LegRecord.Dialog) and record them as interrupted.
func (s *Store) OpenCalls(ctx context.Context) (calls []bridge.CDR, err error) {
	err = s.view(ctx, func(t *tx) error {
		var ids []string
		err := t.scan([]byte{tabOpen}, func(k []byte, _ *badger.Item) (bool, error) {
			ids = append(ids, string(k[1:]))
			return true, ctx.Err()
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			c, err := t.call(id)
			if errors.Is(err, ErrCorrupt) { // one damaged record must not leave the other calls open
				s.log.Error("the record of an open call is damaged; it is left as it is", "call", id, "err", err)
				continue
			}
			if err != nil {
				return err
			}
			calls = append(calls, c)
		}
		return nil
	})
	return calls, err
}
