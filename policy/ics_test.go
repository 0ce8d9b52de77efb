package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func ics(lines ...string) []byte {
	return []byte("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCALENDAR\r\n")
}

func event(lines ...string) []byte {
	return ics("BEGIN:VEVENT\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT")
}

func TestACalendarFileBecomesHolidays(t *testing.T) {
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2028, 12, 31, 0, 0, 0, 0, time.UTC)
	jakarta, _ := time.LoadLocation("Asia/Jakarta")
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"a date", event("DTSTART;VALUE=DATE:20261225", "SUMMARY:Natal"), "2026-12-25 Natal"},
		{"an end, which is not included", event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", "SUMMARY:x"), "2026-12-24 x, 2026-12-25 x, 2026-12-26 x"},
		{"an end on the same date", event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261224"), "2026-12-24 "},
		{"folded lines and escapes", event("DTSTART:20261225", `SUMMARY:Hari\, Raya\;`, `  Natal \\ `, "\tdan\\nlagi"), `2026-12-25 Hari, Raya; Natal \ dan lagi`},
		{"a time closes the whole date", event("DTSTART:20261224T120000", "DTEND:20261224T180000", "SUMMARY:x"), "2026-12-24 x"},
		{"times to midnight", event("DTSTART:20261224T000000", "DTEND:20261226T000000", "SUMMARY:x"), "2026-12-24 x, 2026-12-25 x"},
		{"times past midnight", event("DTSTART:20261224T220000", "DTEND:20261225T020000", "SUMMARY:x"), "2026-12-24 x, 2026-12-25 x"},
		{"UTC is another date here", event("DTSTART:20261224T180000Z", "DTEND:20261225T160000Z", "SUMMARY:x"), "2026-12-25 x"},
		{"a zone of the file's own", event("DTSTART;TZID=America/New_York:20261224T120000", "DTEND;TZID=America/New_York:20261224T120100", "SUMMARY:x"), "2026-12-25 x"},
		{"a zone that nobody knows", event("DTSTART;TZID=\"Our:Zone\":20261224T120000", "SUMMARY:x"), "2026-12-24 x"},
		{"yearly", event("DTSTART;VALUE=DATE:20200817", "RRULE:FREQ=YEARLY", "SUMMARY:x"), "2026-08-17 x, 2027-08-17 x, 2028-08-17 x"},
		{"yearly, written out", event("DTSTART;VALUE=DATE:20200817", "RRULE:FREQ=YEARLY;BYMONTH=8;BYMONTHDAY=17;INTERVAL=2", "SUMMARY:x"), "2026-08-17 x, 2028-08-17 x"},
		{"yearly, counted", event("DTSTART;VALUE=DATE:20250817", "RRULE:FREQ=YEARLY;COUNT=3", "SUMMARY:x"), "2026-08-17 x, 2027-08-17 x"},
		{"yearly, until", event("DTSTART;VALUE=DATE:20250817", "RRULE:FREQ=YEARLY;UNTIL=20260817", "SUMMARY:x"), "2026-08-17 x"},
		{"yearly, but not then", event("DTSTART;VALUE=DATE:20250817", "RRULE:FREQ=YEARLY", "EXDATE;VALUE=DATE:20260817,20280817", "SUMMARY:x"), "2027-08-17 x"},
		{"29 February", event("DTSTART;VALUE=DATE:20240229", "RRULE:FREQ=YEARLY", "SUMMARY:x"), "2028-02-29 x"},
		{"over New Year", event("DTSTART;VALUE=DATE:20251231", "DTEND;VALUE=DATE:20260102", "SUMMARY:x"), "2026-01-01 x"},
		{"cancelled", event("DTSTART:20261225", "STATUS:CANCELLED"), ""},
		{"an alarm's own summary", event("DTSTART:20261225", "SUMMARY:x", "BEGIN:VALARM", "SUMMARY:wake up", "DURATION:PT15M", "END:VALARM"), "2026-12-25 x"},
		{"two of a date", ics("BEGIN:VEVENT\r\nDTSTART:20261225\r\nSUMMARY:a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART:20261225\r\nSUMMARY:b\r\nEND:VEVENT"), "2026-12-25 a"},
		{"bare line feeds and a byte order mark", []byte("\ufeffBEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261225\nSUMMARY:x\u202e\nEND:VEVENT\nEND:VCALENDAR"), "2026-12-25 x"},
		{"outside what was asked for", event("DTSTART:20311225"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			hs, err := ParseICS(c.file, jakarta, from, to)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, h := range hs {
				got = append(got, h.Date+" "+h.Name)
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("%q, want %q", s, c.want)
			}
		})
	}
}

func TestABadCalendarFileIsRefusedWithTheLine(t *testing.T) {
	from, to := epoch, epoch.AddDate(1, 0, 0)
	for want, file := range map[string][]byte{
		"no BEGIN:VCALENDAR":               []byte("hello: world"),
		"line 1: \"hello\" has no colon":   []byte("hello"),
		"was the file cut off":             []byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\n"),
		"without its BEGIN":                []byte("BEGIN:VCALENDAR\nEND:VEVENT\n"),
		"nested more than 8 deep":          []byte(strings.Repeat("BEGIN:X\n", 9)),
		"not UTF-8":                        []byte("BEGIN:VCALENDAR\nX:\xff\n"),
		"longer than 8192":                 []byte("X:" + strings.Repeat("a", 9000)),
		"at most 1048576":                  make([]byte, maxICS+1),
		"line 4: DTSTART: \"20261325\" is": event("DTSTART:20261325"),
		"year 1026; use 1900":              event("DTSTART:10261225"),
		"has no DTSTART":                   event("SUMMARY:x"),
		"ends before it begins":            event("DTSTART:20261225", "DTEND:20261224"),
		"lasts 365 days":                   event("DTSTART:20260101", "DTEND:20270101"),
		"DURATION: is not understood":      event("DTSTART:20261225", "DURATION:P1D"),
		"RDATE: is not understood":         event("DTSTART:20261225", "RDATE:20261226"),
		"\"FREQ=WEEKLY\" is not":           event("DTSTART:20261225", "RRULE:FREQ=WEEKLY"),
		"\"BYDAY=1MO\" is not":             event("DTSTART:20261225", "RRULE:FREQ=YEARLY;BYDAY=1MO"),
		"has no FREQ=YEARLY":               event("DTSTART:20261225", "RRULE:COUNT=2"),
		"\"INTERVAL=0\" is not":            event("DTSTART:20261225", "RRULE:FREQ=YEARLY;INTERVAL=0"),
		"on another date than its start":   event("DTSTART:20261225", "RRULE:FREQ=YEARLY;BYMONTHDAY=24"),
		"and 10 more":                      ics(strings.Repeat("BEGIN:VEVENT\r\nEND:VEVENT\r\n", 30)),
		"more than 5000 events":            ics(strings.Repeat("BEGIN:VEVENT\r\nDTSTART:20261225\r\nEND:VEVENT\r\n", 5001)),
	} {
		if _, err := ParseICS(file, time.UTC, from, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if _, err := ParseICS(event("DTSTART:20261225"), time.UTC, from, from.AddDate(11, 0, 0)); err == nil {
		t.Error("eleven years")
	}
	var many []string
	for i := range 20 {
		start := epoch.AddDate(0, 0, 60*i)
		many = append(many, fmt.Sprintf("BEGIN:VEVENT\r\nDTSTART:%s\r\nDTEND:%s\r\nEND:VEVENT", start.Format("20060102"), start.AddDate(0, 0, 60).Format("20060102")))
	}
	if _, err := ParseICS(ics(many...), time.UTC, from, from.AddDate(5, 0, 0)); err == nil || !strings.Contains(err.Error(), "at most 1000") {
		t.Error(err)
	}
}

func FuzzParseICS(f *testing.F) {
	f.Add(event("DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", `SUMMARY:a\, b`, " c", "RRULE:FREQ=YEARLY;COUNT=3", "EXDATE:20271224"))
	f.Add(event("DTSTART;TZID=Europe/Berlin:20261224T120000", "DTEND:20261225T020000Z", "STATUS:CONFIRMED"))
	f.Add([]byte("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:19000229\nRRULE:FREQ=YEARLY;INTERVAL=3\nEND:VEVENT\nEND:VCALENDAR"))
	seeds, _ := filepath.Glob("testdata/*.ics")
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	from, to := epoch, epoch.AddDate(3, 0, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		hs, err := ParseICS(data, time.UTC, from, to)
		if err != nil {
			if len(err.Error()) > 64<<10 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		h := Hours{Zone: "UTC", Weekly: []Span{{1, 480, 1020}}, Holidays: hs}
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
		if _, err := h.ToMeta(from); err != nil {
			t.Error(err)
		}
	})
}
