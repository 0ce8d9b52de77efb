package sip

import (
	"time"

	msg "github.com/emiago/sipgo/sip"
)

// awaitNegativeAck keeps the transaction until the ACK of a final answer that is no 2xx, which sipgo repeats until then.
func (l *Leg) awaitNegativeAck(in *inbound) {
	l.ackDone(in.req.CSeq().SeqNo)
	select {
	case <-in.tx.Acks():
	case <-in.tx.Done():
	case <-l.e.ctx.Done():
	case <-time.After(64 * l.e.t1()):
	}
}

// confirm repeats a 2xx until its ACK comes (RFC 3261 §13.3.1.4: over every transport, at T1 doubling to T2, for 64·T1).
func (l *Leg) confirm(in *inbound, res *msg.Response) {
	seq := in.req.CSeq().SeqNo
	ack := l.ackPending(seq)
	defer l.ackDone(seq)
	t1 := l.e.t1()
	interval, deadline := t1, time.NewTimer(64*t1)
	repeat := time.NewTimer(interval)
	defer deadline.Stop()
	defer repeat.Stop()
	for {
		select {
		case <-ack: // onAck has told the loop
			return
		case req := <-in.tx.Acks(): // a far end that gave the ACK the branch of the INVITE
			l.post(happening{kind: hapAck, ack: req})
			return
		case <-repeat.C:
			_ = in.tx.Respond(res)
			interval = min(2*interval, 8*t1)
			repeat.Reset(interval)
		case <-deadline.C:
			l.post(happening{kind: hapNoAck})
			return
		case <-l.e.ctx.Done():
			return
		}
	}
}

// ackPending makes or returns the channel the ACK of an INVITE with this CSeq arrives on.
func (l *Leg) ackPending(seq uint32) chan *msg.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := l.acks[seq]
	if ch == nil {
		ch = make(chan *msg.Request, 1)
		l.acks[seq] = ch
	}
	return ch
}

// ackDone forgets it, performs a BYE that had to wait for it, and gives up the dialog if the leg has ended.
func (l *Leg) ackDone(seq uint32) {
	l.mu.Lock()
	delete(l.acks, seq)
	waiting := l.over && len(l.acks) == 0
	bye := l.byeLater
	l.byeLater = false
	l.mu.Unlock()
	if bye {
		l.sendBye()
		l.e.legs.end()
	}
	if waiting {
		l.e.legs.unbind(l.dialog, false)
	}
}

// onAck brings an ACK to the INVITE it confirms.
func (e *Endpoint) onAck(in *inbound) {
	tag, _ := in.req.To().Params.Get("tag")
	l := e.legs.find(in.req.CallID().Value(), tag)
	if l == nil {
		e.legs.orphanAcked(dialogKey{in.req.CallID().Value(), tag})
		return
	}
	l.mu.Lock()
	ch := l.acks[in.req.CSeq().SeqNo]
	l.mu.Unlock()
	if ch == nil {
		return
	}
	select {
	case ch <- in.req: // the first; its repetitions find the channel full
		// Straight to the loop: by way of the goroutine that repeats the 200 the next request would overtake it.
		l.post(happening{kind: hapAck, ack: in.req})
	default:
	}
}
