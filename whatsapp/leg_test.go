package whatsapp

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/policy"
)

var hangup = bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}

func TestInboundCallFromRingToEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("accept", graphAfter(200*time.Millisecond, graphSays(200, `{"success":true}`)))
		leg, said, m := r.incoming("wacid.IN")
		o := r.board.offers[0]
		if o.Line != "main" || o.Wacid != "wacid.IN" || o.Customer.Name != "Erika M." || o.Direction != bridge.Inbound {
			t.Errorf("offer %+v", o)
		}
		leg.Prepare()
		leg.Prepare()
		synctest.Wait()
		if m.did("start") != 1 {
			t.Error("media did not start after pre_accept")
		}
		m.h.Up()
		leg.Accept()
		leg.Accept()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if m.did("gate") != 0 || said.count(bridge.EventAccepted) != 0 {
			t.Error("the gate opened before accept's 200")
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if m.did("gate") != 1 || said.count(bridge.EventAccepted) != 1 {
			t.Error("the gate did not open on accept's 200")
		}
		m.h.Digit('5')
		r.tell(`"calls":[{"id":"wacid.IN","event":"terminate","status":"COMPLETED","start_time":"1790416815","duration":3}]`)
		if c := said.ended(t); c != hangup {
			t.Errorf("cause %v", c)
		}
		same(t, "events", said.kinds(), bridge.EventAccepted, bridge.EventDigit, bridge.EventEnded)
		same(t, "graph", r.graph.actions(), "pre_accept", "accept")
		if a, b := r.graph.calls[0].sdp, r.graph.calls[1].sdp; a != b || a != "our answer to meta offer" {
			t.Errorf("pre_accept %q accept %q", a, b)
		}
		if rec := leg.Record(); rec.CallID != "wacid.IN" || rec.Peer != "main" || rec.Codec != "opus" || rec.Cause != hangup {
			t.Errorf("record %+v", rec)
		}
	})
}

func TestOutboundCallFromDialToEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		leg, said, m := r.dial()
		if leg.Record().CallID != "wacid.OUT" || r.graph.calls[0].data != "call-out" || r.graph.calls[0].sdp != "our offer" {
			t.Errorf("record %+v, request %+v", leg.Record(), r.graph.calls[0])
		}
		r.tellAnswer("wacid.OUT", "call-out")
		m.h.Up()
		r.tellStatus("wacid.OUT", "RINGING", "call-out")
		synctest.Wait()
		if m.did("apply meta answer") != 1 || m.did("start") != 1 || m.did("gate") != 1 || said.count(bridge.EventAnswered) != 0 {
			t.Errorf("media %v events %v", m.log, said.kinds())
		}
		r.tellStatus("wacid.OUT", "ACCEPTED", "call-out")
		leg.Hangup(hangup)
		synctest.Wait()
		same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventFormat, bridge.EventRinging, bridge.EventAnswered, bridge.EventEnded)
		same(t, "graph", r.graph.actions(), "connect", "terminate")
		if c := said.ended(t); c != hangup {
			t.Errorf("cause %v", c)
		}
	})
}

func TestHowACallIsEndedAtMeta(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Leg, *rig)
		want []string
	}{
		"untouched":          {func(*Leg, *rig) {}, []string{"reject"}},
		"prepared":           {func(l *Leg, _ *rig) { l.Prepare() }, []string{"pre_accept", "terminate"}},
		"accepted":           {func(l *Leg, _ *rig) { l.Accept() }, []string{"accept", "terminate"}},
		"reject does not go": {func(_ *Leg, r *rig) { r.graph.answer("reject", graphRefuses(138000)) }, []string{"reject", "terminate"}},
		"terminate does not": {func(l *Leg, r *rig) { l.Prepare(); r.graph.answer("terminate", graphRefuses(138000)) }, []string{"pre_accept", "terminate", "reject"}},
		"pre_accept hangs":   {func(l *Leg, r *rig) { r.graph.answer("pre_accept", graphHangs); l.Prepare() }, []string{"pre_accept", "terminate"}},
		"already over": {func(l *Leg, r *rig) {
			l.Prepare()
			r.graph.answer("terminate", graphSays(400, `{"error":{"code":100,"message":"Call is not in a valid state"}}`))
		}, []string{"pre_accept", "terminate"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				leg, said, _ := r.incoming("wacid.IN")
				c.do(leg, r)
				synctest.Wait()
				begin := time.Now()
				leg.Hangup(bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNoAnswer})
				leg.Hangup(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal})
				synctest.Wait()
				if cause := said.ended(t); cause.Reason != bridge.ReasonNoAnswer || time.Since(begin) > time.Second {
					t.Errorf("cause %v after %v", cause, time.Since(begin))
				}
				same(t, "graph", r.graph.actions(), c.want...)
			})
		})
	}
}

func TestHangupEndsWithinTenSecondsWhateverMetaDoes(t *testing.T) {
	faults := map[string]func(*http.Request) (*http.Response, error){
		"hang": graphHangs, "502 page": graphSays(502, "<html>"), "garbage": graphSays(200, "{"), "token": graphRefuses(190),
		"reset": func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") },
	}
	for name, fault := range faults {
		for _, outbound := range []bool{false, true} {
			bubble(t, func(t *testing.T, r *rig) {
				for _, a := range []string{"connect", "pre_accept", "accept", "terminate", "reject"} {
					r.graph.answer(a, fault)
				}
				var leg *Leg
				var said *said
				if outbound {
					leg, said, _ = r.dial()
				} else {
					leg, said, _ = r.incoming("wacid.IN")
					leg.Prepare()
				}
				begin := time.Now()
				leg.Hangup(hangup)
				for said.count(bridge.EventEnded) == 0 && time.Since(begin) < time.Minute {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("%s, outbound %v: ended after %v", name, outbound, took)
				}
				time.Sleep(2 * time.Minute) // the reaper gives up too
			})
		}
	}
}

func TestAcceptThatFailsEndsTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("accept", graphRefuses(131044))
		leg, said, m := r.incoming("wacid.IN")
		leg.Prepare()
		leg.Accept()
		synctest.Wait()
		if c := said.ended(t); c.Reason != bridge.ReasonUpstream || c.Code != 131044 || m.did("gate") != 0 {
			t.Errorf("cause %v, gate opened %d times", c, m.did("gate"))
		}
		same(t, "graph", r.graph.actions(), "pre_accept", "accept", "terminate")
	})
}

func TestPreAcceptThatFailsLeavesTheCallRinging(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("pre_accept", graphSays(502, "<html>"))
		leg, said, m := r.incoming("wacid.IN")
		leg.Prepare()
		time.Sleep(9 * time.Second)
		leg.Accept()
		synctest.Wait()
		if said.count(bridge.EventAccepted) != 1 || m.did("start") != 1 || m.did("gate") != 1 {
			t.Errorf("events %v media %v", said.kinds(), m.log)
		}
	})
}

func TestPreAcceptThatIsRefusedEndsTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("pre_accept", graphRefuses(138008))
		leg, said, _ := r.incoming("wacid.IN")
		leg.Prepare()
		synctest.Wait()
		if c := said.ended(t); c.Reason != bridge.ReasonMedia || c.Fault != bridge.FaultUs {
			t.Errorf("cause %v", c)
		}
	})
}

func TestConnectRefusals(t *testing.T) {
	for code, want := range map[int]bridge.Cause{
		138006: {Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RulePermissionNone},
		138012: {Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RuleCallLimit},
		138014: {Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: policy.RuleRestricted},
		138003: {Fault: bridge.FaultCallee, Reason: bridge.ReasonBusy},
		138001: {Fault: bridge.FaultCallee, Reason: bridge.ReasonNotOnWhatsApp},
		131021: {Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber},
		138008: {Fault: bridge.FaultUs, Reason: bridge.ReasonMedia},
		190:    {Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream},
		131044: {Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream},
		138005: {Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream},
		999999: {Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream},
	} {
		bubble(t, func(t *testing.T, r *rig) {
			r.graph.answer("connect", graphRefuses(code))
			_, said, _ := r.dial()
			c := said.ended(t)
			if c.Fault != want.Fault || c.Reason != want.Reason || c.Rule != want.Rule || c.Code != code {
				t.Errorf("%d: %+v, want %+v", code, c, want)
			}
			if (c.Reason == bridge.ReasonUpstream) != (c.RetryAfter > 0) {
				t.Errorf("%d: retry after %v", code, c.RetryAfter)
			}
			same(t, "graph", r.graph.actions(), "connect")
		})
	}
}

func TestTerminateCauses(t *testing.T) {
	for name, c := range map[string]struct {
		webhook string
		want    bridge.Cause
	}{
		"no answer":       {`"status":"COMPLETED"}]`, bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNoAnswer}},
		"picked up":       {`"status":"COMPLETED","start_time":"1790416815"}]`, hangup},
		"failed":          {`"status":["Failed"]}]`, bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream}},
		"heard nothing":   {`"status":"FAILED"}],"errors":[{"code":138021}]`, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMediaTimeout}},
		"sent nothing":    {`"status":"FAILED"}],"errors":[{"code":138022}]`, bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonMedia}},
		"never connected": {`"status":"FAILED","errors":[{"code":"138023"}]}]`, bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia}},
		"not reachable":   {`"status":"FAILED"}],"errors":[{"code":138001}]`, bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNotOnWhatsApp}},
	} {
		bubble(t, func(t *testing.T, r *rig) {
			_, said, _ := r.dial()
			r.tell("%s", `"calls":[{"id":"wacid.OUT","event":"terminate","direction":"BUSINESS_INITIATED",`+c.webhook)
			got := said.ended(t)
			if got.Fault != c.want.Fault || got.Reason != c.want.Reason {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
			same(t, "graph", r.graph.actions(), "connect")
		})
	}
}

func TestDeclinedCallEndsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, said, _ := r.dial()
		r.tellStatus("wacid.OUT", "REJECTED", "call-out")
		if c := said.ended(t); c.Reason != bridge.ReasonDeclined || c.Fault != bridge.FaultCallee {
			t.Errorf("cause %v", c)
		}
		r.tellTerminate("wacid.OUT")
		if n := r.counted("terminate", "late"); n != 1 {
			t.Errorf("the terminate that follows was counted as late %v times", n)
		}
	})
}

func TestWatchdogs(t *testing.T) {
	inCall := func(r *rig) (*Leg, *said, *fakeSession) {
		leg, said, m := r.incoming("wacid.IN")
		leg.Prepare()
		m.h.Up()
		leg.Accept()
		synctest.Wait()
		return leg, said, m
	}
	for name, c := range map[string]struct {
		call  func(*rig) (*Leg, *said, *fakeSession)
		after time.Duration
		want  bridge.Reason
	}{
		"nothing heard from the start": {inCall, 20 * time.Second, bridge.ReasonMediaTimeout},
		"silence later on": {func(r *rig) (*Leg, *said, *fakeSession) {
			l, s, m := inCall(r)
			m.hear()
			return l, s, m
		}, 30 * time.Second, bridge.ReasonMediaTimeout},
		"no DTLS after accept": {func(r *rig) (*Leg, *said, *fakeSession) {
			l, s, m := r.incoming("wacid.IN")
			l.Accept()
			synctest.Wait()
			return l, s, m
		}, 10 * time.Second, bridge.ReasonMedia},
		"customer does not pick up": {(*rig).dial, 60 * time.Second, bridge.ReasonNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				_, said, _ := c.call(r)
				time.Sleep(c.after - time.Second)
				synctest.Wait()
				if said.count(bridge.EventEnded) != 0 {
					t.Fatalf("ended too early: %v", said.ended(t))
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := said.ended(t); got.Reason != c.want {
					t.Errorf("cause %v, want %v", got, c.want)
				}
				if a := r.graph.actions(); a[len(a)-1] != "terminate" {
					t.Errorf("graph %v", a)
				}
			})
		})
	}
}

func TestCallThatIsHeardGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		leg, said, m := r.incoming("wacid.IN")
		leg.Prepare()
		m.h.Up()
		leg.Accept()
		for range 300 {
			time.Sleep(time.Second)
			m.hear()
		}
		synctest.Wait()
		same(t, "events", said.kinds(), bridge.EventAccepted)
	})
}

func TestUncertainConnectIsDecidedByTheWebhook(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("connect", graphSays(502, "<html>"))
		leg, said, _ := r.dial()
		time.Sleep(2 * time.Second)
		r.tellAnswer("wacid.LATE", "call-out")
		same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventFormat)
		if leg.Record().CallID != "wacid.LATE" {
			t.Errorf("record %+v", leg.Record())
		}
		same(t, "graph", r.graph.actions(), "connect")
	})
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("connect", graphHangs)
		begin := time.Now()
		_, said, _ := r.dial()
		for said.count(bridge.EventEnded) == 0 {
			time.Sleep(50 * time.Millisecond)
		}
		if c := said.ended(t); c.Reason != bridge.ReasonUpstream || time.Since(begin) > 8*time.Second {
			t.Errorf("cause %v after %v", c, time.Since(begin))
		}
		// Should Meta have started it after all, it is ended as soon as we hear of it.
		r.tellStatus("wacid.GHOST", "RINGING", "call-out")
		same(t, "graph", r.graph.actions(), "connect", "terminate")
		if r.graph.calls[1].id != "wacid.GHOST" {
			t.Errorf("terminated %q", r.graph.calls[1].id)
		}
	})
}

func TestHangupDuringConnectEndsWhatMetaStarted(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.graph.answer("connect", graphAfter(time.Second, graphSays(200, `{"calls":[{"id":"wacid.OUT"}]}`)))
		leg, said, _ := r.dial()
		leg.Hangup(bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if c := said.ended(t); c.Reason != bridge.ReasonCancelled {
			t.Errorf("cause %v", c)
		}
		same(t, "graph", r.graph.actions(), "connect", "terminate")
	})
}

func TestMediaFailureEndsTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		leg, said, m := r.incoming("wacid.IN")
		leg.Prepare()
		synctest.Wait()
		m.h.Dead(errors.New("fingerprint mismatch"))
		synctest.Wait()
		if c := said.ended(t); c.Reason != bridge.ReasonMedia {
			t.Errorf("cause %v", c)
		}
	})
	bubble(t, func(t *testing.T, r *rig) {
		_, said, m := r.dial()
		m.badAnswer = errors.New("no codec")
		r.tellAnswer("wacid.OUT", "call-out")
		if c := said.ended(t); c.Reason != bridge.ReasonMedia {
			t.Errorf("cause %v", c)
		}
		same(t, "graph", r.graph.actions(), "connect", "terminate")
	})
}

func TestCallWithoutSocketOrSDPIsRejected(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.noSocket = errors.New("no port")
		r.tellConnect("wacid.IN")
		if c := r.board.said[0].ended(t); c.Reason != bridge.ReasonOverload {
			t.Errorf("cause %v", c)
		}
		same(t, "graph", r.graph.actions(), "reject")
		if _, err := r.line.Dial(t.Context(), bridge.Invite{Call: "x", Customer: bridge.Customer{Phone: "1"}}, nil); err == nil {
			t.Error("dialled without a socket")
		}
	})
	bubble(t, func(t *testing.T, r *rig) {
		r.tell(`"calls":[{"id":"wacid.IN","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED"}]`)
		r.board.legs[0].Prepare()
		synctest.Wait()
		if c := r.board.said[0].ended(t); c.Reason != bridge.ReasonMedia {
			t.Errorf("cause %v", c)
		}
	})
}

func TestBugInOneCallEndsThatCallOnly(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, good, _ := r.incoming("wacid.GOOD")
		leg, err := r.line.Dial(t.Context(), bridge.Invite{Call: "call-bug", Customer: bridge.Customer{Phone: "1"}}, func(ev bridge.Event) {
			if ev.Kind == bridge.EventRinging {
				panic("bug")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.tellStatus("wacid.OUT", "RINGING", "call-bug")
		if c := leg.Record().Cause; c.Reason != bridge.ReasonInternal || r.hub.Active() != 1 || good.count(bridge.EventEnded) != 0 {
			t.Errorf("cause %v, %d legs left", c, r.hub.Active())
		}
		if a := strings.Join(r.graph.actions(), " "); a != "connect terminate" {
			t.Errorf("graph %s", a)
		}
	})
}

func TestDigitsBeyondTheMailboxAreDroppedAndHangupIsNot(t *testing.T) {
	b := newMailbox()
	for range 1000 {
		b.post(message{in: inDigit, digit: media.Digit('1')})
	}
	if !b.post(message{in: inHangup}) {
		t.Error("hangup was dropped")
	}
	if q := b.take(); len(q) != maxDigits+1 || q[maxDigits].in != inHangup {
		t.Errorf("%d messages", len(q))
	}
}

func TestStopHangsUpWhatIsLeft(t *testing.T) {
	var said *said
	bubble(t, func(t *testing.T, r *rig) { _, said, _ = r.dial() })
	if c := said.ended(t); c.Reason != bridge.ReasonDrain {
		t.Errorf("cause %v", c)
	}
}
