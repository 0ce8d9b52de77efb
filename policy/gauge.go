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

// window measures the times that lie in the window before now. A time from the future, recorded before our clock was set
// back, counts: better one too many.
func window(now time.Time, name, scope string, width time.Duration, limit int, times []time.Time) gauge {
	g := gauge{Counter: Counter{Name: name, Scope: scope, Window: width, Max: limit}}
	var in [2 * maxWindow]time.Time
	from := now.Add(-width)
	for _, t := range times {
		if t.After(from) && g.Used < len(in) {
			in[g.Used] = t
			g.Used++
		}
	}
	if g.full() {
		held := in[:g.Used]
		slices.SortFunc(held, time.Time.Compare)
		g.free = held[g.Used-limit].Add(width)
	}
	return g
}

const (
	scopeLine = "line"
	scopeAll  = "all"
	scopeMeta = "meta"
)

// requests measures the limits l of permission requests. A limit of 0 is none.
func (s State) requests(now time.Time, scope string, l Limits) []gauge {
	day, week := l.RequestsDay, l.RequestsWeek
	if s.declined() {
		day, week = l.DeclinedDay, l.DeclinedWeek
	}
	times := make([]time.Time, 0, maxWindow)
	for _, r := range s.Requests {
		if !r.Refused && !(l.RequestsReset && r.Cleared) {
			times = append(times, r.At)
		}
	}
	gs := make([]gauge, 0, 2)
	if day > 0 {
		gs = append(gs, window(now, "requests", scope, Day, day, times))
	}
	if week > 0 {
		gs = append(gs, window(now, "requests", scope, Week, week, times))
	}
	return gs
}

// declined says whether the customer's answer to the newest request is no.
func (s State) declined() bool {
	i := s.newest()
	return i >= 0 && s.Requests[i].Answer == StandingDeclined
}

// attempts measures calls placed; a limit of 0 is none.
func (s State) attempts(now time.Time, scope string, limit int) []gauge {
	if limit <= 0 {
		return nil
	}
	times := make([]time.Time, 0, maxWindow)
	for _, a := range s.Attempts {
		times = append(times, a.At)
	}
	return []gauge{window(now, "attempts", scope, Day, limit, times)}
}

// connected measures calls picked up, and those under way, which may be yet; a limit of 0 is none.
func (s State) connected(now time.Time, scope string, limit int) []gauge {
	if limit <= 0 {
		return nil
	}
	times := make([]time.Time, 0, 2*maxWindow)
	for _, c := range s.Connected {
		times = append(times, c.At)
	}
	for _, a := range s.Attempts {
		if !a.Done {
			times = append(times, a.At)
		}
	}
	return []gauge{window(now, "connected", scope, Day, limit, times)}
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
