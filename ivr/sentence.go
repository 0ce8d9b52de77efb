package ivr

import (
	"time"

	"deskbridge/policy"
)

// why is the prompt that says each rule's refusal.
var why = map[string]string{
	policy.RuleLineOff:                  "why.line_off",
	policy.RuleNotAllowed:               "why.denied",
	policy.RuleRestricted:               "why.restricted",
	policy.RuleBlocked:                  "why.blocked",
	policy.RuleHours:                    "why.hours",
	policy.RulePermissionUnknown:        "why.unknown",
	policy.RulePermissionNone:           "why.none",
	policy.RulePermissionRequested:      "why.requested",
	policy.RulePermissionRequestExpired: "why.request_expired",
	policy.RulePermissionDeclined:       "why.declined",
	policy.RulePermissionExpired:        "why.expired",
	policy.RulePermissionRevoked:        "why.revoked",
	policy.RulePermissionUnanswered:     "why.revoked_unanswered",
	policy.RulePermissionPermanent:      "why.permanent",
	policy.RuleUnanswered:               "why.unanswered",
	policy.RuleAttempts:                 "why.calls",
	policy.RuleCallLimit:                "why.calls",
	policy.RuleRequests:                 "why.requests",
	policy.RuleConcurrency:              "why.concurrency",
	policy.RuleWindow:                   "why.window",
}

// Sentence says why a decision refuses and, when that is known, from when it would not. now carries the listener's zone.
func Sentence(d policy.Decision, now time.Time) Speech {
	id, ok := why[d.Rule]
	if !ok {
		id = "why.other"
	}
	s := Speech{Prompt(id)}
	if !d.NextAllowed.After(now) {
		return s
	}
	next := "next.call"
	switch d.Rule {
	case policy.RuleRequests:
		next = "next.request"
	case policy.RuleRestricted:
		next = "next.line"
	}
	return append(s, Prompt(next), When(d.NextAllowed, now), Stop())
}

// Status says whether a customer may be called, what is left of the permission and of today's calls, or why not.
func Status(d policy.Decision, who Part, now time.Time) Speech {
	if !d.Allowed {
		return append(Speech{who, Prompt("status.maynot")}, Sentence(d, now)...)
	}
	s := Speech{who, Prompt("status.may")}
	if d.Facts != nil && d.Facts.Live != nil && d.Facts.Live.Permission == policy.PermissionTemporary && d.Facts.Live.Expires.After(now) {
		s = append(s, Prompt("status.until"), When(d.Facts.Live.Expires, now), Stop())
	}
	if n, ok := callsLeft(d.Counters); ok {
		s = append(s, Count(n, Calls), Prompt("status.left"))
	}
	if d.Warning {
		s = append(s, Prompt("status.warning"))
	}
	return s
}

// callsLeft is how many calls the tightest limit of attempts leaves.
func callsLeft(counters []policy.Counter) (left int, ok bool) {
	for _, c := range counters {
		if c.Name != "attempts" || c.Max <= 0 {
			continue
		}
		if n := max(c.Max-c.Used, 0); !ok || n < left {
			left, ok = n, true
		}
	}
	return left, ok
}
