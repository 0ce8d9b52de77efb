package bridge

import (
	"context"
	"time"

	"deskbridge/media"
)

// Kind is what a leg is made of.
type Kind string

// The kinds of leg.
const (
	KindWhatsApp Kind = "whatsapp"
	KindSIP      Kind = "sip"
	KindMenu     Kind = "menu"
)

// Leg is one end of a call: a WhatsApp customer, a SIP phone, a menu. It is either the leg that came in (leg A) or one we
// dialled (leg B). No method blocks on the network or waits for a peer: results arrive as events.
//
// A leg emits exactly one EventEnded, as its last event, whatever happened; by then its sockets, ports, timers and
// goroutines are gone (a dialog's final retransmissions excepted). bridge/legtest checks all of this.
type Leg interface {
	Kind() Kind
	// Stream is the leg's audio. It exists from the start, though nothing flows until the leg's media is up.
	Stream() media.Stream
	// Prepare brings media up before the answer where the far side allows it (WhatsApp: pre_accept). Leg A only.
	Prepare()
	// Alert tells the caller that the other side rings (SIP: 180). Leg A only.
	Alert()
	// Accept answers leg A. EventAccepted follows when audio may flow, or EventEnded.
	Accept()
	// Hangup ends the leg, in any state, for this cause. More than once is harmless. EventEnded follows within 10 s even
	// when the far end is gone.
	Hangup(c Cause)
	// Record describes the leg for the CDR as it is now.
	Record() LegRecord
}

// Announcer is a leg A that can be spoken to without being answered (SIP: 183 with early media). EventEarly follows, or
// EventEnded where the far side does not allow it.
type Announcer interface {
	Announce()
}

// EventKind is what happened to a leg.
type EventKind uint8

// The events a leg emits.
const (
	EventRinging  EventKind = iota + 1 // leg B: the far end rings (SIP 180/183, Meta RINGING)
	EventAnswered                      // leg B: the far end answered (SIP 200, Meta ACCEPTED)
	EventAccepted                      // leg A: our Accept took effect; the send gate is open
	EventHold                          // the far end put us on hold
	EventResume                        // and took us back
	EventDigit                         // a DTMF digit came (RFC 4733 or SIP INFO)
	EventFormat                        // Stream().Format changed
	EventNamed                         // leg B: the far side gave the leg its call ID (Record().CallID); before Ringing
	EventTransfer                      // leg B: its place is to be taken by whoever answers Event.To; it is hung up
	EventEarly                         // leg A: our Announce took effect; it hears us and is not answered
	EventEnded                         // final
)

// Event is something a leg tells its call.
type Event struct {
	Kind  EventKind
	Cause Cause       // EventEnded
	Digit media.Digit // EventDigit
	To    string      // EventTransfer: what is dialled, as if leg A had dialled it
	At    time.Time
}

// Notify takes a leg's events. It never blocks and may be called from any goroutine, but a leg calls it in the order
// things happened and never while holding a lock its own methods take.
type Notify func(Event)

// Customer is a person on WhatsApp. Either Phone or BSUID may be empty, not both.
type Customer struct {
	ID       string `json:"id"`              // ours, stable across identity changes
	Phone    string `json:"phone,omitempty"` // E.164 digits without +
	BSUID    string `json:"bsuid,omitempty"` // Meta's business-scoped user ID
	Name     string `json:"name,omitempty"`  // profile name as WhatsApp showed it, never trusted
	Username string `json:"username,omitempty"`
	// Alias is a stable, dialable stand-in (digits) for a customer without a phone number.
	Alias string `json:"alias,omitempty"`
}

// Dialable is what a phone can dial to reach the customer again: "+" and the number, or the alias.
func (c Customer) Dialable() string {
	if c.Phone != "" {
		return "+" + c.Phone
	}
	return c.Alias
}

// Invite asks a Dialer for a leg B.
type Invite struct {
	Call     string // our call ID
	Line     string // WhatsApp line ID
	LineName string
	Wacid    string // inbound calls: Meta's call ID
	Customer Customer
	Target   string // what to dial: an extension or number known to the dialer; empty for a customer
	Payload  string // deep-link or button payload of an inbound call
	// Deadline is by when the far side must have taken the call or it fails: the caller has waited long enough for an
	// answer that no telephone rings. Ringing has its own time. Zero: the dialer's own limits.
	Deadline time.Time
}

// Dialer makes legs: a trunk, a registered phone, a WhatsApp line. Dial returns at once; EventEnded tells of failure after
// it returned a leg, the error (never nil together with a nil leg) of failure before that. ctx bounds only the Dial call itself.
type Dialer interface {
	Dial(ctx context.Context, inv Invite, notify Notify) (Leg, error)
}

// LegRecord is what the CDR keeps of a leg.
type LegRecord struct {
	Kind   Kind   `json:"kind"`
	Peer   string `json:"peer,omitempty"`   // trunk or phone name; line ID for WhatsApp
	Remote string `json:"remote,omitempty"` // extension rung, or empty for customers (they are in CDR.Customer)
	Codec  string `json:"codec,omitempty"`
	// CallID is the far side's name for the leg: SIP Call-ID or wacid.
	CallID string `json:"call_id,omitempty"`
	// Dialog lets an adapter end the leg after a crash (opaque to everyone else).
	Dialog []byte      `json:"dialog,omitempty"`
	Cause  Cause       `json:"cause,omitzero"`
	Stats  media.Stats `json:"stats"`
}
