package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// preallocate gives the write-ahead files their blocks, so that a write through Badger's mapping cannot meet a full disk.
// Badger sizes such a file sparsely at twice the memtable and starts the next one when a memtable is full.
func (s *Store) preallocate() {
	dir := filepath.Join(s.cfg.Dir, "db")
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.log.Warn("reading the database folder", "err", err)
		return
	}
	for _, e := range entries {
		size := map[string]int64{".mem": memTable + memTable/4, "vlog": 2 * vlogFile}[tail(e.Name(), 4)]
		if e.Name() == "DISCARD" {
			size = 1 << 20
		}
		info, err := e.Info()
		if size == 0 || err != nil || info.Size() < size { // a shorter one is finished
			continue
		}
		if st, ok := info.Sys().(*unixStat); ok && st.Blocks*512 >= size {
			continue
		}
		if err := allocate(filepath.Join(dir, e.Name()), size); err != nil {
			s.log.Warn("preallocating a database file; free space on the data disk", "file", e.Name(), "err", err)
		}
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// grown notes committed bytes and looks after the write-ahead files now and then: a new one comes with each full memtable.
func (s *Store) grown(bytes int) {
	if s.unsynced.Add(int64(bytes)) >= memTable/32 {
		s.unsynced.Store(0)
		s.preallocate()
	}
}

func allocate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return retryInterrupted(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size) })
}

func retryInterrupted(fn func() error) error {
	for deadline := time.Now().Add(time.Second); ; {
		if err := fn(); !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			return err
		}
	}
}

// makeDiscard makes Badger's discard file with its blocks: Badger ends the process if it cannot make it itself.
func makeDiscard(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make discard file: %w", err)
	}
	err = retryInterrupted(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, 1<<20) })
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("make discard file: %w", err), os.Remove(path))
	}
	return nil
}
