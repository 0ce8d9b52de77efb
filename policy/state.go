package policy

import "time"

// State is what the events of one line and customer add up to, bounded whatever the history. The zero State is that of a
// customer nothing is known about. It is a value: Apply and Merge return new ones and leave their arguments alone. Its
// fields are for the store and for decisions; others ask its methods.
type State struct {
	// Grant is the newest word about the permission, by Meta's clock.
	Grant Grant `json:"grant,omitzero"`
	// Requests, Attempts, Connected and Unanswered are in the order in which they were recorded, which a step of our clock
	// cannot change. Connected are outbound calls that were picked up; Unanswered are the calls since the last connected one.
	Requests   []Request `json:"requests,omitempty"`
	Attempts   []Attempt `json:"attempts,omitempty"`
	Connected  []Stamp   `json:"connected,omitempty"`
	Unanswered []Stamp   `json:"unanswered,omitempty"`
	// Ended are the newest calls that ended, by which a repetition is known.
	Ended []Stamp `json:"ended,omitempty"`
	// Contact is when the customer last opened the message window.
	Contact  time.Time `json:"contact,omitzero"`
	Block    Block     `json:"block,omitzero"`
	Override Override  `json:"override,omitzero"`
	Replied  []string  `json:"replied,omitempty"` // closed spans the message outside hours was sent for
	Live     *Live     `json:"live,omitempty"`
}

// Bounds of a State. The windows keep more than the widest limit there is (Meta's 100), so a full one still denies. What is
// older than a week is dropped, except the newest few: those hold the strict limits even if our clock jumps ahead and back.
const (
	maxWindow  = 128
	keepAnyAge = 16
	maxStreak  = 16
	maxEnded   = 64
	maxReplied = 8
	maxText    = 256 // bytes of an ID, name or reason
)

// Grant is one word about the permission.
type Grant struct {
	// Standing is temporary, permanent, declined, revoked or revoked_unanswered; empty: no word yet.
	Standing Standing  `json:"standing,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Expires  time.Time `json:"expires,omitzero"` // temporary only
	Source   Source    `json:"source,omitempty"`
	// Tried and Reached: under the newest permission a call went unanswered, a call connected.
	Tried   bool `json:"tried,omitempty"`
	Reached bool `json:"reached,omitempty"`
}

// Attempt is one call placed to the customer.
type Attempt struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	Done bool      `json:"done,omitempty"` // ended; until then it counts as if it connected
}

// Stamp is a call and a time.
type Stamp struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// Request is one permission request.
type Request struct {
	ID       string    `json:"id"`
	Wamid    string    `json:"wamid,omitempty"`
	At       time.Time `json:"at"`
	Received time.Time `json:"received,omitzero"`
	Template bool      `json:"template,omitempty"`
	// Answer is the customer's latest: temporary, permanent or declined; empty: none.
	Answer   Standing  `json:"answer,omitempty"`
	Answered time.Time `json:"answered,omitzero"`
	// Refused: Meta did not take it, so it counts nowhere. Cleared: a call connected since, so Meta no longer counts it.
	Refused bool `json:"refused,omitempty"`
	Cleared bool `json:"cleared,omitempty"`
}

// Expires is when a request that nobody answers expires: 7 days after it was delivered, or was sent while nothing is known
// of its delivery (contract §10.1).
func (r Request) Expires() time.Time {
	if !r.Received.IsZero() {
		return r.Received.Add(Week)
	}
	return r.At.Add(Week)
}

// Block is an entry of the blocklist.
type Block struct {
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Freed  time.Time `json:"freed,omitzero"` // no longer blocked since
}

// Override lifts the profile's limits for a while, never Meta's.
type Override struct {
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
}

// Window says whether free-form messages may be sent now, and until when (contract §11.3).
func (s State) Window(now time.Time) (open bool, until time.Time) {
	if s.Contact.IsZero() {
		return false, time.Time{}
	}
	until = s.Contact.Add(Day)
	return now.Before(until), until
}

// Streak is how many outbound calls in a row were not answered.
func (s State) Streak() int { return len(s.Unanswered) }

// AutoReplied says whether the message outside hours was sent for this closed span.
func (s State) AutoReplied(span string) bool { return contains(s.Replied, clip(span)) }

// IsBlocked says whether the customer is blocked, since when, by whom and why.
func (s State) IsBlocked() (Block, bool) {
	return s.Block, !s.Block.At.IsZero() && s.Block.Freed.IsZero()
}

// Overridden is the supervisor's override in force at now.
func (s State) Overridden(now time.Time) (Override, bool) {
	o := s.Override
	return o, !o.At.IsZero() && !now.Before(o.At) && now.Before(o.Expires)
}

// newest is the index of the newest request that Meta took, or may have; -1: none. A new request supersedes the older.
func (s *State) newest() int {
	for i := len(s.Requests) - 1; i >= 0; i-- {
		if !s.Requests[i].Refused {
			return i
		}
	}
	return -1
}
