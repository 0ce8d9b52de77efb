package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const maxInbox = 1000

// Message is one message on a customer's phone.
type Message struct {
	ID            string // wamid
	PhoneNumberID string
	At            time.Time // simulated
	// Type is the Kind of the request log without "message:": text, permission_request, call_button, template, …; system for
	// what WhatsApp itself tells the customer.
	Type               string
	Header, Text       string
	Footer             string
	Buttons            []string
	Template, Language string
	AsksPermission     bool      // a permission request, free-form or by template
	Payload            string    // of the call button
	Until              time.Time // simulated end of the call button; zero: there is none

	button int // which of Buttons is the call button
}

// callButton is the index of the call button, or -1.
func (g *Message) callButton() int {
	if g.Until.IsZero() {
		return -1
	}
	return g.button
}

// wording is the whole text.
func (g *Message) wording() string {
	var parts []string
	for _, s := range []string{g.Header, g.Text, g.Footer} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 && !g.AsksPermission {
		return "(" + g.Type + ")"
	}
	return strings.Join(parts, "\n")
}

func (g *Message) callTTL(minutes *int, now time.Time) {
	ttl := defaultTTL
	if minutes != nil {
		ttl = *minutes
	}
	g.Until = now.Add(time.Duration(ttl) * time.Minute)
}

// shown is what the customer sees of a message that is not a template.
func (b *messageBody) shown(now time.Time) *Message {
	g := &Message{Type: b.Type}
	switch b.Type {
	case "text":
		g.Text = b.Text.Body
	case "interactive":
		i := b.Interactive
		if i.Body != nil {
			g.Text = i.Body.Text
		}
		switch g.Type = messageKind(i.Type); g.Type {
		case "permission_request":
			g.AsksPermission = true
		case "call_button":
			g.Buttons = []string{cmp.Or(i.Action.Parameters.DisplayText, defaultButton)}
			g.Payload = i.Action.Parameters.Payload
			g.callTTL(i.Action.Parameters.TTL, now)
		}
	}
	return g
}

// Messages returns what the customer got, oldest first; of more than 1000 the newest.
func (c *Customer) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Clone(c.inbox)
	for i := range out {
		out[i].Buttons = slices.Clone(out[i].Buttons)
	}
	return out
}

// receive puts a message on the phone.
func (c *Customer) receive(n *number, g Message) {
	c.mu.Lock()
	c.inbox = appendAtMost(c.inbox, g, maxInbox)
	c.mu.Unlock()
	if c.onMessage != nil {
		c.onMessage(n, &g)
	}
}

// message finds a message on the phone.
func (c *Customer) message(id string) (Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.inbox, func(g Message) bool { return g.ID == id })
	if i < 0 {
		return Message{}, false
	}
	return c.inbox[i], true
}

// ErrNoButton means that the message has no call button or that its time is over.
var ErrNoButton = errors.New("the message has no call button that works")

// PressCallButton calls the company with the call button of a message; its payload comes along as cta_payload.
func (c *Customer) PressCallButton(ctx context.Context, messageID string, opts CallOptions) (*CustomerCall, error) {
	number, payload, err := c.button(messageID)
	if err != nil {
		return nil, err
	}
	opts.CTAPayload = payload
	return c.Call(ctx, number, opts)
}

// button returns the number and payload of a call button whose time is not over.
func (c *Customer) button(messageID string) (number, payload string, err error) {
	g, ok := c.message(messageID)
	switch {
	case !ok:
		return "", "", fmt.Errorf("%w: there is no message %s", ErrNoButton, messageID)
	case g.Until.IsZero():
		return "", "", fmt.Errorf("%w: message %s never had one", ErrNoButton, messageID)
	case !c.m.clock.Now().Before(g.Until):
		return "", "", fmt.Errorf("%w: it worked until %s", ErrNoButton, g.Until.UTC().Format(time.RFC3339))
	}
	return g.PhoneNumberID, g.Payload, nil
}

// SendText lets the customer write to a number, which opens the 24 h window.
func (c *Customer) SendText(phoneNumberID, text string) error {
	n, err := c.m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("send text: %w", err)
	}
	now := c.m.clock.Now()
	c.m.mu.Lock()
	c.m.permissionOf(n, c).window = now.Add(day)
	c.m.mu.Unlock()
	msg := obj{"id": c.m.newID("wamid.SIMIN"), "timestamp": stamp(now), "type": "text", "text": obj{"body": text}}
	c.party(msg, "from", "from")
	c.m.send(n, update{field: "messages", event: "text", value: obj{"contacts": c.contact(true), "messages": []any{msg}}})
	return nil
}
