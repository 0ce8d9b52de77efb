package frontdesk

import (
	"context"
	"errors"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// watchFor is how long an agent's wish to be rung lasts: as long as a request can be answered (contract §10.1). summonFor is how
// long the agent's phone rings.
const (
	watchFor  = policy.Week
	summonFor = 25 * time.Second
)

// RingWhenAllowed implements ivr.Desk: the agent is rung when a call to the customer is allowed.
func (d *Desk) RingWhenAllowed(ctx context.Context, r ivr.Request) ivr.Outcome {
	if r.Agent == "" {
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	now := d.now()
	w, err := d.store.OpenWatch(ctx, store.Watch{Line: r.Line, Customer: r.Customer.ID, Agent: r.Agent, Since: now, Until: now.Add(watchFor)})
	if err != nil {
		d.log.Error("a wish to be rung could not be kept", "call", r.Call, "err", err)
		return ivr.Outcome{Reason: ivr.ReasonTrouble}
	}
	d.rings.forget(w.ID) // a new wish: what came of an older one does not matter
	d.Look()
	return ivr.Outcome{Done: true}
}

// watchRound is one look at all open watches. What makes one due (a reply, the hour, an agent who is back) comes from many sides,
// so all are looked at, from the disk; Meta is asked only about those that nothing else forbids.
type watchRound struct {
	d    *Desk
	now  time.Time
	free map[string]bool // agents looked at in this round
	open map[string]bool // watches
}

func (d *Desk) ringWatches(ctx context.Context) {
	r := watchRound{d: d, now: d.now(), free: map[string]bool{}, open: map[string]bool{}}
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
			r.open[w.ID] = true
			if err := r.look(ctx, w); err != nil && ctx.Err() == nil {
				d.log.Warn("a wish to be rung could not be looked after; it is tried again", "line", w.Line, "agent", w.Agent, "err", err)
			}
		}
		if span.Cursor = page.Next; page.Next == "" {
			d.rings.keep(r.open, r.now)
			return
		}
	}
}

func (r *watchRound) look(ctx context.Context, w store.Watch) error {
	d := r.d
	if !r.now.Before(w.Until) {
		_, err := d.store.CloseWatch(ctx, w.ID, store.WatchExpired, r.now)
		return err
	}
	if !d.rings.may(w.ID, r.now) || !r.ready(ctx, w.Agent) {
		return nil
	}
	// Most customers have not answered yet: this is all that is read about them.
	if pair, _, _, err := d.store.PolicyState(ctx, w.Line, w.Customer); err != nil || presumed(pair, r.now) == nil {
		return err
	}
	target, found := d.cfg.Phones.Target(w.Agent)
	if _, ok := d.line(w.Line); !ok || !found {
		return nil
	}
	c, err := d.store.Customer(ctx, w.Customer)
	if errors.Is(err, store.ErrNotFound) { // erased
		_, err = d.store.CloseWatch(ctx, w.ID, store.WatchExpired, r.now)
		return err
	}
	if err != nil {
		return err
	}
	ok, err := r.allowed(ctx, w, c)
	if err != nil || !ok {
		return err
	}
	if !d.rings.begin(w.ID, w.Agent, r.now) {
		d.metrics.rung.WithLabelValues("given_up").Inc()
		d.log.Info("an agent whose customer allows calls was rung in vain and is not rung again", "line", w.Line, "agent", w.Agent)
		_, err := d.store.CloseWatch(ctx, w.ID, store.WatchDone, d.now())
		return err
	}
	r.free[w.Agent] = false
	d.ring(w, c, target)
	return nil
}

// ready says whether an agent can be rung: available, in no call, and not rung in vain a moment ago.
func (r *watchRound) ready(ctx context.Context, agent string) bool {
	free, known := r.free[agent]
	if !known {
		a, err := r.d.store.Availability(ctx, agent)
		free = err == nil && a.Available && !r.d.cfg.Phones.Busy(agent) && !r.d.rings.rests(agent, r.now)
		r.free[agent] = free
	}
	return free
}

// allowed decides as the call itself will be decided when the key is pressed, first on what is known here.
func (r *watchRound) allowed(ctx context.Context, w store.Watch, c bridge.Customer) (bool, error) {
	d := r.d
	i, err := d.inquire(ctx, w.Line, c, policy.ActionCall)
	if err != nil {
		return false, err
	}
	i.Live = presumed(i.Pair, i.Now)
	if i.Live == nil || !policy.Decide(i.Question).Allowed || !d.rings.mayAsk(w.ID, c.ID, r.now) {
		return false, nil
	}
	if err := d.live(ctx, &i); err != nil {
		return false, err
	}
	return policy.Decide(i.Question).Allowed, nil
}

// presumed is what Meta would answer by all that is known here: the customer's word, or Meta's own earlier answer if that is newer.
// nil: nothing speaks for a permission.
func presumed(s policy.State, now time.Time) *policy.Live {
	p := s.Permission(now)
	out := policy.Live{At: now, CanStart: true, Expires: p.Expires}
	switch {
	case p.Standing == policy.StandingPermanent:
		out.Permission = policy.PermissionPermanent
	case p.Standing == policy.StandingTemporary:
		out.Permission = policy.PermissionTemporary
	case s.Live == nil || s.Grant.At.After(s.Live.At):
		return nil
	case s.Live.Permission == policy.PermissionPermanent, s.Live.Permission == policy.PermissionTemporary && now.Before(s.Live.Expires):
		out.Permission, out.Expires = s.Live.Permission, s.Live.Expires
	default:
		return nil
	}
	return &out
}

// ring rings the agent. Who answers has been rung: the watch is closed. Who does not is rung again, a few times.
func (d *Desk) ring(w store.Watch, c bridge.Customer, target bridge.Target) {
	later := func(ctx context.Context) ivr.Outcome {
		if _, err := d.store.OpenWatch(ctx, store.Watch{Line: w.Line, Customer: w.Customer, Agent: w.Agent, Since: w.Since, Until: w.Until}); err != nil {
			d.log.Error("a wish to be rung could not be kept", "err", err)
			return ivr.Outcome{Reason: ivr.ReasonTrouble}
		}
		d.rings.later(w.ID, d.now())
		return ivr.Outcome{Done: true}
	}
	menu := d.cfg.Phones.RingMenu(w.Agent, c, c.Dialable(), later)
	menu.Dialer = answered{menu.Dialer, func() {
		d.metrics.rung.WithLabelValues("answered").Inc()
		d.rings.answered(w.Agent)
		d.closeWatch(w)
	}}
	d.metrics.rung.WithLabelValues("rung").Inc()
	d.log.Info("ringing an agent whose customer allows calls", "line", w.Line, "agent", w.Agent, "customer", w.Customer)
	name := w.Line
	if l, ok := d.line(w.Line); ok {
		name = firstOf(l.Name, l.ID)
	}
	d.cfg.Phones.Summon(bridge.Summons{
		Line: w.Line, LineName: name, Customer: c, Agent: target, RingTimeout: summonFor, Dialled: c.Dialable(),
		Via: []bridge.Target{menu}, Peer: peerOf(w.Agent), From: target.Address,
	})
}

// closeLimit bounds the closing of a watch, which the agent who answers must not wait for.
const closeLimit = 20 * time.Second

func (d *Desk) closeWatch(w store.Watch) {
	d.background("close watch", closeLimit, func(ctx context.Context) {
		if _, err := d.store.CloseWatch(ctx, w.ID, store.WatchDone, d.now()); err != nil {
			d.log.Error("a wish to be rung could not be closed; the agent may be rung again for it", "err", err)
		}
	})
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

// peerOf is where the agent's own calls come from: "trunk:pbx/200" calls over "trunk:pbx".
func peerOf(agent string) string {
	peer, _, _ := strings.Cut(agent, "/")
	return peer
}
