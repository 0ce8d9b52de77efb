package policy

import "time"

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
)

// PermissionState is the permission as shown to people.
type PermissionState struct {
	Standing Standing  `json:"standing"`
	Since    time.Time `json:"since,omitzero"`
	Expires  time.Time `json:"expires,omitzero"` // of a temporary permission, also when it has passed
	Source   Source    `json:"source,omitempty"`
	// Pending is the request the customer has not answered and still can.
	Pending *Request `json:"pending,omitempty"`
	// Missed: the customer allowed calls and none has connected, although one was tried or the permission is over. That is a
	// missed customer, not a failed request.
	Missed bool `json:"missed,omitempty"`
}

// Permission is where the permission stands now, by the events alone (Decide asks Live too). A permission in force comes
// before an open request, an open request before the end of an older permission.
func (s State) Permission(now time.Time) PermissionState {
	p := PermissionState{Standing: StandingNone}
	if g := s.Grant; g.Standing != "" {
		p = PermissionState{Standing: g.Standing, Since: g.At, Expires: g.Expires, Source: g.Source}
		if g.Standing == StandingTemporary && !now.Before(g.Expires) {
			p.Standing, p.Since = StandingExpired, g.Expires
		}
	}
	over := p.Standing == StandingExpired || p.Standing == StandingUnanswered
	p.Missed = !s.Grant.Reached && (over || s.Grant.Tried)
	i := s.newest()
	if i < 0 || s.Requests[i].Answer != "" {
		return p
	}
	r := s.Requests[i]
	expired := !now.Before(r.Expires())
	if !expired {
		p.Pending = &r
	}
	switch {
	case p.Standing.Granted(), !s.Grant.At.IsZero() && r.At.Before(s.Grant.At):
	case expired:
		p = PermissionState{Standing: StandingRequestExpired, Since: r.Expires(), Missed: p.Missed}
	default:
		p = PermissionState{Standing: StandingRequested, Since: r.At, Expires: r.Expires(), Pending: p.Pending, Missed: p.Missed}
	}
	return p
}
