package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// everything wrong at once; each case mends what comes before it in the order.
func TestTheOrderOfTheChecks(t *testing.T) {
	wrong := func() Question {
		var s State
		for i := range 6 {
			s = s.Apply(Event{Kind: EventAttempted, ID: fmt.Sprint(i), At: epoch}).
				Apply(Event{Kind: EventEnded, ID: fmt.Sprint(i), Outcome: OutcomeUnanswered, At: epoch})
		}
		s = s.Apply(Event{Kind: EventBlocked, By: "a", Reason: "rude", At: epoch})
		return Question{
			Action: ActionCall, Now: epoch, Pair: s, Global: s, Rules: Strict(),
			Line:  Line{Calls: 2, MaxCalls: 2, Restricted: []Restriction{{Kind: RestrictedInbound}, {Kind: RestrictedOutbound, Until: epoch.Add(Day)}}},
			Hours: Hours{Zone: "Asia/Jakarta", Weekly: []Span{{Day: 0, From: 0, To: 60}}},
			Live:  &Live{At: epoch, Permission: PermissionNone},
		}
	}
	q := wrong()
	for _, step := range []struct {
		rule string
		mend func()
	}{
		{RuleLineOff, func() { q.Line.Enabled = true }},
		{RuleNotAllowed, func() { q.Line.Outbound = true }},
		{RuleRestricted, func() { q.Line.Restricted = q.Line.Restricted[:1] }},
		{RuleBlocked, func() { q.Global = q.Global.Apply(Event{Kind: EventFreed, At: epoch}) }},
		{RuleHours, func() { q.Hours.Once = &HoursOnce{Open: true, Until: epoch.Add(time.Hour)} }},
		{RulePermissionNone, func() { q.Live.Permission = PermissionPermanent }},
		{RuleUnanswered, func() { q.Pair.Unanswered = nil }},
		{RuleAttempts, func() { q.Pair.Attempts, q.Global.Attempts = nil, nil }},
		{RuleCallLimit, func() { q.Live.CanStart = true }},
		{RuleConcurrency, func() { q.Line.Calls = 1 }},
		{RuleAllowed, func() {}},
	} {
		if d := Decide(q); d.Rule != step.rule {
			t.Fatalf("%s (%s), want %s", d.Rule, d.Sentence, step.rule)
		}
		step.mend()
	}
}

func TestAnInboundCallNeedsNoPermission(t *testing.T) {
	q := Question{Action: ActionRing, Now: epoch, Line: Line{Enabled: true, Inbound: true}, Rules: Strict()}
	if d := Decide(q); !d.Allowed {
		t.Errorf("%+v", d)
	}
	closed := q
	closed.Hours = Hours{Zone: "Asia/Jakarta", Weekly: []Span{{Day: 2, From: 8 * 60, To: 17 * 60}}}
	d := Decide(closed)
	if want := time.Date(2026, 11, 3, 1, 0, 0, 0, time.UTC); d.Rule != RuleHours || !d.NextAllowed.Equal(want) {
		t.Errorf("%+v", d)
	}
	if want := "It is outside the call hours of this line. It opens on Tuesday 3 November at 08:00."; d.Sentence != want {
		t.Errorf("%q", d.Sentence)
	}
	if fmt.Sprint(d.Possible) != "[callback]" {
		t.Errorf("%v", d.Possible)
	}
	for rule, f := range map[string]func(*Question){
		RuleLineOff:     func(q *Question) { q.Line.Enabled = false },
		RuleNotAllowed:  func(q *Question) { q.Line.Inbound = false },
		RuleRestricted:  func(q *Question) { q.Line.Restricted = []Restriction{{Kind: RestrictedInbound}} },
		RuleBlocked:     func(q *Question) { q.Blocked = true },
		RuleConcurrency: func(q *Question) { q.Line.MaxCalls, q.Line.Calls = 4, 4 },
		RuleAction:      func(q *Question) { q.Action = "fax" },
		RuleAllowed: func(q *Question) {
			q.Line.Restricted = []Restriction{{Kind: RestrictedButton}, {Kind: RestrictedOutbound}}
		},
	} {
		g := q
		f(&g)
		if d := Decide(g); d.Rule != rule {
			t.Errorf("%s, want %s", d.Rule, rule)
		}
	}
}

func TestARestrictionEndsAtItsTime(t *testing.T) {
	q := Question{Action: ActionRing, Now: epoch, Line: Line{Enabled: true, Inbound: true, Restricted: []Restriction{
		{Kind: RestrictedInbound, Until: epoch.Add(time.Hour)}, {Kind: RestrictedInbound, Until: epoch.Add(2 * time.Hour), Reason: "quality"}}}}
	d := Decide(q)
	if !d.NextAllowed.Equal(epoch.Add(2*time.Hour)) || !strings.Contains(d.Sentence, "ends on Monday 2 November at 10:00 UTC") {
		t.Errorf("%+v", d)
	}
	q.Now = epoch.Add(2 * time.Hour)
	if d := Decide(q); !d.Allowed {
		t.Errorf("%+v", d)
	}
	q.Line.Restricted = append(q.Line.Restricted, Restriction{Kind: RestrictedInbound})
	if d := Decide(q); d.Allowed || !d.NextAllowed.IsZero() {
		t.Errorf("%+v", d)
	}
}

func TestWhatAnAgentCanDoInstead(t *testing.T) {
	s := newScript(t)
	if d := s.wants(ActionCall, RulePermissionNone); fmt.Sprint(d.Possible) != "[ask ring_when_allowed callback]" {
		t.Errorf("%v", d.Possible)
	}
	s.event(Event{Kind: EventWrote})
	if d := s.wants(ActionCall, RulePermissionNone); fmt.Sprint(d.Possible) != "[ask button message ring_when_allowed callback]" {
		t.Errorf("%v", d.Possible)
	}
	s.request("1")
	if d := s.wants(ActionCall, RulePermissionRequested); fmt.Sprint(d.Possible) != "[button message ring_when_allowed callback]" {
		t.Errorf("%v", d.Possible)
	}
	if d := s.event(Event{Kind: EventBlocked, By: "a"}).wants(ActionCall, RuleBlocked); len(d.Possible) > 0 {
		t.Errorf("%v", d.Possible)
	}
}

func TestEveryRuleHasASentenceInBothLanguages(t *testing.T) {
	for key, s := range sentences {
		if s.en == "" || s.id == "" || s.en == s.id {
			t.Errorf("%s: %q, %q", key, s.en, s.id)
		}
		for _, p := range []string{"{until}", "{max}", "{count}", "{window}"} {
			if strings.Contains(s.en, p) && !strings.Contains(s.id, p) && p != "{window}" {
				t.Errorf("%s: %s is only in English", key, p)
			}
		}
		if strings.HasSuffix(key, ".until") != strings.Contains(s.en, "{until}") {
			t.Errorf("%s: %q", key, s.en)
		}
	}
	if got := (Decision{Key: "from.the.future", Sentence: "Later."}).Render("id", nil); got != "Later." {
		t.Error(got)
	}
}

func TestTheJSONOfADecisionIsStable(t *testing.T) {
	s := newScript(t).request("1")
	d := s.wants(ActionCall, RulePermissionRequested)
	d.Facts = nil
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	day, week := fmt.Sprint(int64(Day)), fmt.Sprint(int64(Week))
	want := `{"allowed":false,"rule":"permission.requested","sentence":"The customer has been asked for permission and has not answered yet.","key":"permission.requested","counters":[` +
		`{"name":"requests","scope":"line","window":` + day + `,"used":1,"max":1},{"name":"requests","scope":"line","window":` + week + `,"used":1,"max":1},` +
		`{"name":"requests","scope":"all","window":` + day + `,"used":1,"max":1},{"name":"requests","scope":"all","window":` + week + `,"used":1,"max":1},` +
		`{"name":"attempts","scope":"line","window":86400000000000,"used":0,"max":5},{"name":"attempts","scope":"all","window":86400000000000,"used":0,"max":5},` +
		`{"name":"connected","scope":"line","window":86400000000000,"used":0,"max":100},{"name":"connected","scope":"all","window":86400000000000,"used":0,"max":100},` +
		`{"name":"unanswered","scope":"line","window":0,"used":0,"max":3}],"possible":["ring_when_allowed","callback"]}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
}

func TestMomentsAreRoundedUpToTheMinuteOfTheZone(t *testing.T) {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	at := time.Date(2026, 12, 31, 22, 59, 0, 1, time.UTC)
	for _, c := range []struct{ lang, want string }{{"en", "on Friday 1 January at 00:00"}, {"id", "Jumat 1 Januari pukul 00.00"}, {"de", "on Friday 1 January at 00:00"}} {
		if got := Moment(c.lang, at, berlin); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := Moment("id", at, nil); got != "Kamis 31 Desember pukul 23.00 UTC" {
		t.Error(got)
	}
}
