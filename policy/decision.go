package policy

import "time"

// Permission is Meta's answer about one customer and line (GET call_permissions), or our lack of one.
type Permission string

// The permission states. PermissionUnknown means that Meta could not be asked: deny.
const (
	PermissionUnknown   Permission = "unknown"
	PermissionNone      Permission = "no_permission"
	PermissionTemporary Permission = "temporary"
	PermissionPermanent Permission = "permanent"
)

// Rule IDs, stable: they appear in SIP Reason headers, CDRs, metrics and the API.
const (
	RuleLineOff           = "line.off"
	RuleRestricted        = "line.restricted" // Meta forbids the number as such: its country, quality or policy record
	RuleNotAllowed        = "static.denied"
	RulePermissionUnknown = "permission.unknown"
	RulePermissionNone    = "permission.none"
	RulePermissionExpired = "permission.expired"
	RuleCallLimit         = "limit.calls"
	RuleAllowed           = "allowed"
)

// Facts is everything a decision rests on.
type Facts struct {
	Outbound   bool // an agent calls the customer; inbound calls need no permission
	LineOn     bool // the line is enabled in our settings
	Allow      bool // the static allow of the settings, for this direction
	Permission Permission
	// PermissionExpires is Meta's own timestamp for a temporary permission; zero when there is none.
	PermissionExpires time.Time
	// CanStart is Meta's can_perform_action for start_call.
	CanStart bool
	// NextStart is when Meta lets the next call start, when it said so.
	NextStart time.Time
}

// Decision is the answer, the same value for SIP, prompt, panel, API and ledger.
type Decision struct {
	Allowed     bool      `json:"allowed"`
	Rule        string    `json:"rule"`
	Sentence    string    `json:"sentence"` // for people, English
	NextAllowed time.Time `json:"next_allowed,omitzero"`
}

// Decide applies the rules in the order of design §10. Unknown means no.
func Decide(f Facts, now time.Time) Decision {
	switch {
	case !f.LineOn:
		return deny(RuleLineOff, "This WhatsApp line is switched off. Switch it on in the settings of the line.")
	case !f.Allow:
		return deny(RuleNotAllowed, "Calls in this direction are not allowed on this line.")
	case !f.Outbound:
		return Decision{Allowed: true, Rule: RuleAllowed}
	}
	switch f.Permission {
	case PermissionPermanent:
	case PermissionTemporary:
		if !f.PermissionExpires.IsZero() && !now.Before(f.PermissionExpires) {
			return deny(RulePermissionExpired, "The customer's permission to be called has expired. Ask for permission again.")
		}
	case PermissionNone:
		return deny(RulePermissionNone, "The customer has not allowed calls from this line. Ask for permission first.")
	default:
		return deny(RulePermissionUnknown, "WhatsApp could not be asked whether this customer allows calls. Try again shortly.")
	}
	if !f.CanStart {
		d := deny(RuleCallLimit, "WhatsApp's limit for calls to this customer is reached.")
		d.NextAllowed = f.NextStart
		return d
	}
	return Decision{Allowed: true, Rule: RuleAllowed}
}

func deny(rule, sentence string) Decision { return Decision{Rule: rule, Sentence: sentence} }
