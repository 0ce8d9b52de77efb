package simulator

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (m *Meta) readSettings(q *graphRequest) (answer, *graphError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := maps.Clone(q.num.settings)
	var list []any
	for kind, until := range q.num.restrictions {
		if m.clock.Now().Before(until) {
			list = append(list, obj{"type": kind, "reason": "low quality", "expiration": until.Unix()})
		}
	}
	if len(list) > 0 {
		c["restrictions"] = obj{"restrictions_list": list}
	}
	return obj{"calling": c, "storage_configuration": obj{"status": "DEFAULT"}}, nil
}

// announced are the settings whose change sends account_settings_update (§9.3).
var announced = []string{"status", "call_icon_visibility", "callback_permission_status", "sip", "srtp_key_exchange_protocol"}

func (m *Meta) writeSettings(q *graphRequest) (answer, *graphError) {
	var body struct {
		Calling obj `json:"calling"`
	}
	if e := decodeBody(q, &body); e != nil {
		return nil, e
	}
	if body.Calling == nil {
		return nil, refuse(100, "The parameter calling is required")
	}
	if e := m.ChangeSettings(q.num.PhoneNumberID, body.Calling); e != nil {
		if ge, ok := errors.AsType[*graphError](e); ok {
			return nil, ge
		}
		return nil, refuse(100, "%v", e)
	}
	return obj{"success": true}, nil
}

// ChangeSettings merges into the number's calling settings as POST /settings does, webhook included; a test uses it to be
// "someone else" in WhatsApp Manager.
func (m *Meta) ChangeSettings(phoneNumberID string, change map[string]any) error {
	n, err := m.numberByID(phoneNumberID)
	if err != nil {
		return err
	}
	m.mu.Lock()
	now := m.clock.Now()
	if e := checkSettings(n, change, now); e != nil {
		m.mu.Unlock()
		return e
	}
	tell := false
	next := maps.Clone(n.settings)
	for k, v := range change {
		next[k] = v // call_hours too is replaced whole: an omitted holiday_schedule is gone (§9.1)
		tell = tell || slices.Contains(announced, k)
	}
	n.settings = next
	calling := maps.Clone(next)
	m.mu.Unlock()
	if tell {
		m.send(n, update{field: "account_settings_update", event: "account_settings_update", value: obj{
			"timestamp": stamp(now), "type": "phone_number_settings",
			"phone_number_settings": obj{"phone_number_id": n.PhoneNumberID, "calling": calling},
		}})
	}
	return nil
}

func oneOf(v any, allowed ...string) bool {
	s, ok := v.(string)
	return ok && slices.Contains(allowed, s)
}

// settingChecks are the known keys of "calling". m.mu is held while they run.
var settingChecks = map[string]func(n *number, v any, now time.Time) *graphError{
	"status": func(n *number, v any, _ time.Time) *graphError {
		switch {
		case !oneOf(v, "ENABLED", "DISABLED"):
			return refuse(100, "Invalid status, must be ENABLED or DISABLED")
		case v == "ENABLED" && n.LowTier && !n.Test:
			return refuse(138015, "The messaging limit of this number is too low for calling")
		case v == "ENABLED" && n.Unsubscribed && !n.sipMode():
			return refuse(138018, "No app is subscribed to the calls webhook field and SIP is not configured")
		}
		return nil
	},
	"call_icon_visibility": func(_ *number, v any, _ time.Time) *graphError {
		return refuseUnless(oneOf(v, "DEFAULT", "DISABLE_ALL"), "Invalid call_icon_visibility")
	},
	"callback_permission_status": func(_ *number, v any, _ time.Time) *graphError {
		return refuseUnless(oneOf(v, "ENABLED", "DISABLED"), "Invalid callback_permission_status")
	},
	"call_icons": func(_ *number, v any, _ time.Time) *graphError {
		o, _ := v.(obj)
		list, ok := o["restrict_to_user_countries"].([]any)
		for _, c := range list {
			s, isString := c.(string)
			ok = ok && isString && regexp.MustCompile(`^[A-Z]{2}$`).MatchString(s)
		}
		return refuseUnless(ok, "Invalid restrict_to_user_countries")
	},
	"call_hours": func(_ *number, v any, now time.Time) *graphError { return checkHours(v, now) },
	"audio": func(_ *number, v any, _ time.Time) *graphError {
		o, _ := v.(obj)
		list, ok := o["additional_codecs"].([]any)
		for _, c := range list {
			ok = ok && oneOf(c, "PCMA", "PCMU")
		}
		return refuseUnless(ok, "Invalid additional_codecs, allowed are PCMA and PCMU")
	},
	"sip": func(_ *number, v any, _ time.Time) *graphError {
		o, ok := v.(obj)
		return refuseUnless(ok && (o["status"] == nil || oneOf(o["status"], "ENABLED", "DISABLED")), "Invalid sip status")
	},
	"srtp_key_exchange_protocol": func(_ *number, v any, _ time.Time) *graphError {
		return refuseUnless(oneOf(v, "DTLS", "SDES"), "Invalid srtp_key_exchange_protocol")
	},
	"voicemail": func(_ *number, v any, _ time.Time) *graphError {
		o, ok := v.(obj)
		return refuseUnless(ok && oneOf(o["status"], "ENABLED", "DISABLED"), "Invalid voicemail status")
	},
}

func refuseUnless(ok bool, detail string) *graphError {
	if ok {
		return nil
	}
	return refuse(100, "%s", detail)
}

func checkSettings(n *number, change obj, now time.Time) *graphError {
	for _, k := range slices.Sorted(maps.Keys(change)) {
		check := settingChecks[k]
		if check == nil {
			return refuse(100, "Invalid parameter: unknown field %q in calling", k)
		}
		if e := check(n, change[k], now); e != nil {
			return e
		}
	}
	return nil
}

type callHours struct {
	Status   string `json:"status"`
	Timezone string `json:"timezone_id"`
	Weekly   []struct {
		Day   string `json:"day_of_week"`
		Open  string `json:"open_time"`
		Close string `json:"close_time"`
	} `json:"weekly_operating_hours"`
	Holidays []struct {
		Date  string `json:"date"`
		Start string `json:"start_time"`
		End   string `json:"end_time"`
	} `json:"holiday_schedule"`
}

var weekdays = []string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"}

func checkHours(v any, now time.Time) *graphError {
	raw, err := json.Marshal(v)
	var h callHours
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return refuse(100, "Invalid call_hours")
	}
	if h.Status != "ENABLED" && h.Status != "DISABLED" {
		return refuse(100, "Invalid status in call_hours")
	}
	if h.Timezone == "" && len(h.Weekly) == 0 && h.Status == "DISABLED" {
		return nil
	}
	if _, err := time.LoadLocation(h.Timezone); err != nil || h.Timezone == "" || h.Timezone == "Local" {
		return refuse(100, "Invalid timezone_id")
	}
	if len(h.Weekly) == 0 {
		return refuse(100, "weekly_operating_hours can not be empty")
	}
	windows := map[string][][2]string{}
	for _, w := range h.Weekly {
		if !slices.Contains(weekdays, w.Day) {
			return refuse(100, "Invalid day_of_week %q", w.Day)
		}
		if e := addWindow(windows, w.Day, w.Open, w.Close); e != nil {
			return e
		}
	}
	if len(h.Holidays) > 20 {
		return refuse(100, "At most 20 entries in holiday_schedule")
	}
	for _, d := range h.Holidays {
		date, err := time.Parse(time.DateOnly, d.Date)
		if err != nil {
			return refuse(100, "Invalid date format %q, must be YYYY-MM-DD", d.Date)
		}
		if date.Before(now.UTC().Truncate(day)) {
			return refuse(100, "Holiday %s is in the past", d.Date)
		}
		if e := addWindow(windows, d.Date, d.Start, d.End); e != nil {
			return e
		}
	}
	return nil
}

var hhmm = regexp.MustCompile(`^([01][0-9]|2[0-3]):?[0-5][0-9]$`)

func addWindow(windows map[string][][2]string, key, open, end string) *graphError {
	if !hhmm.MatchString(open) || !hhmm.MatchString(end) {
		return refuse(100, "Invalid time on %s, must be HHMM", key)
	}
	open, end = strings.Replace(open, ":", "", 1), strings.Replace(end, ":", "", 1)
	if open >= end {
		return refuse(100, "Invalid schedule on %s: must open before it closes", key)
	}
	for _, w := range windows[key] {
		if open < w[1] && w[0] < end {
			return refuse(100, "Overlapping schedule on %s", key)
		}
	}
	windows[key] = append(windows[key], [2]string{open, end})
	if len(windows[key]) > 2 {
		return refuse(100, "More than 2 entries on %s", key)
	}
	return nil
}
