package simulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

const (
	maxRecorded     = 20000
	maxRecordedBody = 64 << 10
)

// Request is one Graph request the simulator took, for assertions.
type Request struct {
	At      time.Time // real
	Virtual time.Time // by the simulated clock
	Method  string
	Path    string
	Query   string
	Action  string // call action or endpoint, as in Match
	// Kind is the action said in full: "call:connect", "call:accept", …, "message:permission_request" (free-form),
	// "message:template", "message:text", "message:call_button", "message:read", "message:" with Meta's type for others;
	// for everything else the Action ("call_permissions", "settings", "templates", …).
	Kind          string
	PhoneNumberID string
	Customer      string // digits, or the BSUID the request used; also of actions on a known call
	// AsksPermission is true for a free-form permission request and for a template with the permission part, so that one
	// filter counts both; such a template has the Kind "message:template".
	AsksPermission bool
	Template       string // its name
	MessageID      string // wamid of an accepted message
	Wacid          string
	Body           []byte // at most 64 KiB of it
	Status         int    // 0: the connection was dropped
	Code           int    // Graph error code, 0 for success
	Fault          bool
}

// OK says whether Meta accepted the request and said so.
func (r Request) OK() bool { return r.Status == http.StatusOK && r.Code == 0 && !r.Fault }

// Requests returns the last 20 000 requests, oldest first, optionally only those with one of the actions or kinds.
func (m *Meta) Requests(which ...string) []Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Request
	for _, r := range m.requests {
		if len(which) == 0 || slices.Contains(which, r.Action) || slices.Contains(which, r.Kind) {
			out = append(out, r)
		}
	}
	return out
}

func (m *Meta) record(r Request) {
	if len(r.Body) > maxRecordedBody {
		r.Body = slices.Clone(r.Body[:maxRecordedBody])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = appendBounded(m.requests, r)
}

func appendBounded[T any](s []T, v T) []T { return appendAtMost(s, v, maxRecorded) }

// appendAtMost forgets the oldest quarter when the limit is reached.
func appendAtMost[T any](s []T, v T, limit int) []T {
	if len(s) >= limit {
		s = append(s[:0], s[limit/4:]...)
	}
	return append(s, v)
}

// describe fills in what the log tells of a request, before anything is judged.
func (m *Meta) describe(q *graphRequest) {
	q.kind = q.action
	var b struct {
		To        string `json:"to"`
		Recipient string `json:"recipient"`
	}
	switch q.action {
	case "calls":
		q.action, q.wacid = peekCall(q.body)
		q.kind = "call:" + q.action
	case "messages":
		kind := peekMessage(q.body)
		q.kind, q.asksPermission = "message:"+kind, kind == "permission_request"
		if kind == "template" {
			m.describeTemplate(q)
		}
	case "call_permissions":
		b.To, b.Recipient = q.URL.Query().Get("user_wa_id"), q.URL.Query().Get("recipient")
	}
	if b.To == "" && b.Recipient == "" {
		_ = json.Unmarshal(q.body, &b) // what can not be read has no customer
	}
	q.customer = b.Recipient
	if b.To != "" {
		q.customer = digits(b.To)
	}
	if q.customer != "" || q.wacid == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.calls[q.wacid]; c != nil {
		q.customer = c.cust.name()
	}
}

func (m *Meta) describeTemplate(q *graphRequest) {
	var b struct {
		Template templateSend `json:"template"`
	}
	if json.Unmarshal(q.body, &b) != nil || q.num == nil {
		return
	}
	q.template = cut(b.Template.Name, 512)
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.template(q.num.WABA, b.Template.Name, b.Template.Language.Code)
	q.asksPermission = t != nil && t.parts.asksPermission
}

// peekMessage is the kind of a message body, without judging it.
func peekMessage(body []byte) string {
	var b struct {
		Type        string          `json:"type"`
		Status      string          `json:"status"`
		Text        json.RawMessage `json:"text"`
		Interactive struct {
			Type string `json:"type"`
		} `json:"interactive"`
	}
	switch {
	case json.Unmarshal(body, &b) != nil:
		return "unreadable"
	case b.Status != "":
		return b.Status
	case b.Type == "interactive":
		return messageKind(b.Interactive.Type)
	case b.Type == "" && b.Text != nil:
		return "text"
	}
	return b.Type
}

func messageKind(interactive string) string {
	switch interactive {
	case "call_permission_request":
		return "permission_request"
	case "voice_call":
		return "call_button"
	}
	return interactive
}
