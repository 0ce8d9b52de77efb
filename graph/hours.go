package graph

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// The limits of call hours (§9.1).
const (
	minutesPerDay  = 24 * 60
	maxSpansPerDay = 2
	maxHolidays    = 20
)

// CallHours is Meta's call_hours: when customers may call. All times are minutes after midnight in TimeZone.
//
// Meta writes times as HHMM up to 2359, so a day cannot be open to its very end there: an end of 1440 is written as 2359, and
// an end of 2359 is read as 1440. The last minute of a day is thus one with midnight, here and in Equal.
type CallHours struct {
	Enabled  bool          // false: open at all hours, whatever the rest says
	TimeZone string        // IANA name
	Weekly   []WeeklySpan  // at most two a day; a span over midnight is two
	Holidays []HolidaySpan // at most 20, two a day
}

// WeeklySpan is a time of the week at which calls come in.
type WeeklySpan struct {
	Day         time.Weekday
	Open, Close int
}

// HolidaySpan is a time at which no calls come in. (Meta's text leaves open whether the window is open or closed; its one
// sample, 0000 to 2359 on New Year's Day, only makes sense closed.)
type HolidaySpan struct {
	Date       string // "2006-01-02"
	Start, End int
}

// endOfDay makes one of the two ways to say midnight at the end of a day.
func endOfDay(minute int) int {
	if minute == minutesPerDay-1 {
		return minutesPerDay
	}
	return minute
}

// normal is h in a form in which equal hours are equal.
func (h CallHours) normal() CallHours {
	h.Weekly, h.Holidays = slices.Clone(h.Weekly), slices.Clone(h.Holidays)
	for i := range h.Weekly {
		h.Weekly[i].Close = endOfDay(h.Weekly[i].Close)
	}
	for i := range h.Holidays {
		h.Holidays[i].End = endOfDay(h.Holidays[i].End)
	}
	slices.SortFunc(h.Weekly, func(a, b WeeklySpan) int {
		return cmp.Or(cmp.Compare(monday(a.Day), monday(b.Day)), cmp.Compare(a.Open, b.Open), cmp.Compare(a.Close, b.Close))
	})
	slices.SortFunc(h.Holidays, func(a, b HolidaySpan) int {
		return cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End))
	})
	return h
}

// monday counts weekdays from Monday, as Meta's enumeration does.
func monday(d time.Weekday) int { return (int(d) + 6) % 7 }

// Equal reports whether Meta does the same by both, in whatever order the spans stand. Hours that are off are all equal.
func (h CallHours) Equal(o CallHours) bool {
	if !h.Enabled || !o.Enabled {
		return h.Enabled == o.Enabled
	}
	a, b := h.normal(), o.normal()
	return a.TimeZone == b.TimeZone && slices.Equal(a.Weekly, b.Weekly) && slices.Equal(a.Holidays, b.Holidays)
}

var zoneForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// Validate reports everything Meta would refuse, at once. today is the date in h's zone, "2006-01-02", before which no holiday
// may lie; "" leaves that out. Whether Meta knows the zone only Meta can say. Hours that are off may be empty.
func (h CallHours) Validate(today string) error {
	if !h.Enabled && h.TimeZone == "" && len(h.Weekly) == 0 && len(h.Holidays) == 0 {
		return nil
	}
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: call hours: "+format, append([]any{ErrContent}, a...)...))
	}
	if len(h.TimeZone) > 64 || !zoneForm.MatchString(h.TimeZone) || h.TimeZone == "Local" {
		bad("time zone %q, write it like Asia/Jakarta", clip(h.TimeZone, 64))
	}
	if len(h.Weekly) == 0 {
		bad("no weekly span; switch calling off instead")
	}
	if len(h.Weekly) > 7*maxSpansPerDay || len(h.Holidays) > maxHolidays {
		bad("%d weekly spans and %d holidays, allowed are %d and %d", len(h.Weekly), len(h.Holidays), 7*maxSpansPerDay, maxHolidays)
		return errors.Join(errs...)
	}
	days := map[string][]daySpan{}
	for _, s := range h.Weekly {
		if s.Day < time.Sunday || s.Day > time.Saturday {
			bad("%d is no day of the week", int(s.Day))
			continue
		}
		days[s.Day.String()] = append(days[s.Day.String()], daySpan{s.Open, s.Close})
	}
	for _, s := range h.Holidays {
		if d, err := time.Parse(time.DateOnly, s.Date); err != nil || d.Format(time.DateOnly) != s.Date {
			bad("holiday %q, write the date as 2026-12-25", clip(s.Date, 32))
			continue
		}
		if today != "" && s.Date < today {
			bad("holiday %s is past", s.Date)
		}
		days[s.Date] = append(days[s.Date], daySpan{s.Start, s.End})
	}
	for day, spans := range days {
		if why := checkDay(spans); why != "" {
			bad("%s: %s", day, why)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) }) // days is a map
	return errors.Join(errs...)
}

type daySpan struct{ from, to int }

// checkDay says what is wrong with the spans of one day. Spans may touch: 0900–1200 and 1200–1700.
func checkDay(spans []daySpan) string {
	if len(spans) > maxSpansPerDay {
		return fmt.Sprintf("%d spans, allowed are %d", len(spans), maxSpansPerDay)
	}
	slices.SortFunc(spans, func(a, b daySpan) int { return cmp.Compare(a.from, b.from) })
	for i, s := range spans {
		switch to := min(s.to, minutesPerDay-1); {
		case s.from < 0 || s.to > minutesPerDay:
			return fmt.Sprintf("minutes %d to %d, allowed are 0 to %d", s.from, s.to, minutesPerDay)
		case s.from >= to:
			return fmt.Sprintf("opens at minute %d and closes at %d: the end must come after the start, over midnight takes two spans", s.from, s.to)
		case i > 0 && s.from < spans[i-1].to:
			return "spans overlap"
		}
	}
	return ""
}
