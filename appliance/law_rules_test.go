package appliance_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// Each test is named after the sentence of the product's promises that it holds to, through phone, appliance and Meta.

func TestAtMostOnePermissionRequestPerSevenDays(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	w.asked(cust)
	at := w.lastAsk(cust)
	w.meta.Clock().Advance(2 * policy.Day)
	w.mayNotAsk(cust, at.Add(policy.Week))
	w.asked(cust)
}

func TestAfterADeclineOnePer24HoursAndTwoPer7Days(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	decline := func() {
		w.must(cust.AnswerPermission(w.asked(cust), false, false))
		w.standing(cust, policy.StandingDeclined)
	}
	decline()
	first := w.lastAsk(cust)
	w.mayNotAsk(cust, first.Add(policy.Day))
	decline()
	w.meta.Clock().Advance(policy.Day + time.Minute)
	w.mayNotAsk(cust, first.Add(policy.Week))
	w.asked(cust)
}

func TestTheCustomerMayChangeTheAnswerWithinTheSevenDays(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	id := w.asked(cust)
	w.must(cust.AnswerPermission(id, false, false))
	w.standing(cust, policy.StandingDeclined)
	w.refused(cust, policy.RulePermissionDeclined)
	w.meta.Clock().Advance(3 * policy.Day)
	w.must(cust.AnswerPermission(id, true, false))
	w.standing(cust, policy.StandingTemporary)
	w.allowed(cust)
	w.meta.Clock().Advance(policy.Day)
	w.must(cust.AnswerPermission(id, false, false))
	w.standing(cust, policy.StandingDeclined)
	w.refused(cust, policy.RulePermissionDeclined)
	w.meta.Clock().Advance(policy.Week)
	if err := cust.AnswerPermission(id, true, false); !errors.Is(err, simulator.ErrRequestExpired) {
		t.Errorf("the buttons after seven days: %v", err)
	}
}

// The reply comes an hour late: the permission still ends by Meta's timestamp, seven days after the customer's tap.
func TestAnAcceptedPermissionLastsSevenDaysByMetasTimestamp(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	id := w.asked(cust)
	w.meta.SetWebhookURL("http://127.0.0.1:1/")
	w.must(cust.AnswerPermission(id, true, false))
	_, expires := cust.PermissionFor(pnid)
	w.meta.Clock().Advance(time.Hour)
	w.meta.SetWebhookURL("http://" + w.app.WebhookAddr() + "/webhook/meta")
	e := w.standing(cust, policy.StandingTemporary)
	if !e.Permission.Expires.Equal(expires.Truncate(time.Second)) {
		t.Fatalf("it ends %s, Meta says %s", e.Permission.Expires, expires)
	}
	w.allowed(cust)
	end := e.Permission.Expires
	w.meta.Clock().Set(end.Add(-5 * time.Second))
	for at, want := range map[time.Time]string{end.Add(-1): policy.RuleAllowed, end: policy.RulePermissionExpired} {
		e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: erika, At: at, Live: true})
		if err != nil || e.Decision.Rule != want {
			t.Errorf("at %s: %s, %v; want %s", at, e.Decision.Rule, err, want)
		}
	}
	w.meta.Clock().Set(end)
	w.refused(cust, policy.RulePermissionExpired)
}

func TestAtMostFiveCallAttemptsIn24Hours(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted)
	for range 5 {
		w.allowed(cust)
		w.meta.Clock().Advance(time.Hour)
	}
	w.refused(cust, policy.RuleAttempts)
	next := w.firstAttempt(cust).Add(policy.Day)
	if d := w.explain(cust, "").Decision; !d.NextAllowed.Equal(next) {
		t.Errorf("the next is allowed %s, want %s", d.NextAllowed, next)
	}
	w.boundary(cust, policy.ActionCall, policy.RuleAttempts, next)
	w.allowed(cust)
	w.refused(cust, policy.RuleAttempts)
}

func TestAfterTwoUnansweredAWarningStopBeforeTheFourth(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted, func(c *simulator.CustomerConfig) { c.Behaviour.React = simulator.ReactDecline })
	warning := func(want bool) {
		t.Helper()
		if d := w.explain(cust, "").Decision; d.Warning != want || !d.Allowed {
			t.Fatalf("warning %t, want %t: %s", d.Warning, want, d.Sentence)
		}
	}
	warning(false)
	w.allowed(cust)
	warning(false)
	w.allowed(cust)
	warning(true)
	w.allowed(cust)
	w.refused(cust, policy.RuleUnanswered)
	if kind, _ := cust.PermissionFor(pnid); kind != simulator.PermissionPermanent {
		t.Errorf("the permission at Meta is %s", kind)
	}
	system := 0
	for _, m := range cust.Messages() {
		if m.Type == "system" {
			system++
		}
	}
	if sent := w.meta.Requests("messages"); system != 1 || len(sent) != 0 {
		t.Errorf("Meta told the customer %d times, we sent %d messages", system, len(sent))
	}
	// When the customer calls, the row is over.
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.hearEachOther(call, w.rung(w.phone))
	call.Hangup()
	w.lastRecord()
	warning(false)
	w.allowed(cust)
}

func TestANewRequestMakesTheEarlierInvalid(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	first := w.asked(cust)
	w.must(cust.AnswerPermission(first, false, false))
	w.standing(cust, policy.StandingDeclined)
	w.meta.Clock().Advance(policy.Day + time.Minute)
	second := w.asked(cust)
	w.must(cust.AnswerPermission(second, false, false))
	before := w.standing(cust, policy.StandingDeclined)
	if err := cust.AnswerPermission(first, true, true); !errors.Is(err, simulator.ErrRequestSuperseded) {
		t.Errorf("the first request's buttons: %v", err)
	}
	// A reply to it that comes all the same is kept, and changes nothing.
	w.must(cust.LateAnswer(first, true, true, w.meta.Clock().Now()))
	w.until("the reply in the ledger", func() bool {
		h := w.explain(cust, "").History
		return h[len(h)-1].Kind == policy.EventGranted || len(h) > 1 && h[len(h)-2].Kind == policy.EventGranted
	})
	if e := w.explain(cust, ""); e.Permission.Standing != policy.StandingDeclined || !e.Permission.Since.Equal(before.Permission.Since) {
		t.Errorf("after it: %+v", e.Permission)
	}
	w.refused(cust, policy.RulePermissionDeclined)
}

func TestNoAnswerToARequestExpiresItAfterSevenDays(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika()
	id := w.asked(cust)
	w.refused(cust, policy.RulePermissionRequested)
	var delivered time.Time
	for _, e := range w.explain(cust, "").History {
		if e.Kind == policy.EventRequestReceived {
			delivered = e.At
		}
	}
	end := delivered.Add(policy.Week)
	w.meta.Clock().Set(end.Add(-5 * time.Second))
	for at, want := range map[time.Time]policy.Standing{end.Add(-1): policy.StandingRequested, end: policy.StandingRequestExpired} {
		e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: erika, At: at})
		if err != nil || e.Permission.Standing != want {
			t.Errorf("at %s: %s, %v; want %s", at, e.Permission.Standing, err, want)
		}
	}
	w.meta.Clock().Set(end.Add(time.Minute))
	w.refused(cust, policy.RulePermissionRequestExpired)
	if err := cust.PermissionRequest(id); !errors.Is(err, simulator.ErrRequestExpired) {
		t.Errorf("the request at Meta: %v", err)
	}
	w.asked(cust)
}

func TestAllowedButNotConnectedCountsAsMissedNotFailed(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(func(c *simulator.CustomerConfig) { c.Behaviour.React = simulator.ReactDecline })
	w.must(cust.AnswerPermission(w.asked(cust), true, false))
	if e := w.standing(cust, policy.StandingTemporary); e.Permission.Missed {
		t.Error("missed before any call")
	}
	if cdr := w.allowed(cust); cdr.Cause.Reason != bridge.ReasonDeclined || cdr.Cause.Fault == bridge.FaultUs || cdr.Cause.Fault == bridge.FaultUpstream {
		t.Errorf("the record of the call: %+v", cdr.Cause)
	}
	if e := w.explain(cust, ""); !e.Permission.Missed || e.Permission.Standing != policy.StandingTemporary {
		t.Errorf("after an unanswered call: %+v", e.Permission)
	}
	cust.Update(func(c *simulator.CustomerConfig) { c.Behaviour.React = simulator.ReactAnswer })
	w.allowed(cust)
	if e := w.explain(cust, ""); e.Permission.Missed {
		t.Errorf("after a call that connected: %+v", e.Permission)
	}
}

func TestProfileMetaHoldsMetasNumbers(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly(func(s *appliance.Settings) { s.Policy.Profile = policy.ProfileMeta })})
	t.Run("one request in 24 hours and two in 7 days, anew after a connected call", func(t *testing.T) {
		cust := w.erika()
		w.asked(cust)
		first := w.lastAsk(cust)
		w.mayNotAsk(cust, first.Add(policy.Day))
		id := w.asked(cust)
		w.meta.Clock().Advance(policy.Day + time.Minute)
		w.must(cust.AnswerPermission(id, true, false))
		w.standing(cust, policy.StandingTemporary)
		if d := w.explain(cust, policy.ActionAsk).Decision; d.Rule != policy.RuleRequests || d.NextAllowed.Sub(first.Add(policy.Week)).Abs() > time.Second {
			t.Errorf("the third request: %s until %s", d.Rule, d.NextAllowed)
		}
		w.allowed(cust)
		w.asked(cust)
	})
	t.Run("100 connected calls in 24 hours", func(t *testing.T) {
		cust := w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionPermanent})
		w.allowed(cust)
		id, now := w.customerID(cust), w.meta.Clock().Now()
		for i := range 98 {
			for _, e := range []policy.Event{{Kind: policy.EventAttempted}, {Kind: policy.EventEnded, Outcome: policy.OutcomeConnected}} {
				e.ID, e.At = fmt.Sprint("earlier", i), now
				_, err := w.app.Store().RecordEvent(t.Context(), "main", id, e, nil)
				w.must(err)
			}
		}
		w.allowed(cust)
		w.refused(cust, policy.RuleCallLimit)
	})
	t.Run("the fourth unanswered call is placed, and costs the permission", func(t *testing.T) {
		cust := w.customer(simulator.CustomerConfig{Phone: "4915112345670", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{React: simulator.ReactDecline}})
		for range 4 {
			w.allowed(cust)
		}
		w.standing(cust, policy.StandingUnanswered)
		w.refused(cust, policy.RulePermissionUnanswered)
	})
}

func TestACustomProfileLooserThanMetaIsRefusedAtLoad(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	s := w.settings()
	s.Policy.Profile = policy.ProfileCustom
	s.Policy.Custom = appliance.CustomSettings{RequestsDay: 2, Unanswered: 5, Connected: 101}
	err := w.app.ApplySettings(t.Context(), s)
	for _, want := range []string{"requests_day", "unanswered", "connected"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
	cust := w.erika() // the old rules hold
	w.asked(cust)
	w.mayNotAsk(cust, w.lastAsk(cust).Add(policy.Week))
	s.Policy.Custom = appliance.CustomSettings{Attempts: 1}
	w.must(w.app.ApplySettings(t.Context(), s))
	if d := w.explain(cust, "").Decision; d.Facts.Rules.Line.Attempts != 1 {
		t.Errorf("a stricter profile is not in force: %+v", d.Facts.Rules)
	}
}

func TestUnknownMeansNo(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted)
	w.meta.Fail(simulator.Match{Action: "call_permissions", Count: -1}, simulator.Fault{Status: 500})
	if cdr := w.call(cust, ""); cdr.Cause.Reason != bridge.ReasonUpstream && cdr.Cause.Rule != policy.RulePermissionUnknown {
		t.Errorf("the call: %+v", cdr.Cause)
	}
	if w.ask(cust, "") {
		t.Error("a request was sent")
	}
	if n := w.connects() + len(w.meta.Requests("messages")); n != 0 {
		t.Errorf("%d calls and messages", n)
	}
	w.meta.ClearFaults()
	w.allowed(cust)
}

// Somebody else uses the same number: what Meta counts of theirs holds for us.
func TestTheStricterOfProfileAndMetasLiveAnswerHolds(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(func(c *simulator.CustomerConfig) { c.WindowClosed = false })
	body := `{"messaging_product":"whatsapp","recipient_type":"individual","to":"` + erika + `","type":"interactive","interactive":{"type":"call_permission_request","action":{"name":"call_permission_request"},"body":{"text":"?"}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.meta.URL()+"/v23.0/"+pnid+"/messages", strings.NewReader(body))
	w.must(err)
	req.Header.Set("Authorization", "Bearer token")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	w.must(err)
	w.must(res.Body.Close())
	if res.StatusCode != http.StatusOK || len(w.asks()) != 1 {
		t.Fatalf("the other program's request: %s", res.Status)
	}
	w.mayNotAsk(cust, w.asks()[0].Virtual.Add(policy.Day))
	w.asked(cust)
}

func TestLimitsHoldPerLineAndOverAllLines(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted)
	for i, prefix := range []string{"", "9", "", "9", ""} {
		if cdr := w.call(cust, prefix); cdr.AnsweredAt.IsZero() || cdr.Line != map[string]string{"": "main", "9": "second"}[prefix] {
			t.Fatalf("call %d: %+v", i, cdr)
		}
	}
	for _, prefix := range []string{"", "9"} {
		if cdr := w.call(cust, prefix); cdr.Cause.Rule != policy.RuleAttempts || w.connects() != 5 {
			t.Errorf("the sixth call over line %q: %+v", prefix, cdr.Cause)
		}
	}
	other := w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionNone, WindowClosed: true})
	if !w.ask(other, "9") || w.ask(other, "") || w.ask(other, "9") || len(w.asks()) != 1 {
		t.Errorf("%d requests over two lines", len(w.asks()))
	}
}

func TestTheCountsSurviveARestart(t *testing.T) {
	w := newOffice(t, officeOptions{settings: strictly()})
	cust := w.erika(granted)
	var last bridge.CDR
	for range 5 {
		last = w.allowed(cust)
	}
	other := w.customer(simulator.CustomerConfig{Phone: "4915112345679", Permission: simulator.PermissionNone, WindowClosed: true})
	w.asked(other)
	w.stop()
	w.open()
	w.must(w.phone.Close())
	w.phone = w.newPhone("1001", simulator.PhoneAnswer{})
	w.refused(cust, policy.RuleAttempts)
	w.mayNotAsk(other, w.lastAsk(other).Add(policy.Week))
	// The decision about an earlier call is made again from the ledger alone.
	e, err := w.app.ExplainCall(t.Context(), last.ID)
	if err != nil || e.Replayed == nil || !*e.Replayed || !e.Decision.Allowed || len(e.Decision.Facts.Pair.Attempts) != 4 {
		t.Errorf("the fifth call's decision: %+v, %v", e, err)
	}
}
