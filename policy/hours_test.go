package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func clockAt(t testing.TB, s string) Clock {
	t.Helper()
	var c Clock
	if err := c.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return c
}

// hours is a week in short: "monday 08:00-17:00, …".
func hours(t testing.TB, zone, week string) Hours {
	t.Helper()
	h := Hours{Zone: zone}
	for s := range strings.SplitSeq(week, ", ") {
		day, times, _ := strings.Cut(s, " ")
		from, to, _ := strings.Cut(times, "-")
		var w Weekday
		if err := w.UnmarshalText([]byte(day)); err != nil {
			t.Fatal(err)
		}
		h.Weekly = append(h.Weekly, Span{w, clockAt(t, from), clockAt(t, to)})
	}
	return h
}

func local(t testing.TB, zone, s string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestOpenBySpansOverMidnightAndHolidays(t *testing.T) {
	const zone = "Asia/Jakarta"
	h := hours(t, zone, "monday 08:00-12:00, monday 13:00-17:00, friday 22:00-02:00, saturday 20:00-24:00, sunday 23:00-01:00")
	h.Holidays = []Holiday{
		{Date: "2026-12-07", Name: "closed Monday"},
		{Date: "2026-12-14", Name: "short Monday", Open: []Period{{clockAt(t, "10:00"), clockAt(t, "11:00")}}},
		{Date: "2026-12-19", Name: "closed Saturday, which cuts Friday's night"},
		{Date: "2026-12-25", Name: "special Friday over midnight", Open: []Period{{clockAt(t, "23:00"), clockAt(t, "03:00")}}},
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2026-11-30 07:59:59": false, "2026-11-30 08:00:00": true, "2026-11-30 11:59:59": true, "2026-11-30 12:00:00": false,
		"2026-11-30 13:00:00": true, "2026-11-30 17:00:00": false, "2026-11-30 00:59:59": true, "2026-11-30 01:00:00": false,
		"2026-12-04 22:00:00": true, "2026-12-05 01:59:59": true, "2026-12-05 02:00:00": false,
		"2026-12-05 23:59:59": true, "2026-12-06 00:00:00": false, "2026-12-06 23:00:00": true,
		"2026-12-07 00:30:00": false, "2026-12-07 09:00:00": false, "2026-12-14 09:59:00": false, "2026-12-14 10:00:00": true, "2026-12-14 13:30:00": false,
		"2026-12-18 23:59:59": true, "2026-12-19 00:00:00": false, "2026-12-19 21:00:00": false,
		"2026-12-25 22:30:00": false, "2026-12-25 23:00:00": true, "2026-12-26 02:59:59": true, "2026-12-26 03:00:00": false,
	} {
		if got := h.Open(local(t, zone, at)); got != want {
			t.Errorf("%s: open %v", at, got)
		}
	}
}

func TestDaylightSavingGapsAndFolds(t *testing.T) {
	for _, c := range []struct {
		name, zone, week, at, next string // UTC
		open                       bool
	}{
		// Berlin skips 02:00–03:00 on 29 March 2026 and repeats 02:00–03:00 on 25 October.
		{"Berlin, a span begins in the skipped hour", "Europe/Berlin", "sunday 02:30-04:00", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", false},
		{"Berlin, a span within the skipped hour never comes", "Europe/Berlin", "sunday 02:00-03:00", "2026-03-28T00:00:00Z", "2026-04-05T00:00:00Z", false},
		{"Berlin, closing time within the skipped hour", "Europe/Berlin", "sunday 01:00-02:30", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", true},
		{"Berlin, a span in the repeated hour, first time", "Europe/Berlin", "sunday 02:00-02:30", "2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z", true},
		{"Berlin, a span in the repeated hour, again", "Europe/Berlin", "sunday 02:00-02:30", "2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z", false},
		{"Berlin, a span in the repeated hour, its end", "Europe/Berlin", "sunday 02:00-02:30", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z", true},
		{"Berlin, a span around it is an hour longer", "Europe/Berlin", "sunday 01:00-04:00", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", true},
		// New York skips 02:00–03:00 on 8 March and repeats 01:00–02:00 on 1 November.
		{"New York, over the gap", "America/New_York", "sunday 01:30-03:30", "2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", true},
		{"New York, closed by the fold and opened again", "America/New_York", "sunday 00:00-01:30", "2026-11-01T05:20:00Z", "2026-11-01T05:30:00Z", true},
		{"New York, open again when 01:00 comes back", "America/New_York", "sunday 00:00-01:30", "2026-11-01T05:40:00Z", "2026-11-01T06:00:00Z", false},
		{"Jakarta knows no daylight saving", "Asia/Jakarta", "sunday 02:00-03:00", "2026-03-28T18:00:00Z", "2026-03-28T19:00:00Z", false},
		// Lord Howe moves by 30 minutes: 02:00 to 02:30 on 4 October 2026, back on 5 April.
		{"Lord Howe, half an hour is skipped", "Australia/Lord_Howe", "sunday 02:15-04:00", "2026-10-03T15:00:00Z", "2026-10-03T15:30:00Z", false},
		{"Lord Howe, half an hour is repeated", "Australia/Lord_Howe", "sunday 01:00-01:45", "2026-04-04T14:50:00Z", "2026-04-04T15:00:00Z", false},
		{"Kolkata is half an hour off", "Asia/Kolkata", "monday 09:00-10:00", "2026-11-30T00:00:00Z", "2026-11-30T03:30:00Z", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hours(t, c.zone, c.week)
			now, _ := time.Parse(time.RFC3339, c.at)
			if h.Open(now) != c.open {
				t.Errorf("open %v at %s", !c.open, c.at)
			}
			if got, ok := h.NextChange(now); !ok || got.UTC().Format(time.RFC3339) != c.next {
				t.Errorf("changes %v, want %s", got.UTC(), c.next)
			}
		})
	}
}

// The wall clock, minute by minute, is the oracle: it shows the same whatever the zone does.
func TestRandomHoursChangeWhenTheWallClockSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHours(t)
		loc, _ := time.LoadLocation(h.Zone)
		now := rapid.SampledFrom([]time.Time{epoch, time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC), time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 12, 0, 0, 0, time.UTC), time.Date(2026, 4, 4, 9, 0, 0, 0, time.UTC)}).
			Draw(t, "now").Add(time.Duration(rapid.IntRange(0, 36*60).Draw(t, "minutes")) * time.Minute)
		if h.Once != nil {
			h.Once.Until = now.Add(time.Duration(rapid.IntRange(-60, 600).Draw(t, "until")) * time.Minute)
		}
		open := func(at time.Time) bool {
			if h.Once != nil && at.Before(h.Once.Until) {
				return h.Once.Open
			}
			wall := at.In(loc).Format("2006-01-02 15:04")
			day, minute := wall[:10], wall[11:]
			spans := func(day string) (ps [][2]string, holiday bool) {
				for _, x := range h.Holidays {
					if x.Date == day {
						for _, p := range x.Open {
							ps = append(ps, [2]string{p.From.String(), p.To.String()})
						}
						return ps, true
					}
				}
				d, _ := time.Parse(time.DateOnly, day)
				for _, s := range h.Weekly {
					if time.Weekday(s.Day) == d.Weekday() {
						ps = append(ps, [2]string{s.From.String(), s.To.String()})
					}
				}
				return ps, false
			}
			today, holiday := spans(day)
			for _, p := range today {
				if minute >= p[0] && (minute < p[1] || p[1] <= p[0]) {
					return true
				}
			}
			d, _ := time.Parse(time.DateOnly, day)
			before, _ := spans(d.AddDate(0, 0, -1).Format(time.DateOnly))
			for _, p := range before {
				if !holiday && p[1] <= p[0] && minute < p[1] {
					return true
				}
			}
			return false
		}
		next, ok := h.NextChange(now)
		state := open(now)
		if got := h.Open(now); got != state {
			t.Fatalf("open %v at %v", got, now.In(loc))
		}
		opens, _ := h.NextOpen(now)
		for m := range 3 * 24 * 60 {
			at := now.Truncate(time.Minute).Add(time.Duration(m) * time.Minute)
			if at.Before(now) || open(at) == state {
				continue
			}
			if !ok || !next.Equal(at) {
				t.Fatalf("changes %v, the wall clock says %v", next.In(loc), at.In(loc))
			}
			if !state && !opens.Equal(at) || state && !opens.Equal(now) {
				t.Fatalf("opens %v", opens)
			}
			return
		}
		if ok && next.Before(now.Add(3*24*time.Hour)) {
			t.Fatalf("changes %v, the wall clock says not within three days", next.In(loc))
		}
	})
}

func TestAnOverrideOpensOrClosesUntilItsTime(t *testing.T) {
	const zone = "Asia/Jakarta"
	h := hours(t, zone, "monday 08:00-17:00")
	now := local(t, zone, "2026-11-30 10:00:00")
	h.Once = &HoursOnce{Open: false, Until: local(t, zone, "2026-11-30 12:00:00")}
	if next, _ := h.NextOpen(now); h.Open(now) || !next.Equal(h.Once.Until) {
		t.Errorf("closed override: opens %v", next)
	}
	h.Once.Until = local(t, zone, "2026-11-30 18:00:00") // past closing time
	if next, _ := h.NextOpen(now); !next.Equal(local(t, zone, "2026-12-07 08:00:00")) {
		t.Errorf("closed override past closing: opens %v", next)
	}
	h.Once = &HoursOnce{Open: true, Until: local(t, zone, "2026-12-01 03:00:00")}
	if next, _ := h.NextChange(now); !next.Equal(h.Once.Until) {
		t.Errorf("open override ends %v", next)
	}
	always := Hours{Once: &HoursOnce{Until: now.Add(time.Hour)}}
	if next, ok := always.NextOpen(now); always.Open(now) || !ok || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("24/7, closed for an hour: opens %v", next)
	}
	if _, ok := (Hours{}).NextChange(now); ok || !(Hours{}).Open(now) {
		t.Error("no hours are not always open")
	}
}

func TestAClosedSpanHasOneNameFromItsBeginningToItsEnd(t *testing.T) {
	const zone = "Europe/Berlin"
	h := hours(t, zone, "friday 08:00-17:00, monday 08:00-17:00")
	first := h.ClosedSpan(local(t, zone, "2026-11-27 17:00:00"))
	if first != "until-2026-11-30T07:00:00Z" || h.ClosedSpan(local(t, zone, "2026-11-30 07:59:59")) != first {
		t.Errorf("%q", first)
	}
	if h.ClosedSpan(local(t, zone, "2026-11-30 08:00:00")) != "" {
		t.Error("named while open")
	}
	if next := h.ClosedSpan(local(t, zone, "2026-11-30 17:00:00")); next == first || next == "" {
		t.Errorf("%q", next)
	}
	if got := (Hours{Zone: zone}).ClosedSpan(epoch); got != "for-good" {
		t.Error(got)
	}
	s := State{}.Apply(Event{Kind: EventAutoReply, At: epoch, ID: first})
	if !s.AutoReplied(first) || s.AutoReplied("until-later") {
		t.Error("once per span")
	}
}

func TestHoursInAnUnknownZoneAreClosed(t *testing.T) {
	h := hours(t, "Mars/Olympus", "monday 00:00-24:00")
	if h.Open(epoch) {
		t.Error("open")
	}
	if _, ok := h.NextOpen(epoch); ok {
		t.Error("opens")
	}
}

func TestValidateNamesEveryProblemAtOnce(t *testing.T) {
	bad := Hours{
		Zone: "Asia/Jakrta",
		Weekly: []Span{
			{Day: 1, From: 480, To: 720}, {Day: 1, From: 700, To: 900}, {Day: 9, From: 1, To: 2}, {Day: 2, From: 1500, To: 60}, {Day: 2, From: 60, To: 1600},
			{Day: 3, From: 480, To: 480}, {Day: 6, From: 1320, To: 120}, {Day: 0, From: 60, To: 180},
		},
		Holidays: []Holiday{{Date: "2026-02-30"}, {Date: "2026-12-25"}, {Date: "2026-12-25"}, {Date: "2026-12-26", Name: strings.Repeat("x", 129), Open: []Period{{480, 700}, {600, 800}}}},
		Once:     &HoursOnce{},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`zone: "Asia/Jakrta" is no time zone; use its IANA name`, "weekly[1]: overlaps weekly[0]", "weekly[2].day: 9 is no day", "weekly[3].from: 25:00 is no time of day", "weekly[4].to: 26:40",
		"weekly[5]: begins and ends at 08:00", "weekly[7]: overlaps weekly[6]", `holidays[0].date: "2026-02-30" is no date`, "holidays[2].date: 2026-12-25 is holidays[1] already",
		"holidays[3].name:", "holidays[3].open[1]: overlaps holidays[3].open[0]", "once.until: is missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 12 {
		t.Errorf("%d problems:\n%v", n, err)
	}
	for name, h := range map[string]Hours{
		"zone: hours need":   {Weekly: []Span{{1, 480, 1020}}},
		"weekly: is empty":   {Zone: "Asia/Jakarta"},
		"is one span too ma": {Zone: "UTC", Weekly: manySpans()},
		"holidays: are 1001": {Zone: "UTC", Weekly: []Span{{1, 480, 1020}}, Holidays: make([]Holiday, 1001)},
	} {
		if err := h.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, good := range []Hours{{}, hours(t, "Asia/Jakarta", "monday 08:00-12:00, monday 12:00-24:00, tuesday 00:00-01:00, saturday 22:00-02:00, sunday 02:00-03:00")} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func manySpans() (s []Span) {
	for i := range 13 {
		s = append(s, Span{1, Clock(60 * i), Clock(60*i + 30)})
	}
	return s
}

func TestHoursAreWrittenAsPeopleDo(t *testing.T) {
	h := hours(t, "Asia/Jakarta", "monday 08:00-24:00")
	h.Holidays = []Holiday{{Date: "2026-12-25", Name: "Natal"}}
	const want = `{"zone":"Asia/Jakarta","weekly":[{"day":"monday","from":"08:00","to":"24:00"}],"holidays":[{"date":"2026-12-25","name":"Natal"}]}`
	if got := mustJSON(t, h); got != want {
		t.Error(got)
	}
	for _, bad := range []string{"8", "08:0", "24:01", "25:00", "-1:00", "08:60", "008:00", "", "08:00:00", "+8:00"} {
		var c Clock
		if c.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is a time of day", bad)
		}
	}
	var w Weekday
	if err := json.Unmarshal([]byte(`"moonday"`), &w); err == nil || !strings.Contains(err.Error(), "monday") {
		t.Error(err)
	}
}

func TestMetaGetsTwoSpansADaySplitAtMidnight(t *testing.T) {
	h := hours(t, "Europe/Berlin", "monday 08:00-12:00, monday 13:00-17:00, friday 22:00-02:00, sunday 20:00-24:00")
	m, err := h.ToMeta(epoch)
	if err != nil {
		t.Fatal(err)
	}
	want := []MetaSpan{{1, "0800", "1200"}, {1, "1300", "1700"}, {5, "2200", "2359"}, {6, "0000", "0200"}, {0, "2000", "2359"}}
	if !m.Enabled || m.Zone != "Europe/Berlin" || len(m.Weekly) != len(want) {
		t.Fatalf("%+v", m)
	}
	for i, s := range want {
		if m.Weekly[i] != s {
			t.Errorf("%+v, want %+v", m.Weekly[i], s)
		}
	}
	touching := hours(t, "Europe/Berlin", "monday 08:00-12:00, monday 12:00-13:00, monday 14:00-15:00, sunday 22:00-24:00")
	if m, err := touching.ToMeta(epoch); err != nil || len(m.Weekly) != 3 {
		t.Errorf("%+v, %v", m, err)
	}
	three := hours(t, "Europe/Berlin", "monday 22:00-02:00, tuesday 08:00-12:00, tuesday 13:00-17:00")
	three.Holidays = []Holiday{{Date: "2026-12-24", Open: []Period{{480, 600}, {700, 800}}}}
	_, err = three.ToMeta(epoch)
	if err == nil || !strings.Contains(err.Error(), "tuesday has 3 spans") || !strings.Contains(err.Error(), "2026-12-24 is closed 3 times") {
		t.Error(err)
	}
	for _, open := range []Hours{{}, {Zone: "UTC", Weekly: h.Weekly, Once: &HoursOnce{Open: true, Until: epoch.Add(time.Hour)}}} {
		if m, err := open.ToMeta(epoch); err != nil || m.Enabled {
			t.Errorf("%+v, %v", m, err)
		}
	}
	if _, err := (Hours{Zone: "UTC"}).ToMeta(epoch); err == nil {
		t.Error("Meta wants at least one span")
	}
}

func TestOfTwentyFiveHolidaysMetaGetsTheNextTwenty(t *testing.T) {
	const zone = "Pacific/Auckland"
	h := hours(t, zone, "monday 08:00-17:00")
	for i := range 25 { // the last first: the order in the settings does not matter
		h.Holidays = append(h.Holidays, Holiday{Date: epoch.AddDate(0, 0, 7*(24-i)).Format(time.DateOnly)})
	}
	dates := func(at string) (s []string) {
		m, err := h.ToMeta(local(t, zone, at))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Holidays {
			if x.Start != "0000" || x.End != "2359" {
				t.Errorf("%+v", x)
			}
			s = append(s, x.Date)
		}
		return s
	}
	first := dates("2026-11-02 23:59:59") // still the first holiday there
	if len(first) != 20 || first[0] != "2026-11-02" || first[19] != "2027-03-15" {
		t.Errorf("%v", first)
	}
	next := dates("2026-11-03 00:00:00")
	if len(next) != 20 || next[0] != "2026-11-09" || next[19] != "2027-03-22" {
		t.Errorf("%v", next)
	}
	for _, x := range h.Holidays { // all 25 are enforced here
		if h.Open(local(t, zone, x.Date+" 09:00:00")) {
			t.Errorf("open on %s", x.Date)
		}
	}
}

func TestAHolidayWithSpecialHoursIsClosedTimeAroundThemAtMeta(t *testing.T) {
	h := hours(t, "Asia/Jakarta", "monday 08:00-17:00")
	h.Holidays = []Holiday{
		{Date: "2026-12-24", Open: []Period{{9 * 60, 12 * 60}}},
		{Date: "2026-12-25", Open: []Period{{0, 8 * 60}, {8 * 60, 12 * 60}}},
		{Date: "2026-12-26", Open: []Period{{22 * 60, 2 * 60}}},
		{Date: "2026-12-27", Open: []Period{{0, 1440}}},
	}
	m, err := h.ToMeta(epoch)
	if err != nil {
		t.Fatal(err)
	}
	want := []MetaHoliday{{"2026-12-24", "0000", "0900"}, {"2026-12-24", "1200", "2359"}, {"2026-12-25", "1200", "2359"}, {"2026-12-26", "0000", "2200"}}
	if len(m.Holidays) != len(want) {
		t.Fatalf("%+v", m.Holidays)
	}
	for i := range want {
		if m.Holidays[i] != want[i] {
			t.Errorf("%+v, want %+v", m.Holidays[i], want[i])
		}
	}
}

// What passes Validate can be lived by: every question has an answer, and the answers fit together.
func FuzzHours(f *testing.F) {
	f.Add([]byte(`{"zone":"Europe/Berlin","weekly":[{"day":"monday","from":"08:00","to":"12:00"},{"day":"sunday","from":"22:00","to":"02:00"}],"holidays":[{"date":"2026-12-25","name":"x","open":[{"from":"10:00","to":"24:00"}]}]}`), int64(1_796_000_000))
	f.Add([]byte(`{"zone":"Australia/Lord_Howe","weekly":[{"day":"sunday","from":"01:45","to":"02:15"}],"once":{"open":true,"until":"2026-12-01T00:00:00Z"}}`), int64(1_775_314_800))
	f.Add([]byte(`{"zone":"Pacific/Apia","weekly":[{"day":"friday","from":"00:00","to":"24:00"}],"holidays":[{"date":"2011-12-30"}]}`), int64(1_325_200_000))
	f.Fuzz(func(t *testing.T, data []byte, unix int64) {
		var h Hours
		if json.Unmarshal(data, &h) != nil || unix < 0 || unix > 1<<33 {
			return
		}
		now := time.Unix(unix, 0)
		valid := h.Validate() == nil
		next, ok := h.NextChange(now)
		if !valid {
			return
		}
		if ok && (!next.After(now) || h.Open(next) == h.Open(now) || h.Open(next.Add(-1)) != h.Open(now)) {
			t.Fatalf("open %v at %v, change at %v", h.Open(now), now.UTC(), next.UTC())
		}
		if (h.ClosedSpan(now) == "") != h.Open(now) {
			t.Fatal("a closed span while open, or none while closed")
		}
		m, err := h.ToMeta(now)
		if err == nil && (len(m.Holidays) > 20 || len(m.Weekly) > 14) {
			t.Fatalf("%+v", m)
		}
	})
}
