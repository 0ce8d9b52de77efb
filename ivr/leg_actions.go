package ivr

import (
	"context"
	"time"

	"deskbridge/bridge"
)

// perform does one action of the state machine.
func (l *leg) perform(a action) {
	switch a.kind {
	case actSayOpen:
		l.queue(l.menu.Open)
	case actSayOffers:
		for n, c := range l.menu.Choices[:len(l.script.deeds)] {
			if l.state.spent&(1<<n) == 0 {
				l.queue(c.Offer)
			}
		}
	case actSayInvalid:
		l.queue(Speech{Prompt("invalid")})
	case actSayWait:
		l.queue(Speech{Prompt("wait")})
	case actSayOutcome:
		l.queue(l.menu.Choices[l.state.choice].say(l.outcome, time.Now().In(l.menu.Zone)))
	case actSayGoodbye:
		l.queue(l.menu.Goodbye)
	case actSpeakAlone:
		l.queue(l.menu.Choices[a.n].Done)
	case actHush:
		l.pending, l.owed = nil, false
		l.version++
		l.unrender()
		l.voice.say(nil)
	case actListen:
		l.timer.Reset(keyTimeout)
	case actSlow:
		l.timer.Reset(slowAction)
	case actPatience:
		l.timer.Reset(ActionTimeout)
	case actNoTimer:
		l.timer.Stop()
	case actDo:
		l.carryOut(l.menu.Choices[a.n])
	case actGiveUp:
		l.log.Error("an action took too long and was given up; what it does may still happen", "limit", ActionTimeout)
		l.finish(outcome{deed: l.deed, Outcome: Outcome{Reason: ReasonTrouble}})
	case actHandOver:
		l.notify(bridge.Event{Kind: bridge.EventTransfer, To: l.menu.Choices[a.n].To, At: time.Now()})
	case actEnd:
		l.ending = true
		l.timer.Reset(tail)
	}
}

func (l *leg) queue(s Speech) {
	l.pending = append(l.pending, s...)
	l.owed = true
}

// carryOut starts an action. Its outcome comes back by a channel that has room for every choice's one.
func (l *leg) carryOut(c Choice) {
	l.deed++
	deed := l.deed
	do := func(ctx context.Context) Outcome { return c.Do(ctx, l.inv) }
	l.m.act(l.log, do, func(o Outcome) {
		select {
		case l.outcomes <- outcome{deed: deed, Outcome: o}:
		default: // the leg is long gone
		}
	})
}
