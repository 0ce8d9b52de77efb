package admin

import (
	"net/netip"
	"sync"
	"time"
)

// The limits on guessing (reliability.md, input limits).
const (
	maxFailures   = 10
	failureWindow = 15 * time.Minute
	freeFailures  = 3 // without a pause
	longestPause  = 30 * time.Second
	maxGuessers   = 20_000
)

// lockout counts failed sign-ins per account and per address. An attempt counts as failed until it has succeeded, so that
// guessing in parallel is guessing in turn.
type lockout struct {
	now func() time.Time

	mu      sync.Mutex
	guesses map[string]*guesses
}

type guesses struct {
	n     int
	first time.Time // of this window
	last  time.Time
}

func newLockout(now func() time.Time) *lockout {
	return &lockout{now: now, guesses: map[string]*guesses{}}
}

// addressKey is whom an address stands for: a household of IPv6 addresses is one guesser.
func addressKey(a netip.Addr) string {
	a = a.Unmap()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return "address " + p.String()
	}
	return "address " + a.String()
}

func accountKey(login string) string { return "account " + login }

// begin counts an attempt, or says how long to wait before the next one is looked at.
func (l *lockout) begin(keys ...string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, k := range keys {
		if g := l.guesses[k]; g != nil {
			wait = max(wait, g.wait(now))
		}
	}
	if wait > 0 {
		return wait
	}
	for _, k := range keys {
		g := l.guesses[k]
		if g == nil || now.Sub(g.first) >= failureWindow {
			l.makeRoom(now)
			g = &guesses{first: now}
			l.guesses[k] = g
		}
		g.n++
		g.last = now
	}
	return 0
}

func (g *guesses) wait(now time.Time) time.Duration {
	left := failureWindow - now.Sub(g.first)
	switch {
	case left <= 0 || g.n < freeFailures:
		return 0
	case g.n >= maxFailures:
		return left
	}
	pause := min(time.Second<<(g.n-freeFailures), longestPause)
	return pause - min(pause, now.Sub(g.last))
}

// succeeded takes the attempt back; the account starts anew, the address keeps its other failures.
func (l *lockout) succeeded(account, address string) {
	l.mu.Lock()
	delete(l.guesses, account)
	l.mu.Unlock()
	l.refund(address)
}

// refund takes the attempt back and nothing more: it neither failed nor got anybody in.
func (l *lockout) refund(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if g := l.guesses[k]; g != nil {
			if g.n--; g.n <= 0 {
				delete(l.guesses, k)
			}
		}
	}
}

// clear forgets an account's failures.
func (l *lockout) clear(account string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.guesses, account)
}

// makeRoom keeps the table bounded: first what is over, then whoever comes first in the map.
func (l *lockout) makeRoom(now time.Time) {
	if len(l.guesses) < maxGuessers {
		return
	}
	for k, g := range l.guesses {
		if now.Sub(g.first) >= failureWindow {
			delete(l.guesses, k)
		}
	}
	for k := range l.guesses {
		if len(l.guesses) < maxGuessers {
			return
		}
		delete(l.guesses, k)
	}
}
