package simulator

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

// callHours is calling.call_hours (§9.1).
type callHours struct {
	Status   string `json:"status"`
	Timezone string `json:"timezone_id"`
	Weekly   []struct {
		Day   string `json:"day_of_week"`
		Open  string `json:"open_time"`
		Close string `json:"close_time"`
	} `json:"weekly_operating_hours"`
	Holidays []struct {
		Date  string `json:"date"`
		Start string `json:"start_time"`
		End   string `json:"end_time"`
	} `json:"holiday_schedule"`
}

const (
	maxHolidays   = 20
	windowsPerDay = 2
)

var weekdays = []string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"}

func readHours(v any) (h callHours, ok bool) {
	o, isObject := v.(obj)
	raw, err := json.Marshal(o)
	return h, isObject && err == nil && json.Unmarshal(raw, &h) == nil
}

func checkHours(v any, now time.Time) *graphError {
	h, ok := readHours(v)
	if !ok {
		return refuse(100, "Invalid call_hours")
	}
	if h.Status != "ENABLED" && h.Status != "DISABLED" {
		return refuse(100, "Invalid status in call_hours, must be ENABLED or DISABLED")
	}
	zone, err := zoneOf(h.Timezone)
	if err != nil {
		return refuse(100, "Invalid timezone_id %q, it is required also when status is DISABLED", cut(h.Timezone, 64))
	}
	if len(h.Weekly) == 0 {
		return refuse(100, "weekly_operating_hours can not be empty, also when status is DISABLED")
	}
	windows := map[string][][2]string{}
	for _, w := range h.Weekly {
		if !slices.Contains(weekdays, w.Day) {
			return refuse(100, "Invalid day_of_week %q", cut(w.Day, 64))
		}
		if e := addWindow(windows, w.Day, w.Open, w.Close); e != nil {
			return e
		}
	}
	if len(h.Holidays) > maxHolidays {
		return refuse(100, "At most %d entries in holiday_schedule", maxHolidays)
	}
	today := now.In(zone).Format(time.DateOnly)
	for _, d := range h.Holidays {
		if _, err := time.Parse(time.DateOnly, d.Date); err != nil {
			return refuse(100, "Invalid date format %q, must be YYYY-MM-DD", cut(d.Date, 64))
		}
		if d.Date < today {
			return refuse(100, "Holiday %s is in the past", d.Date)
		}
		if e := addWindow(windows, d.Date, d.Start, d.End); e != nil {
			return e
		}
	}
	return nil
}

func zoneOf(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, errors.New("no time zone")
	}
	return time.LoadLocation(name)
}

var hhmm = regexp.MustCompile(`^([01][0-9]|2[0-3]):?[0-5][0-9]$`)

// clockTime brings HH:MM, which one of Meta's samples prints, to HHMM.
func clockTime(s string) string { return strings.Replace(s, ":", "", 1) }

func addWindow(windows map[string][][2]string, key, open, end string) *graphError {
	if !hhmm.MatchString(open) || !hhmm.MatchString(end) {
		return refuse(100, "Invalid time on %s, must be HHMM", key)
	}
	if open, end = clockTime(open), clockTime(end); open >= end {
		return refuse(100, "Invalid schedule on %s: must open before it closes", key)
	}
	for _, w := range windows[key] {
		if open < w[1] && w[0] < end {
			return refuse(100, "Overlapping schedule on %s", key)
		}
	}
	windows[key] = append(windows[key], [2]string{open, end})
	if len(windows[key]) > windowsPerDay {
		return refuse(100, "More than %d entries on %s", windowsPerDay, key)
	}
	return nil
}

// hoursOpen says whether customers' calls come through: always when call_hours is DISABLED, else in a weekly window that
// no holiday window closes. m.mu is held.
func (n *number) hoursOpen(now time.Time) bool {
	h, ok := readHours(n.settings["call_hours"])
	if !ok || h.Status != "ENABLED" {
		return true
	}
	zone, err := zoneOf(h.Timezone)
	if err != nil {
		return true // it was checked when it was set
	}
	local := now.In(zone)
	date, clock := local.Format(time.DateOnly), local.Format("1504")
	for _, d := range h.Holidays {
		if d.Date == date && inWindow(clock, d.Start, d.End) {
			return false
		}
	}
	weekday := strings.ToUpper(local.Weekday().String())
	for _, w := range h.Weekly {
		if w.Day == weekday && inWindow(clock, w.Open, w.Close) {
			return true
		}
	}
	return false
}

// inWindow takes the end as exclusive, but 2359 as the end of the day: that is how hours over midnight are split.
func inWindow(clock, start, end string) bool {
	start, end = clockTime(start), clockTime(end)
	return start <= clock && (clock < end || end == "2359")
}
