package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// aged is a finished recording of so many days before noon.
func aged(id string, days int, change ...func(*Item)) Item {
	it := Item{ID: id, Call: id, Line: "main", Started: noon.Add(-time.Duration(days) * day), Bytes: 100, Finished: true}
	it.Path = it.Started.Format("2006/01/02/") + id + fileSuffix
	for _, f := range change {
		f(&it)
	}
	return it
}

func held(it *Item)    { it.Held = true }
func running(it *Item) { it.Finished = false }
func copied(it *Item)  { it.CopiedTo = "s3://calls/" + it.Path }
func ofLine(line string) func(*Item) {
	return func(it *Item) { it.Line = line }
}

func TestPlanRemovals(t *testing.T) {
	tests := []struct {
		name   string
		list   []Item
		rules  Rules
		excess int64
		want   string // id:why …
		left   int64
	}{
		{"no rules keep everything", []Item{aged("a", 9000)}, Rules{}, 0, "", 0},
		{"days", []Item{aged("a", 31), aged("b", 30), aged("c", 29)}, Rules{Days: 30}, 0, "a:retention b:retention", -200},
		{"a line's own days, longer", []Item{aged("a", 31, ofLine("legal")), aged("b", 31)}, Rules{Days: 30, LineDays: map[string]int{"legal": 365}}, 0, "b:retention", -100},
		{"a line's own days, shorter", []Item{aged("a", 8, ofLine("short")), aged("b", 8)}, Rules{Days: 30, LineDays: map[string]int{"short": 7}}, 0, "a:retention", -100},
		{"a line's days without any for all", []Item{aged("a", 8, ofLine("short")), aged("b", 8)}, Rules{LineDays: map[string]int{"short": 7}}, 0, "a:retention", -100},
		{"hold beats days", []Item{aged("a", 31, held), aged("b", 31)}, Rules{Days: 30}, 0, "b:retention", -100},
		{"quota takes the oldest until it fits", []Item{aged("a", 3), aged("b", 2), aged("c", 1)}, Rules{Quota: 1}, 150, "a:quota b:quota", -50},
		{"hold beats the quota", []Item{aged("a", 3, held), aged("b", 2), aged("c", 1)}, Rules{Quota: 1}, 100, "b:quota", 0},
		{"only holds are left", []Item{aged("a", 3, held)}, Rules{Quota: 1}, 100, "", 100},
		{"what goes for its age counts for the quota", []Item{aged("a", 31), aged("b", 3)}, Rules{Days: 30, Quota: 1}, 100, "a:retention", 0},
		{"a running one stays", []Item{aged("a", 31, running)}, Rules{Days: 30, Quota: 1}, 100, "", 100},
		{"one of the future stays", []Item{aged("a", -1)}, Rules{Days: 1, Quota: 1}, 100, "", 100},
		{"a deleted one is not deleted again", []Item{aged("a", 31, func(it *Item) { it.Deleted = true })}, Rules{Days: 30}, 0, "", 0},
		{"with a verified copy the file goes earlier", []Item{aged("a", 8, copied), aged("b", 8), aged("c", 6, copied)}, Rules{Days: 30, LocalDays: 7}, 0, "a:archived", -100},
		{"hold beats the copy", []Item{aged("a", 8, copied, held)}, Rules{LocalDays: 7}, 0, "", 0},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			removals, left := PlanRemovals(c.list, c.rules, c.excess, noon)
			var got []string
			for _, r := range removals {
				got = append(got, r.Item.ID+":"+r.Why)
			}
			if s := strings.Join(got, " "); s != c.want || left != c.left {
				t.Errorf("deletes %q with %d bytes left over, want %q and %d", s, left, c.want, c.left)
			}
		})
	}
}

// memCatalog is a ledger in memory with pages of two.
type memCatalog struct {
	mu    sync.Mutex
	items []Item
	did   []string
	fail  error // of Delete
	lost  []string
}

func (c *memCatalog) Items(_ context.Context, since time.Time, cursor string) (page []Item, next string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := 0
	_, _ = fmt.Sscan(cursor, &from)
	for i := from; i < len(c.items); i++ {
		if it := c.items[i]; !it.Deleted && !it.Started.Before(since) {
			if len(page) == 2 {
				return page, fmt.Sprint(i), nil
			}
			page = append(page, it)
		}
	}
	return page, "", nil
}

func (c *memCatalog) ItemsOf(_ context.Context, call string) (list []Item, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, it := range c.items {
		if it.Call == call {
			list = append(list, it)
		}
	}
	return list, nil
}

func (c *memCatalog) Bytes(context.Context) (sum int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, it := range c.items {
		if !it.Deleted {
			sum += it.Bytes
		}
	}
	return sum, nil
}

func (c *memCatalog) change(id string, f func(*Item)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.items {
		if c.items[i].ID == id {
			f(&c.items[i])
		}
	}
}

func (c *memCatalog) Delete(_ context.Context, id, why string, _ time.Time) error {
	if c.fail != nil {
		return c.fail
	}
	c.change(id, func(it *Item) { it.Deleted = true; c.did = append(c.did, id+":"+why) })
	return nil
}

func (c *memCatalog) Copied(_ context.Context, id, to string, _ time.Time) error {
	c.change(id, func(it *Item) { it.CopiedTo = to })
	return nil
}

func (c *memCatalog) Lost(_ context.Context, id, _ string, _ time.Time) error {
	c.change(id, func(it *Item) { it.Deleted = true; c.lost = append(c.lost, id) })
	return nil
}

// keeping is a claimed folder with files, and a clock to turn.
type keeping struct {
	*Retention
	t    *testing.T
	dir  string
	cat  *memCatalog
	now  time.Time
	mono time.Duration
	cfg  RetentionConfig
	reg  *prometheus.Registry
}

func newKeeping(t *testing.T, items ...Item) *keeping {
	t.Helper()
	k := &keeping{t: t, dir: t.TempDir(), cat: &memCatalog{items: items}, now: noon, reg: prometheus.NewRegistry()}
	id, err := Claim(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		k.file(it.Path)
	}
	k.cfg = RetentionConfig{
		Dir: k.dir, VolumeID: id, Catalog: k.cat, ClockFile: filepath.Join(t.TempDir(), "clock"), Registerer: k.reg,
		Clock: func() time.Time { return k.now }, Monotonic: func() time.Duration { return k.mono },
	}
	k.open()
	return k
}

// open is a process that starts.
func (k *keeping) open() {
	k.t.Helper()
	if k.Retention != nil {
		_ = k.Stop(k.t.Context())
	}
	r, err := NewRetention(k.cfg)
	if err != nil {
		k.t.Fatal(err)
	}
	k.Retention = r
}

func (k *keeping) file(name string) {
	k.t.Helper()
	full := filepath.Join(k.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(full, bytes.Repeat([]byte{1}, 100), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// there are the recordings whose file is there.
func (k *keeping) there() string {
	k.t.Helper()
	var names []string
	err := filepath.WalkDir(k.dir, func(name string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(name, fileSuffix) {
			names = append(names, callOfFile(name))
		}
		return err
	})
	if err != nil {
		k.t.Fatal(err)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// later turns both clocks.
func (k *keeping) later(d time.Duration) { k.now, k.mono = k.now.Add(d), k.mono+d }

func (k *keeping) tick() {
	k.t.Helper()
	if err := k.Tick(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeping) want(files string) {
	k.t.Helper()
	if got := k.there(); got != files {
		k.t.Errorf("files %q, want %q", got, files)
	}
}

func TestRetentionDeletesFactFirstThenFile(t *testing.T) {
	k := newKeeping(t, aged("a", 40), aged("b", 35, held), aged("c", 31), aged("d", 5), aged("e", 1))
	k.SetRules(Rules{Days: 30}, nil)
	k.cat.fail = errors.New("disk full")
	if err := k.Tick(t.Context()); err == nil {
		t.Error("no error though the ledger takes nothing")
	}
	k.want("a b c d e")
	k.cat.fail = nil
	k.tick()
	k.want("b d e")
	if _, err := os.Stat(filepath.Join(k.dir, filepath.Dir(aged("a", 40).Path))); !os.IsNotExist(err) {
		t.Errorf("the empty folder of the day is left: %v", err)
	}
	if n := testutil.ToFloat64(k.m.removed.WithLabelValues(WhyRetention)); n != 2 {
		t.Errorf("%v counted", n)
	}
}

func TestTheQuotaTakesTheOldestAndSaysWhatItCannot(t *testing.T) {
	k := newKeeping(t, aged("a", 5, held), aged("b", 4), aged("c", 3), aged("d", 2), aged("e", 1))
	k.SetRules(Rules{Quota: 250}, nil)
	k.tick()
	k.want("a e") // 500 bytes; 250 too much: b, c, d
	k.cat.change("e", held)
	k.SetRules(Rules{Quota: 150}, nil)
	k.tick()
	k.want("a e")
	if over := testutil.ToFloat64(k.m.over); over != 50 {
		t.Errorf("over the quota by %v, want 50", over)
	}
}

func TestAHoldThatComesMeanwhileIsObeyed(t *testing.T) {
	k := newKeeping(t, aged("a", 40))
	k.SetRules(Rules{Days: 30}, nil)
	k.cat.fail = ErrHeld
	k.tick()
	k.want("a")
}

func TestNothingIsDeletedFromAnotherDisk(t *testing.T) {
	for name, break_ := range map[string]func(*keeping) error{
		"no marker":    func(k *keeping) error { return os.Remove(filepath.Join(k.dir, MarkerFile)) },
		"another disk": func(k *keeping) error { return os.WriteFile(filepath.Join(k.dir, MarkerFile), []byte("other"), 0o600) },
		"no folder":    func(k *keeping) error { return os.Rename(k.dir, k.dir+"-away") },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeping(t, aged("a", 40))
			k.SetRules(Rules{Days: 30}, nil)
			if err := break_(k); err != nil {
				t.Fatal(err)
			}
			if err := k.Tick(t.Context()); !errors.Is(err, ErrNoVolume) {
				t.Errorf("tick: %v", err)
			}
			if _, _, err := k.Erase(t.Context(), k.cat.items, nil); !errors.Is(err, ErrNoVolume) {
				t.Errorf("erase: %v", err)
			}
			if err := k.SweepFiles(t.Context()); !errors.Is(err, ErrNoVolume) {
				t.Errorf("sweep: %v", err)
			}
			if len(k.cat.did) > 0 {
				t.Errorf("the ledger says %q", k.cat.did)
			}
		})
	}
}

func TestAMovedClockSuspendsDeleting(t *testing.T) {
	k := newKeeping(t, aged("a", 40), aged("b", 20))
	k.SetRules(Rules{Days: 365}, nil)
	k.later(10 * time.Minute)
	k.tick()
	k.now = k.now.Add(400 * day) // the wall clock alone
	k.later(10 * time.Minute)
	k.tick()
	k.want("a b")
	if got := k.Suspended(); got != 400*day {
		t.Errorf("moved by %v", got)
	}
	k.later(10 * time.Minute)
	k.tick() // it does not forget
	k.open() // nor over a restart
	k.SetRules(Rules{Days: 365}, nil)
	k.tick()
	k.want("a b")
	if testutil.ToFloat64(k.m.suspended) != 1 {
		t.Error("no alarm")
	}
	if err := k.Confirm(); err != nil {
		t.Fatal(err)
	}
	k.tick()
	k.want("")
	if testutil.ToFloat64(k.m.suspended) != 0 {
		t.Error("the alarm stays")
	}
}

func TestAClockThatMovesALittleIsFine(t *testing.T) {
	k := newKeeping(t, aged("a", 40))
	k.later(10 * time.Minute)
	k.tick()
	k.now = k.now.Add(59 * time.Minute) // summer time is no step of UTC; NTP steps are smaller
	k.SetRules(Rules{Days: 30}, nil)
	k.tick()
	k.want("")
}

func TestALongRestLooksLikeAWrongClock(t *testing.T) {
	for name, c := range map[string]struct {
		gap       time.Duration
		suspended bool
	}{"a weekend": {2 * day, false}, "a month": {30 * day, true}, "the past": {-2 * day, true}} {
		t.Run(name, func(t *testing.T) {
			k := newKeeping(t, aged("a", 40))
			k.tick()
			k.now = k.now.Add(c.gap)
			k.open()
			k.SetRules(Rules{Days: 30}, nil)
			k.tick()
			if got := k.Suspended() != 0; got != c.suspended {
				t.Errorf("suspended: %v", got)
			}
			want := ""
			if c.suspended {
				want = "a"
			}
			k.want(want)
		})
	}
}

// TestTheSweepFinishesWhatACrashLeft: killed between the fact and the file.
func TestTheSweepFinishesWhatACrashLeft(t *testing.T) {
	second := aged("b", 2, func(it *Item) { it.Path = strings.Replace(it.Path, "b.dbr", "b-2.dbr", 1) })
	k := newKeeping(t, aged("a", 3), aged("b", 2), second, aged("c", 1))
	k.cat.items[0].Deleted, k.cat.items[2].Deleted = true, true
	k.file("2026/11/27/stranger.dbr")
	k.file("2026/11/27/note.txt")
	if err := k.SweepFiles(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.want("b c stranger")
	if n := testutil.ToFloat64(k.m.unknown); n != 1 {
		t.Errorf("%v unknown files", n)
	}
}

func TestErasureTakesFileAndCopyButNotTheHeld(t *testing.T) {
	k := newKeeping(t, aged("a", 3, copied), aged("b", 2, held), aged("c", 1), aged("d", 0, running))
	var removed []string
	k.SetRules(Rules{}, func(_ context.Context, object string) error { removed = append(removed, object); return nil })
	k.now = k.now.Add(90 * day) // the clock is no reason to keep what a customer wants erased
	var seen []int
	erased, kept, err := k.Erase(t.Context(), slices.Clone(k.cat.items), func(done int) { seen = append(seen, done) })
	if err != nil || erased != 2 || kept != 2 {
		t.Errorf("erased %d, kept %d, %v", erased, kept, err)
	}
	k.want("b d")
	if want := []string{"s3://calls/" + aged("a", 3).Path}; !slices.Equal(removed, want) {
		t.Errorf("copies removed: %q", removed)
	}
	if !slices.Equal(seen, []int{1, 2, 3, 4}) {
		t.Errorf("progress %v", seen)
	}
}

func TestErasureSaysWhenACopyStays(t *testing.T) {
	k := newKeeping(t, aged("a", 3, copied))
	k.SetRules(Rules{}, func(context.Context, string) error { return errors.New("no route") })
	erased, _, err := k.Erase(t.Context(), slices.Clone(k.cat.items), nil)
	if err == nil || erased != 0 {
		t.Errorf("erased %d, %v", erased, err)
	}
	k.want("") // the file is gone at least
}

func TestTheWorkerRunsAndStops(t *testing.T) {
	k := newKeeping(t, aged("a", 40))
	k.Start()
	k.SetRules(Rules{Days: 30}, nil)
	for end := time.Now().Add(10 * time.Second); k.there() != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the worker does not delete")
		}
	}
	if err := k.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(k.reg); err != nil || n != 0 {
		t.Errorf("%d metrics stay registered, %v", n, err)
	}
}
