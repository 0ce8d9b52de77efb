package policy

import (
	"errors"
	"fmt"
	"time"
)

// Day and Week are the windows of Meta's limits: rolling, not by the calendar.
const (
	Day  = 24 * time.Hour
	Week = 7 * Day
)

// Names of the profiles.
const (
	ProfileStrict = "strict"
	ProfileMeta   = "meta"
	ProfileCustom = "custom"
)

// Limits are numbers of things in rolling windows: an entry counts until exactly 24 hours (7 days) after it. 0: not limited
// here; Meta's own limits hold all the same.
type Limits struct {
	RequestsDay  int `json:"requests_day"`  // permission requests in 24 hours
	RequestsWeek int `json:"requests_week"` // permission requests in 7 days
	// DeclinedDay and DeclinedWeek hold instead of them after the customer declined the newest request.
	DeclinedDay  int `json:"declined_day"`
	DeclinedWeek int `json:"declined_week"`
	// RequestsReset: a connected call in either direction starts the count of requests anew, as it does at Meta.
	RequestsReset bool `json:"requests_reset"`
	Attempts      int  `json:"attempts"`  // calls placed in 24 hours, whatever came of them
	Connected     int  `json:"connected"` // calls picked up in 24 hours; one under way counts too
}

// Rules are the numbers a decision holds against the facts.
type Rules struct {
	Profile string `json:"profile"`
	Line    Limits `json:"line"`   // per line and customer
	Global  Limits `json:"global"` // per customer, over all lines
	// Unanswered is after how many unanswered calls in a row no further one is placed; Warn: after how many the agent is
	// warned.
	Unanswered int `json:"unanswered"`
	Warn       int `json:"warn"`
	// Permission shorter than Meta's 7 days ends a temporary permission early. 7 days leave the end to Meta's timestamp.
	Permission time.Duration `json:"permission"`
	// LiveAge is how old Meta's answer may be.
	LiveAge time.Duration `json:"live_age"`
	// Test: one of Meta's test numbers, whose limits are wider (contract §10.1).
	Test bool `json:"test,omitempty"`
}

// liveAge is twice the 30 s for which an answer of Meta is kept (contract §10.2).
const liveAge = time.Minute

// Custom are the numbers of a custom profile. 0 takes Meta's number; in Global, and for Line.Attempts, which Meta does not
// limit per customer, it means no limit.
type Custom struct {
	Line       Limits        `json:"line"`
	Global     Limits        `json:"global"`
	Unanswered int           `json:"unanswered"`
	Warn       int           `json:"warn"`
	Permission time.Duration `json:"permission"`
}

// Strict are the product's own promises. The customer is one person, whichever of our lines disturbs them: the numbers hold
// per line and over all lines.
func Strict() Rules {
	l := Limits{RequestsDay: 1, RequestsWeek: 1, DeclinedDay: 1, DeclinedWeek: 2, Attempts: 5, Connected: 100}
	return Rules{Profile: ProfileStrict, Line: l, Global: l, Unanswered: 3, Warn: 2, Permission: Week, LiveAge: liveAge}
}

// Meta are Meta's own limits (contract §10.1), which are per line. The 4th unanswered call in a row is still placed, and
// costs the permission.
func Meta() Rules {
	return Rules{Profile: ProfileMeta, Line: metaLimits(false), Unanswered: metaUnanswered(false), Warn: 2, Permission: Week, LiveAge: liveAge}
}

func metaLimits(test bool) Limits {
	l := Limits{RequestsDay: 1, RequestsWeek: 2, DeclinedDay: 1, DeclinedWeek: 2, RequestsReset: true, Connected: 100}
	if test {
		l.RequestsDay, l.RequestsWeek, l.DeclinedDay, l.DeclinedWeek = 25, 100, 25, 100
	}
	return l
}

func metaUnanswered(test bool) int {
	if test {
		return 10
	}
	return 4
}

// NewRules makes the rules of a profile: "strict" (also ""), "meta" or "custom". custom counts for "custom" only. test says
// that the line is one of Meta's test numbers. The error names every number that is looser than Meta's, with its path,
// Meta's number and what to do.
func NewRules(profile string, custom Custom, test bool) (Rules, error) {
	r := Meta()
	r.Test, r.Line, r.Unanswered = test, metaLimits(test), metaUnanswered(test)
	switch profile {
	case "", ProfileStrict:
		r = Strict()
		r.Test = test
		return r, nil
	case ProfileMeta:
		if test {
			r.Warn = 5 // contract §10.1: the message to the customer comes after 5
		}
		return r, nil
	case ProfileCustom:
		return customRules(r, custom)
	}
	return Rules{}, fmt.Errorf("profile: %q is none; use %q, %q or %q", profile, ProfileStrict, ProfileMeta, ProfileCustom)
}

// customRules puts the numbers of custom in the place of Meta's in r.
func customRules(r Rules, custom Custom) (Rules, error) {
	var errs []error
	limit := func(path string, meta, n int) int {
		switch {
		case n < 0:
			errs = append(errs, fmt.Errorf("custom.%s: %d is negative; set 1 to %d, or leave it out for Meta's %d", path, n, meta, meta))
		case n > meta:
			errs = append(errs, fmt.Errorf("custom.%s: %d is looser than Meta's %d; set 1 to %d, or leave it out", path, n, meta, meta))
		}
		return n
	}
	or := func(n, meta int) int {
		if n == 0 {
			return meta
		}
		return n
	}
	meta := r.Line
	check := func(path string, l Limits) Limits {
		return Limits{
			RequestsDay:   limit(path+".requests_day", meta.RequestsDay, l.RequestsDay),
			RequestsWeek:  limit(path+".requests_week", meta.RequestsWeek, l.RequestsWeek),
			DeclinedDay:   limit(path+".declined_day", meta.DeclinedDay, l.DeclinedDay),
			DeclinedWeek:  limit(path+".declined_week", meta.DeclinedWeek, l.DeclinedWeek),
			RequestsReset: l.RequestsReset,
			// Meta knows no limit of attempts; more than its connected calls would limit nothing.
			Attempts:  limit(path+".attempts", meta.Connected, l.Attempts),
			Connected: limit(path+".connected", meta.Connected, l.Connected),
		}
	}
	r.Profile, r.Line, r.Global = ProfileCustom, check("line", custom.Line), check("global", custom.Global)
	l := &r.Line
	// After a decline the plain numbers hold as well, unless others are given.
	l.DeclinedDay, l.DeclinedWeek = or(or(l.DeclinedDay, l.RequestsDay), meta.DeclinedDay), or(or(l.DeclinedWeek, l.RequestsWeek), meta.DeclinedWeek)
	l.RequestsDay, l.RequestsWeek = or(l.RequestsDay, meta.RequestsDay), or(l.RequestsWeek, meta.RequestsWeek)
	l.Connected = or(l.Connected, meta.Connected)
	r.Unanswered = or(limit("unanswered", r.Unanswered, custom.Unanswered), r.Unanswered)
	r.Warn = or(limit("warn", r.Unanswered, custom.Warn), r.Warn)
	switch {
	case custom.Permission < 0:
		errs = append(errs, fmt.Errorf("custom.permission: %v is negative; set at most 168h", custom.Permission))
	case custom.Permission > Week:
		errs = append(errs, fmt.Errorf("custom.permission: %v is looser than Meta's 168h (7 days); set at most 168h, or leave it out", custom.Permission))
	case custom.Permission > 0:
		r.Permission = custom.Permission
	}
	if len(errs) > 0 {
		return Rules{}, errors.Join(errs...)
	}
	return r, nil
}
