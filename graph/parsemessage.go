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
	Group      text `json:"group_id"`
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
	System struct {
		Type       enum `json:"type"`
		Body       text `json:"body"`
		User       text `json:"user_id"`
		Parent     text `json:"parent_user_id"`
		Previous   text `json:"previous_user_id"`
		PrevParent text `json:"previous_parent_user_id"`
		Phone      text `json:"wa_id"`
	} `json:"system"`
	Errors []webhookError `json:"errors"`
}

func (p *parser) message(raw json.RawMessage) Event {
	e := p.base
	var j messageJSON
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		p.rewrap(&e, nil, "messages", raw)
		return e
	}
	e.Kind = KindMessage
	e.ID, e.At = clip(string(j.ID), maxID), at(j.Timestamp, e.sent)
	e.Errors = append(e.Errors, webhookErrors(j.Errors)...)
	id, c := p.identify(identity(j.From, j.FromUser, j.FromParent))
	e.Customer = id
	m := &Message{Type: strings.ToLower(string(j.Type)), Text: clip(string(j.Text.Body), 4*maxText),
		Context: clip(string(j.Context.ID), maxID), Group: clip(string(j.Group), maxID)}
	// The outer type may be missing in permission replies: the inner one decides (§10.5).
	if r := j.Interactive.Reply; j.Interactive.Type == "CALL_PERMISSION_REPLY" {
		e.Kind, m.Type = KindPermission, "call_permission_reply"
		m.Granted = r.Response == "ACCEPT"
		m.Permanent = bool(r.Permanent)
		m.Automatic = r.Source == "AUTOMATIC"
		m.Expires = max(r.Expires, r.ExpiresGE).time()
	}
	if change := j.change(); change != nil {
		// The customer is who they are now. A contact may describe either and is left out.
		e.Kind, e.Change, e.Customer, c = KindIdentity, change, change.Now, nil
		m.Text = clip(string(j.System.Body), 4*maxText)
	}
	e.Name, e.Message = m.Type, m
	p.rewrap(&e, c, "messages", raw)
	return e
}

// IdentityChange says that one customer has become known by another number or ID (§16.4). Before is to be looked up by BSUID,
// then by Phone. Whether permissions survive the change Meta does not say: ask afresh.
type IdentityChange struct {
	Type   string // user_changed_number: the new phone is given; user_changed_user_id: it may not be
	Before Identity
	Now    Identity
}

// change reads a system message about a change, nil for any other message.
func (j *messageJSON) change() *IdentityChange {
	s := &j.System
	if j.Type != "SYSTEM" || (s.Type != "USER_CHANGED_NUMBER" && s.Type != "USER_CHANGED_USER_ID") {
		return nil
	}
	previous := s.Previous
	if previous == "" && j.FromUser != s.User {
		previous = j.FromUser
	}
	c := &IdentityChange{Type: strings.ToLower(string(s.Type)), Before: identity(j.From, previous, s.PrevParent), Now: identity(s.Phone, s.User, s.Parent)}
	if c.Before.Phone == c.Now.Phone {
		c.Before.Phone = "" // from is the new number then, and says nothing of the old
	}
	if c.Before.Empty() || c.Now.Empty() {
		return nil // nothing to merge by
	}
	return c
}
