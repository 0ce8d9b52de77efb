package sip

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// openWithin is how long the switchboard may take to open the leg of an Offer.
const openWithin = 5 * time.Second

// onInvite serves a new call from a trunk or phone; a re-INVITE goes to its leg. What is neither from a trunk's address
// nor authenticated never gets further than caller.
func (e *Endpoint) onInvite(in *inbound) {
	if _, has := in.req.To().Params.Get("tag"); has {
		e.onInDialog(in)
		return
	}
	p, from, line, ok := e.caller(in)
	if !ok || !e.acceptable(in) {
		return
	}
	fromTag, _ := in.req.From().Params.Get("tag")
	key := mergeKey{in.req.CallID().Value(), fromTag, in.req.CSeq().SeqNo}
	branch, _ := in.req.Via().Params.Get("branch")
	if e.legs.loops(key, branch) {
		in.refuse(reply{status: 482, phrase: "Loop Detected"}, "loop")
		return
	}
	defer e.legs.unmerge(key)
	l := e.newLeg(p, true)
	l.remote = from
	if r := l.receive(in); r.status != 0 {
		in.respond(r, nil)
		return
	}
	e.offer(l, in, from, line)
}

// caller identifies who calls: a trunk by its address, or a phone by digest. Otherwise the request is answered.
func (e *Endpoint) caller(in *inbound) (p party, from, line string, ok bool) {
	if t := in.trunk; t != nil {
		return t.party(), dialled(in.req.From().Address.User), t.cfg.Line, true
	}
	user, ok := e.login(in)
	if !ok {
		return party{}, "", "", false
	}
	ph := e.view.Load().phones[user]
	if ph == nil {
		in.refuse(reply{status: 403, phrase: "Forbidden"}, "phone_removed")
		return party{}, "", "", false
	}
	return ph.party(), user, ph.cfg.Line, true
}

// acceptable checks what we can do for a known caller (RFC 3261 §8.2.2.3, §8.2.3).
func (e *Endpoint) acceptable(in *inbound) bool {
	if bad := required(in.req); bad != "" {
		in.respond(reply{status: 420, phrase: "Bad Extension"}, nil, msg.NewHeader("Unsupported", bad))
		return false
	}
	if ct := in.req.ContentType(); len(in.req.Body()) > 0 && (ct == nil || !isType(ct.Value(), "application/sdp")) {
		in.respond(reply{status: 415, phrase: "Unsupported Media Type"}, nil, msg.NewHeader("Accept", "application/sdp"))
		return false
	}
	e.life.Lock()
	open := e.open
	e.life.Unlock()
	if !open {
		in.respond(answerFor(bridge.Cause{Reason: bridge.ReasonDrain}), nil)
		return false
	}
	return true
}

// required lists the extensions a request insists on; we have none (100rel, timer, … are not ours to promise).
func required(req *msg.Request) string {
	var all []string
	for _, h := range req.GetHeaders("require") {
		all = append(all, headerText(h.Value()))
	}
	return headerText(strings.Join(all, ", "))
}

// isType compares a Content-Type without its parameters.
func isType(v, want string) bool {
	v, _, _ = strings.Cut(v, ";")
	return strings.EqualFold(strings.TrimSpace(v), want)
}

// receive prepares a leg for an INVITE: tag, 100, media, dialog. A reply with a status refuses the call.
func (l *Leg) receive(in *inbound) reply {
	l.tag = token(8)
	l.dialog = newServerDialog(in.req, l.tag, flow{transport: in.transport, addr: in.src, reuse: in.trunk == nil})
	// sipgo answers a CANCEL itself, from the request as it is: with the tag in it, its 487 has the tag our 180 had. This
	// must happen before anything else uses the transaction.
	in.req.To().Params.Add("tag", l.tag)
	l.refusal = in.response(reply{status: 480, phrase: "Temporarily Unavailable"}, nil).String()
	in.invite100()
	switch err := l.e.countIn(l); {
	case errors.Is(err, ErrOverload):
		l.e.metrics.refused.WithLabelValues("overload").Inc()
		return answerFor(bridge.Cause{Reason: bridge.ReasonOverload, RetryAfter: 10 * time.Second})
	case err != nil:
		return answerFor(bridge.Cause{Reason: bridge.ReasonDrain})
	}
	taken := false
	defer func() {
		if !taken {
			l.discard()
		}
	}()
	if err := l.takeOffer(in); err != nil {
		return sdpReply(err)
	}
	taken = true
	l.invite = in
	l.ackPending(in.req.CSeq().SeqNo)
	l.e.legs.bind(l.dialog, l, false)
	return reply{}
}

func (l *Leg) takeOffer(in *inbound) error {
	if err := l.openMedia(in.src.Addr()); err != nil {
		l.media = nil
		return err
	}
	if l.offer = in.req.Body(); len(l.offer) == 0 {
		l.offer = nil
		return nil
	}
	var err error
	l.answer, err = l.media.Answer(l.offer)
	return err
}

// sdpReply is the answer to an offer we cannot take.
func sdpReply(err error) reply {
	status, warning, text := sdpStatus(err)
	r := reply{status: status, phrase: phraseOf(status)}
	if warning != 0 {
		r.warning = warningHeader(warning, text)
	}
	if status == 503 {
		r.retryAfter = 10
	}
	return r
}

func (in *inbound) invite100() {
	_ = in.tx.Respond(in.response(reply{status: 100, phrase: "Trying"}, nil))
}

// countIn makes Stop hang up and await the leg, which either runs or is discarded.
func (e *Endpoint) countIn(l *Leg) error {
	e.life.Lock()
	defer e.life.Unlock()
	if !e.open || !e.served {
		return ErrStopped
	}
	if !e.legs.add(l, e.cfg.MaxCalls) {
		return ErrOverload
	}
	e.legWG.Add(1)
	return nil
}

// discard undoes countIn and all since for a leg nobody knows yet.
func (l *Leg) discard() {
	if l.media != nil {
		l.media.Close()
	}
	l.e.legs.remove(l)
	l.e.legWG.Done()
}

// offer hands the call to the switchboard and stays with the INVITE until its final answer is acknowledged: sipgo ends
// the transaction when its handler returns.
func (e *Endpoint) offer(l *Leg, in *inbound, from, line string) {
	opened := make(chan struct{})
	var begin sync.Once // in Open, or never
	abandon := func() {
		begin.Do(func() {
			e.log.Error("switchboard did not take a call", "peer", l.party.name)
			e.legs.unbind(l.dialog, false)
			l.discard()
			in.respond(answerFor(bridge.Cause{Reason: bridge.ReasonInternal}), nil)
		})
	}
	defer abandon() // a panic of the switchboard's
	cancelled := bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled}
	giveUp := func(c bridge.Cause) {
		if !l.post(happening{kind: hapCancelled, cause: c}) {
			l.Hangup(c)
		}
	}
	if !in.tx.OnCancel(func(req *msg.Request) { // called with sipgo's lock held: must not block or answer
		c := cancelled
		c.Text = reasonText(req)
		giveUp(c)
	}) {
		giveUp(cancelled) // the CANCEL was faster than we; sipgo has answered it and tells nobody
	}
	now := e.cfg.Now()
	e.cfg.Switchboard.Offer(bridge.Offer{
		Direction: bridge.Outbound, At: now, Received: now, Line: line,
		Dialled: dialled(in.req.Recipient.User), Peer: l.party.target(), From: from,
		Open: func(call string, notify bridge.Notify) bridge.Leg {
			l.log = l.log.With("call", call, "sip_call_id", headerText(l.dialog.callID))
			l.notify = notify
			begin.Do(func() {
				e.beginLeg(l)
				close(opened)
			})
			select {
			case <-opened:
			default: // too late: the INVITE has its answer
				l.tell(bridge.Event{Kind: bridge.EventEnded, Cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal}})
			}
			return l
		},
	})
	select {
	case <-opened:
	case <-time.After(openWithin):
		abandon()
	}
	select {
	case <-opened:
		l.serveInvite(in)
	default:
	}
}

// beginLeg starts the leg's loop.
func (e *Endpoint) beginLeg(l *Leg) {
	if l.server {
		l.state = stIncoming
	} else {
		l.state = stCalling
	}
	e.metrics.dialogs.Set(float64(e.legs.count()))
	go l.run()
}

// serveInvite waits for the loop's final answer, then repeats a 200 until the ACK.
func (l *Leg) serveInvite(in *inbound) {
	defer l.ackDone(in.req.CSeq().SeqNo)
	select {
	case <-l.final:
	case <-l.done: // cancelled: sipgo answered
		select {
		case <-l.final: // both, in the order final, done
		default:
			l.awaitNegativeAck(in)
			return
		}
	case <-in.tx.Done():
		l.post(happening{kind: hapDead, cause: bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonUnreachable}})
		<-l.done
		return
	}
	if !l.accepted {
		l.awaitNegativeAck(in)
		return
	}
	l.confirm(in, l.okResponse)
}

// sendRinging is Alert: a 180 without SDP.
func (l *Leg) sendRinging() {
	l.invite.respond(reply{status: 180, phrase: "Ringing"}, nil, l.contact())
}

// contact is our Contact in answers of this leg.
func (l *Leg) contact() msg.Header {
	return l.e.contact("deskbridge", l.dialog.where())
}

// sendOK is Accept.
func (l *Leg) sendOK() {
	if l.offer == nil {
		var err error
		if l.answer, err = l.media.Offer(); err != nil {
			l.step(inDead, mediaCause(err))
			return
		}
	}
	res := l.invite.response(reply{status: 200, phrase: "OK"}, l.answer, l.contact())
	l.okResponse = res
	if err := l.invite.tx.Respond(res); err != nil {
		l.okFailed(err)
		return
	}
	l.e.metrics.requests.WithLabelValues("INVITE", "2xx").Inc()
	l.accepted = true
	close(l.final)
	if l.offer != nil {
		l.media.Start()
		l.noteFormat(false)
		l.tell(bridge.Event{Kind: bridge.EventAccepted})
		l.noteHold()
	}
}

// sendProgress lets the far end hear us before the call is answered: 183 with the answer to its offer (RFC 3960 §3.1). An
// INVITE without an offer would need a reliable 183 with ours (RFC 3262), which we don't speak: it is refused at once.
func (l *Leg) sendProgress() {
	if l.offer == nil {
		l.step(inDead, bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused})
		return
	}
	if err := l.invite.tx.Respond(l.invite.response(reply{status: 183, phrase: "Session Progress"}, l.answer, l.contact())); err != nil {
		l.step(inDead, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonUnreachable})
		return
	}
	l.media.Start()
	l.noteFormat(false)
	l.tell(bridge.Event{Kind: bridge.EventEarly})
}

// okFailed is a 200 that did not leave: a CANCEL was faster, or the transport is gone.
func (l *Leg) okFailed(err error) {
	l.state = stAlerting // the 200 never was
	if errors.Is(err, msg.ErrTransactionCanceled) {
		// sipgo would now repeat our 200 in place of its 487.
		_ = l.invite.tx.Respond(l.invite.response(reply{status: 487, phrase: "Request Terminated"}, nil))
		l.step(inCancelled, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
		return
	}
	l.log.LogAttrs(l.e.ctx, slog.LevelInfo, "answer not sent", slog.String("err", cut(err.Error())))
	l.step(inDead, bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonUnreachable})
}

// sendRefusal is the final answer of a call that does not come about.
func (l *Leg) sendRefusal() {
	l.invite.respond(answerFor(l.cause), nil)
	select {
	case <-l.final:
	default:
		close(l.final)
	}
}

// sendByeAfterAck leaves the BYE to whoever waits for the ACK.
func (l *Leg) sendByeAfterAck() {
	l.mu.Lock()
	later := len(l.acks) > 0
	l.byeLater = later
	l.mu.Unlock()
	if later {
		l.e.legs.begin() // until ackDone: Stop waits for it
	} else {
		l.sendBye()
	}
}

func mediaCause(err error) bridge.Cause {
	_, _, text := sdpStatus(err)
	return bridge.Cause{Fault: bridge.FaultUnknown, Reason: bridge.ReasonMedia, Text: text}
}
