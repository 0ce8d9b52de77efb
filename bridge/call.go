package bridge

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"deskbridge/media"
)

// end is one leg of a call together with what the call knows about it. Its fields belong to the call's goroutine.
type end struct {
	leg    Leg // nil until Dial returned
	target Target
	gone   bool
	cause  Cause // why it ended
	meter  streamMeter
}

// call runs one call. Its goroutine owns everything but inbox and cdr.
type call struct {
	x     *Exchange
	id    string
	offer Offer
	log   *slog.Logger

	inbox     inbox
	ctx       context.Context // ends when the call begins to end: cancels deciding and dialling
	cancel    context.CancelFunc
	decideEnd chan struct{} // closed when the deciding goroutine is gone
	decided   bool          // it has said what it had to say: no fact of its can come after the final one

	state  state
	a      *end
	b      []*end
	winner *end
	holder *end // who holds the other, nil while nobody does
	cause  Cause
	route  Route
	timer  *time.Timer
	music  func()          // stops the hold music, nil when none plays
	joined [2]media.Format // what the pipes in place convert between; zero when the audio is not joined
	at     stageTimes

	mu  sync.Mutex
	cdr CDR
}

// stageTimes are the moments the set-up histograms are made of.
type stageTimes struct{ dialled, rang, answered, accepted time.Time }

func newCall(x *Exchange, id string, o Offer) *call {
	if o.Received.IsZero() {
		o.Received = time.Now()
	}
	if o.At.IsZero() {
		o.At = o.Received
	}
	c := &call{
		x: x, id: id, offer: o, inbox: newInbox(), decideEnd: make(chan struct{}),
		log: x.cfg.Logger.With("call", id, "direction", o.Direction),
		cdr: CDR{
			ID: id, Direction: o.Direction, Line: o.Line, Wacid: o.Wacid, Customer: o.Customer, Dialled: o.Dialled,
			Payload: o.Payload, State: stateOffered.String(), OfferedAt: o.At,
		},
	}
	if o.Direction == Outbound {
		c.cdr.Agent = agent(o)
	}
	if o.Open != nil {
		c.a = &end{}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.timer = time.NewTimer(time.Hour)
	c.timer.Stop()
	return c
}

// open makes leg A. Without one, because of a bug, the call is only recorded.
func (c *call) open() (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			_ = fence(c.log, c.x.metrics, c.id, r)
			c.a = nil
		}
	}()
	c.a.leg = c.offer.Open(c.id, c.notifyA)
	return true
}

func (c *call) notifyA(e Event) { c.post(message{leg: c.a, event: e}) }

func (c *call) post(m message) {
	if !c.inbox.post(m) {
		c.x.metrics.dropped.Inc()
	}
}

// agent names who dialled the way a route names whom it rings: "phone:1001", "trunk:pbx/200".
func agent(o Offer) string {
	if strings.HasPrefix(o.Peer, "trunk:") && o.From != "" {
		return o.Peer + "/" + o.From
	}
	return o.Peer
}

// run is the call's goroutine.
func (c *call) run(refuse Cause) {
	defer c.x.remove(c)
	defer c.timer.Stop()
	c.guard(func() { c.begin(refuse) })
	stats := time.NewTicker(statsInterval)
	defer stats.Stop()
	for c.state != stateEnded {
		select {
		case <-c.inbox.wake:
			for _, m := range c.inbox.take() {
				c.guard(func() { c.handle(m) })
			}
		case <-c.timer.C:
			c.guard(c.timeout)
		case <-stats.C:
			c.guard(c.meter)
		}
	}
	c.cancel()
	<-c.decideEnd
}

// guard is the panic fence: a bug ends this call only.
func (c *call) guard(f func()) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		_ = fence(c.log, c.x.metrics, c.id, r)
		if c.state >= stateEnding {
			c.abandon()
			return
		}
		c.cause = Cause{Fault: FaultUs, Reason: ReasonInternal}
		c.guard(func() { c.step(inHangup, nil) })
	}()
	f()
}

func (c *call) begin(refuse Cause) {
	c.record(FactOffered)
	switch {
	case !refuse.IsZero():
		c.decline(refuse)
	case c.a == nil: // nobody to talk to: a missed call is only recorded
		c.decline(c.offer.Missed)
	default:
		go c.decide(c.snapshot())
	}
}

// decline ends a call that nothing has to be decided about.
func (c *call) decline(cause Cause) {
	close(c.decideEnd)
	c.decided = true
	c.cause = cause
	c.step(inRefused, nil)
}

// decide finds the route and asks policy, away from the call's goroutine so that a hang-up is heard meanwhile.
func (c *call) decide(cdr CDR) {
	defer close(c.decideEnd)
	defer func() {
		if r := recover(); r != nil {
			_ = fence(c.log, c.x.metrics, c.id, r)
			c.post(message{in: inRefused, cause: Cause{Fault: FaultUs, Reason: ReasonInternal}})
		}
	}()
	ctx, cancel := context.WithTimeout(c.ctx, decideTimeout)
	defer cancel()
	route, cause := c.x.cfg.Router.Route(ctx, c.offer)
	if cause.IsZero() && len(route.Targets) == 0 {
		cause = Cause{Fault: FaultUs, Reason: ReasonNoRoute, Text: "Nobody is set up to take this call."}
	}
	if !cause.IsZero() {
		c.post(message{in: inRefused, cause: cause, route: route})
		return
	}
	d, err := c.x.cfg.Authorizer.Authorize(ctx, Attempt{Direction: c.offer.Direction, Line: route.Line, Customer: route.Customer, From: c.offer.From})
	if err != nil {
		c.log.Warn("the call could not be decided about", "err", err)
		c.post(message{in: inRefused, route: route, cause: causeOf(err)})
		return
	}
	if !d.Allowed {
		c.post(message{in: inRefused, route: route, cause: Cause{Fault: FaultPolicy, Reason: ReasonRefused, Rule: d.Rule, Text: d.Sentence}})
		return
	}
	cdr.Line, cdr.Customer = route.Line, route.Customer
	allowed := Fact{Kind: FactAllowed, At: time.Now(), CDR: cdr}
	if c.offer.Direction == Inbound {
		c.x.ledger.add(allowed, nil)
	} else {
		// The attempt counts before Meta hears of it: a crash may over-count by one, never under-count.
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		err := c.x.ledger.addSync(ctx, allowed)
		cancel()
		if err != nil {
			c.log.Error("call refused because the attempt could not be stored; check the data disk", "err", err)
			c.post(message{in: inRefused, route: route, cause: Cause{Fault: FaultUs, Reason: ReasonInternal, Text: "The call could not be recorded.", RetryAfter: 30 * time.Second}})
			return
		}
	}
	c.post(message{in: inRouted, route: route})
}

// handle turns a message into an input of the state machine.
func (c *call) handle(m message) {
	if m.leg == nil {
		if m.in == inRouted || m.in == inRefused {
			c.decided = true
			c.adoptRoute(m.route)
		}
		c.blame(m.cause)
		c.step(m.in, nil)
		c.checkGone()
		return
	}
	switch from := m.leg; m.event.Kind {
	case EventRinging:
		c.step(inRinging, from)
	case EventAnswered:
		c.step(inAnswered, from)
	case EventAccepted:
		c.step(inAccepted, from)
	case EventHold:
		c.ifJoined(inHold, from)
	case EventResume:
		c.ifJoined(inResume, from)
	case EventFormat:
		c.ifJoined(inFormat, from)
	case EventDigit:
		if from == c.a || from == c.winner {
			c.forwardDigit(from, m.event.Digit)
		}
	case EventNamed:
		c.update(func(r *CDR) { r.Wacid = c.wacid() })
		c.record(FactDialled)
	case EventEnded:
		c.legEnded(from, m.event.Cause)
	}
}

// ifJoined passes on what only matters when it comes from one of the two legs that talk.
func (c *call) ifJoined(in input, from *end) {
	if from == c.a || from == c.winner {
		c.step(in, from)
	}
}

func (c *call) forwardDigit(from *end, d media.Digit) {
	_, do, _ := next(c.state, inDigit)
	if len(do) == 0 {
		return
	}
	if other := c.other(from); other != nil {
		other.leg.Stream().SendDigit(d)
	}
}

func (c *call) legEnded(e *end, cause Cause) {
	if e.gone {
		return
	}
	e.gone, e.cause = true, cause
	if e.leg != nil {
		c.meterEnd(e)
	}
	switch {
	case e == c.a:
		c.blame(c.fromLegA(cause))
		c.step(inAEnded, e)
	case e == c.winner:
		c.blame(cause)
		c.step(inBEnded, e)
	case c.winner == nil && c.allTargetsGone():
		c.blame(c.worstCause())
		c.step(inBEnded, e)
	}
	c.checkGone()
}

// fromLegA names a hang-up before the answer what it is.
func (c *call) fromLegA(cause Cause) Cause {
	if c.state < stateTalking && cause.Reason == ReasonHangup {
		return Cause{Fault: FaultCaller, Reason: ReasonCancelled}
	}
	return cause
}

// blame sets why the call ended; the first cause wins.
func (c *call) blame(cause Cause) {
	if c.state < stateEnding && !cause.IsZero() {
		c.cause = cause
	}
}

func (c *call) allTargetsGone() bool {
	for _, e := range c.b {
		if !e.gone {
			return false
		}
	}
	return true
}

// worstCause is the reason that says most when several phones failed: somebody's decision beats a technical failure.
func (c *call) worstCause() Cause {
	rank := map[Reason]int{ReasonDeclined: 5, ReasonBusy: 4, ReasonNoAnswer: 3, ReasonRefused: 2}
	best := Cause{Fault: FaultUnknown, Reason: ReasonUnreachable}
	for i, e := range c.b {
		if i == 0 || rank[e.cause.Reason] > rank[best.Reason] {
			best = e.cause
		}
	}
	return best
}

func (c *call) checkGone() {
	if c.state == stateEnding && c.decided && (c.a == nil || c.a.gone) && c.allTargetsGone() {
		c.step(inAllGone, nil)
	}
}

// step feeds one input to the state machine and does what it says.
func (c *call) step(in input, from *end) {
	to, do, ok := next(c.state, in)
	if !ok {
		c.x.metrics.unexpected.WithLabelValues(c.state.String(), in.String()).Inc()
		c.log.Warn("call got an input its state does not expect", "state", c.state.String(), "input", in.String())
		return
	}
	changed := to != c.state
	c.log.Debug("call", "state", to.String(), "input", in.String())
	c.state = to
	c.update(func(r *CDR) { r.State = to.String() })
	for _, a := range do {
		c.perform(a, from)
	}
	if changed {
		c.x.changed()
	}
	if to == stateEnding {
		c.checkGone()
	}
}

func (c *call) timeout() {
	switch c.state {
	case stateEnding:
		c.abandon()
	case stateAnswering:
		c.cause = Cause{Fault: FaultUpstream, Reason: ReasonUpstream, Text: "The answer did not take effect in time."}
		c.step(inTimeout, nil)
	default:
		c.cause = Cause{Fault: FaultCallee, Reason: ReasonNoAnswer}
		c.step(inTimeout, nil)
	}
}

// abandon closes the record of a call whose legs did not end as they promised.
func (c *call) abandon() {
	for _, e := range append([]*end{c.a}, c.b...) {
		if e != nil && !e.gone {
			e.gone = true
			c.x.metrics.stuck.Inc()
			c.log.Error("a leg did not end in time; its resources may be lost until restart", "target", e.target.Name)
		}
	}
	c.guard(func() { c.step(inAllGone, nil) })
	c.state = stateEnded
}

func (c *call) other(e *end) *end {
	if e == c.a {
		return c.winner
	}
	return c.a
}

func (c *call) wacid() string {
	if c.offer.Wacid != "" {
		return c.offer.Wacid
	}
	for _, e := range c.b {
		if e.leg != nil && e.leg.Kind() == KindWhatsApp {
			return e.leg.Record().CallID
		}
	}
	return ""
}

func (c *call) adoptRoute(r Route) {
	c.route = r
	c.update(func(cdr *CDR) {
		if r.Line != "" {
			cdr.Line = r.Line
		}
		if r.Customer != (Customer{}) {
			cdr.Customer = r.Customer
		}
	})
}

func (c *call) update(f func(*CDR)) {
	c.mu.Lock()
	f(&c.cdr)
	c.mu.Unlock()
}

// snapshot is the CDR as it stands, with its legs.
func (c *call) snapshot() CDR {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.cdr
	r.Legs = append([]LegRecord(nil), c.cdr.Legs...)
	return r
}

func (c *call) info() CallInfo {
	r := c.snapshot()
	return CallInfo{CDR: r, State: r.State}
}

// record writes a fact with the call as it stands now.
func (c *call) record(k FactKind) {
	var legs []LegRecord
	for _, e := range append([]*end{c.a}, c.b...) {
		if e == nil || e.leg == nil {
			continue
		}
		l := e.leg.Record()
		if e.gone {
			l.Cause = e.cause
		}
		legs = append(legs, l)
	}
	c.update(func(r *CDR) { r.Legs = legs })
	c.x.ledger.add(Fact{Kind: k, At: time.Now(), CDR: c.snapshot()}, nil)
}
