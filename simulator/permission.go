package simulator

import (
	"slices"
	"time"
)

// PermissionKind is what a customer lets a business number do.
type PermissionKind string

// The permission kinds of GET call_permissions.
const (
	PermissionNone      PermissionKind = "no_permission"
	PermissionTemporary PermissionKind = "temporary"
	PermissionPermanent PermissionKind = "permanent"
)

const (
	day          = 24 * time.Hour
	week         = 7 * day
	temporaryFor = week // 604 800 s
)

type pairKey struct{ number, customer string }

// limits are Meta's numbers for production and for test numbers (§10.1).
type limits struct {
	requestsDay, requestsWeek int
	connectedDay              int
	noticeAt, revokeAt        int
}

func limitsOf(test bool) limits {
	if test {
		return limits{requestsDay: 25, requestsWeek: 100, connectedDay: 1000, noticeAt: 5, revokeAt: 10}
	}
	return limits{requestsDay: 1, requestsWeek: 2, connectedDay: 100, noticeAt: 2, revokeAt: 4}
}

// permission is the model of one number and customer: pure, the time always given.
type permission struct {
	limits     limits
	kind       PermissionKind
	expires    time.Time   // temporary only
	grantedBy  string      // the request that gave it; empty: something else did
	requests   []time.Time // sent since the last connected call
	asks       []ask       // what the customer has on the phone, oldest first
	connected  []time.Time // outbound calls picked up
	unanswered int         // in a row
	window     time.Time   // the 24 h customer service window is open until
}

// status returns the kind in force and its expiry.
func (p *permission) status(now time.Time) (PermissionKind, time.Time) {
	switch {
	case p.kind == PermissionTemporary && now.Before(p.expires):
		return PermissionTemporary, p.expires
	case p.kind == PermissionPermanent:
		return PermissionPermanent, time.Time{}
	}
	return PermissionNone, time.Time{}
}

func (p *permission) grantTemporary(now time.Time) {
	p.kind, p.expires, p.grantedBy = PermissionTemporary, now.Add(temporaryFor), ""
}

func (p *permission) grantPermanent() {
	p.kind, p.expires, p.grantedBy = PermissionPermanent, time.Time{}, ""
}

func (p *permission) revoke() { p.kind, p.expires, p.grantedBy = PermissionNone, time.Time{}, "" }

// within counts the times of the last d and returns when the oldest of them leaves the window.
func within(times []time.Time, d time.Duration, now time.Time) (count int, free time.Time) {
	for _, t := range times {
		if now.Sub(t) < d {
			if count == 0 {
				free = t.Add(d)
			}
			count++
		}
	}
	return count, free
}

// limit is one entry of actions[].limits.
type limit struct {
	period  string
	max     int
	used    int
	expires time.Time // when exhausted
}

func newLimit(period string, maximum int, times []time.Time, d time.Duration, now time.Time) limit {
	l := limit{period: period, max: maximum}
	var free time.Time
	if l.used, free = within(times, d, now); l.used >= maximum {
		l.expires = free
	}
	return l
}

func (p *permission) requestLimits(now time.Time) []limit {
	return []limit{
		newLimit("PT24H", p.limits.requestsDay, p.requests, day, now),
		newLimit("P7D", p.limits.requestsWeek, p.requests, week, now),
	}
}

func (p *permission) callLimits(now time.Time) []limit {
	return []limit{newLimit("PT24H", p.limits.connectedDay, p.connected, day, now)}
}

func exhausted(ls []limit) (time.Time, bool) {
	var next time.Time
	for _, l := range ls {
		if l.used >= l.max && l.expires.After(next) {
			next = l.expires
		}
	}
	return next, !next.IsZero()
}

// start says whether an outbound call may start.
func (p *permission) start(now time.Time) *graphError {
	if kind, _ := p.status(now); kind == PermissionNone {
		return refuse(138006, "The recipient has not granted this number permission to call.")
	}
	if next, full := exhausted(p.callLimits(now)); full {
		return refuse(138012, "Limit of connected calls with this user reached, next call possible at %s", next.UTC().Format(time.RFC3339))
	}
	return nil
}

// connect counts an outbound call that was picked up; any connected call resets the request counters and the streak.
func (p *permission) connect(outbound bool, now time.Time) {
	if outbound {
		p.connected = append(slices.DeleteFunc(p.connected, func(t time.Time) bool { return now.Sub(t) >= day }), now)
	}
	p.requests, p.unanswered = nil, 0
}

// streak is what an unanswered call leads to.
type streak int

const (
	streakNothing streak = iota
	streakNotice         // the user is asked to reconsider
	streakRevoked        // the permission is gone
)

// miss counts an unanswered or declined outbound call.
func (p *permission) miss(now time.Time) streak {
	p.unanswered++
	kind, _ := p.status(now)
	switch {
	case p.unanswered >= p.limits.revokeAt && kind != PermissionNone:
		p.revoke()
		p.unanswered = 0
		return streakRevoked
	case p.unanswered == p.limits.noticeAt:
		return streakNotice
	}
	return streakNothing
}

// permissionOf returns the pair's model; what the customer's configuration gives counts from the customer's beginning. m.mu is
// held.
func (m *Meta) permissionOf(n *number, c *Customer) *permission {
	key := pairKey{n.PhoneNumberID, c.config().BSUID}
	p := m.permissions[key]
	if p == nil {
		p = &permission{limits: limitsOf(n.Test), kind: PermissionNone}
		switch c.config().Permission {
		case PermissionTemporary:
			p.grantTemporary(c.since)
		case PermissionPermanent:
			p.grantPermanent()
		}
		if !c.config().WindowClosed {
			p.window = c.since.Add(day)
		}
		m.permissions[key] = p
	}
	return p
}

func (m *Meta) serveCallPermissions(q *graphRequest) (answer, *graphError) {
	who := q.URL.Query().Get("user_wa_id")
	if who == "" {
		who = q.URL.Query().Get("recipient")
	}
	if who == "" {
		return nil, refuse(100, "The parameter user_wa_id or recipient is required")
	}
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	real := time.Now()
	q.num.permGets = slices.DeleteFunc(q.num.permGets, func(t time.Time) bool { return real.Sub(t) >= time.Second })
	if len(q.num.permGets) >= m.cfg.PermissionQPS {
		return nil, refuse(613, "Calls to this api have exceeded the rate limit")
	}
	q.num.permGets = append(q.num.permGets, real)
	c := m.findCustomer(who)
	if c == nil { // not on WhatsApp: no permission, not an error
		none := &permission{limits: limitsOf(q.num.Test), kind: PermissionNone}
		return none.json(now, q.num), nil
	}
	return m.permissionOf(q.num, c).json(now, q.num), nil
}

func (p *permission) json(now time.Time, n *number) obj {
	kind, expires := p.status(now)
	perm := obj{"status": kind}
	if kind == PermissionTemporary {
		perm["expiration_time"] = expires.Unix()
	}
	req, call := p.requestLimits(now), p.callLimits(now)
	_, reqFull := exhausted(req)
	_, callFull := exhausted(call)
	free := !n.restricted(RestrictBusinessCalls, now) && n.callingEnabled() && !n.OutboundBarred
	return obj{"messaging_product": "whatsapp", "permission": perm, "actions": []any{
		obj{"action_name": "send_call_permission_request", "can_perform_action": !reqFull && kind != PermissionPermanent && free, "limits": limitsJSON(req)},
		obj{"action_name": "start_call", "can_perform_action": !callFull && kind != PermissionNone && free, "limits": limitsJSON(call)},
	}}
}

func limitsJSON(ls []limit) []any {
	out := []any{}
	for _, l := range ls {
		o := obj{"time_period": l.period, "max_allowed": l.max, "current_usage": l.used}
		if !l.expires.IsZero() {
			o["limit_expiration_time"] = l.expires.Unix()
		}
		out = append(out, o)
	}
	return out
}
