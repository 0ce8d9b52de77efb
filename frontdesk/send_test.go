package frontdesk

import (
	"context"
	"errors"
	"testing"
	"time"

	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

func TestCallButtonLeadsBackToTheAgent(t *testing.T) {
	r := newRig(t)
	r.wrote()
	if o := r.desk.SendCallButton(r.ctx(), ivr.Request{Call: "c1", Line: "main", Customer: r.c, Agent: agent}); !o.Done {
		t.Fatalf("%+v", o)
	}
	m := r.number.messages()[0]
	if m.button != (graph.CallButton{Text: "Call us", Label: "Call", TTL: time.Hour, Payload: "agent=phone:1001"}) || PayloadAgent(m.button.Payload) != agent {
		t.Fatalf("%+v", m)
	}
	r.pass(policy.Day)
	if o := r.desk.SendCallButton(r.ctx(), ivr.Request{Line: "main", Customer: r.c, Agent: agent}); !o.Done {
		t.Fatalf("outside the window: %+v", o)
	}
	if b := r.number.messages()[1].template.Button; b == nil || *b != (graph.TemplateButton{Index: 1, TTL: time.Hour, Payload: "agent=phone:1001"}) {
		t.Fatalf("%+v", r.number.messages()[1])
	}
	r.set(func(l *LineConfig) { l.ButtonTemplate = Template{} })
	if o := r.desk.SendCallButton(r.ctx(), ivr.Request{Line: "main", Customer: r.c}); o.Done || o.Reason != ivr.ReasonTemplate {
		t.Fatalf("without a template: %+v", o)
	}
}

func TestPayloadOfAStrangerNamesAtMostAnAgent(t *testing.T) {
	for payload, want := range map[string]string{"": "", "agent=": "", "agent=phone:1": "phone:1", "order 77": "", "agent=" + string(make([]byte, 65)): ""} {
		if got := PayloadAgent(payload); got != want {
			t.Errorf("%q: %q", payload, got)
		}
	}
	if AgentPayload("") != "" {
		t.Error("a payload of nobody")
	}
}

func TestTextNeedsTheWindowOrATemplate(t *testing.T) {
	r := newRig(t)
	text := func(q Request) Sent {
		t.Helper()
		q.Line, q.Customer = "main", r.c
		s, err := r.desk.Text(r.ctx(), q)
		r.must(err)
		return s
	}
	if s := text(Request{Text: "hi"}); s.Decision.Allowed || s.Decision.Rule != policy.RuleWindow {
		t.Fatalf("%+v", s)
	}
	if s := text(Request{Template: Template{Name: "ask_to_call"}}); !errors.Is(s.Err, ErrTemplate) {
		t.Fatalf("a permission request that nobody counts: %+v", s)
	}
	if s := text(Request{Template: Template{Name: "news"}}); s.Err != nil || !s.Decision.Allowed || s.Decision.Rule != policy.RuleAllowed || s.Message.Template != "news" {
		t.Fatalf("%+v", s)
	}
	r.wrote()
	if s := text(Request{Text: "hi", By: "user:anna"}); s.Err != nil || s.Message.Text != "hi" || s.Message.By != "user:anna" || s.Message.Status != store.MessageAccepted {
		t.Fatalf("%+v", s)
	}
	if len(r.number.messages()) != 2 {
		t.Fatalf("%+v", r.number.messages())
	}
}

func TestMessageGoesOnWhenWhoeverAskedForItHasGone(t *testing.T) {
	r := newRig(t)
	r.wrote()
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	r.number.sendFn = func(s sent) (string, error) { cancel(); return "wamid.1", nil }
	s, err := r.desk.Ask(ctx, Request{Line: "main", Customer: r.c})
	r.must(err)
	if s.Err != nil || s.Message.Status != store.MessageAccepted || r.state().Requests[0].Wamid == "" {
		t.Fatalf("%+v", s)
	}
}

func TestWhatAMenuSaysOfIt(t *testing.T) {
	refused := policy.Decision{Rule: policy.RuleRequests}
	for name, c := range map[string]struct {
		s    Sent
		err  error
		want ivr.Outcome
	}{
		"done":      {Sent{Decision: policy.Decision{Allowed: true}}, nil, ivr.Outcome{Done: true}},
		"refused":   {Sent{Decision: refused}, nil, ivr.Outcome{Decision: refused}},
		"template":  {Sent{Err: ErrTemplate}, nil, ivr.Outcome{Reason: ivr.ReasonTemplate}},
		"Meta":      {Sent{Err: upstream(graph.ErrAnswer)}, nil, ivr.Outcome{Reason: ivr.ReasonUpstream}},
		"Meta down": {Sent{}, upstream(graph.ErrAnswer), ivr.Outcome{Reason: ivr.ReasonUpstream}},
		"disk":      {Sent{}, store.ErrDiskFull, ivr.Outcome{Reason: ivr.ReasonTrouble}},
	} {
		if got := c.s.outcome(c.err); got.Done != c.want.Done || got.Reason != c.want.Reason || got.Decision.Rule != c.want.Decision.Rule {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestStatusFindsItsMessageByMetasNameToo(t *testing.T) {
	r := newRig(t)
	r.wrote()
	s := r.ask()
	r.tell(graph.Event{Kind: graph.KindMessageStatus, Name: "DELIVERED", ID: s.Message.Wamid, CallbackData: "not ours", At: r.now()})
	r.tell(graph.Event{Kind: graph.KindMessageStatus, Name: "READ", ID: s.Message.Wamid, CallbackData: "not\x00 even an ID", At: r.now()})
	page, err := r.store.Conversation(r.ctx(), store.ConversationQuery{Customer: r.c.ID})
	r.must(err)
	if m := page.Items[0]; m.Status != store.MessageRead || r.state().Requests[0].Received.IsZero() {
		t.Fatalf("%+v", m)
	}
}
