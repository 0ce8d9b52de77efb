package frontdesk

import (
	"context"
	"strings"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

const (
	// watchFor is how long an agent's wish to be rung lasts: as long as a request can be answered (contract §10.1).
	watchFor = policy.Week
	// summonFor is how long the agent's phone rings, ringPause how long an agent who was rung in vain is left alone, and
	// ringTries how often that happens.
	summonFor = 25 * time.Second
	ringPause = 5 * time.Minute
	ringTries = 3
	// laterPause is after an agent said "later".
	laterPause = 30 * time.Minute
)

// RingWhenAllowed implements ivr.Desk: the agent is rung when a call to the customer is allowed.
func (d *Desk) RingWhenAllowed(ctx context.Context, r ivr.Request) ivr.Outcome {
	if r.Agent == "" {
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	now := d.now()
	_, err := d.store.OpenWatch(ctx, store.Watch{Line: r.Line, Customer: r.Customer.ID, Agent: r.Agent, Since: now, Until: now.Add(watchFor)})
	if err != nil {
		d.log.Error("a wish to be rung could not be kept", "call", r.Call, "err", err)
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	d.Look()
	return ivr.Outcome{Done: true}
}

// ringWatches rings the agents whose customers allow calls now. It looks at every open watch: there are few, and what makes
// one due (a reply, the hour, an agent who is back) comes from many sides.
func (d *Desk) ringWatches(ctx context.Context) {
	span := store.Span{Limit: 200}
	for ctx.Err() == nil {
		page, err := d.store.Watches(ctx, store.WatchQuery{Span: span})
		if err != nil {
			if ctx.Err() == nil {
				d.log.Warn("the agents' wishes to be rung could not be read", "err", err)
			}
			return
		}
		for _, w := range page.Items {
			d.ringWatch(ctx, w)
		}
		if span.Cursor = page.Next; page.Next == "" {
			return
		}
	}
}

func (d *Desk) ringWatch(ctx context.Context, w store.Watch) {
	log := d.log.With("line", w.Line, "agent", w.Agent, "customer", w.Customer)
	now := d.now()
	if !now.Before(w.Until) {
		if _, err := d.store.CloseWatch(ctx, w.ID, store.WatchExpired, now); err != nil {
			log.Warn("a wish to be rung could not be closed", "err", err)
		}
		return
	}
	if !d.rings.may(w.ID, now) {
		return
	}
	pair, _, _, err := d.store.PolicyState(ctx, w.Line, w.Customer)
	if err != nil || !pair.Permission(now).Standing.Granted() {
		return
	}
	if a, err := d.store.Availability(ctx, w.Agent); err != nil || !a.Available || d.cfg.Phones.Busy(w.Agent) {
		return
	}
	l, ok := d.line(w.Line)
	target, found := d.cfg.Phones.Target(w.Agent)
	if !ok || !found {
		return
	}
	c, err := d.store.Customer(ctx, w.Customer)
	if err != nil {
		log.Warn("the customer of a wish to be rung could not be read", "err", err)
		return
	}
	// Hours, limits and what Meta says now decide, as they will again when the key is pressed.
	if decision, err := d.Explain(ctx, w.Line, c, policy.ActionCall, time.Time{}, true); err != nil || !decision.Allowed {
		return
	}
	d.ring(ctx, l, w, c, target)
}

// ring rings the agent. Who answers has been rung: the watch is closed. Who does not is rung again, a few times.
func (d *Desk) ring(ctx context.Context, l *LineConfig, w store.Watch, c bridge.Customer, target bridge.Target) {
	if !d.rings.begin(w.ID, d.now()) {
		d.metrics.rung.WithLabelValues("given_up").Inc()
		d.closeWatch(ctx, w)
		return
	}
	later := func(ctx context.Context) ivr.Outcome {
		d.rings.delay(w.ID, d.now().Add(laterPause))
		if _, err := d.store.OpenWatch(ctx, store.Watch{Line: w.Line, Customer: w.Customer, Agent: w.Agent, Since: w.Since, Until: w.Until}); err != nil {
			d.log.Error("a wish to be rung could not be kept", "err", err)
			return ivr.Outcome{Reason: ivr.ReasonTrouble}
		}
		return ivr.Outcome{Done: true}
	}
	menu := d.cfg.Phones.RingMenu(w.Agent, c, c.Dialable(), later)
	menu.Dialer = answered{menu.Dialer, func() {
		d.metrics.rung.WithLabelValues("answered").Inc()
		d.closeWatch(context.WithoutCancel(ctx), w)
	}}
	d.metrics.rung.WithLabelValues("rung").Inc()
	d.log.Info("ringing an agent whose customer allows calls", "line", w.Line, "agent", w.Agent, "customer", w.Customer)
	d.cfg.Phones.Summon(bridge.Summons{
		Line: w.Line, LineName: firstOf(l.Name, l.ID), Customer: c, Agent: target, RingTimeout: summonFor, Dialled: c.Dialable(),
		Via: []bridge.Target{menu}, Peer: peerOf(w.Agent), From: target.Address,
	})
}

func (d *Desk) closeWatch(ctx context.Context, w store.Watch) {
	if _, err := d.store.CloseWatch(ctx, w.ID, store.WatchDone, d.now()); err != nil {
		d.log.Error("a wish to be rung could not be closed; the agent may be rung again for it", "err", err)
	}
	d.rings.forget(w.ID)
}

// answered is the menu of an agent whom we rang: that it is dialled means that the agent is there.
type answered struct {
	bridge.Dialer
	tell func()
}

func (a answered) Dial(ctx context.Context, inv bridge.Invite, notify bridge.Notify) (bridge.Leg, error) {
	a.tell()
	return a.Dialer.Dial(ctx, inv, notify)
}

// rings remembers whom we rang in vain, until a restart: then they are rung once more at most.
type rings struct {
	mu sync.Mutex
	by map[string]ringing // watch ID
}

type ringing struct {
	tries int
	next  time.Time
}

func (r *rings) may(watch string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !now.Before(r.by[watch].next)
}

// begin counts a ring; false: there were enough.
func (r *rings) begin(watch string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.by[watch]
	if x.tries >= ringTries {
		return false
	}
	r.by[watch] = ringing{x.tries + 1, now.Add(ringPause)}
	return true
}

func (r *rings) delay(watch string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[watch] = ringing{next: until}
}

func (r *rings) forget(watch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, watch)
}

// peerOf is where the agent's own calls come from: "trunk:pbx/200" calls over "trunk:pbx".
func peerOf(agent string) string {
	peer, _, _ := strings.Cut(agent, "/")
	return peer
}
