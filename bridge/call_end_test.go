package bridge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/media"
	"deskbridge/policy"
)

func TestADeafLegDoesNotKeepTheCallAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventAnswered)
		synctest.Wait()
		p.leg.deaf = true
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		time.Sleep(endTimeout + time.Second)
		synctest.Wait()
		if n := len(w.Calls()); n != 0 {
			t.Errorf("%d calls left", n)
		}
		if n := testutil.ToFloat64(w.metrics.stuck); n != 1 {
			t.Errorf("stuck legs counted: %v", n)
		}
		w.stop(t)
	})
}

func TestABugEndsItsCallOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventAnswered)
		synctest.Wait()
		good := w.a
		p.panics = true
		w.offer(Inbound)
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonInternal {
			t.Errorf("the broken call ended with %+v", c)
		}
		if len(w.Calls()) != 1 || good.hangupCount() != 0 {
			t.Error("the bug touched another call")
		}
		if n := testutil.ToFloat64(w.metrics.panics); n != 1 {
			t.Errorf("panics counted: %v", n)
		}
		good.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}

func TestDrainLetsCallsFinishRefusesNewOnesAndThenHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.offer(Inbound)
		synctest.Wait()
		p.leg.emit(EventAnswered)
		synctest.Wait()
		first := w.a
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		done := make(chan struct{})
		go func() { w.Drain(ctx); close(done) }()
		synctest.Wait()
		w.offer(Inbound)
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonDrain {
			t.Errorf("a new call during drain: %+v", c)
		}
		time.Sleep(9 * time.Minute)
		if !first.lastHangup().IsZero() {
			t.Error("drain cut a call short")
		}
		<-done
		if c := first.lastHangup(); c.Reason != ReasonDrain {
			t.Errorf("after the drain limit: %+v", c)
		}
		w.stop(t)
	})
}

func TestMoreCallsThanRatedAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sip())
		for range 11 {
			w.offer(Inbound)
		}
		synctest.Wait()
		if c := w.a.lastHangup(); c.Reason != ReasonOverload {
			t.Errorf("cause %+v", c)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		w.Drain(ctx)
		w.stop(t)
	})
}

func TestAStaleCallIsRecordedAsMissedAndRingsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sip()
		w := newWorld(t, p)
		w.Offer(Offer{Direction: Inbound, Line: "main", Wacid: "w", Missed: Cause{Fault: FaultUpstream, Reason: ReasonStale}})
		synctest.Wait()
		if p.leg != nil {
			t.Error("rang")
		}
		w.stop(t)
		if c := w.ledger.last().CDR; c.Cause.Reason != ReasonStale || c.EndedAt.IsZero() {
			t.Errorf("record %+v", c)
		}
	})
}

// TestEndFromAnySideInEveryStateClosesTheCall hangs up from each side at each point of a call's life.
func TestEndFromAnySideInEveryStateClosesTheCall(t *testing.T) {
	points := []string{"offered", "dialling", "ringing", "answering", "talking", "held"}
	sides := []string{"a", "b", "operator"}
	for _, d := range []Direction{Inbound, Outbound} {
		for _, at := range points {
			for _, side := range sides {
				t.Run(string(d)+"/"+at+"/"+side, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { endAt(t, d, at, side) })
				})
			}
		}
	}
}

func endAt(t *testing.T, d Direction, at, side string) {
	p := sip()
	w := newWorld(t, p)
	gate := make(chan struct{})
	w.cfg.Authorizer = authorizerFunc(func(ctx context.Context, _ Attempt) policy.Decision {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return policy.Decision{Allowed: true}
	})
	id := w.offer(d)
	synctest.Wait()
	reach := func(point string, f func()) bool {
		if at == point {
			return true
		}
		f()
		synctest.Wait()
		return false
	}
	_ = reach("offered", func() { close(gate) }) ||
		reach("dialling", func() { p.leg.emit(EventRinging) }) ||
		reach("ringing", func() {
			if at == "answering" {
				w.a.onAccept = func(*fakeLeg) {}
			}
			p.leg.emit(EventAnswered)
		}) ||
		reach("answering", func() {}) ||
		reach("talking", func() { p.leg.emit(EventHold) })
	switch {
	case side == "a":
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
	case side == "b" && p.leg != nil:
		p.leg.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
	default:
		w.Hangup(id, Cause{Fault: FaultUs, Reason: ReasonHangup})
	}
	synctest.Wait()
	if n := len(w.Calls()); n != 0 {
		t.Errorf("%d calls left", n)
	}
	if !w.a.ended || (p.leg != nil && !p.leg.ended) {
		t.Error("a leg is left")
	}
	w.stop(t)
	if k := w.ledger.last(); k.Kind != FactEnded || k.CDR.Cause.IsZero() {
		t.Errorf("last fact %s, cause %v", k.Kind, k.CDR.Cause)
	}
}

// A SIP caller without an offer of its own names its codec with the ACK: leg A's format is known only when it is accepted.
func TestLateOfferOfTheCallerIsJoinedWhenAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := meta()
		w := newWorld(t, p)
		w.offer(Outbound)
		synctest.Wait()
		known := w.a.stream.format
		w.a.stream.format, w.a.onAccept = media.Format{}, func(*fakeLeg) {}
		p.leg.emit(EventAnswered)
		synctest.Wait()
		w.a.stream.mu.Lock()
		w.a.stream.format = known
		w.a.stream.mu.Unlock()
		w.a.emit(EventAccepted)
		synctest.Wait()
		if w.a.stream.sink == nil || p.leg.stream.sink == nil {
			t.Error("the call was accepted but nobody hears anything")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
	})
}
