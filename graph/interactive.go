package graph

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a call button (§11.2, §12.4).
const (
	maxLabel     = 20 // characters
	minButtonTTL = time.Minute
	maxButtonTTL = 43200 * time.Minute // 30 days
)

// interactive is the body of an interactive message.
type interactive struct {
	Type   string           `json:"type"`
	Body   *interactiveText `json:"body,omitempty"`
	Action interactiveAct   `json:"action"`
}

type interactiveText struct {
	Text string `json:"text"`
}

type interactiveAct struct {
	Name       string      `json:"name"`
	Parameters *buttonJSON `json:"parameters,omitempty"`
}

type buttonJSON struct {
	Label   string `json:"display_text,omitempty"`
	TTL     int64  `json:"ttl_minutes,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// SendPermissionRequest asks the customer for permission to call, free form, inside the 24-hour window (§10.3). body, at most
// 4096 characters, may be empty; the buttons' words are Meta's. Outside the window (Error.WindowClosed) send a template made
// for it.
func (c *Client) SendPermissionRequest(ctx context.Context, number string, who Recipient, body string, opts ...MessageOption) (wamid string, err error) {
	const kind = "call_permission_request"
	i := &interactive{Type: kind, Action: interactiveAct{Name: kind}}
	if n := utf8.RuneCountInString(body); n > maxText {
		return "", fmt.Errorf("send permission request: %w: %d characters, allowed are %d", ErrContent, n, maxText)
	}
	if body != "" {
		i.Body = &interactiveText{body}
	}
	return c.send(ctx, "send_permission_request", number, who, messageBody{Type: "interactive", Interactive: i}, opts)
}

// CallButton is a message with a button by which the customer calls the number.
type CallButton struct {
	Text    string        // the message, 1 to 4096 characters
	Label   string        // on the button, at most 20 characters; "" is Meta's "Call Now"
	TTL     time.Duration // how long the button works, whole minutes from 1 min to 30 days; 0 is Meta's seven days
	Payload string        // at most 512 bytes; comes back as Call.Button when the customer calls by it
}

func (b CallButton) check() error {
	if n := utf8.RuneCountInString(b.Text); n == 0 || n > maxText {
		return fmt.Errorf("%w: %d characters, allowed are 1 to %d", ErrContent, n, maxText)
	}
	if n := utf8.RuneCountInString(b.Label); n > maxLabel {
		return fmt.Errorf("%w: label of %d characters, allowed are %d", ErrContent, n, maxLabel)
	}
	return checkButton(b.TTL, b.Payload)
}

// checkButton checks what a call button has in a message and in a template alike.
func checkButton(ttl time.Duration, payload string) error {
	if ttl != 0 && (ttl < minButtonTTL || ttl > maxButtonTTL || ttl%time.Minute != 0) {
		return fmt.Errorf("%w: button for %v, allowed are whole minutes from 1 to %d", ErrContent, ttl, maxButtonTTL/time.Minute)
	}
	if n := len(payload); n > maxPayload {
		return fmt.Errorf("%w: payload of %d bytes, allowed are %d", ErrContent, n, maxPayload)
	}
	return nil
}

// SendCallButton sends a call button inside the 24-hour window (§11.2). Error.Unsupported: this number cannot send one.
func (c *Client) SendCallButton(ctx context.Context, number string, who Recipient, b CallButton, opts ...MessageOption) (wamid string, err error) {
	if err := b.check(); err != nil {
		return "", fmt.Errorf("send call button: %w", err)
	}
	i := &interactive{Type: "voice_call", Body: &interactiveText{b.Text}, Action: interactiveAct{Name: "voice_call"}}
	if p := (buttonJSON{b.Label, int64(b.TTL / time.Minute), b.Payload}); p != (buttonJSON{}) {
		i.Action.Parameters = &p
	}
	return c.send(ctx, "send_call_button", number, who, messageBody{Type: "interactive", Interactive: i}, opts)
}

// words is an action as it stands in an error.
func words(action string) string { return strings.ReplaceAll(action, "_", " ") }
