package appliance_test

import (
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// Outside the message window nothing is sent, and nothing counted, while there is no approved template for it; its status at
// Meta is followed.
func TestWhatIsNotApprovedIsNotSent(t *testing.T) {
	w := newRules(t)
	cust := w.erika()
	w.must(w.meta.ReviewTemplate(waba, ask, "en", simulator.TemplatePaused, "LOW_QUALITY"))
	w.until("the pause to be known", func() bool { return w.templateStatus(ask) == simulator.TemplatePaused })
	w.said("*40015112345678", "en", ivr.Prompt("why.template"))
	if n := len(w.meta.Requests("messages")); n != 0 {
		t.Fatalf("%d messages reached Meta", n)
	}
	if e := w.explain(cust, policy.ActionAsk); !e.Decision.Allowed || len(e.Decision.Facts.Pair.Requests) != 0 {
		t.Errorf("it was counted: %+v", e.Decision.Facts.Pair.Requests)
	}
	w.must(w.meta.ReviewTemplate(waba, ask, "en", simulator.TemplateApproved, ""))
	w.asked(cust)
}

func (w *office) templateStatus(name string) string {
	w.t.Helper()
	list, err := w.app.Templates(w.t.Context(), "main")
	w.must(err)
	for _, x := range list {
		if x.Name == name {
			return x.Status
		}
	}
	return ""
}

// A template is handed to Meta, rejected with a reason, and not used; the next is approved, and is.
func TestATemplateIsCreatedReviewedAndUsed(t *testing.T) {
	w := newRules(t, func(s *appliance.Settings) {
		s.Lines[0].Messages.AskTemplate = appliance.TemplateSettings{Name: "new_ask", Language: "en"}
	})
	cust := w.erika()
	order := appliance.TemplateOrder{Line: "main", Template: graph.TemplateSpec{Name: "new_ask", Language: "en", Category: "UTILITY", Kind: graph.TemplatePermission, Body: "May we call you?"}}
	if _, err := w.app.CreateTemplate(t.Context(), appliance.TemplateOrder{Line: "main"}); err == nil {
		t.Error("an empty template was handed to Meta")
	}
	made, err := w.app.CreateTemplate(t.Context(), order)
	if err != nil || made.Status != simulator.TemplatePending {
		t.Fatalf("%+v, %v", made, err)
	}
	if w.ask(cust, "") {
		t.Error("sent while Meta looks at it")
	}
	w.must(w.meta.ReviewTemplate(waba, "new_ask", "en", simulator.TemplateRejected, "INVALID_FORMAT"))
	if s := w.templateStatus("new_ask"); s != simulator.TemplateRejected {
		t.Errorf("status %s", s)
	}
	list, err := w.app.Templates(t.Context(), "main")
	w.must(err)
	for _, x := range list {
		if x.Name == "new_ask" && !strings.Contains(x.Rejected, "INVALID_FORMAT") {
			t.Errorf("the reason is not told: %+v", x)
		}
	}
	w.must(w.app.DeleteTemplate(t.Context(), "main", "new_ask"))
	_, err = w.app.CreateTemplate(t.Context(), order)
	w.must(err)
	w.must(w.meta.ReviewTemplate(waba, "new_ask", "en", simulator.TemplateApproved, ""))
	w.asked(cust)
	if got := w.asks(); got[0].Template != "new_ask" {
		t.Errorf("%+v", got)
	}
}

// The message window is opened by messages, by calls, and by the customer who takes our call, for 24 hours.
func TestTheWindowIsOpenedByMessagesAndCalls(t *testing.T) {
	w := newRules(t)
	n := 0
	for name, opens := range map[string]func(*simulator.Customer){
		"a message": func(c *simulator.Customer) { w.must(c.SendText(pnid, "hello")) },
		"a call": func(c *simulator.Customer) {
			call, err := c.Call(t.Context(), number, simulator.CallOptions{})
			w.must(err)
			w.must(call.WaitState(t.Context(), simulator.StateConnected))
			call.Hangup()
			w.idle()
		},
		"our call, taken": func(c *simulator.Customer) { w.allowed(c) },
	} {
		n++
		c := w.customer(simulator.CustomerConfig{Phone: "491511234567" + string(rune('0'+n)), Permission: simulator.PermissionPermanent, WindowClosed: true})
		opens(c)
		w.until(name+" to open the window", func() bool {
			e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: c.Config().Phone, Action: policy.ActionMessage})
			return err == nil && e.Decision.Allowed
		})
		end := w.explain(c, policy.ActionMessage).Window
		if left := end.Sub(w.meta.Clock().Now()); left > policy.Day || left < policy.Day-time.Minute {
			t.Errorf("%s opens it for %s", name, left)
		}
		for at, want := range map[time.Time]string{end.Add(-1): policy.RuleAllowed, end: policy.RuleWindow} {
			e, err := w.app.Explain(t.Context(), appliance.ExplainQuery{Line: "main", Customer: c.Config().Phone, Action: policy.ActionMessage, At: at})
			if err != nil || e.Decision.Rule != want {
				t.Errorf("%s, at %s: %s, %v", name, at, e.Decision.Rule, err)
			}
		}
	}
}

// Meta sends the same reply many times, in a bad order, and to a number that never asked: nothing is counted twice.
func TestDuplicateRepliesChangeNothing(t *testing.T) {
	w := newRules(t)
	cust := w.erika()
	id := w.asked(cust)
	w.meta.SetDelivery(simulator.Delivery{Duplicate: 3})
	w.must(cust.AnswerPermission(id, true, false))
	first := w.standing(cust, policy.StandingTemporary).Permission
	w.must(cust.LateAnswer(id, false, false, w.meta.Clock().Now().Add(-time.Minute)))  // an older answer, late
	w.must(cust.LateAnswer(id, true, false, w.meta.Clock().Now().Add(-2*policy.Week))) // one that ended long ago
	w.allowed(cust)
	if got := w.explain(cust, "").Permission; got.Standing != policy.StandingTemporary || !got.Expires.Equal(first.Expires) {
		t.Errorf("before %+v, after %+v", first, got)
	}
	if n := len(w.asks()); n != 1 {
		t.Errorf("%d requests", n)
	}
}
