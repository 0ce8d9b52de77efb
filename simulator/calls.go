package simulator

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

const maxOpaque = 512

// callsBody is the body of POST /{PNID}/calls (§6).
type callsBody struct {
	Product   string         `json:"messaging_product"`
	To        string         `json:"to"`
	Recipient string         `json:"recipient"`
	Action    string         `json:"action"`
	CallID    string         `json:"call_id"`
	Session   *callsSession  `json:"session"`
	Opaque    string         `json:"biz_opaque_callback_data"`
	Recording *recordingWish `json:"recording"`
	Transcr   *recordingWish `json:"transcription"`
}

type callsSession struct {
	Type string `json:"sdp_type"`
	SDP  string `json:"sdp"`
}

type recordingWish struct {
	Status   string `json:"status"`
	Purpose  string `json:"purpose"`
	Language string `json:"announcement_language"`
}

// peekCall reads action and call ID without judging the body.
func peekCall(body []byte) (action, wacid string) {
	var b struct {
		Action string `json:"action"`
		CallID string `json:"call_id"`
	}
	if json.Unmarshal(body, &b) != nil {
		return "calls", ""
	}
	if b.Action == "" && b.CallID == "" {
		return "connect", ""
	}
	return b.Action, b.CallID
}

func (m *Meta) serveCalls(q *graphRequest) (answer, *graphError) {
	var b callsBody
	if e := decodeBody(q, &b); e != nil {
		return nil, e
	}
	if e := checkProduct(b.Product); e != nil {
		return nil, e
	}
	if len(b.Opaque) > maxOpaque {
		return nil, refuse(100, "Param biz_opaque_callback_data must be at most %d characters long", maxOpaque)
	}
	if e := checkRecording(b.Recording, b.Transcr); e != nil {
		return nil, e
	}
	m.mu.Lock()
	sip := q.num.sipMode()
	m.mu.Unlock()
	if sip {
		return nil, refuse(131055, "SIP is enabled for this number; Graph calling is not available")
	}
	switch b.Action {
	case "connect":
		return m.connect(q, &b)
	case "":
		if b.CallID == "" {
			return m.connect(q, &b)
		}
		return nil, refuse(100, "The parameter action is required")
	case "pre_accept", "accept", "reject", "terminate":
		return m.act(q, &b)
	}
	return nil, refuse(100, "Param action must be one of {connect, pre_accept, accept, reject, terminate} - got %q", b.Action)
}

func checkRecording(wishes ...*recordingWish) *graphError {
	for _, w := range wishes {
		switch {
		case w == nil || w.Status == "DISABLED":
		case w.Status != "ENABLED":
			return refuse(100, "recording.status must be ENABLED or DISABLED")
		case w.Purpose == "" || w.Language == "":
			return refuse(100, "purpose and announcement_language are required when recording is ENABLED")
		case len(w.Purpose) > 250:
			return refuse(100, "purpose must be at most 250 characters long")
		}
	}
	return nil
}

// act performs an action on a call that exists.
func (m *Meta) act(q *graphRequest, b *callsBody) (answer, *graphError) {
	if b.CallID == "" {
		return nil, refuse(100, "The parameter call_id is required")
	}
	m.mu.Lock()
	c := m.calls[b.CallID]
	_, ended := m.past[b.CallID]
	if c != nil && c.num != q.num {
		c, ended = nil, false
	}
	noPay := q.num.NoPayment
	m.mu.Unlock()
	switch {
	case c == nil && ended:
		return nil, refuse(100, "Call is not in a valid state: it has ended")
	case c == nil:
		return nil, refuse(100, "Invalid call id")
	case noPay && (b.Action == "accept" || b.Action == "pre_accept"):
		return nil, refuse(131044, "Business has no valid payment method")
	}
	var e *graphError
	if !c.do(func() { e = c.action(b, q) }) {
		e = refuse(100, "Call is not in a valid state: it has ended")
	}
	if e != nil {
		return nil, e
	}
	return obj{"messaging_product": "whatsapp", "success": true}, nil
}

// connect is a business-initiated call: checks in Meta's order, then the call exists.
func (m *Meta) connect(q *graphRequest, b *callsBody) (answer, *graphError) {
	who := b.To
	if who == "" {
		who = b.Recipient
	}
	if who == "" {
		return nil, refuse(100, "The parameter to or recipient is required")
	}
	if b.Session == nil || b.Session.SDP == "" {
		return nil, refuse(100, "The parameter session is required")
	}
	if b.Session.Type != "offer" {
		return nil, refuse(100, "session.sdp_type must be \"offer\" for connect")
	}
	c, e := m.admitOutbound(q.num, who, b)
	if e != nil {
		return nil, e
	}
	q.wacid = c.id
	if !m.startCall(c) {
		return nil, refuse(131016, "shutting down")
	}
	first := make(chan struct{})
	if !c.do(func() { c.beginOutbound(b.Session.SDP, first) }) {
		return nil, refuse(138004, "the call could not be set up")
	}
	if c.delivery.ConnectFirst {
		select {
		case <-first:
		case <-c.done:
		case <-q.Context().Done():
		}
	}
	return obj{"messaging_product": "whatsapp", "calls": []any{obj{"id": c.id}}}, nil
}

func (m *Meta) admitOutbound(n *number, who string, b *callsBody) (*call, *graphError) {
	now := m.clock.Now()
	id := m.newID("wacid.SIMOUT")
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !n.callingEnabled():
		return nil, refuse(138000, "Calling is not enabled for this business phone number")
	case n.OutboundBarred:
		return nil, refuse(138013, "Business initiated calling is not available in the country of this number")
	case n.restricted(RestrictBusinessCalls, now):
		return nil, refuse(138014, "Business initiated calling is temporarily disabled for this number")
	case n.NoPayment:
		return nil, refuse(131044, "Business has no valid payment method")
	case n.Test && !slices.Contains(n.AllowList, digits(who)):
		return nil, refuse(131030, "Recipient phone number not in allowed list")
	}
	cust := m.findCustomer(who)
	if cust == nil {
		return nil, refuse(138001, "The recipient can not be called on WhatsApp")
	}
	if e := m.checkSDP(b.Session.SDP, SDPContext{Codecs: n.extraCodecs()}); e != nil {
		return nil, e
	}
	if e := m.permissionOf(n, cust).start(now); e != nil {
		return nil, e
	}
	if e := m.admitCall(n, cust); e != nil {
		return nil, e
	}
	n.attempts = slices.DeleteFunc(n.attempts, func(t time.Time) bool { return now.Sub(t) >= day })
	if len(n.attempts) >= m.cfg.MaxAttempts {
		return nil, refuse(138005, "Limit of call attempts per day reached")
	}
	n.attempts = append(n.attempts, now)
	c := m.newCall(id, n, cust, true, nil)
	c.opaque, c.bizOffer = b.Opaque, b.Session.SDP
	return c, nil
}

// admitCall checks the concurrency rules. m.mu is held.
func (m *Meta) admitCall(n *number, cust *Customer) *graphError {
	active := 0
	for _, c := range m.calls {
		if c.num != n || c.gone.Load() {
			continue
		}
		if c.cust == cust {
			return refuse(138003, "A call with this user is already active")
		}
		active++
	}
	if active >= m.cfg.MaxConcurrent {
		return refuse(138002, "Limit of concurrent calls reached")
	}
	return nil
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
