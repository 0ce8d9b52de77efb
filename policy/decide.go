package policy

import (
	"strconv"
	"time"
)

// Decide applies the rules in the order of design §10: line, blocklist, hours, permission, unanswered streak, attempts,
// concurrency. Unknown means no. The work does not grow with the history, only with the number of holidays.
func Decide(q Question) Decision {
	q.Now = q.Now.UTC().Round(0)
	c := newCase(&q)
	d := c.decide(q.Action)
	d.Counters = c.counters(q.Action)
	d.Possible = c.possible(d)
	d.Facts = &q
	d.Sentence = d.Render("en", zoneOf(q.Zone, q.Hours.Zone))
	return d
}

// zoneOf is the first of the named zones that exists, else UTC.
func zoneOf(names ...string) *time.Location {
	for _, n := range names {
		if loc, err := loadZone(n); n != "" && err == nil {
			return loc
		}
	}
	return time.UTC
}

// params are the parameters of a sentence.
type params = map[string]string

func allow() Decision { return Decision{Allowed: true, Rule: RuleAllowed, Key: RuleAllowed} }

func deny(rule string) Decision { return Decision{Rule: rule, Key: rule} }

// stamp writes a time into a sentence's parameters.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// denyUntil is a denial that ends by itself at t; zero: not known when, which has a sentence of its own.
func denyUntil(rule string, t time.Time, p params) Decision {
	d := Decision{Rule: rule, Key: rule, Params: p, NextAllowed: t.UTC()}
	if !t.IsZero() {
		if d.Params == nil {
			d.Params = params{}
		}
		d.Key += ".until"
		d.Params["until"] = stamp(t)
	}
	return d
}

// inquiry is one question with what several of its answers share.
type inquiry struct {
	*Question
	override  Override
	overruled bool // an override is in force
	requestsV verdictOf
	attemptsV verdictOf
	callsV    verdictOf
	all       []gauge // of our own limits
}

// verdictOf keeps the profile's verdict apart from Meta's.
type verdictOf struct{ profile, meta verdict }

func newCase(q *Question) *inquiry {
	c := &inquiry{Question: q}
	c.override, c.overruled = q.Pair.Overridden(q.Now)
	meta := metaLimits(q.Rules.Test)

	line, all := q.Pair.requests(q.Now, scopeLine, q.Rules.Line), q.Global.requests(q.Now, scopeAll, q.Rules.Global)
	c.requestsV = verdictOf{judge(line).or(judge(all)), judge(q.Pair.requests(q.Now, scopeMeta, meta)).or(c.liveRequests())}
	c.all = append(append(c.all, line...), all...)

	line, all = q.Pair.attempts(q.Now, scopeLine, q.Rules.Line.Attempts), q.Global.attempts(q.Now, scopeAll, q.Rules.Global.Attempts)
	c.attemptsV = verdictOf{profile: judge(line).or(judge(all))}
	c.all = append(append(c.all, line...), all...)

	line, all = q.Pair.connected(q.Now, scopeLine, q.Rules.Line.Connected), q.Global.connected(q.Now, scopeAll, q.Rules.Global.Connected)
	c.callsV = verdictOf{judge(line).or(judge(all)), judge(line).or(c.liveCalls())}
	if q.Rules.Line.Connected != meta.Connected {
		c.callsV.meta = judge(q.Pair.connected(q.Now, scopeMeta, meta.Connected)).or(c.liveCalls())
	}
	c.all = append(append(c.all, line...), all...)
	return c
}

func (c *inquiry) decide(a Action) Decision {
	switch a {
	case ActionCall:
		return c.first(c.lineFor(true, RestrictedOutbound), c.blocklist, c.hours, c.permission, c.streak, c.attempts, c.calls, c.concurrency)
	case ActionAsk:
		return c.first(c.lineFor(true, RestrictedOutbound), c.blocklist, c.askable, c.requests)
	case ActionMessage:
		return c.first(c.lineOn, c.blocklist, c.window)
	case ActionButton: // it lets the customer call us
		return c.first(c.lineFor(false, RestrictedInbound), c.blocklist, c.window)
	case ActionRing:
		return c.first(c.lineFor(false, RestrictedInbound), c.blocklist, c.hours, c.concurrency)
	}
	return deny(RuleAction)
}

// first is the first denial, else the permission to go ahead with what the checks noted on the way.
func (c *inquiry) first(checks ...func() Decision) Decision {
	out := allow()
	for _, check := range checks {
		d := check()
		if !d.Allowed {
			return d
		}
		out.Override = out.Override || d.Override
		if d.Warning {
			out.Warning, out.Key, out.Params = true, d.Key, d.Params
		}
		if d.Template {
			out.Template, out.Key = true, d.Key
		}
	}
	return out
}

func (c *inquiry) lineOn() Decision {
	if !c.Line.Enabled {
		return deny(RuleLineOff)
	}
	return allow()
}

func (c *inquiry) lineFor(outbound bool, kind RestrictionKind) func() Decision {
	return func() Decision {
		switch {
		case !c.Line.Enabled:
			return deny(RuleLineOff)
		case outbound && !c.Line.Outbound, !outbound && !c.Line.Inbound:
			return deny(RuleNotAllowed)
		}
		var out *Restriction
		for i, r := range c.Line.Restricted {
			if r.Kind == kind && (r.Until.IsZero() || c.Now.Before(r.Until)) && (out == nil || r.Until.IsZero() || !out.Until.IsZero() && r.Until.After(out.Until)) {
				out = &c.Line.Restricted[i]
			}
		}
		if out == nil {
			return allow()
		}
		return denyUntil(RuleRestricted, out.Until, params{"reason": out.Reason})
	}
}

func (c *inquiry) blocklist() Decision {
	if _, blocked := c.Global.IsBlocked(); blocked || c.Blocked {
		return deny(RuleBlocked)
	}
	return allow()
}

func (c *inquiry) hours() Decision {
	if c.Hours.Open(c.Now) {
		return allow()
	}
	next, _ := c.Hours.NextOpen(c.Now)
	return denyUntil(RuleHours, next, nil)
}

func (c *inquiry) streak() Decision {
	n, limit := c.Pair.Streak(), c.Rules.Unanswered
	d := allow()
	if n >= limit && c.overruled {
		limit, d.Override = metaUnanswered(c.Rules.Test), true
	}
	p := params{"count": strconv.Itoa(n)}
	if n >= limit {
		d = deny(RuleUnanswered)
		d.Params = p
		return d
	}
	if n >= c.Rules.Warn && n > 0 {
		d.Warning, d.Key, d.Params = true, RuleAllowed+".warning", p
	}
	return d
}

// limit turns two verdicts into a decision.
func (c *inquiry) limit(rule string, of verdictOf) Decision {
	v, used := lifted(c.Now, of.profile, of.meta, c.override, c.overruled)
	if v.denied {
		window := "24h"
		if v.full.Window == Week {
			window = "7d"
		}
		p := params{"max": strconv.Itoa(v.full.Max), "window": window}
		if v.full.Max == 0 {
			p = nil
		}
		return denyUntil(rule, v.free, p)
	}
	d := allow()
	d.Override = used
	return d
}

func (c *inquiry) attempts() Decision { return c.limit(RuleAttempts, c.attemptsV) }
func (c *inquiry) calls() Decision    { return c.limit(RuleCallLimit, c.callsV) }

func (c *inquiry) requests() Decision {
	d := c.limit(RuleRequests, c.requestsV)
	if open, _ := c.Pair.Window(c.Now); d.Allowed && !open {
		d.Template, d.Key = true, RuleAllowed+".template"
	}
	return d
}

// liveRequests and liveCalls are what Meta's own answer says of its limits; an answer that is not fresh says nothing here,
// the permission is denied for it.
func (c *inquiry) liveRequests() verdict {
	if !c.fresh() {
		return verdict{}
	}
	return liveVerdict(c.Now, c.Live.CanRequest, c.Live.NextRequest, c.Live.RequestDay, c.Live.RequestWeek)
}

func (c *inquiry) liveCalls() verdict {
	if !c.fresh() {
		return verdict{}
	}
	return liveVerdict(c.Now, c.Live.CanStart, c.Live.NextStart, c.Live.StartDay, nil)
}

func liveVerdict(now time.Time, can bool, next time.Time, day, week *Quota) verdict {
	v := verdict{denied: !can, free: next}
	for i, q := range []*Quota{day, week} {
		if q != nil && q.Used >= q.Max {
			v.denied = true
			v.full = Counter{Scope: scopeMeta, Window: []time.Duration{Day, Week}[i], Used: q.Used, Max: q.Max}
		}
	}
	if !v.denied || !next.IsZero() && !now.Before(next) {
		return verdict{}
	}
	return v
}

func (c *inquiry) concurrency() Decision {
	if c.Line.MaxCalls > 0 && c.Line.Calls >= c.Line.MaxCalls {
		d := deny(RuleConcurrency)
		d.Params = params{"max": strconv.Itoa(c.Line.MaxCalls)}
		return d
	}
	return allow()
}

func (c *inquiry) window() Decision {
	if open, _ := c.Pair.Window(c.Now); !open {
		return deny(RuleWindow)
	}
	return allow()
}
