package simulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// CallEvent is a change of a customer's call.
type CallEvent struct {
	State State
	At    time.Time
	End   *End // with StateEnded
}

// CustomerCall is one call as its customer has it in the hand, with real media.
type CustomerCall struct {
	cust      *Customer
	call      *call
	behaviour Behaviour
	outbound  bool
	events    chan CallEvent
	heard     *heard

	mu      sync.Mutex
	peer    *peer
	history []CallEvent
	changed chan struct{} // closed and replaced with each event
	end     End
	ended   chan struct{}
	closed  chan struct{} // media released
	isOver  bool
	playing Playback
}

func newCustomerCall(c *Customer, cl *call, b Behaviour) *CustomerCall {
	cc := &CustomerCall{cust: c, call: cl, behaviour: b, outbound: cl != nil, playing: b.Play,
		events: make(chan CallEvent, 64), changed: make(chan struct{}),
		ended: make(chan struct{}), closed: make(chan struct{})}
	cc.heard = newHeard(b.MaxSilence, b.KeepPackets, !cc.outbound)
	return cc
}

// ID is the call's wacid.
func (cc *CustomerCall) ID() string { return cc.call.id }

// Outbound says whether the company called.
func (cc *CustomerCall) Outbound() bool { return cc.outbound }

// Events delivers the state changes; a reader that lags more than 64 events misses some. It is closed after StateEnded.
func (cc *CustomerCall) Events() <-chan CallEvent { return cc.events }

// State is the latest state.
func (cc *CustomerCall) State() State {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if n := len(cc.history); n > 0 {
		return cc.history[n-1].State
	}
	return StateDialling
}

// History returns all events so far.
func (cc *CustomerCall) History() []CallEvent {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	return append([]CallEvent(nil), cc.history...)
}

// Ended is closed when the call is over for the customer.
func (cc *CustomerCall) Ended() <-chan struct{} { return cc.ended }

// End says how it ended; valid after Ended.
func (cc *CustomerCall) End() End {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	return cc.end
}

// WaitState waits until the call has been in state s. It fails when the call ends without.
func (cc *CustomerCall) WaitState(ctx context.Context, s State) error {
	for {
		cc.mu.Lock()
		for _, e := range cc.history {
			if e.State == s {
				cc.mu.Unlock()
				return nil
			}
		}
		changed, over, end := cc.changed, cc.isOver, cc.end
		cc.mu.Unlock()
		if over {
			return fmt.Errorf("call ended (%s by %s) before it was %s", end.Reason, end.By, s)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for a call to be %s: %w", s, ctx.Err())
		}
	}
}

func (cc *CustomerCall) publish(e CallEvent) {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.isOver {
		return
	}
	cc.history = append(cc.history, e)
	close(cc.changed)
	cc.changed = make(chan struct{})
	select {
	case cc.events <- e:
	default:
	}
	if e.State == StateEnded {
		cc.isOver = true
		close(cc.events)
	}
}

// Answer picks up an outbound call.
func (cc *CustomerCall) Answer() { cc.call.do(cc.call.pickUp) }

// Decline refuses an outbound call.
func (cc *CustomerCall) Decline() { cc.call.do(cc.call.decline) }

// Hangup ends the call in any state.
func (cc *CustomerCall) Hangup() {
	cc.call.do(func() { cc.call.end(End{By: ByCustomer, Reason: "hangup"}) })
}

// FailMedia ends the call as the network does when the customer's client could not set media up (138019–138023).
func (cc *CustomerCall) FailMedia(code int) {
	cc.call.do(func() { cc.call.end(End{By: ByNetwork, Reason: "media", Code: code}) })
}

// --- endpoint ---

func (cc *CustomerCall) state(s State) {
	if s == StateEnded {
		return // over publishes it, with the end
	}
	if s == StateDialling && cc.outbound {
		select {
		case cc.cust.calls <- cc:
		default:
		}
	}
	cc.publish(CallEvent{State: s, At: time.Now()})
	if s == StateRinging && cc.outbound {
		cc.react()
	}
	if s == cc.behaviour.HangupIn {
		cc.call.after(cc.behaviour.HangupAfter, func() { cc.call.end(End{By: ByCustomer, Reason: "hangup"}) })
	}
}

func (cc *CustomerCall) react() {
	after := cc.behaviour.After
	if after == 0 {
		after = cc.cust.m.timing.Pickup
	}
	switch cc.behaviour.React {
	case ReactAnswer:
		cc.call.after(after, cc.call.pickUp)
	case ReactDecline:
		cc.call.after(after, cc.call.decline)
	case ReactIgnore, ReactManual:
	}
}

func (cc *CustomerCall) openPeer() (*peer, error) {
	p, err := newPeer(cc.cust.m, cc.heard, cc.behaviour)
	if err != nil {
		return nil, err
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.isOver {
		return nil, errors.Join(errors.New("call is over"), p.close())
	}
	cc.peer = p
	if err := p.sender.play(cc.playing); err != nil {
		return nil, err // over closes the peer
	}
	return p, nil
}

func (cc *CustomerCall) media() mediaView {
	cc.mu.Lock()
	p := cc.peer
	cc.mu.Unlock()
	v := mediaView{known: true, up: p != nil && p.isUp()}
	v.lastRTP, v.lastRTCP = cc.heard.last()
	return v
}

func (cc *CustomerCall) offer(ctx context.Context) (string, error) {
	p, err := cc.openPeer()
	if err != nil {
		return "", err
	}
	return p.offer(ctx)
}

func (cc *CustomerCall) answerTo(ctx context.Context, offer string) (string, error) {
	p, err := cc.openPeer()
	if err != nil {
		return "", err
	}
	return p.answer(ctx, offer)
}

func (cc *CustomerCall) remoteAnswer(sdp string) error { return cc.peerNow().applyAnswer(sdp) }

func (cc *CustomerCall) peerNow() *peer {
	cc.mu.Lock()
	defer cc.mu.Unlock()
	return cc.peer
}

func (cc *CustomerCall) accepted(at time.Time) { cc.heard.open(at) }

func (cc *CustomerCall) startSending() {
	if p := cc.peerNow(); p != nil {
		p.startSending()
	}
}

// over releases the media in the background: it takes some milliseconds and the actor has a webhook to send.
func (cc *CustomerCall) over(e End) {
	cc.mu.Lock()
	cc.end = e
	cc.mu.Unlock()
	cc.heard.stop()
	cc.publish(CallEvent{State: StateEnded, At: time.Now(), End: &e})
	close(cc.ended)
	p := cc.peerNow()
	go func() { // wait() is its owner's
		defer close(cc.closed)
		defer cc.cust.m.fence("close media")
		if p == nil {
			return
		}
		if err := p.close(); err != nil {
			cc.cust.m.log.Debug("close simulated media", "err", err)
		}
	}()
}

func (cc *CustomerCall) wait() { <-cc.closed }
