package policy

import (
	"testing"
	"time"
)

func TestThePacksAreWholeAndInOrder(t *testing.T) {
	want := map[string][2]int{"id-2026": {17, 8}, "id-2027": {18, 8}} // as the decrees count them
	if len(Packs()) != len(want) {
		t.Fatalf("%d packs", len(Packs()))
	}
	for _, p := range Packs() {
		public, joint, before := 0, 0, ""
		for _, d := range p.Days {
			at, err := parseDate(d.Date)
			if err != nil || at.y != p.Year || d.Date <= before || d.Name == "" || d.English == "" {
				t.Errorf("%s: %+v, %v", p.ID, d, err)
			}
			if before = d.Date; d.Joint {
				joint++
			} else {
				public++
			}
		}
		if want[p.ID] != [2]int{public, joint} || p.Source == "" || p.Country != "ID" {
			t.Errorf("%s: %d public, %d joint", p.ID, public, joint)
		}
		if len(p.Holidays(false)) != public || len(p.Holidays(true)) != public+joint {
			t.Errorf("%s: wrong holidays", p.ID)
		}
		h := Hours{Zone: "Asia/Jakarta", Weekly: []Span{{1, 480, 1020}}, Holidays: p.Holidays(true)}
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// The dates that follow from the calendar alone, by Gauss's Easter and the law, held against the data.
func TestThePacksAgreeWithTheCalendar(t *testing.T) {
	easter := map[int]string{2026: "2026-04-05", 2027: "2027-03-28"}
	for _, p := range Packs() {
		has := map[string]string{}
		for _, d := range p.Days {
			if !d.Joint {
				has[d.Date] = d.English
			}
		}
		sunday, _ := time.Parse(time.DateOnly, easter[p.Year])
		if sunday.Weekday() != time.Sunday {
			t.Fatal("not a Sunday")
		}
		day := func(n int) string { return sunday.AddDate(0, 0, n).Format(time.DateOnly) }
		year := sunday.Format("2006")
		for date, name := range map[string]string{
			day(-2): "Good Friday", day(0): "Easter Sunday", day(39): "Ascension Day", year + "-01-01": "New Year's Day", year + "-05-01": "Labour Day",
			year + "-06-01": "Pancasila Day", year + "-08-17": "Independence Day", year + "-12-25": "Christmas Day",
		} {
			if has[date] != name {
				t.Errorf("%s is %q, want %s", date, has[date], name)
			}
		}
	}
}
