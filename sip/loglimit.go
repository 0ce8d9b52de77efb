package sip

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// lineLimit lets each class of log line through ten times a second and says how many were kept back. Classes are
// constants of ours, so the map is bounded.
type lineLimit struct {
	mu sync.Mutex
	m  map[string]*limitedClass
}

type limitedClass struct {
	limit   *rate.Limiter
	dropped int
}

func newLineLimit() *lineLimit { return &lineLimit{m: map[string]*limitedClass{}} }

func (l *lineLimit) allow(class string) (ok bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.m[class]
	if c == nil {
		c = &limitedClass{limit: rate.NewLimiter(10, 10)}
		l.m[class] = c
	}
	if !c.limit.Allow() {
		c.dropped++
		return false, 0
	}
	suppressed, c.dropped = c.dropped, 0
	return true, suppressed
}

// logLimited logs one line of a class that strangers can trigger.
func (e *Endpoint) logLimited(level slog.Level, class string, attrs ...slog.Attr) {
	ok, suppressed := e.lines.allow(class)
	if !ok {
		return
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	e.log.LogAttrs(context.Background(), level, class, attrs...) //nolint:sloglint // class is a constant of the caller: it is what the limit goes by
}

// masked is a phone number or extension in a log line: the last two characters of longer ones.
type masked string

// LogValue implements slog.LogValuer.
func (m masked) LogValue() slog.Value {
	s := string(m)
	if len(s) <= 6 {
		return slog.StringValue(s) // an extension
	}
	return slog.StringValue("…" + s[len(s)-2:])
}
