package policy

import (
	"slices"
	"time"
)

// gauge is one limit measured now.
type gauge struct {
	Counter
	free time.Time // when a full window has room again by itself; zero: it has room
}

func (g gauge) full() bool { return g.Used >= g.Max }

// ages are how long ago things were; less than nothing for a time from the future, recorded before our clock was set back.
// The array keeps a decision from allocating: no state holds more.
type ages struct {
	n  int
	of [2 * maxWindow]time.Duration
}

func (a *ages) add(age time.Duration) {
	if a.n < len(a.of) {
		a.of[a.n] = age
		a.n++
	}
}

// window measures what is younger than width. What comes from the future counts: better one too many.
func window(now time.Time, name, scope string, width time.Duration, limit int, a *ages) gauge {
	g := gauge{Counter: Counter{Name: name, Scope: scope, Window: width, Max: limit}}
	all := a.of[:a.n]
	for _, age := range all {
		if age < width {
			g.Used++
		}
	}
	if g.full() { // there is room again when the limit-th youngest leaves
		slices.Sort(all)
		g.free = now.Add(width - all[limit-1])
	}
	return g
}

const (
	scopeLine = "line"
	scopeAll  = "all"
	scopeMeta = "meta"
)

// requests measures the limits l of permission requests. A limit of 0 is none.
func (s *State) requests(now time.Time, scope string, l Limits) []gauge {
	day, week := l.RequestsDay, l.RequestsWeek
	if s.declined() {
		day, week = l.DeclinedDay, l.DeclinedWeek
	}
	var a ages
	for i := range s.Requests {
		if r := &s.Requests[i]; !r.Refused && !(l.RequestsReset && r.Cleared) {
			a.add(now.Sub(r.At))
		}
	}
	gs := make([]gauge, 0, 2)
	if day > 0 {
		gs = append(gs, window(now, "requests", scope, Day, day, &a))
	}
	if week > 0 {
		gs = append(gs, window(now, "requests", scope, Week, week, &a))
	}
	return gs
}

// declined says whether the customer's answer to the newest request is no.
func (s *State) declined() bool {
	i := s.newest()
	return i >= 0 && s.Requests[i].Answer == StandingDeclined
}

// attempts measures calls placed; a limit of 0 is none.
func (s *State) attempts(now time.Time, scope string, limit int) []gauge {
	if limit <= 0 {
		return nil
	}
	var a ages
	for i := range s.Attempts {
		a.add(now.Sub(s.Attempts[i].At))
	}
	return []gauge{window(now, "attempts", scope, Day, limit, &a)}
}

// connected measures calls picked up, and those under way, which may be yet; a limit of 0 is none.
func (s *State) connected(now time.Time, scope string, limit int) []gauge {
	if limit <= 0 {
		return nil
	}
	var a ages
	for i := range s.Connected {
		a.add(now.Sub(s.Connected[i].At))
	}
	for i := range s.Attempts {
		if x := &s.Attempts[i]; !x.Done {
			a.add(now.Sub(x.At))
		}
	}
	return []gauge{window(now, "connected", scope, Day, limit, &a)}
}

// verdict is what several gauges say together.
type verdict struct {
	denied bool
	free   time.Time // when none of them denies any more; zero though denied: not known
	full   Counter   // the limit that holds longest
}

func judge(gs []gauge) verdict {
	var v verdict
	for _, g := range gs {
		if g.full() && (!v.denied || g.free.After(v.free)) {
			v = verdict{denied: true, free: g.free, full: g.Counter}
		}
	}
	return v
}

// or is what two verdicts say together.
func (v verdict) or(w verdict) verdict {
	switch {
	case !v.denied:
		return w
	case !w.denied:
		return v
	case v.free.IsZero() || w.free.IsZero():
		v.free = time.Time{}
	case w.free.After(v.free):
		return w
	}
	return v
}

// lifted is the verdict under a supervisor's override: profile is set aside until the override ends, meta never is.
func lifted(now time.Time, profile, meta verdict, o Override, over bool) (v verdict, used bool) {
	all := profile.or(meta)
	if !over || !profile.denied {
		return all, false
	}
	if !meta.denied {
		return verdict{}, true
	}
	if !meta.free.IsZero() && meta.free.Before(o.Expires) {
		return meta, false
	}
	return all, false
}
