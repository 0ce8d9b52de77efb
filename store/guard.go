package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// Level is how well the disk is doing now.
func (s *Store) Level() Level {
	l, _ := s.levelAndChange()
	return l
}

func (s *Store) levelAndChange() (Level, <-chan struct{}) {
	s.levelMu.Lock()
	defer s.levelMu.Unlock()
	return s.level, s.levelChange
}

// gate is the level right now: the writer asks before each commit, because a second is long on a disk that fills up.
func (s *Store) gate() Level {
	if l := s.Level(); l >= Full {
		return l
	}
	if sp, err := s.cfg.Statfs(s.cfg.Dir); err == nil {
		if l := s.cfg.Limits.levelOf(sp, s.ballast.given()); l > s.Level() {
			s.setLevel(l)
		}
	}
	return s.Level()
}

func (s *Store) setLevel(l Level) {
	s.levelMu.Lock()
	was := s.level
	s.level = l
	if was != l {
		close(s.levelChange)
		s.levelChange = make(chan struct{})
	}
	s.levelMu.Unlock()
	s.m.level.Set(float64(l))
	if was == l {
		return
	}
	switch {
	case l >= Full:
		s.log.Error("data disk refuses writes; call facts wait in memory; free space or mend the disk", "level", l.String(), "was", was.String())
	case l > Fine:
		s.log.Warn("data disk is running out of space; free some", "level", l.String(), "was", was.String())
	default:
		s.log.Info("data disk is fine again", "was", was.String())
	}
	s.cfg.OnLevel(l)
	s.wake()
}

// guard polls the disk, moves the level and the ballast, and reopens the database when it can.
func (s *Store) guard(ctx context.Context) {
	defer close(s.guardDone)
	tick := time.NewTicker(s.cfg.Limits.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := fence(func() error { s.look(); return nil }); err != nil {
			s.log.Error("disk guard", "err", err, "stack", string(debug.Stack()))
		}
	}
}

// look is one round of the guard.
func (s *Store) look() {
	if s.late(&s.commitBegan) || s.late(&s.probeBegan) {
		s.setLevel(Stuck)
		return
	}
	sp, err := s.cfg.Statfs(s.cfg.Dir)
	if err != nil {
		s.log.Error("cannot measure the data disk", "err", err)
		return
	}
	s.m.free.Set(float64(sp.Free))
	sp.ReadOnly = sp.ReadOnly || s.probeFailed.Load()
	l := s.cfg.Limits.levelOf(sp, s.ballast.given())
	if l == Full {
		s.ballast.give()
	}
	if l < Full {
		resetRescue()
		if s.stop != nil && !s.reopen() {
			l = Full // nothing can be written, whatever there is room for
		}
	}
	s.setLevel(l)
	if l < Tight {
		if err := s.ballast.take(sp.Free - s.cfg.Limits.Tight); err != nil {
			s.log.Warn("making the ballast again", "err", err)
		}
	}
	if s.stop != nil && l < Full {
		s.preallocate()
	}
	s.wake()
}

func (s *Store) late(began interface{ Load() int64 }) bool {
	at := began.Load()
	return at != 0 && time.Duration(s.now()-at) > s.cfg.Limits.Stuck
}

// probe proves with a small synced write that the disk answers, even while the store is idle.
func (s *Store) probe(ctx context.Context) {
	defer close(s.probeDone)
	tick := time.NewTicker(s.cfg.Limits.Probe)
	defer tick.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.probeBegan.Store(s.now())
		err := probeWrite(filepath.Join(s.cfg.Dir, "probe"), n)
		s.probeBegan.Store(0)
		// No space is the guard's to measure; only a disk that refuses a rewrite counts here.
		failed := err != nil && !isNoSpace(err)
		if failed && !s.probeFailed.Load() {
			s.log.Error("the data disk refuses a write; check it", "err", err)
		}
		s.probeFailed.Store(failed)
	}
}

func probeWrite(path string, n uint64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, n), 0); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	if err := retryInterrupted(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return nil
}
