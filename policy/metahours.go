package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Meta's bounds (contract §9.1).
const (
	metaSpansPerDay = 2
	metaHolidays    = 20
)

// MetaHours are the hours as Meta can hold them (contract §9.1).
type MetaHours struct {
	Enabled  bool // false: Meta lets every call through
	Zone     string
	Weekly   []MetaSpan    // open time from Monday on, at most two a day, split at midnight
	Holidays []MetaHoliday // closed time of the next dates, at most 20
}

// MetaSpan is open time of a day of the week, "0800" to "1700". The end of the day is "2359".
type MetaSpan struct {
	Day         time.Weekday
	Open, Close string
}

// MetaHoliday is closed time of a date.
type MetaHoliday struct {
	Date       string // 2026-12-25
	Start, End string // "0000", "2359"
}

// ToMeta are the hours for Meta as of now: push them again when a holiday has passed. The error names everything Meta cannot
// hold; then nothing is to be pushed, and the hours are enforced here as ever. While the line is opened by an override Meta
// is to let everything through; closed by one, the calls that arrive are refused here. Holidays with special hours are
// closed time around them; Meta has no way to be open on a holiday when the weekly hours are not.
func (h Hours) ToMeta(now time.Time) (MetaHours, error) {
	if open, ok := h.once(now); h.Zone == "" || ok && open {
		return MetaHours{}, nil
	}
	loc, err := loadZone(h.Zone)
	if err != nil {
		return MetaHours{}, fmt.Errorf("zone: %w", err)
	}
	m := MetaHours{Enabled: true, Zone: h.Zone}
	var errs []error
	for i := range 7 {
		day := time.Weekday((i + 1) % 7)
		open := h.week(day)
		if len(open) > metaSpansPerDay {
			errs = append(errs, fmt.Errorf("weekly: %s has %d spans, WhatsApp holds %d a day; they are enforced here only, until two are joined", Weekday(day), len(open), metaSpansPerDay))
		}
		for _, s := range open {
			m.Weekly = append(m.Weekly, MetaSpan{Day: day, Open: hhmm(s.from), Close: hhmm(s.to)})
		}
	}
	if len(m.Weekly) == 0 {
		errs = append(errs, errors.New("weekly: is empty, and WhatsApp wants at least one span; add one"))
	}
	holidays, err := h.metaHolidays(dateOf(now.In(loc)))
	if err = errors.Join(append(errs, err)...); err != nil {
		return MetaHours{}, err
	}
	m.Holidays = holidays
	return m, nil
}

// week is the open time of a day of the week in minutes, with what the evening before brings over midnight.
func (h Hours) week(day time.Weekday) []stretch {
	var all []stretch
	for _, s := range h.Weekly {
		p := Period{s.From, s.To}
		if time.Weekday(s.Day) == day {
			x := p.stretch(0, "")
			all = append(all, stretch{from: x.from, to: min(x.to, int(endOfDay))})
		}
		if p.overnight() && (time.Weekday(s.Day)+1)%7 == day && s.To > 0 {
			all = append(all, stretch{to: int(s.To)})
		}
	}
	return joined(all)
}

// joined sorts stretches and joins those that touch.
func joined(all []stretch) []stretch {
	slices.SortFunc(all, func(a, b stretch) int { return a.from - b.from })
	var out []stretch
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return slices.DeleteFunc(out, func(s stretch) bool { return hhmm(s.from) == hhmm(s.to) })
}

// metaHolidays is the closed time of the next holidays from a date on.
func (h Hours) metaHolidays(from date) ([]MetaHoliday, error) {
	next := slices.Clone(h.Holidays)
	next = slices.DeleteFunc(next, func(x Holiday) bool {
		d, err := parseDate(x.Date)
		return err != nil || d.utc().Before(from.utc())
	})
	slices.SortFunc(next, func(a, b Holiday) int { return slices.Compare([]byte(a.Date), []byte(b.Date)) })
	var out []MetaHoliday
	var errs []error
	for _, x := range next {
		closed := x.closed()
		if len(out)+len(closed) > metaHolidays {
			break
		}
		if len(closed) > metaSpansPerDay {
			errs = append(errs, fmt.Errorf("holidays: %s is closed %d times, WhatsApp holds %d a day; it is enforced here only, until its hours are joined", x.Date, len(closed), metaSpansPerDay))
		}
		for _, s := range closed {
			out = append(out, MetaHoliday{Date: x.Date, Start: hhmm(s.from), End: hhmm(s.to)})
		}
	}
	return out, errors.Join(errs...)
}

// closed is what a holiday's periods leave of its date.
func (x Holiday) closed() []stretch {
	var open []stretch
	for _, p := range x.Open {
		s := p.stretch(0, "")
		open = append(open, stretch{from: s.from, to: min(s.to, int(endOfDay))})
	}
	var out []stretch
	at := 0
	for _, s := range joined(open) {
		if s.from > at {
			out = append(out, stretch{from: at, to: s.from})
		}
		at = s.to
	}
	if at < int(endOfDay) {
		out = append(out, stretch{from: at, to: int(endOfDay)})
	}
	return out
}

// hhmm writes minutes as Meta does, whose day ends at 2359.
func hhmm(minute int) string {
	if minute >= int(endOfDay) {
		minute = int(endOfDay) - 1
	}
	return fmt.Sprintf("%02d%02d", minute/60, minute%60)
}
