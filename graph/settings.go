package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The restrictions Meta puts on a number's calling (§9.2, §14).
const (
	RestrictedOutbound     = "RESTRICTED_BUSINESS_INITIATED_CALLING"                // no calls out, no permission requests
	RestrictedInbound      = "RESTRICTED_USER_INITIATED_CALLING"                    // no calls in
	RestrictedButtonHidden = "RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN" // calls come, but the button is gone
)

// Restriction is a limit Meta put on the number's calling. Expires is zero when it ends by no date: an administrator has to
// act in WhatsApp Manager.
type Restriction struct {
	Type        string
	Reason      string
	Remediation string // what Meta advises, webhooks only
	Expires     time.Time
}

// InForce reports whether the restriction still holds: it ends by itself.
func (r Restriction) InForce(now time.Time) bool { return r.Expires.IsZero() || now.Before(r.Expires) }

// Settings is the part of a number's calling settings that matters to a call. Fields Meta left out or calls NOT_SET are "".
type Settings struct {
	Status       string // ENABLED, DISABLED
	Icons        string // DEFAULT, DISABLE_ALL
	Callback     string // callback_permission_status
	SIP          string // sip.status: ENABLED means Graph calling is refused
	KeyExchange  string // DTLS, SDES
	Voicemail    string // voicemail.status: ENABLED means Meta may take calls we leave alone
	ExtraCodecs  []string
	Countries    []string   // who sees the call icons, ISO 3166 alpha-2; none: everybody
	Hours        *CallHours // nil when Meta said nothing: open at all hours
	HoursUnread  int        // spans of Hours that could not be read and are not in it
	Restrictions []Restriction
	Raw          json.RawMessage // the whole answer, for display
}

// Settings reads the number's calling settings. (The reference page calls this a POST; it is a GET.)
func (c *Client) Settings(ctx context.Context, number string) (Settings, error) {
	var raw json.RawMessage
	r := request{action: "settings", method: http.MethodGet, path: "/" + segment(number) + "/settings"}
	if _, err := c.do(ctx, r, &raw); err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	return parseSettings(raw)
}

type settingsJSON struct {
	Calling struct {
		Status      enum       `json:"status"`
		Icons       enum       `json:"call_icon_visibility"`
		Callback    enum       `json:"callback_permission_status"`
		SIP         statusJSON `json:"sip"`
		KeyExchange enum       `json:"srtp_key_exchange_protocol"`
		Voicemail   statusJSON `json:"voicemail"`
		Audio       struct {
			Codecs []text `json:"additional_codecs"`
		} `json:"audio"`
		CallIcons struct {
			Countries []text `json:"restrict_to_user_countries"`
		} `json:"call_icons"`
		Hours        json.RawMessage `json:"call_hours"`
		Restrictions struct {
			List []struct {
				Type    enum `json:"type"`
				Reason  text `json:"reason"`
				Expires num  `json:"expiration"`
			} `json:"restrictions_list"`
		} `json:"restrictions"`
	} `json:"calling"`
}

type statusJSON struct {
	Status enum `json:"status"`
}

// parseSettings reads the answer of GET settings and the phone_number_settings of a webhook: they have the same shape (§9.3).
func parseSettings(raw json.RawMessage) (Settings, error) {
	var j settingsJSON
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		return Settings{}, fmt.Errorf("settings: %w", ErrAnswer)
	}
	k := &j.Calling
	s := Settings{Status: set(k.Status), Icons: set(k.Icons), Callback: set(k.Callback), SIP: set(k.SIP.Status),
		KeyExchange: set(k.KeyExchange), Voicemail: set(k.Voicemail.Status), Raw: raw,
		ExtraCodecs: upper(k.Audio.Codecs, 8), Countries: upper(k.CallIcons.Countries, 256)}
	s.Hours, s.HoursUnread = parseHours(k.Hours)
	for _, r := range k.Restrictions.List[:min(len(k.Restrictions.List), maxRestrictions)] {
		s.Restrictions = append(s.Restrictions, Restriction{Type: clip(string(r.Type), 64), Reason: clip(string(r.Reason), 512), Expires: r.Expires.time()})
	}
	return s, nil
}

// set reads NOT_SET, which Meta writes for what nobody ever touched, as nothing.
func set(e enum) string {
	if e == "NOT_SET" {
		return ""
	}
	return clip(string(e), 64)
}

func upper(list []text, most int) []string {
	var out []string
	for _, t := range list[:min(len(list), most)] {
		out = append(out, strings.ToUpper(clip(string(t), 16)))
	}
	return out
}

// SettingsChange is what is to be changed of a number's settings. What is left zero stays as it is at Meta.
type SettingsChange struct {
	Status   string     // ENABLED or DISABLED
	Icons    string     // DEFAULT or DISABLE_ALL
	Callback string     // ENABLED or DISABLED: does a customer who calls us give permission to call back
	Codecs   []string   // PCMA, PCMU; not nil and empty leaves Opus alone
	Hours    *CallHours // replaces Meta's whole call_hours, holidays included (§9.1)
	SIPOff   bool       // switches Meta's SIP mode off
	Today    string     // "2006-01-02" in the zone of Hours: no holiday may lie before it; "" checks nothing
}

type settingsBody struct {
	Status   string      `json:"status,omitempty"`
	Icons    string      `json:"call_icon_visibility,omitempty"`
	Hours    *hoursJSON  `json:"call_hours,omitempty"`
	Callback string      `json:"callback_permission_status,omitempty"`
	SIP      *statusBody `json:"sip,omitempty"`
	Audio    *audioBody  `json:"audio,omitempty"`
}

type statusBody struct {
	Status string `json:"status"`
}

type audioBody struct {
	Codecs []string `json:"additional_codecs"`
}

// Validate reports everything wrong with the change at once, and a change of nothing.
func (s SettingsChange) Validate() error {
	var errs []error
	word := func(field, got string, allowed ...string) {
		if got != "" && !slices.Contains(allowed, got) {
			errs = append(errs, fmt.Errorf("%w: %s %q, allowed are %s", ErrContent, field, clip(got, 64), strings.Join(allowed, " and ")))
		}
	}
	word("status", s.Status, "ENABLED", "DISABLED")
	word("icon visibility", s.Icons, "DEFAULT", "DISABLE_ALL")
	word("callback permission", s.Callback, "ENABLED", "DISABLED")
	for _, codec := range s.Codecs {
		word("codec", codec, "PCMA", "PCMU")
	}
	if s.Hours != nil {
		errs = append(errs, s.Hours.Validate(s.Today))
	}
	if s.Status == "" && s.Icons == "" && s.Callback == "" && s.Codecs == nil && s.Hours == nil && !s.SIPOff {
		errs = append(errs, fmt.Errorf("%w: nothing to change", ErrContent))
	}
	return errors.Join(errs...)
}

func (s SettingsChange) body() settingsBody {
	b := settingsBody{Status: s.Status, Icons: s.Icons, Callback: s.Callback}
	if s.Codecs != nil {
		b.Audio = &audioBody{append([]string{}, s.Codecs...)}
	}
	if s.Hours != nil {
		b.Hours = s.Hours.wire()
	}
	if s.SIPOff {
		b.SIP = &statusBody{"DISABLED"}
	}
	return b
}

// WriteSettings changes the number's calling settings. Meta's refusals: Error.LimitTooLow, Error.NotSubscribed, and code 100
// with words about the field. Customers' apps may show a change only after days; Meta's servers follow it at once (§9.1).
func (c *Client) WriteSettings(ctx context.Context, number string, s SettingsChange) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	body := struct {
		Calling settingsBody `json:"calling"`
	}{s.body()}
	r := request{action: "write_settings", method: http.MethodPost, path: "/" + segment(number) + "/settings", body: body}
	if _, err := c.do(ctx, r, nil); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
