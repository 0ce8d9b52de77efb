//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// promised is how long an agent may wait for an answer whatever Graph does, and what a busy machine may add.
const (
	promised = 8 * time.Second
	margin   = 1500 * time.Millisecond
)

// graphFault is one way of Graph to fail.
type graphFault struct {
	name    string
	fault   simulator.Fault
	expired bool // the token, rather than a fault
	once    bool // only the first request meets it
	works   bool // the call goes through all the same
	code    int  // expected in the record
}

func broken(status int) simulator.Fault { return simulator.Fault{Status: status} }

// TestGraphFailures is reliability promise 7 for each action and each way to fail. Nothing is left afterwards, goroutines
// included.
func TestGraphFailures(t *testing.T) {
	watchStandstill()
	before := runtime.NumGoroutine()
	t.Run("actions", func(t *testing.T) {
		for action, run := range map[string]func(*testing.T, *house, *simulator.Phone){
			"call_permissions": failingPermissions, "connect": failingConnect, "pre_accept": failingPreAccept,
			"accept": failingAccept, "terminate": failingTerminate,
		} {
			t.Run(action, func(t *testing.T) {
				t.Parallel()
				timing := simulator.DefaultTiming().Fast()
				timing.AnswerDeadline, timing.NoAnswer, timing.MediaLoss = time.Minute, time.Minute, time.Minute // only we end calls
				h := newHouse(t, houseOptions{timing: &timing})
				p := h.newPhone("1001", simulator.PhoneConfig{Codecs: []media.Codec{media.PCMA}, Source: simulator.PhoneSource{Tone: 1000}})
				run(t, h, p)
				h.meta.ClearFaults()
				h.nothingLeft()
				h.meta.RestoreToken(numberID)
				worksNow(h, p)
				h.nothingLeft()
			})
		}
	})
	(&house{t: t}).until("the goroutines of the houses to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// worksNow: after all the trouble a customer's call and an agent's call go through.
func worksNow(h *house, p *simulator.Phone) {
	h.t.Helper()
	in := inboundTalk(h, p, h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}}))
	in.bothHear(1000, 440)
	in.over()
	cust := h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}})
	out := outboundTalk(h, p, cust)
	out.bothHear(1000, 440)
	out.over()
}

func inboundTalk(h *house, p *simulator.Phone, c *simulator.Customer) talk {
	h.t.Helper()
	call, err := c.Call(h.t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	tk := talk{&office{house: h, began: time.Now()}, call, h.next(p)}
	tk.answered()
	return tk
}

func outboundTalk(h *house, p *simulator.Phone, c *simulator.Customer) talk {
	h.t.Helper()
	desk, err := p.Dial(h.t.Context(), "+"+c.Config().Phone)
	if err != nil {
		h.t.Fatal(err)
	}
	select {
	case call := <-c.Calls():
		tk := talk{&office{house: h, began: time.Now()}, call, desk}
		tk.answered()
		return tk
	case <-desk.Done():
		h.t.Fatalf("the call to the customer ended: %+v", desk.End())
	case <-time.After(wait):
		h.t.Fatal("the customer was not called")
	}
	return talk{}
}

// fail puts a fault in the way of an action and returns how to take it away.
func (h *house) fail(action string, f graphFault) (undo func()) {
	if f.expired {
		h.meta.ExpireToken(numberID)
		return func() { h.meta.RestoreToken(numberID) }
	}
	n := -1
	if f.once {
		n = 1
	}
	h.meta.Fail(simulator.Match{Action: action, Count: n}, f.fault)
	return h.meta.ClearFaults
}

// refusedBecauseOf dials while Graph fails: 503 in time, recorded as Meta's fault, the customer never rung.
func refusedBecauseOf(h *house, p *simulator.Phone, action string, f graphFault) {
	t := h.t
	t.Helper()
	defer h.fail(action, f)()
	cust := h.person(simulator.Behaviour{})
	asked := len(h.meta.Requests("connect"))
	desk, err := p.Dial(t.Context(), "+"+cust.Config().Phone)
	if err != nil {
		t.Fatal(err)
	}
	end, took := h.waitDone(desk)
	if end.Status != http.StatusServiceUnavailable || end.By != "far end" {
		t.Errorf("the phone was told %+v, want 503", end)
	}
	if took > promised+margin+standstill(time.Now().Add(-took)) {
		t.Errorf("the phone waited %s for its 503", took)
	}
	cdr := h.newest(cust)
	if cdr.Cause.Reason != bridge.ReasonUpstream || cdr.Cause.Fault != bridge.FaultUpstream || !cdr.AnsweredAt.IsZero() || cdr.Cause.Code != f.code {
		t.Errorf("recorded as %+v, want upstream error with code %d", cdr.Cause, f.code)
	}
	if after := f.fault.RetryAfter; after > 0 && (cdr.Cause.RetryAfter < after-2*time.Second || cdr.Cause.RetryAfter > after) {
		t.Errorf("retry after %s, Graph said %s", cdr.Cause.RetryAfter, after)
	}
	select {
	case <-cust.Calls():
		t.Error("the customer was called")
	default:
	}
	n := len(h.meta.Requests("connect")) - asked
	if limit := map[string]int{"connect": 2, "call_permissions": 0}[action]; n > limit {
		t.Errorf("connect was sent %d times", n)
	}
}

func failingPermissions(t *testing.T, h *house, p *simulator.Phone) {
	for _, f := range []graphFault{
		{name: "500", fault: broken(500), code: 131000},
		{name: "503", fault: broken(503), code: 131000},
		{name: "429", fault: simulator.Fault{Status: 429, RetryAfter: 40 * time.Second}, code: 80007},
		{name: "hang", fault: simulator.Fault{Hang: true}},
		{name: "garbage", fault: simulator.Fault{Garbage: true}},
		{name: "dropped", fault: simulator.Fault{Drop: true}},
		{name: "expired token", expired: true, code: 190},
	} {
		t.Run(f.name, func(t *testing.T) { refusedBecauseOf(h.as(t), p, "call_permissions", f) })
	}
	t.Run("one 500", func(t *testing.T) {
		h := h.as(t)
		defer h.fail("call_permissions", graphFault{fault: broken(500), once: true})()
		tk := outboundTalk(h, p, h.person(simulator.Behaviour{}))
		tk.over()
	})
}

// as is the same house, reporting to another test.
func (h *house) as(t *testing.T) *house {
	c := *h
	c.t = t
	return &c
}

func failingConnect(t *testing.T, h *house, p *simulator.Phone) {
	for _, f := range []graphFault{
		{name: "500", fault: broken(500), code: 131000},
		{name: "429", fault: simulator.Fault{Status: 429, RetryAfter: 40 * time.Second}, code: 80007},
		{name: "hang", fault: simulator.Fault{Hang: true}},
		{name: "garbage", fault: simulator.Fault{Garbage: true}},
		{name: "dropped", fault: simulator.Fault{Drop: true}},
	} {
		t.Run(f.name, func(t *testing.T) { refusedBecauseOf(h.as(t), p, "connect", f) })
	}
	t.Run("slow", func(t *testing.T) {
		h := h.as(t)
		defer h.fail("connect", graphFault{fault: simulator.Fault{Delay: 2 * time.Second}})()
		tk := outboundTalk(h, p, h.person(simulator.Behaviour{}))
		tk.over()
	})
	// The call exists although Graph's answer was lost: its webhooks name it, and it is never asked for again.
	for name, fault := range map[string]simulator.Fault{
		"took effect, dropped": {Drop: true, AfterProcessing: true},
		"took effect, garbage": {Garbage: true, AfterProcessing: true},
		"took effect, hang":    {Hang: true, AfterProcessing: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.as(t)
			undo := h.fail("connect", graphFault{fault: fault})
			defer undo()
			asked := len(h.meta.Requests("connect"))
			tk := outboundTalk(h, p, h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}}))
			tk.bothHear(1000, 440)
			tk.over()
			if n := len(h.meta.Requests("connect")) - asked; n != 1 {
				t.Errorf("connect was sent %d times", n)
			}
		})
	}
	t.Run("took effect, error, nobody hears of it", func(t *testing.T) {
		// A 500 whose request took effect: the call rings a customer nobody will talk to unless we end it.
		h := h.as(t)
		cust := h.person(simulator.Behaviour{React: simulator.ReactIgnore})
		undo := h.fail("connect", graphFault{fault: simulator.Fault{Status: 500, AfterProcessing: true}, once: true})
		defer undo()
		desk, err := p.Dial(t.Context(), "+"+cust.Config().Phone)
		if err != nil {
			t.Fatal(err)
		}
		call := <-cust.Calls()
		if err := desk.Hangup(t.Context()); err != nil {
			t.Logf("hang up: %v", err)
		}
		h.waitDone(desk)
		select {
		case <-call.Ended():
		case <-time.After(wait):
			t.Error("the customer's phone rings on")
		}
	})
}

// accepts returns the accept or pre_accept requests of a call.
func (h *house) actions(action, wacid string) (all []simulator.Request, took int) {
	for _, r := range h.meta.Requests(action) {
		if r.Wacid == wacid {
			all = append(all, r)
			if r.Status == http.StatusOK && !r.Fault {
				took++
			}
		}
	}
	return all, took
}

// onceAccepted: however often accept was tried, it was the same request, within the limits, and not after it was answered.
func onceAccepted(h *house, wacid string) {
	h.t.Helper()
	all, took := h.actions("accept", wacid)
	if took > 1 || len(all) > 4 {
		h.t.Errorf("accept was sent %d times and answered 200 %d times", len(all), took)
	}
	for _, r := range all {
		if string(r.Body) != string(all[0].Body) {
			h.t.Error("a repeated accept differs from the first")
		}
	}
	if n := len(all); n > 1 && all[n-1].At.Sub(all[0].At) > promised {
		h.t.Errorf("accept was still tried after %s", all[n-1].At.Sub(all[0].At))
	}
}

func failingPreAccept(t *testing.T, h *house, p *simulator.Phone) {
	for _, f := range []graphFault{
		{name: "500", fault: broken(500)},
		{name: "one 500", fault: broken(500), once: true},
		{name: "429", fault: simulator.Fault{Status: 429, RetryAfter: 40 * time.Second}},
		{name: "one hang", fault: simulator.Fault{Hang: true}, once: true},
		{name: "garbage", fault: simulator.Fault{Garbage: true}},
		{name: "took effect, dropped", fault: simulator.Fault{Drop: true, AfterProcessing: true}},
	} {
		t.Run(f.name, func(t *testing.T) {
			h := h.as(t)
			defer h.fail("pre_accept", f)()
			// It is a courtesy: the call works without.
			tk := inboundTalk(h, p, h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}}))
			tk.bothHear(1000, 440)
			h.clean(tk.call)
			tk.over()
			onceAccepted(h, tk.call.ID())
			if all, _ := h.actions("pre_accept", tk.call.ID()); len(all) > 4 {
				t.Errorf("pre_accept was sent %d times", len(all))
			}
		})
	}
	t.Run("expired token", func(t *testing.T) { missedBecauseOf(h.as(t), p, "pre_accept", graphFault{expired: true, code: 190}) })
}

// missedBecauseOf: a customer calls, the phone answers, Graph fails. The phone is let go in time and the call is in the
// list as missed, with the reason.
func missedBecauseOf(h *house, p *simulator.Phone, action string, f graphFault) {
	t := h.t
	t.Helper()
	undo := h.fail(action, f)
	defer undo()
	cust := h.person(simulator.Behaviour{})
	call, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case desk := <-p.Calls():
		end, took := h.waitDone(desk)
		if took > promised+margin+standstill(time.Now().Add(-took)) {
			t.Errorf("the phone was let go after %s: %+v", took, end)
		}
		if !strings.Contains(end.Reason, "503") && end.Status == 0 {
			t.Errorf("the phone was not told why: %+v", end)
		}
	case <-time.After(time.Second):
		if !f.expired { // a dead token is noticed before or after the phone rings
			t.Error("the phone did not ring")
		}
	}
	cdr := h.record(call.ID())
	if cdr.Cause.Reason != bridge.ReasonUpstream || cdr.Cause.Fault != bridge.FaultUpstream || !cdr.AnsweredAt.IsZero() || cdr.Cause.Code != f.code {
		t.Errorf("recorded as %+v, answered %v, want upstream error with code %d and not answered", cdr.Cause, cdr.AnsweredAt, f.code)
	}
	onceAccepted(h, call.ID())
	if f.expired {
		call.Hangup() // we cannot: Meta takes nothing from us
		return
	}
	select {
	case <-call.Ended():
	case <-time.After(wait):
		t.Error("the customer's call was not ended at Meta")
	}
}

func failingAccept(t *testing.T, h *house, p *simulator.Phone) {
	for _, f := range []graphFault{
		{name: "500", fault: broken(500), code: 131000},
		{name: "429", fault: simulator.Fault{Status: 429, RetryAfter: 40 * time.Second}, code: 80007},
		{name: "hang", fault: simulator.Fault{Hang: true}},
		{name: "garbage", fault: simulator.Fault{Garbage: true}},
		{name: "dropped", fault: simulator.Fault{Drop: true}},
	} {
		t.Run(f.name, func(t *testing.T) { missedBecauseOf(h.as(t), p, "accept", f) })
	}
	for _, f := range []graphFault{
		{name: "one 500", fault: broken(500), once: true},
		{name: "one garbage", fault: simulator.Fault{Garbage: true}, once: true},
		{name: "one hang", fault: simulator.Fault{Hang: true}, once: true},
		{name: "429 and Retry-After 1 s", fault: simulator.Fault{Status: 429, RetryAfter: time.Second}, once: true},
		{name: "took effect, dropped", fault: simulator.Fault{Drop: true, AfterProcessing: true}, once: true},
	} {
		t.Run(f.name, func(t *testing.T) {
			h := h.as(t)
			defer h.fail("accept", f)()
			tk := inboundTalk(h, p, h.person(simulator.Behaviour{Play: simulator.Playback{Tone: 440}}))
			tk.bothHear(1000, 440)
			tk.over()
			all, _ := h.actions("accept", tk.call.ID())
			if after := f.fault.RetryAfter; after > 0 && (len(all) < 2 || all[1].At.Sub(all[0].At) < after) {
				t.Errorf("Retry-After %s was not obeyed", after)
			}
			if len(all) != 2 {
				t.Errorf("accept was sent %d times, want 2", len(all))
			}
			onceAccepted(h, tk.call.ID())
		})
	}
}

func failingTerminate(t *testing.T, h *house, p *simulator.Phone) {
	for _, f := range []graphFault{
		{name: "one 500", fault: broken(500), once: true},
		{name: "500", fault: broken(500)},
		{name: "429", fault: simulator.Fault{Status: 429, RetryAfter: 2 * time.Second}, once: true},
		{name: "hang", fault: simulator.Fault{Hang: true}},
		{name: "took effect, dropped", fault: simulator.Fault{Drop: true, AfterProcessing: true}},
		{name: "expired token", expired: true},
	} {
		for _, way := range []string{"rung", "dials"} {
			if way == "dials" && !f.once {
				continue // the same for both, and it takes its time
			}
			t.Run(fmt.Sprintf("%s, %s", f.name, way), func(t *testing.T) {
				h := h.as(t)
				cust := h.person(simulator.Behaviour{})
				var tk talk
				if way == "rung" {
					tk = inboundTalk(h, p, cust)
				} else {
					tk = outboundTalk(h, p, cust)
				}
				undo := h.fail("terminate", f)
				begin := time.Now()
				if err := tk.desk.Hangup(t.Context()); err != nil {
					t.Error(err)
				}
				cdr := h.record(tk.call.ID())
				if took := time.Since(begin); took > 10*time.Second+margin { // a leg is gone within 10 s
					t.Errorf("the call took %s to end", took)
				}
				if cdr.Cause.Reason != bridge.ReasonHangup || cdr.AnsweredAt.IsZero() {
					t.Errorf("recorded as %+v, answered %v", cdr.Cause, cdr.AnsweredAt)
				}
				undo() // Meta is well again: the call is ended there, late
				select {
				case <-tk.call.Ended():
				case <-time.After(wait + 10*time.Second): // tried again every 10 s
					t.Error("the call was never ended at Meta")
				}
			})
		}
	}
}
