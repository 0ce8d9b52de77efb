package graph

import (
	"context"
	"fmt"
	"net/http"
)

// Recipient addresses a customer. Phone (digits, with or without +) is preferred, because not every account may call by
// business-scoped ID yet; exactly one of the two is sent (§6.1).
type Recipient struct {
	Phone string
	BSUID string
}

// to returns the JSON fields "to" and "recipient", exactly one of them set. Without the + Meta may prepend the business
// number's own country code (§11.1).
func (r Recipient) to() (to, recipient string, err error) {
	switch {
	case digits(r.Phone) != "":
		return "+" + digits(r.Phone), "", nil
	case r.BSUID != "":
		return "", r.BSUID, nil
	}
	return "", "", ErrRecipient
}

type session struct {
	Type string `json:"sdp_type"`
	SDP  string `json:"sdp"`
}

type callBody struct {
	Product      string   `json:"messaging_product"`
	To           string   `json:"to,omitempty"`
	Recipient    string   `json:"recipient,omitempty"`
	CallID       string   `json:"call_id,omitempty"`
	Action       string   `json:"action"`
	Session      *session `json:"session,omitempty"`
	CallbackData string   `json:"biz_opaque_callback_data,omitempty"`
}

func callRequest(number string, b callBody) request {
	b.Product = "whatsapp"
	return request{action: b.Action, method: http.MethodPost, path: "/" + segment(number) + "/calls", body: b}
}

// ConnectRequest starts a call to a customer.
type ConnectRequest struct {
	To  Recipient
	SDP string // our offer
	// CallbackData comes back in every webhook of the call, to every app subscribed: our call ID, never a secret.
	CallbackData string
}

// Connect starts a call from the number (its phone number ID) and returns the call's wacid. It is never resent when it may
// have taken effect: then the error is ErrUncertain.
func (c *Client) Connect(ctx context.Context, number string, r ConnectRequest) (wacid string, err error) {
	to, recipient, err := r.To.to()
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	var out struct {
		Calls []struct {
			ID text `json:"id"`
		} `json:"calls"`
	}
	err = c.once(ctx, callRequest(number, callBody{Action: "connect", To: to, Recipient: recipient,
		Session: &session{"offer", r.SDP}, CallbackData: r.CallbackData}), &out)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	if len(out.Calls) == 0 || out.Calls[0].ID == "" {
		return "", fmt.Errorf("connect: %w: %w: no call id", ErrUncertain, ErrAnswer)
	}
	return string(out.Calls[0].ID), nil
}

// PreAccept brings the media path of an inbound call up before the answer.
func (c *Client) PreAccept(ctx context.Context, number, wacid, sdp string) error {
	return c.answer(ctx, "pre_accept", number, wacid, sdp)
}

// Accept answers an inbound call. sdp must be byte for byte that of PreAccept.
func (c *Client) Accept(ctx context.Context, number, wacid, sdp string) error {
	return c.answer(ctx, "accept", number, wacid, sdp)
}

// answer sends pre_accept or accept. The SDP type is "answer": Meta's parameter table says "offer", but then the call
// never connects (§6.3).
func (c *Client) answer(ctx context.Context, action, number, wacid, sdp string) error {
	uncertain, err := c.do(ctx, callRequest(number, callBody{Action: action, CallID: wacid, Session: &session{"answer", sdp}}), nil)
	if e := AsError(err); e != nil && uncertain && e.CallGone() {
		// An earlier try took effect and its answer was lost: the same action again finds the call past that state. If
		// it is really over, a terminate webhook says so.
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}

// Reject declines an inbound call that was never pre-accepted. A call already over is a success.
func (c *Client) Reject(ctx context.Context, number, wacid string) error {
	return c.end(ctx, "reject", number, wacid)
}

// Terminate ends a call. A call already over is a success.
func (c *Client) Terminate(ctx context.Context, number, wacid string) error {
	return c.end(ctx, "terminate", number, wacid)
}

func (c *Client) end(ctx context.Context, action, number, wacid string) error {
	_, err := c.do(ctx, callRequest(number, callBody{Action: action, CallID: wacid}), nil)
	if e := AsError(err); e != nil && e.CallGone() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}
