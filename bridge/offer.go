package bridge

import "time"

// Offer is a call that came in: an adapter hands it to the Switchboard.
type Offer struct {
	Call      string // our ID; the exchange sets it
	Direction Direction
	At        time.Time // when the far side began it (inbound: the webhook's timestamp)
	Received  time.Time // when it reached us

	Line     string   // inbound: line ID. Outbound: empty unless the caller chose one
	Wacid    string   // inbound
	Customer Customer // inbound
	Payload  string   // inbound: deep-link or button payload

	Dialled string // outbound: the digits or user part dialled
	Peer    string // outbound: where it came from, "phone:1001" or "trunk:pbx"
	From    string // outbound: the extension that dialled

	// Via, when set, is who leg A is joined to at first, without asking anybody: a menu. What that menu then dials is
	// routed and decided like any other call.
	Via []Target

	// Open makes leg A. The switchboard calls it once, before anything else happens to the call; from then on the leg's
	// events go to notify. Nil with Missed set.
	Open func(call string, notify Notify) Leg
	// Missed, when set, records the call as missed for this cause: nothing rings, no leg exists.
	Missed Cause
}

// Summons is a call that begins by ringing the agent: click to call, or a customer who now allows to be called.
type Summons struct {
	Line     string
	LineName string
	Customer Customer
	// Dialled is what the agent's phone is taken to have dialled, once it answers.
	Dialled string
	// Via is who answers the agent first; empty: the customer is called at once.
	Via []Target
	// Agent is whose phone rings, and for how long.
	Agent       Target
	RingTimeout time.Duration
	// Peer and From are what the agent's own calls carry (Offer), for rights and records.
	Peer, From string
}

// Switchboard takes calls that come in. Exchange is the one there is. Offer never fails: a call that cannot be taken is
// recorded and its leg hung up with the cause. It returns the call ID.
type Switchboard interface {
	Offer(o Offer) (call string)
}
