package whatsapp

import (
	"sync"
	"time"

	"deskbridge/graph"
)

// How long and how much is remembered of calls that are not in progress. Order is not guaranteed (§5.5): a terminate
// before its connect leaves a tombstone, and a webhook may overtake the answer that names its call.
const (
	memory     = 10 * time.Minute
	maxStrays  = 512
	maxPerCall = 4
	maxSeen    = 16384
	maxOrphans = 1024
)

// calls knows every customer call by Meta's ID. It is the only place where webhooks meet legs.
type calls struct {
	metrics *hubMetrics

	mu      sync.Mutex
	byWacid map[string]*Leg
	byData  map[string]*Leg // outbound calls Meta has not named yet, by callback data
	seen    map[string]time.Time
	strays  map[string]*stray
	orphans map[string]orphan // outbound calls given up while nobody knew whether they exist, by callback data
}

// stray is what came for a call that is not known (yet).
type stray struct {
	at     time.Time
	events []*graph.Event
}

type orphan struct {
	at   time.Time
	line *Line
}

func newCalls(m *hubMetrics) *calls {
	return &calls{metrics: m, byWacid: map[string]*Leg{}, byData: map[string]*Leg{}, seen: map[string]time.Time{},
		strays: map[string]*stray{}, orphans: map[string]orphan{}}
}

// expect announces an outbound call before its connect is sent, because webhooks may be faster than the answer.
func (c *calls) expect(l *Leg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byData[l.call] = l
}

// bind gives a leg its ID and the events that came too early for it.
func (c *calls) bind(l *Leg, wacid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bindLocked(l, wacid)
}

// bindLocked tells the leg under the lock, so that no webhook reaches it by its ID before its name does. Telling only
// fills a mailbox.
func (c *calls) bindLocked(l *Leg, wacid string) {
	delete(c.byData, l.call)
	if _, taken := c.byWacid[wacid]; !taken {
		c.byWacid[wacid] = l
	}
	c.see(wacid)
	l.named(wacid)
	if s := c.strays[wacid]; s != nil {
		delete(c.strays, wacid)
		c.metrics.strays.Set(float64(len(c.strays)))
		for _, ev := range s.events {
			l.webhook(ev)
		}
	}
}

// remove forgets a leg; its ID stays known as over.
func (c *calls) remove(l *Leg) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byData[l.call] == l {
		delete(c.byData, l.call)
	}
	if id := l.id(); id != "" {
		if c.byWacid[id] == l {
			delete(c.byWacid, id)
		}
		c.see(id)
	}
}

// orphan remembers an outbound call that may exist at Meta though its leg is gone.
func (c *calls) orphan(data string, line *Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if len(c.orphans) >= maxOrphans {
		for k, o := range c.orphans {
			if now.Sub(o.at) > memory {
				delete(c.orphans, k)
			}
		}
	}
	if len(c.orphans) < maxOrphans {
		c.orphans[data] = orphan{now, line}
	}
}

// admission is what to do with the connect of an inbound call.
type admission uint8

const (
	admitted  admission = iota
	duplicate           // the call is or was known
	gone                // its terminate was here first
)

// admit decides about an inbound connect and marks its call as known. The marks of calls that are over come first of all
// duplicates; the store's dedupe is the other guard.
func (c *calls) admit(wacid string) admission {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.seen[wacid]
	if _, live := c.byWacid[wacid]; live || known {
		return duplicate
	}
	c.see(wacid)
	s := c.strays[wacid]
	if s == nil || time.Since(s.at) > memory {
		return admitted
	}
	for _, ev := range s.events {
		if ev.Kind == graph.KindTerminate {
			delete(c.strays, wacid)
			c.metrics.strays.Set(float64(len(c.strays)))
			return gone
		}
	}
	return admitted
}

// deliver brings an event of a call to its leg and says what became of it. A line comes back when the call is one we gave
// up and must be ended there.
func (c *calls) deliver(ev *graph.Event) (result string, reap *Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.byWacid[ev.ID]
	if l == nil && ev.CallbackData != "" {
		if l = c.byData[ev.CallbackData]; l != nil {
			c.bindLocked(l, ev.ID)
		}
	}
	switch {
	case l == nil:
		return c.homeless(ev)
	case !l.webhook(ev):
		return "dropped", nil
	}
	return "delivered", nil
}

// homeless deals with an event of a call without a leg: one we gave up, one that is over, or one not known yet.
func (c *calls) homeless(ev *graph.Event) (result string, reap *Line) {
	if o, ok := c.orphans[ev.CallbackData]; ok && ev.CallbackData != "" {
		delete(c.orphans, ev.CallbackData)
		c.see(ev.ID)
		if ev.Kind == graph.KindTerminate {
			return "late", nil
		}
		return "orphan", o.line
	}
	if _, over := c.seen[ev.ID]; over {
		return "late", nil
	}
	s := c.strays[ev.ID]
	if s == nil {
		if !c.room() {
			return "dropped", nil
		}
		s = &stray{at: time.Now()}
		c.strays[ev.ID] = s
		c.metrics.strays.Set(float64(len(c.strays)))
	}
	if len(s.events) < maxPerCall {
		kept := *ev
		kept.Raw = nil
		s.events = append(s.events, &kept)
	}
	return "stray", nil
}

// room makes room for one more stray call by forgetting those of long ago.
func (c *calls) room() bool {
	if len(c.strays) < maxStrays {
		return true
	}
	now := time.Now()
	for id, s := range c.strays {
		if now.Sub(s.at) > memory {
			delete(c.strays, id)
		}
	}
	return len(c.strays) < maxStrays
}

// see remembers a call ID for as long as Meta might repeat it in disorder. Full, it forgets the old ones first, then all:
// the store's dedupe still holds.
func (c *calls) see(wacid string) {
	now := time.Now()
	if len(c.seen) >= maxSeen {
		for id, at := range c.seen {
			if now.Sub(at) > memory {
				delete(c.seen, id)
			}
		}
		if len(c.seen) >= maxSeen {
			clear(c.seen)
		}
	}
	c.seen[wacid] = now
}
