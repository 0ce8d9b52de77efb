package whatsapp

import (
	"runtime/debug"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// run is the leg's loop. It ends with EventEnded, also when it panics: a bug in one call ends that call only.
func (l *Leg) run() {
	defer l.hub.leave(l)
	defer func() {
		if p := recover(); p != nil {
			l.hub.metrics.panics.Inc()
			l.log.Error("bug in a customer call; it was ended", "panic", p, "stack", string(debug.Stack()))
			l.abandonBug()
		}
	}()
	for l.state.phase != phEnded {
		l.timer.Reset(l.untilNextTimer())
		select {
		case <-l.box.wake:
			for _, m := range l.box.take() {
				l.handle(m)
			}
		case <-l.timer.C:
			l.fireTimers()
		}
	}
}

func (l *Leg) handle(m message) {
	l.blame(m)
	before := l.state.phase
	var do []action
	l.state, do = next(l.state, m.in)
	if before != l.state.phase {
		l.log.Debug("leg", "from", before.String(), "input", m.in.String(), "to", l.state.phase.String())
	}
	for _, a := range do {
		l.perform(a, m)
	}
}

// blame keeps the first cause that ends the leg.
func (l *Leg) blame(m message) {
	now := time.Now()
	switch p := l.state.phase; {
	case p == phEnded, p == phEnding, p == phAbandoning:
		return
	case m.in == inTerminated:
		l.setCause(terminateCause(m.event, l.outbound, l.state.phase == phTalking, now))
	case m.in == inTimerRing && p != phTalking:
		fault := bridge.FaultCallee
		if !l.outbound {
			fault = bridge.FaultUs
		}
		l.setCause(bridge.Cause{Fault: fault, Reason: bridge.ReasonNoAnswer})
	case m.in == inTimerSecure && !l.state.mediaUp:
		l.setCause(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia, Text: "The encrypted media connection did not come up."})
	case m.in == inTimerSilent:
		l.setCause(bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonMediaTimeout})
	case m.in == inTimerUncertain && p == phUncertain:
		l.setCause(upstream(0, "WhatsApp did not say whether it started the call.", 0))
	case ends(m.in) && !m.cause.IsZero():
		l.setCause(m.cause)
	}
}

func ends(in input) bool {
	switch in {
	case inHangup, inMediaDead, inDeclined, inConnectFailed, inAcceptFailed, inPreAcceptRefused:
		return true
	}
	return false
}

func (l *Leg) perform(a action, m message) {
	now := time.Now()
	switch a {
	case actPreAccept:
		l.worker.do(l.preAccept)
	case actAccept:
		l.at.accept = now
		l.worker.do(l.accept)
	case actReject:
		l.worker.end(false)
	case actTerminate:
		l.worker.end(true)
	case actApplyAnswer:
		l.applyAnswer(m)
	case actStartMedia:
		if l.media != nil {
			l.media.Start()
		}
	case actOpenGate:
		if l.media != nil {
			l.media.OpenGate()
		}
	case actTellNamed:
		l.tell(bridge.Event{Kind: bridge.EventNamed, At: now})
	case actTellRinging:
		l.tell(bridge.Event{Kind: bridge.EventRinging, At: now})
	case actTellAnswered:
		l.at.answered = now
		l.tell(bridge.Event{Kind: bridge.EventAnswered, At: now})
	case actTellAccepted:
		l.at.answered = now
		l.hub.metrics.stage("accept", l.at.accept, now)
		l.tell(bridge.Event{Kind: bridge.EventAccepted, At: now})
	case actTellDigit:
		l.tell(bridge.Event{Kind: bridge.EventDigit, Digit: m.digit, At: now})
	case actArmRing:
		l.arm(tmRing, ringLimit)
	case actArmUncertain:
		l.arm(tmUncertain, uncertainWait(l.decideBy, time.Now()))
	case actArmSecure:
		l.arm(tmSecure, secureLimit)
	case actArmSilent:
		l.arm(tmSilent, firstSilence)
	case actArmEnd:
		l.arm(tmEnd, endLimit)
	case actDisown:
		l.hub.disown(l)
	case actFinish:
		l.finish()
	}
}

func (l *Leg) tell(ev bridge.Event) { l.notify(ev) }

// applyAnswer gives Meta's answer to the media. The format is known from here on.
func (l *Leg) applyAnswer(m message) {
	if l.media == nil {
		return
	}
	if err := l.media.ApplyAnswer(m.event.Call.SDP); err != nil {
		l.mediaDead(err)
		return
	}
	l.hub.metrics.stage("connect_to_answer_sdp", l.at.begun, time.Now())
	if l.stream.Format().Codec != media.CodecNone {
		l.tell(bridge.Event{Kind: bridge.EventFormat, At: time.Now()})
	}
}

// finish releases everything and says so. Nothing of the leg runs after EventEnded but the rest of this function's caller.
func (l *Leg) finish() {
	l.state.phase = phEnded
	l.timer.Stop()
	l.worker.stop()
	if l.media != nil {
		l.media.Close()
	}
	l.hub.calls.remove(l)
	stats := l.stream.Stats()
	l.mu.Lock()
	if l.cause.IsZero() {
		l.cause = bridge.Cause{Fault: bridge.FaultUnknown, Reason: bridge.ReasonInternal}
	}
	l.final = &stats
	cause := l.cause
	l.mu.Unlock()
	l.hub.metrics.calls.WithLabelValues(string(direction(l.outbound)), string(cause.Reason)).Inc()
	l.tell(bridge.Event{Kind: bridge.EventEnded, Cause: cause, At: time.Now()})
}

func direction(outbound bool) bridge.Direction {
	if outbound {
		return bridge.Outbound
	}
	return bridge.Inbound
}

func (l *Leg) arm(t timerID, d time.Duration) { l.deadline[t] = time.Now().Add(d) }

func (l *Leg) untilNextTimer() time.Duration {
	wait := time.Hour
	for _, t := range l.deadline {
		if !t.IsZero() {
			wait = min(wait, time.Until(t))
		}
	}
	return max(wait, 0)
}

func (l *Leg) fireTimers() {
	now := time.Now()
	for t := range timers {
		if due := l.deadline[t]; due.IsZero() || now.Before(due) {
			continue
		}
		l.deadline[t] = time.Time{}
		if t == tmSilent && l.heard(now) {
			continue
		}
		l.handle(message{in: timerInputs[t]})
	}
}

// heard reports whether the customer's side sent anything lately, and sets the next look.
func (l *Leg) heard(now time.Time) bool {
	if l.media == nil {
		return false
	}
	last := l.media.LastReceived()
	if last.IsZero() || now.Sub(last) >= laterSilence {
		return false
	}
	l.deadline[tmSilent] = last.Add(laterSilence)
	return true
}
