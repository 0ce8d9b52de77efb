package policy

import "time"

// EventKind names something that happened between a line and a customer and that a decision can rest on. The values are
// stable: they are the kinds of the ledger's facts.
type EventKind string

// The kinds of event.
const (
	// A permission request: counted before it is sent (reliability promise 3).
	EventRequested       EventKind = "permission.requested"        // ID: ours; Template
	EventRequestNamed    EventKind = "permission.request.named"    // ID, Wamid: Meta's name for it, by which a reply refers to it
	EventRequestRefused  EventKind = "permission.request.refused"  // ID: Meta took it for certain not; it no longer counts
	EventRequestReceived EventKind = "permission.request.received" // Wamid: delivered; seven days from here it expires

	EventGranted  EventKind = "permission.granted"  // Permanent, Expires, Automatic, Context
	EventDeclined EventKind = "permission.declined" // Context
	EventRevoked  EventKind = "permission.revoked"  // Automatic: by Meta after unanswered calls, else by the customer

	EventAttempted EventKind = "call.attempted" // ID: the call; counted before connect is sent
	EventEnded     EventKind = "call.finished"  // ID: the call; Inbound, Outcome
	EventOffered   EventKind = "call.received"  // ID: the call; the customer called us: opens the 24-hour window

	EventWrote     EventKind = "message.received" // the customer wrote: opens the 24-hour window
	EventAutoReply EventKind = "message.auto"     // the message outside call hours was sent; ID: the closed span it was sent for

	EventLive     EventKind = "permission.live"     // Live: what Meta answered
	EventBlocked  EventKind = "customer.blocked"    // By, Reason
	EventFreed    EventKind = "customer.unblocked"  // By
	EventOverride EventKind = "permission.override" // By, Reason, Expires: a supervisor lifts the profile's limits, never Meta's
)

// Outcome is how an outbound call to a customer ended, as far as limits care.
type Outcome string

// The outcomes.
const (
	OutcomeConnected  Outcome = "connected"  // picked up
	OutcomeUnanswered Outcome = "unanswered" // rang out, or the agent gave up after it rang
	OutcomeDeclined   Outcome = "declined"
	OutcomeFailed     Outcome = "failed" // never reached the customer: counts as an attempt, not as unanswered
)

// Event is one thing that happened. It holds nothing personal: it stays in the ledger after an erasure.
type Event struct {
	Kind      EventKind `json:"kind"`
	At        time.Time `json:"at"` // Meta's timestamp where Meta gave one, else ours
	ID        string    `json:"id,omitempty"`
	Wamid     string    `json:"wamid,omitempty"`
	Context   string    `json:"context,omitempty"` // wamid of the request, or wacid of the call, that a reply belongs to; empty: none
	Template  bool      `json:"template,omitempty"`
	Permanent bool      `json:"permanent,omitempty"`
	Automatic bool      `json:"automatic,omitempty"`
	Inbound   bool      `json:"inbound,omitempty"`
	Outcome   Outcome   `json:"outcome,omitempty"`
	Expires   time.Time `json:"expires,omitzero"`
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Live      *Live     `json:"live,omitempty"`
}

// Live is Meta's own view of one line and customer (GET call_permissions, contract §10.2).
type Live struct {
	At         time.Time  `json:"at"`
	Permission Permission `json:"permission"`
	Expires    time.Time  `json:"expires,omitzero"` // temporary only
	CanStart   bool       `json:"can_start"`
	CanRequest bool       `json:"can_request"`
	// NextStart and NextRequest are when Meta lets the next one happen; zero when it did not say.
	NextStart   time.Time `json:"next_start,omitzero"`
	NextRequest time.Time `json:"next_request,omitzero"`
	// Meta's limits with their usage, by period; absent when Meta did not give them.
	StartDay    *Quota `json:"start_day,omitempty"`
	RequestDay  *Quota `json:"request_day,omitempty"`
	RequestWeek *Quota `json:"request_week,omitempty"`
}

// Quota is one of Meta's limits.
type Quota struct {
	Max  int `json:"max"`
	Used int `json:"used"`
}
