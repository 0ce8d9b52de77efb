package bridge

import (
	"context"
	"log/slog"
	"slices"
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

	summons  *Summons // the call begins by ringing the agent; nil: it came in
	inbox    inbox
	ctx      context.Context // ends when the call begins to end: cancels deciding and dialling
	cancel   context.CancelFunc
	deciding sync.WaitGroup
	decided  bool // deciding has said what it had to say: no fact of its can come after the final one

	state    state
	a        *end
	accepted bool // leg A was answered
	b        []*end
	left     []*end // legs B whose place was taken by others
	winner   *end
	holder   *end // who holds the other, nil while nobody does
	cause    Cause
	verdict  Cause // what the record says of a call that nobody but a menu took
	route    Route
	timer    *time.Timer
	music    func()          // stops what plays to an end that waits, nil when nothing does
	joined   [2]media.Format // what the pipes in place convert between; zero when the audio is not joined
	tape     tape
	at       stageTimes

	mu  sync.Mutex
	cdr CDR
}

// stageTimes are the moments the set-up histograms are made of.
type stageTimes struct{ decide, dialled, rang, answered, accepted time.Time }

func newCall(x *Exchange, id string, o Offer, s *Summons) *call {
	o.Call = id
	if o.Received.IsZero() {
		o.Received = time.Now()
	}
	if o.At.IsZero() {
		o.At = x.cfg.Now()
	}
	c := &call{
		x: x, id: id, offer: o, summons: s, state: stateOffered, inbox: newInbox(),
		log: x.cfg.Logger.With("call", id, "direction", o.Direction),
		cdr: CDR{
			ID: id, Direction: o.Direction, Line: o.Line, Wacid: o.Wacid, Customer: o.Customer, Dialled: o.Dialled,
			Payload: o.Payload, State: stateOffered.String(), OfferedAt: o.At,
		},
	}
	if o.Direction == Outbound {
		c.cdr.Agent = agent(o)
	}
	if s != nil {
		c.state, c.cdr.State, c.cdr.Agent = stateSummoning, stateSummoning.String(), s.Agent.Name
		c.a = &end{target: s.Agent}
	} else if o.Open != nil {
		c.a = &end{}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.timer = time.NewTimer(time.Hour)
	c.timer.Stop()
	return c
}

// open makes leg A. A call without one, for the cause returned, is only recorded.
func (c *call) open() (cause Cause) {
	defer func() {
		if r := recover(); r != nil {
			_ = fence(c.log, c.x.metrics, c.id, r)
			c.a, cause = nil, Cause{Fault: FaultUs, Reason: ReasonInternal}
		}
	}()
	switch {
	case c.summons != nil:
		s := c.summons
		inv := Invite{Call: c.id, Line: s.Line, LineName: s.LineName, Customer: s.Customer, Target: s.Agent.Address}
		leg, err := s.Agent.Dialer.Dial(c.ctx, inv, c.notifyA)
		if err != nil {
			c.a = nil
			return causeOf(err)
		}
		c.a.leg = leg
	case c.offer.Open != nil:
		c.a.leg = c.offer.Open(c.id, c.notifyA)
	}
	return Cause{}
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
	c.deciding.Wait()
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
	case c.summons != nil:
		c.decided = true // until the agent is there
		c.timer.Reset(c.summons.RingTimeout)
	default:
		c.decide()
	}
}

// decline ends a call that nothing has to be decided about.
func (c *call) decline(cause Cause) {
	c.decided = true
	c.state = stateOffered
	c.cause = cause
	c.step(inRefused, nil)
}

// handle turns a message into an input of the state machine.
func (c *call) handle(m message) {
	if m.leg == nil {
		if m.in == inRouted || m.in == inRefused {
			c.decided = true
			c.verdict = m.verdict
			c.adoptRoute(m.route)
		}
		if m.do != nil {
			m.do()
			return
		}
		c.blame(m.cause)
		c.step(m.in, nil)
		c.checkGone()
		return
	}
	if slices.Contains(c.left, m.leg) && m.event.Kind != EventEnded {
		if m.event.Kind == EventAnswered { // it crossed our hang-up
			c.perform(actDropSurplus, m.leg)
		}
		return
	}
	switch from := m.leg; m.event.Kind {
	case EventRinging:
		if from != c.a { // a summoned agent's phone rings: nothing to tell anybody
			c.step(inRinging, from)
		}
	case EventAnswered:
		if from == c.a {
			c.accepted = true
			c.step(inSummoned, from)
			return
		}
		c.step(inAnswered, from)
	case EventAccepted:
		c.accepted = true
		if c.mustAnnounce() {
			c.step(inAnnounce, from)
			return
		}
		c.step(inAccepted, from)
	case EventEarly:
		c.step(inAccepted, from)
	case EventTransfer:
		if from == c.winner && c.offer.Direction == Outbound && m.event.To != "" {
			c.offer.Dialled, c.offer.Via = m.event.To, nil
			c.step(inTransfer, from)
		}
	case EventHold:
		c.ifJoined(inHold, from)
	case EventResume:
		c.ifJoined(inResume, from)
	case EventFormat:
		c.ifJoined(inFormat, from)
	case EventDigit:
		if from == c.a || from == c.winner {
			c.digit(from, m.event.Digit)
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

// digit is a key that an end pressed.
func (c *call) digit(from *end, d media.Digit) {
	_, do, _ := next(c.state, inDigit)
	for _, a := range do {
		switch a {
		case actForwardDigit:
			c.forwardDigit(from, d)
		case actConsent:
			c.consentDigit(from, d)
		}
	}
}

func (c *call) forwardDigit(from *end, d media.Digit) {
	other := c.other(from)
	if other == nil {
		return
	}
	for _, d := range c.keys(from, d) {
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
		if c.route.Early {
			cause = c.verdict
		}
		c.blame(cause)
		c.step(inBEnded, e)
	case c.winner == nil && c.allTargetsGone() && !slices.Contains(c.left, e):
		c.nobody(c.worstCause(), inBEnded)
	}
	c.checkGone()
}

// nobody is that no target of the stage took the call: the next one is tried, else the call ends for this cause.
func (c *call) nobody(cause Cause, in input) {
	if len(c.route.Next) > 0 && (c.state == stateDialling || c.state == stateRinging) {
		c.verdict = cause
		c.step(inOverflow, nil)
		return
	}
	c.blame(cause)
	c.step(in, nil)
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

// ends are all legs there are or were.
func (c *call) ends() []*end {
	var all []*end
	if c.a != nil {
		all = append(all, c.a)
	}
	return append(append(all, c.left...), c.b...)
}

func (c *call) allGone() bool {
	return !slices.ContainsFunc(c.ends(), func(e *end) bool { return !e.gone })
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
	if c.state == stateEnding && c.decided && c.allGone() {
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
	case stateSummoning:
		c.cause = Cause{Fault: FaultCaller, Reason: ReasonNoAnswer, Text: "The agent's phone was not answered."}
		c.step(inTimeout, nil)
	default:
		c.nobody(Cause{Fault: FaultCallee, Reason: ReasonNoAnswer}, inTimeout)
	}
}

// abandon closes the record of a call whose legs did not end as they promised.
func (c *call) abandon() {
	for _, e := range c.ends() {
		if !e.gone {
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
		cdr.Feature = r.Feature
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
	for _, e := range c.ends() {
		if e.leg == nil {
			continue
		}
		l := e.leg.Record()
		if e.gone {
			l.Cause = e.cause
		}
		legs = append(legs, l)
	}
	c.update(func(r *CDR) { r.Legs = legs })
	c.x.ledger.add(Fact{Kind: k, At: c.x.cfg.Now(), CDR: c.snapshot()}, nil)
}
