package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

// ballast is a preallocated file of space nobody needs, until the disk is full. The first quarter is given back when the
// level reaches Full, so that a start has room and ordinary files can grow a little. The rest pays for the flush and the
// compactions that Badger has begun, page fault by page fault: see rescue_linux.go.
type ballast struct {
	path string
	size int64 // 0: none wanted

	mu   sync.Mutex
	f    *os.File
	slot int
	lent bool // the first quarter is given back
}

func newBallast(dir string, size int64) *ballast {
	b := &ballast{path: filepath.Join(dir, "ballast"), size: max(size, 0) &^ (sliceSize - 1), slot: -1}
	if b.size == 0 {
		return b
	}
	f, err := os.OpenFile(b.path, os.O_RDWR, 0) // left by the last run: still worth its space
	if err != nil {
		return b
	}
	b.f, b.lent = f, !b.whole()
	b.slot = arm(int(f.Fd()), b.quarter(), b.size)
	return b
}

func (b *ballast) quarter() int64 { return b.size / 4 &^ (sliceSize - 1) }

// held is how many bytes of disk the file has.
func (b *ballast) held() int64 {
	if b.f == nil {
		return 0
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(b.f.Fd()), &st); err != nil {
		return 0
	}
	return min(st.Blocks*512, b.size)
}

func (b *ballast) whole() bool { return b.held() >= b.size }

// given is how much of the ballast the disk has back.
func (b *ballast) given() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.f == nil {
		return 0 // never made: nothing to take again that the level should hide
	}
	return b.size - b.held()
}

// give hands the first quarter back to the file system.
func (b *ballast) give() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.f == nil || b.lent {
		return
	}
	b.lent = true
	_ = unix.Fallocate(int(b.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, b.quarter())
}

// take makes the ballast, whole, if spare bytes can be spared for it.
func (b *ballast) take(spare int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size == 0 || b.f != nil && b.whole() || b.size-b.held() > spare {
		return nil
	}
	if b.f == nil {
		f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("ballast: %w", err)
		}
		b.f = f
	}
	if err := retryInterrupted(func() error { return unix.Fallocate(int(b.f.Fd()), 0, 0, b.size) }); err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	b.lent = false
	disarm(b.slot)
	b.slot = arm(int(b.f.Fd()), b.quarter(), b.size)
	return nil
}

func (b *ballast) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	disarm(b.slot)
	b.slot = -1
	if b.f != nil {
		_ = b.f.Close()
		b.f = nil
	}
}

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
