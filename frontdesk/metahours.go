package frontdesk

import (
	"slices"
	"strconv"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
)

const minutesPerDay = 24 * 60

// CallHours are the hours for Meta in the words of package graph.
func CallHours(m policy.MetaHours) *graph.CallHours {
	h := &graph.CallHours{Enabled: m.Enabled, TimeZone: m.Zone}
	for _, w := range m.Weekly {
		h.Weekly = append(h.Weekly, graph.WeeklySpan{Day: w.Day, Open: minutes(w.Open), Close: minutes(w.Close)})
	}
	for _, x := range m.Holidays {
		h.Holidays = append(h.Holidays, graph.HolidaySpan{Date: x.Date, Start: minutes(x.Start), End: minutes(x.End)})
	}
	return h
}

// minutes reads "0830"; Meta's day ends at "2359".
func minutes(hhmm string) int {
	n, _ := strconv.Atoi(hhmm) // package policy wrote it
	if n == 2359 {
		return minutesPerDay
	}
	return n/100*60 + n%100
}

func zoneOf(name string) *time.Location {
	if z, err := time.LoadLocation(name); err == nil {
		return z
	}
	return time.UTC
}

// policyHours are Meta's hours as ours. Names of holidays, which Meta does not hold, come from own, and so do the holidays after
// the last that Meta has room for.
func policyHours(m *graph.CallHours, own policy.Hours) policy.Hours {
	if m == nil || !m.Enabled {
		return policy.Hours{}
	}
	h := policy.Hours{Zone: m.TimeZone}
	for _, w := range m.Weekly {
		h.Weekly = append(h.Weekly, policy.Span{Day: policy.Weekday(w.Day), From: policy.Clock(w.Open), To: policy.Clock(w.Close)})
	}
	closed := map[string][]policy.Period{}
	last := ""
	for _, x := range m.Holidays {
		closed[x.Date] = append(closed[x.Date], policy.Period{From: policy.Clock(x.Start), To: policy.Clock(x.End)})
		last = max(last, x.Date)
	}
	for date, spans := range closed {
		h.Holidays = append(h.Holidays, policy.Holiday{Date: date, Name: nameOf(date, own), Open: openBeside(spans, date, m.Weekly)})
	}
	if len(m.Holidays) >= maxMetaHolidays {
		for _, x := range own.Holidays {
			if x.Date > last {
				h.Holidays = append(h.Holidays, x)
			}
		}
	}
	slices.SortFunc(h.Holidays, func(a, b policy.Holiday) int {
		if a.Date < b.Date {
			return -1
		}
		return 1
	})
	return h
}

// maxMetaHolidays is how many Meta holds (contract §9.1).
const maxMetaHolidays = 20

func nameOf(date string, own policy.Hours) string {
	for _, x := range own.Holidays {
		if x.Date == date {
			return x.Name
		}
	}
	return ""
}

// openBeside is what the closed spans of a date leave of its weekday's open ones.
func openBeside(closed []policy.Period, date string, weekly []graph.WeeklySpan) []policy.Period {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return nil
	}
	slices.SortFunc(closed, func(a, b policy.Period) int { return int(a.From - b.From) })
	var open []policy.Period
	for _, w := range weekly {
		if w.Day != day.Weekday() {
			continue
		}
		at, end := policy.Clock(w.Open), policy.Clock(w.Close)
		for _, c := range closed {
			if c.From > at && c.From < end {
				open = append(open, policy.Period{From: at, To: c.From})
			}
			at = max(at, c.To)
		}
		if at < end {
			open = append(open, policy.Period{From: at, To: end})
		}
	}
	return open
}
