package policy

import "time"

// counters are the limits that bear on the action, with Meta's own where it gave them.
func (c *inquiry) counters(a Action) []Counter {
	var out []Counter
	quota := func(name string, w time.Duration, q *Quota) {
		if q != nil {
			out = append(out, Counter{Name: name, Scope: scopeMeta, Window: w, Used: q.Used, Max: q.Max})
		}
	}
	for _, g := range c.all {
		if a == ActionCall || a == ActionAsk && g.Name == "requests" {
			out = append(out, g.Counter)
		}
	}
	if c.Live != nil && (a == ActionCall || a == ActionAsk) {
		quota("requests", Day, c.Live.RequestDay)
		quota("requests", Week, c.Live.RequestWeek)
	}
	if a == ActionCall {
		if c.Live != nil {
			quota("connected", Day, c.Live.StartDay)
		}
		out = append(out, Counter{Name: "unanswered", Scope: scopeLine, Used: c.Pair.Streak(), Max: c.Rules.Unanswered})
	}
	if (a == ActionCall || a == ActionRing) && c.Line.MaxCalls > 0 {
		out = append(out, Counter{Name: "concurrency", Scope: scopeLine, Used: c.Line.Calls, Max: c.Line.MaxCalls})
	}
	return out
}

// possible is what can be done besides, or instead of, what was asked about.
func (c *inquiry) possible(d Decision) []Action {
	var out []Action
	for _, a := range [...]Action{ActionCall, ActionAsk, ActionButton, ActionMessage} {
		if a != c.Action && c.decide(a).Allowed {
			out = append(out, a)
		}
	}
	if d.Allowed || d.Rule == RuleBlocked || d.Rule == RuleLineOff || d.Rule == RuleAction {
		return out
	}
	// Worth waiting for what the customer, the clock or the line may yet change.
	switch d.Rule {
	case RuleNotAllowed, RuleRestricted, RuleWindow, RulePermissionPermanent:
	default:
		if c.Action == ActionCall {
			out = append(out, ActionRingWhenAllowed)
		}
	}
	return append(out, ActionCallback)
}
