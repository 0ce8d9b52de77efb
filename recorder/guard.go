package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DiskState is how well the recording volume is doing.
type DiskState int32

// The states of the recording volume. All but Fine refuse new recordings; Full, Missing and Failing end those that run.
const (
	Fine    DiskState = iota
	Full              // less than Config.MinFree is left
	Missing           // no marker file, or another volume's
	Failing           // read-only, or it refuses a write
	Stuck             // it does not answer; recordings lose frames, marked, and go on when it does
)

// String is the state's name for logs and the API.
func (s DiskState) String() string {
	switch s {
	case Fine:
		return "fine"
	case Full:
		return "full"
	case Missing:
		return "missing"
	case Failing:
		return "failing"
	case Stuck:
		return "stuck"
	}
	return fmt.Sprintf("DiskState(%d)", int32(s))
}

// refuses is why no recording can start in this state.
func (s DiskState) refuses() error {
	switch s {
	case Full:
		return fmt.Errorf("%w: free space on it", ErrDiskFull)
	case Missing:
		return fmt.Errorf("%w: mount it, or claim the folder in the settings", ErrNoVolume)
	case Failing, Stuck:
		return fmt.Errorf("%w: it is %s: check the disk", ErrDiskFailed, s)
	}
	return nil
}

// ends is why running recordings end in this state.
func (s DiskState) ends() (EndReason, bool) {
	switch s {
	case Full:
		return DiskFull, true
	case Missing:
		return DiskGone, true
	case Failing:
		return DiskFailed, true
	}
	return 0, false
}

// Disk is what the guard knows.
type Disk struct {
	State  DiskState
	Free   int64         // bytes
	FullIn time.Duration // until Config.MinFree at the present rate; 0 while unknown or not filling
}

// busy notes since when somebody waits for the disk.
type busy struct{ began atomic.Int64 }

func (b *busy) begin(now int64) { b.began.Store(now) }
func (b *busy) end()            { b.began.Store(0) }

func (b *busy) late(now int64, limit time.Duration) bool {
	at := b.began.Load()
	return at != 0 && time.Duration(now-at) > limit
}

// guard looks after the volume. The prober asks the disk and may hang with it; the watcher never touches it.
type guard struct {
	measured atomic.Int32 // DiskState without Stuck
	state    atomic.Int32
	looked   atomic.Bool // at least once
	probes   int
	mu       sync.Mutex
	free     int64
	rate     float64 // bytes per second that go; smoothed
	lastFree int64
	lastAt   time.Time
}

// Disk is the state of the recording volume. It never waits.
func (rec *Recorder) Disk() Disk {
	g := &rec.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	d := Disk{State: DiskState(g.state.Load()), Free: g.free}
	if s := g.fullIn(rec.cfg.MinFree); !math.IsInf(s, 1) {
		d.FullIn = time.Duration(min(s, 1e9) * float64(time.Second))
	}
	return d
}

const (
	rateWindow = 10 * time.Minute // over which the rate of filling is smoothed
	probeEach  = 5                // polls per probe write
)

func (g *guard) fullIn(minFree int64) float64 {
	if g.rate < 1 {
		return math.Inf(1)
	}
	return max(float64(g.free-minFree), 0) / g.rate
}

func (g *guard) note(free int64, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.lastAt.IsZero() {
		if dt := now.Sub(g.lastAt); dt > 0 {
			part := 1 - math.Exp(-float64(dt)/float64(rateWindow))
			g.rate += part * (float64(g.lastFree-free)/dt.Seconds() - g.rate)
		}
	}
	g.free, g.lastFree, g.lastAt = free, free, now
}

func (rec *Recorder) prober(ctx context.Context, looked chan<- struct{}) {
	_ = rec.fence("", func() error { rec.measure(); return nil })
	close(looked)
	rec.each(ctx, rec.cfg.Poll, rec.measure)
}

func (rec *Recorder) watcher(ctx context.Context) {
	rec.each(ctx, rec.cfg.Poll, rec.watch)
}

// measure asks the disk and keeps the answer.
func (rec *Recorder) measure() {
	rec.probing.begin(rec.now())
	state, err := rec.look()
	rec.probing.end()
	rec.guard.looked.Store(true)
	if was := DiskState(rec.guard.measured.Swap(int32(state))); was != state && err != nil {
		rec.log.Error("recording volume refuses recordings; calls go on", "state", state.String(), "dir", rec.cfg.Dir, "err", err)
	}
}

// look is one look at the disk, made each second; a small write is tried each fifth time.
func (rec *Recorder) look() (DiskState, error) {
	v, err := rec.cfg.FS.Open(rec.cfg.Dir)
	if err != nil {
		return stateOf(err), err
	}
	defer v.Close()
	if err := checkMarker(v, rec.cfg.VolumeID); err != nil {
		return stateOf(err), err
	}
	sp, err := v.Space()
	if err != nil {
		return stateOf(err), err
	}
	rec.guard.note(sp.Free, time.Now())
	limit := rec.cfg.MinFree
	was := DiskState(rec.guard.measured.Load())
	if was == Full {
		limit += limit / 16 // so that the state does not flap at the watermark
	}
	if sp.ReadOnly {
		return Failing, fmt.Errorf("%w: mounted read-only", ErrDiskFailed)
	}
	if sp.Free < limit {
		return Full, fmt.Errorf("%w: %d MiB free, the watermark is %d MiB", ErrDiskFull, sp.Free>>20, rec.cfg.MinFree>>20)
	}
	rec.guard.probes++
	if was == Failing || rec.guard.probes%probeEach == 1 {
		if err := v.Probe(); err != nil {
			return stateOf(err), fmt.Errorf("probe write: %w", err)
		}
	}
	return Fine, nil
}

// stateOf sorts an error of the disk.
func stateOf(err error) DiskState {
	switch {
	case errors.Is(err, ErrNoVolume), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return Missing
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Full
	}
	return Failing
}

// watch joins what was measured with who waits too long.
func (rec *Recorder) watch() {
	state := DiskState(rec.guard.measured.Load())
	now := rec.now()
	for _, b := range rec.waits {
		if b.late(now, rec.cfg.Stuck) {
			state = Stuck
		}
	}
	if !rec.guard.looked.Load() {
		state = Stuck // the first look still hangs
	}
	rec.guard.mu.Lock()
	free, fullIn := rec.guard.free, rec.guard.fullIn(rec.cfg.MinFree)
	rec.guard.mu.Unlock()
	rec.m.state.Set(float64(state))
	rec.m.free.Set(float64(free))
	rec.m.fullIn.Set(fullIn)
	switch was := DiskState(rec.guard.state.Swap(int32(state))); {
	case was == state:
	case state == Stuck:
		rec.log.Error("recording volume does not answer; recordings lose frames, calls go on; check the disk", "dir", rec.cfg.Dir)
	case state == Fine:
		rec.log.Info("recording volume is fine again", "was", was.String(), "dir", rec.cfg.Dir)
	}
}
