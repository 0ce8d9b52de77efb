package store

import (
	"context"
	"fmt"
	"time"
)

// WatchState is where a watch stands.
type WatchState string

// The states.
const (
	WatchOpen      WatchState = "open"
	WatchDone      WatchState = "done"      // the agent was rung
	WatchCancelled WatchState = "cancelled" // by the agent
	WatchExpired   WatchState = "expired"   // Until passed
)

// Watch is an agent's "ring me when I may call": one per line, customer and agent.
type Watch struct {
	ID       string     `json:"id"` // made of line, customer and agent
	Line     string     `json:"line"`
	Customer string     `json:"customer"`
	Agent    string     `json:"agent"` // whom to ring, "phone:1001"
	Since    time.Time  `json:"since"`
	Until    time.Time  `json:"until"`
	State    WatchState `json:"state"`
	ClosedAt time.Time  `json:"closed_at,omitzero"`
}

func (w *Watch) id() string         { return w.ID }
func (w *Watch) who() *string       { return &w.Customer }
func (w *Watch) private() []*string { return nil }
func (w *Watch) rev() *uint64       { return nil }
func (w *Watch) about() []string    { return append(subjects(w.Line, w.Customer, ""), "agent:"+w.Agent) }

// The facts of a watch; each carries the watch as it stands after it.
const (
	factWatchOpened = "watch.opened"
	factWatchClosed = "watch.closed"
)

// watchOpen is the index of open watches: + since.
const watchOpen = 'o'

var watchRows = rows[Watch, *Watch]{table: tabWatch, noun: "watch", kinds: []string{factWatchOpened, factWatchClosed},
	index: func(w *Watch) [][]byte {
		if w.State != WatchOpen {
			return nil
		}
		return [][]byte{indexKey(indexPrefix(tabWatch, watchOpen), w.Since, w.ID)}
	}}

// OpenWatch keeps a watch, or moves the end of the one that is open. State and ID are ours to set.
func (s *Store) OpenWatch(ctx context.Context, w Watch) (Watch, error) {
	err := checkPair(w.Line, w.Customer)
	if err == nil {
		err = checkID("agent", w.Agent)
	}
	if err == nil && !w.Since.Before(w.Until) {
		err = fmt.Errorf("%w: it ends before it begins", ErrInvalid)
	}
	if err != nil {
		return Watch{}, fmt.Errorf("open watch: %w", err)
	}
	w.State, w.ClosedAt = WatchOpen, time.Time{}
	if w.ID, err = s.watchID(ctx, w); err != nil {
		return Watch{}, fmt.Errorf("open watch: %w", err)
	}
	out, _, err := watchRows.edit(ctx, s, edit{classInbox, w.ID, w.Since}, func(_ *tx, old *Watch, found bool) (string, error) {
		switch {
		case !found || old.State != WatchOpen:
			*old = w
		case old.Until.Equal(w.Until):
			return "", nil
		default:
			old.Until = w.Until
		}
		return factWatchOpened, nil
	})
	return out, wrap(err, "open watch")
}

// watchID is the ID of the watch that is open, perhaps since before the customer was merged, else the one to open.
func (s *Store) watchID(ctx context.Context, w Watch) (id string, err error) {
	err = s.view(ctx, func(t *tx) error {
		ids, err := t.everyID(w.Customer)
		if err != nil {
			return err
		}
		for i := len(ids) - 1; i >= 0; i-- {
			id = s.derivedID("q", w.Line, ids[i], w.Agent)
			if old, err := watchRows.load(t, id); err == nil && old.State == WatchOpen {
				return nil
			}
		}
		return nil
	})
	return id, err
}

// CloseWatch ends an open watch; did is false when it was closed already, so of two that want to ring the agent one does.
func (s *Store) CloseWatch(ctx context.Context, id string, state WatchState, at time.Time) (did bool, err error) {
	if state != WatchDone && state != WatchCancelled && state != WatchExpired {
		return false, fmt.Errorf("close watch: %w: state %q", ErrInvalid, state)
	}
	closed := false
	_, _, err = watchRows.edit(ctx, s, edit{classInbox, id, at}, func(_ *tx, w *Watch, found bool) (string, error) {
		if !found {
			return "", ErrNotFound
		}
		if closed = w.State == WatchOpen; !closed {
			return "", nil
		}
		w.State, w.ClosedAt = state, at
		return factWatchClosed, nil
	})
	if err != nil {
		return false, fmt.Errorf("close watch: %w", err)
	}
	return closed, nil
}

// WatchQuery selects open watches, oldest first. Zero values don't filter.
type WatchQuery struct {
	Span
	Line     string
	Customer string
	Agent    string
}

// Watches lists the open watches.
func (s *Store) Watches(ctx context.Context, q WatchQuery) (page Page[Watch], err error) {
	err = s.view(ctx, func(t *tx) error {
		who, err := t.current(q.Customer)
		if err != nil {
			return err
		}
		page, err = watchRows.list(ctx, t, walk{prefixes: [][]byte{indexPrefix(tabWatch, watchOpen)}}, q.Span, func(w *Watch) bool {
			return (q.Line == "" || q.Line == w.Line) && (q.Agent == "" || q.Agent == w.Agent) && (who == "" || who == w.Customer)
		})
		return err
	})
	return page, wrap(err, "watches")
}
