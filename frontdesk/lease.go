package frontdesk

import (
	"sync"
	"time"
)

// leaseFor is how long a callback request that was given to an agent is not given out again. maxLeases bounds what is remembered;
// agents take requests one by one, so it is never reached.
const (
	leaseFor  = 10 * time.Minute
	maxLeases = 1000
)

// leases remembers which callback requests were given out, until a restart.
type leases struct {
	mu sync.Mutex
	by map[string]lease
}

type lease struct {
	agent string
	until time.Time
}

// take gives a request out, unless it was a moment ago.
func (l *leases) take(id, agent string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, x := range l.by {
		if !now.Before(x.until) {
			delete(l.by, id)
		}
	}
	if _, taken := l.by[id]; taken {
		return false
	}
	if l.by == nil || len(l.by) >= maxLeases {
		l.by = map[string]lease{}
	}
	l.by[id] = lease{agent, now.Add(leaseFor)}
	return true
}

// own reports whether this agent has the request.
func (l *leases) own(id, agent string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by[id].agent == agent
}
