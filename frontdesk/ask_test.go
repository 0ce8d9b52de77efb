package frontdesk

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

func TestRequestIsCountedBeforeItIsSent(t *testing.T) {
	r := newRig(t)
	r.wrote()
	before := -1
	r.number.sendFn = func(s sent) (string, error) { before = r.counted(); return "wamid.1", nil }
	if s := r.ask(); s.Err != nil || !s.Decision.Allowed || s.Message.Status != store.MessageAccepted || before != 1 {
		t.Fatalf("sent %+v, counted when Meta heard of it: %d", s, before)
	}
	if got := r.state().Requests; len(got) != 1 || got[0].Wamid == "" {
		t.Fatalf("requests %+v, want one with a name", got)
	}
	if m := r.number.messages(); len(m) != 1 || m[0].kind != "ask" || m[0].text != "May we call?" {
		t.Fatalf("Meta got %+v", m)
	}
	if r.standing() != policy.StandingRequested {
		t.Fatalf("standing %s", r.standing())
	}
}

func TestRequestRefusedForCertainCountsNoLonger(t *testing.T) {
	for name, fail := range map[string]error{
		"by Meta":              upstream(&graph.Error{Code: 131026}),
		"before it was sent":   upstream(graph.ErrContent),
		"without a recipient":  upstream(graph.ErrRecipient),
		"Meta's own limit hit": upstream(&graph.Error{Code: 138009}),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.wrote()
			r.number.sendFn = func(sent) (string, error) { return "", fail }
			if s := r.ask(); !errors.Is(s.Err, fail) || s.Message.Status != store.MessageFailed || r.counted() != 0 {
				t.Fatalf("%+v, counted %d", s, r.counted())
			}
			r.number.set(func(n *fakeNumber) { n.sendFn = nil })
			if s := r.ask(); s.Err != nil || !s.Decision.Allowed || r.counted() != 1 {
				t.Fatalf("the next one: %+v, counted %d", s, r.counted())
			}
		})
	}
}

func TestUncertainRequestStaysCountedAndIsNamedByItsStatus(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.number.sendFn = func(sent) (string, error) { return "", upstream(fmt.Errorf("timeout: %w", graph.ErrUncertain)) }
	s := r.ask()
	if !errors.Is(s.Err, graph.ErrUncertain) || s.Message.Status != store.MessageSending || r.counted() != 1 || r.state().Requests[0].Wamid != "" {
		t.Fatalf("%+v, counted %d", s, r.counted())
	}
	if again := r.ask(); again.Decision.Allowed || again.Decision.Rule != policy.RuleRequests {
		t.Fatalf("asked again: %+v", again.Decision)
	}
	r.restart() // also with the process gone meanwhile
	r.pass(time.Hour)
	for range 2 { // told twice
		r.tell(graph.Event{Kind: graph.KindMessageStatus, Name: "DELIVERED", ID: "wamid.X", CallbackData: s.Message.ID, At: r.now()})
	}
	q := r.state().Requests
	if len(q) != 1 || q[0].Wamid == "" || !q[0].Received.Equal(r.now()) {
		t.Fatalf("requests %+v", q)
	}
	received := r.now()
	r.pass(policy.Week - time.Second)
	if r.standing() != policy.StandingRequested {
		t.Fatalf("a second before: %s", r.standing())
	}
	r.at(received.Add(policy.Week))
	if r.standing() != policy.StandingRequestExpired {
		t.Fatalf("seven days after it was received: %s", r.standing())
	}
}

func TestRequestThatFailsLaterStaysCounted(t *testing.T) {
	r := newRig(t)
	r.wrote()
	s := r.ask()
	r.tell(graph.Event{Kind: graph.KindMessageStatus, Name: "FAILED", ID: s.Message.Wamid, CallbackData: s.Message.ID, At: r.now(), Errors: []graph.WebhookError{{Code: 131026}}})
	if r.counted() != 1 {
		t.Fatal("a request that Meta took is no longer counted")
	}
	page, err := r.store.Conversation(r.ctx(), store.ConversationQuery{Customer: r.c.ID})
	r.must(err)
	if m := page.Items[0]; m.Status != store.MessageFailed || m.Code != 131026 {
		t.Fatalf("%+v", m)
	}
}

func TestRequestIsATemplateOutsideTheWindow(t *testing.T) {
	r := newRig(t)
	s := r.ask()
	m := r.number.messages()
	if s.Err != nil || !s.Decision.Template || len(m) != 1 || m[0].kind != "template" || m[0].template.Name != "ask_to_call" || m[0].template.Language != "en" ||
		len(m[0].template.Body) != 1 || m[0].template.Body[0].Text != "4711" || !r.state().Requests[0].Template {
		t.Fatalf("%+v, Meta got %+v", s, m)
	}
}

func TestRequestThatNeedsATemplateNobodyApprovedIsNotCounted(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"none is named":       func(r *rig) { r.set(func(l *LineConfig) { l.AskTemplate = Template{} }) },
		"Meta has none":       func(r *rig) { r.number.templates = nil },
		"it is paused":        func(r *rig) { r.number.templates[0].Status = "PAUSED" },
		"of another kind":     func(r *rig) { r.number.templates[0].Kind = graph.TemplateOther },
		"in another language": func(r *rig) { r.set(func(l *LineConfig) { l.AskTemplate.Language = "id" }) },
		"other placeholders":  func(r *rig) { r.number.templates[0].BodyParameters = nil },
		"Meta does not say":   func(r *rig) { r.number.listErr = upstream(&graph.Error{Code: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			change(r)
			s := r.ask()
			if !errors.Is(s.Err, ErrTemplate) || r.counted() != 0 || len(r.number.messages()) != 0 || s.outcome(nil).Reason != ivr.ReasonTemplate {
				t.Fatalf("%+v, counted %d, sent %v", s, r.counted(), r.number.messages())
			}
			r.wrote() // inside the window none is needed
			if s := r.ask(); s.Err != nil || r.counted() != 1 || r.number.messages()[0].kind != "ask" {
				t.Fatalf("inside the window: %+v", s)
			}
		})
	}
}

func TestWishedTemplateIsSentInsideTheWindowOrNothing(t *testing.T) {
	r := newRig(t)
	r.wrote()
	wish := func(name string) Sent {
		s, err := r.desk.Ask(r.ctx(), Request{Line: "main", Customer: r.c, Template: Template{Name: name, Parameters: []string{"1"}}})
		r.must(err)
		return s
	}
	if s := wish("unknown"); !errors.Is(s.Err, ErrTemplate) || r.counted() != 0 {
		t.Fatalf("%+v", s)
	}
	if s := wish("ask_to_call"); s.Err != nil || r.number.messages()[0].kind != "template" {
		t.Fatalf("%+v", s)
	}
}

func TestWindowThatClosesWhileMetaIsAskedGetsATemplate(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.pass(policy.Day - 30*time.Second)
	if s := r.ask(); s.Err != nil || r.number.messages()[0].kind != "ask" {
		t.Fatalf("%+v", s)
	}
	r2 := newRig(t)
	r2.wrote()
	r2.pass(policy.Day - 30*time.Second)
	closing := &slowLive{r2.number, func() { r2.pass(time.Minute) }} // while Meta is asked the window closes
	r2.set(func(l *LineConfig) { l.Number = closing })
	if s := r2.ask(); s.Err != nil || !s.Decision.Template || r2.number.messages()[0].kind != "template" {
		t.Fatalf("%+v", s)
	}
}

func TestTwoAgentsAskAtOnceAndOneRequestIsSent(t *testing.T) {
	r := newRig(t)
	r.wrote()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := r.desk.Ask(r.ctx(), Request{Line: "main", Customer: r.c}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.number.n("ask"); n != 1 || r.counted() != 1 {
		t.Fatalf("%d requests were sent, %d counted", n, r.counted())
	}
}

func TestRequestCountSurvivesARestart(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.ask()
	r.restart()
	r.wrote()
	if s := r.ask(); s.Decision.Rule != policy.RuleRequests || !s.Decision.NextAllowed.Equal(noon.Add(policy.Week)) {
		t.Fatalf("%+v", s.Decision)
	}
	r.at(noon.Add(policy.Week))
	if s := r.ask(); !s.Decision.Allowed {
		t.Fatalf("a week later: %+v", s.Decision)
	}
}

func TestDiskThatRefusesSendsNothing(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.free.Store(1 << 20)
	if _, err := r.desk.Ask(r.ctx(), Request{Line: "main", Customer: r.c}); !errors.Is(err, store.ErrDiskFull) {
		t.Fatalf("err %v", err)
	}
	if len(r.number.messages()) != 0 {
		t.Fatal("a request went out that could not be counted")
	}
}

func TestTemplatesAreReadAgainAfterNewsAndSoonAfterAFailure(t *testing.T) {
	r := newRig(t)
	read := func(want int) {
		t.Helper()
		_, _, _ = r.desk.Templates(r.ctx(), "main", false)
		if n := r.number.n("templates"); n != want {
			t.Fatalf("Meta was asked %d times, want %d", n, want)
		}
	}
	r.number.set(func(n *fakeNumber) { n.listErr = upstream(&graph.Error{Code: 1}) })
	read(1)
	read(1)
	r.pass(templateRetry)
	r.number.set(func(n *fakeNumber) { n.listErr = nil })
	read(2)
	r.pass(templateAge - time.Second)
	read(2)
	r.pass(time.Second)
	read(3)
	r.tell(graph.Event{Kind: graph.KindTemplate, Name: "PAUSED", Template: &graph.TemplateNews{Name: "ask_to_call", Reason: "quality"}})
	r.number.set(func(n *fakeNumber) { n.templates[0].Status = "PAUSED" })
	if s := r.ask(); !errors.Is(s.Err, ErrTemplate) {
		t.Fatalf("a paused template was sent: %+v", s)
	}
	if n := r.number.n("templates"); n != 4 {
		t.Fatalf("asked %d times", n)
	}
	if _, err := r.desk.CreateTemplate(r.ctx(), "main", graph.TemplateSpec{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	read(5)
	r.desk.SetLines(nil)
	if _, _, err := r.desk.Templates(r.ctx(), "main", false); !errors.Is(err, errNoLine) {
		t.Fatalf("err %v", err)
	}
}

func TestListThatWasUnderWayWhenNewsCameIsNotKept(t *testing.T) {
	r := newRig(t)
	slow := &slowList{r.number, func() { r.desk.templates.forget() }}
	r.set(func(l *LineConfig) { l.Number = slow })
	_, _, err := r.desk.Templates(r.ctx(), "main", false)
	r.must(err)
	_, _, err = r.desk.Templates(r.ctx(), "main", false)
	r.must(err)
	if n := r.number.n("templates"); n != 2 {
		t.Fatalf("asked %d times, want 2", n)
	}
}
