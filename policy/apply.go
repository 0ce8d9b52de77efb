package policy

import (
	"slices"
	"strings"
	"time"
)

// Apply adds an event. What changes nothing (an unknown kind, a repetition, a reply to a superseded request, Meta's news
// when newer is known, a time that is none) returns the state as it was: the event stays in the ledger, without effect.
func (s State) Apply(e Event) State {
	e, ok := e.clean()
	if !ok {
		return s
	}
	switch e.Kind {
	case EventRequested, EventRequestNamed, EventRequestRefused, EventRequestReceived:
		return s.applyRequest(e)
	case EventGranted, EventDeclined, EventRevoked:
		return s.applyReply(e)
	case EventAttempted:
		if !slices.ContainsFunc(s.Attempts, func(a Attempt) bool { return a.ID == e.ID && (e.ID != "" || a.At.Equal(e.At)) }) {
			s.Attempts = push(s.Attempts, Attempt{ID: e.ID, At: e.At}, func(a Attempt) time.Time { return a.At })
		}
	case EventEnded:
		return s.applyEnded(e)
	case EventOffered, EventWrote:
		s.Contact = later(s.Contact, e.At)
	case EventAutoReply:
		if e.ID != "" && !contains(s.Replied, e.ID) {
			s.Replied = last(append(slices.Clone(s.Replied), e.ID), maxReplied)
		}
	case EventLive:
		if e.Live != nil && (s.Live == nil || e.Live.At.After(s.Live.At)) {
			s.Live = e.Live
		}
	case EventBlocked:
		if !e.At.Equal(s.Block.At) { // else a repetition, perhaps from before it was lifted
			s.Block = Block{At: e.At, By: e.By, Reason: e.Reason}
		}
	case EventFreed:
		if _, blocked := s.IsBlocked(); blocked && !e.At.Before(s.Block.At) {
			s.Block.Freed = e.At
		}
	case EventOverride:
		o := Override{At: e.At, Expires: e.Expires, By: e.By, Reason: e.Reason}
		// Without a name and a reason nobody answers for it. The newer counts; of two at once the shorter.
		if o.By != "" && o.Reason != "" && (o.At.After(s.Override.At) || o.At.Equal(s.Override.At) && o.Expires.Before(s.Override.Expires)) {
			s.Override = o
		}
	}
	return s
}

func (s State) applyRequest(e Event) State {
	at := func(r Request) time.Time { return r.At }
	if e.Kind == EventRequested {
		if !slices.ContainsFunc(s.Requests, func(r Request) bool { return r.ID == e.ID && (e.ID != "" || r.At.Equal(e.At)) }) {
			s.Requests = push(dropRefused(s.Requests), Request{ID: e.ID, At: e.At, Template: e.Template}, at)
		}
		return s
	}
	i := slices.IndexFunc(s.Requests, func(r Request) bool {
		if e.Kind == EventRequestReceived {
			return e.Wamid != "" && r.Wamid == e.Wamid
		}
		return e.ID != "" && r.ID == e.ID
	})
	if i < 0 {
		return s
	}
	r := s.Requests[i]
	switch e.Kind {
	case EventRequestNamed:
		if e.Wamid != "" {
			r.Wamid = e.Wamid
		}
	case EventRequestRefused:
		r.Refused = r.Refused || r.Answer == "" // what the customer answered, Meta took
	case EventRequestReceived:
		if r.Received.IsZero() || e.At.Before(r.Received) {
			r.Received = e.At
		}
	}
	return s.withRequest(i, r)
}

func (s State) withRequest(i int, r Request) State {
	if s.Requests[i] != r {
		s.Requests = slices.Clone(s.Requests)
		s.Requests[i] = r
	}
	return s
}

// dropRefused makes room in a full window at the cost of a request that counts nowhere.
func dropRefused(rs []Request) []Request {
	if len(rs) < maxWindow {
		return rs
	}
	if i := slices.IndexFunc(rs, func(r Request) bool { return r.Refused }); i >= 0 {
		return slices.Delete(slices.Clone(rs), i, i+1)
	}
	return rs
}

// applyReply takes all six scenarios of contract §10.5.
func (s State) applyReply(e Event) State {
	g := grantOf(e)
	i, superseded := s.addressee(e)
	if superseded {
		return s
	}
	if i >= 0 && e.Kind != EventRevoked {
		r := s.Requests[i]
		if r.Wamid == "" {
			r.Wamid = e.Context
		}
		if (Grant{Standing: r.Answer, At: r.Answered}).before(Grant{Standing: g.Standing, At: g.At}) {
			r.Answer, r.Answered = g.Standing, g.At
		}
		s = s.withRequest(i, r)
	}
	if !s.Grant.before(g) {
		return s
	}
	if !g.Standing.Granted() { // the end of a permission still tells what became of it
		g.Tried, g.Reached = s.Grant.Tried, s.Grant.Reached
	}
	s.Grant = g
	s.Live = nil // Meta is asked again: its stamps are whole seconds, so they do not tell which of the two is newer
	if g.Standing == StandingUnanswered {
		s.Unanswered = nil // Meta has drawn the consequence; the next permission starts anew
	}
	return s
}

// addressee finds the request that a reply belongs to (-1: none) and whether a newer request had superseded it by then. A
// reply from before the newer request counts, however late it arrives. A reply that names a request we do not know belongs
// to the newest if that has no name yet: the reply overtook the answer to our own message.
func (s State) addressee(e Event) (i int, superseded bool) {
	if e.Automatic || e.Context == "" {
		return -1, false
	}
	n := s.newest()
	i = slices.IndexFunc(s.Requests, func(r Request) bool { return r.Wamid == e.Context })
	switch {
	case i >= 0 && i < n:
		return i, !e.At.Before(s.Requests[n].At)
	case i < 0 && n >= 0 && s.Requests[n].Wamid == "":
		return n, false
	}
	return i, false
}

func grantOf(e Event) Grant {
	g := Grant{At: e.At, Source: SourceRequest}
	switch {
	case e.Automatic && e.Kind == EventGranted:
		g.Source = SourceCallback
	case e.Automatic:
		g.Source = SourceMeta
	case e.Context == "":
		g.Source = SourceProfile
	}
	switch {
	case e.Kind == EventDeclined:
		g.Standing = StandingDeclined
	case e.Kind == EventRevoked && e.Automatic:
		g.Standing = StandingUnanswered
	case e.Kind == EventRevoked:
		g.Standing = StandingRevoked
	case e.Permanent:
		g.Standing = StandingPermanent
	default:
		g.Standing, g.Expires = StandingTemporary, e.Expires
		if g.Expires.IsZero() {
			g.Expires = e.At.Add(Week) // only because Meta gave none (contract §10.1)
		}
	}
	return g
}

// before says whether h replaces g: it is newer by Meta's clock, which counts whole seconds; within one second the stricter
// counts, so that the order of arrival and repetitions do not matter.
func (g Grant) before(h Grant) bool {
	if !g.At.Equal(h.At) || g.Standing == "" {
		return g.Standing == "" || g.At.Before(h.At)
	}
	if a, b := strictness(g.Standing), strictness(h.Standing); a != b {
		return a < b
	}
	return h.Standing == StandingTemporary && h.Expires.Before(g.Expires)
}

func strictness(s Standing) int {
	return slices.Index([]Standing{StandingPermanent, StandingTemporary, StandingDeclined, StandingRevoked, StandingUnanswered}, s)
}

func (s State) applyEnded(e Event) State {
	if slices.Contains(s.Ended, Stamp{ID: e.ID, At: e.At}) || e.ID != "" && slices.ContainsFunc(s.Ended, func(p Stamp) bool { return p.ID == e.ID }) {
		return s
	}
	switch e.Outcome {
	case OutcomeConnected, OutcomeUnanswered, OutcomeDeclined, OutcomeFailed:
	default:
		return s // not known how it ended: it goes on counting as if it connected
	}
	stamp := Stamp{ID: e.ID, At: e.At}
	s.Ended = last(append(slices.Clone(s.Ended), stamp), maxEnded)
	placed := e.At
	if !e.Inbound {
		if i := slices.IndexFunc(s.Attempts, func(a Attempt) bool { return a.ID == e.ID }); i >= 0 {
			s.Attempts = slices.Clone(s.Attempts)
			s.Attempts[i].Done = true
			placed = s.Attempts[i].At
		}
	}
	switch {
	case e.Outcome == OutcomeConnected:
		s.Unanswered = nil
		s.Requests = slices.Clone(s.Requests)
		for i := range s.Requests {
			s.Requests[i].Cleared = true
		}
		if !e.Inbound {
			s.Grant.Reached = s.Grant.Reached || s.Grant.Standing != ""
			// It was picked up at some time in between; the later counts longer, also if our clock was set back meanwhile.
			s.Connected = push(s.Connected, Stamp{ID: e.ID, At: later(placed, e.At)}, func(p Stamp) time.Time { return p.At })
			// Accepting our call opens the window then, which is not later than its end and not earlier than its start.
			s.Contact = later(s.Contact, placed)
		}
	case !e.Inbound && e.Outcome != OutcomeFailed:
		s.Unanswered = last(append(slices.Clone(s.Unanswered), stamp), maxStreak)
		s.Grant.Tried = s.Grant.Tried || s.Grant.Standing != ""
	}
	return s
}

// push appends to a window and drops from its front what is too much or too old. Old is a week before both the new entry
// and the one before it: a single entry from a clock that ran ahead forgets nothing.
func push[T any](w []T, x T, at func(T) time.Time) []T {
	old := at(x)
	if n := len(w); n > 0 && at(w[n-1]).Before(old) {
		old = at(w[n-1])
	}
	old = old.Add(-Week)
	drop := 0
	for len(w)+1-drop > maxWindow || len(w)+1-drop > keepAnyAge && at(w[drop]).Before(old) {
		drop++
	}
	return append(slices.Clone(w[drop:]), x)
}

func last[T any](s []T, n int) []T {
	if len(s) > n {
		return slices.Clone(s[len(s)-n:])
	}
	return s
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func contains(s []string, x string) bool { return slices.Contains(s, x) }

// clean makes an event storable: times in UTC and in the years that JSON can hold, texts valid and bounded. ok is false for
// an event without a time.
func (e Event) clean() (_ Event, ok bool) {
	e.At, e.Expires = utc(e.At), utc(e.Expires)
	for _, s := range []*string{&e.ID, &e.Wamid, &e.Context, &e.By, &e.Reason} {
		*s = clip(*s)
	}
	if e.Live != nil {
		l := *e.Live
		for _, t := range []*time.Time{&l.At, &l.Expires, &l.NextStart, &l.NextRequest} {
			*t = utc(*t)
		}
		l.Permission = Permission(clip(string(l.Permission)))
		for _, q := range []**Quota{&l.StartDay, &l.RequestDay, &l.RequestWeek} {
			if *q != nil {
				c := **q
				*q = &c
			}
		}
		e.Live = &l
	}
	return e, !e.At.IsZero()
}

// lastYear leaves room for a week to be added and for any zone to show it.
const lastYear = 9998

func utc(t time.Time) time.Time {
	t = t.UTC().Round(0)
	switch y := t.Year(); {
	case y < 1 || t.IsZero():
		return time.Time{}
	case y > lastYear:
		return time.Date(lastYear, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	return t
}

// clip bounds a text. What is longer than any name of Meta's or ours is cut, which no true name suffers.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}
