package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"deskbridge/bridge"
)

// CallSort is the order of a search.
type CallSort uint8

// The orders. Calls that were not answered have a talk time of 0.
const (
	SortNewest CallSort = iota
	SortOldest
	SortLongest
	SortShortest
)

func (s CallSort) index() byte {
	if s == SortLongest || s == SortShortest {
		return sortTalk
	}
	return sortTime
}

func (s CallSort) reverse() bool { return s == SortNewest || s == SortLongest }

// CallSearch selects ended calls. Zero values don't filter.
type CallSearch struct {
	Sort  CallSort
	Limit int    // default 50, at most 500
	After string // cursor: Next of the page before

	// Targets are the phones and trunk numbers whose calls may be seen, "phone:1001"; nil: everybody's, empty: nobody's.
	Targets []string
	Rang    bool // with Targets: also inbound calls that nobody took and that rang there

	Group    CallGroup
	Customer string // ID; also the calls of those merged into it
	Line     string
	Reason   bridge.Reason
	From, To time.Time // offered at or after From, before To
	MinTalk  time.Duration
	MaxTalk  time.Duration // 0: no limit
	// Text finds a customer by the beginnings of words of the name, by number or last digits (3 and more), or a call by
	// its ID. TextTargets are targets that the text means too (an agent's name); the caller knows agents, the store doesn't.
	Text        string
	TextTargets []string
}

// CallsFound is a page. Next is empty on the last one. A page may hold fewer calls than asked for, even none, and still
// have a Next: the work of one page is bounded, and a filter that few of very many calls match is worked off in steps.
type CallsFound struct {
	Calls []bridge.CDR
	Next  string
}

// CallsCounted are the calls of a search by group, whatever its Group. AtLeast: counting was stopped, there are more.
type CallsCounted struct {
	GroupCounts
	AtLeast bool
}

// Bounds of the work of one search, in rows of an index. A row costs about half a microsecond.
const (
	glanceRows  = 4_000   // first look in the order asked for
	collectRows = 12_000  // a set of matches small enough to be read whole and sorted
	scanRows    = 100_000 // last resort: in order, one page after the other
	maxStreams  = 64      // iterators merged at once
	maxFound    = 20_000  // customers a text may mean
	maxVerified = 1_000   // customers decrypted to check a long word
	countRows   = 30_000
	maxSearch   = 128
	maxTargets  = 1_000
)

func (q CallSearch) check() error {
	switch {
	case len(q.Text) > maxSearch:
		return fmt.Errorf("%w: search text of %d bytes", ErrTooLarge, len(q.Text))
	case len(q.Targets) > maxTargets || len(q.TextTargets) > maxTargets:
		return fmt.Errorf("%w: more than %d targets", ErrTooLarge, maxTargets)
	case q.Sort > SortShortest || q.Group > GroupCanceled || q.MinTalk < 0 || q.MaxTalk < 0:
		return fmt.Errorf("%w: search", ErrInvalid)
	}
	return nil
}

// SearchCalls finds a page of ended calls.
func (s *Store) SearchCalls(ctx context.Context, q CallSearch) (found CallsFound, err error) {
	err = q.check()
	if err == nil {
		err = s.view(ctx, func(t *tx) error {
			x, err := t.newSearch(ctx, q)
			if err != nil {
				return err
			}
			found, err = x.page()
			return err
		})
	}
	if err != nil {
		return CallsFound{}, fmt.Errorf("search calls: %w", err)
	}
	return found, nil
}

// searcher is one search in one transaction.
type searcher struct {
	t     *tx
	ctx   context.Context
	q     CallSearch
	limit int
	after string // position, empty on the first page
	none  bool   // nothing can match
	one   string // the text is the ID of this call

	clauses  []clause
	from, to uint64 // sortable times, to exclusive
	min, max uint32 // ms, both inclusive
}

// clause is a condition that an index helps with: a call matches if one of the dimensions is its own.
type clause struct {
	dims  []dimension
	row   func(*callRow) bool
	exact func(*bridge.CDR) bool
}

func (t *tx) newSearch(ctx context.Context, q CallSearch) (*searcher, error) {
	if q.Targets != nil { // each once: counters are added up by target
		q.Targets = append([]string{}, q.Targets...)
		slices.Sort(q.Targets)
		q.Targets = slices.Compact(q.Targets)
	}
	x := &searcher{t: t, ctx: ctx, q: q, limit: clamp(q.Limit, 50, 500), to: ^uint64(0), max: ^uint32(0), min: millis(q.MinTalk)}
	if !q.From.IsZero() {
		x.from = sortableTime(q.From)
	}
	if !q.To.IsZero() {
		x.to = sortableTime(q.To)
	}
	if q.MaxTalk > 0 {
		x.max = millis(q.MaxTalk)
	}
	x.none = x.from >= x.to || x.min > x.max
	var err error
	if x.after, err = q.decodeCursor(); err != nil {
		return nil, err
	}
	// In the order in which they usually narrow most: see narrowest.
	if q.Text != "" {
		if err := x.addText(); err != nil {
			return nil, err
		}
	}
	if q.Customer != "" {
		if err := x.addCustomer(); err != nil {
			return nil, err
		}
	}
	if q.Targets != nil {
		x.addTargets()
	}
	if q.Reason != "" {
		h := hash64(string(q.Reason))
		x.clauses = append(x.clauses, clause{[]dimension{{dimReason, h}}, func(r *callRow) bool { return r.reason == h },
			func(c *bridge.CDR) bool { return c.Cause.Reason == q.Reason }})
	}
	if q.Line != "" {
		h := hash64(q.Line)
		x.clauses = append(x.clauses, clause{[]dimension{{dimLine, h}}, func(r *callRow) bool { return r.line == h },
			func(c *bridge.CDR) bool { return c.Line == q.Line }})
	}
	return x, nil
}

func (x *searcher) addCustomer() error {
	ids, err := x.t.everyID(x.q.Customer)
	if err != nil {
		return err
	}
	hashes, c := map[uint64]bool{}, clause{}
	for _, id := range ids {
		h := hash64(id)
		hashes[h] = true
		c.dims = append(c.dims, dimension{dimCustomer, h})
	}
	c.row = func(r *callRow) bool { return hashes[r.customer] }
	c.exact = func(cdr *bridge.CDR) bool { return slices.Contains(ids, cdr.Customer.ID) }
	x.clauses = append(x.clauses, c)
	return nil
}

func (x *searcher) addTargets() {
	q := x.q
	x.none = x.none || len(q.Targets) == 0
	agents, c := map[uint64]bool{}, clause{}
	for _, target := range q.Targets {
		h := hash64(target)
		agents[h] = true
		c.dims = append(c.dims, dimension{dimAgent, h})
		if q.Rang {
			c.dims = append(c.dims, dimension{dimRang, h})
		}
	}
	c.row = func(r *callRow) bool {
		return agents[r.agent] || q.Rang && slices.ContainsFunc(r.rang, func(h uint64) bool { return agents[h] })
	}
	c.exact = func(cdr *bridge.CDR) bool { return HandledBy(cdr, q.Targets, q.Rang) }
	x.clauses = append(x.clauses, c)
}

// HandledBy reports whether a call belongs to one of the targets: its agent, or, with rang, one at which an inbound call
// rang that nobody took.
func HandledBy(c *bridge.CDR, targets []string, rang bool) bool {
	if c.Agent != "" {
		return slices.Contains(targets, c.Agent)
	}
	return rang && slices.ContainsFunc(Rang(c), func(t string) bool { return slices.Contains(targets, t) })
}

// Matching a row and a record.

func (x *searcher) matches(r *callRow) bool {
	if r.at < x.from || r.at >= x.to || r.talk < x.min || r.talk > x.max || x.q.Group != 0 && r.group != x.q.Group {
		return false
	}
	for i := range x.clauses {
		if !x.clauses[i].row(r) {
			return false
		}
	}
	return true
}

func (x *searcher) matchesRecord(c *bridge.CDR) bool {
	r := rowOf(c)
	if !x.matches(&r) {
		return false
	}
	for i := range x.clauses {
		if !x.clauses[i].exact(c) {
			return false
		}
	}
	return true
}

// The cursor is the order's letter and the position behind which to go on.

func (q CallSearch) cursor(position string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{'0' + byte(q.Sort)}, position...))
}

func (q CallSearch) decodeCursor() (position string, err error) {
	if q.After == "" {
		return "", nil
	}
	bad := fmt.Errorf("%w: cursor does not belong to this list", ErrInvalid)
	if len(q.After) > 2*maxSubject {
		return "", bad
	}
	b, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || len(b) < 1+8+1 || len(b) > 1+8+maxSubject || b[0] != '0'+byte(q.Sort) {
		return "", bad
	}
	return string(b[1:]), nil
}

// page finds the calls of a page in up to three steps. Most searches are done after the first: walking the index in the
// order asked for soon fills a page when matches are frequent. If they are not, one of the conditions may be so rare that
// all its calls can be read and sorted. What is left are several frequent conditions that seldom come together.
func (x *searcher) page() (CallsFound, error) {
	if x.none {
		return CallsFound{}, nil
	}
	if x.one != "" {
		return x.single()
	}
	picked, last, err := x.walk(x.narrowest(), glanceRows, x.limit, x.after)
	if err != nil {
		return CallsFound{}, err
	}
	if last == "" || len(picked) == x.limit {
		return x.load(picked, last)
	}
	all, ok, err := x.collectRarest()
	if err != nil {
		return CallsFound{}, err
	}
	if ok {
		next := ""
		if len(all) > x.limit {
			all = all[:x.limit]
			next = all[x.limit-1]
		}
		return x.load(all, next)
	}
	more, last, err := x.walk(x.narrowest(), scanRows, x.limit-len(picked), last)
	if err != nil {
		return CallsFound{}, err
	}
	return x.load(append(picked, more...), last)
}

func (x *searcher) single() (CallsFound, error) {
	c, err := x.t.call(x.one)
	if errors.Is(err, ErrNotFound) {
		return CallsFound{}, nil
	}
	if err != nil || c.EndedAt.IsZero() || x.after != "" || !x.matchesRecord(&c) {
		return CallsFound{}, err
	}
	return CallsFound{Calls: []bridge.CDR{c}}, nil
}

// narrowest is the condition to walk along: the first that few enough streams cover.
func (x *searcher) narrowest() []dimension {
	for _, c := range x.clauses {
		if n := len(c.dims); n > 0 && n <= maxStreams {
			return c.dims
		}
	}
	return []dimension{{dimAll, 0}}
}

// collectRarest reads all matches of one condition, if one is rare enough, in the order asked for.
func (x *searcher) collectRarest() (positions []string, ok bool, err error) {
	candidates := [][]dimension{{{dimAll, 0}}}
	for _, c := range x.clauses {
		if len(c.dims) <= collectRows/4 {
			candidates = append(candidates, c.dims)
		}
	}
	for _, dims := range candidates {
		for _, sort := range []byte{sortTime, sortTalk} {
			if dims[0].dim == dimAll && !x.bounded(sort) {
				continue
			}
			if sort == sortTalk && !x.bounded(sort) {
				continue // reads what the other order has read
			}
			positions, ok, err := x.collect(dims, sort)
			if err != nil || ok {
				return positions, ok, err
			}
		}
	}
	return nil, false, nil
}

func (x *searcher) bounded(sort byte) bool {
	if sort == sortTalk {
		return x.min > 0 || x.max < ^uint32(0)
	}
	return x.from > 0 || x.to < ^uint64(0)
}

// load reads the records at these positions. The record has the last word: hashes may collide.
func (x *searcher) load(positions []string, last string) (found CallsFound, err error) {
	for _, p := range positions {
		c, err := x.t.call(p[8:])
		if errors.Is(err, ErrCorrupt) { // one damaged record must not hide the others
			x.t.s.log.Error("the record of a call is damaged; it is left out of the list", "call", p[8:], "err", err)
			continue
		}
		if err != nil {
			return CallsFound{}, err
		}
		if x.matchesRecord(&c) {
			found.Calls = append(found.Calls, c)
		}
	}
	if last != "" {
		found.Next = x.q.cursor(last)
	}
	return found, nil
}
