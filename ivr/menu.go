package ivr

import (
	"cmp"
	"context"
	"slices"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/policy"
)

// Menu is what one leg says and which keys it listens to. It is a value: the same one may serve many calls.
//
// It says Open and then every choice's Offer, and listens. A key stops the speech. Nobody pressing a key for 5 s hears the
// offers once more, then a goodbye; a third wrong key ends it too. Without choices it says Open and ends; any key ends it
// sooner.
type Menu struct {
	Name string // for CDR, logs and metrics: one of a fixed set
	Lang string // "en", "id"
	// Zone is where times are said; nil: UTC.
	Zone    *time.Location
	Open    Speech
	Choices []Choice // at most maxChoices; more are not offered
	// Immediate takes the first choice at once, as if its key had been pressed: the caller has asked for it by a feature code.
	Immediate bool
	// Goodbye is said before the menu ends by itself, unless it is an announcement.
	Goodbye Speech
}

const maxChoices = 12 // there are no more keys

// Choice is one key. Exactly one of Do and To is set, or neither: then only Done is said.
type Choice struct {
	Key   media.Digit
	Offer Speech
	// Do runs when the key is pressed, once. It goes on when the caller hangs up; its context ends after ActionTimeout. inv is
	// what the menu was dialled with.
	Do func(ctx context.Context, inv bridge.Invite) Outcome
	// Done is said after Do did it, Failed before the reason when it did not. After a failure the other choices are offered.
	Done, Failed Speech
	// To is what is dialled instead of this menu, as bridge.EventTransfer has it.
	To string
}

// Outcome is what came of an action: it was done, or there is a decision or another reason against it.
type Outcome struct {
	Done     bool
	Decision policy.Decision // the refusal, if policy refused; otherwise the zero Decision
	Reason   Reason          // otherwise; empty: "something went wrong"
}

// say is what is said of an outcome.
func (c Choice) say(o Outcome, now time.Time) Speech {
	switch {
	case o.Done:
		return c.Done
	case o.Decision.Rule != "":
		return slices.Concat(c.Failed, Sentence(o.Decision, now))
	case o.Reason == "":
		o.Reason = ReasonTrouble
	}
	return append(slices.Clip(c.Failed), Prompt(string(o.Reason)))
}

// Reason is why an action failed without policy refusing it: the id of a prompt that says so.
type Reason string

// The reasons.
const (
	ReasonTrouble  Reason = "trouble"      // a fault of ours
	ReasonUpstream Reason = "why.upstream" // Meta is down or refuses
	ReasonTemplate Reason = "why.template" // the message needs a template and none is approved
)

// Request says for whom an action is. What the menus below are given empty of call, line, customer and Wacid is filled in
// from the call that dials the menu.
type Request struct {
	Call     string // our call ID
	Line     string
	Customer bridge.Customer
	Wacid    string // inbound calls: Meta's call ID
	Agent    string // who is to be rung, as a route names it: "phone:1001", "trunk:pbx/200"; empty for a customer's request
}

// in completes a request by the call it is made in.
func (r Request) in(inv bridge.Invite) Request {
	r.Call, r.Line, r.Wacid = cmp.Or(r.Call, inv.Call), cmp.Or(r.Line, inv.Line), cmp.Or(r.Wacid, inv.Wacid)
	r.Customer = cmp.Or(r.Customer, inv.Customer)
	return r
}

// Desk does what the keys ask for. Methods may take their time, up to ActionTimeout; they are called from several
// goroutines and must bear being called for a caller who has hung up.
type Desk interface {
	// AskPermission sends the customer a permission request and, when the customer allows, rings the agent.
	AskPermission(ctx context.Context, r Request) Outcome
	// SendCallButton sends a message with a button that calls the agent.
	SendCallButton(ctx context.Context, r Request) Outcome
	// RingWhenAllowed notes that the agent is to be rung when a call to the customer is allowed.
	RingWhenAllowed(ctx context.Context, r Request) Outcome
	// RequestCallback notes that the customer wants to be called back.
	RequestCallback(ctx context.Context, r Request) Outcome
}
