package simulator

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A permission request on the phone can be answered, and answered differently, until its buttons are dead (§10.1).
var (
	ErrRequestUnknown    = errors.New("there is no such permission request")
	ErrRequestSuperseded = errors.New("the permission request is dead: a newer one was answered")
	ErrRequestExpired    = errors.New("the permission request is dead: seven days are over")
)

const maxAsks = 200

// ask is one permission request as the customer has it.
type ask struct {
	id       string
	at       time.Time // delivered
	answered time.Time // last reaction; zero: none
}

// request counts a permission request, or refuses it.
func (p *permission) request(id string, now time.Time) *graphError {
	if kind, _ := p.status(now); kind == PermissionPermanent {
		return refuse(138017, "The recipient has already given permanent permission")
	}
	if next, full := exhausted(p.requestLimits(now)); full {
		return refuse(138009, "Limit of call permission requests reached, next request possible at %s", next.UTC().Format(time.RFC3339))
	}
	p.requests = append(slices.DeleteFunc(p.requests, func(t time.Time) bool { return now.Sub(t) >= week }), now)
	p.asks = appendAtMost(p.asks, ask{id: id, at: now}, maxAsks)
	return nil
}

// pending says whether the customer can still answer the request with the ID. A request dies when the customer reacts to a
// newer one, seven days after the reaction to it, or seven days after delivery without one.
func (p *permission) pending(id string, now time.Time) error {
	at := slices.IndexFunc(p.asks, func(a ask) bool { return a.id == id })
	if at < 0 {
		return ErrRequestUnknown
	}
	for _, newer := range p.asks[at+1:] {
		if !newer.answered.IsZero() {
			return ErrRequestSuperseded
		}
	}
	since := p.asks[at].at
	if !p.asks[at].answered.IsZero() {
		since = p.asks[at].answered
	}
	if now.Sub(since) >= week {
		return ErrRequestExpired
	}
	return nil
}

// answer is the customer tapping a button of a request. A decline takes back what the same request gave; a grant from
// elsewhere stays, which Meta leaves open.
func (p *permission) answer(id string, a Attitude, now time.Time) error {
	if err := p.pending(id, now); err != nil {
		return err
	}
	at := slices.IndexFunc(p.asks, func(a ask) bool { return a.id == id })
	p.asks[at].answered = now
	switch a {
	case AttitudeTemporary:
		p.grantTemporary(now)
		p.grantedBy = id
	case AttitudePermanent:
		p.grantPermanent()
		p.grantedBy = id
	default:
		if p.grantedBy == id {
			p.revoke()
		}
	}
	return nil
}

// attitudeOf is the button that was tapped.
func attitudeOf(accept, permanent bool) Attitude {
	switch {
	case accept && permanent:
		return AttitudePermanent
	case accept:
		return AttitudeTemporary
	}
	return AttitudeDecline
}

// AnswerPermission taps a button of the permission request with the given message ID; the reply webhook follows. A
// request that is superseded, expired or unknown has no buttons any more: ErrRequest….
func (c *Customer) AnswerPermission(requestID string, accept, permanent bool) error {
	n, err := c.numberOf(requestID)
	if err != nil {
		return err
	}
	return c.m.replyPermission(n, c, requestID, attitudeOf(accept, permanent))
}

// LateAnswer sends the reply webhook of a request whatever became of it, as when Meta delivers it late. Nothing changes at
// Meta: GET call_permissions still tells the truth. answered is when the customer tapped, by the simulated clock.
func (c *Customer) LateAnswer(requestID string, accept, permanent bool, answered time.Time) error {
	n, err := c.numberOf(requestID)
	if err != nil {
		return err
	}
	r := permissionReply{source: "user_action", contextID: requestID, at: answered}
	r.fill(attitudeOf(accept, permanent), answered.Add(temporaryFor))
	c.m.sendPermissionReply(n, c, r)
	return nil
}

// PermissionRequest says whether a request can still be answered: nil, or why not.
func (c *Customer) PermissionRequest(requestID string) error {
	n, err := c.numberOf(requestID)
	if err != nil {
		return err
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.m.permissionOf(n, c).pending(requestID, c.m.clock.Now())
}

// numberOf is the number that sent the customer the message.
func (c *Customer) numberOf(messageID string) (*number, error) {
	g, ok := c.message(messageID)
	if !ok || !g.AsksPermission {
		return nil, fmt.Errorf("%w: %s", ErrRequestUnknown, messageID)
	}
	return c.m.numberByID(g.PhoneNumberID)
}

// replyPermission is the customer tapping a button, with the webhook that tells of it.
func (m *Meta) replyPermission(n *number, c *Customer, requestID string, a Attitude) error {
	now := m.clock.Now()
	m.mu.Lock()
	p := m.permissionOf(n, c)
	if err := p.answer(requestID, a, now); err != nil {
		m.mu.Unlock()
		return err
	}
	p.window = now.Add(day) // a tap is an inbound message
	expires := p.expires
	m.mu.Unlock()
	r := permissionReply{source: "user_action", contextID: requestID, at: now}
	r.fill(a, expires)
	m.sendPermissionReply(n, c, r)
	return nil
}

// permissionReply is §10.5.
type permissionReply struct {
	response  string // accept, reject
	source    string // user_action, automatic
	permanent bool
	expires   time.Time
	contextID string
	at        time.Time // simulated
}

func (r *permissionReply) fill(a Attitude, expires time.Time) {
	switch a {
	case AttitudeTemporary:
		r.response, r.expires = "accept", expires
	case AttitudePermanent:
		r.response, r.permanent = "accept", true
	default:
		r.response = "reject"
	}
}

func (m *Meta) sendPermissionReply(n *number, c *Customer, r permissionReply) {
	reply := obj{"response": r.response, "response_source": r.source}
	if r.response == "accept" {
		reply["is_permanent"] = r.permanent
		if !r.permanent {
			reply["expiration_timestamp"] = stamp(r.expires)
		}
	}
	msg := obj{"id": m.newID("wamid.SIMIN"), "timestamp": stamp(r.at), "type": "interactive",
		"interactive": obj{"type": "call_permission_reply", "call_permission_reply": reply}}
	c.party(msg, "from", "from")
	if r.contextID != "" {
		msg["context"] = obj{"from": n.DisplayNumber, "id": r.contextID}
	}
	m.send(n, update{field: "messages", event: "call_permission_reply", wacid: r.contextID,
		value: obj{"contacts": c.contact(true), "messages": []any{msg}}})
}
