package policy

import "time"

// Action is what somebody wants to do with a customer.
type Action string

// The actions. ActionRingWhenAllowed and ActionCallback are never asked about: they appear in Decision.Possible.
const (
	ActionCall    Action = "call"    // call the customer
	ActionAsk     Action = "ask"     // send a permission request
	ActionMessage Action = "message" // send free text
	ActionButton  Action = "button"  // send a call button (free-form interactive message)
	ActionRing    Action = "ring"    // let an inbound call ring

	ActionRingWhenAllowed Action = "ring_when_allowed" // ring the agent when the customer allows calls
	ActionCallback        Action = "callback"          // note that the customer is to be called back
)

// Line is what a decision needs to know about a WhatsApp line.
type Line struct {
	Enabled  bool `json:"enabled"`
	Inbound  bool `json:"inbound"`  // customers may call this line
	Outbound bool `json:"outbound"` // agents may call customers, and ask them for permission, over this line
	// Restricted are Meta's restrictions in force (contract §14); those that have ended do no harm.
	Restricted []Restriction `json:"restricted,omitempty"`
	// Calls is how many calls the line has now, MaxCalls how many it may have; MaxCalls 0: not limited.
	Calls    int `json:"calls"`
	MaxCalls int `json:"max_calls"`
}

// Restriction is one of Meta's restrictions of a line.
type Restriction struct {
	Kind   RestrictionKind `json:"kind"`
	Until  time.Time       `json:"until,omitzero"` // zero: until an admin at Meta lifts it
	Reason string          `json:"reason,omitempty"`
}

// RestrictionKind says what Meta forbids.
type RestrictionKind string

// The kinds of restriction (contract §9.2, §14).
const (
	RestrictedOutbound RestrictionKind = "outbound" // RESTRICTED_BUSINESS_INITIATED_CALLING: no calls out, no permission requests
	RestrictedInbound  RestrictionKind = "inbound"  // RESTRICTED_USER_INITIATED_CALLING
	RestrictedButton   RestrictionKind = "button"   // …_CALL_BUTTON_HIDDEN: forbids nothing, customers just see no button
)

// Question is everything a decision rests on. It survives JSON unchanged, so a stored question gives the same decision
// years later (Replay).
type Question struct {
	Action Action    `json:"action"`
	Now    time.Time `json:"now"`
	Line   Line      `json:"line"`
	// Blocked: the customer is on a blocklist outside of the events. The events' own block is in Global.
	Blocked bool  `json:"blocked,omitempty"`
	Hours   Hours `json:"hours,omitzero"`
	// Pair is the state of this line and customer, Global the customer's over all lines.
	Pair   State `json:"pair"`
	Global State `json:"global"`
	Rules  Rules `json:"rules"`
	// Live is Meta's answer about this line and customer; nil: Meta could not be asked.
	Live *Live `json:"live,omitempty"`
	// Zone is where the times in Decision.Sentence are shown (IANA); empty: the zone of the hours, else UTC.
	Zone string `json:"zone,omitempty"`
}
