package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Kind says what a webhook event is about.
type Kind uint8

// The kinds of event.
const (
	KindUnknown       Kind = iota // a field, event or status we have no name for: counted, never an error
	KindConnect                   // calls: an SDP for a call, inbound offer or outbound answer
	KindCallStatus                // calls: RINGING, ACCEPTED, REJECTED of an outbound call
	KindTerminate                 // calls: a call is over
	KindCallOther                 // calls: call_created, recording or transcript ready, …
	KindMessage                   // messages: something a customer wrote
	KindPermission                // messages: a reply to a permission request, or Meta's own grant or revocation
	KindMessageStatus             // messages: sent, delivered, read, failed
	KindSettings                  // the number's calling settings were changed
	KindAccount                   // account-level news we have no closer name for
	KindErrors                    // only errors, such as a missing payment method
	KindIdentity                  // messages: a customer's number or ID has changed
	KindRestriction               // account_update: Meta restricts the number's calling
	KindViolation                 // account_update: Meta warns before it restricts
	KindTemplate                  // a template's status has changed
	KindQuality                   // the number's quality or messaging limit has changed
)

var kindNames = [...]string{"unknown", "connect", "call_status", "terminate", "call_other", "message", "permission",
	"message_status", "settings", "account", "errors", "identity", "restriction", "violation", "template", "quality"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Identity is how a webhook names a customer. Any part may be missing, the phone of a customer with a username often is.
type Identity struct {
	Phone       string // digits without +
	BSUID       string
	ParentBSUID string
	Name        string // as the customer wrote it: never trusted
	Username    string // without @
}

// Empty reports whether nothing identifies the customer.
func (id Identity) Empty() bool { return id.Phone == "" && id.BSUID == "" && id.ParentBSUID == "" }

// Recipient addresses the same customer in a request.
func (id Identity) Recipient() Recipient {
	r := Recipient{Phone: id.Phone, BSUID: id.BSUID}
	if r.BSUID == "" {
		r.BSUID = id.ParentBSUID
	}
	return r
}

// Call is the part of an event that is about a call.
type Call struct {
	Inbound    bool // the customer called
	SDPType    string
	SDP        string
	DeepLink   string // payload of the link the customer came by
	Button     string // payload of the call button
	Start, End time.Time
	Duration   time.Duration
	Outcome    string // COMPLETED or FAILED: unanswered calls are COMPLETED too
	Reason     string // undocumented terminate_reason
	MediaID    string // of a recording or transcript
}

// Answered reports, for a terminate, whether the call was picked up: Meta tells only by giving a start or a duration.
func (c *Call) Answered() bool { return !c.Start.IsZero() || c.Duration > 0 }

// Message is what a customer sent, or a permission reply.
type Message struct {
	Type  string
	Text  string
	Group string // ID of the group it was written in; such messages are nobody's business here
	// Context is what it answers to: the wamid of our message, or for Meta's automatic grant the wacid of the call (§10.5).
	// A customer's grant in the business profile and an automatic revocation have none.
	Context string

	// Permission replies only.
	Granted   bool
	Permanent bool
	Automatic bool // Meta's own doing, not the customer's
	Expires   time.Time
}

// AnswersCall reports whether Context is a call and not a message of ours.
func (m *Message) AnswersCall() bool { return strings.HasPrefix(m.Context, "wacid.") }

// WebhookError is an error inside a webhook.
type WebhookError struct {
	Code    int
	Message string
	Details string
}

// Graph is the same error as an answer of Graph has it, so that its meaning is decided in one place.
func (e WebhookError) Graph() *Error {
	return &Error{Code: e.Code, Message: e.Message, Details: e.Details}
}

// Event is one thing a webhook tells. Raw is a webhook body of its own that holds just this event.
type Event struct {
	Kind         Kind
	Account      string // WABA, entry[].id; "0" on account_update
	Field        string
	Number       string    // phone number ID of the business number; empty on account-level fields
	Display      string    // its digits
	Name         string    // event or status as Meta wrote it: event in lower case, status in upper case
	ID           string    // wacid or wamid
	At           time.Time // Meta's, of the item or else of its entry; zero when it gave none
	Customer     Identity
	CallbackData string // what we gave to connect or to a message
	Call         *Call
	Message      *Message
	Change       *IdentityChange // KindIdentity
	Settings     *Settings       // KindSettings
	News         *AccountNews    // KindRestriction, KindViolation
	Template     *TemplateNews   // KindTemplate
	Quality      *QualityNews    // KindQuality
	Errors       []WebhookError
	Raw          json.RawMessage

	sent   num    // entry[].time
	digest string // of the body without it: redeliveries may differ in it
}

// Key is the event's identity for deduplication (§5.5): two deliveries of one event have the same key, whatever else came
// in their bodies.
func (e *Event) Key() string {
	switch e.Kind {
	case KindConnect, KindTerminate:
		return "call:" + e.ID + ":" + e.Name
	case KindCallOther:
		return "call:" + e.ID + ":" + e.Name + ":" + e.Call.MediaID
	case KindCallStatus:
		return "status:" + e.ID + ":" + e.Name
	case KindMessage, KindPermission, KindIdentity:
		if e.ID != "" {
			return "message:" + e.ID
		}
	case KindMessageStatus:
		if e.ID != "" {
			return "message-status:" + e.ID + ":" + e.Name
		}
	case KindRestriction, KindViolation, KindTemplate, KindQuality:
		if key := e.newsKey(); key != "" {
			return key
		}
	}
	if e.digest != "" {
		return "other:" + e.digest
	}
	return "other:" + digest(e.Raw)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// OpensWindow reports whether the event opens or renews the customer's 24-hour window, counted from At: a message, a call of
// theirs, answered or not, or their taking a call of ours (§11.3).
func (e *Event) OpensWindow() bool {
	switch e.Kind {
	case KindMessage:
		return e.Message.Type != "system" && e.Message.Group == ""
	case KindPermission:
		return !e.Message.Automatic && e.Message.Context != "" // a tap on our request; a grant in the profile is no message
	case KindConnect:
		return e.Call.Inbound
	case KindCallStatus:
		return e.Name == "ACCEPTED"
	}
	return false
}

func username(s string) string { return clip(strings.TrimPrefix(strings.TrimSpace(s), "@"), 128) }
