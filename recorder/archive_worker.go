package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CopierConfig is how to make a Copier. Dir and Catalog are required; zero values take the defaults.
type CopierConfig struct {
	Dir      string
	VolumeID string
	Catalog  Catalog

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
	Every      time.Duration // between two looks when nobody says that there is something. 5 minutes
	Backoff    time.Duration // after the first failure; doubles up to an hour. 30 s
}

const maxBackoff = time.Hour

// Copier copies finished recordings to an Archive, one after the other, oldest first, until each has a verified copy. It has
// one goroutine, begun by Start and ended by Stop. What the storage does not take is tried again, less and less often.
type Copier struct {
	cfg CopierConfig
	log *slog.Logger
	m   *copierMetrics

	mu      sync.Mutex
	archive *Archive
	from    time.Time // all that began before are copied, or cannot be

	wake   chan struct{}
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewCopier makes a copier that copies nothing until SetArchive.
func NewCopier(cfg CopierConfig) (*Copier, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	set(&cfg.Every, 5*time.Minute)
	set(&cfg.Backoff, 30*time.Second)
	m, err := newCopierMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Copier{cfg: cfg, log: cfg.Logger, m: m, wake: make(chan struct{}, 1)}, nil
}

// SetArchive says where the copies go; nil: nowhere.
func (c *Copier) SetArchive(a *Archive) {
	c.mu.Lock()
	c.archive, c.from = a, time.Time{}
	c.mu.Unlock()
	c.Look()
}

// Look makes the copier look now: a recording is finished.
func (c *Copier) Look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Start begins the work.
func (c *Copier) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() { c.run(ctx) })
}

// Stop ends the work; a copy under way is broken off and made anew at the next start. More than once is harmless.
func (c *Copier) Stop(context.Context) error {
	if c.cancel != nil {
		c.cancel()
	}
	c.wg.Wait()
	c.m.unregister(c.cfg.Registerer)
	return nil
}

func (c *Copier) run(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	fails := 0
	for {
		wake := c.wake
		if fails > 0 {
			wake = nil // a new recording does not make the storage well
		}
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		case <-wake:
		}
		err := c.fenced(ctx)
		next := c.cfg.Every
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			fails = 0
		default:
			fails++
			next = backoff(c.cfg.Backoff, fails)
			c.m.failures.Inc()
			c.log.Error("recordings could not be copied; they stay here and it is tried again", "again_in", next.Round(time.Second), "err", err)
		}
		wait.Reset(next)
	}
}

// backoff doubles from base to an hour, with jitter so that many boxes don't come back at once.
func backoff(base time.Duration, fails int) time.Duration {
	d := min(base<<min(fails-1, 10), maxBackoff)
	return d/2 + rand.N(d/2+1)
}

func (c *Copier) fenced(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("bug in the archive; please report it with this stack", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: panic: %v", errBug, p)
		}
	}()
	return c.Round(ctx)
}

// Round copies what has no copy yet. The first failure of the storage ends it; a recording that cannot be copied for its own
// sake does not hold up the others.
func (c *Copier) Round(ctx context.Context) error {
	c.mu.Lock()
	archive, from := c.archive, c.from
	c.mu.Unlock()
	if archive == nil {
		c.m.waiting.Set(0)
		return nil
	}
	v, err := os.OpenRoot(c.cfg.Dir)
	if err != nil {
		return fmt.Errorf("copy recordings: %w: %w", ErrNoVolume, err)
	}
	defer v.Close()
	if err := checkMarker(osVolume{v}, c.cfg.VolumeID); err != nil {
		return fmt.Errorf("copy recordings: %w", err)
	}
	waiting, done := 0, time.Time{}
	var bad []error
	for cursor := ""; ; {
		page, next, err := c.cfg.Catalog.Items(ctx, from, cursor)
		if err != nil {
			return fmt.Errorf("copy recordings: %w", err)
		}
		for _, it := range page {
			if it.CopiedTo == "" && it.Finished {
				err := c.one(ctx, archive, v, it)
				switch {
				case err == nil:
				case errors.Is(err, errThisOne):
					bad = append(bad, err)
				default:
					c.m.waiting.Set(float64(waiting + 1))
					c.advance(archive, done)
					return err
				}
			}
			if waiting == 0 && (it.CopiedTo != "" || it.Finished) && len(bad) == 0 {
				done = it.Started
			} else if !it.Finished {
				waiting++
			}
		}
		if next == "" {
			break
		}
		cursor = next
	}
	c.m.waiting.Set(float64(waiting + len(bad)))
	c.advance(archive, done)
	return errors.Join(bad...)
}

// advance remembers that nothing before done waits, unless the archive was changed meanwhile.
func (c *Copier) advance(a *Archive, done time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.archive == a && done.After(c.from) {
		c.from = done
	}
}

// errThisOne: the recording is at fault, not the storage.
var errThisOne = errors.New("this recording cannot be copied")

func (c *Copier) one(ctx context.Context, a *Archive, v *os.Root, it Item) error {
	f, err := v.Open(it.Path)
	if errors.Is(err, fs.ErrNotExist) {
		c.log.Error("a recording's file is gone though nobody deleted it; look for it in your backups", "call", it.Call, "file", it.Path)
		return c.cfg.Catalog.Lost(ctx, it.ID, "the file is gone", c.cfg.Clock())
	}
	if err != nil {
		return fmt.Errorf("copy recording %s: %w", it.Path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != it.Bytes {
		return fmt.Errorf("%w: %s has not the size the ledger says: deskbridge recording verify", errThisOne, it.Path)
	}
	where, err := a.Copy(ctx, it, f)
	if errors.Is(err, ErrInvalid) {
		return fmt.Errorf("%w: %w", errThisOne, err)
	}
	if err != nil {
		return err
	}
	if err := c.cfg.Catalog.Copied(ctx, it.ID, where, c.cfg.Clock()); err != nil {
		return fmt.Errorf("keep that recording %s is copied: %w", it.Path, err)
	}
	c.m.copied.Inc()
	c.m.bytes.Add(float64(it.Bytes))
	return nil
}

type copierMetrics struct {
	copied, bytes, failures prometheus.Counter
	waiting                 prometheus.Gauge
}

func newCopierMetrics(r prometheus.Registerer) (*copierMetrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_archive_" + name, Help: help})
	}
	m := &copierMetrics{
		copied:   counter("copied_total", "Recordings copied and verified."),
		bytes:    counter("copied_bytes_total", "Bytes of them."),
		failures: counter("failures_total", "Rounds that the storage, or a recording, ended."),
		waiting:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_archive_waiting", Help: "Recordings found without a copy in the last round; after a failure the first of them only."}),
	}
	return m, registerAll(r, "archive", m.all())
}

func (m *copierMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.copied, m.bytes, m.failures, m.waiting}
}

func (m *copierMetrics) unregister(r prometheus.Registerer) { unregisterAll(r, m.all()) }
