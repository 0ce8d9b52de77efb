package store

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// CountCalls counts the calls of a search by group. Filters by line and target alone are answered from the counters of
// whole days (UTC) and a scan of the days at both ends, others by a bounded scan.
func (s *Store) CountCalls(ctx context.Context, q CallSearch) (counted CallsCounted, err error) {
	q.Group, q.After = 0, ""
	err = q.check()
	if err == nil {
		err = s.view(ctx, func(t *tx) error {
			x, err := t.newSearch(ctx, q)
			if err != nil {
				return err
			}
			counted, err = x.count()
			return err
		})
	}
	if err != nil {
		return CallsCounted{}, fmt.Errorf("count calls: %w", err)
	}
	return counted, nil
}

func (x *searcher) count() (CallsCounted, error) {
	q := x.q
	switch {
	case x.none:
		return CallsCounted{}, nil
	case x.one != "":
		found, err := x.single()
		var c CallsCounted
		for i := range found.Calls {
			c.add(GroupOf(&found.Calls[i]), 1)
		}
		return c, err
	case q.Text == "" && q.Customer == "" && q.Reason == "" && !x.bounded(sortTalk):
		return x.countByDay()
	}
	return x.countByScan()
}

// countByScan visits the matches of the narrowest condition.
func (x *searcher) countByScan() (c CallsCounted, err error) {
	dims, sort := []dimension{{dimAll, 0}}, byte(sortTime)
	if x.bounded(sortTalk) && !x.bounded(sortTime) {
		sort = sortTalk
	}
	if len(x.clauses) > 0 && len(x.clauses[0].dims) < countRows/4 {
		dims = x.clauses[0].dims
	}
	err = x.tally(&c, dims, sort, x.matches)
	return c, err
}

// tally counts the rows of dims that match, each call once.
func (x *searcher) tally(c *CallsCounted, dims []dimension, sort byte, matches func(*callRow) bool) error {
	var seen map[string]bool
	if len(dims) > 1 { // the dimensions of one condition may share calls: two phones that rang
		seen = map[string]bool{}
	}
	complete, err := x.each(dims, sort, countRows, func(call string, row *callRow) {
		if !matches(row) || seen[call] {
			return
		}
		if seen != nil {
			seen[call] = true
		}
		c.add(row.group, 1)
	})
	c.AtLeast = c.AtLeast || err == nil && !complete
	return err
}

// countByDay adds up the counters.
func (x *searcher) countByDay() (c CallsCounted, err error) {
	counters, rang := x.counters()
	// Whole days between the bounds; the rest at both ends is scanned.
	first, firstWhole := uint32(0), true
	end, endWhole := ^uint32(0), true
	if from := timeOf(x.from); x.from > 0 {
		first = dayOf(from)
		if firstWhole = from.Unix()%86400 == 0 && from.Nanosecond() == 0; !firstWhole {
			first++
		}
	}
	if to := timeOf(x.to); x.to < ^uint64(0) {
		end = dayOf(to)
		endWhole = to.Unix()%86400 == 0 && to.Nanosecond() == 0
	}
	if first > end { // both bounds inside one day
		return x.countByScan()
	}
	for _, d := range counters {
		if err := x.addDays(&c.GroupCounts, d, first, end); err != nil {
			return c, err
		}
	}
	from, to := x.from, x.to
	defer func() { x.from, x.to = from, to }()
	if !firstWhole {
		x.from, x.to = from, sortableTime(dayStart(first))
		if err := x.tally(&c, x.scanned(), sortTime, x.handled); err != nil {
			return c, err
		}
	}
	if !endWhole {
		x.from, x.to = sortableTime(dayStart(end)), to
		if err := x.tally(&c, x.scanned(), sortTime, x.handled); err != nil {
			return c, err
		}
	}
	if len(rang) > 0 { // one call may have rung at several phones: no counter can be added up
		x.from, x.to = from, to
		err = x.tally(&c, rang, sortTime, x.matches)
	}
	return c, err
}

// handled leaves the calls that only rang to the scan of those.
func (x *searcher) handled(r *callRow) bool {
	return (x.q.Targets == nil || len(r.rang) == 0) && x.matches(r)
}

// counters are the counters to add up, and the dimensions of calls that rang at the targets but were taken by nobody.
func (x *searcher) counters() (counters, rang []dimension) {
	q := x.q
	line := hash64(q.Line)
	switch {
	case q.Targets == nil && q.Line == "":
		return []dimension{{dimAll, 0}}, nil
	case q.Targets == nil:
		return []dimension{{dimLine, line}}, nil
	}
	for _, target := range q.Targets {
		h := hash64(target)
		if q.Line == "" {
			counters = append(counters, dimension{dimAgent, h})
		} else {
			counters = append(counters, dimension{dimPair, pairHash(line, h)})
		}
		if q.Rang {
			rang = append(rang, dimension{dimRang, h})
		}
	}
	return counters, rang
}

// scanned are the dimensions to scan where counters are too coarse.
func (x *searcher) scanned() (dims []dimension) {
	switch {
	case x.q.Targets == nil && x.q.Line == "":
		return []dimension{{dimAll, 0}}
	case x.q.Targets == nil:
		return []dimension{{dimLine, hash64(x.q.Line)}}
	}
	for _, target := range x.q.Targets {
		dims = append(dims, dimension{dimAgent, hash64(target)})
	}
	return dims
}

func (x *searcher) addDays(g *GroupCounts, d dimension, first, end uint32) error {
	prefix := countPrefix(d)
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = prefix, false
	it := x.t.t.NewIterator(o)
	defer it.Close()
	for it.Seek(binary.BigEndian.AppendUint32(prefix, first)); it.Valid(); it.Next() {
		k := it.Item().Key()
		if day := binary.BigEndian.Uint32(k[len(k)-4:]); day >= end {
			break
		}
		if err := it.Item().Value(g.decode); err != nil {
			return err
		}
	}
	return x.ctx.Err()
}
