package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The properties run a hundred histories each by default; the full number is
//
//	go test ./policy -run Random -timeout 2h -rapid.checks=100000

var epoch = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// drawEvent makes an event at a time. Few names, so that they meet.
func drawEvent(t *rapid.T, at time.Time) Event {
	e := Event{
		Kind: rapid.SampledFrom([]EventKind{
			EventRequested, EventRequested, EventRequestNamed, EventRequestNamed, EventRequestRefused, EventRequestReceived,
			EventGranted, EventGranted, EventDeclined, EventRevoked, EventAttempted, EventAttempted, EventAttempted, EventEnded, EventEnded, EventEnded,
			EventOffered, EventWrote, EventOverride, "nothing.known",
		}).Draw(t, "kind"),
		At: at,
	}
	if rapid.IntRange(0, 60).Draw(t, "list") == 0 {
		e.Kind = rapid.SampledFrom([]EventKind{EventBlocked, EventFreed}).Draw(t, "listed")
	}
	n := rapid.IntRange(0, 7).Draw(t, "n")
	switch e.Kind {
	case EventRequested, EventRequestRefused:
		e.ID = fmt.Sprintf("r%d", n)
	case EventRequestNamed:
		e.ID, e.Wamid = fmt.Sprintf("r%d", n), fmt.Sprintf("w%d", n)
	case EventRequestReceived:
		e.Wamid = fmt.Sprintf("w%d", n)
	case EventGranted, EventDeclined, EventRevoked:
		e.Automatic = e.Kind != EventDeclined && rapid.Bool().Draw(t, "automatic")
		if e.Kind != EventRevoked && n < 7 {
			e.Context = fmt.Sprintf("w%d", n)
		}
		if e.Kind == EventGranted {
			e.Permanent = rapid.IntRange(0, 4).Draw(t, "permanent") == 0
			if !e.Permanent && n > 0 {
				e.Expires = at.Add(drawStep(t)) // sometimes in the past
			}
		}
	case EventAttempted, EventEnded:
		e.ID = fmt.Sprintf("c%d", rapid.IntRange(0, 20).Draw(t, "call"))
		if e.Kind == EventEnded {
			e.Outcome = rapid.SampledFrom([]Outcome{OutcomeConnected, OutcomeUnanswered, OutcomeUnanswered, OutcomeDeclined, OutcomeFailed, "odd"}).Draw(t, "outcome")
			e.Inbound = rapid.IntRange(0, 4).Draw(t, "inbound") == 0
		}
	case EventOverride:
		e.By, e.Reason, e.Expires = "lead", "complaint", at.Add(drawStep(t))
		if n == 0 {
			e.Reason = ""
		}
	}
	return e
}

// drawStep is a time between two events: often nothing, or exactly a window or a second beside it; sometimes back.
func drawStep(t *rapid.T) time.Duration {
	base := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, time.Minute, time.Minute, time.Hour, time.Hour, 6 * time.Hour, Day, Week, 2 * Day, -time.Hour, -Day}).Draw(t, "step")
	return base + rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, -time.Second, time.Nanosecond}).Draw(t, "beside")
}

func drawHistory(t *rapid.T) []Event {
	at := epoch
	var events []Event
	for range rapid.IntRange(0, 40).Draw(t, "events") {
		if len(events) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			events = append(events, rapid.SampledFrom(events).Draw(t, "repeated"))
			continue
		}
		at = at.Add(drawStep(t))
		e := drawEvent(t, at)
		if rapid.IntRange(0, 7).Draw(t, "late") == 0 {
			e.At = e.At.Add(-drawStep(t))
		}
		events = append(events, e)
	}
	return events
}

func drawRules(t *rapid.T) Rules {
	test := rapid.IntRange(0, 5).Draw(t, "test") == 0
	profile := rapid.SampledFrom([]string{ProfileStrict, ProfileMeta, ProfileCustom}).Draw(t, "profile")
	n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	c := Custom{
		Line:       Limits{RequestsDay: n("rd", 1), RequestsWeek: n("rw", 2), DeclinedDay: n("dd", 1), DeclinedWeek: n("dw", 2), RequestsReset: rapid.Bool().Draw(t, "reset"), Attempts: n("at", 4), Connected: n("co", 4)},
		Global:     Limits{RequestsWeek: n("grw", 2), Attempts: n("gat", 4), Connected: n("gco", 4)},
		Unanswered: n("un", 4),
		Permission: time.Duration(n("perm", 7)) * Day,
	}
	r, err := NewRules(profile, c, test)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func drawLive(t *rapid.T, now time.Time) *Live {
	if rapid.Bool().Draw(t, "willing") { // so that our own limits are what decides
		return &Live{At: now, Permission: PermissionTemporary, CanStart: true, CanRequest: true}
	}
	if rapid.IntRange(0, 9).Draw(t, "down") == 0 {
		return nil
	}
	l := &Live{
		At:         now.Add(-rapid.SampledFrom([]time.Duration{0, 0, time.Second, 30 * time.Second, time.Minute, time.Minute + 1, time.Hour, -time.Minute, -time.Hour}).Draw(t, "age")),
		Permission: rapid.SampledFrom([]Permission{PermissionNone, PermissionTemporary, PermissionTemporary, PermissionTemporary, PermissionPermanent, PermissionUnknown}).Draw(t, "permission"),
		CanStart:   rapid.IntRange(0, 5).Draw(t, "start") > 0,
		CanRequest: rapid.IntRange(0, 5).Draw(t, "request") > 0,
	}
	if l.Permission == PermissionTemporary && rapid.Bool().Draw(t, "timed") {
		l.Expires = now.Add(drawStep(t))
	}
	quota := func(name string) *Quota {
		if rapid.IntRange(0, 3).Draw(t, name) > 0 {
			return nil
		}
		return &Quota{Max: rapid.IntRange(1, 100).Draw(t, name+" max"), Used: rapid.IntRange(0, 3).Draw(t, name+" used")}
	}
	l.StartDay, l.RequestDay, l.RequestWeek = quota("start day"), quota("request day"), quota("request week")
	if rapid.Bool().Draw(t, "next") {
		l.NextStart, l.NextRequest = now.Add(drawStep(t)), now.Add(drawStep(t))
	}
	return l
}

// drawNow is a time to decide at: mostly exactly where a window or a permission of some event ends, or a moment beside it.
func drawNow(t *rapid.T, events []Event) time.Time {
	at := epoch
	if len(events) > 0 {
		e := events[len(events)-1]
		if rapid.Bool().Draw(t, "about an older") {
			e = rapid.SampledFrom(events).Draw(t, "about")
		}
		at = e.At
		if !e.Expires.IsZero() && rapid.Bool().Draw(t, "at its end") {
			return e.Expires.Add(drawBeside(t))
		}
	}
	return at.Add(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, Day, Day, Day, Week, Week}).Draw(t, "later") + drawBeside(t))
}

func drawBeside(t *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 0, 0, time.Second, -time.Second, time.Nanosecond, -time.Nanosecond}).Draw(t, "beside")
}

func applyAll(events []Event) (s State) {
	for _, e := range events {
		s = s.Apply(e)
	}
	return s
}

func drawQuestion(t *rapid.T) (Question, []Event) {
	events := drawHistory(t)
	if rapid.IntRange(0, 2).Draw(t, "override") == 0 && len(events) > 0 {
		at := events[len(events)-1].At
		events = append(events, Event{Kind: EventOverride, At: at, By: "lead", Reason: "complaint", Expires: at.Add(drawStep(t))})
	}
	s := applyAll(events)
	now := drawNow(t, events)
	q := Question{
		Action: rapid.SampledFrom([]Action{ActionCall, ActionCall, ActionAsk}).Draw(t, "action"), Now: now,
		Line: Line{Enabled: true, Inbound: true, Outbound: true}, Pair: s, Global: s, Rules: drawRules(t), Live: drawLive(t, now),
		Blocked: rapid.IntRange(0, 9).Draw(t, "listed") == 0,
	}
	return q, events
}

func TestRandomHistoriesDecideAsTheOracleDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, events := drawQuestion(t)
		o := oracle{events}
		f := o.facts()
		p := q.Pair.Permission(q.Now)
		if want := f.standing(q.Now); p.Standing != want {
			t.Fatalf("standing %s, oracle %s", p.Standing, want)
		}
		if got := q.Pair.Streak(); got != min(f.streak, maxStreak) {
			t.Fatalf("streak %d, oracle %d", got, f.streak)
		}
		if open, _ := q.Pair.Window(q.Now); open != (!f.contact.IsZero() && q.Now.Sub(f.contact) < 24*time.Hour) {
			t.Fatalf("window open: %v, oracle: contact at %v", open, f.contact)
		}
		over := f.word.kind != "" && !f.word.reached && (f.word.tried || f.word.kind == "unanswered" || f.word.kind == "temporary" && !f.word.expires.After(q.Now))
		if p.Missed != over {
			t.Fatalf("missed %v, oracle %v", p.Missed, over)
		}
		d := Decide(q)
		if want := o.decide(q); d.Rule != want || d.Allowed != (want == RuleAllowed) {
			t.Fatalf("%s: %s (allowed %v), oracle %s", q.Action, d.Rule, d.Allowed, want)
		}
		if d.Sentence == "" || d.Render("id", time.UTC) == "" {
			t.Fatal("a decision must say why")
		}
	})
}

func TestRandomDecisionsChangeExactlyWhenTheySayTheyWill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, _ := drawQuestion(t)
		if rapid.Bool().Draw(t, "closed") {
			q.Hours = drawHours(t)
		}
		if rapid.IntRange(0, 3).Draw(t, "restricted") == 0 {
			q.Line.Restricted = []Restriction{{Kind: RestrictedOutbound, Until: q.Now.Add(drawStep(t))}, {Kind: RestrictedOutbound, Until: q.Now.Add(drawStep(t))}}
		}
		d := Decide(q)
		if d.NextAllowed.IsZero() {
			return
		}
		if d.Allowed || !d.NextAllowed.After(q.Now) {
			t.Fatalf("%+v at %v", d.NextAllowed, q.Now)
		}
		just := q
		just.Now = d.NextAllowed.Add(-time.Nanosecond)
		if e := Decide(just); e.Allowed {
			t.Fatalf("%s until %v, but just before it is allowed", d.Rule, d.NextAllowed)
		}
		just.Now = d.NextAllowed
		if e := Decide(just); e.Rule == d.Rule {
			t.Fatalf("%s until %v, but it still is then", d.Rule, d.NextAllowed)
		}
	})
}

func TestRandomQuestionsReplayFromTheirJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, _ := drawQuestion(t)
		q.Hours = drawHours(t)
		d := Decide(q)
		b, err := json.Marshal(d.Facts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Replay(b)
		if err != nil {
			t.Fatal(err)
		}
		if x, y := mustJSON(t, d), mustJSON(t, again); x != y {
			t.Fatalf("replayed\n%s\nas\n%s", x, y)
		}
	})
}

func mustJSON(t rapid.TB, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRandomEventsLeaveTheOldStateAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := drawHistory(t)
		var s State
		for _, e := range events {
			before := mustJSON(t, s)
			next := s.Apply(e)
			if mustJSON(t, s) != before {
				t.Fatalf("%+v changed the state it was applied to", e)
			}
			if twice := next.Apply(e); mustJSON(t, twice) != mustJSON(t, next) {
				t.Fatalf("%+v is not harmless when repeated", e)
			}
			s = next
		}
	})
}

func TestRandomMergesForgetNothingThatLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := applyAll(drawHistory(t)), applyAll(drawHistory(t))
		m := Merge(a, b)
		if got := Merge(a, a); !reflect.DeepEqual(got.Attempts, Merge(got, a).Attempts) || got.Streak() != a.Streak() {
			t.Fatal("merging again counts again")
		}
		if mustJSON(t, Merge(m, b).Attempts) != mustJSON(t, m.Attempts) || m.Streak() < max(a.Streak(), b.Streak()) {
			t.Fatal("merge is not stable")
		}
		now := epoch.Add(3 * Day)
		for _, s := range []State{a, b} {
			l := Limits{RequestsDay: 1, RequestsWeek: 1, DeclinedDay: 1, DeclinedWeek: 1, Attempts: 1, Connected: 1}
			for i, g := range s.attempts(now, "", 1) {
				if m.attempts(now, "", 1)[i].Used < g.Used {
					t.Fatal("a merge forgot an attempt")
				}
			}
			for i, g := range s.connected(now, "", 1) {
				// A call that one side knows to have ended unanswered no longer counts as under way.
				if len(s.Attempts) == 0 && m.connected(now, "", 1)[i].Used < g.Used {
					t.Fatal("a merge forgot a connected call")
				}
			}
			for i, g := range s.requests(now, "", l) {
				if len(a.Requests) == 0 || len(b.Requests) == 0 {
					if m.requests(now, "", l)[i].Used < g.Used {
						t.Fatal("a merge forgot a request")
					}
				}
			}
		}
		if _, blocked := m.IsBlocked(); !blocked {
			_, x := a.IsBlocked()
			_, y := b.IsBlocked()
			if x || y {
				t.Fatal("a merge freed a blocked customer")
			}
		}
	})
}
