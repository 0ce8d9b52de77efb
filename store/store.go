package store

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// closeWait bounds each step of Close: a stuck disk must not keep the daemon from exiting.
const closeWait = 10 * time.Second

// Store is the ledger, its views, the inbox and the settings. Safe for concurrent use.
type Store struct {
	cfg   Config
	log   *slog.Logger
	crypt *crypt
	m     *metrics

	db       atomic.Pointer[badger.DB] // nil while it cannot be opened
	readOnly atomic.Bool               // opened for reading only, because the disk was full at the start
	dbmu     sync.RWMutex              // held for reading by views, for writing while the database is swapped or closed

	seq      uint64 // writer only: last sequence
	arrivals uint64 // writer only: last webhook arrival number

	qmu     sync.Mutex
	calls   []*op // call facts and customers, in order
	others  []*op
	closing bool
	work    chan struct{}

	levelMu     sync.Mutex
	level       Level
	levelChange chan struct{} // closed at the next change

	born        time.Time
	commitBegan atomic.Int64 // now(); 0: no commit is running
	probeBegan  atomic.Int64
	probeFailed atomic.Bool
	unsynced    atomic.Int64 // bytes committed since the write-ahead files were last looked at

	testCommit func() // tests: runs before each commit

	ballast    *ballast
	reopenAt   time.Time // guard only
	reopenWait time.Duration
	guests     guests

	stop                             context.CancelFunc
	writerDone, guardDone, probeDone chan struct{}
	closeOnce                        sync.Once
	closeErr                         error
}

func newKeys() map[string]cipher.AEAD { return map[string]cipher.AEAD{} }

// Open opens the store in cfg.Dir or makes one. A full or read-only disk is not an error: the store comes up degraded
// (Level says how), keeps call facts in memory, and opens the database as soon as it can. A lock held by another
// process, a wrong key or a newer schema is an error that names the fix.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return nil, fmt.Errorf("open store: %w: no folder", ErrInvalid)
	}
	cr, err := newCrypt(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	cfg.Key = nil
	s := &Store{
		born: time.Now(), cfg: cfg, log: cfg.Logger, crypt: cr, m: m,
		work:        make(chan struct{}, 1),
		levelChange: make(chan struct{}),
		guests:      guests{byID: map[string]Identity{}, ids: map[string]string{}},
		writerDone:  make(chan struct{}), guardDone: make(chan struct{}), probeDone: make(chan struct{}),
	}
	if err := s.start(); err != nil {
		m.unregister(cfg.Registerer)
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Store) start() error {
	if err := makeDir(s.cfg.Dir); err != nil && !diskRefuses(err) {
		return err
	}
	s.ballast = newBallast(s.cfg.Dir, s.cfg.Limits.Ballast)
	s.look()
	if err := s.openDB(); err != nil {
		s.ballast.close()
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.write()
	go s.guard(ctx)
	go s.probe(ctx)
	return nil
}

// Close writes what is queued, stops the goroutines and closes the database. It is idempotent and bounded.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.qmu.Lock()
	s.closing = true
	s.qmu.Unlock()
	s.wake()
	var errs []error
	await := func(c <-chan struct{}, what string) bool {
		t := time.NewTimer(closeWait)
		defer t.Stop()
		select {
		case <-c:
			return true
		case <-t.C:
			errs = append(errs, fmt.Errorf("%w: %s did not stop", ErrStuck, what))
			return false
		}
	}
	ok := await(s.writerDone, "writer")
	s.stop()
	ok = await(s.guardDone, "guard") && ok
	ok = await(s.probeDone, "probe") && ok
	if !ok { // the disk hangs; the process is about to exit and the write-ahead file has what was acknowledged
		return errors.Join(errs...)
	}
	s.dbmu.Lock()
	defer s.dbmu.Unlock()
	if db := s.db.Swap(nil); db != nil {
		done := make(chan struct{})
		go func() { // waited for below, unless the disk hangs
			defer close(done)
			if err := db.Close(); err != nil {
				errs = append(errs, err)
			}
		}()
		if !await(done, "database") {
			return errs[len(errs)-1]
		}
	}
	s.ballast.close()
	s.m.unregister(s.cfg.Registerer)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// view runs fn in a read transaction.
func (s *Store) view(ctx context.Context, fn func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.dbmu.RLock()
	defer s.dbmu.RUnlock()
	db := s.db.Load()
	if db == nil {
		s.qmu.Lock()
		defer s.qmu.Unlock()
		if s.closing {
			return ErrClosed
		}
		return ErrUnavailable
	}
	t := db.NewTransaction(false)
	defer t.Discard()
	return fn(&tx{s: s, t: t})
}
