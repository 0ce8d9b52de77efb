package recorder

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/prometheus/client_golang/prometheus"
)

// faultFS is the real file system with faults: a nil hook passes.
type faultFS struct {
	mu      sync.Mutex
	space   Space
	open    func() error
	create  func(name string) error
	write   func(f File, b []byte) (int, error)
	sync    func() error
	probe   func() error
	syncDir func() error
	synced  []string // folders
}

func newFaultFS() *faultFS { return &faultFS{space: Space{Free: 100 << 30}} }

// set changes the hooks.
func (x *faultFS) set(f func(*faultFS)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(x)
}

func hook[T any](x *faultFS, get func(*faultFS) T) T {
	x.mu.Lock()
	defer x.mu.Unlock()
	return get(x)
}

func (x *faultFS) Open(dir string) (Volume, error) {
	if f := hook(x, func(x *faultFS) func() error { return x.open }); f != nil {
		if err := f(); err != nil {
			return nil, err
		}
	}
	v, err := osFS{}.Open(dir)
	if err != nil {
		return nil, err
	}
	return faultVolume{v, x}, nil
}

type faultVolume struct {
	Volume
	x *faultFS
}

func (v faultVolume) Space() (Space, error) {
	return hook(v.x, func(x *faultFS) Space { return x.space }), nil
}

func (v faultVolume) Probe() error {
	if f := hook(v.x, func(x *faultFS) func() error { return x.probe }); f != nil {
		return f()
	}
	return nil
}

// SyncDir only notes the folder; the real one is in the kill test.
func (v faultVolume) SyncDir(name string) error {
	v.x.set(func(x *faultFS) { x.synced = append(x.synced, name) })
	if f := hook(v.x, func(x *faultFS) func() error { return x.syncDir }); f != nil {
		return f()
	}
	return nil
}

func (v faultVolume) Create(name string) (File, error) {
	if f := hook(v.x, func(x *faultFS) func(string) error { return x.create }); f != nil {
		if err := f(name); err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
	f, err := v.Volume.Create(name)
	if err != nil {
		return nil, err
	}
	return faultFile{f, v.x}, nil
}

type faultFile struct {
	File
	x *faultFS
}

func (f faultFile) Write(b []byte) (int, error) {
	if w := hook(f.x, func(x *faultFS) func(File, []byte) (int, error) { return x.write }); w != nil {
		return w(f.File, b)
	}
	return f.File.Write(b)
}

func (f faultFile) Sync() error {
	if s := hook(f.x, func(x *faultFS) func() error { return x.sync }); s != nil {
		return s()
	}
	return nil
}

// memLedger is a ledger in memory.
type memLedger struct {
	mu                      sync.Mutex
	started, finished, lost []Entry
	err                     error
	before                  []Entry // open from an earlier life
}

func (l *memLedger) note(to *[]Entry, e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, e)
	return l.err
}

func (l *memLedger) RecordingStarted(_ context.Context, e Entry) error { return l.note(&l.started, e) }
func (l *memLedger) RecordingFinished(_ context.Context, e Entry) error {
	return l.note(&l.finished, e)
}
func (l *memLedger) RecordingLost(_ context.Context, e Entry) error  { return l.note(&l.lost, e) }
func (l *memLedger) OpenRecordings(context.Context) ([]Entry, error) { return l.before, l.err }

// box is a recorder on a folder of its own.
type box struct {
	*Recorder
	t      testing.TB
	dir    string
	fs     *faultFS
	ledger *memLedger
	reg    *prometheus.Registry
}

func newBox(t testing.TB, prep func(*Config)) *box {
	t.Helper()
	b := &box{t: t, dir: filepath.Join(t.TempDir(), "recordings"), fs: newFaultFS(), ledger: &memLedger{}, reg: prometheus.NewRegistry()}
	id, err := Claim(b.dir)
	must(t, err)
	cfg := Config{Dir: b.dir, VolumeID: id, Keyring: testRing(t), FS: b.fs, Ledger: b.ledger, Registerer: b.reg, Logger: slog.New(slog.DiscardHandler)}
	if prep != nil {
		prep(&cfg)
	}
	b.Recorder, err = New(cfg)
	must(t, err)
	return b
}

func (b *box) stop() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	must(b.t, b.Stop(ctx))
}

func (b *box) start(call string) *Recording {
	b.t.Helper()
	r, err := b.Start(Info{Call: call, Line: "main"})
	must(b.t, err)
	return r
}

func (b *box) path(e Entry) string { return filepath.Join(b.dir, filepath.FromSlash(e.Path)) }

// reader opens what the ledger says was finished.
func (b *box) reader(e Entry) *Reader {
	b.t.Helper()
	r, err := Open(b.path(e), testKeys(b.t))
	must(b.t, err)
	b.t.Cleanup(func() { r.Close() })
	return r
}

// verify wants the file to be what the ledger says.
func (b *box) verify(e Entry, want Verdict) Report {
	b.t.Helper()
	rep, err := Verify(testCtx(b.t), b.path(e), testKeys(b.t), e.SHA256[:], nil)
	must(b.t, err)
	if rep.Verdict != want || !rep.HashMatches || rep.Size != e.Size || rep.Packets[0]+rep.Packets[1] != e.Packets {
		b.t.Errorf("%s: %s, hash matches %v, size %d, packets %v; ledger %+v; first %v", e.Path, rep.Verdict, rep.HashMatches, rep.Size, rep.Packets, e, rep.First)
	}
	return rep
}

func (b *box) finished(n int) []Entry {
	b.t.Helper()
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	if len(b.ledger.finished) != n {
		b.t.Fatalf("%d recordings finished, want %d; lost %+v", len(b.ledger.finished), n, b.ledger.lost)
	}
	return b.ledger.finished
}

// metric is a counter's or gauge's value, summed over its labels.
func (b *box) metric(name string) float64 {
	b.t.Helper()
	all, err := b.reg.Gather()
	must(b.t, err)
	for _, f := range all {
		if f.GetName() == "deskbridge_recorder_"+name {
			sum := 0.0
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	b.t.Fatalf("no metric %s", name)
	return 0
}

// talk feeds both sides for a time, one packet each per frame, and returns how many were handed over.
func talk(r *Recording, d, frame time.Duration) int {
	n := 0
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); n += 2 {
		speak(r, n)
		<-tick.C
	}
	return n
}

func speak(r *Recording, n int) {
	now := time.Now()
	p := testPacket(n)
	r.Received(&media.Packet{Payload: p.Payload, Arrival: now, Timestamp: p.Timestamp, Sequence: p.Sequence}, media.Opus)
	p = testPacket(n + 1)
	r.Sent(p.Payload, media.Opus, p.Timestamp, p.Sequence, false, now)
}
