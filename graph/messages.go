package graph

import (
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"
)

// maxText is Meta's limit for a text message, in characters.
const maxText = 4096

// SendText sends a text message and returns its wamid. A good answer means accepted for processing, not delivered. Like
// Connect it is not resent when it may have been taken: a customer must not get a message twice.
func (c *Client) SendText(ctx context.Context, number string, who Recipient, body string) (wamid string, err error) {
	to, recipient, err := who.to()
	if err != nil {
		return "", fmt.Errorf("send text: %w", err)
	}
	if n := utf8.RuneCountInString(body); n == 0 || n > maxText {
		return "", fmt.Errorf("send text: %d characters, allowed are 1 to %d", n, maxText)
	}
	type textBody struct {
		Body    string `json:"body"`
		Preview bool   `json:"preview_url"`
	}
	payload := struct {
		Product   string   `json:"messaging_product"`
		Kind      string   `json:"recipient_type"`
		To        string   `json:"to,omitempty"`
		Recipient string   `json:"recipient,omitempty"`
		Type      string   `json:"type"`
		Text      textBody `json:"text"`
	}{"whatsapp", "individual", to, recipient, "text", textBody{Body: body}}
	var out struct {
		Messages []struct {
			ID text `json:"id"`
		} `json:"messages"`
	}
	r := request{action: "send_text", method: http.MethodPost, path: "/" + segment(number) + "/messages", body: payload}
	if err := c.once(ctx, r, &out); err != nil {
		return "", fmt.Errorf("send text: %w", err)
	}
	if len(out.Messages) == 0 || out.Messages[0].ID == "" {
		return "", fmt.Errorf("send text: %w: %w: no message id", ErrUncertain, ErrAnswer)
	}
	return string(out.Messages[0].ID), nil
}
