package simulator

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// resolve finds the template of a message and fills it in; what comes back is what the customer sees. m.mu is held.
func (m *Meta) resolve(waba string, s *templateSend, now time.Time) (*Message, *graphError) {
	t := m.template(waba, s.Name, s.Language.Code)
	if t == nil {
		return nil, refuse(132001, "template name (%s) does not exist in %s", cut(s.Name, 64), cut(s.Language.Code, 16))
	}
	switch t.Status {
	case TemplateApproved:
	case TemplatePaused:
		return nil, refuse(132015, "template %s is paused due to low quality", t.Name)
	case TemplateDisabled:
		return nil, refuse(132016, "template %s is disabled", t.Name)
	default:
		return nil, refuse(132001, "template %s is %s, not approved", t.Name, t.Status)
	}
	return t.fill(s, now)
}

// fill makes the message of a template and the components of its sending.
func (t *Template) fill(s *templateSend, now time.Time) (*Message, *graphError) {
	p := &t.parts
	out := &Message{Type: "template", Template: t.Name, Language: t.Language, Footer: p.footer, AsksPermission: p.asksPermission}
	for _, b := range p.buttons {
		out.Buttons = append(out.Buttons, b.Text)
	}
	call := p.callButton()
	if call >= 0 {
		out.button = call
		out.callTTL(p.buttons[call].TTL, now)
	}
	given := map[string][]sendParameter{}
	for _, c := range s.Components {
		kind := strings.ToLower(c.Type)
		switch kind {
		case "header", "body":
			if _, twice := given[kind]; twice {
				return nil, refuse(132012, "more than one %s component", kind)
			}
			given[kind] = c.Parameters
		case "button":
			if e := t.override(&c, call, out, now); e != nil {
				return nil, e
			}
		default:
			return nil, refuse(132012, "component type %q can not be sent", cut(c.Type, 64))
		}
	}
	var e *graphError
	if out.Header, e = t.substitute("header", p.header, p.headerArgs, given["header"]); e != nil {
		return nil, e
	}
	if out.Text, e = t.substitute("body", p.body, p.bodyArgs, given["body"]); e != nil {
		return nil, e
	}
	if utf8.RuneCountInString(out.Text) > maxTemplateBody {
		return nil, refuse(132005, "the body is longer than %d characters with its parameters", maxTemplateBody)
	}
	return out, nil
}

// override applies a button component: ttl_minutes and payload of a call button (§12.4).
func (t *Template) override(c *sendComponent, call int, out *Message, now time.Time) *graphError {
	at, ok := buttonIndex(c.Index)
	if !ok || at >= len(t.parts.buttons) || !strings.EqualFold(c.SubType, t.parts.buttons[at].Type) {
		return refuse(132012, "the template has no %s button at index %s", cut(c.SubType, 64), cut(string(c.Index), 16))
	}
	if at != call {
		return nil // other buttons are not played
	}
	for _, p := range c.Parameters {
		switch p.Type {
		case "ttl_minutes":
			if p.TTL == nil || *p.TTL < 1 || *p.TTL > maxTTL {
				return refuse(132012, "ttl_minutes must be 1 to %d", maxTTL)
			}
			out.callTTL(p.TTL, now)
		case "payload":
			if utf8.RuneCountInString(p.Payload) > maxOpaque {
				return refuse(132012, "payload must be at most %d characters long", maxOpaque)
			}
			out.Payload = p.Payload
		default:
			return refuse(132012, "parameter type %q is not for a voice_call button", cut(p.Type, 64))
		}
	}
	return nil
}

func buttonIndex(raw json.RawMessage) (int, bool) {
	if raw == nil {
		return 0, true
	}
	n, err := strconv.Atoi(strings.Trim(string(raw), `"`))
	return n, err == nil && n >= 0
}

// substitute puts parameters into a text; their number and form must be the template's.
func (t *Template) substitute(what, text string, args []string, params []sendParameter) (string, *graphError) {
	if len(params) != len(args) {
		return "", refuse(132000, "%s: number of localizable_params (%d) does not match the expected number of params (%d)", what, len(params), len(args))
	}
	values := map[string]string{}
	for i, p := range params {
		key := args[i]
		if t.ParameterFormat == "NAMED" {
			key = p.Name
		}
		switch {
		case p.Type != "text" || p.Text == "":
			return "", refuse(132012, "%s: parameter %d must be a non-empty text", what, i+1)
		case strings.ContainsAny(p.Text, "\n\t") || strings.Contains(p.Text, "     "):
			return "", refuse(132007, "%s: parameter %d has a line break, a tab or more than four spaces in a row", what, i+1)
		}
		values[key] = p.Text
	}
	for _, a := range args {
		if _, ok := values[a]; !ok {
			return "", refuse(132012, "%s: parameter_name %s is missing", what, a)
		}
	}
	return templatePlace.ReplaceAllStringFunc(text, func(s string) string {
		return values[strings.TrimSpace(strings.Trim(s, "{}"))]
	}), nil
}
