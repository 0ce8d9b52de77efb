package policy

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// gate is an appliance that asks Decide before everything it does, and keeps a plain list of what it did for the test to
// count. Its Meta says yes to everything, so that only our own limits hold.
type gate struct {
	t          *rapid.T
	rules      Rules
	now        time.Time
	pair       State
	calls      []time.Time // placed
	requests   []sent
	unanswered int // in a row
	worst      int // the longest such row
	n          int
	open       []int // calls under way, as indexes of calls
}

type sent struct {
	at       time.Time
	declined bool // the one before it was declined
	reset    int  // how many calls had connected by then
}

func (g *gate) record(s State, e Event) State {
	e.At = g.now
	s = s.Apply(e)
	if rapid.IntRange(0, 3).Draw(g.t, "restart") == 0 {
		b, err := json.Marshal(s)
		if err != nil {
			g.t.Fatal(err)
		}
		s = State{}
		if err := json.Unmarshal(b, &s); err != nil {
			g.t.Fatal(err)
		}
	}
	return s
}

func (g *gate) ask(a Action, s State) bool {
	live := &Live{At: g.now, Permission: PermissionTemporary, CanStart: true, CanRequest: true}
	return Decide(Question{Action: a, Now: g.now, Line: Line{Enabled: true, Outbound: true}, Pair: s, Global: s, Rules: g.rules, Live: live}).Allowed
}

// try lets several agents want the same thing at once. Each decides on the state it read; the store takes the first and
// makes the others read again (the expected version).
func (g *gate) try(a Action, kind EventKind, did func(id string)) {
	read := g.pair
	for range rapid.IntRange(1, 3).Draw(g.t, "agents") {
		if !g.ask(a, read) {
			continue
		}
		if !g.ask(a, g.pair) { // the version had moved on
			continue
		}
		g.n++
		id := fmt.Sprint(g.n)
		g.pair = g.record(g.pair, Event{Kind: kind, ID: id})
		did(id)
	}
}

func TestRandomHistoriesNeverLetMoreThroughThanTheProfileAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		profile := rapid.SampledFrom([]string{ProfileStrict, ProfileMeta, ProfileCustom}).Draw(t, "profile")
		rules, err := NewRules(profile, Custom{Line: Limits{Attempts: 7, Connected: 3, RequestsWeek: 1}, Unanswered: 2}, false)
		if err != nil {
			t.Fatal(err)
		}
		g := &gate{t: t, rules: rules, now: epoch}
		connects, connected, ids := 0, []time.Time{}, []string{}
		declined := false
		for range rapid.IntRange(10, 80).Draw(t, "steps") {
			g.now = g.now.Add(rapid.SampledFrom([]time.Duration{0, 1, time.Second, time.Minute, time.Hour, 5 * time.Hour, Day - time.Second, Day, 3 * Day, -time.Minute, -6 * time.Hour, -2 * Day, 400 * Day, -400 * Day}).Draw(t, "clock"))
			switch rapid.SampledFrom([]string{"call", "call", "call", "end", "end", "ask", "ask", "decline", "inbound"}).Draw(t, "do") {
			case "call":
				g.try(ActionCall, EventAttempted, func(id string) {
					g.calls = append(g.calls, g.now)
					g.open = append(g.open, len(g.calls)-1)
					ids = append(ids, id)
				})
			case "end":
				if len(g.open) == 0 {
					continue
				}
				o := rapid.SampledFrom([]Outcome{OutcomeConnected, OutcomeUnanswered, OutcomeUnanswered, OutcomeDeclined, OutcomeFailed}).Draw(t, "outcome")
				g.pair = g.record(g.pair, Event{Kind: EventEnded, ID: ids[g.open[0]], Outcome: o})
				placed := g.calls[g.open[0]] // picked up seconds later
				g.open = g.open[1:]
				switch o {
				case OutcomeConnected:
					g.unanswered, connects, connected = 0, connects+1, append(connected, placed)
				case OutcomeUnanswered, OutcomeDeclined:
					g.unanswered++
					g.worst = max(g.worst, g.unanswered)
				}
			case "ask":
				g.try(ActionAsk, EventRequested, func(string) {
					g.requests = append(g.requests, sent{g.now, declined, connects})
					declined = false
				})
			case "decline":
				if len(g.requests) > 0 {
					g.pair = g.record(g.pair, Event{Kind: EventDeclined})
				}
			case "inbound":
				g.n++
				g.pair = g.record(g.pair, Event{Kind: EventEnded, ID: fmt.Sprint(g.n), Inbound: true, Outcome: OutcomeConnected})
				g.unanswered, connects = 0, connects+1
			}
		}
		most := func(name string, at []time.Time, window time.Duration, limit int) {
			for _, end := range at {
				n := 0
				for _, x := range at {
					if !x.After(end) && end.Sub(x) < window {
						n++
					}
				}
				if n > limit {
					t.Fatalf("%d %s within %v, limit %d (%s)", n, name, window, limit, profile)
				}
			}
		}
		attempts := map[string]int{ProfileStrict: 5, ProfileMeta: 1 << 20, ProfileCustom: 7}[profile]
		most("calls", g.calls, 24*time.Hour, attempts)
		most("connected calls", connected, 24*time.Hour, map[string]int{ProfileStrict: 100, ProfileMeta: 100, ProfileCustom: 3}[profile])
		// Requests: at Meta those since the last connected call; with strict all of them.
		for n := 0; n <= connects; n++ {
			var since, all []time.Time
			for _, r := range g.requests {
				all = append(all, r.at)
				if r.reset == n {
					since = append(since, r.at)
				}
			}
			most("requests", since, 24*time.Hour, 1)
			most("requests", since, 7*24*time.Hour, 2)
			if profile == ProfileStrict {
				most("requests", all, 7*24*time.Hour, 1)
			}
		}
	})
}

// One agent at a time, as Meta allows one call per customer: the streak never passes what the profile allows, whatever the
// clock does.
func TestRandomHistoriesNeverReachTheStreakThatRevokes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &gate{t: t, rules: Strict(), now: epoch}
		streak := 0
		for i := range rapid.IntRange(5, 60).Draw(t, "steps") {
			g.now = g.now.Add(rapid.SampledFrom([]time.Duration{0, time.Hour, 6 * time.Hour, Day, 30 * Day, -Day, 400 * Day, -400 * Day}).Draw(t, "clock"))
			id := fmt.Sprint("c", i)
			inbound := rapid.IntRange(0, 9).Draw(t, "inbound") == 0
			if !inbound {
				if !g.ask(ActionCall, g.pair) {
					continue
				}
				g.pair = g.record(g.pair, Event{Kind: EventAttempted, ID: id})
			}
			o := rapid.SampledFrom([]Outcome{OutcomeConnected, OutcomeUnanswered, OutcomeUnanswered, OutcomeUnanswered, OutcomeDeclined, OutcomeFailed}).Draw(t, "outcome")
			g.pair = g.record(g.pair, Event{Kind: EventEnded, ID: id, Outcome: o, Inbound: inbound})
			switch {
			case o == OutcomeConnected:
				streak = 0
			case !inbound && o != OutcomeFailed:
				streak++
			}
			if streak > 3 {
				t.Fatal("a fourth unanswered call in a row was placed")
			}
		}
	})
}

// With an override in force Meta's own numbers still hold.
func TestRandomOverridesNeverLiftMetasLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &gate{t: t, rules: Strict(), now: epoch}
		var asked []time.Time
		for i := range rapid.IntRange(5, 60).Draw(t, "steps") {
			g.now = g.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 6 * time.Hour, Day - time.Second, Day, 3 * Day}).Draw(t, "clock"))
			g.pair = g.record(g.pair, Event{Kind: EventOverride, By: "lead", Reason: "complaint", Expires: g.now.Add(time.Hour)})
			if g.ask(ActionAsk, g.pair) {
				g.pair = g.record(g.pair, Event{Kind: EventRequested, ID: fmt.Sprint(i)})
				asked = append(asked, g.now)
			}
		}
		for _, end := range asked {
			day, week := 0, 0
			for _, x := range asked {
				if d := end.Sub(x); d >= 0 && d < 24*time.Hour {
					day++
				}
				if d := end.Sub(x); d >= 0 && d < 7*24*time.Hour {
					week++
				}
			}
			if day > 1 || week > 2 {
				t.Fatalf("%d requests in a day, %d in a week", day, week)
			}
		}
	})
}
