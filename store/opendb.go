package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

const (
	schemaVersion = 1
	memTable      = 8 << 20
	// vlogFile is Badger's least: our values are all far below ValueThreshold, so nothing goes to the value log and a
	// bigger file would only be more to preallocate and sync.
	vlogFile = 1 << 20
	// openNeeds is what a start may write before the first poll: a write-ahead file, the flush of the one that was left,
	// an empty value log, the discard file, and a compaction's first tables.
	openNeeds = 10<<20 + 10<<20 + 2<<20 + 1<<20 + 4<<20
)

func (s *Store) options() badger.Options {
	return badger.DefaultOptions(filepath.Join(s.cfg.Dir, "db")).
		WithSyncWrites(true).
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithValueLogFileSize(vlogFile).
		WithValueThreshold(1 << 20).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(8 << 20).
		WithNumCompactors(2).
		// Few tables in level 0 keep one compaction small: a flush (2 x 8 MB) and two compactions (level 0 with at most 4
		// x 8 MB and 10 MB below it, and 2 MB with about ten times that below it) write under 96 MB, which is what the
		// ballast keeps for them when somebody else fills the disk meanwhile. TestFullDiskNeverKillsTheDaemon.
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(4).
		WithMetricsEnabled(false).  // expvar globals; ours are in metrics.go
		WithDetectConflicts(false). // one goroutine writes
		WithLogger(badgerLog{s.log})
}

// openDB opens the database if the disk lets it. It returns an error only for what waiting doesn't cure.
func (s *Store) openDB() error {
	if s.roomToOpen() {
		db, err := openBadger(s.options())
		if err == nil {
			return s.adopt(db, false)
		}
		if !diskRefuses(err) {
			return explain(err, s.cfg.Dir)
		}
		s.log.Error("database cannot be opened for writing; free space on the data disk", "err", err)
	}
	return s.openDegraded()
}

// openDegraded opens for reading what can be opened so. After a crash the write-ahead file must be repaired, which
// needs writing (and Badger leaks its goroutines when a read-only open finds that out, so it isn't tried).
func (s *Store) openDegraded() error {
	if err := lockFree(s.options().Dir); err != nil {
		return explain(err, s.cfg.Dir)
	}
	s.setLevel(max(s.Level(), Full))
	dir := s.options().Dir
	left, _ := filepath.Glob(filepath.Join(dir, "*"+".mem"))
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); err == nil && len(left) == 0 {
		db, err := openBadger(s.options().WithReadOnly(true))
		if err == nil {
			s.log.Error("disk full or read-only: running from memory, database open for reading only; free space on the data disk", "dir", dir)
			return s.adopt(db, true)
		}
		s.log.Warn("opening the database for reading", "err", err)
	}
	s.log.Error("disk full or read-only: running from memory, database not open; free space on the data disk", "dir", dir)
	return nil
}

// lockFree is Badger's own test for another process, without opening anything.
func lockFree(dir string) error {
	f, err := os.Open(dir)
	if err != nil { // nothing there to lock
		return nil // a folder that can't be made yet is the degraded start's very case
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errLockHeld
	}
	return nil
}

var errLockHeld = errors.New("Cannot acquire directory lock") //nolint:staticcheck // Badger's words

// roomToOpen gives the ballast's first quarter if that is what it takes.
func (s *Store) roomToOpen() bool {
	if s.Level() >= Full {
		s.ballast.give()
	}
	sp, err := s.cfg.Statfs(s.cfg.Dir)
	return err == nil && !sp.ReadOnly && sp.Free >= openNeeds
}

// openBadger fences Badger's y.Check panics on an unwritable folder.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("open database: %v", p)
		}
	}()
	if !o.ReadOnly {
		if err := makeDir(o.Dir); err != nil {
			return nil, err
		}
		if err := makeDiscard(filepath.Join(o.Dir, "DISCARD")); err != nil {
			return nil, err
		}
	}
	return badger.Open(o)
}

// adopt checks the schema and the key and makes db the store's database.
func (s *Store) adopt(db *badger.DB, readOnly bool) error {
	if err := s.prepare(db, readOnly); err != nil {
		return errors.Join(err, db.Close())
	}
	s.dbmu.Lock()
	s.db.Store(db)
	s.readOnly.Store(readOnly)
	s.dbmu.Unlock()
	if !readOnly {
		s.preallocate()
	}
	return nil
}

func (s *Store) prepare(db *badger.DB, readOnly bool) error {
	t := &tx{s: s, t: db.NewTransaction(!readOnly), keys: newKeys()}
	defer func() { t.t.Discard() }()
	sum := []byte(s.crypt.hash("check", "appliance key"))
	b, err := t.get(keySchema)
	switch {
	case errors.Is(err, ErrNotFound) && readOnly:
		return fmt.Errorf("%w: empty", ErrUnavailable)
	case errors.Is(err, ErrNotFound):
		if err := errors.Join(t.set(keySchema, u64(schemaVersion)), t.set(keyCheck, sum), t.set(keyIndexed, nil), t.t.Commit()); err != nil {
			return fmt.Errorf("write schema: %w", err)
		}
		return nil
	case err != nil:
		return err
	case asU64(b) > schemaVersion:
		return fmt.Errorf("%w: %d, this version knows %d: install the version that wrote it or restore a backup", ErrSchema, asU64(b), schemaVersion)
	}
	have, err := t.get(keyCheck)
	if err != nil {
		return err
	}
	if string(have) != string(sum) {
		return fmt.Errorf("%w: put back keys/appliance.key (or the systemd credential) that belongs to this data folder", ErrWrongKey)
	}
	s.seq, s.arrivals = t.last(tabFact), t.last(tabPending)
	if readOnly {
		return nil
	}
	if err := sweepParts(s, db); err != nil {
		return err
	}
	if half, err := t.has(keyRebuild); err != nil || half {
		if err != nil {
			return err
		}
		s.log.Warn("a rebuild of the views was interrupted; doing it again")
		return s.rebuild(db)
	}
	if indexed, err := t.has(keyIndexed); err != nil || !indexed {
		if err != nil {
			return err
		}
		s.log.Warn("the calls of this store are not indexed yet; building the views anew, which happens once")
		return s.rebuild(db)
	}
	return nil
}

// last is the highest number in a table of numbered keys.
func (t *tx) last(table byte) uint64 {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues, o.Reverse = []byte{table}, false, true
	it := t.t.NewIterator(o)
	defer it.Close()
	it.Seek([]byte{table + 1})
	if !it.Valid() || len(it.Item().Key()) != 9 {
		return 0
	}
	return asU64(it.Item().Key()[1:])
}

// reopen is the guard's: there is room again. It reports whether the database can be written.
func (s *Store) reopen() bool {
	if s.db.Load() != nil && !s.readOnly.Load() {
		return true
	}
	if time.Now().Before(s.reopenAt) || !s.roomToOpen() {
		return false
	}
	s.dbmu.Lock()
	if db := s.db.Swap(nil); db != nil {
		if err := db.Close(); err != nil {
			s.log.Warn("closing the read-only database", "err", err)
		}
	}
	s.dbmu.Unlock()
	db, err := openBadger(s.options())
	if err == nil {
		err = s.adopt(db, false)
	}
	if err != nil {
		// Each failed open leaves a few of Badger's goroutines behind: try rarely.
		s.reopenWait = min(max(2*s.reopenWait, time.Second), time.Minute)
		s.reopenAt = time.Now().Add(s.reopenWait)
		s.log.Error("database still cannot be opened", "err", err)
		return false
	}
	s.log.Info("database open again; writing what waited in memory")
	return true
}

// diskRefuses tells errors that pass when the disk gets better.
func diskRefuses(err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EROFS, unix.EDQUOT, unix.EIO} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) { // Badger formats some causes away
			return true
		}
	}
	return false
}

func explain(err error, dir string) error {
	if strings.Contains(err.Error(), "Cannot acquire directory lock") {
		return fmt.Errorf("%w: %s: stop the other deskbridge (systemctl stop deskbridge), or use its API instead of a second process", ErrLocked, dir)
	}
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: give %s to the user that runs deskbridge", err, dir)
	}
	return err
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	return nil
}
