package policy

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of what hours may hold.
const (
	maxSpans       = 12 // of a day
	maxHolidays    = 1000
	maxHolidayName = 128 // characters
)

// Validate returns every problem at once, each with its path and what to do ("weekly[1].from: …").
func (h Hours) Validate() error {
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	}
	switch {
	case h.Zone == "" && (len(h.Weekly) > 0 || len(h.Holidays) > 0):
		bad("zone", "hours need a time zone, for example Asia/Jakarta")
	case h.Zone != "":
		if _, err := loadZone(h.Zone); err != nil {
			bad("zone", "%w", err)
		}
		if len(h.Weekly) == 0 {
			bad("weekly", "is empty, so the line would never open; add a span, or remove zone to be open always")
		}
	}
	if h.Once != nil && h.Once.Until.IsZero() {
		bad("once.until", "is missing; say until when the line is to be open or closed")
	}
	h.validateWeekly(bad)
	h.validateHolidays(bad)
	return errors.Join(errs...)
}

type report func(path, format string, args ...any)

func (p Period) validate(path string, bad report) bool {
	ok := true
	switch {
	case p.From < 0 || p.From >= endOfDay:
		bad(path+".from", "%s is no time of day; use 00:00 to 23:59", p.From)
		ok = false
	case p.To < 0 || p.To > endOfDay:
		bad(path+".to", "%s is no time of day; use 00:00 to 24:00", p.To)
		ok = false
	case p.From == p.To:
		bad(path, "begins and ends at %s; for a whole day write 00:00 to 24:00", p.From)
		ok = false
	}
	return ok
}

// stretch is open time on a line of minutes, with its path.
type stretch struct {
	from, to int
	path     string
}

func (p Period) stretch(day int, path string) stretch {
	s := stretch{day*int(endOfDay) + int(p.From), day*int(endOfDay) + int(p.To), path}
	if p.overnight() {
		s.to += int(endOfDay)
	}
	return s
}

// overlaps reports each stretch that begins before an earlier one has ended.
func overlaps(all []stretch, bad report) {
	slices.SortStableFunc(all, func(a, b stretch) int { return a.from - b.from })
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if b.from < a.to && a.path != b.path {
			bad(b.path, "overlaps %s; join the two or move one", a.path)
		}
		if a.to > b.to {
			all[i].to = a.to
		}
	}
}

func (h Hours) validateWeekly(bad report) {
	var all []stretch
	var perDay [7]int
	for i, s := range h.Weekly {
		path := fmt.Sprintf("weekly[%d]", i)
		if s.Day < 0 || s.Day > 6 {
			bad(path+".day", "%d is no day of the week", int(s.Day))
			continue
		}
		if perDay[s.Day]++; perDay[s.Day] == maxSpans+1 {
			bad(path, "is one span too many for %s; use at most %d", s.Day, maxSpans)
		}
		if perDay[s.Day] > maxSpans {
			continue
		}
		if p := (Period{s.From, s.To}); p.validate(path, bad) {
			x := p.stretch(int(s.Day), path)
			all = append(all, x)
			if week := 7 * int(endOfDay); x.to > week { // Saturday night is Sunday morning
				all = append(all, stretch{0, x.to - week, path})
			}
		}
	}
	overlaps(all, bad)
}

func (h Hours) validateHolidays(bad report) {
	if len(h.Holidays) > maxHolidays {
		bad("holidays", "are %d; at most %d", len(h.Holidays), maxHolidays)
		return
	}
	seen := map[date]int{}
	for i, x := range h.Holidays {
		path := fmt.Sprintf("holidays[%d]", i)
		if !utf8.ValidString(x.Name) || utf8.RuneCountInString(x.Name) > maxHolidayName {
			bad(path+".name", "must be text of at most %d characters", maxHolidayName)
		}
		if d, err := parseDate(x.Date); err != nil {
			bad(path+".date", "%w", err)
		} else if first, ok := seen[d]; ok {
			bad(path+".date", "%s is holidays[%d] already; keep one of them", d, first)
		} else {
			seen[d] = i
		}
		if len(x.Open) > maxSpans {
			bad(path+".open", "are %d periods; at most %d", len(x.Open), maxSpans)
			continue
		}
		var all []stretch
		for j, p := range x.Open {
			if path := fmt.Sprintf("%s.open[%d]", path, j); p.validate(path, bad) {
				all = append(all, p.stretch(0, path))
			}
		}
		overlaps(all, bad)
	}
}
