package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// berlin are the call hours of the contract's sample (§9.1).
var berlin = CallHours{Enabled: true, TimeZone: "Europe/Berlin",
	Weekly:   []WeeklySpan{{time.Monday, 8 * 60, 12 * 60}, {time.Monday, 13 * 60, 17 * 60}},
	Holidays: []HolidaySpan{{"2026-12-25", 0, 24 * 60}}}

func TestSettingsAreReadWhole(t *testing.T) {
	c, g := serve(t, golden(t, "answer/settings"))
	s, err := c.Settings(t.Context(), "700")
	if err != nil {
		t.Fatal(err)
	}
	g.was(t, "GET /v25.0/700/settings", "")
	if s.Status != "ENABLED" || s.Icons != "DEFAULT" || s.Callback != "ENABLED" || s.SIP != "DISABLED" || s.KeyExchange != "DTLS" || s.Voicemail != "ENABLED" ||
		!slices.Equal(s.ExtraCodecs, []string{"PCMA", "PCMU"}) || !slices.Equal(s.Countries, []string{"DE", "AT", "CH"}) {
		t.Errorf("%+v", s)
	}
	if s.Hours == nil || !s.Hours.Equal(berlin) || s.HoursUnread != 0 {
		t.Errorf("hours %+v", s.Hours)
	}
	if len(s.Restrictions) != 1 || s.Restrictions[0].Type != RestrictedOutbound || s.Restrictions[0].Reason != "too many complaints" || s.Restrictions[0].Expires.Unix() != 1791021600 {
		t.Errorf("restrictions %+v", s.Restrictions)
	}
}

func TestSettingsAreWrittenInTheContractsForm(t *testing.T) {
	hours := berlin
	hours.Weekly = []WeeklySpan{berlin.Weekly[1], berlin.Weekly[0]}
	for name, c := range map[string]struct {
		change SettingsChange
		want   string
	}{
		"all": {SettingsChange{Status: "ENABLED", Icons: "DEFAULT", Callback: "ENABLED", Codecs: []string{"PCMA", "PCMU"}, Hours: &hours,
			SIPOff: true, Today: "2026-12-25"}, golden(t, "request/settings")},
		"only the status":   {SettingsChange{Status: "DISABLED"}, `{"calling":{"status":"DISABLED"}}`},
		"only the icons":    {SettingsChange{Icons: "DISABLE_ALL"}, `{"calling":{"call_icon_visibility":"DISABLE_ALL"}}`},
		"only the callback": {SettingsChange{Callback: "DISABLED"}, `{"calling":{"callback_permission_status":"DISABLED"}}`},
		"only SIP":          {SettingsChange{SIPOff: true}, `{"calling":{"sip":{"status":"DISABLED"}}}`},
		"Opus alone":        {SettingsChange{Codecs: []string{}}, `{"calling":{"audio":{"additional_codecs":[]}}}`},
		"hours off":         {SettingsChange{Hours: &CallHours{}}, `{"calling":{"call_hours":{"status":"DISABLED"}}}`},
		"hours without holiday": {SettingsChange{Hours: &CallHours{Enabled: true, TimeZone: "UTC", Weekly: []WeeklySpan{{time.Sunday, 0, 1440}}}},
			`{"calling":{"call_hours":{"status":"ENABLED","timezone_id":"UTC","weekly_operating_hours":[{"day_of_week":"SUNDAY","open_time":"0000","close_time":"2359"}]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			cl, g := serve(t, `{"success":true}`)
			if err := cl.WriteSettings(t.Context(), "700", c.change); err != nil {
				t.Fatal(err)
			}
			g.was(t, "POST /v25.0/700/settings", c.want)
		})
	}
}

func TestBadSettingsAreNotWritten(t *testing.T) {
	for name, change := range map[string]SettingsChange{
		"nothing":             {},
		"today":               {Today: "2026-12-25"},
		"status":              {Status: "ON"},
		"icons":               {Icons: "HIDE_IN_CHAT"},
		"callback":            {Callback: "enabled"},
		"codec":               {Codecs: []string{"OPUS"}},
		"hours":               {Status: "ENABLED", Hours: &CallHours{Enabled: true}},
		"a holiday yesterday": {Today: "2026-12-26", Hours: &berlin},
	} {
		c, m := client(says(200, ok))
		if err := c.WriteSettings(t.Context(), "700", change); !errors.Is(err, ErrContent) || len(m.asked) != 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(m.asked))
		}
	}
}

func TestCallHoursAreValidated(t *testing.T) {
	weekly := func(spans ...WeeklySpan) func(*CallHours) { return func(h *CallHours) { h.Weekly = spans } }
	holidays := func(spans ...HolidaySpan) func(*CallHours) { return func(h *CallHours) { h.Holidays = spans } }
	mon := func(open, end int) WeeklySpan { return WeeklySpan{time.Monday, open, end} }
	var twentyOne []HolidaySpan
	for i := range 21 {
		twentyOne = append(twentyOne, HolidaySpan{fmt.Sprintf("2027-01-%02d", i+1), 0, 1440})
	}
	for name, c := range map[string]struct {
		change func(*CallHours)
		want   string // part of the error, "" for none
	}{
		"as it is":             {func(*CallHours) {}, ""},
		"no zone":              {func(h *CallHours) { h.TimeZone = "" }, "write it like Asia/Jakarta"},
		"local zone":           {func(h *CallHours) { h.TimeZone = "Local" }, "time zone"},
		"path as zone":         {func(h *CallHours) { h.TimeZone = "../etc/passwd" }, "time zone"},
		"odd zones":            {func(h *CallHours) { h.TimeZone = "America/Argentina/Buenos_Aires" }, ""},
		"offset zone":          {func(h *CallHours) { h.TimeZone = "Etc/GMT+7" }, ""},
		"no week":              {weekly(), "no weekly span"},
		"a whole day":          {weekly(mon(0, 1440)), ""},
		"to 2359":              {weekly(mon(0, 1439)), ""},
		"three spans":          {weekly(mon(0, 60), mon(120, 180), mon(240, 300)), "3 spans"},
		"spans that touch":     {weekly(mon(720, 1020), mon(480, 720)), ""},
		"spans that overlap":   {weekly(mon(719, 1020), mon(480, 720)), "overlap"},
		"the same on two days": {weekly(mon(480, 720), WeeklySpan{time.Tuesday, 480, 720}), ""},
		"over midnight":        {weekly(mon(1320, 120)), "over midnight takes two spans"},
		"empty span":           {weekly(mon(480, 480)), "must come after"},
		"only the last minute": {weekly(mon(1439, 1440)), "must come after"},
		"before midnight":      {weekly(mon(-1, 60)), "allowed are 0 to 1440"},
		"after midnight":       {weekly(mon(60, 1441)), "allowed are 0 to 1440"},
		"eighth day":           {weekly(WeeklySpan{time.Weekday(7), 0, 60}), "no day of the week"},
		"fifteen spans":        {weekly(make([]WeeklySpan, 15)...), "15 weekly spans"},
		"20 holidays":          {holidays(twentyOne[:20]...), ""},
		"21 holidays":          {holidays(twentyOne...), "21 holidays"},
		"bad date":             {holidays(HolidaySpan{"2027-02-30", 0, 60}), "write the date as"},
		"date the other way":   {holidays(HolidaySpan{"25.12.2026", 0, 60}), "write the date as"},
		"today":                {holidays(HolidaySpan{"2026-12-01", 0, 60}), ""},
		"yesterday":            {holidays(HolidaySpan{"2026-11-30", 0, 60}), "is past"},
		"holiday twice":        {holidays(HolidaySpan{"2026-12-25", 0, 60}, HolidaySpan{"2026-12-25", 30, 90}), "overlap"},
		"holiday in two parts": {holidays(HolidaySpan{"2026-12-25", 0, 60}, HolidaySpan{"2026-12-25", 90, 120}), ""},
		"off and empty":        {func(h *CallHours) { *h = CallHours{} }, ""},
		"off with a bad week":  {func(h *CallHours) { h.Enabled, h.Weekly = false, []WeeklySpan{{time.Monday, 60, 0}} }, "must come after"},
	} {
		h := berlin
		c.change(&h)
		err := h.Validate("2026-12-01")
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrContent) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	h := berlin
	h.Holidays = []HolidaySpan{{"2020-01-01", 0, 60}}
	if err := h.Validate(""); err != nil {
		t.Errorf("without today: %v", err)
	}
}

func TestCallHoursAreEqualInAnyOrder(t *testing.T) {
	shuffled := CallHours{Enabled: true, TimeZone: "Europe/Berlin", Weekly: []WeeklySpan{berlin.Weekly[1], berlin.Weekly[0]},
		Holidays: []HolidaySpan{{"2026-12-25", 0, 1439}}}
	if !berlin.Equal(shuffled) || !shuffled.Equal(berlin) {
		t.Error("order or the last minute of a day matters")
	}
	if shuffled.Weekly[0] != berlin.Weekly[1] || shuffled.Holidays[0].End != 1439 {
		t.Error("comparing changed the hours")
	}
	for name, change := range map[string]func(*CallHours){
		"zone": func(h *CallHours) { h.TimeZone = "Europe/Vienna" }, "off": func(h *CallHours) { h.Enabled = false },
		"week": func(h *CallHours) { h.Weekly = h.Weekly[:1] }, "holidays": func(h *CallHours) { h.Holidays = nil },
		"time": func(h *CallHours) { h.Weekly = []WeeklySpan{h.Weekly[0], {time.Monday, 13 * 60, 1438}} },
	} {
		other := berlin
		change(&other)
		if berlin.Equal(other) || other.Equal(berlin) {
			t.Errorf("%s does not matter", name)
		}
	}
	off := berlin
	off.Enabled = false
	if !off.Equal(CallHours{}) {
		t.Error("two ways to be open at all hours differ")
	}
}

func TestCallHoursAreReadGenerously(t *testing.T) {
	for name, c := range map[string]struct {
		hours  string
		want   *CallHours
		unread int
	}{
		"absent":         {`null`, nil, 0},
		"NOT_SET":        {`"NOT_SET"`, nil, 0},
		"status NOT_SET": {`{"status":"NOT_SET","timezone_id":"NOT_SET"}`, nil, 0},
		"disabled":       {`{"status":"DISABLED"}`, &CallHours{}, 0},
		"with colons": {`{"status":"enabled","timezone_id":"UTC","weekly_operating_hours":[{"day_of_week":"Monday","open_time":"04:00","close_time":"24:00"}]}`,
			&CallHours{Enabled: true, TimeZone: "UTC", Weekly: []WeeklySpan{{time.Monday, 240, 1440}}}, 0},
		"2359 is the end of the day": {`{"status":"ENABLED","timezone_id":"UTC","weekly_operating_hours":[{"day_of_week":"MONDAY","open_time":"0000","close_time":"2359"}]}`,
			&CallHours{Enabled: true, TimeZone: "UTC", Weekly: []WeeklySpan{{time.Monday, 0, 1440}}}, 0},
		"holidays as the table has them": {`{"status":"ENABLED","timezone_id":"UTC","holiday_schedule":[{"date":"2026-12-25","open_time":"0000","close_time":"1200"}]}`,
			&CallHours{Enabled: true, TimeZone: "UTC", Holidays: []HolidaySpan{{"2026-12-25", 0, 720}}}, 0},
		"nonsense is counted": {`{"status":"ENABLED","timezone_id":"UTC","weekly_operating_hours":[{"day_of_week":"FUNDAY","open_time":"0000","close_time":"1200"},
			{"day_of_week":"MONDAY","open_time":"25:00","close_time":"2600"},{"day_of_week":"MONDAY","open_time":"1200","close_time":"0800"},{"day_of_week":"FRIDAY","open_time":"0800","close_time":"0900"}],
			"holiday_schedule":[{"date":"tomorrow","start_time":"0000","end_time":"2359"}]}`,
			&CallHours{Enabled: true, TimeZone: "UTC", Weekly: []WeeklySpan{{time.Friday, 480, 540}}}, 4},
		"of another shape": {`{"status":"ENABLED","timezone_id":"UTC","weekly_operating_hours":"always"}`, &CallHours{Enabled: true, TimeZone: "UTC"}, 0},
	} {
		s, err := parseSettings([]byte(`{"calling":{"call_hours":` + c.hours + `}}`))
		if err != nil || (s.Hours == nil) != (c.want == nil) || s.HoursUnread != c.unread {
			t.Errorf("%s: %+v, %d unread, %v", name, s.Hours, s.HoursUnread, err)
			continue
		}
		if c.want != nil && (!s.Hours.Equal(*c.want) || s.Hours.TimeZone != c.want.TimeZone) {
			t.Errorf("%s: %+v, want %+v", name, s.Hours, c.want)
		}
	}
}

func TestHoursReadAtMetaEndAtMidnightNotAMinuteBefore(t *testing.T) {
	s, err := parseSettings([]byte(golden(t, "answer/settings")))
	if err != nil || s.Hours.Holidays[0] != (HolidaySpan{"2026-12-25", 0, 1440}) {
		t.Errorf("%+v %v", s.Hours, err)
	}
}

func TestClockTimes(t *testing.T) {
	for s, want := range map[string]int{"0000": 0, "0800": 480, "08:00": 480, "2359": 1439, "2400": 1440, "24:00": 1440,
		"": -1, "800": -1, "8:00": -1, "2401": -1, "0860": -1, "-100": -1, "+100": -1, "08:0": -1, "08-00": -1, "08:00:00": -1, "ab00": -1} {
		got, ok := parseClock(s)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q is %d %v, want %d", s, got, ok, want)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(golden(f, "answer/settings")))
	f.Add([]byte(`{"calling":{"call_hours":"NOT_SET","status":["ENABLED"],"audio":{"additional_codecs":[1,null]}}}`))
	f.Add([]byte(`{"calling":{"call_hours":{"status":"ENABLED","timezone_id":"UTC","weekly_operating_hours":[{"day_of_week":"sunday","open_time":"04:00","close_time":2400}],"holiday_schedule":[{"date":"2026-12-25","open_time":"0000","end_time":"2359"}]}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseSettings(bytes.Clone(body))
		if err != nil {
			return
		}
		if len(s.ExtraCodecs) > 8 || len(s.Countries) > 256 || len(s.Restrictions) > maxRestrictions || s.HoursUnread < 0 {
			t.Fatalf("%+v", s)
		}
		if s.Hours == nil {
			return
		}
		if len(s.Hours.Weekly) > maxReadSpans || len(s.Hours.Holidays) > maxReadSpans || !s.Hours.Equal(*s.Hours) {
			t.Fatalf("%+v", s.Hours)
		}
		// What was read and is valid comes back the same when it is written and read again.
		if s.Hours.Validate("") != nil {
			return
		}
		raw, err := json.Marshal(s.Hours.wire())
		if err != nil {
			t.Fatal(err)
		}
		again, unread := parseHours(raw)
		if again == nil || unread != 0 || !again.Equal(*s.Hours) {
			t.Fatalf("%s reads as %+v with %d unread, was %+v", raw, again, unread, s.Hours)
		}
	})
}
