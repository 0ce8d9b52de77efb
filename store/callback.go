package store

import (
	"context"
	"fmt"
	"time"

	"deskbridge/policy"
)

// CallbackState is where a callback request stands.
type CallbackState string

// The states. A done, cancelled or expired request stays so.
const (
	CallbackOpen      CallbackState = "open"
	CallbackAssigned  CallbackState = "assigned" // Owner has taken it
	CallbackDone      CallbackState = "done"     // DoneBy reached the customer
	CallbackCancelled CallbackState = "cancelled"
	CallbackExpired   CallbackState = "expired" // the permission ended before anybody called
)

// Live: somebody still has to call.
func (s CallbackState) Live() bool { return s == CallbackOpen || s == CallbackAssigned }

// CallbackSource is how the request came about.
type CallbackSource string

// The sources.
const (
	CallbackMeta  CallbackSource = "meta" // WhatsApp's automatic grant after a missed call
	CallbackMenu  CallbackSource = "menu"
	CallbackPanel CallbackSource = "panel"
	CallbackAgent CallbackSource = "agent"
)

// Callback is a customer's wish to be called back.
type Callback struct {
	ID       string         `json:"id"`
	Line     string         `json:"line"`
	Customer string         `json:"customer"`
	Call     string         `json:"call,omitempty"` // the call it came from
	Source   CallbackSource `json:"source"`
	// Permission and Expires are the permission as it was known at the request; Expires is zero for a permanent one.
	Permission  policy.Permission `json:"permission,omitempty"`
	Expires     time.Time         `json:"expires,omitzero"`
	RequestedAt time.Time         `json:"requested_at"`
	Due         time.Time         `json:"due"`
	Owner       string            `json:"owner,omitempty"` // "phone:1001", a team; empty: nobody yet
	State       CallbackState     `json:"state"`
	DoneBy      string            `json:"done_by,omitempty"` // the call that reached the customer
	ClosedAt    time.Time         `json:"closed_at,omitzero"`
	Note        string            `json:"note,omitempty"` // personal
	// Version is what UpdateCallback expects.
	Version uint64 `json:"version,omitempty"`
}

func (c *Callback) id() string         { return c.ID }
func (c *Callback) who() *string       { return &c.Customer }
func (c *Callback) private() []*string { return []*string{&c.Note} }
func (c *Callback) rev() *uint64       { return &c.Version }
func (c *Callback) about() []string    { return subjects(c.Line, c.Customer, c.Call) }

// The facts of a callback request; each carries the request as it stands after it.
const (
	factCallbackRequested = "callback.requested"
	factCallbackAssigned  = "callback.assigned"
	factCallbackChanged   = "callback.changed" // due time or note
	factCallbackDone      = "callback.done"
	factCallbackCancelled = "callback.cancelled"
	factCallbackExpired   = "callback.expired"
)

// The indexes of callbacks.
const (
	callbackByTime = 't' // + requested-at: all
	callbackByDue  = 'd' // + due: live ones
	callbackByWho  = 'c' // + customer 0 + requested-at: live ones
)

var callbackRows = rows[Callback, *Callback]{table: tabCallback, noun: "callback",
	kinds: []string{factCallbackRequested, factCallbackAssigned, factCallbackChanged, factCallbackDone, factCallbackCancelled, factCallbackExpired},
	index: func(c *Callback) [][]byte {
		keys := [][]byte{indexKey(indexPrefix(tabCallback, callbackByTime), c.RequestedAt, c.ID)}
		if c.State.Live() {
			keys = append(keys, indexKey(indexPrefix(tabCallback, callbackByDue), c.Due, c.ID),
				indexKey(indexPrefix(tabCallback, callbackByWho, c.Customer), c.RequestedAt, c.ID))
		}
		return keys
	}}

// RequestCallback keeps a new request and returns it with its ID and version. Without an ID, one request per source and
// call is kept: asked again (a webhook worked off twice, a customer who presses the key twice) the first one is returned.
func (s *Store) RequestCallback(ctx context.Context, c Callback) (Callback, error) {
	err := checkPair(c.Line, c.Customer)
	switch {
	case err != nil:
	case c.RequestedAt.IsZero() || c.Due.IsZero():
		err = fmt.Errorf("%w: no request or due time", ErrInvalid)
	case c.Source != CallbackMeta && c.Source != CallbackMenu && c.Source != CallbackPanel && c.Source != CallbackAgent:
		err = fmt.Errorf("%w: source %q", ErrInvalid, c.Source)
	}
	if err != nil {
		return Callback{}, fmt.Errorf("request callback: %w", err)
	}
	switch {
	case c.ID != "":
	case c.Call != "":
		c.ID = s.derivedID("b", string(c.Source), c.Call)
	default:
		c.ID = newID("b")
	}
	c.State, c.DoneBy, c.ClosedAt, c.Note, c.Version = CallbackOpen, "", time.Time{}, limited(c.Note, maxText), 0
	if c.Owner != "" {
		c.State = CallbackAssigned
	}
	out, _, err := callbackRows.edit(ctx, s, edit{classInbox, c.ID, c.RequestedAt}, func(_ *tx, old *Callback, found bool) (string, error) {
		if found {
			return "", nil
		}
		*old = c
		return factCallbackRequested, nil
	})
	return out, wrap(err, "request callback")
}

// UpdateCallback changes owner, due time, note and state of a request whose version is still c.Version (ErrVersion
// otherwise); the other fields stay as they were. A closed request is final (ErrInvalid).
func (s *Store) UpdateCallback(ctx context.Context, c Callback, at time.Time) (Callback, error) {
	out, _, err := callbackRows.edit(ctx, s, edit{classInbox, c.ID, at}, func(_ *tx, old *Callback, found bool) (string, error) {
		switch {
		case !found:
			return "", ErrNotFound
		case old.Version != c.Version:
			return "", fmt.Errorf("%w: it is at %d, expected %d", ErrVersion, old.Version, c.Version)
		}
		return old.become(c, at)
	})
	return out, wrap(err, "update callback "+c.ID)
}

// become takes over what may change and names the fact.
func (c *Callback) become(next Callback, at time.Time) (kind string, err error) {
	if !c.State.Live() {
		return "", fmt.Errorf("%w: the request is %s already", ErrInvalid, c.State)
	}
	before := *c
	c.Owner, c.Due, c.Note = next.Owner, next.Due, limited(next.Note, maxText)
	if next.State.Live() {
		c.State = CallbackOpen
		if c.Owner != "" {
			c.State = CallbackAssigned
		}
		switch {
		case *c == before:
			return "", nil
		case c.Owner != before.Owner:
			return factCallbackAssigned, nil
		}
		return factCallbackChanged, nil
	}
	kinds := map[CallbackState]string{CallbackDone: factCallbackDone, CallbackCancelled: factCallbackCancelled, CallbackExpired: factCallbackExpired}
	if kinds[next.State] == "" {
		return "", fmt.Errorf("%w: state %q", ErrInvalid, next.State)
	}
	c.State, c.DoneBy, c.ClosedAt = next.State, next.DoneBy, at
	return kinds[next.State], nil
}
