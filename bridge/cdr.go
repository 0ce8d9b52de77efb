package bridge

import (
	"context"
	"time"
)

// Direction is the customer's view: inbound means the customer called us, whatever the SIP direction.
type Direction string

// The two directions.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// CDR is the record of one call. It is complete when EndedAt is set.
type CDR struct {
	ID        string    `json:"id"` // sortable by start time
	Direction Direction `json:"direction"`
	Line      string    `json:"line"`
	Wacid     string    `json:"wacid,omitempty"`
	Customer  Customer  `json:"customer"`
	// Agent is who answered (inbound) or dialled (outbound), "phone:1001" or "trunk:pbx/200"; empty while nobody did.
	Agent   string `json:"agent,omitempty"`
	Dialled string `json:"dialled,omitempty"` // outbound: the digits as dialled
	Payload string `json:"payload,omitempty"`
	// Feature is set when a feature code was dialled instead of a customer.
	Feature string `json:"feature,omitempty"`
	State   string `json:"state"` // the call's state when this was written

	OfferedAt  time.Time `json:"offered_at"`
	RangAt     time.Time `json:"rang_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"` // two people talk: a menu does not count
	MenuAt     time.Time `json:"menu_at,omitzero"`     // a menu took the call, last
	EndedAt    time.Time `json:"ended_at,omitzero"`

	Recording string      `json:"recording,omitempty"` // ID of the call's recording
	Cause     Cause       `json:"cause,omitzero"`
	Legs      []LegRecord `json:"legs,omitempty"`
}

// FactKind names a call fact of the ledger.
type FactKind string

// The call facts, in the order they can occur.
const (
	FactOffered  FactKind = "call.offered"
	FactAllowed  FactKind = "call.allowed" // written before anything is sent to Meta: the attempt counts from here
	FactRefused  FactKind = "call.refused"
	FactDialled  FactKind = "call.dialled" // the far side gave the leg its name (wacid)
	FactRung     FactKind = "call.rung"
	FactPicked   FactKind = "call.picked" // leg B answered; leg A is being accepted
	FactAnswered FactKind = "call.answered"
	FactHeld     FactKind = "call.held"
	FactResumed  FactKind = "call.resumed"
	FactEnded    FactKind = "call.ended"
)

// Fact is one immutable entry about a call. CDR is the call as it stands after the fact.
type Fact struct {
	Kind FactKind
	At   time.Time
	CDR  CDR
}

// Ledger keeps facts. Record returns when the fact is on stable storage.
type Ledger interface {
	Record(ctx context.Context, f Fact) error
}
