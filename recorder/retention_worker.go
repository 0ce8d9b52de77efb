package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Catalog is the ledger as retention and archive use it.
type Catalog interface {
	// Items are the recordings whose file is there and that began at or after since, oldest first; next is empty on the last
	// page, and a page may be empty before it.
	Items(ctx context.Context, since time.Time, cursor string) (page []Item, next string, err error)
	// ItemsOf are all recordings of a call, also those deleted.
	ItemsOf(ctx context.Context, call string) ([]Item, error)
	// Bytes is the size of all recordings whose file is there.
	Bytes(ctx context.Context) (int64, error)
	// Delete keeps that a recording is deleted, before its file goes. ErrHeld under a legal hold.
	Delete(ctx context.Context, id, why string, at time.Time) error
	// Copied keeps that a verified copy is at to.
	Copied(ctx context.Context, id, to string, at time.Time) error
	// Lost keeps that the file is gone though nobody deleted it.
	Lost(ctx context.Context, id, why string, at time.Time) error
}

// ErrHeld: a legal hold forbids the deletion.
var ErrHeld = errors.New("under a legal hold")

// RetentionConfig is how to make a Retention. Dir and Catalog are required; zero values take the defaults.
type RetentionConfig struct {
	Dir       string // the recording folder
	VolumeID  string // as Claim returned it
	Catalog   Catalog
	ClockFile string // remembers the wall clock across restarts; empty: nothing does

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time     // wall clock; default time.Now
	Monotonic  func() time.Duration // default: since now
	Every      time.Duration        // between two looks. 10 minutes
	Sweep      time.Duration        // between two walks through all files. 24 hours
}

// Retention deletes recordings that are past their time or over the quota. It has one goroutine, begun by Start and ended
// by Stop. Nothing is deleted while the disk is not the expected one, nor after the wall clock moved by more than an hour
// until Confirm.
type Retention struct {
	cfg RetentionConfig
	log *slog.Logger
	m   *retentionMetrics

	work sync.Mutex // one at a time deletes

	mu     sync.Mutex
	rules  Rules
	remote func(ctx context.Context, object string) error // deletes a copy; nil: there is no storage
	clock  clockWatch
	said   bool // that it is not to be trusted

	wake   chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewRetention makes a worker that keeps everything until SetRules.
func NewRetention(cfg RetentionConfig) (*Retention, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Monotonic == nil {
		began := time.Now()
		cfg.Monotonic = func() time.Duration { return time.Since(began) }
	}
	set(&cfg.Every, 10*time.Minute)
	set(&cfg.Sweep, day)
	m, err := newRetentionMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	r := &Retention{cfg: cfg, log: cfg.Logger, m: m, clock: clockWatch{file: cfg.ClockFile}, wake: make(chan struct{}, 1)}
	if err := r.clock.load(cfg.Clock(), cfg.Monotonic()); err != nil {
		r.log.Warn("what the clock was before the restart is not known", "err", err)
	}
	return r, nil
}

// SetRules puts rules in force and looks soon. remote deletes a copy; nil: there is none.
func (r *Retention) SetRules(rules Rules, remote func(ctx context.Context, object string) error) {
	r.mu.Lock()
	r.rules, r.remote = rules, remote
	r.mu.Unlock()
	r.Look()
}

// Look makes the worker look now.
func (r *Retention) Look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Start begins the work.
func (r *Retention) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.wg.Go(func() { r.run(ctx) })
}

// Stop ends the work and waits for it. More than once is harmless.
func (r *Retention) Stop(context.Context) error {
	if r.cancel != nil {
		r.cancel()
	}
	r.wg.Wait()
	r.m.unregister(r.cfg.Registerer)
	return nil
}

func (r *Retention) run(ctx context.Context) {
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	var swept time.Duration
	first := true
	for {
		r.fence("retention", func() error { return r.Tick(ctx) })
		if now := r.cfg.Monotonic(); first || now-swept >= r.cfg.Sweep {
			r.fence("sweep", func() error { return r.SweepFiles(ctx) })
			first, swept = false, now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.wake:
		}
	}
}

// fence logs what went wrong; a bug ends one round only.
func (r *Retention) fence(what string, f func() error) {
	defer func() {
		if p := recover(); p != nil {
			r.m.errors.Inc()
			r.log.Error("bug in retention; please report it with this stack", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if err := f(); err != nil && !errors.Is(err, context.Canceled) {
		r.m.errors.Inc()
		r.log.Error("recordings could not be looked through; nothing was lost, it is tried again", "work", what, "err", err)
	}
}

// Suspended is by how much the wall clock moved, while that keeps recordings from being deleted; 0 otherwise.
func (r *Retention) Suspended() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock.step
}

// Confirm says that the wall clock is right now.
func (r *Retention) Confirm() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock.step, r.clock.last, r.clock.mono = 0, r.cfg.Clock(), r.cfg.Monotonic()
	r.m.suspended.Set(0)
	r.Look()
	return r.clock.save()
}

// Tick is one look: it deletes what the rules say.
func (r *Retention) Tick(ctx context.Context) error {
	r.work.Lock()
	defer r.work.Unlock()
	now := r.cfg.Clock()
	if !r.trusted(now) {
		return nil
	}
	rules, _ := r.inForce()
	total, err := r.cfg.Catalog.Bytes(ctx)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	r.m.bytes.Set(float64(total))
	r.m.quota.Set(float64(rules.Quota))
	var excess int64
	if rules.Quota > 0 {
		excess = max(total-rules.Quota, 0)
	}
	soonest := rules.soonest()
	if excess == 0 && soonest == 0 {
		r.m.over.Set(0)
		return nil
	}
	left, err := r.walk(ctx, excess, soonest, now)
	r.m.over.Set(float64(max(left, 0)))
	return err
}

// trusted compares the clocks, and says once that they disagree.
func (r *Retention) trusted(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	said, before := r.said, r.clock.step
	sane := r.clock.tick(now, r.cfg.Monotonic())
	if err := r.clock.save(); err != nil {
		r.log.Warn("the time of this look cannot be kept", "err", err)
	}
	r.said = !sane
	if !sane {
		r.m.suspended.Set(1)
		if !said || r.clock.step != before {
			r.log.Error("the clock moved, so no recording is deleted; check the time, then: deskbridge recording confirm-clock", "moved", r.clock.step)
		}
	}
	return sane
}

// walk goes through the recordings, oldest first, for as long as one may have to go.
func (r *Retention) walk(ctx context.Context, excess int64, soonest time.Duration, now time.Time) (left int64, err error) {
	v, err := r.volume()
	if err != nil {
		return excess, err
	}
	defer v.Close()
	rules, _ := r.inForce()
	for cursor := ""; ; {
		page, next, err := r.cfg.Catalog.Items(ctx, time.Time{}, cursor)
		if err != nil {
			return excess, fmt.Errorf("retention: %w", err)
		}
		removals, after := PlanRemovals(page, rules, excess, now)
		for _, gone := range removals {
			if err := r.remove(ctx, v, gone, now); err != nil {
				return excess, err
			}
		}
		excess = after
		young := len(page) > 0 && (soonest == 0 || now.Sub(page[len(page)-1].Started) < soonest)
		if next == "" || excess <= 0 && young {
			return excess, nil
		}
		cursor = next
	}
}

func (r *Retention) inForce() (Rules, func(context.Context, string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rules, r.remote
}

// volume opens the recording folder if it is the expected one. All deleting goes through it: a volume that is unmounted
// meanwhile is not replaced by the folder below.
func (r *Retention) volume() (*os.Root, error) {
	v, err := os.OpenRoot(r.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("retention: %w: %w", ErrNoVolume, err)
	}
	if err := checkMarker(osVolume{v}, r.cfg.VolumeID); err != nil {
		return nil, errors.Join(fmt.Errorf("retention: %w", err), v.Close())
	}
	return v, nil
}

// remove deletes one recording: the fact, its copy if that goes too, the file. A crash in between leaves a file that the
// next sweep finds.
func (r *Retention) remove(ctx context.Context, v *os.Root, gone Removal, at time.Time) error {
	err := r.cfg.Catalog.Delete(ctx, gone.Item.ID, gone.Why, at)
	if errors.Is(err, ErrHeld) { // put on hold since the list was read
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete recording %s: %w", gone.Item.Path, err)
	}
	if gone.Item.CopiedTo != "" && gone.Why != WhyArchived {
		if err := r.dropCopy(ctx, gone.Item); err != nil {
			r.m.errors.Inc()
			r.log.Error("the copy of a deleted recording could not be deleted; delete the object by hand", "object", gone.Item.CopiedTo, "err", err)
			if gone.Why == WhyErased {
				return errors.Join(err, unlink(v, gone.Item.Path))
			}
		}
	}
	if err := unlink(v, gone.Item.Path); err != nil {
		return err
	}
	r.m.removed.WithLabelValues(gone.Why).Inc()
	r.log.Info("recording deleted", "call", gone.Item.Call, "file", gone.Item.Path, "why", gone.Why)
	return nil
}

func (r *Retention) dropCopy(ctx context.Context, it Item) error {
	_, remote := r.inForce()
	if remote == nil {
		return fmt.Errorf("delete the copy of recording %s: %w: no archive is set up", it.ID, ErrInvalid)
	}
	return remote(ctx, it.CopiedTo)
}

// unlink deletes a file, and the folders of its day that are empty then. A file that is gone already is fine.
func unlink(v *os.Root, name string) error {
	if err := v.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete recording file %s: %w", name, err)
	}
	dir := path.Dir(name)
	if err := (osVolume{v}).SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete recording file %s: %w", name, err)
	}
	for ; dir != "." && dir != "/"; dir = path.Dir(dir) {
		if v.Remove(dir) != nil {
			return nil // not empty
		}
	}
	return nil
}

// Erase deletes these recordings, of one customer, with their copies, whatever the rules and the clock say. Those under a
// legal hold or still being written stay and are counted in kept. progress, if not nil, is told how many are done.
func (r *Retention) Erase(ctx context.Context, list []Item, progress func(done int)) (erased, kept int, err error) {
	r.work.Lock()
	defer r.work.Unlock()
	v, err := r.volume()
	if err != nil {
		return 0, 0, err
	}
	defer v.Close()
	var errs []error
	for i, it := range list {
		switch {
		case it.Held || !it.Finished && !it.Deleted:
			kept++
		default:
			if err := r.remove(ctx, v, Removal{it, WhyErased}, r.cfg.Clock()); err != nil {
				errs = append(errs, err)
			} else {
				erased++
			}
		}
		if progress != nil {
			progress(i + 1)
		}
		if ctx.Err() != nil {
			return erased, kept, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return erased, kept, errors.Join(errs...)
}

// sweepPause lets others at the disk between two folders.
const sweepPause = 5 * time.Millisecond

// SweepFiles looks at every file of the recording folder and deletes those that the ledger says are deleted: what a crash
// between fact and file left, and what a restored backup of the folder brought back. Files the ledger does not know stay
// and are counted.
func (r *Retention) SweepFiles(ctx context.Context) error {
	v, err := r.volume()
	if err != nil {
		return err
	}
	defer v.Close()
	unknown := 0
	folder := ""
	err = fs.WalkDir(v.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(name, fileSuffix) {
			return ctx.Err()
		}
		if dir := path.Dir(name); dir != folder {
			folder = dir
			if err := pause(ctx, sweepPause); err != nil {
				return err
			}
		}
		known, err := r.sweepOne(ctx, v, name)
		if err == nil && !known {
			unknown++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep recordings: %w", err)
	}
	r.m.unknown.Set(float64(unknown))
	if unknown > 0 {
		r.log.Warn("files in the recording folder are in no record; deskbridge leaves them alone", "files", unknown)
	}
	return nil
}

const fileSuffix = ".dbr"

// sweepOne looks at one file.
func (r *Retention) sweepOne(ctx context.Context, v *os.Root, name string) (known bool, err error) {
	items, err := r.cfg.Catalog.ItemsOf(ctx, callOfFile(name))
	if err != nil {
		return false, err
	}
	if n := strings.LastIndexByte(callOfFile(name), '-'); len(items) == 0 && n > 0 { // the call's second recording of the day
		if items, err = r.cfg.Catalog.ItemsOf(ctx, callOfFile(name)[:n]); err != nil {
			return false, err
		}
	}
	for _, it := range items {
		if it.Path != name {
			continue
		}
		if !it.Deleted {
			return true, nil
		}
		err := unlink(v, name)
		if err == nil {
			r.m.removed.WithLabelValues("leftover").Inc()
			r.log.Warn("a deleted recording's file was still there; it is deleted now", "call", it.Call, "file", name)
		}
		return true, err
	}
	return false, nil
}

func callOfFile(name string) string { return strings.TrimSuffix(path.Base(name), fileSuffix) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
