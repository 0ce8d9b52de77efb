package simulator

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSettingsAreRefusedAsByMeta(t *testing.T) {
	t.Parallel()
	monday := []any{window("MONDAY", "0900", "1200")}
	hours := func(h obj) obj { return obj{"call_hours": h} }
	without := func(key string) obj { h := hoursIn("UTC", monday); delete(h, key); return hours(h) }
	many := func(n int) obj {
		var list []any
		for i := range n {
			list = append(list, holiday(noon.AddDate(0, 0, i).Format(time.DateOnly), "0000", "2359"))
		}
		return hours(hoursIn("UTC", monday, list...))
	}
	for name, c := range map[string]struct {
		change obj
		want   string // part of the details; empty: accepted
	}{
		"status":                          {obj{"status": "MAYBE"}, "status"},
		"status not a text":               {obj{"status": 1}, "status"},
		"unknown field":                   {obj{"colour": "red"}, "colour"},
		"icon visibility":                 {obj{"call_icon_visibility": "HIDE"}, "call_icon_visibility"},
		"icons hidden":                    {obj{"call_icon_visibility": "DISABLE_ALL"}, ""},
		"countries":                       {obj{"call_icons": obj{"restrict_to_user_countries": []any{"DE", "AT"}}}, ""},
		"no restriction to countries":     {obj{"call_icons": obj{"restrict_to_user_countries": []any{}}}, ""},
		"country in words":                {obj{"call_icons": obj{"restrict_to_user_countries": []any{"Germany"}}}, "countries"},
		"callback permission":             {obj{"callback_permission_status": "PERHAPS"}, "callback"},
		"both codecs":                     {obj{"audio": obj{"additional_codecs": []any{"PCMA", "PCMU"}}}, ""},
		"Opus only":                       {obj{"audio": obj{"additional_codecs": []any{}}}, ""},
		"unknown codec":                   {obj{"audio": obj{"additional_codecs": []any{"G722"}}}, "codecs"},
		"hours of a text":                 {hours(nil), "call_hours"},
		"hours without status":            {without("status"), "status"},
		"hours without zone":              {without("timezone_id"), "timezone_id"},
		"hours without week":              {without("weekly_operating_hours"), "weekly_operating_hours"},
		"hours off without the rest":      {hours(obj{"status": "DISABLED"}), "timezone_id"},
		"empty week":                      {hours(hoursIn("UTC", []any{})), "weekly_operating_hours"},
		"unknown zone":                    {hours(hoursIn("Mars/Olympus", monday)), "timezone_id"},
		"zone of the machine":             {hours(hoursIn("Local", monday)), "timezone_id"},
		"zone outside the zone files":     {hours(hoursIn("../../../etc/passwd", monday)), "timezone_id"},
		"day in German":                   {hours(hoursIn("UTC", []any{window("MONTAG", "0900", "1200")})), "day_of_week"},
		"time in words":                   {hours(hoursIn("UTC", []any{window("MONDAY", "9 am", "1200")})), "time"},
		"hour 24":                         {hours(hoursIn("UTC", []any{window("MONDAY", "0900", "2400")})), "time"},
		"time with a colon":               {hours(hoursIn("UTC", []any{window("MONDAY", "09:00", "12:00")})), ""},
		"closes before it opens":          {hours(hoursIn("UTC", []any{window("MONDAY", "2200", "0200")})), "open before"},
		"closes when it opens":            {hours(hoursIn("UTC", []any{window("MONDAY", "0900", "0900")})), "open before"},
		"overlap":                         {hours(hoursIn("UTC", []any{window("MONDAY", "0900", "1200"), window("MONDAY", "1159", "1300")})), "Overlapping"},
		"one after the other":             {hours(hoursIn("UTC", []any{window("MONDAY", "0900", "1200"), window("MONDAY", "1200", "1300")})), ""},
		"three in a day":                  {hours(hoursIn("UTC", []any{window("MONDAY", "01:00", "0200"), window("MONDAY", "0300", "0400"), window("MONDAY", "0500", "0600")})), "More than 2"},
		"twenty holidays":                 {many(20), ""},
		"twenty-one holidays":             {many(21), "20"},
		"holiday today":                   {hours(hoursIn("UTC", monday, holiday("2026-11-23", "0000", "2359"))), ""},
		"holiday yesterday":               {hours(hoursIn("UTC", monday, holiday("2026-11-22", "0000", "2359"))), "past"},
		"today is yesterday in the zone":  {hours(hoursIn("Pacific/Kiritimati", monday, holiday("2026-11-23", "0000", "2359"))), "past"},
		"yesterday is today in the zone":  {hours(hoursIn("Pacific/Niue", monday, holiday("2026-11-23", "0000", "2359"))), ""},
		"German date":                     {hours(hoursIn("UTC", monday, holiday("25.12.2026", "0000", "2359"))), "date"},
		"day that does not exist":         {hours(hoursIn("UTC", monday, holiday("2027-02-29", "0000", "2359"))), "date"},
		"three holiday windows a day":     {hours(hoursIn("UTC", monday, holiday("2026-12-25", "0000", "0100"), holiday("2026-12-25", "0200", "0300"), holiday("2026-12-25", "0400", "0500"))), "More than 2"},
		"holiday windows overlap":         {hours(hoursIn("UTC", monday, holiday("2026-12-25", "0000", "1200"), holiday("2026-12-25", "1100", "1300"))), "Overlapping"},
		"holiday with open and close":     {hours(hoursIn("UTC", monday, obj{"date": "2026-12-25", "open_time": "0000", "close_time": "2359"})), "time"},
		"voicemail":                       {obj{"voicemail": obj{"status": "ENABLED", "triggers": []any{"REJECT"}, "audio": obj{"default": obj{"timeout_seconds": 30}}}}, ""},
		"voicemail trigger":               {obj{"voicemail": obj{"status": "ENABLED", "triggers": []any{"BUSY"}}}, "trigger"},
		"voicemail after half a minute":   {obj{"voicemail": obj{"status": "ENABLED", "audio": obj{"default": obj{"timeout_seconds": 31}}}}, "timeout"},
		"key exchange":                    {obj{"srtp_key_exchange_protocol": "ROT13"}, "srtp"},
		"SIP status":                      {obj{"sip": obj{"status": "ON"}}, "sip"},
		"first a good field, then a bad":  {obj{"call_icon_visibility": "DISABLE_ALL", "status": "MAYBE"}, "status"},
		"null deletes nothing of a field": {obj{"audio": nil}, "codecs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			p.meta.Clock().Set(noon)
			before := p.meta.SettingsOf(testPNID)
			status, out := p.graph("POST", testPNID+"/settings", obj{"calling": c.change})
			if c.want == "" {
				wantOK(t, status, out)
				after := p.meta.SettingsOf(testPNID)
				for k, v := range c.change {
					if !reflect.DeepEqual(after[k], deepCopy(obj{"v": v})["v"]) {
						t.Errorf("%s is %v", k, after[k])
					}
				}
				return
			}
			if status != 400 || errCode(out) != 100 || !strings.Contains(strings.ToLower(details(out)), strings.ToLower(c.want)) {
				t.Errorf("%d %v, want details about %q", status, out, c.want)
			}
			if !reflect.DeepEqual(p.meta.SettingsOf(testPNID), before) {
				t.Error("a refused change left something behind")
			}
		})
	}
}

func TestCallHoursAreReplacedWholeAndOtherObjectsMerged(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.meta.Clock().Set(noon)
	set := func(calling obj) {
		t.Helper()
		status, out := p.graph("POST", testPNID+"/settings", obj{"calling": calling})
		wantOK(t, status, out)
	}
	monday := []any{window("MONDAY", "0900", "1200")}
	set(obj{"call_hours": hoursIn("UTC", monday, holiday("2026-12-25", "0000", "2359")), "sip": obj{"status": "ENABLED", "webhook_delivery": "ENABLED"}})
	set(obj{"call_hours": hoursIn("Asia/Jakarta", monday), "sip": obj{"status": "DISABLED"}})
	got := p.meta.SettingsOf(testPNID)
	hours := got["call_hours"].(map[string]any)
	if _, kept := hours["holiday_schedule"]; kept || hours["timezone_id"] != "Asia/Jakarta" {
		t.Errorf("call_hours %v", hours)
	}
	if sip := got["sip"].(map[string]any); sip["webhook_delivery"] != "ENABLED" || sip["status"] != "DISABLED" {
		t.Errorf("sip %v", sip)
	}
	_, out := p.graph("GET", testPNID+"/settings", nil)
	if !reflect.DeepEqual(out["calling"], got) {
		t.Errorf("GET tells %v, SettingsOf %v", out["calling"], got)
	}
	got["call_hours"].(map[string]any)["timezone_id"] = "changed"
	if p.meta.SettingsOf(testPNID)["call_hours"].(map[string]any)["timezone_id"] != "Asia/Jakarta" {
		t.Error("SettingsOf is no copy")
	}
	if p.meta.SettingsOf("999") != nil {
		t.Error("settings of an unknown number")
	}
}

func TestChangeKeptByTheCallerDoesNotChangeMeta(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	change := obj{"call_icons": obj{"restrict_to_user_countries": []any{"DE"}}}
	if err := p.meta.ChangeSettings(testPNID, change); err != nil {
		t.Fatal(err)
	}
	change["call_icons"].(obj)["restrict_to_user_countries"].([]any)[0] = "AT"
	icons := p.meta.SettingsOf(testPNID)["call_icons"].(map[string]any)
	if icons["restrict_to_user_countries"].([]any)[0] != "DE" {
		t.Errorf("icons %v", icons)
	}
	if p.meta.ChangeSettings("999", change) == nil || p.meta.ChangeSettings(testPNID, obj{"status": make(chan int)}) == nil {
		t.Error("an impossible change was taken")
	}
}

// §9.3: five triggers, whoever changed them; the webhook has no metadata and the shape of GET.
func TestSettingsWebhookOnlyForTheFiveTriggers(t *testing.T) {
	t.Parallel()
	monday := []any{window("MONDAY", "0900", "1200")}
	for name, c := range map[string]struct {
		change obj
		told   bool
	}{
		"status":              {obj{"status": "DISABLED"}, true},
		"icon visibility":     {obj{"call_icon_visibility": "DISABLE_ALL"}, true},
		"callback permission": {obj{"callback_permission_status": "ENABLED"}, true},
		"SIP status":          {obj{"sip": obj{"status": "ENABLED"}}, true},
		"key exchange":        {obj{"srtp_key_exchange_protocol": "SDES"}, true},
		"hours":               {obj{"call_hours": hoursIn("UTC", monday)}, false},
		"codecs":              {obj{"audio": obj{"additional_codecs": []any{"PCMA"}}}, false},
		"countries":           {obj{"call_icons": obj{"restrict_to_user_countries": []any{"DE"}}}, false},
		"SIP but its status":  {obj{"sip": obj{"webhook_delivery": "ENABLED"}}, false},
		"voicemail":           {obj{"voicemail": obj{"status": "ENABLED"}}, false},
		"what it was":         {obj{"status": "ENABLED"}, false},
		"hours and a trigger": {obj{"call_hours": hoursIn("UTC", monday), "status": "DISABLED"}, true},
		"by ourselves":        {obj{"status": "DISABLED"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			change := maps.Clone(c.change)
			if name == "by ourselves" {
				status, out := p.graph("POST", testPNID+"/settings", obj{"calling": change})
				wantOK(t, status, out)
			} else if err := p.meta.ChangeSettings(testPNID, change); err != nil { // somebody else
				t.Fatal(err)
			}
			if err := p.meta.AccountEvent(testPNID, "security", obj{"event": "after"}); err != nil {
				t.Fatal(err)
			}
			if !c.told {
				p.waitFor(func(h hook) bool { return h.Field == "security" })
				for _, d := range p.meta.Deliveries() {
					if d.Field == "account_settings_update" {
						t.Errorf("told: %s", d.Body)
					}
				}
				return
			}
			h := p.waitFor(func(h hook) bool { return h.Field == "account_settings_update" })
			s := h.Value["phone_number_settings"].(map[string]any)
			if h.Value["type"] != "phone_number_settings" || s["phone_number_id"] != testPNID || h.Value["metadata"] != nil || h.Value["timestamp"] == nil ||
				!reflect.DeepEqual(s["calling"], p.meta.SettingsOf(testPNID)) || entryOf(t, h).ID != testWABA {
				t.Errorf("%s", h.Body)
			}
		})
	}
}
