package appliance

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Limits of the log: a stranger who can cause a line must not be able to fill the disk.
const (
	linesPerSecond = 10
	maxClasses     = 512 // messages are constants of the program, so there are fewer; the rest share one class
)

// limiter is a slog.Handler that passes at most linesPerSecond of each class and then says how many it dropped.
type limiter struct {
	next  slog.Handler
	state *limiterState // shared by all loggers made with With
}

type class struct {
	level   slog.Level
	message string
}

type window struct {
	began      time.Time
	passed     int
	suppressed int
}

type limiterState struct {
	base slog.Handler // for the count lines: without the attributes of any one caller
	now  func() time.Time

	mu      sync.Mutex
	classes map[class]*window
}

func newLimiter(next slog.Handler, now func() time.Time) *limiter {
	return &limiter{next: next, state: &limiterState{base: next, now: now, classes: make(map[class]*window)}}
}

// Enabled implements slog.Handler.
func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if !l.state.pass(class{r.Level, r.Message}) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limiter{next: l.next.WithAttrs(attrs), state: l.state}
}

// WithGroup implements slog.Handler.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{next: l.next.WithGroup(name), state: l.state}
}

// pass counts one line of the class and reports whether it may be written.
func (s *limiterState) pass(c class) bool {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.classes[c]
	if !ok {
		if len(s.classes) >= maxClasses {
			c = class{c.level, "lines of other classes"}
			w, ok = s.classes[c]
		}
		if !ok {
			w = &window{began: now}
			s.classes[c] = w
		}
	}
	if now.Sub(w.began) >= time.Second {
		*w = window{began: now, suppressed: w.suppressed}
	}
	if w.passed < linesPerSecond {
		w.passed++
		return true
	}
	w.suppressed++
	if w.suppressed == 1 {
		// The timer ends by itself within a second; nothing waits for it, and its one line is all it does.
		time.AfterFunc(time.Second-now.Sub(w.began), func() { s.report(c) })
	}
	return false
}

// report writes how many lines of the class were dropped since the last report.
func (s *limiterState) report(c class) {
	s.mu.Lock()
	w := s.classes[c]
	n := w.suppressed
	w.suppressed = 0
	s.mu.Unlock()
	ctx := context.Background()
	if n == 0 || !s.base.Enabled(ctx, c.level) {
		return
	}
	r := slog.NewRecord(s.now(), c.level, "log lines suppressed", 0)
	r.AddAttrs(slog.String("class", c.message), slog.Int("count", n))
	_ = s.base.Handle(ctx, r)
}
