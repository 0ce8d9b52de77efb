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
	KindAccount                   // account-level news: restrictions, quality, templates
	KindErrors                    // only errors, such as a missing payment method
)

var kindNames = [...]string{"unknown", "connect", "call_status", "terminate", "call_other", "message", "permission",
	"message_status", "settings", "account", "errors"}

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
	Type    string
	Text    string
	Context string // wamid or wacid it answers to

	// Permission replies only.
	Granted   bool
	Permanent bool
	Automatic bool // Meta's own doing, not the customer's
	Expires   time.Time
}

// WebhookError is an error inside a webhook.
type WebhookError struct {
	Code    int
	Message string
	Details string
}

// Event is one thing a webhook tells. Raw is a webhook body of its own that holds just this event.
type Event struct {
	Kind         Kind
	Account      string // WABA, entry[].id
	Field        string
	Number       string // phone number ID of the business number; empty on account-level fields
	Display      string // its digits
	Name         string // event or status as Meta wrote it: event in lower case, status in upper case
	ID           string // wacid or wamid
	At           time.Time
	Customer     Identity
	CallbackData string // what we gave to connect
	Call         *Call
	Message      *Message
	Errors       []WebhookError
	Raw          json.RawMessage
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
	case KindMessage, KindPermission:
		if e.ID != "" {
			return "message:" + e.ID
		}
	case KindMessageStatus:
		if e.ID != "" {
			return "message-status:" + e.ID + ":" + e.Name
		}
	}
	sum := sha256.Sum256(e.Raw)
	return "other:" + hex.EncodeToString(sum[:])
}

func username(s string) string { return clip(strings.TrimPrefix(strings.TrimSpace(s), "@"), 128) }
