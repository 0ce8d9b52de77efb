package frontdesk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

// Kinds of messages in the store.
const (
	kindText    = "text"
	kindAsk     = "permission_request"
	kindButton  = "call_button"
	kindClosed  = "closed" // the message outside call hours
	byAppliance = "auto"
)

// Sent is what came of a wish to send something.
type Sent struct {
	Message  store.Message
	Decision policy.Decision // refused when not Allowed
	// Err is why an allowed message was not sent, or may not have been (graph.ErrUncertain); ErrTemplate: none is approved.
	Err error
}

// ErrTemplate: the message must be a template, and none is approved.
var ErrTemplate = errors.New("no approved template")

// Request is a wish to send something to a customer.
type Request struct {
	Line     string
	Customer bridge.Customer
	By       string // "phone:1001", "user:anna"
	Call     string // the call it belongs to
	Text     string // free-form: the words; empty: the line's own
	Payload  string // call button: what comes back when it is pressed
	// Template, when named, is sent instead of free text, also inside the window.
	Template Template
}

// Ask sends a permission request, free-form inside the 24-hour window and as the line's template outside. It is counted before
// it is sent, whatever becomes of it (reliability promise 3); one that Meta refuses for certain counts no longer.
func (d *Desk) Ask(ctx context.Context, r Request) (Sent, error) {
	l, ok := d.line(r.Line)
	if !ok {
		return Sent{}, fmt.Errorf("ask for permission: line %q: %w", r.Line, errNoLine)
	}
	// Outside the window only a template can be sent: without one nothing may be counted.
	decision, err := d.Explain(ctx, r.Line, r.Customer, policy.ActionAsk, time.Time{}, true)
	if err != nil || !decision.Allowed {
		return Sent{Decision: decision}, err
	}
	template := d.pick(l, r.Template, l.AskTemplate, graph.TemplatePermission, decision.Template)
	if decision.Template && template == nil {
		return Sent{Decision: decision, Err: ErrTemplate}, nil
	}
	id := newID("q")
	if decision, err = d.decide(ctx, r.Line, r.Customer, policy.ActionAsk, id); err != nil || !decision.Allowed {
		return Sent{Decision: decision}, err
	}
	d.metrics.decisions.WithLabelValues(string(policy.ActionAsk), decision.Rule).Inc()
	m := store.Message{ID: id, Line: r.Line, Customer: r.Customer.ID, Kind: kindAsk, Call: r.Call, By: r.By, Text: firstOf(r.Text, l.Texts.Ask)}
	out := d.send(ctx, m, template, func(ctx context.Context, m store.Message) (string, error) {
		if template != nil {
			return l.Number.SendTemplate(ctx, r.Customer, template.message(), m.ID)
		}
		return l.Number.AskPermission(ctx, r.Customer, m.Text, m.ID)
	})
	out.Decision = decision
	d.named(ctx, out, policy.EventRequestNamed, policy.EventRequestRefused)
	return out, nil
}

// named tells the ledger what became of a counted request. What is uncertain stays counted.
func (d *Desk) named(ctx context.Context, s Sent, taken, refused policy.EventKind) {
	m := s.Message
	e := policy.Event{Kind: taken, At: d.now(), ID: m.ID, Wamid: m.Wamid}
	switch {
	case s.Err == nil:
	case errors.Is(s.Err, graph.ErrUncertain):
		return
	default:
		e.Kind = refused
	}
	if _, err := d.store.RecordEvent(context.WithoutCancel(ctx), m.Line, m.Customer, e, nil); err != nil {
		d.log.Error("what became of a permission request could not be stored; its status webhooks tell it again", "err", err)
	}
}

// Button sends a call button: free-form inside the window, as the line's template outside.
func (d *Desk) Button(ctx context.Context, r Request) (Sent, error) {
	l, ok := d.line(r.Line)
	if !ok {
		return Sent{}, fmt.Errorf("send call button: line %q: %w", r.Line, errNoLine)
	}
	decision, err := d.Explain(ctx, r.Line, r.Customer, policy.ActionButton, time.Time{}, false)
	if err != nil {
		return Sent{}, err
	}
	closed := decision.Rule == policy.RuleWindow
	if !decision.Allowed && !closed {
		return Sent{Decision: decision}, nil
	}
	template := d.pick(l, r.Template, l.ButtonTemplate, graph.TemplateCallButton, closed)
	if closed && template == nil {
		return Sent{Decision: decision, Err: ErrTemplate}, nil
	}
	m := store.Message{Line: r.Line, Customer: r.Customer.ID, Kind: kindButton, Call: r.Call, By: r.By, Text: firstOf(r.Text, l.Texts.Button)}
	out := d.send(ctx, m, template, func(ctx context.Context, m store.Message) (string, error) {
		if template != nil {
			t := template.message()
			t.Button = &graph.TemplateButton{TTL: l.ButtonTTL, Payload: r.Payload}
			return l.Number.SendTemplate(ctx, r.Customer, t, m.ID)
		}
		return l.Number.SendButton(ctx, r.Customer, graph.CallButton{Text: m.Text, Label: l.Texts.ButtonLabel, TTL: l.ButtonTTL, Payload: r.Payload}, m.ID)
	})
	decision.Allowed = true
	out.Decision = decision
	return out, nil
}

// Text sends free text inside the window, or any approved template.
func (d *Desk) Text(ctx context.Context, r Request) (Sent, error) {
	l, ok := d.line(r.Line)
	if !ok {
		return Sent{}, fmt.Errorf("send message: line %q: %w", r.Line, errNoLine)
	}
	decision, err := d.Explain(ctx, r.Line, r.Customer, policy.ActionMessage, time.Time{}, false)
	if err != nil {
		return Sent{}, err
	}
	closed := decision.Rule == policy.RuleWindow
	if !decision.Allowed && (!closed || r.Template.Name == "") {
		return Sent{Decision: decision}, nil
	}
	template := d.pick(l, r.Template, Template{}, graph.TemplateOther, r.Template.Name != "")
	if r.Template.Name != "" && template == nil {
		return Sent{Decision: decision, Err: ErrTemplate}, nil
	}
	m := store.Message{Line: r.Line, Customer: r.Customer.ID, Kind: kindText, Call: r.Call, By: r.By, Text: r.Text}
	out := d.send(ctx, m, template, func(ctx context.Context, m store.Message) (string, error) {
		if template != nil {
			return l.Number.SendTemplate(ctx, r.Customer, template.message(), m.ID)
		}
		return l.Number.SendText(ctx, r.Customer, m.Text, m.ID)
	})
	decision.Allowed = true
	out.Decision = decision
	return out, nil
}

// send keeps a message, sends it, and keeps what became of it. What may have been taken stays as sending: its status webhooks
// carry our ID.
func (d *Desk) send(ctx context.Context, m store.Message, t *Template, post func(context.Context, store.Message) (string, error)) Sent {
	m.At = d.now()
	if t != nil {
		m.Template, m.Text = t.Name, ""
	}
	m, duplicate, err := d.store.BeginMessage(ctx, m)
	if err != nil || duplicate {
		if err == nil {
			err = errors.New("it was sent before")
		}
		return Sent{Message: m, Err: fmt.Errorf("keep the message: %w", err)}
	}
	wamid, err := post(ctx, m)
	u := store.MessageUpdate{ID: m.ID, Wamid: wamid, Status: store.MessageAccepted, At: d.now()}
	result := "accepted"
	switch {
	case err == nil:
		m.Wamid = wamid
	case errors.Is(err, graph.ErrUncertain):
		d.metrics.messages.WithLabelValues(m.Kind, "uncertain").Inc()
		d.log.Warn("nobody knows whether WhatsApp took a message; it is not sent again, its status will tell", "kind", m.Kind, "err", err)
		return Sent{Message: m, Err: err}
	default:
		result, u.Status = "refused", store.MessageFailed
		if e := graph.AsError(err); e != nil {
			u.Code = e.Code
		}
		d.log.Warn("WhatsApp refused a message", "kind", m.Kind, "err", err)
	}
	d.metrics.messages.WithLabelValues(m.Kind, result).Inc()
	kept, _, keepErr := d.store.SetMessageStatus(context.WithoutCancel(ctx), u)
	if keepErr != nil {
		d.log.Error("what became of a message could not be stored", "err", keepErr)
		return Sent{Message: m, Err: err}
	}
	return Sent{Message: kept, Err: err}
}

// outcome is what a menu says of it.
func (s Sent) outcome(err error) ivr.Outcome {
	cause := &bridge.CauseError{}
	switch {
	case err == nil && s.Err == nil && s.Decision.Allowed:
		return ivr.Outcome{Done: true}
	case err == nil && s.Err == nil:
		return ivr.Outcome{Decision: s.Decision}
	case errors.Is(s.Err, ErrTemplate):
		return ivr.Outcome{Reason: ivr.ReasonTemplate}
	case errors.As(errors.Join(err, s.Err), &cause):
		return ivr.Outcome{Reason: ivr.ReasonUpstream}
	}
	return ivr.Outcome{Reason: ivr.ReasonTrouble}
}

func newID(kind string) string { return kind + rand.Text()[:20] }

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
