package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxQueued = 1024      // writes waiting besides call facts; more are refused
	maxBatch  = 128       // writes that share one commit and one sync
	softBytes = 384 << 10 // a commit is closed at about this size; Badger's limit is 15 % of a memtable
)

// op is one write. run first checks and then writes: once it has written, it may fail only for reasons that make the
// whole transaction worthless. It may run more than once.
type op struct {
	class class
	alone bool // needs the writer to itself and makes its own transactions (rebuild)
	run   func(*tx) error
	done  chan error // buffered: the writer never waits for a caller; nil result means on stable storage
}

// submit hands a write to the writer and waits until it is on stable storage. A call-class write that cannot be written
// now stays queued in memory, in order, and submit returns kept.
func (s *Store) submit(ctx context.Context, c class, run func(*tx) error) (kept bool, err error) {
	return s.submitOp(ctx, &op{class: c, run: run, done: make(chan error, 1)})
}

func (s *Store) submitOp(ctx context.Context, o *op) (kept bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	worse, err := s.enqueue(o)
	if err != nil {
		return false, err
	}
	for {
		select {
		case err := <-o.done:
			return false, err
		case <-ctx.Done():
			return o.class == classCall, ctx.Err()
		case <-worse:
		}
		level, next := s.levelAndChange()
		worse = next
		if level < Full {
			continue
		}
		select { // it may just have been done
		case err := <-o.done:
			return false, err
		default:
		}
		if o.class == classCall {
			return true, nil
		}
		if level == Stuck { // it may be in the hands of the disk: no promise either way
			return false, ErrStuck
		}
		// Full or read-only: the writer answers each queued op itself, so the outcome is certain.
	}
}

func (s *Store) enqueue(o *op) (levelChange <-chan struct{}, err error) {
	level, change := s.levelAndChange()
	if o.class != classCall {
		if err := level.refuses(o.class); err != nil {
			s.m.refused.WithLabelValues(level.String()).Inc()
			return nil, err
		}
	}
	s.qmu.Lock()
	defer s.qmu.Unlock()
	switch {
	case s.closing:
		return nil, ErrClosed
	case o.class == classCall && len(s.calls) >= s.cfg.Limits.Journal:
		s.m.refused.WithLabelValues("journal").Inc()
		return nil, ErrJournalFull
	case o.class == classCall:
		s.calls = append(s.calls, o)
		s.m.pending.Set(float64(len(s.calls)))
	case len(s.others) >= maxQueued:
		s.m.refused.WithLabelValues("queue").Inc()
		return nil, fmt.Errorf("%w: too many writes wait", ErrStuck)
	default:
		s.others = append(s.others, o)
	}
	s.wake()
	if level >= Full { // the caller must not wait for a change that already happened
		c := make(chan struct{})
		close(c)
		return c, nil
	}
	return change, nil
}

func (s *Store) wake() {
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// write is the writer goroutine: the only one that commits, so sequences have no gaps and transactions no conflicts.
func (s *Store) write() {
	defer close(s.writerDone)
	for {
		batch, closing := s.take()
		if len(batch) == 0 {
			if closing {
				s.abandon()
				return
			}
			<-s.work
			continue
		}
		if !s.perform(batch) {
			<-s.work
		}
	}
}

// take removes the next writes from the queues: call facts stay first in line when the disk refuses them.
func (s *Store) take() (batch []*op, closing bool) {
	level := s.gate()
	s.qmu.Lock()
	defer s.qmu.Unlock()
	pick := func(q *[]*op) {
		for len(*q) > 0 && len(batch) < maxBatch {
			if (*q)[0].alone && len(batch) > 0 {
				return
			}
			o := (*q)[0]
			(*q)[0] = nil
			*q = (*q)[1:]
			batch = append(batch, o)
			if o.alone {
				return
			}
		}
	}
	if level < Full {
		pick(&s.calls)
	}
	if len(batch) == 0 || !batch[0].alone {
		pick(&s.others)
	}
	return batch, s.closing && (level >= Full || len(s.calls) == 0) && len(s.others) == 0
}

// perform runs a batch; it reports whether anything could be written.
func (s *Store) perform(batch []*op) bool {
	level := s.gate()
	db := s.db.Load()
	var run, wait []*op
	for _, o := range batch {
		err := level.refuses(o.class)
		if err == nil && (db == nil || s.readOnly.Load()) {
			err = ErrUnavailable
		}
		switch {
		case err == nil:
			run = append(run, o)
		case o.class == classCall:
			wait = append(wait, o)
		default:
			s.m.refused.WithLabelValues(level.String()).Inc()
			o.done <- err
		}
	}
	s.putBack(wait)
	if len(run) == 0 {
		return false
	}
	start := time.Now()
	s.commitBegan.Store(s.now())
	failed := s.commit(db, run)
	s.commitBegan.Store(0)
	s.m.latency.Observe(time.Since(start).Seconds())
	s.putBack(failed)
	return true
}

// now is a monotonic instant that is never 0.
func (s *Store) now() int64 { return int64(time.Since(s.born)) + 1 }

func (s *Store) putBack(ops []*op) {
	if len(ops) > 0 {
		s.qmu.Lock()
		s.calls = append(ops, s.calls...)
		s.qmu.Unlock()
	}
	s.qmu.Lock()
	s.m.pending.Set(float64(len(s.calls)))
	s.qmu.Unlock()
}

// commit writes ops in as few transactions as fit. When a shared transaction cannot be used, each op gets its own. It
// returns the call facts that the disk refused: they go back to the head of the queue.
func (s *Store) commit(db *badger.DB, ops []*op) (again []*op) {
	for len(ops) > 0 {
		n, errs, err := s.commitTogether(db, ops)
		if err == nil || n == 1 {
			again = append(again, s.answer(ops[:n], errs, err)...)
		} else {
			for _, o := range ops[:n] {
				_, e, err := s.commitTogether(db, []*op{o})
				again = append(again, s.answer([]*op{o}, e, err)...)
			}
		}
		ops = ops[n:]
	}
	return again
}

func (s *Store) answer(ops []*op, errs []error, err error) (again []*op) {
	for i, o := range ops {
		switch {
		case err == nil:
			o.done <- errs[i]
		case o.class == classCall && errors.Is(err, errIO):
			again = append(again, o)
		default:
			o.done <- err
		}
	}
	if err != nil {
		s.m.failed.Inc()
		s.log.Error("ledger write failed; check the data disk", "err", err)
	}
	if errors.Is(err, errIO) { // until the probe gets through: nothing is tried against a disk that refuses
		s.probeFailed.Store(true)
		s.setLevel(ReadOnly)
	}
	return again
}

// errIO marks a commit that the disk refused, as against a write that was wrong.
var errIO = errors.New("disk error")

// commitTogether runs ops in one transaction until it is big enough. It returns how many it took and each one's own
// result, or the error that made the transaction worthless.
func (s *Store) commitTogether(db *badger.DB, ops []*op) (n int, errs []error, err error) {
	if ops[0].alone {
		return 1, []error{s.runAlone(db, ops[0])}, nil
	}
	t := s.begin(db)
	defer t.t.Discard()
	for _, o := range ops {
		before := t.writes
		e := fence(func() error { return o.run(t) })
		n++
		errs = append(errs, e)
		if e != nil && t.writes != before {
			return n, nil, e
		}
		if t.bytes >= softBytes {
			break
		}
	}
	if t.writes == 0 {
		return n, errs, nil
	}
	if err := t.commit(); err != nil {
		return n, nil, err
	}
	return n, errs, nil
}

func (s *Store) runAlone(db *badger.DB, o *op) error {
	t := s.begin(db)
	defer func() { t.t.Discard() }()
	return fence(func() error { return o.run(t) })
}

func (s *Store) begin(db *badger.DB) *tx {
	return &tx{s: s, t: db.NewTransaction(true), seq: s.seq, keys: newKeys()}
}

func (t *tx) commit() error {
	if hook := t.s.testCommit; hook != nil {
		hook()
	}
	if err := t.t.Commit(); errors.Is(err, badger.ErrTxnTooBig) {
		return fmt.Errorf("commit: %w", err)
	} else if err != nil {
		return fmt.Errorf("commit: %w: %w", errIO, err)
	}
	t.s.seq = t.seq
	for o, a := range t.keys {
		t.s.crypt.remember(o, a)
	}
	for _, fn := range t.after {
		fn()
	}
	t.s.grown(t.bytes)
	return nil
}

// fence turns a panic in one write into that write's error.
func fence(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in store write: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

// abandon ends the waiting when Close finds the disk unusable: what is queued is lost and said so.
func (s *Store) abandon() {
	s.qmu.Lock()
	defer s.qmu.Unlock()
	if n := len(s.calls); n > 0 {
		s.log.Error("closing with call facts that never reached the disk; free space before stopping next time", "lost", n)
	}
	for _, o := range append(s.calls, s.others...) {
		o.done <- errors.Join(ErrClosed, ErrDiskFull)
	}
	s.calls, s.others = nil, nil
}
