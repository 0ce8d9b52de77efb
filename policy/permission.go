package policy

import "time"

// fresh says whether Meta's answer may be relied on: it is there, and not older than the rules allow. An answer from the
// future was asked for before our clock was set back; its age is not known.
func (c *inquiry) fresh() bool {
	if c.Live == nil {
		return false
	}
	age := c.Now.Sub(c.Live.At)
	return age >= -c.Rules.LiveAge && age <= c.Rules.LiveAge
}

// permission asks Meta's answer first, which knows what webhooks have not told us, then the events newer than it. Where
// they disagree it takes the no.
func (c *inquiry) permission() Decision {
	if !c.fresh() {
		return deny(RulePermissionUnknown)
	}
	state := c.Pair.Permission(c.Now)
	// Meta's clock counts whole seconds: what happened in the second in which we asked may have happened after.
	newer := c.Pair.Grant.Standing != "" && !c.Pair.Grant.At.Before(c.Live.At.Truncate(time.Second))
	switch c.Live.Permission {
	case PermissionPermanent, PermissionTemporary:
		if newer && !state.Standing.Granted() {
			return c.standing(state)
		}
		if c.Live.Permission == PermissionTemporary {
			return c.temporary(state, newer)
		}
		return allow()
	case PermissionNone:
		if newer && state.Standing.Granted() {
			return deny(RulePermissionUnknown) // granted since Meta was asked: ask again
		}
		return c.standing(state)
	}
	return deny(RulePermissionUnknown)
}

// temporary checks a temporary permission's end: Meta's timestamp, or the profile's earlier one.
func (c *inquiry) temporary(state PermissionState, newer bool) Decision {
	expires, since := c.Live.Expires, c.Live.Expires.Add(-Week)
	if state.Standing == StandingTemporary {
		since = state.Since
		if newer {
			expires = state.Expires
		}
	}
	if !expires.IsZero() && !c.Now.Before(expires) {
		return deny(RulePermissionExpired)
	}
	known := !c.Live.Expires.IsZero() || state.Standing == StandingTemporary
	if known && c.Rules.Permission < Week && !c.Now.Before(since.Add(c.Rules.Permission)) {
		if !c.overruled {
			return deny(RulePermissionExpired)
		}
		d := allow()
		d.Override = true
		return d
	}
	return allow()
}

var standingRules = map[Standing]string{
	StandingRequested:      RulePermissionRequested,
	StandingRequestExpired: RulePermissionRequestExpired,
	StandingDeclined:       RulePermissionDeclined,
	StandingExpired:        RulePermissionExpired,
	StandingRevoked:        RulePermissionRevoked,
	StandingUnanswered:     RulePermissionUnanswered,
}

// standing words Meta's no by what the events know about it.
func (c *inquiry) standing(p PermissionState) Decision {
	rule, ok := standingRules[p.Standing]
	if !ok {
		rule = RulePermissionNone
	}
	return deny(rule)
}

// askable says whether a permission request makes sense: not when Meta would refuse it.
func (c *inquiry) askable() Decision {
	switch {
	case !c.fresh(), c.Live.Permission == PermissionUnknown, c.Live.Permission == "":
		return deny(RulePermissionUnknown)
	case c.Live.Permission == PermissionPermanent:
		return deny(RulePermissionPermanent)
	}
	return allow()
}
