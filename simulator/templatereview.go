package simulator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// templateEvents are the events of message_template_status_update (§12.2) and the status each leaves behind; an empty one
// leaves the status as it was.
var templateEvents = map[string]string{
	TemplateApproved: TemplateApproved, TemplateRejected: TemplateRejected, TemplatePending: TemplatePending,
	TemplatePaused: TemplatePaused, TemplateDisabled: TemplateDisabled, "FLAGGED": "", "REINSTATED": TemplateApproved,
	"IN_APPEAL": "IN_APPEAL", "PENDING_DELETION": "PENDING_DELETION", TemplateDeleted: TemplateDeleted, "ARCHIVED": "ARCHIVED",
	"UNARCHIVED": TemplateApproved, "LOCKED": "", "LIMIT_EXCEEDED": "LIMIT_EXCEEDED",
}

// ReviewTemplate is Meta's decision about a template, with the webhook that tells of it. status is one of the events of
// §12.2, reason may be empty. DELETED also plays a template that somebody deleted in WhatsApp Manager.
func (m *Meta) ReviewTemplate(waba, name, language, status, reason string) error {
	status = strings.ToUpper(status)
	if _, ok := templateEvents[status]; !ok {
		return fmt.Errorf("review template %s/%s: unknown status %q", name, language, status)
	}
	m.mu.Lock()
	t := m.template(waba, name, language)
	m.mu.Unlock()
	if t == nil {
		return fmt.Errorf("review template %s/%s: WABA %s has no such template", name, language, waba)
	}
	m.review(t, status, reason)
	return nil
}

// Templates returns what Meta holds of a WABA now, oldest first.
func (m *Meta) Templates(waba string) []Template {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Template
	for _, t := range m.templates {
		if t.WABA == waba {
			out = append(out, t.copy())
		}
	}
	return out
}

func (m *Meta) review(t *Template, event, reason string) {
	m.mu.Lock()
	if s := templateEvents[event]; s != "" {
		t.Status, t.Reason = s, reason
	}
	if event == TemplateDeleted {
		m.templates = slices.DeleteFunc(m.templates, func(o *Template) bool { return o == t })
	}
	value := templateUpdate(t, event, reason)
	if m.delivery.HyphenLanguage {
		value["message_template_language"] = strings.ReplaceAll(t.Language, "_", "-")
	}
	n := m.numberOfWABA(t.WABA)
	m.mu.Unlock()
	if n == nil {
		return // the WABA has no number and so nobody who could check a signature
	}
	m.send(n, update{account: true, entry: t.WABA, field: "message_template_status_update", event: event, value: value})
}

func templateUpdate(t *Template, event, reason string) obj {
	v := obj{"event": event, "message_template_id": json.Number(t.ID), "message_template_name": t.Name,
		"message_template_language": t.Language, "message_template_category": t.Category, "reason": nil}
	switch {
	case reason != "":
		v["reason"] = reason
	case event == TemplateApproved:
		v["reason"] = "NONE"
	}
	switch event {
	case TemplateRejected:
		v["rejection_info"] = obj{"reason": reason, "recommendation": "Change the template and send it for review again."}
	case TemplatePaused:
		v["other_info"] = obj{"title": "FIRST_PAUSE", "description": reason}
	}
	return v
}

// numberOfWABA is the number whose app takes the WABA's webhooks. m.mu is held.
func (m *Meta) numberOfWABA(waba string) *number {
	for i := range m.cfg.Numbers {
		if m.cfg.Numbers[i].WABA == waba {
			return m.numbers[m.cfg.Numbers[i].PhoneNumberID]
		}
	}
	return nil
}
