package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// maxClockStep is how far the wall clock may move against the monotonic one between two ticks before nothing is deleted
	// until somebody says that the time is right (reliability.md, Clock).
	maxClockStep = time.Hour
	// maxDowntime is how long the process may have been gone. Without a monotonic clock across a restart, a longer gap could
	// as well be a wrong clock.
	maxDowntime = 7 * day
)

// clockWatch notices a wall clock that cannot be trusted. Its state survives a restart in a file.
type clockWatch struct {
	file string // "": nothing survives
	last time.Time
	mono time.Duration
	step time.Duration // by how much it moved; 0: all is well
}

type clockState struct {
	Last time.Time     `json:"last"`
	Step time.Duration `json:"step,omitempty"`
}

// load reads what the last process knew. A file that cannot be read counts as none.
func (c *clockWatch) load(now time.Time, mono time.Duration) error {
	c.last, c.mono = now, mono
	if c.file == "" {
		return nil
	}
	b, err := os.ReadFile(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s clockState
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return fmt.Errorf("read retention clock: %w", err)
	}
	c.step = s.Step
	if gap := now.Sub(s.Last); !s.Last.IsZero() && (gap > maxDowntime || gap < -maxClockStep) {
		c.step = gap
	}
	return nil
}

// tick compares the clocks and reports whether the time may be believed.
func (c *clockWatch) tick(now time.Time, mono time.Duration) bool {
	moved := now.Round(0).Sub(c.last.Round(0)) - (mono - c.mono) // Round: by the wall clock alone
	if moved > maxClockStep || moved < -maxClockStep {
		c.step += moved
	}
	c.last, c.mono = now, mono
	return c.step == 0
}

// save writes the state: write, fsync, rename. A lost one costs only the notice of a step across a restart.
func (c *clockWatch) save() error {
	if c.file == "" {
		return nil
	}
	b, err := json.Marshal(clockState{Last: c.last.Round(0).UTC(), Step: c.step})
	if err != nil {
		return fmt.Errorf("keep retention clock: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), filepath.Base(c.file)+".*")
	if err != nil {
		return fmt.Errorf("keep retention clock: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		return fmt.Errorf("keep retention clock: %w", err)
	}
	return nil
}
