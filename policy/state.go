package policy

import "time"

// State is what the events of one line and customer add up to, bounded whatever the history. The zero State is that of a
// customer nothing is known about. It is a value: Apply and Merge return new ones and leave their arguments alone.
type State struct{}

// Apply adds an event. What changes nothing (an unknown kind, a repetition, a reply to a superseded request, news older
// than what is known) returns the state as it was.
func (s State) Apply(e Event) State { return s }

// Merge is the state of a customer who was known under two names. Where the two disagree the stricter counts.
func Merge(a, b State) State { return a }

// Standing is where a line and customer are in the permission's life.
type Standing string

// The standings (design §10).
const (
	StandingNone           Standing = "none"
	StandingRequested      Standing = "requested"
	StandingRequestExpired Standing = "request_expired"
	StandingTemporary      Standing = "temporary"
	StandingPermanent      Standing = "permanent"
	StandingDeclined       Standing = "declined"
	StandingExpired        Standing = "expired"
	StandingRevoked        Standing = "revoked"            // by the customer
	StandingUnanswered     Standing = "revoked_unanswered" // by Meta, after unanswered calls
)

// Granted says whether the customer may be called.
func (s Standing) Granted() bool { return s == StandingTemporary || s == StandingPermanent }

// Source says how a permission came or went.
type Source string

// The sources.
const (
	SourceRequest  Source = "request"  // an answer to our request
	SourceProfile  Source = "profile"  // in the business profile, unasked
	SourceCallback Source = "callback" // automatic, because the customer called us
	SourceMeta     Source = "meta"     // Meta itself: revoked after unanswered calls
	SourceLive     Source = "live"     // known only from asking Meta
)

// PermissionState is the permission as shown to people.
type PermissionState struct {
	Standing Standing  `json:"standing"`
	Since    time.Time `json:"since,omitzero"`
	Expires  time.Time `json:"expires,omitzero"` // temporary and expired
	Source   Source    `json:"source,omitempty"`
	// Pending is the request the customer can still answer.
	Pending *Request `json:"pending,omitempty"`
}

// Request is one permission request.
type Request struct {
	ID       string    `json:"id"`
	Wamid    string    `json:"wamid,omitempty"`
	At       time.Time `json:"at"`
	Received time.Time `json:"received,omitzero"`
	Template bool      `json:"template,omitempty"`
	// Answer is the customer's latest: StandingTemporary, StandingPermanent, StandingDeclined, or empty.
	Answer   Standing  `json:"answer,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	// Cleared: a connected call since then, so Meta no longer counts it.
	Cleared bool `json:"cleared,omitempty"`
}

// Expires is when a request that nobody answers expires: 7 days after it was delivered, or was sent while nothing is known
// of its delivery (contract §10.1).
func (r Request) Expires() time.Time { return time.Time{} }

// Permission is where the permission stands now, by the events alone (Decide asks Live too).
func (s State) Permission(now time.Time) PermissionState { return PermissionState{} }

// Window says whether free-form messages may be sent now, and until when (contract §11.3).
func (s State) Window(now time.Time) (open bool, until time.Time) { return false, time.Time{} }

// Streak is how many outbound calls in a row were not answered.
func (s State) Streak() int { return 0 }

// AutoReplied says whether the message outside hours was sent for this closed span.
func (s State) AutoReplied(span string) bool { return false }

// IsBlocked says whether the customer is blocked, since when, by whom and why.
func (s State) IsBlocked() (Block, bool) { return Block{}, false }

// Block is an entry of the blocklist.
type Block struct {
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Freed  time.Time `json:"freed,omitzero"` // no longer blocked since
}

// Overridden is the supervisor's override in force at now.
func (s State) Overridden(now time.Time) (Override, bool) { return Override{}, false }

// Override lifts the profile's limits for a while, never Meta's.
type Override struct {
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
}

// LastLive is the newest answer of Meta among the events; nil: none.
func (s State) LastLive() *Live { return nil }
