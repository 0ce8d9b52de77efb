package ivr

import (
	"time"

	"deskbridge/policy"
)

// Closed is why a customer who calls gets a menu.
type Closed string

// The reasons: the ids of what is said.
const (
	ClosedHours      Closed = "closed.hours"
	ClosedNobody     Closed = "closed.nobody"     // nobody answered, nobody is there
	ClosedRestricted Closed = "closed.restricted" // Meta or the settings let nobody through
)

// ClosedMenu tells a customer that nobody can take the call, and when somebody can (next, zero when not known; now carries
// the zone), and takes a wish to be called back with key 1.
func ClosedMenu(lang string, c Closed, next time.Time, r Request, desk Desk, now time.Time) Menu {
	m := Menu{
		Name: "closed", Lang: lang, Zone: now.Location(), Open: Speech{Prompt(string(c))}, Goodbye: goodbye,
		Choices: []Choice{choice('1', "callback", r, desk.RequestCallback)},
	}
	if next.After(now) {
		m.Open = append(m.Open, Prompt("closed.next"), When(next, now), Stop())
	}
	return m
}

// RefusedMenu is the ClosedMenu that fits a decision against an inbound call.
func RefusedMenu(lang string, d policy.Decision, r Request, desk Desk, now time.Time) Menu {
	switch d.Rule {
	case policy.RuleHours:
		return ClosedMenu(lang, ClosedHours, d.NextAllowed, r, desk, now)
	case policy.RuleConcurrency:
		return ClosedMenu(lang, ClosedNobody, time.Time{}, r, desk, now)
	}
	m := ClosedMenu(lang, ClosedRestricted, time.Time{}, r, desk, now)
	if d.Rule == policy.RuleBlocked { // nothing is promised to who is blocked
		m.Choices = nil
	}
	return m
}
