package bridge

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/media"
	"deskbridge/policy"
)

func sip() *fakePhone  { return &fakePhone{kind: KindSIP} }
func meta() *fakePhone { return &fakePhone{kind: KindWhatsApp} }

func TestInboundCallRingsAllAndTheFirstAnswerWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := sip(), sip()
		w := newWorld(t, p, q)
		id := w.offer(Inbound)
		synctest.Wait()
		if !w.a.has("prepare") {
			t.Error("media towards Meta was not prepared while ringing")
		}
		p.leg.emit(EventRinging)
		synctest.Wait()
		time.Sleep(3 * time.Second)
		q.leg.emit(EventAnswered)
		p.leg.emit(EventAnswered) // crosses: must not win
		synctest.Wait()
		if got := p.leg.lastHangup().Reason; got != ReasonAnsweredElsewhere {
			t.Errorf("loser hung up with %q", got)
		}
		if !w.a.has("accept") {
			t.Error("leg A was not accepted")
		}
		q.leg.stream.receive(1)
		if w.a.stream.sentFrames() == 0 {
			t.Error("the phone's audio does not reach the customer")
		}
		time.Sleep(10 * time.Second)
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		synctest.Wait()
		if got := q.leg.lastHangup().Reason; got != ReasonHangup {
			t.Errorf("the winner was hung up with %q", got)
		}
		w.stop(t)
		want := []FactKind{FactOffered, FactAllowed, FactRung, FactPicked, FactAnswered, FactEnded}
		if got := w.ledger.kinds(); !reflect.DeepEqual(got, want) {
			t.Errorf("facts %v, want %v", got, want)
		}
		var states []string
		for _, f := range w.ledger.facts {
			states = append(states, f.CDR.State)
		}
		if got := strings.Join(states, " "); got != "offered offered ringing answering talking ended" {
			t.Errorf("states in the facts: %s", got)
		}
		cdr := w.ledger.last().CDR
		if cdr.ID != id || cdr.AnsweredAt.IsZero() || cdr.EndedAt.Sub(cdr.AnsweredAt) != 10*time.Second || cdr.Cause.Reason != ReasonHangup {
			t.Errorf("final record: %+v", cdr)
		}
	})
}

func TestAudioWaitsForNothingButIsJoinedBeforeTheAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		w.a.onAccept = func(*fakeLeg) {} // Meta has not answered the accept yet
		p.leg.emit(EventAnswered)
		synctest.Wait()
		p.leg.stream.receive(1)
		if w.a.stream.sentFrames() == 0 {
			t.Error("the first syllable was not handed to the gate")
		}
		time.Sleep(acceptTimeout + time.Second)
		synctest.Wait()
		if c := p.leg.lastHangup(); c.Reason != ReasonUpstream {
			t.Errorf("an acceptance that never takes effect ends with %v", c)
		}
		w.stop(t)
	})
}

func TestOutboundCallAsksThenDialsThenAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meta()
		w := newWorld(t, m)
		w.offer(Outbound)
		synctest.Wait()
		if k := w.ledger.kinds(); len(k) != 2 || k[1] != FactAllowed {
			t.Fatalf("the attempt must be stored before it is dialled: %v", k)
		}
		m.leg.emit(EventNamed)
		m.leg.emit(EventRinging)
		synctest.Wait()
		if !w.a.has("alert") {
			t.Error("the phone hears no ringing")
		}
		m.leg.emit(EventAnswered)
		synctest.Wait()
		if !w.a.has("accept") {
			t.Error("the phone was not answered")
		}
		m.leg.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		if c := w.ledger.last().CDR; c.Wacid != "wacid.fake" || c.Agent != "phone:1001" {
			t.Errorf("record %+v", c)
		}
	})
}

func TestRefusalReachesThePhoneWithItsRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meta()
		w := newWorld(t, m)
		w.cfg.Authorizer = authorizerFunc(func(context.Context, Attempt) policy.Decision {
			return policy.Decision{Rule: policy.RulePermissionNone, Sentence: "Ask first."}
		})
		w.offer(Outbound)
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonRefused || c.Rule != policy.RulePermissionNone || c.Fault != FaultPolicy {
			t.Errorf("cause %+v", c)
		}
		if m.leg != nil {
			t.Error("a refused call reached Meta")
		}
		w.stop(t)
		if k := w.ledger.last().Kind; k != FactRefused {
			t.Errorf("last fact %s", k)
		}
	})
}

func TestAQuestionMetaCannotAnswerRefusesTheCallAsUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meta()
		w := newWorld(t, m)
		w.cfg.Authorizer = authorizerFunc(func(context.Context, Attempt) policy.Decision { return policy.Decision{Rule: "error"} })
		w.offer(Outbound)
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonUpstream || c.RetryAfter != time.Minute || m.leg != nil {
			t.Errorf("cause %+v", c)
		}
		w.stop(t)
	})
}

func TestAnAttemptThatCannotBeStoredIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meta()
		w := newWorld(t, m)
		w.ledger.err = errors.New("disk full")
		w.offer(Outbound)
		synctest.Wait()
		if m.leg != nil {
			t.Error("Meta heard of an attempt that is not on disk")
		}
		if c := w.a.lastHangup(); c.Reason != ReasonInternal {
			t.Errorf("cause %+v", c)
		}
		w.stop(t)
	})
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventRinging)
		time.Sleep(24 * time.Second)
		synctest.Wait()
		if p.leg.hangupCount() != 0 {
			t.Error("gave up before the ring time was over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonNoAnswer {
			t.Errorf("cause %+v", c)
		}
		w.stop(t)
	})
}

func TestOnePhoneDecliningLeavesTheOtherRinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, q := sip(), sip()
		w := newWorld(t, p, q)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.end(Cause{Fault: FaultCallee, Reason: ReasonDeclined})
		synctest.Wait()
		if w.a.hangupCount() != 0 {
			t.Fatal("one of two phones ended the call")
		}
		q.leg.end(Cause{Fault: FaultUpstream, Reason: ReasonUnreachable})
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonDeclined {
			t.Errorf("a person's decision must beat a technical failure: %+v", c)
		}
		w.stop(t)
	})
}

func TestATrunkThatCannotBeDialledIsNotTheEndWhileAPhoneRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, p := sip(), sip()
		dead.err = errNoAnswerFromPBX
		w := newWorld(t, dead, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventAnswered)
		synctest.Wait()
		if !w.a.has("accept") {
			t.Error("not accepted")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}

func TestCustomerHangsUpWhilePhonesRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		synctest.Wait()
		if c := p.leg.lastHangup(); c.Reason != ReasonCancelled || c.Fault != FaultCaller {
			t.Errorf("phone told %+v", c)
		}
		w.stop(t)
	})
}

func TestHangUpWhilePolicyStillThinksCancelsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meta()
		w := newWorld(t, m)
		w.cfg.Authorizer = authorizerFunc(func(ctx context.Context, _ Attempt) policy.Decision {
			<-ctx.Done()
			return policy.Decision{Allowed: true}
		})
		w.offer(Outbound)
		synctest.Wait()
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		synctest.Wait()
		if m.leg != nil {
			t.Error("dialled after the caller gave up")
		}
		w.stop(t)
	})
}

func TestHoldPlaysMusicToTheOtherSideOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		var playing []media.Stream
		stopped := 0
		w.cfg.HoldMusic = func(dst media.Stream) func() {
			playing = append(playing, dst)
			return func() { stopped++ }
		}
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventAnswered)
		synctest.Wait()
		p.leg.emit(EventHold)
		p.leg.emit(EventHold) // repeated re-INVITE
		synctest.Wait()
		if len(playing) != 1 || playing[0] != media.Stream(w.a.stream) {
			t.Fatalf("music to %v", playing)
		}
		p.leg.emit(EventResume)
		synctest.Wait()
		if stopped != 1 {
			t.Errorf("music stopped %d times", stopped)
		}
		p.leg.stream.receive(9)
		if w.a.stream.sentFrames() == 0 {
			t.Error("audio is not back after resume")
		}
		p.leg.emit(EventHold)
		synctest.Wait()
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		if stopped != 2 {
			t.Error("hang-up during hold leaves the music running")
		}
	})
}

func TestAPhoneThatAnswersOnHoldHoldsTheCustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		playing := 0
		w.cfg.HoldMusic = func(media.Stream) func() { playing++; return func() {} }
		w.offer(Inbound)
		synctest.Wait()
		w.a.onAccept = func(*fakeLeg) {}
		p.leg.emit(EventAnswered)
		p.leg.emit(EventHold)
		synctest.Wait()
		w.a.emit(EventAccepted)
		synctest.Wait()
		if c := w.Calls()[0]; playing != 1 || c.State != "held" {
			t.Errorf("music %d times, state %s", playing, c.State)
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}

func TestALegThatCannotBeMadeLeavesNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sip())
		w.Offer(Offer{Direction: Inbound, Line: "main", Open: func(string, Notify) Leg { panic("open") }})
		synctest.Wait()
		if n := len(w.Calls()); n != 0 {
			t.Errorf("%d calls left", n)
		}
		w.stop(t)
		if c := w.ledger.last().CDR; c.Cause.Reason != ReasonInternal {
			t.Errorf("record %+v", c)
		}
	})
}

func TestDigitsCrossBothWaysAfterTheAnswerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		w.a.notify(Event{Kind: EventDigit, Digit: '1'})
		p.leg.emit(EventAnswered)
		synctest.Wait()
		w.a.notify(Event{Kind: EventDigit, Digit: '2'})
		p.leg.notify(Event{Kind: EventDigit, Digit: '#'})
		synctest.Wait()
		if string(toBytes(p.leg.stream.digits)) != "2" || string(toBytes(w.a.stream.digits)) != "#" {
			t.Errorf("digits %q %q", p.leg.stream.digits, w.a.stream.digits)
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}

func toBytes(d []media.Digit) (b []byte) {
	for _, x := range d {
		b = append(b, byte(x))
	}
	return b
}

func TestLateOfferIsJoinedWhenTheFormatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.stream.format = media.Format{}
		p.leg.emit(EventAnswered)
		synctest.Wait()
		if w.a.stream.sink != nil {
			t.Fatal("joined without a format")
		}
		p.leg.stream.mu.Lock()
		p.leg.stream.format = media.Format{Codec: media.PCMA, PTime: 20 * time.Millisecond}
		p.leg.stream.mu.Unlock()
		p.leg.emit(EventFormat)
		synctest.Wait()
		joined := w.a.stream.sink
		if joined == nil {
			t.Fatal("not joined")
		}
		p.leg.emit(EventFormat) // the same format again: the codecs' state must survive
		synctest.Wait()
		if w.a.stream.sink != joined {
			t.Error("joined anew though nothing changed")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}
