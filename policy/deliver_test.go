package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// One script per promise of the product, at given times.

// script is a pair of line and customer whose clock the test turns.
type script struct {
	*testing.T
	pair, global State
	rules        Rules
	live         *Live // nil in ask: as Meta would answer, from what the events say
	now          time.Time
	calls        int
}

func newScript(t *testing.T) *script { return &script{T: t, rules: Strict(), now: epoch} }

func (s *script) at(d time.Duration) *script {
	s.now = epoch.Add(d)
	return s
}

func (s *script) event(e Event) *script {
	if e.At.IsZero() {
		e.At = s.now
	}
	s.pair, s.global = s.pair.Apply(e), s.global.Apply(e)
	return s
}

// request sends a permission request as the appliance does: counted, named, delivered.
func (s *script) request(id string) *script {
	return s.event(Event{Kind: EventRequested, ID: id}).event(Event{Kind: EventRequestNamed, ID: id, Wamid: "wamid." + id}).
		event(Event{Kind: EventRequestReceived, Wamid: "wamid." + id})
}

func (s *script) grant(id string) *script {
	return s.event(Event{Kind: EventGranted, Context: "wamid." + id, Expires: s.now.Add(Week)})
}

func (s *script) decline(id string) *script {
	return s.event(Event{Kind: EventDeclined, Context: "wamid." + id})
}

func (s *script) call(o Outcome) *script {
	s.calls++
	id := fmt.Sprint("call", s.calls)
	return s.event(Event{Kind: EventAttempted, ID: id}).event(Event{Kind: EventEnded, ID: id, Outcome: o})
}

func (s *script) question(a Action) Question {
	live := s.live
	if live == nil {
		p := s.pair.Permission(s.now)
		live = &Live{At: s.now, Permission: PermissionNone, CanStart: true, CanRequest: true}
		switch p.Standing {
		case StandingTemporary:
			live.Permission, live.Expires = PermissionTemporary, p.Expires
		case StandingPermanent:
			live.Permission = PermissionPermanent
		}
	}
	return Question{Action: a, Now: s.now, Line: Line{Enabled: true, Inbound: true, Outbound: true}, Pair: s.pair, Global: s.global, Rules: s.rules, Live: live}
}

// wants checks the rule, and the time it ends by itself ("" none).
func (s *script) wants(a Action, rule string, next ...time.Time) Decision {
	s.Helper()
	d := Decide(s.question(a))
	if d.Rule != rule || d.Allowed != (rule == RuleAllowed) {
		s.Errorf("after %v: %s is %q (%s), want %q", s.now.Sub(epoch), a, d.Rule, d.Sentence, rule)
	}
	if len(next) > 0 && !d.NextAllowed.Equal(next[0]) {
		s.Errorf("after %v: next %v, want %v", s.now.Sub(epoch), d.NextAllowed, next[0])
	}
	return d
}

func (s *script) stands(want Standing) PermissionState {
	s.Helper()
	p := s.pair.Permission(s.now)
	if p.Standing != want {
		s.Errorf("after %v: %s, want %s", s.now.Sub(epoch), p.Standing, want)
	}
	return p
}

func TestTheStateMachinePerLineAndCustomer(t *testing.T) {
	s := newScript(t)
	s.stands(StandingNone)
	s.request("1").stands(StandingRequested)
	s.at(time.Hour).grant("1").stands(StandingTemporary)
	s.at(time.Hour + Week - 1).stands(StandingTemporary)
	s.at(time.Hour + Week).stands(StandingExpired)
	s.at(8 * Day).request("2").stands(StandingRequested)
	s.at(9 * Day).request("3").stands(StandingRequested) // supersedes
	s.at(9*Day + time.Hour).grant("2").stands(StandingRequested)
	s.at(9*Day + 2*time.Hour).decline("3").stands(StandingDeclined)
	s.at(10 * Day).event(Event{Kind: EventGranted, Permanent: true}).stands(StandingPermanent)
	s.at(300 * Day).stands(StandingPermanent)
	s.event(Event{Kind: EventRevoked}).stands(StandingRevoked)
	s.at(301 * Day).event(Event{Kind: EventGranted, Automatic: true, Context: "wacid.1", Expires: s.now.Add(Week)}).stands(StandingTemporary)
	s.at(302 * Day).event(Event{Kind: EventRevoked, Automatic: true}).stands(StandingUnanswered)
	s.at(303 * Day).request("4").stands(StandingRequested)
	s.at(310*Day - 1).stands(StandingRequested)
	s.at(310 * Day).stands(StandingRequestExpired)
}

func TestFedByPermissionRepliesAllSixScenarios(t *testing.T) {
	for _, c := range []struct {
		name   string
		e      Event
		want   Standing
		source Source
	}{
		{"accepts temporarily", Event{Kind: EventGranted, Context: "wamid.1", Expires: epoch.Add(9 * Day)}, StandingTemporary, SourceRequest},
		{"accepts permanently", Event{Kind: EventGranted, Context: "wamid.1", Permanent: true}, StandingPermanent, SourceRequest},
		{"accepts permanently in the business profile", Event{Kind: EventGranted, Permanent: true}, StandingPermanent, SourceProfile},
		{"declines", Event{Kind: EventDeclined, Context: "wamid.1"}, StandingDeclined, SourceRequest},
		{"automatic after the customer called", Event{Kind: EventGranted, Automatic: true, Context: "wacid.7", Expires: epoch.Add(9 * Day)}, StandingTemporary, SourceCallback},
		{"revoked after unanswered calls", Event{Kind: EventRevoked, Automatic: true}, StandingUnanswered, SourceMeta},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t).request("1").at(time.Hour).event(c.e)
			p := s.stands(c.want)
			if p.Source != c.source || !p.Expires.Equal(c.e.Expires) || !p.Since.Equal(s.now) {
				t.Errorf("%+v", p)
			}
			if answered := c.e.Context == "wamid.1"; (p.Pending == nil) != answered {
				t.Errorf("pending %+v", p.Pending)
			}
			before := s.pair
			if s.event(c.e); mustJSON(t, before) != mustJSON(t, s.pair) {
				t.Error("a repetition changed the state")
			}
		})
	}
}

func TestFedByCallOutcomesRequestsSentAndLiveCallPermissions(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	s.call(OutcomeUnanswered).call(OutcomeFailed)
	if s.pair.Streak() != 1 {
		t.Errorf("streak %d: a call that never reached the customer is not unanswered", s.pair.Streak())
	}
	s.at(time.Minute).event(Event{Kind: EventLive, Live: &Live{At: s.now, Permission: PermissionNone, CanRequest: true}})
	s.live = s.pair.Live
	s.wants(ActionCall, RulePermissionNone) // Meta knows of a withdrawal that no webhook told
	s.event(Event{Kind: EventLive, Live: &Live{At: s.now.Add(-time.Second), Permission: PermissionPermanent, CanStart: true}})
	if s.pair.Live != s.live {
		t.Error("an older answer replaced a newer one")
	}
}

func TestRollingWindowsAreCorrectAtTheBoundarySecondAcrossARestart(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	for i := range 5 {
		s.at(time.Duration(i) * time.Minute).call(OutcomeFailed)
	}
	b, err := json.Marshal(s.pair)
	if err != nil {
		t.Fatal(err)
	}
	s.pair = State{}
	if err := json.Unmarshal(b, &s.pair); err != nil {
		t.Fatal(err)
	}
	s.at(Day-time.Second).wants(ActionCall, RuleAttempts, epoch.Add(Day))
	s.at(Day-1).wants(ActionCall, RuleAttempts, epoch.Add(Day))
	s.at(Day).wants(ActionCall, RuleAllowed)
	s.call(OutcomeFailed)
	s.at(Day+time.Minute-1).wants(ActionCall, RuleAttempts, epoch.Add(Day+time.Minute))
	s.at(Day+time.Minute).wants(ActionCall, RuleAllowed)
}

func TestADecisionHasRuleSentenceCountersNextTimeWhatIsPossibleAndTheFacts(t *testing.T) {
	s := newScript(t).request("1").at(time.Hour).grant("1").event(Event{Kind: EventWrote})
	for range 5 {
		s.call(OutcomeFailed)
	}
	q := s.question(ActionCall)
	q.Zone = "Asia/Jakarta"
	d := Decide(q)
	if want := "The limit of 5 calls to this customer in 24 hours is reached. The next is possible on Tuesday 3 November at 16:00."; d.Sentence != want {
		t.Errorf("%q", d.Sentence)
	}
	jakarta, _ := time.LoadLocation("Asia/Jakarta")
	if got, want := d.Render("id", jakarta), "Batas 5 panggilan ke pelanggan ini dalam 24 jam sudah tercapai. Berikutnya bisa Selasa 3 November pukul 16.00."; got != want {
		t.Errorf("%q", got)
	}
	var attempts *Counter
	for i, c := range d.Counters {
		if c.Name == "attempts" && c.Scope == scopeLine {
			attempts = &d.Counters[i]
		}
	}
	if attempts == nil || *attempts != (Counter{Name: "attempts", Scope: scopeLine, Window: Day, Used: 5, Max: 5}) {
		t.Errorf("%+v", d.Counters)
	}
	if fmt.Sprint(d.Possible) != "[button message ring_when_allowed callback]" {
		t.Errorf("possible %v", d.Possible)
	}
	stored, err := json.Marshal(d.Facts)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Replay(stored)
	if err != nil || mustJSON(t, again) != mustJSON(t, d) {
		t.Errorf("replayed as %+v, %v", again, err)
	}
	if _, err := Replay([]byte(`{"now":7}`)); err == nil {
		t.Error("a broken question was decided")
	}
}

func TestAtMostOnePermissionRequestPerSevenDays(t *testing.T) {
	s := newScript(t)
	if d := s.wants(ActionAsk, RuleAllowed); !d.Template {
		t.Error("outside the message window a request must be a template")
	}
	s.request("1").at(time.Second).wants(ActionAsk, RuleRequests, epoch.Add(Week))
	s.at(time.Hour).call(OutcomeConnected)
	s.at(Week-time.Second).wants(ActionAsk, RuleRequests, epoch.Add(Week)) // a connected call does not soften the promise
	s.at(Week).wants(ActionAsk, RuleAllowed)

	refused := newScript(t).event(Event{Kind: EventRequested, ID: "x"})
	refused.wants(ActionAsk, RuleRequests)
	refused.event(Event{Kind: EventRequestRefused, ID: "x"}).wants(ActionAsk, RuleAllowed)
	refused.event(Event{Kind: EventRequested, ID: "x"}).wants(ActionAsk, RuleAllowed) // repeated
}

func TestAfterADeclineOneRequestPerDayAndTwoPerSevenDays(t *testing.T) {
	s := newScript(t).request("1").at(time.Hour).decline("1")
	s.wants(ActionAsk, RuleRequests, epoch.Add(Day))
	s.at(Day-time.Second).wants(ActionAsk, RuleRequests)
	s.at(Day).wants(ActionAsk, RuleAllowed)
	s.request("2").at(Day + time.Hour).decline("2")
	s.at(2*Day).wants(ActionAsk, RuleRequests, epoch.Add(Week))
	s.at(Week).wants(ActionAsk, RuleAllowed)
}

func TestTheCustomerMayChangeTheAnswerWithinTheSevenDays(t *testing.T) {
	s := newScript(t).request("1").at(time.Hour).decline("1")
	s.stands(StandingDeclined)
	s.at(6*Day).grant("1").wants(ActionCall, RuleAllowed)
	s.at(6*Day+time.Hour).decline("1").wants(ActionCall, RulePermissionDeclined)
	late := s.pair.Apply(Event{Kind: EventGranted, At: epoch.Add(6 * Day), Context: "wamid.1", Permanent: true})
	if p := late.Permission(s.now); p.Standing != StandingDeclined {
		t.Errorf("an old answer that came late replaced the newer: %s", p.Standing)
	}
}

func TestAnAcceptedPermissionLastsSevenDaysByMetasTimestamp(t *testing.T) {
	s := newScript(t).request("1").event(Event{Kind: EventGranted, Context: "wamid.1", Expires: epoch.Add(16 * Day)})
	s.at(16*Day-1).wants(ActionCall, RuleAllowed) // as in Meta's own sample: 16 days, taken as they are
	s.at(16*Day).wants(ActionCall, RulePermissionExpired)
	none := newScript(t).event(Event{Kind: EventGranted, Context: "wamid.1"})
	none.at(Week - 1).stands(StandingTemporary)
	none.at(Week).stands(StandingExpired)
	past := newScript(t).event(Event{Kind: EventGranted, Context: "wamid.1", Expires: epoch.Add(-time.Second)})
	past.stands(StandingExpired)
	short := newScript(t).request("1").grant("1")
	short.rules.Permission = 2 * Day
	short.at(2*Day-1).wants(ActionCall, RuleAllowed)
	short.at(2*Day).wants(ActionCall, RulePermissionExpired)
}

func TestAtMostFiveCallAttemptsInTwentyFourHours(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	for i := range 5 {
		s.at(time.Duration(i)*time.Hour).wants(ActionCall, RuleAllowed)
		s.call(OutcomeConnected)
	}
	s.at(5*time.Hour).wants(ActionCall, RuleAttempts, epoch.Add(Day))
	s.event(Event{Kind: EventAttempted, ID: "call1"}).wants(ActionCall, RuleAttempts, epoch.Add(Day)) // repeated
}

func TestAfterTwoUnansweredOrDeclinedCallsAWarning(t *testing.T) {
	s := newScript(t).request("1").grant("1").call(OutcomeUnanswered)
	if s.wants(ActionCall, RuleAllowed).Warning {
		t.Error("warned after one")
	}
	d := s.call(OutcomeDeclined).wants(ActionCall, RuleAllowed)
	if !d.Warning || !strings.Contains(d.Sentence, "last 2 calls") {
		t.Errorf("%+v", d)
	}
	s.event(Event{Kind: EventEnded, ID: "in", Inbound: true, Outcome: OutcomeConnected})
	if s.wants(ActionCall, RuleAllowed).Warning {
		t.Error("warned though the two have spoken since")
	}
}

func TestStopBeforeTheFourthUnansweredWhichWouldRevoke(t *testing.T) {
	three := func() *script {
		return newScript(t).request("1").grant("1").call(OutcomeUnanswered).call(OutcomeDeclined).call(OutcomeUnanswered)
	}
	three().wants(ActionCall, RuleUnanswered, time.Time{})
	three().at(6*Day).wants(ActionCall, RuleUnanswered)
	three().event(Event{Kind: EventEnded, ID: "in", Inbound: true, Outcome: OutcomeUnanswered}).wants(ActionCall, RuleUnanswered)
	three().event(Event{Kind: EventEnded, ID: "in", Inbound: true, Outcome: OutcomeConnected}).wants(ActionCall, RuleAllowed)
	meta := three()
	meta.rules = Meta()
	meta.wants(ActionCall, RuleAllowed)
	meta.call(OutcomeUnanswered).wants(ActionCall, RuleUnanswered)
	meta.at(time.Hour).event(Event{Kind: EventRevoked, Automatic: true}).wants(ActionCall, RulePermissionUnanswered)
	meta.at(2*Day).request("2").grant("2").wants(ActionCall, RuleAllowed) // Meta has drawn the consequence
}

func TestANewRequestMakesTheEarlierInvalid(t *testing.T) {
	s := newScript(t).request("1").at(time.Hour).decline("1").at(Day).request("2")
	before := s.pair
	s.at(Day + time.Hour).event(Event{Kind: EventGranted, Context: "wamid.1", Permanent: true})
	if s.stands(StandingRequested); mustJSON(t, before) != mustJSON(t, s.pair) {
		t.Error("a reply to a superseded request changed the state")
	}
	s.event(Event{Kind: EventGranted, At: epoch.Add(Day - time.Minute), Context: "wamid.1", Permanent: true})
	s.stands(StandingPermanent) // given before the second was sent, only told later
	s.at(Day+2*time.Hour).decline("2").wants(ActionCall, RulePermissionDeclined)
}

func TestNoAnswerToARequestExpiresItAfterSevenDays(t *testing.T) {
	s := newScript(t).event(Event{Kind: EventRequested, ID: "1"}).event(Event{Kind: EventRequestNamed, ID: "1", Wamid: "w"})
	s.at(2 * Day).event(Event{Kind: EventRequestReceived, Wamid: "w"}) // delivered two days later
	p := s.at(9*Day - time.Second).stands(StandingRequested)
	if p.Pending == nil || !p.Pending.Expires().Equal(epoch.Add(9*Day)) {
		t.Errorf("%+v", p)
	}
	s.wants(ActionCall, RulePermissionRequested)
	if p := s.at(9 * Day).stands(StandingRequestExpired); p.Pending != nil || !p.Since.Equal(epoch.Add(9*Day)) {
		t.Errorf("%+v", p)
	}
	s.wants(ActionCall, RulePermissionRequestExpired)
}

func TestPermissionGrantedButNotConnectedCountsAsMissedNotFailed(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	if s.stands(StandingTemporary).Missed {
		t.Error("missed before anybody called")
	}
	if !s.call(OutcomeUnanswered).stands(StandingTemporary).Missed {
		t.Error("not missed after an unanswered call")
	}
	if !s.at(Week).stands(StandingExpired).Missed {
		t.Error("not missed after the permission ended unused")
	}
	reached := newScript(t).request("1").grant("1").call(OutcomeUnanswered).call(OutcomeConnected)
	if reached.stands(StandingTemporary).Missed || reached.at(Week).stands(StandingExpired).Missed {
		t.Error("missed though they spoke")
	}
	failed := newScript(t).request("1").grant("1").call(OutcomeFailed)
	if failed.stands(StandingTemporary).Missed {
		t.Error("a call that never reached the customer missed nobody yet")
	}
}

func TestProfileMetaHasMetasNumbers(t *testing.T) {
	s := newScript(t)
	s.rules = Meta()
	s.request("1").wants(ActionAsk, RuleRequests, epoch.Add(Day))
	s.at(Day).request("2").wants(ActionAsk, RuleRequests, epoch.Add(Week))
	s.at(2*Day).event(Event{Kind: EventEnded, ID: "in", Inbound: true, Outcome: OutcomeConnected}).wants(ActionAsk, RuleAllowed)
	s.at(3 * Day).grant("2")
	for range 99 {
		s.call(OutcomeConnected)
	}
	s.wants(ActionCall, RuleAllowed)
	s.event(Event{Kind: EventAttempted, ID: "under way"}).wants(ActionCall, RuleCallLimit, epoch.Add(4*Day))
	s.event(Event{Kind: EventEnded, ID: "under way", Outcome: OutcomeFailed}).wants(ActionCall, RuleAllowed)
	s.call(OutcomeConnected).wants(ActionCall, RuleCallLimit, epoch.Add(4*Day))

	test := newScript(t)
	test.rules, _ = NewRules(ProfileMeta, Custom{}, true)
	for i := range 25 {
		test.wants(ActionAsk, RuleAllowed)
		test.request(fmt.Sprint(i))
	}
	test.wants(ActionAsk, RuleRequests, epoch.Add(Day))
	for d := 1; d < 4; d++ {
		test.at(time.Duration(d) * Day)
		for i := range 25 {
			test.request(fmt.Sprint(d, "-", i))
		}
	}
	test.at(4*Day).wants(ActionAsk, RuleRequests, epoch.Add(Week)) // 100 in the week
}

func TestEffectiveLimitIsTheStricterOfProfileAndMetasLiveAnswer(t *testing.T) {
	s := newScript(t).request("1").grant("1").at(time.Minute)
	live := func(f func(*Live)) *script {
		l := &Live{At: s.now, Permission: PermissionTemporary, Expires: epoch.Add(Week), CanStart: true, CanRequest: true, StartDay: &Quota{Max: 100, Used: 3}}
		f(l)
		s.live = l
		return s
	}
	live(func(*Live) {}).wants(ActionCall, RuleAllowed)
	live(func(l *Live) { l.CanStart, l.NextStart = false, epoch.Add(time.Hour) }).wants(ActionCall, RuleCallLimit, epoch.Add(time.Hour))
	live(func(l *Live) { l.CanStart = false }).wants(ActionCall, RuleCallLimit, time.Time{})
	live(func(l *Live) { l.StartDay = &Quota{Max: 3, Used: 3} }).wants(ActionCall, RuleCallLimit)
	live(func(l *Live) { l.Permission = PermissionNone }).wants(ActionCall, RulePermissionNone)
	live(func(l *Live) { l.Permission = PermissionUnknown }).wants(ActionCall, RulePermissionUnknown)
	live(func(l *Live) { l.Expires = s.now }).wants(ActionCall, RulePermissionExpired)
	live(func(l *Live) { l.At = s.now.Add(-time.Minute) }).wants(ActionCall, RuleAllowed)
	live(func(l *Live) { l.At = s.now.Add(-time.Minute - 1) }).wants(ActionCall, RulePermissionUnknown)
	live(func(l *Live) { l.At = s.now.Add(-time.Hour) }).wants(ActionAsk, RulePermissionUnknown)
	live(func(l *Live) { l.At = s.now.Add(time.Hour) }).wants(ActionCall, RulePermissionUnknown)
	q := s.question(ActionCall)
	q.Live = nil
	if d := Decide(q); d.Rule != RulePermissionUnknown {
		t.Errorf("Meta could not be asked: %s", d.Rule)
	}
	// Withdrawn since Meta was asked, or in the same second.
	live(func(*Live) {})
	s.event(Event{Kind: EventRevoked}).wants(ActionCall, RulePermissionRevoked)
	// Granted since Meta was asked: ask again.
	live(func(l *Live) { l.Permission = PermissionNone })
	s.at(time.Minute+time.Second).event(Event{Kind: EventGranted, Permanent: true}).wants(ActionCall, RulePermissionUnknown)
	live(func(l *Live) { l.Permission = PermissionPermanent }).wants(ActionAsk, RulePermissionPermanent)

	free := newScript(t)
	free.live = &Live{At: epoch, Permission: PermissionNone, CanRequest: false, NextRequest: epoch.Add(time.Hour)}
	free.wants(ActionAsk, RuleRequests, epoch.Add(time.Hour))
}

func TestLimitsHoldPerLineAndGlobal(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	other := Event{Kind: EventRequested, ID: "other line", At: epoch}
	s.global = s.global.Apply(other)
	s.at(Week)
	s.pair = State{}
	s.wants(ActionAsk, RuleAllowed)
	s.global = s.global.Apply(Event{Kind: EventRequested, ID: "again", At: s.now})
	s.wants(ActionAsk, RuleRequests, s.now.Add(Week))
	for i := range 5 {
		s.global = s.global.Apply(Event{Kind: EventAttempted, ID: fmt.Sprint("x", i), At: s.now})
	}
	s.live = &Live{At: s.now, Permission: PermissionPermanent, CanStart: true}
	s.wants(ActionCall, RuleAttempts, s.now.Add(Day))
	s.rules = Meta()
	s.wants(ActionCall, RuleAllowed) // Meta counts per line
}

func TestASupervisorsOverrideLiftsTheProfileWithReasonButNeverMeta(t *testing.T) {
	s := newScript(t).request("1").grant("1")
	for range 5 {
		s.call(OutcomeFailed)
	}
	s.call(OutcomeUnanswered).call(OutcomeUnanswered).call(OutcomeUnanswered)
	s.wants(ActionCall, RuleUnanswered)
	over := Event{Kind: EventOverride, By: "lead", Reason: "asked to be called", Expires: epoch.Add(2 * Day)}
	anonymous := over
	anonymous.Reason = ""
	s.event(anonymous).wants(ActionCall, RuleUnanswered)
	if d := s.event(over).wants(ActionCall, RuleAllowed); !d.Override || !d.Warning {
		t.Errorf("%+v", d)
	}
	if o, ok := s.pair.Overridden(s.now); !ok || o.By != "lead" || o.Reason != "asked to be called" {
		t.Errorf("%+v", o)
	}
	s.call(OutcomeUnanswered).wants(ActionCall, RuleUnanswered) // that was the fourth: Meta's own
	s.wants(ActionAsk, RuleRequests, epoch.Add(Day))            // Meta's day, not the profile's week
	s.at(Day).wants(ActionAsk, RuleAllowed)
	s.request("2").wants(ActionAsk, RuleRequests, epoch.Add(8*Day)) // beyond the override's end the profile counts again
	s.live = &Live{At: s.now, Permission: PermissionTemporary, CanStart: false}
	s.event(Event{Kind: EventEnded, ID: "in", Inbound: true, Outcome: OutcomeConnected}).wants(ActionCall, RuleCallLimit)
	s.live = nil
	s.at(2*Day).wants(ActionCall, RuleAllowed)
	s.wants(ActionAsk, RuleRequests)
	// A supervisor may end it early.
	s.at(2*Day + time.Hour).event(Event{Kind: EventOverride, By: "lead", Reason: "x", Expires: s.now.Add(time.Hour)})
	s.at(2*Day + 61*time.Minute).event(Event{Kind: EventOverride, By: "lead", Reason: "done", Expires: s.now})
	if _, ok := s.pair.Overridden(s.now); ok {
		t.Error("the override goes on after its end")
	}
}

func TestTheMessageWindowIsOpenedByMessagesAndCalls(t *testing.T) {
	for name, e := range map[string]Event{
		"message":      {Kind: EventWrote},
		"call in":      {Kind: EventOffered, ID: "in"},
		"call out":     {Kind: EventEnded, ID: "out", Outcome: OutcomeConnected},
		"late message": {Kind: EventWrote},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.wants(ActionMessage, RuleWindow)
			s.wants(ActionButton, RuleWindow)
			s.event(e).at(Day-1).wants(ActionMessage, RuleAllowed)
			if s.wants(ActionAsk, RuleAllowed).Template {
				t.Error("a template within the window")
			}
			s.event(Event{Kind: EventWrote, At: epoch.Add(-time.Hour)}) // older news
			s.wants(ActionButton, RuleAllowed)
			s.at(Day).wants(ActionMessage, RuleWindow)
		})
	}
	s := newScript(t).event(Event{Kind: EventEnded, ID: "out", Outcome: OutcomeUnanswered})
	s.wants(ActionMessage, RuleWindow)
}
