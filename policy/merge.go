package policy

import (
	"cmp"
	"slices"
)

// Merge is the state of a customer who was known under two names. What either side counted, both count; where the two
// disagree, the newer word about the permission and the stricter of everything else.
func Merge(a, b State) State {
	m := State{
		Grant:      a.Grant,
		Requests:   union(a.Requests, b.Requests, func(r Request) Stamp { return Stamp{r.ID, r.At} }, mergeRequest, maxWindow),
		Attempts:   union(a.Attempts, b.Attempts, func(t Attempt) Stamp { return Stamp{t.ID, t.At} }, mergeAttempt, maxWindow),
		Connected:  union(a.Connected, b.Connected, itself, newer, maxWindow),
		Unanswered: union(a.Unanswered, b.Unanswered, itself, newer, maxStreak),
		Ended:      union(a.Ended, b.Ended, itself, newer, maxEnded),
		Contact:    later(a.Contact, b.Contact),
		Block:      mergeBlock(a.Block, b.Block),
		Override:   a.Override,
		Replied:    last(appendNew(slices.Clone(a.Replied), b.Replied), maxReplied),
		Live:       a.Live,
	}
	if a.Grant.before(b.Grant) && b.Grant.Standing != "" {
		m.Grant = b.Grant
	}
	if b.Override.At.After(a.Override.At) {
		m.Override = b.Override
	}
	if b.Live != nil && (a.Live == nil || b.Live.At.After(a.Live.At)) {
		m.Live = b.Live
	}
	return m
}

func itself(s Stamp) Stamp   { return s }
func newer(a, b Stamp) Stamp { return Stamp{a.ID, later(a.At, b.At)} }
func compare(a, b Stamp) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) }
func same(a, b Stamp) bool   { return a.ID == b.ID && (a.ID != "" || a.At.Equal(b.At)) }

// union is both lists by time, each thing once, at most the newest n.
func union[T any](a, b []T, key func(T) Stamp, both func(a, b T) T, n int) []T {
	out := slices.Clone(a)
	for _, x := range b {
		if i := slices.IndexFunc(out, func(y T) bool { return same(key(x), key(y)) }); i >= 0 {
			out[i] = both(out[i], x)
		} else {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(x, y T) int { return compare(key(x), key(y)) })
	return last(out, n)
}

func mergeRequest(a, b Request) Request {
	if a.Wamid == "" {
		a.Wamid = b.Wamid
	}
	if a.Received.IsZero() || !b.Received.IsZero() && b.Received.Before(a.Received) {
		a.Received = b.Received
	}
	if (Grant{Standing: a.Answer, At: a.Answered}).before(Grant{Standing: b.Answer, At: b.Answered}) && b.Answer != "" {
		a.Answer, a.Answered = b.Answer, b.Answered
	}
	a.At = later(a.At, b.At)
	a.Refused, a.Cleared = a.Refused && b.Refused, a.Cleared && b.Cleared
	return a
}

func mergeAttempt(a, b Attempt) Attempt {
	a.Done = a.Done || b.Done // it ended once; which of the two heard of it does not matter
	a.At = later(a.At, b.At)
	return a
}

func mergeBlock(a, b Block) Block {
	in := func(x Block) bool { return !x.At.IsZero() && x.Freed.IsZero() }
	switch {
	case in(a) != in(b):
		if in(a) {
			return a
		}
		return b
	case b.At.After(a.At):
		return b
	}
	return a
}

func appendNew(s, more []string) []string {
	for _, x := range more {
		if !contains(s, x) {
			s = append(s, x)
		}
	}
	return s
}
