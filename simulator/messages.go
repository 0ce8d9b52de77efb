package simulator

import (
	"cmp"
	"slices"
	"time"
)

// serveMessages is POST /{PNID}/messages.
func (m *Meta) serveMessages(q *graphRequest) (answer, *graphError) {
	var b messageBody
	if e := decodeBody(q, &b); e != nil {
		return nil, e
	}
	if e := checkProduct(b.Product); e != nil {
		return nil, e
	}
	if b.Status == "read" {
		return obj{"success": true}, refuseIf(b.MessageID == "", "The parameter message_id is required")
	}
	who := cmp.Or(b.To, b.Recipient)
	if e := checkMessage(&b, who); e != nil {
		return nil, e
	}
	id, now := m.newID("wamid.SIM"), m.clock.Now()
	m.mu.Lock()
	shown, e := m.showMessage(q.num, &b, now)
	var c *Customer
	if e == nil {
		shown.ID, shown.PhoneNumberID, shown.At = id, q.num.PhoneNumberID, now
		c, e = m.admitMessage(q.num, who, shown, now)
	}
	m.mu.Unlock()
	if e != nil {
		return nil, e
	}
	q.messageID = id
	message := obj{"id": id}
	if b.Type == "template" {
		message["message_status"] = "accepted"
	}
	contact := obj{"input": who}
	switch {
	case c == nil:
		contact["wa_id"] = digits(who)
		m.messageStatus(q.num, nil, id, who, &b, "failed")
	case b.To == "" || c.config().hidden():
		contact["user_id"] = c.config().BSUID
	default:
		contact["wa_id"] = c.config().Phone
	}
	if c != nil {
		m.afterMessage(q.num, c, shown, &b)
	}
	return obj{"messaging_product": "whatsapp", "contacts": []any{contact}, "messages": []any{message}}, nil
}

func refuseIf(bad bool, detail string) *graphError { return refuseUnless(!bad, detail) }

// showMessage makes what the customer would see. m.mu is held.
func (m *Meta) showMessage(n *number, b *messageBody, now time.Time) (*Message, *graphError) {
	shown := b.shown(now)
	if b.Type == "template" {
		var e *graphError
		if shown, e = m.resolve(n.WABA, b.Template, now); e != nil {
			return nil, e
		}
	}
	if shown.Type == "call_button" && !n.callingEnabled() {
		return nil, refuse(131009, "voice_call is not supported for this sender")
	}
	return shown, nil
}

// admitMessage applies window, quota and restriction. m.mu is held. An unknown customer is accepted and fails later.
func (m *Meta) admitMessage(n *number, who string, g *Message, now time.Time) (*Customer, *graphError) {
	if digits(who) == n.DisplayNumber {
		return nil, refuse(131021, "Recipient can not be the sender")
	}
	if n.Test && !slices.Contains(n.AllowList, digits(who)) {
		return nil, refuse(131030, "Recipient phone number not in allowed list")
	}
	c := m.findCustomer(who)
	if c == nil {
		return nil, nil
	}
	p := m.permissionOf(n, c)
	if g.Type != "template" && !now.Before(p.window) {
		return nil, refuse(131047, "More than 24 hours have passed since the customer last contacted this number")
	}
	if !g.AsksPermission {
		return c, nil
	}
	switch {
	case !n.callingEnabled():
		return nil, refuse(138000, "Calling is not enabled for this business phone number")
	case n.OutboundBarred:
		return nil, refuse(138013, "Business initiated calling is not available in the country of this number")
	case n.restricted(RestrictBusinessCalls, now):
		return nil, refuse(138014, "Business initiated calling is temporarily disabled for this number")
	}
	return c, p.request(g.ID, now)
}

// afterMessage lets time pass: statuses, and the customer's reaction to a permission request.
func (m *Meta) afterMessage(n *number, c *Customer, g *Message, b *messageBody) {
	cfg := c.config()
	if cfg.OldApp && (g.AsksPermission || !g.Until.IsZero()) { // §10.3: it fails, but later
		m.messageStatus(n, c, g.ID, b.To, b, "failed")
		return
	}
	c.receive(n, *g)
	for _, s := range []string{"sent", "delivered"} {
		m.messageStatus(n, c, g.ID, b.To, b, s)
	}
	if !g.AsksPermission || cfg.Attitude == AttitudeIgnore {
		return
	}
	id := g.ID
	m.spawn("permission reply", func() {
		if !sleep(m.ctx, m.timing.PermissionReply) {
			return
		}
		if err := m.replyPermission(n, c, id, cfg.Attitude); err != nil {
			m.log.Debug("customer could not answer a permission request", "wamid", id, "err", err)
		}
	})
}

func (m *Meta) messageStatus(n *number, c *Customer, id, to string, b *messageBody, status string) {
	o := obj{"id": id, "status": status, "timestamp": stamp(m.clock.Now())}
	value := obj{"statuses": []any{o}}
	if c != nil {
		c.party(o, "recipient_id", "recipient")
		value["contacts"] = c.contact(false)
	} else {
		o["recipient_id"] = digits(to)
	}
	if b.Opaque != "" {
		o["biz_opaque_callback_data"] = b.Opaque
	}
	if status == "failed" { // §11.5: no contacts, and without the user ID when it was sent to a phone
		delete(value, "contacts")
		if to != "" {
			delete(o, "recipient_user_id")
			delete(o, "recipient_parent_user_id")
		}
		o["errors"] = []any{obj{"code": 131026, "title": "Message undeliverable", "message": "Message undeliverable",
			"error_data": obj{"details": "The recipient is not on WhatsApp or uses a version of it that can not show the message."}}}
	}
	m.spawn("message status", func() {
		if sleep(m.ctx, m.timing.MessageStatus) {
			m.send(n, update{field: "messages", event: status, wacid: id, value: value})
		}
	})
}
