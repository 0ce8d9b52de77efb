package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"deskbridge/bridge"

	"github.com/dgraph-io/badger/v4"
)

// CallbackQuery selects callback requests. Zero values don't filter.
type CallbackQuery struct {
	Span
	// Live lists the requests that somebody still has to call for, the one due first first. Otherwise all, newest first.
	Live     bool
	State    CallbackState
	Line     string
	Customer string // also those made under an ID merged into this one
	Owner    string
}

// Callback is one request.
func (s *Store) Callback(ctx context.Context, id string) (c Callback, err error) {
	err = s.view(ctx, func(t *tx) error {
		c, err = callbackRows.load(t, id)
		return err
	})
	return c, err
}

// Callbacks lists requests.
func (s *Store) Callbacks(ctx context.Context, q CallbackQuery) (page Page[Callback], err error) {
	w := walk{prefixes: [][]byte{indexPrefix(tabCallback, callbackByTime)}, newest: true}
	if q.Live {
		w = walk{prefixes: [][]byte{indexPrefix(tabCallback, callbackByDue)}}
	}
	err = s.view(ctx, func(t *tx) error {
		who, err := t.current(q.Customer)
		if err != nil {
			return err
		}
		page, err = callbackRows.list(ctx, t, w, q.Span, func(c *Callback) bool {
			return (q.State == "" || q.State == c.State) && (q.Line == "" || q.Line == c.Line) &&
				(q.Owner == "" || q.Owner == c.Owner) && (who == "" || who == c.Customer)
		})
		return err
	})
	return page, wrap(err, "callbacks")
}

// maxOverdue bounds the count.
const maxOverdue = 100_000

// OverdueCallbacks is how many live requests were due before now.
func (s *Store) OverdueCallbacks(ctx context.Context, now time.Time) (n int, err error) {
	prefix := indexPrefix(tabCallback, callbackByDue)
	err = s.view(ctx, func(t *tx) error {
		return t.scan(prefix, func(k []byte, _ *badger.Item) (bool, error) {
			if asU64(k[len(prefix):][:8]) >= sortable(now) {
				return false, nil
			}
			n++
			return n < maxOverdue, ctx.Err()
		})
	})
	return n, wrap(err, "overdue callbacks")
}

// CompleteCallbacks closes the live requests of a customer on a line, because this call reached them. It returns how many;
// 0 also when it waits in memory for the disk.
func (s *Store) CompleteCallbacks(ctx context.Context, line, customer, call string, at time.Time) (n int, err error) {
	if err := checkPair(line, customer); err != nil {
		return 0, fmt.Errorf("complete callbacks: %w", err)
	}
	var done int
	kept, err := s.submit(ctx, classCall, func(t *tx) error {
		live, err := t.liveCallbacks(line, customer)
		if err != nil {
			return err
		}
		done = len(live)
		for _, c := range live {
			next := c
			next.State, next.DoneBy, next.ClosedAt = CallbackDone, call, at
			if _, err := callbackRows.append(t, Fact{Kind: factCallbackDone, At: at}, next, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || kept {
		return 0, wrap(err, "complete callbacks")
	}
	return done, nil
}

func (t *tx) liveCallbacks(line, customer string) (live []Callback, err error) {
	who, err := t.everyID(customer)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range who {
		err := t.scan(indexPrefix(tabCallback, callbackByWho, c), func(_ []byte, it *badger.Item) (bool, error) {
			id, err := it.ValueCopy(nil)
			ids = append(ids, string(id))
			return len(ids) < maxScan, err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		c, err := callbackRows.load(t, id)
		if err != nil {
			return nil, err
		}
		if c.Line == line {
			live = append(live, c)
		}
	}
	return live, nil
}

// LastMissed is the newest inbound call that ended unanswered on one of lines (none: on any); ErrNotFound when there is
// none among the last 5,000 calls.
func (s *Store) LastMissed(ctx context.Context, lines ...string) (c bridge.CDR, err error) {
	err = s.view(ctx, func(t *tx) error {
		id, seen := "", 0
		w := walk{prefixes: [][]byte{{tabTime}}, newest: true}
		err := w.run(ctx, t, func(rest, _ []byte) (bool, error) {
			open, err := t.callClear(string(rest[8:]))
			if err != nil {
				return false, err
			}
			if missed(&open) && (len(lines) == 0 || slices.Contains(lines, open.Line)) {
				id = open.ID
			}
			seen++
			return id == "" && seen < maxScan, nil
		})
		if err != nil {
			return err
		}
		if id == "" {
			return ErrNotFound
		}
		c, err = t.call(id)
		return err
	})
	return c, wrap(err, "last missed call")
}

func missed(c *bridge.CDR) bool {
	return c.Direction == bridge.Inbound && !c.EndedAt.IsZero() && c.AnsweredAt.IsZero()
}
