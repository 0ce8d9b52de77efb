package policy

import (
	"slices"
	"time"
)

// Hours are the call hours of a line. The zero Hours are always open. Open time is what a clock on the wall of the zone
// shows: an hour that the end of daylight saving repeats is open twice, one that its start skips never comes.
type Hours struct {
	Zone     string     `json:"zone,omitempty"` // IANA, "Asia/Jakarta"; empty: no hours, always open
	Weekly   []Span     `json:"weekly,omitempty"`
	Holidays []Holiday  `json:"holidays,omitempty"`
	Once     *HoursOnce `json:"once,omitempty"` // the one-off override
}

// Span is open time of every week. To at or before From is on the next day; "24:00" is midnight.
type Span struct {
	Day  Weekday `json:"day"`
	From Clock   `json:"from"`
	To   Clock   `json:"to"`
}

// Holiday replaces the weekly hours of one date, from midnight to midnight, also what the evening before would have brought
// over midnight: closed, or open in the given periods only.
type Holiday struct {
	Date string   `json:"date"` // 2026-12-25
	Name string   `json:"name,omitempty"`
	Open []Period `json:"open,omitempty"` // empty: closed
}

// Period is open time of one date, like Span. After midnight it ends where the next date is a holiday too.
type Period struct {
	From Clock `json:"from"`
	To   Clock `json:"to"`
}

// HoursOnce opens or closes a line until a time, whatever the hours say.
type HoursOnce struct {
	Open  bool      `json:"open"`
	Until time.Time `json:"until"`
}

// horizon is how many days ahead a change is looked for: a year and a bit.
const horizon = 400

// once is the override in force at now.
func (h Hours) once(now time.Time) (open, ok bool) {
	if h.Once == nil || !now.Before(h.Once.Until) {
		return false, false
	}
	return h.Once.Open, true
}

// Open says whether calls are taken at now. Hours in a zone that does not exist are closed: unknown means no.
func (h Hours) Open(now time.Time) bool {
	if open, ok := h.once(now); ok {
		return open
	}
	return h.regular(now)
}

// regular is Open without the override.
func (h Hours) regular(now time.Time) bool {
	if h.Zone == "" {
		return true
	}
	loc, err := loadZone(h.Zone)
	if err != nil {
		return false
	}
	t := now.In(loc)
	return h.openAt(dateOf(t), Clock(t.Hour()*60+t.Minute()))
}

// NextChange is when Open changes next; false: not within a year.
func (h Hours) NextChange(now time.Time) (time.Time, bool) {
	open, at := h.Open(now), now
	if _, ok := h.once(now); ok {
		if at = h.Once.Until; h.regular(at) != open {
			return at, true
		}
	}
	return h.change(at, open)
}

// NextOpen is now when open, else when it opens next; false: not within a year.
func (h Hours) NextOpen(now time.Time) (time.Time, bool) {
	if h.Open(now) {
		return now, true
	}
	return h.NextChange(now)
}

// ClosedSpan names the closed time around now, the same for every now in it, by its end: "until-2026-12-01T01:00:00Z". It
// is empty when open.
func (h Hours) ClosedSpan(now time.Time) string {
	if h.Open(now) {
		return ""
	}
	t, ok := h.NextChange(now)
	if !ok {
		return "for-good"
	}
	return "until-" + t.UTC().Format(time.RFC3339)
}

// change is when the regular hours, open or not at now, change next.
func (h Hours) change(now time.Time, open bool) (time.Time, bool) {
	if h.Zone == "" {
		return time.Time{}, false
	}
	loc, err := loadZone(h.Zone)
	if err != nil {
		return time.Time{}, false
	}
	day := dateOf(now.In(loc))
	var at []time.Time
	for range horizon {
		at = at[:0]
		h.boundaries(day, func(c Clock) { at = day.instants(at, c, loc) })
		at = day.instants(at, 0, loc)
		at = day.transitions(at, loc)
		slices.SortFunc(at, time.Time.Compare)
		for _, t := range at {
			if t.After(now) && h.regular(t) != open {
				return t, true
			}
		}
		day = day.next()
	}
	return time.Time{}, false
}

// openAt says whether the wall time c of a date is open.
func (h Hours) openAt(d date, c Clock) bool {
	open := false
	own, today := h.holiday(d)
	h.periods(d, own, today, func(p Period) {
		open = open || c >= p.From && (c < p.To || p.overnight())
	})
	if today {
		return open // nothing comes over from yesterday
	}
	y := d.prev()
	own, holiday := h.holiday(y)
	h.periods(y, own, holiday, func(p Period) { open = open || p.overnight() && c < p.To })
	return open
}

// boundaries calls f with every wall time of a date at which something may begin or end.
func (h Hours) boundaries(d date, f func(Clock)) {
	for _, x := range [2]date{d.prev(), d} {
		own, holiday := h.holiday(x)
		h.periods(x, own, holiday, func(p Period) {
			f(p.From)
			f(p.To)
		})
	}
}

// periods calls f with the open periods that begin on a date.
func (h Hours) periods(d date, own Holiday, holiday bool, f func(Period)) {
	if holiday {
		for _, p := range own.Open {
			f(p)
		}
		return
	}
	w := Weekday(d.weekday())
	for _, s := range h.Weekly {
		if s.Day == w {
			f(Period{s.From, s.To})
		}
	}
}

func (p Period) overnight() bool { return p.To <= p.From }

func (h Hours) holiday(d date) (Holiday, bool) {
	if len(h.Holidays) == 0 {
		return Holiday{}, false
	}
	var buf [16]byte
	s := time.Date(d.y, d.m, d.d, 0, 0, 0, 0, time.UTC).AppendFormat(buf[:0], time.DateOnly)
	for _, x := range h.Holidays {
		if x.Date == string(s) {
			return x, true
		}
	}
	return Holiday{}, false
}
