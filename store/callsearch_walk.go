package store

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// stream walks the rows of one dimension in one order, within the bounds of the search.
type stream struct {
	it      *badger.Iterator
	prefix  []byte
	reverse bool
	lo, hi  []byte // bounds of the position: lo inclusive, hi exclusive; nil: none
}

// bounds are the first and the last position of an order that the search allows.
func (x *searcher) bounds(sort byte) (lo, hi []byte) {
	if sort == sortTalk {
		lo = binary.BigEndian.AppendUint64(nil, uint64(x.min))
		return lo, binary.BigEndian.AppendUint64(nil, uint64(x.max)+1)
	}
	return binary.BigEndian.AppendUint64(nil, x.from), binary.BigEndian.AppendUint64(nil, x.to)
}

// openStream stands at the first row behind the position after (empty: at the first).
func (x *searcher) openStream(d dimension, sort byte, reverse bool, after string) *stream {
	s := &stream{prefix: sortedPrefix(sort, d.dim, d.hash), reverse: reverse}
	s.lo, s.hi = x.bounds(sort)
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues, o.Reverse = s.prefix, false, reverse
	s.it = x.t.t.NewIterator(o)
	s.seek(after)
	return s
}

func (s *stream) seek(after string) {
	start := s.lo
	if s.reverse {
		start = s.hi
	}
	if after != "" {
		if further := []byte(after); s.reverse == (bytes.Compare(further, start) < 0) {
			start = further
		}
	}
	s.it.Seek(append(slices.Clip(s.prefix), start...))
	// A position is longer than a bound, so only after itself can be met.
	if after != "" && s.it.Valid() && string(s.position()) == after {
		s.it.Next()
	}
}

func (s *stream) position() []byte { return s.it.Item().Key()[prefixLen:] }

func (s *stream) valid() bool {
	if !s.it.Valid() {
		return false
	}
	p := s.position()
	return len(p) > 8 && bytes.Compare(p, s.lo) >= 0 && bytes.Compare(p, s.hi) < 0
}

// walk merges the streams of dims in the order asked for and returns the positions of the first want matches behind after,
// looking at no more than budget rows. last is where to go on; empty: the end was reached.
func (x *searcher) walk(dims []dimension, budget, want int, after string) (picked []string, last string, err error) {
	sort, reverse := x.q.Sort.index(), x.q.Sort.reverse()
	var live []*stream
	defer func() {
		for _, s := range live {
			s.it.Close()
		}
	}()
	for _, d := range dims {
		live = append(live, x.openStream(d, sort, reverse, after))
	}
	streams := slices.DeleteFunc(slices.Clone(live), func(s *stream) bool { return !s.valid() })
	var row callRow
	last = after
	for n := 0; len(streams) > 0; n++ {
		if n == budget || len(picked) == want {
			return picked, last, nil
		}
		if n%1024 == 0 && x.ctx.Err() != nil {
			return nil, "", x.ctx.Err()
		}
		i := foremost(streams, reverse)
		s := streams[i]
		if p := s.position(); string(p) != last {
			last = string(p)
			if err := x.read(s.it.Item(), &row); err != nil {
				return nil, "", err
			}
			if x.matches(&row) {
				picked = append(picked, last)
			}
		}
		if s.it.Next(); !s.valid() {
			streams = slices.Delete(streams, i, i+1)
		}
	}
	return picked, "", nil
}

// foremost is the stream that comes next. There are at most maxStreams, and most often one.
func foremost(streams []*stream, reverse bool) int {
	best := 0
	for i := 1; i < len(streams); i++ {
		if c := bytes.Compare(streams[i].position(), streams[best].position()); c < 0 != reverse && c != 0 {
			best = i
		}
	}
	return best
}

func (x *searcher) read(item *badger.Item, row *callRow) error {
	return item.Value(func(b []byte) error { return row.decode(b) })
}

// collect reads every row of dims within the bounds of one order, if there are at most collectRows, and returns the
// positions of the matches behind the cursor in the order asked for.
func (x *searcher) collect(dims []dimension, sort byte) (positions []string, ok bool, err error) {
	want, reverse := x.q.Sort.index(), x.q.Sort.reverse()
	complete, err := x.each(dims, sort, collectRows, func(call string, row *callRow) {
		if !x.matches(row) {
			return
		}
		p := row.position(want, call)
		if x.after == "" || (p < x.after) == reverse && p != x.after {
			positions = append(positions, p)
		}
	})
	if err != nil || !complete {
		return nil, false, err
	}
	slices.Sort(positions)
	positions = slices.Compact(positions)
	if reverse {
		slices.Reverse(positions)
	}
	return positions, true, nil
}

// each visits the rows of dims within the bounds of one order, at most budget. Calls that several dimensions share are
// visited more than once. It reports whether all were visited.
func (x *searcher) each(dims []dimension, sort byte, budget int, visit func(call string, row *callRow)) (complete bool, err error) {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = []byte{tabSorted, sort}, false
	it := x.t.t.NewIterator(o)
	defer it.Close()
	var row callRow
	n := 0
	for _, d := range dims {
		prefix := sortedPrefix(sort, d.dim, d.hash)
		s := &stream{it: it, prefix: prefix}
		s.lo, s.hi = x.bounds(sort)
		n++ // a seek costs more than a row
		for s.seek(""); it.ValidForPrefix(prefix) && s.valid(); it.Next() {
			if n++; n > budget {
				return false, nil
			}
			if n%1024 == 0 && x.ctx.Err() != nil {
				return false, x.ctx.Err()
			}
			if err := x.read(it.Item(), &row); err != nil {
				return false, err
			}
			visit(string(s.position()[8:]), &row)
		}
	}
	return true, nil
}
