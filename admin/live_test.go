package admin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stream opens the event stream; the returned function gives the next event.
func (r *rig) stream(session string) (next func() (event, data string), closeIt func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.s.Addr().String()+"/api/v1/events", nil)
	r.must(err)
	as(session)(req)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	r.must(err)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	lines := readLines(res.Body)
	stopped := func() {
		cancel()
		_ = res.Body.Close()
		for range lines { // until its reader is gone
		}
	}
	r.t.Cleanup(stopped)
	return func() (event, data string) {
		for {
			select {
			case l, open := <-lines:
				switch {
				case !open:
					return "end", ""
				case strings.HasPrefix(l, "event: "):
					event = l[7:]
				case strings.HasPrefix(l, "data: "):
					data = l[6:]
				case l == "" && event != "":
					return event, data
				}
			case <-time.After(20 * time.Second):
				r.t.Fatal("no event")
			}
		}
	}, stopped
}

func TestEventsTellWhatTheAskerMaySee(t *testing.T) {
	r := newRig(t).start()
	r.m.setRunning(runningCall("mine", "phone:1001"), runningCall("theirs", "phone:1002"))
	next, _ := r.stream(r.session(Agent))
	if e, data := next(); e != "calls" || !strings.Contains(data, "mine") || strings.Contains(data, "theirs") {
		t.Fatalf("%s %s", e, data)
	}
	held := runningCall("mine", "phone:1001")
	held.State = "held"
	r.m.setRunning(held, runningCall("theirs2", "phone:1002"))
	if e, data := next(); e != "call" || !strings.Contains(data, `"state":"held"`) {
		t.Errorf("%s %s", e, data)
	}
	r.m.setRunning(runningCall("theirs3", "phone:1002"))
	if e, data := next(); e != "gone" || data != `{"id":"mine"}` {
		t.Errorf("%s %s", e, data)
	}
}

func TestStreamsAreBoundedAndLeaveNothingBehind(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Agent)
	var closers []func()
	for range maxStreamsEach {
		next, closeIt := r.stream(s)
		next()
		closers = append(closers, closeIt)
	}
	r.want(r.do(http.MethodGet, "/api/v1/events", "", as(s)), 429, "too_many")
	if n := r.m.watchers(); n != maxStreamsEach {
		t.Errorf("%d watchers", n)
	}
	for _, c := range closers {
		c()
	}
	await(t, func() bool { return r.m.watchers() == 0 && r.s.streams.take("probe") != nil })
	next, _ := r.stream(s)
	next()
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it does not happen")
		}
	}
}

func TestStopEndsTheStreams(t *testing.T) {
	r := newRig(t).start()
	next, _ := r.stream(r.session(Admin))
	next()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.s.Stop(ctx); err != nil {
		t.Error(err)
	}
	if e, _ := next(); e != "end" {
		t.Errorf("event %s", e)
	}
}

func TestAnEndedSessionLosesItsStream(t *testing.T) {
	r := newRig(t)
	r.s.ping = 20 * time.Millisecond
	r.start()
	s, token := r.session(Agent), r.token(Agent, "live:read")
	next, _ := r.stream(s)
	next()
	if e, _ := next(); e != "ping" {
		t.Fatalf("event %s", e)
	}
	r.must(r.acc.EndSessions(t.Context(), ControlSocket, r.users[Agent].ID, ""))
	for {
		if e, _ := next(); e == "end" {
			break
		}
	}
	p := &principal{user: r.users[Agent], token: &Token{ID: "gone"}}
	if _, err := r.s.stillGood(context.WithValue(t.Context(), principalKey, p)); err == nil {
		t.Error("a deleted token keeps its stream")
	}
	r.want(r.do(http.MethodGet, "/api/v1/live/calls", "", bearing(token)), 200, "")
}

// A forgotten page must not keep a session alive: the stream's own look is no use of it.
func TestAStreamIsNoUseOfTheSession(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Agent)
	p := &principal{user: r.users[Agent], secret: s, session: "x"}
	ctx := context.WithValue(t.Context(), principalKey, p)
	for range 9 {
		r.clock.pass(time.Hour)
		_, err := r.s.stillGood(ctx)
		if r.clock.now().Sub(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)) < sessionIdle && err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.s.stillGood(ctx); err == nil {
		t.Error("idle for nine hours and still good")
	}
}
