package policy

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
	RuleAllowed = "allowed"

	RuleLineOff    = "line.off"
	RuleNotAllowed = "static.denied"
	RuleRestricted = "line.restricted" // Meta forbids the number as such: its country, quality or policy record
	RuleBlocked    = "customer.blocked"
	RuleHours      = "hours.closed"

	RulePermissionUnknown        = "permission.unknown" // Meta could not be asked, or its answer is too old
	RulePermissionNone           = "permission.none"
	RulePermissionRequested      = "permission.requested" // asked, not answered yet
	RulePermissionRequestExpired = "permission.request_expired"
	RulePermissionDeclined       = "permission.declined"
	RulePermissionExpired        = "permission.expired"
	RulePermissionRevoked        = "permission.revoked"
	RulePermissionUnanswered     = "permission.unanswered" // revoked by Meta after unanswered calls
	RulePermissionPermanent      = "permission.permanent"  // asking is pointless: Meta refuses it (138017)

	RuleUnanswered  = "limit.unanswered"  // calls in a row that were not answered
	RuleAttempts    = "limit.attempts"    // calls placed, whatever came of them
	RuleCallLimit   = "limit.calls"       // connected calls: Meta's limit
	RuleRequests    = "limit.requests"    // permission requests
	RuleConcurrency = "limit.concurrency" // calls of the line at the same time
	RuleWindow      = "window.closed"     // the 24-hour message window
	RuleAction      = "action.unknown"
)
