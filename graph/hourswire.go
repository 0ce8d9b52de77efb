package graph

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxReadSpans bounds what is read of call hours, above Meta's own limits, so that too much is seen and not cut to fit.
const maxReadSpans = 64

// hoursJSON is call_hours as we write it: times as HHMM (§9.1). Without holiday_schedule Meta forgets all holidays, which is
// what none of them means.
type hoursJSON struct {
	Status   string        `json:"status"`
	TimeZone string        `json:"timezone_id,omitempty"`
	Weekly   []weeklyJSON  `json:"weekly_operating_hours,omitempty"`
	Holidays []holidayJSON `json:"holiday_schedule,omitempty"`
}

type weeklyJSON struct {
	Day   string `json:"day_of_week"`
	Open  string `json:"open_time"`
	Close string `json:"close_time"`
}

type holidayJSON struct {
	Date  string `json:"date"`
	Start string `json:"start_time"`
	End   string `json:"end_time"`
}

// wire is h as Meta takes it, in a fixed order.
func (h CallHours) wire() *hoursJSON {
	h = h.normal()
	j := &hoursJSON{Status: "DISABLED", TimeZone: h.TimeZone}
	if h.Enabled {
		j.Status = "ENABLED"
	}
	for _, s := range h.Weekly {
		j.Weekly = append(j.Weekly, weeklyJSON{strings.ToUpper(s.Day.String()), clock(s.Open), clock(s.Close)})
	}
	for _, s := range h.Holidays {
		j.Holidays = append(j.Holidays, holidayJSON{s.Date, clock(s.Start), clock(s.End)})
	}
	return j
}

// clock writes a minute of the day as HHMM, the end of the day as 2359.
func clock(minute int) string {
	minute = min(minute, minutesPerDay-1)
	return fmt.Sprintf("%02d%02d", minute/60, minute%60)
}

// parseClock reads HHMM or HH:MM, 0000 to 2359 and 2400.
func parseClock(s string) (minute int, ok bool) {
	if len(s) == 5 && s[2] == ':' {
		s = s[:2] + s[3:]
	}
	if len(s) != 4 {
		return 0, false
	}
	hour, err := strconv.ParseUint(s[:2], 10, 8)
	if err != nil {
		return 0, false
	}
	m, err := strconv.ParseUint(s[2:], 10, 8)
	minute = int(hour)*60 + int(m)
	return minute, err == nil && m < 60 && minute <= minutesPerDay
}

// parseHours reads call_hours: nil when there are none or their status is NOT_SET. unread counts the spans that make no sense,
// so that whoever adopts the hours knows they are not whole.
func parseHours(raw json.RawMessage) (h *CallHours, unread int) {
	var j struct {
		Status   enum `json:"status"`
		TimeZone text `json:"timezone_id"`
		Weekly   []struct {
			Day   enum `json:"day_of_week"`
			Open  text `json:"open_time"`
			Close text `json:"close_time"`
		} `json:"weekly_operating_hours"`
		Holidays []struct {
			Date  text `json:"date"`
			Start text `json:"start_time"`
			End   text `json:"end_time"`
			Open  text `json:"open_time"` // the table's names for them
			Close text `json:"close_time"`
		} `json:"holiday_schedule"`
	}
	if len(raw) == 0 {
		return nil, 0
	}
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) || set(j.Status) == "" {
		return nil, 0
	}
	h = &CallHours{Enabled: j.Status == "ENABLED", TimeZone: clip(strings.TrimPrefix(string(j.TimeZone), "NOT_SET"), 64)}
	for _, s := range j.Weekly[:min(len(j.Weekly), maxReadSpans)] {
		day, known := weekday(string(s.Day))
		from, to, ok := parseSpan(string(s.Open), string(s.Close))
		if !known || !ok {
			unread++
			continue
		}
		h.Weekly = append(h.Weekly, WeeklySpan{day, from, to})
	}
	for _, s := range j.Holidays[:min(len(j.Holidays), maxReadSpans)] {
		_, err := time.Parse(time.DateOnly, string(s.Date))
		from, to, ok := parseSpan(first(string(s.Start), string(s.Open)), first(string(s.End), string(s.Close)))
		if err != nil || !ok {
			unread++
			continue
		}
		h.Holidays = append(h.Holidays, HolidaySpan{string(s.Date), from, to})
	}
	unread += max(0, len(j.Weekly)-maxReadSpans) + max(0, len(j.Holidays)-maxReadSpans)
	return h, unread
}

func parseSpan(open, end string) (from, to int, ok bool) {
	from, ok1 := parseClock(open)
	to, ok2 := parseClock(end)
	to = endOfDay(to)
	return from, to, ok1 && ok2 && from < to
}

func weekday(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(d.String(), name) {
			return d, true
		}
	}
	return 0, false
}
