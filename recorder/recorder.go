package recorder

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is how to make a recorder. Dir and one of Keyring and Recipients are required; zero values take the defaults.
type Config struct {
	Dir      string // the recording folder; Claim makes one
	VolumeID string // as Claim returned it; "" takes any claimed folder

	Keyring    *Keyring        // seals the recordings for this appliance; nil: it cannot play what it records
	Recipients []age.Recipient // others who may play them

	Logger     *slog.Logger          // default: discard
	Registerer prometheus.Registerer // default: none
	Clock      func() time.Time      // default time.Now; its readings should have the monotonic part
	FS         FS                    // default: the operating system's
	Ledger     Ledger                // default: none

	MaxRecordings int           // at once. 1,000
	RingBytes     int           // of one call: 64 KiB, 7 s of Opus at 20 kbit/s in both directions
	MinFree       int64         // recordings end below. 1 GiB
	Flush         time.Duration // from a call's ring to the file. 200 ms
	SyncAfter     time.Duration // from the file to the disk, at most, when the disk is idle. 500 ms
	Syncers       int           // fdatasync calls at once. 8
	Poll          time.Duration // how often the volume is looked at. 1 s
	Stuck         time.Duration // a disk call that takes longer means stuck. 10 s: the alarm is up within 15 s
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.FS == nil {
		c.FS = osFS{}
	}
	if c.Ledger == nil {
		c.Ledger = noLedger{}
	}
	set(&c.MaxRecordings, 1000)
	set(&c.RingBytes, 64<<10)
	set(&c.MinFree, 1<<30)
	set(&c.Flush, 200*time.Millisecond)
	set(&c.SyncAfter, 500*time.Millisecond)
	set(&c.Syncers, 8)
	set(&c.Poll, time.Second)
	set(&c.Stuck, 10*time.Second)
	return c
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c Config) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(format+": %w", append(args, ErrInvalid)...))
	}
	if c.Dir == "" {
		bad("recording folder is not named")
	}
	if c.Keyring == nil && len(c.Recipients) == 0 {
		bad("neither a keyring nor a recipient could open the recordings")
	}
	if len(c.Recipients) > maxWraps-1 {
		bad("%d recipients, at most %d", len(c.Recipients), maxWraps-1)
	}
	if c.RingBytes < 8<<10 || c.RingBytes > 16<<20 {
		bad("ring of %d bytes, want 8 KiB to 16 MiB", c.RingBytes)
	}
	return errors.Join(errs...)
}

// Recorder writes the recordings of many calls. Its goroutines, all ended by Stop: one writer (rings to files), one clerk
// (opens and finishes files, tells the ledger), some syncers (fdatasync), a prober and a watcher (the volume).
type Recorder struct {
	cfg   Config
	log   *slog.Logger
	m     *metrics
	began time.Time
	guard guard

	mu      sync.Mutex
	active  []*Recording
	stopped bool

	toOpen, toFinish, toSync chan *Recording // as large as active may be: sends never block

	writing, clerking, probing busy
	waits                      []*busy
	fresh                      []*Recording // whose files' entries are not yet synced; the clerk's
	folders                    []string     // where they are; the clerk's
	spare                      []byte       // the writer's empty buffer
	out                        []byte       // the writer's batch
	cancel                     context.CancelFunc
	wg                         sync.WaitGroup
	idle                       chan struct{} // a recording is gone; for Stop
}

// New makes a recorder and starts it. A missing or full volume is no error: Disk tells, and recordings begin when it is
// there. The first look at the volume is made before New returns.
func New(cfg Config) (*Recorder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	queue := func() chan *Recording { return make(chan *Recording, cfg.MaxRecordings) }
	rec := &Recorder{cfg: cfg, log: cfg.Logger, m: m, began: time.Now().Add(-time.Second), toOpen: queue(), toFinish: queue(), toSync: queue(),
		spare: make([]byte, 0, cfg.RingBytes), out: make([]byte, 0, batchSize+maxRecord+frameSize), idle: make(chan struct{}, 1)}
	rec.waits = []*busy{&rec.writing, &rec.clerking, &rec.probing}
	ctx, cancel := context.WithCancel(context.Background())
	rec.cancel = cancel
	for range cfg.Syncers {
		b := &busy{}
		rec.waits = append(rec.waits, b)
		rec.wg.Go(func() { rec.syncer(ctx, b) })
	}
	rec.firstLook(ctx)
	for _, run := range []func(context.Context){rec.writer, rec.clerk, rec.watcher} {
		rec.wg.Go(func() { run(ctx) })
	}
	return rec, nil
}

// firstLook starts the prober and waits for its first answer, but not for a disk that hangs: a start must not.
func (rec *Recorder) firstLook(ctx context.Context) {
	looked := make(chan struct{})
	rec.wg.Go(func() { rec.prober(ctx, looked) })
	limit := time.NewTimer(2 * time.Second)
	defer limit.Stop()
	select {
	case <-looked:
		rec.watch()
	case <-limit.C:
		rec.guard.state.Store(int32(Stuck))
		rec.log.Error("recording volume does not answer; nothing is recorded until it does; check the disk", "dir", rec.cfg.Dir)
	}
}

// now is monotonic and never 0.
func (rec *Recorder) now() int64 { return int64(time.Since(rec.began)) }

// Start begins a recording. It never waits for the disk: the file is made by the recorder's own goroutine, and what is
// handed over meanwhile waits in the ring. An error (ErrDiskFull, ErrNoVolume, ErrDiskFailed, ErrTooMany, ErrStopped,
// ErrInvalid) means that this call is not recorded.
func (rec *Recorder) Start(info Info) (*Recording, error) {
	for _, state := range []*atomic.Int32{&rec.guard.state, &rec.guard.measured} {
		if err := DiskState(state.Load()).refuses(); err != nil {
			return nil, fmt.Errorf("record call %q: %w", info.Call, err)
		}
	}
	r, err := rec.newRecording(info)
	if err != nil {
		return nil, fmt.Errorf("record call %q: %w", info.Call, err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.stopped {
		return nil, fmt.Errorf("record call %q: %w", info.Call, ErrStopped)
	}
	if len(rec.active) >= rec.cfg.MaxRecordings {
		return nil, fmt.Errorf("record call %q: %w: %d", info.Call, ErrTooMany, len(rec.active))
	}
	rec.active = append(rec.active, r)
	rec.m.running.Set(float64(len(rec.active)))
	rec.toOpen <- r
	return r, nil
}

func (rec *Recorder) newRecording(info Info) (*Recording, error) {
	if !validCall(info.Call) {
		return nil, fmt.Errorf("%w: a call ID has 1 to %d letters, digits, '.', '_' or '-', and begins with a letter or digit", ErrInvalid, maxCallID)
	}
	if b, err := json.Marshal(info); err != nil || len(b) > maxInfo {
		return nil, fmt.Errorf("%w: what is said about the call is over %d bytes", ErrInvalid, maxInfo)
	}
	r := &Recording{info: info, clock: rec.cfg.Clock, start: rec.cfg.Clock(), key: make([]byte, fileKeySize),
		buf: make([]byte, 0, rec.cfg.RingBytes), done: make(chan struct{})}
	r.wall = r.start.UTC()
	if _, err := rand.Read(r.key); err != nil {
		return nil, fmt.Errorf("read random: %w", err)
	}
	if _, err := rand.Read(r.id[:]); err != nil {
		return nil, fmt.Errorf("read random: %w", err)
	}
	wraps, err := wrapAll(r.key, r.id, rec.cfg.Keyring, rec.cfg.Recipients)
	if err != nil {
		return nil, err
	}
	h := header{id: r.id, call: info.Call, start: r.wall, wraps: wraps}
	r.head, err = h.encode()
	return r, err
}

func validCall(id string) bool {
	if id == "" || len(id) > maxCallID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// Stop ends all recordings, finishes their files and ends the goroutines. It is idempotent and returns ctx's error if the
// disk takes longer; goroutines that hang in the disk then end when it answers, and the files are read as interrupted ones.
func (rec *Recorder) Stop(ctx context.Context) error {
	rec.mu.Lock()
	first := !rec.stopped
	rec.stopped = true
	rec.mu.Unlock()
	for _, r := range rec.list(nil) {
		r.end(Shutdown, rec.cfg.Clock())
	}
	err := rec.drained(ctx)
	rec.cancel()
	if first {
		rec.m.unregister(rec.cfg.Registerer)
	}
	if err != nil {
		return fmt.Errorf("stop recorder: %w", err)
	}
	rec.wg.Wait()
	return nil
}

func (rec *Recorder) drained(ctx context.Context) error {
	tick := time.NewTicker(rec.cfg.Flush)
	defer tick.Stop()
	for len(rec.list(nil)) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rec.idle:
		case <-tick.C:
		}
	}
	return nil
}

// list copies the active recordings into buf.
func (rec *Recorder) list(buf []*Recording) []*Recording {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append(buf[:0], rec.active...)
}

func (rec *Recorder) remove(r *Recording) {
	rec.mu.Lock()
	rec.active = slices.DeleteFunc(rec.active, func(x *Recording) bool { return x == r })
	rec.m.running.Set(float64(len(rec.active)))
	rec.mu.Unlock()
	close(r.done)
	select {
	case rec.idle <- struct{}{}:
	default:
	}
}

// each runs f now and then until ctx ends. A bug in one round is logged and counted.
func (rec *Recorder) each(ctx context.Context, every time.Duration, f func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = rec.fence("", func() error { f(); return nil })
		}
	}
}

// fence turns a panic into an error.
func (rec *Recorder) fence(call string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			rec.m.panics.Inc()
			rec.log.Error("bug in the recorder; please report it with this stack", "call", call, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: panic: %v", errBug, p)
		}
	}()
	return f()
}

var errBug = errors.New("bug in the recorder")

func hexID(id [idSize]byte) string { return hex.EncodeToString(id[:]) }
