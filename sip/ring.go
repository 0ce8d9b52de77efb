package sip

import (
	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// claim makes a branch the winner. Exactly one is; none once the leg is over.
func (l *Leg) claim(b *branch, d *dialog) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.winner != nil || b.stopped() {
		return false
	}
	l.winner, l.dialog = b, d
	return true
}

// answered takes the winner's answer, in the loop.
func (l *Leg) answered(b *branch, res *msg.Response) {
	l.cancelLosers(b)
	if err := l.media.ApplyAnswer(res.Body()); err != nil {
		l.step(inDead, mediaCause(err))
		return
	}
	l.media.Start()
	l.step(inAnswer, bridge.Cause{})
	l.noteHold()
	if tag := toTag(res); tag != "" && tag == l.byeFirst { // it hung up before we knew that it had answered
		l.step(inBye, bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup})
	}
}

func (l *Leg) cancelLosers(winner *branch) {
	for _, b := range l.branches {
		if b != winner {
			b.cancel(bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonAnsweredElsewhere})
		}
	}
}

// cancelBranches ends what the far end sees of a leg that is not up. One that answered a moment ago gets a BYE.
func (l *Leg) cancelBranches(c bridge.Cause) {
	l.mu.Lock()
	l.over = true
	won := l.winner != nil
	l.mu.Unlock()
	for _, b := range l.branches {
		b.cancel(c)
	}
	if won {
		l.sendBye()
	}
}

// branchFailed counts failures; the leg fails with the best of them when all have failed, and at once when a device says
// no for everybody (6xx, RFC 3261 §16.7).
func (l *Leg) branchFailed(h happening) {
	l.left--
	if rank(h.cause) > rank(l.worst) || l.worst.IsZero() {
		l.worst = h.cause
	}
	if l.winner != nil {
		return
	}
	if h.cause.Code >= 600 {
		for _, b := range l.branches {
			b.cancel(h.cause)
		}
		l.step(inFailed, h.cause)
		return
	}
	if l.left == 0 {
		l.step(inFailed, l.worst)
	}
}

// dial makes a leg that rings every branch. Nothing has been sent when it fails.
func (e *Endpoint) dial(p party, inv bridge.Invite, peer flow, notify bridge.Notify, branches []*branch) (bridge.Leg, error) {
	l := e.newLeg(p, false)
	l.notify, l.remote = notify, inv.Target
	l.log = l.log.With("call", inv.Call)
	if err := e.countIn(l); err != nil {
		return nil, err
	}
	if err := l.openMedia(peer.addr.Addr()); err != nil {
		l.discard()
		return nil, err
	}
	body, err := l.media.Offer()
	if err != nil {
		l.discard()
		return nil, err
	}
	l.media.Listen()
	l.branches, l.left = branches, len(branches)
	head := inviteHeaders(inv)
	for _, b := range branches {
		b.l, b.body, b.head, b.stop = l, body, head, make(chan struct{})
	}
	e.beginLeg(l)
	for _, b := range branches {
		e.legs.begin()
		if !e.spawn("invite", b.run) {
			e.legs.end()
			l.failed(b, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonDrain})
		}
	}
	return l, nil
}
