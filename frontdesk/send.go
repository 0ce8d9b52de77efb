package frontdesk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
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

// Sent is what came of a wish to send something: it was refused (Decision is not Allowed), it failed (Err), or Meta has it.
type Sent struct {
	Message  store.Message
	Decision policy.Decision
	// Err is why an allowed message was not sent, or may not have been (graph.ErrUncertain); ErrTemplate: none is approved.
	Err error
}

// ErrTemplate says that the message must be a template, and none is approved.
var ErrTemplate = errors.New("no approved template")

// Button sends a call button: free-form inside the 24-hour window, as the line's template outside.
func (d *Desk) Button(ctx context.Context, r Request) (Sent, error) {
	return d.message(ctx, r, policy.ActionButton, kindButton, graph.TemplateCallButton)
}

// Text sends free text inside the 24-hour window, or any approved template.
func (d *Desk) Text(ctx context.Context, r Request) (Sent, error) {
	return d.message(ctx, r, policy.ActionMessage, kindText, graph.TemplateOther)
}

// message sends what is not counted.
func (d *Desk) message(ctx context.Context, r Request, action policy.Action, kind string, of graph.TemplateKind) (Sent, error) {
	i, err := d.inquire(ctx, r.Line, r.Customer, action)
	if err != nil {
		return Sent{}, fmt.Errorf("send %s: %w", kind, err)
	}
	l, decision := i.line, policy.Decide(i.Question)
	own := Template{}
	if kind == kindButton {
		own, r.Text = l.ButtonTemplate, firstOf(r.Text, l.Texts.Button)
	}
	closed := decision.Rule == policy.RuleWindow // the last thing that is looked at
	wished := firstOf(r.Template.Name, own.Name) != ""
	if !decision.Allowed && (!closed || kind == kindText && !wished) {
		return Sent{Decision: decision}, nil
	}
	template, err := d.pick(ctx, l, r.Template, own, of, closed)
	if err != nil {
		return Sent{Decision: decision, Err: err}, nil //nolint:nilerr // it is told in Sent
	}
	m := store.Message{Line: l.ID, Customer: r.Customer.ID, Kind: kind, Call: r.Call, By: r.By, Text: r.Text}
	out := d.send(ctx, m, template, func(ctx context.Context, m store.Message) (string, error) {
		switch {
		case template != nil:
			t := template.message()
			if kind == kindButton {
				t.Button = &graph.TemplateButton{Index: template.button, TTL: l.ButtonTTL, Payload: r.Payload}
			}
			return l.Number.SendTemplate(ctx, r.Customer, t, m.ID)
		case kind == kindButton:
			return l.Number.SendButton(ctx, r.Customer, graph.CallButton{Text: m.Text, Label: l.Texts.ButtonLabel, TTL: l.ButtonTTL, Payload: r.Payload}, m.ID)
		}
		return l.Number.SendText(ctx, r.Customer, m.Text, m.ID)
	})
	if closed {
		decision.Allowed, decision.Rule, decision.Key, decision.Template = true, policy.RuleAllowed, policy.RuleAllowed+".template", true
		decision.Sentence = decision.Render("en", zoneOf(l.Hours.Zone))
	}
	out.Decision = decision
	return out, nil
}

// sendLimit bounds one request to Meta. It goes on when who asked for it has gone: an aborted request is one of which nobody
// knows whether Meta took it.
const sendLimit = 15 * time.Second

// send keeps a message, sends it, and keeps what became of it. What may have been taken stays as sending: its status webhooks
// carry our ID.
func (d *Desk) send(ctx context.Context, m store.Message, t *Template, post func(context.Context, store.Message) (string, error)) Sent {
	m.At = d.now()
	if t != nil {
		m.Template, m.Text = t.Name, ""
	}
	kept, duplicate, err := d.store.BeginMessage(ctx, m)
	if duplicate {
		err = errors.New("it was sent before")
	}
	if err != nil {
		return Sent{Message: m, Err: fmt.Errorf("keep the message: %w", err)}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendLimit)
	defer cancel()
	wamid, err := post(ctx, kept)
	u := store.MessageUpdate{ID: kept.ID, Wamid: wamid, Status: store.MessageAccepted, At: d.now()}
	result := "accepted"
	switch {
	case err == nil:
		kept.Wamid = wamid
	case errors.Is(err, graph.ErrUncertain):
		d.metrics.messages.WithLabelValues(m.Kind, "uncertain").Inc()
		d.log.Warn("nobody knows whether WhatsApp took a message; it is not sent again, its status will tell", "kind", m.Kind, "err", err)
		return Sent{Message: kept, Err: err}
	default:
		result, u.Status = "refused", store.MessageFailed
		if e := graph.AsError(err); e != nil {
			u.Code = e.Code
		}
		d.log.Warn("WhatsApp refused a message", "kind", m.Kind, "err", err)
	}
	d.metrics.messages.WithLabelValues(m.Kind, result).Inc()
	out, _, keepErr := d.store.SetMessageStatus(ctx, u)
	if keepErr != nil {
		d.log.Error("what became of a message could not be stored; its status webhooks tell it again", "err", keepErr)
		out = kept
	}
	return Sent{Message: out, Err: err}
}

func newID(kind string) string { return kind + rand.Text()[:20] }

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
