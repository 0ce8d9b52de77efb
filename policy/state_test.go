package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEventsThatChangeNothing(t *testing.T) {
	s := newScript(t).request("1").at(time.Hour).grant("1").event(Event{Kind: EventBlocked, By: "a", Reason: "b"})
	before := mustJSON(t, s.pair)
	for name, e := range map[string]Event{
		"an unknown kind":                  {Kind: "call.teleported", At: s.now},
		"no kind":                          {At: s.now},
		"no time":                          {Kind: EventAttempted, ID: "x"},
		"the same request again":           {Kind: EventRequested, ID: "1", At: s.now},
		"a name for no request":            {Kind: EventRequestNamed, ID: "9", Wamid: "w", At: s.now},
		"a delivery of nothing":            {Kind: EventRequestReceived, At: s.now},
		"a refusal of what was answered":   {Kind: EventRequestRefused, ID: "1", At: s.now},
		"an older reply":                   {Kind: EventDeclined, Context: "wamid.1", At: epoch},
		"an outcome nobody knows":          {Kind: EventEnded, ID: "c", Outcome: "vanished", At: s.now},
		"a block repeated":                 {Kind: EventBlocked, By: "a", Reason: "b", At: s.now},
		"a release from before":            {Kind: EventFreed, At: epoch},
		"an override by nobody":            {Kind: EventOverride, Reason: "x", Expires: s.now.Add(Day), At: s.now},
		"no answer of Meta":                {Kind: EventLive, At: s.now},
		"an automatic message for nothing": {Kind: EventAutoReply, At: s.now},
	} {
		if after := mustJSON(t, s.pair.Apply(e)); after != before {
			t.Errorf("%s: %s", name, after)
		}
	}
}

func TestAReplyMayOvertakeTheNameOfItsRequest(t *testing.T) {
	s := newScript(t).event(Event{Kind: EventRequested, ID: "1"})
	s.at(time.Second).event(Event{Kind: EventGranted, Context: "wamid.1", Expires: epoch.Add(Week)})
	s.event(Event{Kind: EventRequestNamed, ID: "1", Wamid: "wamid.1"}).stands(StandingTemporary)
	if s.pair.Permission(s.now).Pending != nil {
		t.Error("the request is still open")
	}
}

func TestOfTwoRepliesInOneSecondTheStricterCounts(t *testing.T) {
	yes := Event{Kind: EventGranted, At: epoch, Context: "w", Expires: epoch.Add(Week)}
	no := Event{Kind: EventDeclined, At: epoch, Context: "w"}
	for _, events := range [][]Event{{yes, no}, {no, yes}, {yes, no, yes}} {
		if p := applyAll(events).Permission(epoch); p.Standing != StandingDeclined {
			t.Errorf("%s", p.Standing)
		}
	}
}

func TestABlockIsLiftedAndComesBack(t *testing.T) {
	block := Event{Kind: EventBlocked, At: epoch, By: "a", Reason: "rude"}
	s := applyAll([]Event{block, {Kind: EventFreed, At: epoch.Add(time.Hour)}, block})
	if _, blocked := s.IsBlocked(); blocked {
		t.Error("a repetition blocked again")
	}
	s = s.Apply(Event{Kind: EventBlocked, At: epoch.Add(2 * time.Hour), By: "b"})
	if b, blocked := s.IsBlocked(); !blocked || b.By != "b" {
		t.Errorf("%+v", b)
	}
}

// A state stays small whatever comes, and still knows what limits.
func TestAStateIsBoundedWhateverTheHistory(t *testing.T) {
	long := strings.Repeat("é", 300)
	var s State
	for i := range 10_000 {
		at := epoch.Add(time.Duration(i) * time.Second)
		id := fmt.Sprint(i, long)
		for _, e := range []Event{
			{Kind: EventRequested, ID: id}, {Kind: EventRequestNamed, ID: id, Wamid: id}, {Kind: EventAttempted, ID: id}, {Kind: EventEnded, ID: id, Outcome: OutcomeConnected},
			{Kind: EventAttempted, ID: "u" + id}, {Kind: EventEnded, ID: "u" + id, Outcome: OutcomeUnanswered}, {Kind: EventAutoReply, ID: id},
			{Kind: EventBlocked, By: long, Reason: long}, {Kind: EventOverride, By: long, Reason: long, Expires: at.Add(Day)},
		} {
			e.At = at
			s = s.Apply(e)
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 256<<10 {
		t.Errorf("%d bytes", len(b))
	}
	now := epoch.Add(10_000 * time.Second)
	if g := s.connected(now, "", 100)[0]; !g.full() || len(s.Requests) > maxWindow || len(s.Attempts) > maxWindow {
		t.Errorf("%+v", g)
	}
	for _, c := range s.Replied {
		if len(c) > maxText {
			t.Error("a long text was kept")
		}
	}
}

func TestOldEntriesAreDropped(t *testing.T) {
	var s State
	for i := range 100 {
		s = s.Apply(Event{Kind: EventAttempted, ID: fmt.Sprint(i), At: epoch.Add(time.Duration(i) * Day)})
	}
	if len(s.Attempts) != keepAnyAge {
		t.Errorf("%d attempts are kept", len(s.Attempts))
	}
}

func TestAClockThatJumpsAheadAndBackForgetsNoAttempt(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	for i := range 4 {
		s.at(time.Duration(i) * time.Minute).call(OutcomeFailed)
	}
	s.at(400 * Day).call(OutcomeFailed)
	s.at(5*time.Minute).wants(ActionCall, RuleAttempts)
}

func TestMergeJoinsWhatTwoNamesAddUpTo(t *testing.T) {
	phone := newScript(t).request("1").call(OutcomeUnanswered).event(Event{Kind: EventBlocked, By: "a"})
	bsuid := newScript(t)
	bsuid.calls = 10
	bsuid.at(time.Hour).event(Event{Kind: EventGranted, Permanent: true}).call(OutcomeUnanswered).call(OutcomeFailed).event(Event{Kind: EventWrote})
	for _, m := range []State{Merge(phone.pair, bsuid.pair), Merge(bsuid.pair, phone.pair)} {
		if m.Streak() != 2 || len(m.Attempts) != 3 || m.Attempts[0].ID != "call1" || len(m.Requests) != 1 {
			t.Errorf("%+v", m)
		}
		if p := m.Permission(epoch.Add(time.Hour)); p.Standing != StandingPermanent || p.Pending == nil {
			t.Errorf("%+v", p)
		}
		if _, blocked := m.IsBlocked(); !blocked {
			t.Error("freed by a merge")
		}
		if open, _ := m.Window(epoch.Add(2 * time.Hour)); !open {
			t.Error("window closed by a merge")
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte(`[{"kind":"permission.requested","at":"2026-11-02T08:00:00Z","id":"r"},{"kind":"permission.request.named","at":"2026-11-02T08:00:00Z","id":"r","wamid":"w"},{"kind":"permission.granted","at":"2026-11-02T09:00:00Z","context":"w","expires":"2026-11-09T09:00:00Z"}]`))
	f.Add([]byte(`[{"kind":"call.attempted","at":"2026-11-02T08:00:00Z","id":"c"},{"kind":"call.finished","at":"2026-11-02T08:00:30Z","id":"c","outcome":"unanswered"},{"kind":"permission.revoked","at":"2026-11-02T08:00:30Z","automatic":true}]`))
	f.Add([]byte(`[{"kind":"permission.live","at":"9999-12-31T23:59:59-12:00","live":{"at":"9999-12-31T23:59:59-12:00","permission":"temporary","next_start":"0001-01-01T00:00:00+12:00","start_day":{"max":-1,"used":1}}}]`))
	f.Add([]byte(`[{"kind":"permission.override","at":"2026-11-02T08:00:00Z","by":"\ud800","reason":"x","expires":"9999-12-31T23:59:59Z"},{"kind":"customer.blocked","at":"0000-01-01T00:00:00Z"}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var events []Event
		if json.Unmarshal(data, &events) != nil || len(events) == 0 {
			return
		}
		if len(events) > 200 {
			events = events[:200]
		}
		var s State
		for _, e := range events {
			s = s.Apply(e)
		}
		for range 300 / len(events) { // the same names at other times
			for i, e := range events {
				e.At = e.At.Add(time.Duration(i) * time.Hour)
				s = s.Apply(e)
			}
		}
		s = Merge(s, s)
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 512<<10 {
			t.Fatalf("%d bytes", len(b))
		}
		var again State
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		for _, now := range []time.Time{events[0].At, epoch} {
			q := Question{Action: ActionCall, Now: now, Line: Line{Enabled: true, Outbound: true}, Pair: s, Global: s, Rules: Strict(), Live: s.Live}
			d := Decide(q)
			q.Pair, q.Global = again, again
			if q.Live != nil {
				q.Live = again.Live
			}
			if e := Decide(q); d.Rule != e.Rule || d.Sentence != e.Sentence {
				t.Fatalf("%s, but %s after a restart", d.Rule, e.Rule)
			}
		}
	})
}

// History adds up 10,000 facts about one customer, of all kinds.
func history(n int) State {
	var s State
	for i := range n {
		at := epoch.Add(time.Duration(i) * time.Minute)
		e := Event{At: at, ID: fmt.Sprint("call-", i/2)}
		switch {
		case i%200 == 0:
			e.Kind, e.ID = EventRequested, fmt.Sprint("request-", i)
		case i%200 == 1:
			e.Kind, e.Expires = EventGranted, at.Add(Week)
		case i%2 == 0:
			e.Kind = EventAttempted
		default:
			e.Kind, e.Outcome = EventEnded, OutcomeConnected
		}
		s = s.Apply(e)
	}
	return s
}

func BenchmarkDecideWith10000Facts(b *testing.B) {
	s := history(10_000)
	now := epoch.Add(10_000 * time.Minute)
	q := Question{
		Action: ActionCall, Now: now, Line: Line{Enabled: true, Inbound: true, Outbound: true, MaxCalls: 10}, Pair: s, Global: s, Rules: Strict(),
		Live:  &Live{At: now, Permission: PermissionPermanent, CanStart: true, CanRequest: true, StartDay: &Quota{Max: 100, Used: 99}},
		Hours: Hours{Zone: "Asia/Jakarta", Weekly: []Span{{0, 0, 1440}, {1, 0, 1440}, {2, 0, 1440}, {3, 0, 1440}, {4, 0, 1440}, {5, 0, 1440}, {6, 0, 1440}}, Holidays: Packs()[0].Holidays(true)},
	}
	for _, action := range []Action{ActionCall, ActionAsk, ActionRing} {
		b.Run(string(action), func(b *testing.B) {
			q.Action = action
			b.ReportAllocs()
			begin := cpuTime(b)
			for b.Loop() {
				Decide(q)
			}
			// On a busy machine the processor's time says more than the clock's.
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkApply(b *testing.B) {
	s := history(10_000)
	at := epoch.Add(10_000 * time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		s.Apply(Event{Kind: EventAttempted, ID: "next", At: at})
	}
}
