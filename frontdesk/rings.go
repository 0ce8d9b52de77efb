package frontdesk

import (
	"sync"
	"time"
)

// An agent who was rung in vain is left alone for ringPause and rung ringTries times in all; one who said "later", for laterPause.
// About a customer whom Meta does not let us call yet Meta is asked again after askPause, and about all of them at most asksPerLook
// times in lookEvery: calls need the rest of Meta's five a second.
const (
	ringPause   = 5 * time.Minute
	ringTries   = 3
	laterPause  = 30 * time.Minute
	askPause    = 2 * time.Minute
	asksPerLook = 30
)

// rings remembers whom we rang in vain, until a restart: then the tries begin anew. It holds no more than the open watches.
type rings struct {
	mu sync.Mutex
	by map[string]ringing // watch ID
	// rested is from when an agent who was rung for anybody and did not answer may be rung again.
	rested map[string]time.Time

	asks  int // since begun
	begun time.Time
}

type ringing struct {
	customer string
	tries    int
	next     time.Time // not to be rung before
	ask      time.Time // Meta is not to be asked before
}

func (r *rings) change(watch string, f func(*ringing)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]ringing{}
	}
	x := r.by[watch]
	f(&x)
	r.by[watch] = x
}

func (r *rings) may(watch string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.by[watch]
	return !now.Before(x.next) && !now.Before(x.ask) && (r.asks < asksPerLook || r.over(now))
}

// over reports whether the time that the questions are counted in has passed.
func (r *rings) over(now time.Time) bool {
	since := now.Sub(r.begun)
	return since < 0 || since >= lookEvery
}

// mayAsk counts a question to Meta.
func (r *rings) mayAsk(watch, customer string, now time.Time) (ok bool) {
	r.change(watch, func(x *ringing) {
		if r.over(now) {
			r.begun, r.asks = now, 0
		}
		if ok = r.asks < asksPerLook; ok {
			r.asks++
			x.customer, x.ask = customer, now.Add(askPause)
		}
	})
	return ok
}

// news is that a customer's permission changed: Meta has another answer.
func (r *rings) news(customer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, x := range r.by {
		if x.customer == customer {
			x.ask = time.Time{}
			r.by[id] = x
		}
	}
}

// begin counts a ring; false: there were enough.
func (r *rings) begin(watch, agent string, now time.Time) (ok bool) {
	r.change(watch, func(x *ringing) {
		if ok = x.tries < ringTries; ok {
			x.tries++
			x.next = now.Add(ringPause)
			if r.rested == nil {
				r.rested = map[string]time.Time{}
			}
			r.rested[agent] = x.next
		}
	})
	return ok
}

// rests says whether an agent is left alone now.
func (r *rings) rests(agent string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.rested[agent])
}

// answered is that an agent took the ring: there is no need to leave them alone.
func (r *rings) answered(agent string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.rested, agent)
}

// later begins the tries anew after a pause.
func (r *rings) later(watch string, now time.Time) {
	r.change(watch, func(x *ringing) { x.tries, x.next = 0, now.Add(laterPause) })
}

func (r *rings) forget(watch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, watch)
}

// keep forgets what is neither open nor to be waited for.
func (r *rings) keep(open map[string]bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, x := range r.by {
		if !open[id] && !now.Before(x.next) {
			delete(r.by, id)
		}
	}
	for agent, until := range r.rested {
		if !now.Before(until) {
			delete(r.rested, agent)
		}
	}
}
