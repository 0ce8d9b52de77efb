package simulator

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

func (m *Meta) readSettings(q *graphRequest) (answer, *graphError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return obj{"calling": q.num.calling(m.clock.Now()), "storage_configuration": obj{"status": "DEFAULT"}}, nil
}

// calling is the "calling" object of §9.2, with the restrictions in force; a copy. m.mu is held.
func (n *number) calling(now time.Time) obj {
	c := deepCopy(n.settings)
	if list := n.restrictionsList(now); len(list) > 0 {
		c["restrictions"] = obj{"restrictions_list": list}
	}
	return c
}

// SettingsOf returns the calling settings Meta holds now, as GET /settings tells them; nil for an unknown number.
func (m *Meta) SettingsOf(phoneNumberID string) map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.numbers[phoneNumberID]
	if n == nil {
		return nil
	}
	return deepCopy(n.calling(m.clock.Now()))
}

// announced reads the settings whose change sends account_settings_update (§9.3): these five and no other.
func announced(settings obj) [5]any {
	sip, _ := settings["sip"].(obj)
	return [5]any{settings["status"], settings["call_icon_visibility"], settings["callback_permission_status"], sip["status"],
		settings["srtp_key_exchange_protocol"]}
}

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
// "someone else" in WhatsApp Manager. The webhook is sent when one of the five announced settings became another.
func (m *Meta) ChangeSettings(phoneNumberID string, change map[string]any) error {
	n, err := m.numberByID(phoneNumberID)
	if err != nil {
		return fmt.Errorf("change settings: %w", err)
	}
	if change = deepCopy(change); change == nil {
		return errors.New("change settings: the change is no JSON object")
	}
	m.mu.Lock()
	now := m.clock.Now()
	if e := checkSettings(n, change, now); e != nil {
		m.mu.Unlock()
		return e
	}
	before := announced(n.settings)
	n.settings = merge(n.settings, change)
	tell := announced(n.settings) != before
	calling := n.calling(now)
	m.mu.Unlock()
	if tell {
		m.send(n, update{account: true, entry: n.WABA, field: "account_settings_update", event: "account_settings_update", value: obj{
			"messaging_product": "whatsapp", "timestamp": stamp(now), "type": "phone_number_settings",
			"phone_number_settings": obj{"phone_number_id": n.PhoneNumberID, "calling": calling},
		}})
	}
	return nil
}

// merge changes only what is given. The members of an object are merged too, except that call_hours is replaced as a whole:
// an omitted holiday_schedule is gone (§9.1).
func merge(settings, change obj) obj {
	next := maps.Clone(settings)
	for k, v := range change {
		old, isObject := next[k].(obj)
		given, _ := v.(obj)
		if !isObject || given == nil || k == "call_hours" {
			next[k] = v
			continue
		}
		both := maps.Clone(old)
		maps.Copy(both, given)
		next[k] = both
	}
	return next
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

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
			ok = ok && isString && countryCode.MatchString(s)
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
	"voicemail": func(_ *number, v any, _ time.Time) *graphError { return checkVoicemail(v) },
}

// checkVoicemail is §15.3.
func checkVoicemail(v any) *graphError {
	o, ok := v.(obj)
	if !ok || !oneOf(o["status"], "ENABLED", "DISABLED") {
		return refuse(100, "Invalid voicemail status")
	}
	triggers, isList := o["triggers"].([]any)
	for _, t := range triggers {
		if !oneOf(t, "REJECT", "TIMEOUT") {
			return refuse(100, "Invalid voicemail trigger, must be REJECT or TIMEOUT")
		}
	}
	if o["triggers"] != nil && !isList {
		return refuse(100, "Invalid voicemail triggers")
	}
	audio, _ := o["audio"].(obj)
	standard, _ := audio["default"].(obj)
	if s, given := standard["timeout_seconds"]; given {
		if n, isNumber := s.(float64); !isNumber || n < 0 || n > 30 {
			return refuse(100, "Invalid timeout_seconds, must be 0 to 30")
		}
	}
	return nil
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
			return refuse(100, "Invalid parameter: unknown field %q in calling", cut(k, 64))
		}
		if e := check(n, change[k], now); e != nil {
			return e
		}
	}
	return nil
}
