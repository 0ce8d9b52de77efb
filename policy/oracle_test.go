package policy

import (
	"time"
)

// oracle is the engine written a second time, the slow way: it keeps every event and works each answer out from all of
// them. It shares no code with the engine beyond the names of things.
type oracle struct{ events []Event }

type oracleRequest struct {
	id, wamid       string
	at, received    time.Time
	answer          string // "", "yes", "no"
	answered        time.Time
	answerRank      int
	refused, erased bool // erased: a call connected since
}

type oracleWord struct {
	kind           string // "", "temporary", "permanent", "declined", "revoked", "unanswered"
	at, expires    time.Time
	tried, reached bool
}

type oracleFacts struct {
	requests  []*oracleRequest
	word      oracleWord
	attempts  map[string]time.Time
	order     []string
	done      map[string]bool
	connected []time.Time
	streak    int
	contact   time.Time
	blocked   bool
	override  *Event
}

var oracleRank = map[string]int{"permanent": 1, "temporary": 2, "declined": 3, "revoked": 4, "unanswered": 5}

// facts tells the story from its beginning.
func (o oracle) facts() *oracleFacts {
	f := &oracleFacts{attempts: map[string]time.Time{}, done: map[string]bool{}}
	ended := map[string]bool{}
	var blockedAt time.Time
	find := func(ok func(*oracleRequest) bool) *oracleRequest {
		for _, r := range f.requests {
			if ok(r) {
				return r
			}
		}
		return nil
	}
	newest := func() *oracleRequest {
		var n *oracleRequest
		for _, r := range f.requests {
			if !r.refused {
				n = r
			}
		}
		return n
	}
	for _, e := range o.events {
		switch e.Kind {
		case EventRequested:
			if find(func(r *oracleRequest) bool { return r.id == e.ID }) == nil {
				f.requests = append(f.requests, &oracleRequest{id: e.ID, at: e.At})
			}
		case EventRequestNamed:
			if r := find(func(r *oracleRequest) bool { return r.id == e.ID }); r != nil {
				r.wamid = e.Wamid
			}
		case EventRequestRefused:
			if r := find(func(r *oracleRequest) bool { return r.id == e.ID }); r != nil && r.answer == "" {
				r.refused = true
			}
		case EventRequestReceived:
			if r := find(func(r *oracleRequest) bool { return r.wamid == e.Wamid }); r != nil {
				if r.received.IsZero() || e.At.Before(r.received) {
					r.received = e.At
				}
			}
		case EventGranted, EventDeclined, EventRevoked:
			w := oracleWord{at: e.At}
			switch {
			case e.Kind == EventGranted && e.Permanent:
				w.kind = "permanent"
			case e.Kind == EventGranted:
				w.kind, w.expires = "temporary", e.Expires
				if w.expires.IsZero() {
					w.expires = e.At.Add(7 * 24 * time.Hour)
				}
			case e.Kind == EventDeclined:
				w.kind = "declined"
			case e.Automatic:
				w.kind = "unanswered"
			default:
				w.kind = "revoked"
			}
			var to *oracleRequest
			if !e.Automatic && e.Context != "" {
				to = find(func(r *oracleRequest) bool { return r.wamid == e.Context })
				n := newest()
				if to != nil && n != nil && to != n && !to.refused || to != nil && n != nil && to.refused && o.earlier(f, to, n) {
					if !e.At.Before(n.at) {
						continue // superseded
					}
				}
				if to == nil && n != nil && n.wamid == "" {
					to = n
				}
			}
			rank := oracleRank[w.kind]
			if to != nil && e.Kind != EventRevoked {
				if to.wamid == "" {
					to.wamid = e.Context
				}
				if to.answer == "" || e.At.After(to.answered) || e.At.Equal(to.answered) && rank > to.answerRank {
					to.answer, to.answered, to.answerRank = "yes", e.At, rank
					if e.Kind == EventDeclined {
						to.answer = "no"
					}
				}
			}
			old := f.word
			replace := old.kind == "" || e.At.After(old.at)
			if old.kind != "" && e.At.Equal(old.at) {
				replace = rank > oracleRank[old.kind] || w.kind == "temporary" && old.kind == "temporary" && w.expires.Before(old.expires)
			}
			if !replace {
				continue
			}
			if e.Kind != EventGranted {
				w.tried, w.reached = old.tried, old.reached
			}
			f.word = w
			if w.kind == "unanswered" {
				f.streak = 0
			}
		case EventAttempted:
			if _, ok := f.attempts[e.ID]; !ok {
				f.attempts[e.ID] = e.At
				f.order = append(f.order, e.ID)
			}
		case EventEnded:
			if ended[e.ID] {
				continue
			}
			switch e.Outcome {
			case OutcomeConnected, OutcomeDeclined, OutcomeFailed, OutcomeUnanswered:
			default:
				continue
			}
			ended[e.ID] = true
			if e.Outcome == OutcomeConnected {
				f.streak = 0
				for _, r := range f.requests {
					r.erased = true
				}
			}
			if e.Inbound {
				continue
			}
			began := e.At
			if at, ok := f.attempts[e.ID]; ok {
				f.done[e.ID], began = true, at
			}
			switch e.Outcome {
			case OutcomeConnected:
				if began.After(e.At) {
					f.connected = append(f.connected, began)
				} else {
					f.connected = append(f.connected, e.At)
				}
				if began.After(f.contact) {
					f.contact = began
				}
				if f.word.kind != "" {
					f.word.reached = true
				}
			case OutcomeUnanswered, OutcomeDeclined:
				f.streak++
				if f.word.kind != "" {
					f.word.tried = true
				}
			}
		case EventOffered, EventWrote:
			if e.At.After(f.contact) {
				f.contact = e.At
			}
		case EventBlocked:
			if !e.At.Equal(blockedAt) {
				f.blocked, blockedAt = true, e.At
			}
		case EventFreed:
			if !e.At.Before(blockedAt) {
				f.blocked = false
			}
		case EventOverride:
			if e.By == "" || e.Reason == "" {
				continue
			}
			if f.override == nil || e.At.After(f.override.At) || e.At.Equal(f.override.At) && e.Expires.Before(f.override.Expires) {
				f.override = &e
			}
		}
	}
	return f
}

// earlier says whether a was requested before b.
func (o oracle) earlier(f *oracleFacts, a, b *oracleRequest) bool {
	for _, r := range f.requests {
		if r == a {
			return true
		}
		if r == b {
			return false
		}
	}
	return false
}

// newest is the newest request that Meta took.
func (f *oracleFacts) newest() *oracleRequest {
	for i := len(f.requests) - 1; i >= 0; i-- {
		if !f.requests[i].refused {
			return f.requests[i]
		}
	}
	return nil
}

func (f *oracleFacts) standing(now time.Time) Standing {
	w := f.word
	if w.kind == "permanent" {
		return StandingPermanent
	}
	if w.kind == "temporary" && w.expires.After(now) {
		return StandingTemporary
	}
	if n := f.newest(); n != nil && n.answer == "" && (w.kind == "" || !n.at.Before(w.at)) {
		from := n.at
		if !n.received.IsZero() {
			from = n.received
		}
		if now.Sub(from) >= 7*24*time.Hour {
			return StandingRequestExpired
		}
		return StandingRequested
	}
	switch w.kind {
	case "temporary":
		return StandingExpired
	case "declined":
		return StandingDeclined
	case "revoked":
		return StandingRevoked
	case "unanswered":
		return StandingUnanswered
	}
	return StandingNone
}

func within(now time.Time, d time.Duration, at []time.Time) (n int) {
	for _, t := range at {
		if now.Sub(t) < d {
			n++
		}
	}
	return n
}

func (f *oracleFacts) requestTimes(reset bool) (at []time.Time) {
	for _, r := range f.requests {
		if !r.refused && !(reset && r.erased) {
			at = append(at, r.at)
		}
	}
	return at
}

func (f *oracleFacts) tooManyRequests(now time.Time, l Limits) bool {
	day, week := l.RequestsDay, l.RequestsWeek
	if n := f.newest(); n != nil && n.answer == "no" {
		day, week = l.DeclinedDay, l.DeclinedWeek
	}
	at := f.requestTimes(l.RequestsReset)
	return day > 0 && within(now, 24*time.Hour, at) >= day || week > 0 && within(now, 7*24*time.Hour, at) >= week
}

func (f *oracleFacts) tooManyAttempts(now time.Time, l Limits) bool {
	var at []time.Time
	for _, id := range f.order {
		at = append(at, f.attempts[id])
	}
	return l.Attempts > 0 && within(now, 24*time.Hour, at) >= l.Attempts
}

func (f *oracleFacts) tooManyCalls(now time.Time, l Limits) bool {
	at := append([]time.Time(nil), f.connected...)
	for _, id := range f.order {
		if !f.done[id] {
			at = append(at, f.attempts[id])
		}
	}
	return l.Connected > 0 && within(now, 24*time.Hour, at) >= l.Connected
}

// decide is what the oracle answers for a call or a permission request on a line that is on, within hours.
func (o oracle) decide(q Question) string {
	f, now := o.facts(), q.Now
	if f.blocked || q.Blocked {
		return RuleBlocked
	}
	live := q.Live
	if live == nil || now.Sub(live.At) > q.Rules.LiveAge || live.At.Sub(now) > q.Rules.LiveAge || live.Permission == PermissionUnknown {
		return RulePermissionUnknown
	}
	over := f.override != nil && !now.Before(f.override.At) && now.Before(f.override.Expires)
	meta := Limits{RequestsDay: 1, RequestsWeek: 2, DeclinedDay: 1, DeclinedWeek: 2, RequestsReset: true, Connected: 100}
	streakMax := 4
	if q.Rules.Test {
		meta.RequestsDay, meta.RequestsWeek, meta.DeclinedDay, meta.DeclinedWeek, streakMax = 25, 100, 25, 100, 10
	}
	full := func(can bool, next time.Time, quotas ...*Quota) bool {
		closed := !can
		for _, q := range quotas {
			closed = closed || q != nil && q.Used >= q.Max
		}
		return closed && (next.IsZero() || now.Before(next))
	}
	if q.Action == ActionAsk {
		if live.Permission == PermissionPermanent {
			return RulePermissionPermanent
		}
		if f.tooManyRequests(now, meta) || full(live.CanRequest, live.NextRequest, live.RequestDay, live.RequestWeek) {
			return RuleRequests
		}
		if !over && (f.tooManyRequests(now, q.Rules.Line) || f.tooManyRequests(now, q.Rules.Global)) {
			return RuleRequests
		}
		return RuleAllowed
	}
	standing := f.standing(now)
	mine := standing == StandingTemporary || standing == StandingPermanent
	newer := f.word.kind != "" && f.word.at.Unix() >= live.At.Unix()
	no := map[Standing]string{StandingNone: RulePermissionNone, StandingTemporary: RulePermissionNone, StandingPermanent: RulePermissionNone,
		StandingRequested: RulePermissionRequested, StandingRequestExpired: RulePermissionRequestExpired, StandingDeclined: RulePermissionDeclined,
		StandingExpired: RulePermissionExpired, StandingRevoked: RulePermissionRevoked, StandingUnanswered: RulePermissionUnanswered}
	switch {
	case live.Permission == PermissionNone && newer && mine:
		return RulePermissionUnknown
	case live.Permission == PermissionNone, newer && !mine:
		return no[standing]
	case live.Permission == PermissionTemporary:
		expires := live.Expires
		if newer && standing == StandingTemporary {
			expires = f.word.expires
		}
		if !expires.IsZero() && !expires.After(now) {
			return RulePermissionExpired
		}
		var since time.Time
		if standing == StandingTemporary {
			since = f.word.at
		} else if !live.Expires.IsZero() {
			since = live.Expires.Add(-7 * 24 * time.Hour)
		}
		if !since.IsZero() && q.Rules.Permission < 7*24*time.Hour && now.Sub(since) >= q.Rules.Permission && !over {
			return RulePermissionExpired
		}
	}
	switch {
	case f.streak >= q.Rules.Unanswered && (!over || f.streak >= streakMax):
		return RuleUnanswered
	case !over && (f.tooManyAttempts(now, q.Rules.Line) || f.tooManyAttempts(now, q.Rules.Global)):
		return RuleAttempts
	case f.tooManyCalls(now, meta), full(live.CanStart, live.NextStart, live.StartDay),
		!over && (f.tooManyCalls(now, q.Rules.Line) || f.tooManyCalls(now, q.Rules.Global)):
		return RuleCallLimit
	}
	return RuleAllowed
}
