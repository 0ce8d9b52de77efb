package policy

import (
	"time"

	"pgregory.net/rapid"
)

var testZones = []string{"Europe/Berlin", "America/New_York", "Asia/Jakarta", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"}

func drawHours(t *rapid.T) Hours {
	h := Hours{Zone: rapid.SampledFrom(testZones).Draw(t, "zone")}
	clock := func(name string) Clock {
		return Clock(rapid.SampledFrom([]int{0, 30, 60, 90, 120, 150, 180, 480, 720, 1020, 1320, 1439}).Draw(t, name))
	}
	for range rapid.IntRange(0, 8).Draw(t, "spans") {
		s := Span{Day: Weekday(rapid.IntRange(0, 6).Draw(t, "day")), From: clock("from"), To: clock("to")}
		if s.From != s.To {
			h.Weekly = append(h.Weekly, s)
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "holidays") {
		x := Holiday{Date: epoch.AddDate(0, 0, rapid.IntRange(-8, 20).Draw(t, "date")).Format(time.DateOnly)}
		if p := (Period{clock("from"), clock("to")}); p.From != p.To && rapid.Bool().Draw(t, "special") {
			x.Open = append(x.Open, p)
		}
		h.Holidays = append(h.Holidays, x)
	}
	if rapid.IntRange(0, 3).Draw(t, "once") == 0 {
		h.Once = &HoursOnce{Open: rapid.Bool().Draw(t, "opened"), Until: epoch.Add(drawStep(t))}
	}
	return h
}
