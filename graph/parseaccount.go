package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// AccountNews is what an account_update says about calling (§14.1–14.3).
type AccountNews struct {
	Restrictions []Restriction // KindRestriction
	Violation    string        // KindViolation: LOW_BUSINESS_INITIATED_CALLING_QUALITY, …
	Remediation  string        // what Meta advises
}

// TemplateNews is a change of a template's status (§12.2); Event.Name is the new status or what happened.
type TemplateNews struct {
	ID       string
	Name     string
	Language string // compare with SameLanguage
	Category string
	Reason   string // "" when Meta gave none
}

// QualityNews is a change of the number's quality or messaging limit (§14.4).
type QualityNews struct {
	Limit string // TIER_250, TIER_2K, …, TIER_UNLIMITED; "" when Meta gave none
}

// newsKey keys account-level news by what they say, so that a redelivery in another dress is known again. News without end
// can come again later in the same words: there the time is part of the key, and without one there is no such key.
func (e *Event) newsKey() string {
	when := ""
	if !e.At.IsZero() {
		when = fmt.Sprint(e.At.Unix())
	}
	switch {
	case e.Kind == KindRestriction:
		var list []string
		for _, r := range e.News.Restrictions {
			end := when
			if !r.Expires.IsZero() {
				end = fmt.Sprint("until ", r.Expires.Unix())
			}
			if end == "" {
				return ""
			}
			list = append(list, r.Type+" "+end)
		}
		slices.Sort(list)
		return "restriction:" + e.Display + ":" + strings.Join(slices.Compact(list), ",")
	case when == "":
		return ""
	case e.Kind == KindViolation:
		return "violation:" + e.Display + ":" + e.News.Violation + ":" + when
	case e.Kind == KindTemplate:
		return "template:" + first(e.Template.ID, e.Template.Name+"."+e.Template.Language) + ":" + e.Name + ":" + when
	}
	return "quality:" + e.Display + ":" + e.Name + ":" + e.Quality.Limit + ":" + when
}

// accountJSON is the value of the fields about the account.
type accountJSON struct {
	Phone     text `json:"phone_number"`
	Display   text `json:"display_phone_number"`
	Event     text `json:"event"`
	Type      text `json:"type"`
	Timestamp num  `json:"timestamp"`

	Settings json.RawMessage `json:"phone_number_settings"`

	Restrictions []struct {
		Type        enum `json:"restriction_type"`
		Expires     num  `json:"expiration"`
		Remediation text `json:"remediation"`
	} `json:"restriction_info"`
	Violation struct {
		Type        enum `json:"violation_type"`
		Remediation text `json:"remediation"`
	} `json:"violation_info"`
	Remediation text `json:"remediation"` // the contract leaves open where it stands: read wherever it may

	TemplateID       text `json:"message_template_id"`
	TemplateName     text `json:"message_template_name"`
	TemplateLanguage text `json:"message_template_language"`
	TemplateCategory enum `json:"message_template_category"`
	Reason           text `json:"reason"`
	Rejection        struct {
		Reason text `json:"reason"`
	} `json:"rejection_info"`

	Limit enum `json:"max_daily_conversations_per_business"`
}

// accountEvent handles the fields about the account: they have no metadata, and name the number in other ways or not at all.
func accountEvent(e Event, raw json.RawMessage) Event {
	var j accountJSON
	// A value of another shape leaves j empty: the event is then still one of its field.
	_ = json.Unmarshal(raw, &j)
	e.Name = clip(strings.ToUpper(first(string(j.Event), string(j.Type))), 64)
	e.Display = first(e.Display, digits(first(string(j.Phone), string(j.Display))))
	e.At = at(j.Timestamp, e.sent)
	switch strings.ToLower(e.Field) {
	case "account_settings_update":
		e.Kind = KindSettings
		e.settings(&j)
	case "account_update":
		e.Kind = KindAccount
		e.account(&j)
	case "message_template_status_update":
		e.Kind = KindAccount
		e.template(&j)
	case "phone_number_quality_update":
		e.Kind, e.Quality = KindQuality, &QualityNews{Limit: clip(string(j.Limit), 64)}
	case "phone_number_name_update", "business_capability_update", "account_alerts", "security":
		e.Kind = KindAccount
	}
	e.wrap(raw)
	return e
}

func (e *Event) settings(j *accountJSON) {
	var of struct {
		Number text `json:"phone_number_id"`
	}
	if err := json.Unmarshal(j.Settings, &of); err == nil || isTypeError(err) {
		e.Number = first(e.Number, clip(string(of.Number), 64))
	}
	if s, err := parseSettings(j.Settings); err == nil {
		e.Settings = &s
	}
}

func (e *Event) account(j *accountJSON) {
	n := &AccountNews{Violation: clip(string(j.Violation.Type), 64), Remediation: clip(first(string(j.Violation.Remediation), string(j.Remediation)), 1024)}
	for _, r := range j.Restrictions[:min(len(j.Restrictions), maxRestrictions)] {
		if r.Type != "" {
			n.Restrictions = append(n.Restrictions, Restriction{Type: clip(string(r.Type), 64), Expires: r.Expires.time(),
				Remediation: clip(first(string(r.Remediation), string(j.Remediation)), 1024)})
		}
	}
	switch {
	case len(n.Restrictions) > 0:
		e.Kind, e.News = KindRestriction, n
	case n.Violation != "":
		e.Kind, e.News = KindViolation, n
	}
}

func (e *Event) template(j *accountJSON) {
	if j.TemplateID == "" && j.TemplateName == "" {
		return
	}
	t := &TemplateNews{ID: clip(string(j.TemplateID), 64), Name: clip(string(j.TemplateName), maxTemplateName),
		Language: clip(string(j.TemplateLanguage), maxLanguage), Category: clip(string(j.TemplateCategory), 64),
		Reason: clip(first(string(j.Reason), string(j.Rejection.Reason)), 512)}
	if strings.EqualFold(t.Reason, "NONE") {
		t.Reason = clip(string(j.Rejection.Reason), 512)
	}
	e.Kind, e.Template = KindTemplate, t
}
