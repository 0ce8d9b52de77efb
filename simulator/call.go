package simulator

import (
	"context"
	"sync/atomic"
	"time"
)

// State is how far a call has come, seen from the customer.
type State string

// The states of a call, in order.
const (
	StateDialling    State = "dialling"     // nothing signalled yet
	StateRinging     State = "ringing"      // inbound: the business has the connect webhook; outbound: the phone rings
	StatePreAccepted State = "pre_accepted" // inbound
	StateConnected   State = "connected"    // answered
	StateEnded       State = "ended"
)

// Who ended a call.
const (
	ByCustomer = "customer"
	ByBusiness = "business"
	ByNetwork  = "network"
)

// End says how a call ended.
type End struct {
	By       string        `json:"by"`
	Reason   string        `json:"reason"` // hangup, reject, terminate, declined, no_answer, media, setup, closed
	Code     int           `json:"code"`   // error code of a FAILED terminate webhook, 0 otherwise
	Answered bool          `json:"answered"`
	Duration time.Duration `json:"duration"`
}

// mediaView is what the watchdog looks at.
type mediaView struct {
	known    bool // a browser's media is not ours to see
	up       bool // DTLS is through
	lastRTP  time.Time
	lastRTCP time.Time
}

// endpoint is the customer's device. Methods are called from the call's actor and do not block for long.
type endpoint interface {
	offer(ctx context.Context) (string, error)
	answerTo(ctx context.Context, offer string) (string, error)
	remoteAnswer(sdp string) error
	state(s State)
	accepted(at time.Time) // the moment the business may send from (accept's 200) or the customer picked up
	startSending()
	media() mediaView
	over(e End)
	wait() // until over has released everything
}

// call is one call at Meta. One goroutine (run) owns everything below the line.
type call struct {
	m        *Meta
	id       string
	num      *number
	cust     *Customer
	outbound bool
	ep       endpoint
	delivery Delivery
	opaque   string
	bizOffer string
	opts     CallOptions

	ctx    context.Context // ends with the call's actor
	cancel context.CancelFunc
	in     chan func()
	done   chan struct{}
	out    chan update
	gone   atomic.Bool // ended: the customer is free for another call

	// owned by run
	state      State
	signalled  bool // the connect webhook is out
	counted    bool // inbound: window and callback permission are dealt with
	localSDP   string
	bizAnswer  string
	began      time.Time // simulated
	answeredAt time.Time // simulated; zero while unanswered
	talked     time.Duration
	answered   time.Time // real, for the watchdog
	over       bool      // ended, terminate webhook may still be due
	held       []update  // webhooks kept back by the Delivery
}

// newCall registers a call. m.mu is held.
func (m *Meta) newCall(id string, n *number, cust *Customer, outbound bool, ep endpoint) *call {
	c := &call{m: m, id: id, num: n, cust: cust, outbound: outbound, ep: ep, state: StateDialling,
		in: make(chan func(), 16), done: make(chan struct{}), out: make(chan update, 64), delivery: m.delivery, began: m.clock.Now()}
	if d := cust.config().Delivery; d != nil {
		c.delivery = *d
	}
	c.ctx, c.cancel = context.WithCancel(m.ctx)
	m.calls[id] = c
	return c
}

// startCall runs the actor and the outbox.
func (m *Meta) startCall(c *call) bool {
	if c.ep == nil {
		c.ep = c.cust.device(c)
	}
	if m.spawn("webhook outbox", c.runOutbox) {
		if m.spawn("call", c.run) {
			return true
		}
		close(c.out)
	}
	c.forget()
	return false
}

func (c *call) run() {
	defer close(c.done)
	defer c.forget()
	defer close(c.out)
	defer c.ep.wait()
	defer c.cancel()
	defer c.finishIfBroken()
	watch := time.NewTicker(max(10*time.Millisecond, min(c.m.timing.MediaStart/20, 250*time.Millisecond)))
	defer watch.Stop()
	for {
		select {
		case f := <-c.in:
			f()
		case <-watch.C:
			c.watchdog()
		case <-c.ctx.Done():
			if !c.over {
				c.markOver(End{By: ByNetwork, Reason: "closed"})
			}
			return
		}
	}
}

// finishIfBroken ends the device when the actor panicked; the fence of spawn reports it.
func (c *call) finishIfBroken() {
	if !c.over {
		c.markOver(End{By: ByNetwork, Reason: "closed"})
	}
}

func (c *call) forget() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	delete(c.m.calls, c.id)
	c.m.past[c.id] = struct{}{}
	c.m.pastOrder = append(c.m.pastOrder, c.id)
	if len(c.m.pastOrder) > 10000 {
		delete(c.m.past, c.m.pastOrder[0])
		c.m.pastOrder = c.m.pastOrder[1:]
	}
}

// do runs f in the actor and waits; false when the call is gone.
func (c *call) do(f func()) bool {
	ran := make(chan struct{})
	select {
	case c.in <- func() { defer close(ran); f() }:
	case <-c.done:
		return false
	}
	select {
	case <-ran:
		return true
	case <-c.done:
		return false
	}
}

// after runs f in the actor in d, unless the call is gone by then.
func (c *call) after(d time.Duration, f func()) {
	t := time.AfterFunc(d, func() {
		select {
		case c.in <- f:
		case <-c.done:
		case <-c.ctx.Done():
		}
	})
	context.AfterFunc(c.ctx, func() { t.Stop() })
}

func (c *call) setState(s State) {
	if c.state == s || c.over {
		return
	}
	c.state = s
	c.ep.state(s)
}

// action is one Graph action on this call; it runs in the actor.
func (c *call) action(b *callsBody, q *graphRequest) *graphError {
	if c.over {
		return refuse(100, "Call is not in a valid state: it has ended")
	}
	switch b.Action {
	case "pre_accept", "accept":
		if c.outbound {
			return refuse(100, "Call is not in a valid state: %s is for user initiated calls", b.Action)
		}
		if e := c.takeAnswer(b); e != nil {
			return e
		}
		if b.Opaque != "" {
			c.opaque = b.Opaque
		}
		if b.Action == "accept" {
			c.accept(q)
		} else if c.state == StateRinging || c.state == StateDialling {
			c.setState(StatePreAccepted)
		}
	case "reject":
		if c.outbound || c.state == StateConnected {
			return refuse(100, "Call is not in a valid state: it can not be rejected now")
		}
		c.end(End{By: ByBusiness, Reason: "reject"})
	case "terminate":
		c.end(End{By: ByBusiness, Reason: "terminate"})
	}
	return nil
}

func (c *call) takeAnswer(b *callsBody) *graphError {
	if b.Session == nil || b.Session.SDP == "" {
		return refuse(100, "The parameter session is required")
	}
	if b.Session.Type != "answer" {
		return refuse(100, "session.sdp_type must be \"answer\" for %s", b.Action)
	}
	if c.bizAnswer != "" {
		if c.bizAnswer != b.Session.SDP && !c.m.ruleOff(RuleSameSDP) {
			return refuse(138008, "SDP of accept must be the same as of pre_accept")
		}
		return nil
	}
	c.m.mu.Lock()
	codecs := c.num.extraCodecs()
	c.m.mu.Unlock()
	if e := c.m.checkSDP(b.Session.SDP, SDPContext{Answer: true, Offer: c.localSDP, Codecs: codecs}); e != nil {
		return e
	}
	if err := c.ep.remoteAnswer(b.Session.SDP); err != nil {
		return refuse(138008, "SDP could not be applied: %v", err)
	}
	c.bizAnswer = b.Session.SDP
	return nil
}

// accept connects an inbound call. The business may send from the moment its 200 leaves, not before.
func (c *call) accept(q *graphRequest) {
	if c.state == StateConnected {
		return
	}
	q.beforeAnswer = func() {
		now := time.Now()
		c.ep.accepted(now)
		c.do(func() {
			if c.over {
				return
			}
			c.pickedUp(now)
			c.ep.startSending()
		})
	}
}

// pickedUp counts the connected call.
func (c *call) pickedUp(now time.Time) {
	c.answered, c.answeredAt = now, c.m.clock.Now()
	c.m.mu.Lock()
	p := c.m.permissionOf(c.num, c.cust)
	p.connect(c.outbound, c.answeredAt)
	p.window = c.answeredAt.Add(day)
	c.m.mu.Unlock()
	c.setState(StateConnected)
}

// watchdog is the client's: 20 s without any business media at the start, 30 s without RTP or RTCP later on.
func (c *call) watchdog() {
	if c.over || c.state != StateConnected {
		return
	}
	v := c.ep.media()
	if !v.known {
		return
	}
	now := time.Now()
	last := v.lastRTP
	if v.lastRTCP.After(last) {
		last = v.lastRTCP
	}
	switch {
	case v.lastRTP.IsZero() && now.Sub(c.answered) > c.m.timing.MediaStart:
		code := 138021
		if !v.up {
			code = 138023
		}
		c.end(End{By: ByNetwork, Reason: "media", Code: code})
	case !v.lastRTP.IsZero() && now.Sub(last) > c.m.timing.MediaLoss:
		c.end(End{By: ByNetwork, Reason: "media", Code: 138021})
	}
}

// end finishes the call; the terminate webhook follows.
func (c *call) end(e End) {
	if c.over {
		return
	}
	c.markOver(e)
	switch {
	case !c.outbound:
		c.countInbound() // given up before the connect webhook: a call all the same
	case c.answeredAt.IsZero() && e.Code == 0:
		c.countMiss()
	}
	c.after(c.m.timing.HangupToTerminate, func() {
		c.emit(c.terminateUpdate(e))
		c.flush()
		c.cancel()
	})
}

func (c *call) markOver(e End) {
	e.Answered = !c.answeredAt.IsZero()
	if e.Answered {
		e.Duration = c.m.clock.Now().Sub(c.answeredAt)
		c.talked = e.Duration
	}
	c.setState(StateEnded)
	c.over = true
	c.gone.Store(true)
	c.ep.over(e)
}

func (c *call) countMiss() {
	now := c.m.clock.Now()
	c.m.mu.Lock()
	s := c.m.permissionOf(c.num, c.cust).miss(now)
	c.m.mu.Unlock()
	switch s {
	case streakNotice:
		c.cust.receive(c.num, Message{PhoneNumberID: c.num.PhoneNumberID, At: now, Type: "system",
			Text: "You did not answer the last calls. Do you still want this business to call you?"})
	case streakRevoked:
		c.cust.receive(c.num, Message{PhoneNumberID: c.num.PhoneNumberID, At: now, Type: "system", Text: "This business can not call you any more."})
		c.m.sendPermissionReply(c.num, c.cust, permissionReply{response: "reject", source: "automatic", at: now})
	case streakNothing:
	}
}
