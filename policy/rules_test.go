package policy

import (
	"strings"
	"testing"
	"time"
)

func TestTheProfilesHaveTheProductsNumbers(t *testing.T) {
	s := Strict()
	if s.Line != s.Global || s.Line != (Limits{RequestsDay: 1, RequestsWeek: 1, DeclinedDay: 1, DeclinedWeek: 2, Attempts: 5, Connected: 100}) {
		t.Errorf("%+v", s)
	}
	if s.Unanswered != 3 || s.Warn != 2 || s.Permission != 7*24*time.Hour {
		t.Errorf("%+v", s)
	}
	m := Meta()
	if m.Line != (Limits{RequestsDay: 1, RequestsWeek: 2, DeclinedDay: 1, DeclinedWeek: 2, RequestsReset: true, Connected: 100}) || m.Global != (Limits{}) || m.Unanswered != 4 {
		t.Errorf("%+v", m)
	}
	test, err := NewRules(ProfileMeta, Custom{}, true)
	if err != nil || test.Line.RequestsDay != 25 || test.Line.RequestsWeek != 100 || test.Unanswered != 10 || test.Warn != 5 {
		t.Errorf("%+v, %v", test, err)
	}
	for _, profile := range []string{"", ProfileStrict} {
		if r, err := NewRules(profile, Custom{}, false); err != nil || r != s {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestProfileCustomIsAnythingNotLooserThanMeta(t *testing.T) {
	r, err := NewRules(ProfileCustom, Custom{}, false)
	if m := Meta(); err != nil || r.Line.RequestsWeek != m.Line.RequestsWeek || r.Line.RequestsReset || r.Unanswered != 4 || r.Line.Connected != 100 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = NewRules(ProfileCustom, Custom{Line: Limits{RequestsWeek: 1, Attempts: 3, Connected: 10}, Global: Limits{Attempts: 8}, Unanswered: 2, Warn: 1, Permission: Day}, false)
	if err != nil || r.Line.RequestsWeek != 1 || r.Line.DeclinedWeek != 1 || r.Line.Attempts != 3 || r.Global != (Limits{Attempts: 8}) || r.Unanswered != 2 || r.Warn != 1 || r.Permission != Day {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = NewRules(ProfileCustom, Custom{
		Line:   Limits{RequestsDay: 2, RequestsWeek: 3, DeclinedDay: 9, DeclinedWeek: -1, Attempts: 101, Connected: 101},
		Global: Limits{RequestsDay: 2}, Unanswered: 5, Warn: 6, Permission: 8 * Day,
	}, false)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"custom.line.requests_day: 2 is looser than Meta's 1; set 1 to 1, or leave it out", "custom.line.requests_week: 3 is looser than Meta's 2",
		"custom.line.declined_day: 9", "custom.line.declined_week: -1 is negative", "custom.line.attempts: 101 is looser than Meta's 100", "custom.line.connected: 101",
		"custom.global.requests_day: 2", "custom.unanswered: 5 is looser than Meta's 4", "custom.warn: 6", "custom.permission: 192h0m0s is looser than Meta's 168h",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if _, err := NewRules(ProfileCustom, Custom{Line: Limits{RequestsDay: 25}, Unanswered: 10}, true); err != nil {
		t.Error(err) // a test number's limits are wider
	}
	if _, err := NewRules("lax", Custom{}, false); err == nil || !strings.Contains(err.Error(), `use "strict", "meta" or "custom"`) {
		t.Error(err)
	}
	if _, err := NewRules(ProfileCustom, Custom{Permission: -1}, false); err == nil {
		t.Error("negative")
	}
}
