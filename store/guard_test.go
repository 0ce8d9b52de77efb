package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/bridge"

	"github.com/prometheus/client_golang/prometheus"
)

// fakeDisk is a file system whose free space the test sets.
type fakeDisk struct {
	free     atomic.Int64
	readOnly atomic.Bool
}

func (d *fakeDisk) statfs(string) (Space, error) {
	return Space{Free: d.free.Load(), ReadOnly: d.readOnly.Load()}, nil
}

type guarded struct {
	*Store
	disk   *fakeDisk
	levels chan Level
}

func openGuarded(t *testing.T, free int64, prep func(*Config)) guarded {
	t.Helper()
	g := guarded{disk: &fakeDisk{}, levels: make(chan Level, 64)}
	g.disk.free.Store(free)
	cfg := testConfig(t.TempDir())
	cfg.Statfs, cfg.OnLevel = g.disk.statfs, func(l Level) { g.levels <- l }
	cfg.Limits.Poll, cfg.Registerer = 5*time.Millisecond, prometheus.NewRegistry()
	if prep != nil {
		prep(&cfg)
	}
	g.Store = open(t, cfg)
	return g
}

func (g guarded) wait(t *testing.T, want Level) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for g.Level() != want {
		select {
		case <-g.levels:
		case <-deadline:
			t.Fatalf("level %s, want %s", g.Level(), want)
		}
	}
}

func note(s *Store, id string) error {
	return s.Record(context.Background(), bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR(id, bridge.Customer{})})
}

func TestEachLevelRefusesWhatItShould(t *testing.T) {
	g := openGuarded(t, 10<<30, nil)
	ctx := testCtx(t)
	n := 0
	can := func() (optional, normal, inbox, call error) {
		n++
		_, optional = g.Append(ctx, Fact{Kind: "x", At: noon, Optional: true})
		_, normal = g.Append(ctx, Fact{Kind: "x", At: noon})
		_, inbox = g.Put(ctx, fmt.Sprint("k", n), []byte("x"))
		return optional, normal, inbox, note(g.Store, fmt.Sprint("c", n))
	}
	for _, c := range []struct {
		free                    int64
		ro                      bool
		level                   Level
		optional, normal, inbox bool
	}{
		{10 << 30, false, Fine, true, true, true},
		{1<<30 - 1, false, Low, false, true, true},
		{256<<20 - 1, false, Tight, false, false, true},
		{64<<20 - 1, false, Full, false, false, false},
		{10 << 30, true, ReadOnly, false, false, false},
		{10 << 30, false, Fine, true, true, true},
	} {
		g.disk.readOnly.Store(c.ro)
		g.disk.free.Store(c.free)
		g.wait(t, c.level)
		optional, normal, inbox, call := can()
		for what, r := range map[string]struct {
			err error
			ok  bool
		}{"optional": {optional, c.optional}, "normal": {normal, c.normal}, "inbox": {inbox, c.inbox}, "call": {call, true}} {
			if (r.err == nil) != r.ok || r.err != nil && !errors.Is(r.err, ErrDiskFull) {
				t.Errorf("%s at %s: %v", what, c.level, r.err)
			}
		}
	}
	for i := range n { // those recorded while full came to the disk in order
		if _, err := g.Call(ctx, fmt.Sprint("c", i+1)); err != nil {
			t.Error(err)
		}
	}
	facts, err := g.Facts(ctx, FactQuery{Subject: "call:c4"})
	must(t, err)
	later, err := g.Facts(ctx, FactQuery{Subject: "call:c5"})
	must(t, err)
	if len(facts) != 1 || len(later) != 1 || facts[0].Seq >= later[0].Seq {
		t.Errorf("order: %v %v", facts, later)
	}
}

func TestMemoryJournalIsBoundedAndDrains(t *testing.T) {
	g := openGuarded(t, 0, func(c *Config) { c.Limits.Journal = 10; c.Limits.Full = 64 << 20 })
	ctx := testCtx(t)
	if g.Level() != Full {
		t.Fatalf("level %s", g.Level())
	}
	if _, _, err := g.Settings(ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("settings without database: %v", err)
	}
	var cust bridge.Customer
	for range 2 { // the same new person twice is one customer
		c, err := g.Resolve(ctx, Identity{Phone: "4915112345678", Name: "Erika"})
		if err != nil || c.ID == "" || cust.ID != "" && c.ID != cust.ID {
			t.Fatalf("resolve on a full disk: %+v %v, before %+v", c, err, cust)
		}
		cust = c
	}
	for i := range 8 {
		c := testCDR(fmt.Sprint("c", i), cust)
		must(t, g.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: c}))
	}
	if err := note(g.Store, "one too many"); !errors.Is(err, ErrJournalFull) {
		t.Errorf("11th: %v", err)
	}
	g.disk.free.Store(10 << 30)
	g.wait(t, Fine)
	_, err := g.Append(ctx, Fact{Kind: "x", At: noon}) // the writer takes what waited first
	must(t, err)
	for i := range 8 {
		c, err := g.Call(ctx, fmt.Sprint("c", i))
		if err != nil || c.Customer.ID != cust.ID || c.Customer.Phone != "4915112345678" {
			t.Errorf("after the disk came back: %+v %v", c, err)
		}
	}
	got, err := g.ByPhone(ctx, "4915112345678")
	if err != nil || got.ID != cust.ID || got.Alias == "" {
		t.Errorf("customer %+v %v", got, err)
	}
}

func TestStuckDiskIsNoticedAndCallsGoOn(t *testing.T) {
	g := openGuarded(t, 10<<30, func(c *Config) { c.Limits.Stuck = 50 * time.Millisecond })
	ctx := testCtx(t)
	release, hung := make(chan struct{}), make(chan struct{}, 16)
	_, err := g.submit(ctx, classNormal, func(*tx) error { // from the writer's own goroutine: no race with a commit
		g.testCommit = func() { hung <- struct{}{}; <-release }
		return nil
	})
	must(t, err)
	put := make(chan error, 1)
	go func() { _, err := g.Put(ctx, "k", []byte("x")); put <- err }()
	<-hung
	if err := note(g.Store, "during"); err != nil { // returns once stuck is declared
		t.Errorf("record while stuck: %v", err)
	}
	g.wait(t, Stuck)
	if err := <-put; !errors.Is(err, ErrStuck) {
		t.Errorf("put while stuck: %v", err)
	}
	if _, err := g.Put(ctx, "k2", []byte("x")); !errors.Is(err, ErrStuck) {
		t.Errorf("second put while stuck: %v", err)
	}
	close(release)
	g.wait(t, Fine)
	must(t, note(g.Store, "after"))
	if _, err := g.Call(ctx, "during"); err != nil {
		t.Error(err)
	}
	if dup, err := g.Put(ctx, "k", []byte("x")); err != nil || !dup {
		t.Errorf("the put of unknown outcome, repeated: %v %v", dup, err)
	}
}

func TestCloseOnAFullDiskEndsAndSaysWhatIsLost(t *testing.T) {
	g := openGuarded(t, 0, nil)
	must(t, note(g.Store, "c1"))
	must(t, g.Close())
	if err := note(g.Store, "c2"); !errors.Is(err, ErrClosed) {
		t.Errorf("record after close: %v", err)
	}
	if _, err := g.Call(testCtx(t), "c1"); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestStartOnAFullDiskCanReadWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	ctx := testCtx(t)
	s := open(t, testConfig(dir))
	_, err := s.PutSettings(ctx, []byte("lines: []"), 0)
	must(t, err)
	must(t, s.Close())
	disk := &fakeDisk{}
	cfg := testConfig(dir)
	cfg.Statfs = disk.statfs
	s = open(t, cfg)
	if doc, _, err := s.Settings(ctx); err != nil || string(doc) != "lines: []" {
		t.Errorf("settings on a full disk: %q %v", doc, err)
	}
	if _, err := s.Put(ctx, "k", nil); !errors.Is(err, ErrDiskFull) || s.Level() != Full {
		t.Errorf("put: %v at %s", err, s.Level())
	}
}

func TestAPanicInOneWriteFailsOnlyThatWrite(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	if _, err := s.submit(ctx, classNormal, func(*tx) error { panic("boom") }); err == nil {
		t.Error("no error")
	}
	must(t, note(s, "c1"))
}
