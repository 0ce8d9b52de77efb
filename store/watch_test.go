package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestOneWatchPerLineCustomerAndAgent(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	w := Watch{Line: "main", Customer: "c1", Agent: "phone:1001", Since: noon, Until: noon.Add(time.Hour)}
	first, err := s.OpenWatch(ctx, w)
	must(t, err)
	w.Since, w.Until = noon.Add(time.Minute), noon.Add(2*time.Hour)
	second, err := s.OpenWatch(ctx, w)
	must(t, err)
	if second.ID != first.ID || !second.Since.Equal(noon) || !second.Until.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("asked again: %+v", second)
	}
	w.Agent = "phone:1002"
	_, err = s.OpenWatch(ctx, w)
	must(t, err)
	for want, q := range map[int]WatchQuery{2: {Customer: "c1"}, 1: {Agent: "phone:1002"}, 0: {Line: "other"}} {
		if page, err := s.Watches(ctx, q); err != nil || len(page.Items) != want {
			t.Errorf("%+v: %d, want %d (%v)", q, len(page.Items), want, err)
		}
	}
	if _, err := s.OpenWatch(ctx, Watch{Line: "main", Customer: "c1", Agent: "a", Since: noon, Until: noon}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a watch without a time: %v", err)
	}
}

func TestOfManyWhoCloseAWatchOneDoes(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	w, err := s.OpenWatch(ctx, Watch{Line: "main", Customer: "c1", Agent: "phone:1001", Since: noon, Until: noon.Add(time.Hour)})
	must(t, err)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			did, err := s.CloseWatch(ctx, w.ID, WatchDone, noon)
			if err != nil {
				t.Error(err)
			}
			if did {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d closed it", won.Load())
	}
	if page, err := s.Watches(ctx, WatchQuery{}); err != nil || len(page.Items) != 0 {
		t.Errorf("open: %+v %v", page.Items, err)
	}
	if again, err := s.OpenWatch(ctx, Watch{Line: "main", Customer: "c1", Agent: "phone:1001", Since: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour)}); err != nil || again.State != WatchOpen || !again.Since.Equal(noon.Add(time.Hour)) {
		t.Errorf("a new one after that: %+v %v", again, err)
	}
	if _, err := s.CloseWatch(ctx, "nobody", WatchDone, noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown watch: %v", err)
	}
	if _, err := s.CloseWatch(ctx, w.ID, WatchOpen, noon); !errors.Is(err, ErrInvalid) {
		t.Errorf("closed as open: %v", err)
	}
}

func TestAWatchStaysOneWhenItsCustomerIsMerged(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	w := Watch{Line: "main", Customer: phone.ID, Agent: "phone:1001", Since: noon, Until: noon.Add(time.Hour)}
	first, err := s.OpenWatch(ctx, w)
	must(t, err)
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	w.Customer, w.Until = user.ID, noon.Add(2*time.Hour)
	again, err := s.OpenWatch(ctx, w)
	if err != nil || again.ID != first.ID || again.Customer != user.ID {
		t.Errorf("a second watch: %+v %v", again, err)
	}
	if page, err := s.Watches(ctx, WatchQuery{Customer: user.ID}); err != nil || len(page.Items) != 1 || !page.Items[0].Until.Equal(w.Until) {
		t.Errorf("open: %+v %v", page.Items, err)
	}
}
