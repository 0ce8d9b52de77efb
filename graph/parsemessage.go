package graph

import (
	"encoding/json"
	"strings"
)

type messageJSON struct {
	ID         text `json:"id"`
	From       text `json:"from"`
	FromUser   text `json:"from_user_id"`
	FromParent text `json:"from_parent_user_id"`
	Timestamp  num  `json:"timestamp"`
	Type       enum `json:"type"`
	Text       struct {
		Body text `json:"body"`
	} `json:"text"`
	Context struct {
		ID text `json:"id"`
	} `json:"context"`
	Interactive struct {
		Type  enum `json:"type"`
		Reply struct {
			Response  enum `json:"response"`
			Permanent flag `json:"is_permanent"`
			Expires   num  `json:"expiration_timestamp"`
			ExpiresGE num  `json:"expiration_time"` // the name GET uses
			Source    enum `json:"response_source"`
		} `json:"call_permission_reply"`
	} `json:"interactive"`
	Errors []webhookError `json:"errors"`
}

func (p *parser) message(raw json.RawMessage) Event {
	e := p.base
	var j messageJSON
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		e.Raw = p.rewrap(e, nil, "messages", raw)
		return e
	}
	e.Kind = KindMessage
	e.ID, e.At = clip(string(j.ID), maxID), j.Timestamp.time()
	e.Errors = append(e.Errors, webhookErrors(j.Errors)...)
	id, c := p.identify(identity(j.From, j.FromUser, j.FromParent))
	e.Customer = id
	m := &Message{Type: strings.ToLower(string(j.Type)), Text: clip(string(j.Text.Body), 4*maxText), Context: clip(string(j.Context.ID), maxID)}
	// The outer type may be missing in permission replies: the inner one decides (§10.5).
	if r := j.Interactive.Reply; j.Interactive.Type == "CALL_PERMISSION_REPLY" {
		e.Kind, m.Type = KindPermission, "call_permission_reply"
		m.Granted = r.Response == "ACCEPT"
		m.Permanent = bool(r.Permanent)
		m.Automatic = r.Source == "AUTOMATIC"
		m.Expires = max(r.Expires, r.ExpiresGE).time()
	}
	e.Name, e.Message = m.Type, m
	e.Raw = p.rewrap(e, c, "messages", raw)
	return e
}
