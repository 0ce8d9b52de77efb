package simulator

import (
	"errors"
	"testing"
	"time"
)

func hoursIn(zone string, weekly []any, holidays ...any) obj {
	h := obj{"status": "ENABLED", "timezone_id": zone, "weekly_operating_hours": weekly}
	if holidays != nil {
		h["holiday_schedule"] = holidays
	}
	return h
}

func window(day, open, end string) obj {
	return obj{"day_of_week": day, "open_time": open, "close_time": end}
}

func holiday(date, start, end string) obj {
	return obj{"date": date, "start_time": start, "end_time": end}
}

// 23 November 2026 is a Monday.
func TestCallHoursAtTheMinute(t *testing.T) {
	t.Parallel()
	office := []any{window("MONDAY", "0800", "1200"), window("MONDAY", "13:00", "17:00"), window("TUESDAY", "2200", "2359"), window("WEDNESDAY", "0000", "0200")}
	jakarta := hoursIn("Asia/Jakarta", office, holiday("2026-11-30", "0000", "2359"), holiday("2026-12-07", "1000", "1100"))
	allDay := []any{window("SUNDAY", "0100", "0400")}
	for name, c := range map[string]struct {
		hours obj
		at    string // RFC 3339, any zone
		open  bool
	}{
		"disabled means open":             {obj{"status": "DISABLED"}, "2026-11-23T03:00:00+07:00", true},
		"before opening":                  {jakarta, "2026-11-23T07:59:59+07:00", false},
		"at opening":                      {jakarta, "2026-11-23T08:00:00+07:00", true},
		"the same moment told in UTC":     {jakarta, "2026-11-23T01:00:00Z", true},
		"last second":                     {jakarta, "2026-11-23T11:59:59+07:00", true},
		"at closing":                      {jakarta, "2026-11-23T12:00:00+07:00", false},
		"second window with a colon":      {jakarta, "2026-11-23T16:59:59+07:00", true},
		"a day without hours":             {jakarta, "2026-11-26T10:00:00+07:00", false},
		"split at midnight, last minute":  {jakarta, "2026-11-24T23:59:30+07:00", true},
		"split at midnight, first minute": {jakarta, "2026-11-25T00:00:00+07:00", true},
		"holiday is closed time":          {jakarta, "2026-11-30T10:00:00+07:00", false},
		"holiday ends with its date":      {jakarta, "2026-12-01T22:30:00+07:00", true},
		"before a holiday window":         {jakarta, "2026-12-07T09:59:59+07:00", true},
		"in a holiday window":             {jakarta, "2026-12-07T10:00:00+07:00", false},
		"after a holiday window":          {jakarta, "2026-12-07T11:00:00+07:00", true},
		"summer time skips an hour":       {hoursIn("Europe/Berlin", allDay), "2027-03-28T01:30:00Z", true},  // 03:30 in Berlin
		"winter time repeats an hour":     {hoursIn("Europe/Berlin", allDay), "2026-10-25T00:30:00Z", true},  // 02:30, first
		"winter time, second pass":        {hoursIn("Europe/Berlin", allDay), "2026-10-25T01:30:00Z", true},  // 02:30, again
		"winter time, closed again":       {hoursIn("Europe/Berlin", allDay), "2026-10-25T03:00:00Z", false}, // 04:00
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			n := newNumber(testNumber())
			n.settings["call_hours"] = deepCopy(c.hours)
			if got := n.hoursOpen(at); got != c.open {
				t.Errorf("open %v, want %v", got, c.open)
			}
		})
	}
}

func TestCallOutsideHoursNeverReachesTheBusiness(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Numbers[0].CallbackPermission = true })
	cust := p.customer(func(c *CustomerConfig) { c.Permission, c.WindowClosed = PermissionNone, true })
	p.meta.Clock().Set(noon) // 19:00 in Jakarta
	calling := obj{"call_hours": hoursIn("Asia/Jakarta", []any{window("MONDAY", "0800", "1700"), window("TUESDAY", "0800", "1700")})}
	status, out := p.graph("POST", testPNID+"/settings", obj{"calling": calling})
	wantOK(t, status, out)
	_, err := cust.Call(testCtx(t), testPNID, CallOptions{})
	if !errors.Is(err, ErrOutsideHours) || !errors.Is(err, ErrCallRefused) {
		t.Fatalf("call at night: %v", err)
	}
	if got := p.order(); len(got) != 0 || len(p.meta.ActiveCalls()) != 0 {
		t.Errorf("webhooks %v", got)
	}
	if kind, _ := cust.PermissionFor(testPNID); kind != PermissionNone {
		t.Errorf("the popup granted %s", kind)
	}
	if _, out := p.graph("POST", testPNID+"/messages", textMessage()); errCode(out) != 131047 {
		t.Errorf("the popup opened the window: %v", out)
	}
	p.meta.Clock().Advance(14 * time.Hour) // Tuesday 09:00
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{}); err != nil {
		t.Errorf("call in the morning: %v", err)
	}
	p.wait("connect")
	if p.meta.Panics() != 0 {
		t.Error("panic")
	}
}
