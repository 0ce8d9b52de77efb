package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a calendar file.
const (
	maxICS       = 1 << 20 // bytes
	maxICSLine   = 8 << 10 // bytes, unfolded
	maxICSEvents = 5000
	maxICSDays   = 62 // of one event
	maxICSYears  = 10 // from first to last date asked for
)

// event of a calendar file, as far as a holiday cares.
type icsEvent struct {
	summary    string
	start, end date // end is the first date after it
	timed      bool // times, not dates: the end was rounded up
	yearly     bool
	every      int  // years
	count      int  // 0: no limit
	until      date // last date; zero: no limit
	without    []date
	cancelled  bool
	line       int
}

// ParseICS reads the events of a calendar file (RFC 5545) as closed holidays: those that touch a date between from and to
// (dates in loc, inclusive, at most ten years), by date, each date once. An event closes every date it touches; give it special
// hours by hand. Times are read in loc where the file names no zone we know. Of recurrence it understands yearly by the date
// (RRULE:FREQ=YEARLY with INTERVAL, COUNT, UNTIL, and BYMONTH and BYMONTHDAY that repeat the date; EXDATE). The error names the
// line and every event that cannot be understood; nothing is imported then.
func ParseICS(data []byte, loc *time.Location, from, to time.Time) ([]Holiday, error) {
	first, end := dateOf(from.In(loc)), dateOf(to.In(loc))
	switch {
	case len(data) > maxICS:
		return nil, fmt.Errorf("calendar file: %d bytes; at most %d", len(data), maxICS)
	case !utf8.Valid(data):
		return nil, errors.New("calendar file: not UTF-8; export it as UTF-8")
	case end.utc().Before(first.utc()), end.y-first.y > maxICSYears:
		return nil, fmt.Errorf("calendar file: from %s to %s; ask for at most %d years, the first date first", first, end, maxICSYears)
	}
	events, err := readICS(data, loc)
	if err != nil {
		return nil, fmt.Errorf("calendar file: %w", err)
	}
	names := map[date]string{}
	for _, e := range events {
		e.expand(first, end, names)
	}
	if len(names) > maxHolidays {
		return nil, fmt.Errorf("calendar file: %d holidays; at most %d, import a shorter time", len(names), maxHolidays)
	}
	out := make([]Holiday, 0, len(names))
	for d, name := range names {
		out = append(out, Holiday{Date: d.String(), Name: name})
	}
	slices.SortFunc(out, func(a, b Holiday) int { return strings.Compare(a.Date, b.Date) })
	return out, nil
}

// readICS collects the VEVENTs.
func readICS(data []byte, loc *time.Location) ([]icsEvent, error) {
	var (
		events []icsEvent
		errs   []error
		cur    *icsEvent
		open   []string // components within which we are
		begun  bool
	)
	err := unfold(data, func(n int, line string) error {
		name, args, value, err := splitLine(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		switch name {
		case "BEGIN":
			begun = begun || strings.EqualFold(value, "VCALENDAR")
			if len(open) == 8 {
				return fmt.Errorf("line %d: components nested more than 8 deep", n)
			}
			open = append(open, strings.ToUpper(value))
			if len(open) == 2 && open[1] == "VEVENT" {
				if len(events) == maxICSEvents {
					return fmt.Errorf("line %d: more than %d events; import a shorter time", n, maxICSEvents)
				}
				cur = &icsEvent{line: n, every: 1}
			}
			return nil
		case "END":
			if len(open) == 0 || open[len(open)-1] != strings.ToUpper(value) {
				return fmt.Errorf("line %d: END:%.32s without its BEGIN", n, value)
			}
			open = open[:len(open)-1]
			if cur != nil && len(open) == 1 {
				if err := cur.finish(); err != nil {
					errs = append(errs, fmt.Errorf("line %d: event %.64q: %w", cur.line, cur.summary, err))
				} else if !cur.cancelled {
					events = append(events, *cur)
				}
				cur = nil
			}
			return nil
		}
		if cur == nil || len(open) != 2 { // not in an event, or in an alarm within it
			return nil
		}
		if err := cur.property(name, args, value, loc); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %s: %w", n, name, err))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case !begun:
		return nil, errors.New("no BEGIN:VCALENDAR; is it an .ics file?")
	case len(open) > 0:
		return nil, fmt.Errorf("ends within %.32s; was the file cut off?", open[len(open)-1])
	}
	if len(errs) > 20 {
		errs = append(errs[:20:20], fmt.Errorf("and %d more", len(errs)-20))
	}
	return events, errors.Join(errs...)
}

// unfold calls f with each content line: a line that begins with a space or tab continues the one before (RFC 5545 §3.1).
func unfold(data []byte, f func(n int, line string) error) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var line []byte
	begin, n := 0, 0
	flush := func() error {
		if len(line) == 0 {
			return nil
		}
		return f(begin, string(line))
	}
	for len(data) > 0 {
		var raw []byte
		raw, data, _ = bytes.Cut(data, []byte("\n"))
		raw = bytes.TrimSuffix(raw, []byte("\r"))
		n++
		if len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
			line = append(line, raw[1:]...)
		} else {
			if err := flush(); err != nil {
				return err
			}
			line, begin = append(line[:0], raw...), n
		}
		if len(line) > maxICSLine {
			return fmt.Errorf("line %d: longer than %d bytes", begin, maxICSLine)
		}
	}
	return flush()
}

// splitLine takes NAME;ARG=x;ARG="y":value apart. Names are upper case in the result.
func splitLine(line string) (name string, args map[string]string, value string, err error) {
	quoted := false
	colon := strings.IndexFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ':' && !quoted
	})
	if colon < 0 {
		return "", nil, "", fmt.Errorf("%.32q has no colon", line)
	}
	head, value := line[:colon], line[colon+1:]
	name, rest, _ := strings.Cut(head, ";")
	for rest != "" {
		var arg string
		if arg, rest, _ = strings.Cut(rest, ";"); args == nil {
			args = map[string]string{}
		}
		k, v, _ := strings.Cut(arg, "=")
		args[strings.ToUpper(k)] = strings.Trim(v, `"`)
	}
	return strings.ToUpper(name), args, value, nil
}

func (e *icsEvent) property(name string, args map[string]string, value string, loc *time.Location) (err error) {
	switch name {
	case "SUMMARY":
		e.summary = icsText(value)
	case "STATUS":
		e.cancelled = strings.EqualFold(value, "CANCELLED")
	case "DTSTART":
		e.start, _, e.timed, err = icsTime(args, value, loc)
	case "DTEND":
		var midnight bool
		if e.end, midnight, _, err = icsTime(args, value, loc); err == nil && !midnight {
			e.end = e.end.next() // the date it ends in is touched
		}
	case "DURATION":
		return errors.New("is not understood; give the event an end (DTEND)")
	case "RRULE":
		return e.rule(value, loc)
	case "RDATE":
		return errors.New("is not understood; make these events of their own")
	case "EXDATE":
		for v := range strings.SplitSeq(value, ",") {
			d, _, _, err := icsTime(args, v, loc)
			if err != nil {
				return err
			}
			e.without = append(e.without, d)
		}
	}
	return err
}

// icsTime reads a DATE or DATE-TIME as its date in loc. midnight says that nothing of that date has passed.
func icsTime(args map[string]string, value string, loc *time.Location) (d date, midnight, timed bool, err error) {
	t, err := time.ParseInLocation("20060102", value, time.UTC)
	if err == nil {
		return checkYear(dateOf(t), true, false)
	}
	zone := loc
	if z, err := loadZone(args["TZID"]); err == nil {
		zone = z
	}
	if v, ok := strings.CutSuffix(value, "Z"); ok {
		value, zone = v, time.UTC
	}
	if t, err = time.ParseInLocation("20060102T150405", value, zone); err != nil {
		return date{}, false, false, fmt.Errorf("%.32q is no date; write 20261225 or 20261225T080000", value)
	}
	t = t.In(loc)
	return checkYear(dateOf(t), t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0, true)
}

func checkYear(d date, midnight, timed bool) (date, bool, bool, error) {
	if d.y < 1900 || d.y > 2200 {
		return date{}, false, false, fmt.Errorf("year %d; use 1900 to 2200", d.y)
	}
	return d, midnight, timed, nil
}

func (e *icsEvent) rule(value string, loc *time.Location) error {
	var month, day int
	for part := range strings.SplitSeq(value, ";") {
		k, v, _ := strings.Cut(strings.ToUpper(part), "=")
		n, err := strconv.Atoi(v)
		number := err == nil && n > 0 && n <= 1000
		switch {
		case k == "FREQ" && v == "YEARLY":
			e.yearly = true
		case k == "INTERVAL" && number:
			e.every = n
		case k == "COUNT" && number:
			e.count = n
		case k == "UNTIL":
			d, _, _, err := icsTime(nil, v, loc)
			if err != nil {
				return err
			}
			e.until = d
		case k == "BYMONTH" && number:
			month = n
		case k == "BYMONTHDAY" && number:
			day = n
		case k == "WKST":
		default:
			return fmt.Errorf("%.32q is not understood; only events that recur yearly on their date are, make the others events of their own", part)
		}
	}
	switch {
	case !e.yearly:
		return errors.New("has no FREQ=YEARLY")
	case month != 0 && e.start.y != 0 && month != int(e.start.m), day != 0 && e.start.y != 0 && day != e.start.d:
		return errors.New("recurs on another date than its start; make these events of their own")
	}
	return nil
}

// finish checks an event when its end has been read.
func (e *icsEvent) finish() error {
	if e.start.y == 0 {
		return errors.New("has no DTSTART")
	}
	if e.end.y == 0 || e.end == e.start { // no end: one day (RFC 5545 §3.6.1)
		e.end = e.start.next()
	}
	days := e.end.utc().Sub(e.start.utc()) / Day
	if days < 1 {
		return errors.New("ends before it begins")
	}
	if days > maxICSDays {
		return fmt.Errorf("lasts %d days; at most %d are taken for a holiday", days, maxICSDays)
	}
	return nil
}

// expand adds the dates between first and last that the event touches. The first event of a date names it.
func (e icsEvent) expand(first, last date, names map[date]string) {
	days := int(e.end.utc().Sub(e.start.utc()) / Day)
	done := 0
	for y := e.start.y; y <= last.y; y += e.every {
		start := date{y, e.start.m, e.start.d}
		if dateOf(start.utc()) != start { // 29 February of a common year does not recur (RFC 5545 §3.3.10)
			continue
		}
		if e.until.y != 0 && start.utc().After(e.until.utc()) {
			return
		}
		if y >= first.y-1 && !slices.Contains(e.without, start) {
			for i, d := 0, start; i < days; i, d = i+1, d.next() {
				if _, named := names[d]; !named && !d.utc().Before(first.utc()) && !d.utc().After(last.utc()) {
					names[d] = e.summary
				}
			}
		}
		if done++; !e.yearly || done == e.count {
			return
		}
	}
}

// icsText undoes the escapes of a TEXT (RFC 5545 §3.3.11) and makes it a name: one line, printable, bounded.
func icsText(s string) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(s) && n < maxHolidayName; n++ {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		if r == '\\' && i < len(s) {
			r, size = utf8.DecodeRuneInString(s[i:])
			i += size
			if r == 'n' || r == 'N' {
				r = ' '
			}
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else if unicode.IsSpace(r) {
			b.WriteByte(' ')
		}
	}
	return strings.TrimSpace(b.String())
}
