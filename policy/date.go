package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// date is a day on the calendar.
type date struct {
	y int
	m time.Month
	d int
}

func dateOf(t time.Time) date {
	y, m, d := t.Date()
	return date{y, m, d}
}

func (d date) utc() time.Time        { return time.Date(d.y, d.m, d.d, 0, 0, 0, 0, time.UTC) }
func (d date) weekday() time.Weekday { return d.utc().Weekday() }
func (d date) next() date            { return dateOf(d.utc().AddDate(0, 0, 1)) }
func (d date) prev() date            { return dateOf(d.utc().AddDate(0, 0, -1)) }
func (d date) String() string        { return d.utc().Format(time.DateOnly) }

// instants appends every instant at which a clock in loc shows c on this date: one, two in a repeated hour, none in a
// skipped one.
func (d date) instants(at []time.Time, c Clock, loc *time.Location) []time.Time {
	wall := d.utc().Add(time.Duration(c) * time.Minute)
	_, before := wall.Add(-36 * time.Hour).In(loc).Zone()
	_, after := wall.Add(36 * time.Hour).In(loc).Zone()
	for i, offset := range [2]int{before, after} {
		if i == 1 && after == before {
			break
		}
		t := wall.Add(-time.Duration(offset) * time.Second)
		if _, real := t.In(loc).Zone(); real == offset {
			at = append(at, t)
		}
	}
	return at
}

// transitions appends the instants of this date at which the zone sets its clocks.
func (d date) transitions(at []time.Time, loc *time.Location) []time.Time {
	start := d.utc().Add(-14 * time.Hour) // before the date begins anywhere
	end := d.utc().Add(36 * time.Hour)    // after it has ended everywhere
	for t := start; t.Before(end); {
		_, t = t.In(loc).ZoneBounds()
		if t.IsZero() {
			break
		}
		if t.Before(end) && dateOf(t.In(loc)) == d { // those of the next date come after its own times
			at = append(at, t)
		}
	}
	return at
}

func parseDate(s string) (date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return date{}, fmt.Errorf("%.32q is no date; write it like 2026-12-25", s)
	}
	return dateOf(t), nil
}

// Clock is a time of day in minutes since midnight, written "08:30"; "24:00" is the end of the day.
type Clock int

// String implements fmt.Stringer.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// MarshalText implements encoding.TextMarshaler.
func (c Clock) MarshalText() ([]byte, error) {
	if c < 0 || c > endOfDay {
		return nil, fmt.Errorf("%d minutes are no time of day", int(c))
	}
	return []byte(c.String()), nil
}

const endOfDay Clock = 24 * 60

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Clock) UnmarshalText(b []byte) error {
	h, m, ok := strings.Cut(string(b), ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	v := Clock(hour*60 + minute)
	if !ok || len(h) > 2 || len(m) != 2 || err1 != nil || err2 != nil || minute > 59 || v > endOfDay {
		return fmt.Errorf("%.16q is no time of day; write it like 08:30, at most 24:00", b)
	}
	*c = v
	return nil
}

// Weekday is a day of the week, written "monday".
type Weekday time.Weekday

// String implements fmt.Stringer.
func (w Weekday) String() string { return strings.ToLower(time.Weekday(w).String()) }

// MarshalText implements encoding.TextMarshaler.
func (w Weekday) MarshalText() ([]byte, error) {
	if w < 0 || w > 6 {
		return nil, fmt.Errorf("%d is no day of the week", int(w))
	}
	return []byte(w.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *Weekday) UnmarshalText(b []byte) error {
	for d := range Weekday(7) {
		if strings.EqualFold(d.String(), string(b)) {
			*w = d
			return nil
		}
	}
	return fmt.Errorf("%.16q is no day of the week; write it like monday", b)
}
