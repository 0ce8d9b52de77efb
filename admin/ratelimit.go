package admin

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rates of requests.
type allowance struct {
	perSecond rate.Limit
	burst     int
}

var (
	anonymousRate = allowance{50, 200} // per address: a company's users may share one behind a proxy
	userRate      = allowance{20, 100}
)

const maxLimiters = 20_000

// limiters are token buckets by client, bounded in number.
type limiters struct {
	now func() time.Time
	mu  sync.Mutex
	m   map[string]*rate.Limiter
}

func newLimiters(now func() time.Time) *limiters {
	return &limiters{now: now, m: map[string]*rate.Limiter{}}
}

func (l *limiters) allow(key string, a allowance) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	lim := l.m[key]
	if lim == nil {
		if len(l.m) >= maxLimiters {
			l.sweep(now)
		}
		lim = rate.NewLimiter(a.perSecond, a.burst)
		l.m[key] = lim
	}
	return lim.AllowN(now, 1)
}

// sweep drops the buckets that are full again: they say nothing. If that is not enough, the table begins anew.
func (l *limiters) sweep(now time.Time) {
	for k, lim := range l.m {
		if lim.TokensAt(now) >= float64(lim.Burst()) {
			delete(l.m, k)
		}
	}
	if len(l.m) >= maxLimiters {
		clear(l.m)
	}
}
