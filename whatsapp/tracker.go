package whatsapp

import (
	"context"
	"runtime/debug"
	"sync"
)

// tracker counts goroutines that may still be started while somebody waits for them to end, which sync.WaitGroup forbids.
type tracker struct {
	mu      sync.Mutex
	n       int
	changed chan struct{} // closed and replaced whenever one ends
}

func newTracker() *tracker { return &tracker{changed: make(chan struct{})} }

func (t *tracker) add() {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
}

func (t *tracker) done() {
	t.mu.Lock()
	t.n--
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
}

func (t *tracker) empty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n == 0
}

// wait returns when met is true, looking whenever a goroutine ended.
func (t *tracker) wait(ctx context.Context, met func() bool) error {
	for {
		t.mu.Lock()
		changed := t.changed
		t.mu.Unlock()
		if met() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func stack() string { return string(debug.Stack()) }
