package simulator

import (
	"slices"
	"time"
)

// messageBody is what is looked at of POST /{PNID}/messages (§11).
type messageBody struct {
	Product       string `json:"messaging_product"`
	RecipientType string `json:"recipient_type"`
	To            string `json:"to"`
	Recipient     string `json:"recipient"`
	Type          string `json:"type"`
	Status        string `json:"status"`
	MessageID     string `json:"message_id"`
	Opaque        string `json:"biz_opaque_callback_data"`
	Text          *struct {
		Body string `json:"body"`
	} `json:"text"`
	Interactive *struct {
		Type   string `json:"type"`
		Action struct {
			Name       string `json:"name"`
			Parameters struct {
				DisplayText string `json:"display_text"`
				TTL         *int   `json:"ttl_minutes"`
				Payload     string `json:"payload"`
			} `json:"parameters"`
		} `json:"action"`
		Body *struct {
			Text string `json:"text"`
		} `json:"body"`
		Header any `json:"header"`
		Footer any `json:"footer"`
	} `json:"interactive"`
	Template *struct {
		Name     string `json:"name"`
		Language struct {
			Code string `json:"code"`
		} `json:"language"`
	} `json:"template"`
}

var messageTypes = []string{"text", "interactive", "template", "audio", "document", "image", "video", "sticker", "location", "contacts", "reaction"}

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
	who := b.To
	if who == "" {
		who = b.Recipient
	}
	if e := checkMessage(&b, who); e != nil {
		return nil, e
	}
	now := m.clock.Now()
	m.mu.Lock()
	c, e := m.admitMessage(q.num, who, &b, now)
	m.mu.Unlock()
	if e != nil {
		return nil, e
	}
	id := m.newID("wamid.SIM")
	contact := obj{"input": who}
	if c != nil {
		cfg := c.config()
		if b.To == "" || cfg.hidden() {
			contact["user_id"] = cfg.BSUID
		} else {
			contact["wa_id"] = cfg.Phone
		}
		m.afterMessage(q.num, c, id, &b)
	} else {
		contact["wa_id"] = digits(who)
		m.messageStatus(q.num, nil, id, who, &b, "failed")
	}
	return obj{"messaging_product": "whatsapp", "contacts": []any{contact}, "messages": []any{obj{"id": id}}}, nil
}

func refuseIf(bad bool, detail string) *graphError { return refuseUnless(!bad, detail) }

func checkMessage(b *messageBody, who string) *graphError {
	switch {
	case who == "":
		return refuse(100, "The parameter to or recipient is required")
	case b.RecipientType != "" && b.RecipientType != "individual":
		return refuse(100, "recipient_type must be individual")
	case b.Type == "" && b.Text != nil:
		b.Type = "text"
	case !slices.Contains(messageTypes, b.Type):
		return refuse(131051, "Message type %q is not supported", b.Type)
	}
	if len(b.Opaque) > maxOpaque {
		return refuse(100, "Param biz_opaque_callback_data must be at most %d characters long", maxOpaque)
	}
	switch b.Type {
	case "text":
		if b.Text == nil || b.Text.Body == "" || len([]rune(b.Text.Body)) > 4096 {
			return refuse(100, "text.body is required and must be at most 4096 characters long")
		}
	case "template":
		if b.Template == nil || b.Template.Name == "" || b.Template.Language.Code == "" {
			return refuse(131008, "template.name and template.language.code are required")
		}
	case "interactive":
		return checkInteractive(b)
	}
	return nil
}

func checkInteractive(b *messageBody) *graphError {
	i := b.Interactive
	if i == nil || i.Type == "" {
		return refuse(131008, "interactive.type is required")
	}
	p := i.Action.Parameters
	switch i.Type {
	case "call_permission_request":
		switch {
		case i.Action.Name != "call_permission_request":
			return refuse(131009, "action.name must be call_permission_request")
		case i.Header != nil || i.Footer != nil:
			return refuse(131009, "header and footer are not allowed in a call_permission_request")
		}
	case "voice_call":
		switch {
		case i.Action.Name != "voice_call" || i.Body == nil:
			return refuse(131009, "voice_call needs a body and action.name voice_call")
		case len([]rune(p.DisplayText)) > 20 || len(p.Payload) > maxOpaque || (p.TTL != nil && (*p.TTL < 1 || *p.TTL > 43200)):
			return refuse(131009, "display_text, ttl_minutes or payload out of range")
		}
	}
	return nil
}

func isPermissionRequest(b *messageBody) bool {
	return (b.Type == "interactive" && b.Interactive.Type == "call_permission_request") ||
		(b.Type == "template" && b.Template.Name == permissionTemplate)
}

// permissionTemplate is the one approved permission-request template of the simulated account.
const permissionTemplate = "ask_to_call"

// admitMessage applies window, quota and restriction. m.mu is held. An unknown customer is accepted and fails later.
func (m *Meta) admitMessage(n *number, who string, b *messageBody, now time.Time) (*Customer, *graphError) {
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
	if b.Type != "template" && !now.Before(p.window) {
		return nil, refuse(131047, "More than 24 hours have passed since the customer last contacted this number")
	}
	if !isPermissionRequest(b) {
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
	return c, p.request(now)
}

// afterMessage lets time pass: statuses, and the customer's reaction to a permission request.
func (m *Meta) afterMessage(n *number, c *Customer, id string, b *messageBody) {
	for _, s := range []string{"sent", "delivered"} {
		m.messageStatus(n, c, id, b.To, b, s)
	}
	if c.onMessage != nil {
		c.onMessage(n, id, b)
	}
	attitude := c.config().Attitude
	if !isPermissionRequest(b) || attitude == AttitudeIgnore {
		return
	}
	m.spawn("permission reply", func() {
		if sleep(m.ctx, m.timing.PermissionReply) {
			m.replyPermission(n, c, id, attitude)
		}
	})
}

// replyPermission is the customer tapping a button of the permission request.
func (m *Meta) replyPermission(n *number, c *Customer, requestID string, a Attitude) {
	now := m.clock.Now()
	r := permissionReply{response: "accept", source: "user_action", contextID: requestID}
	m.mu.Lock()
	p := m.permissionOf(n, c)
	p.window = now.Add(day) // a tap is an inbound message
	switch a {
	case AttitudeTemporary:
		p.grantTemporary(now)
		r.expires = p.expires
	case AttitudePermanent:
		p.grantPermanent()
		r.permanent = true
	default: // a decline leaves an earlier grant as it was
		r.response = "reject"
	}
	m.mu.Unlock()
	m.sendPermissionReply(n, c, r)
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
	if status == "failed" {
		o["errors"] = []any{obj{"code": 131026, "title": "Message undeliverable", "message": "Message undeliverable",
			"error_data": obj{"details": "The recipient is not on WhatsApp."}}}
	}
	m.spawn("message status", func() {
		if sleep(m.ctx, m.timing.MessageStatus) {
			m.send(n, update{field: "messages", event: status, wacid: id, value: value})
		}
	})
}

// permissionReply is §10.5.
type permissionReply struct {
	response  string // accept, reject
	source    string // user_action, automatic
	permanent bool
	expires   time.Time
	contextID string
}

func (m *Meta) sendPermissionReply(n *number, c *Customer, r permissionReply) {
	reply := obj{"response": r.response, "response_source": r.source}
	if r.response == "accept" {
		reply["is_permanent"] = r.permanent
		if !r.permanent {
			reply["expiration_timestamp"] = stamp(r.expires)
		}
	}
	msg := obj{"id": m.newID("wamid.SIMIN"), "timestamp": stamp(m.clock.Now()), "type": "interactive",
		"interactive": obj{"type": "call_permission_reply", "call_permission_reply": reply}}
	c.party(msg, "from", "from")
	if r.contextID != "" {
		msg["context"] = obj{"from": n.DisplayNumber, "id": r.contextID}
	}
	m.send(n, update{field: "messages", event: "call_permission_reply", wacid: r.contextID,
		value: obj{"contacts": c.contact(true), "messages": []any{msg}}})
}

// SendText lets the customer write to a number, which opens the 24 h window.
func (c *Customer) SendText(phoneNumberID, text string) error {
	n, err := c.m.numberByID(phoneNumberID)
	if err != nil {
		return err
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
