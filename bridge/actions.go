package bridge

import (
	"time"

	"deskbridge/media"
)

// perform does one action of the state machine. from is the leg whose event led here, nil for the call's own inputs.
func (c *call) perform(a action, from *end) {
	switch a {
	case actDecide:
		c.decide()
	case actPrepareA:
		if !c.accepted {
			c.a.leg.Prepare()
		}
	case actDial:
		c.dial()
	case actNextStage:
		c.nextStage()
	case actLeave:
		c.leave()
	case actAlertA:
		c.at.rang = time.Now()
		c.update(func(r *CDR) {
			if r.RangAt.IsZero() {
				r.RangAt = c.x.cfg.Now()
			}
		})
		c.observe("dial_to_ring", c.at.dialled, c.at.rang)
		c.record(FactRung)
		c.alert()
	case actPickWinner:
		c.pickWinner(from)
	case actDropSurplus:
		if !from.gone {
			from.leg.Hangup(Cause{Fault: FaultNobody, Reason: ReasonAnsweredElsewhere})
		}
	case actJoin:
		c.join()
	case actAcceptA:
		c.acceptA()
	case actAnswered:
		c.answered()
	case actAnnounce:
		c.announce()
	case actRecord:
		c.startRecording()
	case actNoteHold:
		c.holder = from
	case actNoteResume:
		c.holder = nil
	case actHold:
		c.hold(from)
	case actResume:
		c.resume()
	case actHangup:
		c.hangup()
	case actFinish:
		c.finish()
	}
}

// acceptA answers leg A, or speaks to it unanswered where the stage wants that.
func (c *call) acceptA() {
	c.timer.Reset(acceptTimeout)
	speaker, can := c.a.leg.(Announcer)
	switch {
	case c.accepted:
		c.post(message{leg: c.a, event: Event{Kind: EventAccepted, At: time.Now()}})
	case c.route.Early && can:
		speaker.Announce()
	case c.route.Early:
		c.blame(c.verdict)
		c.step(inHangup, nil)
	default:
		c.a.leg.Accept()
	}
}

// answered is the moment both ends are there. A menu is nobody: a call that only a menu took was not answered.
func (c *call) answered() {
	c.timer.Stop()
	c.at.accepted = time.Now()
	c.observe("answer_to_accept", c.at.answered, c.at.accepted)
	c.update(func(r *CDR) {
		switch {
		case c.winner.leg.Kind() == KindMenu:
			r.MenuAt = c.x.cfg.Now()
		case r.AnsweredAt.IsZero():
			r.AnsweredAt = c.x.cfg.Now()
		}
	})
	c.record(FactAnswered)
}

// alert tells leg A that the other side rings; one that was answered already hears it instead.
func (c *call) alert() {
	switch {
	case !c.accepted:
		c.a.leg.Alert()
	case c.x.cfg.Ringback != nil:
		c.stopMusic()
		c.music = c.x.cfg.Ringback(c.a.leg.Stream())
	}
}

// nextStage gives up on the targets that did not take the call.
func (c *call) nextStage() {
	for _, e := range c.b {
		if !e.gone {
			e.leg.Hangup(Cause{Fault: FaultCallee, Reason: ReasonNoAnswer})
		}
	}
	c.left = append(c.left, c.b...)
	c.b = nil
	c.route.Stage, c.route.Next = c.route.Next[0], c.route.Next[1:]
}

// leave hangs up leg B, whose place another is to take.
func (c *call) leave() {
	c.stopMusic()
	c.a.leg.Stream().SetSink(nil)
	c.winner.leg.Stream().SetSink(nil)
	c.joined = [2]media.Format{}
	c.winner.leg.Hangup(Cause{Fault: FaultNobody, Reason: ReasonHangup})
	c.left = append(c.left, c.b...)
	c.b, c.winner, c.holder = nil, nil, nil
	c.verdict = Cause{}
	c.tape.mark(MarkTransfer)
}

// dial rings every target of the stage at once.
func (c *call) dial() {
	first := c.at.dialled.IsZero()
	c.at.dialled = time.Now()
	if first {
		c.observe("offer_to_dial", c.offer.Received, c.at.dialled)
	}
	c.timer.Stop()
	if c.route.RingTimeout > 0 {
		c.timer.Reset(c.route.RingTimeout)
	}
	inv := Invite{
		Call: c.id, Line: c.route.Line, LineName: c.route.LineName, Wacid: c.offer.Wacid, Customer: c.route.Customer,
		Payload: c.offer.Payload,
	}
	if c.offer.Direction == Outbound {
		inv.Deadline = c.at.decide.Add(decideTimeout)
	}
	for _, t := range c.route.Targets {
		e := &end{target: t}
		inv.Target = t.Address
		leg, err := t.Dialer.Dial(c.ctx, inv, func(ev Event) { c.post(message{leg: e, event: ev}) })
		if err != nil {
			c.log.Info("a target could not be rung", "target", t.Name, "err", err)
			e.gone, e.cause = true, causeOf(err)
		} else {
			e.leg = leg
		}
		c.b = append(c.b, e)
	}
	if c.allTargetsGone() {
		c.nobody(c.worstCause(), inUnroutable)
	}
}

func (c *call) pickWinner(e *end) {
	c.winner = e
	c.at.answered = time.Now()
	ring := c.at.rang
	if ring.IsZero() {
		ring = c.at.dialled
	}
	c.observe("ring_to_answer", ring, c.at.answered)
	if c.offer.Direction == Inbound && e.leg.Kind() != KindMenu {
		c.update(func(r *CDR) { r.Agent = e.target.Name })
	}
	for _, l := range c.b {
		if l != e && !l.gone {
			l.leg.Hangup(Cause{Fault: FaultNobody, Reason: ReasonAnsweredElsewhere})
		}
	}
	c.record(FactPicked) // with the dialog as it is now: after a crash the phone that answered must be told
}

// join connects both directions, anew when a format changed. A leg whose format is not known yet (late offer) is joined by
// the EventFormat that follows.
func (c *call) join() {
	if c.state == stateAnswering && c.mustAnnounce() {
		return // they hear the announcement first, and each other after it
	}
	if from := c.holder; from != nil && c.state == stateTalking { // it held before the two could be joined
		c.holder = nil
		c.step(inHold, from)
		return
	}
	if c.holder == nil {
		c.stopMusic()
	}
	a, b := c.a.leg.Stream(), c.winner.leg.Stream()
	formats := [2]media.Format{a.Format(), b.Format()}
	if formats[0].Codec == media.CodecNone || formats[1].Codec == media.CodecNone || formats == c.joined {
		return
	}
	c.joined = formats
	toB, err := media.NewPipe(a.Format(), b, media.PipeOptions{})
	if err == nil {
		var toA *media.Pipe
		if toA, err = media.NewPipe(b.Format(), a, media.PipeOptions{}); err == nil {
			a.SetSink(toB)
			b.SetSink(toA)
			return
		}
	}
	c.log.Error("the audio of the two legs cannot be joined", "err", err)
	c.cause = Cause{Fault: FaultUs, Reason: ReasonMedia, Text: err.Error()}
	c.step(inHangup, nil)
}

// hold gives the end that waits music, or leaves it to the silence its stream sends by itself. Without music the holder's
// own audio still passes, if it sends any: many PBXs play their music that way.
func (c *call) hold(from *end) {
	if c.holder == nil {
		c.holder = from
		c.record(FactHeld)
		c.tape.mark(MarkHold)
	}
	c.stopMusic()
	if c.x.cfg.HoldMusic == nil {
		c.join()
		return
	}
	c.holder.leg.Stream().SetSink(nil)
	c.joined = [2]media.Format{}
	c.music = c.x.cfg.HoldMusic(c.other(c.holder).leg.Stream())
}

func (c *call) resume() {
	c.holder = nil
	c.stopMusic()
	c.join()
	c.record(FactResumed)
	c.tape.mark(MarkResumed)
}

func (c *call) stopMusic() {
	if c.music != nil {
		c.music()
		c.music = nil
	}
}

// hangup tells every leg that is left.
func (c *call) hangup() {
	c.cancel()
	c.stopMusic()
	c.tape.close(c)
	c.timer.Reset(endTimeout)
	for _, e := range c.ends() {
		if e.leg != nil && !e.gone {
			e.leg.Hangup(c.cause)
		}
	}
}

// finish closes the record: exactly one final fact for every call.
func (c *call) finish() {
	now := time.Now()
	c.meter()
	if cdr := c.snapshot(); cdr.AnsweredAt.IsZero() && !cdr.MenuAt.IsZero() && !c.verdict.IsZero() {
		c.cause = c.verdict
	}
	c.update(func(r *CDR) { r.EndedAt, r.Cause, r.Wacid = c.x.cfg.Now(), c.cause, c.wacid() })
	kind := FactEnded
	if c.cause.Reason == ReasonRefused && (c.at.dialled.IsZero() || !c.verdict.IsZero()) {
		kind = FactRefused
	}
	c.record(kind)

	cdr := c.snapshot()
	outcome := string(c.cause.Reason)
	attrs := []any{"line", cdr.Line, "cause", c.cause.String(), "agent", cdr.Agent, "total", now.Sub(c.offer.Received).Round(time.Millisecond)}
	if !cdr.AnsweredAt.IsZero() {
		outcome = "answered"
		talk := now.Sub(c.at.accepted)
		c.x.metrics.duration.WithLabelValues(string(c.offer.Direction)).Observe(talk.Seconds())
		attrs = append(attrs, "talk", talk.Round(time.Millisecond), "answer_to_accept", c.at.accepted.Sub(c.at.answered).Round(time.Millisecond))
		if first := c.firstAudioAtMeta(); !first.IsZero() {
			c.observe("answer_to_audio", c.at.answered, first)
			attrs = append(attrs, "answer_to_audio", first.Sub(c.at.answered).Round(time.Millisecond))
		}
	}
	c.x.metrics.calls.WithLabelValues(string(c.offer.Direction), outcome).Inc()
	c.log.Info("call ended", attrs...)
}

// firstAudioAtMeta is when the first packet of an inbound call left for the customer; zero for outbound ones, whose
// comfort silence starts before anybody answers.
func (c *call) firstAudioAtMeta() time.Time {
	if c.offer.Direction != Inbound || c.a == nil || c.a.leg == nil {
		return time.Time{}
	}
	return c.a.leg.Stream().Stats().FirstSent
}

func (c *call) observe(stage string, from, to time.Time) {
	if from.IsZero() || to.Before(from) {
		return
	}
	c.x.metrics.stages.WithLabelValues(string(c.offer.Direction), stage).Observe(to.Sub(from).Seconds())
}

func (c *call) meter() {
	for _, e := range c.ends() {
		if e.leg != nil && !e.gone {
			c.meterEnd(e)
		}
	}
}

func (c *call) meterEnd(e *end) { e.meter.observe(c.x.metrics, e.leg.Kind(), e.leg.Stream().Stats()) }
