package policy

import "time"

// Hours are the call hours of a line. The zero Hours are always open.
type Hours struct {
	Zone     string     `json:"zone,omitempty"` // IANA, "Asia/Jakarta"; empty: no hours, always open
	Weekly   []Span     `json:"weekly,omitempty"`
	Holidays []Holiday  `json:"holidays,omitempty"`
	Once     *HoursOnce `json:"once,omitempty"` // the one-off override
}

// Span is open time of every week. To at or before From means on the next day; "24:00" is midnight.
type Span struct {
	Day  Weekday `json:"day"`
	From Clock   `json:"from"`
	To   Clock   `json:"to"`
}

// Holiday replaces the weekly hours of one date: closed, or open in the given periods only.
type Holiday struct {
	Date string   `json:"date"` // 2026-12-25
	Name string   `json:"name,omitempty"`
	Open []Period `json:"open,omitempty"` // empty: closed
}

// Period is open time of one date, like Span.
type Period struct {
	From Clock `json:"from"`
	To   Clock `json:"to"`
}

// HoursOnce opens or closes a line until a time, whatever the hours say.
type HoursOnce struct {
	Open  bool      `json:"open"`
	Until time.Time `json:"until"`
}

// Clock is a time of day in minutes since midnight, written "08:30"; "24:00" is the end of the day.
type Clock int

// Weekday is a day of the week, written "monday".
type Weekday time.Weekday

// Validate returns every problem at once, each with its path ("weekly[1].from: …").
func (h Hours) Validate() error { return nil }

// Open says whether calls are taken at now: whether a clock on the wall in the zone shows open time.
func (h Hours) Open(now time.Time) bool { return true }

// NextChange is when Open changes next; false: not within a year.
func (h Hours) NextChange(now time.Time) (time.Time, bool) { return time.Time{}, false }

// NextOpen is now when open, else when it opens next; false: not within a year.
func (h Hours) NextOpen(now time.Time) (time.Time, bool) { return now, true }

// ClosedSpan names the closed time around now, the same for every now in it; empty when open.
func (h Hours) ClosedSpan(now time.Time) string { return "" }

// MetaHours are the hours as Meta can hold them (contract §9.1).
type MetaHours struct {
	Enabled  bool // false: Meta lets every call through
	Zone     string
	Weekly   []MetaSpan    // open time, at most two a day, split at midnight
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

// ToMeta are the hours for Meta as of now. The error names what Meta cannot hold; nothing is to be pushed then, and the
// hours are enforced here as ever.
func (h Hours) ToMeta(now time.Time) (MetaHours, error) { return MetaHours{}, nil }
