package graph

import (
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"
)

// The limits of what we send (§10.3, §11.2). Payload and callback data are counted in bytes, not characters, so that what
// comes back in a webhook is never cut.
const (
	maxText     = 4096 // characters
	maxPayload  = 512
	maxCallback = 512
)

// MessageOption is something any message may carry besides its content.
type MessageOption func(*messageBody)

// WithCallbackData makes data, at most 512 bytes, come back in every status webhook of the message (Event.CallbackData): by
// it a message whose sending ended in ErrUncertain is recognised. Every app subscribed to the account sees it, so it is an
// ID of ours and never a secret.
func WithCallbackData(data string) MessageOption {
	return func(b *messageBody) { b.CallbackData = data }
}

// messageBody is the envelope of every kind of message (§11.1); exactly one of the pointers is set.
type messageBody struct {
	Product      string        `json:"messaging_product"`
	Kind         string        `json:"recipient_type"`
	To           string        `json:"to,omitempty"`
	Recipient    string        `json:"recipient,omitempty"`
	Type         string        `json:"type"`
	Text         *textJSON     `json:"text,omitempty"`
	Interactive  *interactive  `json:"interactive,omitempty"`
	Template     *templateBody `json:"template,omitempty"`
	CallbackData string        `json:"biz_opaque_callback_data,omitempty"`
}

type textJSON struct {
	Body    string `json:"body"`
	Preview bool   `json:"preview_url"`
}

// SendText sends a text message of 1 to 4096 characters, inside the customer's 24-hour window, and returns its wamid. A good
// answer means accepted for processing, not delivered. As with Connect nothing is resent when it may have been taken, because
// a customer must not get a message twice: then the error is ErrUncertain. This holds for every Send method.
func (c *Client) SendText(ctx context.Context, number string, who Recipient, body string, opts ...MessageOption) (wamid string, err error) {
	if n := utf8.RuneCountInString(body); n == 0 || n > maxText {
		return "", fmt.Errorf("send text: %w: %d characters, allowed are 1 to %d", ErrContent, n, maxText)
	}
	return c.send(ctx, "send_text", number, who, messageBody{Type: "text", Text: &textJSON{Body: body}}, opts)
}

// send is the one sender. action is the metric label.
func (c *Client) send(ctx context.Context, action, number string, who Recipient, b messageBody, opts []MessageOption) (wamid string, err error) {
	b.Product, b.Kind = "whatsapp", "individual"
	if b.To, b.Recipient, err = who.to(); err != nil {
		return "", fmt.Errorf("%s: %w", words(action), err)
	}
	for _, opt := range opts {
		opt(&b)
	}
	if n := len(b.CallbackData); n > maxCallback {
		return "", fmt.Errorf("%s: %w: callback data of %d bytes, allowed are %d", words(action), ErrContent, n, maxCallback)
	}
	var out struct {
		Messages []struct {
			ID text `json:"id"`
		} `json:"messages"`
	}
	r := request{action: action, method: http.MethodPost, path: "/" + segment(number) + "/messages", body: b}
	if err := c.once(ctx, r, &out); err != nil {
		return "", fmt.Errorf("%s: %w", words(action), err)
	}
	if len(out.Messages) == 0 || out.Messages[0].ID == "" {
		return "", fmt.Errorf("%s: %w: %w: no message id", words(action), ErrUncertain, ErrAnswer)
	}
	return string(out.Messages[0].ID), nil
}
