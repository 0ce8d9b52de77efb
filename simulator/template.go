package simulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The template statuses the sending of a template looks at (§12.1); Meta has more.
const (
	TemplatePending  = "PENDING"
	TemplateApproved = "APPROVED"
	TemplateRejected = "REJECTED"
	TemplatePaused   = "PAUSED"
	TemplateDisabled = "DISABLED"
	TemplateDeleted  = "DELETED"
)

// Template is a message template of a WABA as Meta holds it (§12).
type Template struct {
	ID       string // digits; made by Meta
	WABA     string // empty in MetaConfig: the first number's
	Name     string
	Language string
	Category string // MARKETING, UTILITY, AUTHENTICATION
	// Status is empty in MetaConfig for APPROVED.
	Status          string
	Reason          string // of a rejection, pause or block; NONE
	ParameterFormat string // POSITIONAL (when empty) or NAMED
	Components      []map[string]any

	parts templateParts
}

// PermissionTemplate is an approved template that asks for call permission and has one body parameter, as in §12.3.
func PermissionTemplate(name, language, body string) Template {
	return Template{Name: name, Language: language, Category: "UTILITY", Components: []map[string]any{
		{"type": "BODY", "text": body, "example": obj{"body_text": []any{exampleValues(body)}}},
		{"type": "call_permission_request"},
	}}
}

// CallButtonTemplate is an approved template with a call button that lasts a day, as in §12.4.
func CallButtonTemplate(name, language, body, button string) Template {
	return Template{Name: name, Language: language, Category: "UTILITY", Components: []map[string]any{
		{"type": "BODY", "text": body, "example": obj{"body_text": []any{exampleValues(body)}}},
		{"type": "BUTTONS", "buttons": []any{obj{"type": "voice_call", "text": button, "ttl_minutes": 1440}}},
	}}
}

func exampleValues(text string) []any {
	out := []any{}
	for range placeholders(text) {
		out = append(out, "example")
	}
	return out
}

// templateParts is what sending a template needs of its components.
type templateParts struct {
	header, body, footer string
	headerArgs, bodyArgs []string // placeholder names in order: "1", "2" or the names
	asksPermission       bool
	buttons              []templateButton
}

type templateButton struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	TTL     *int   `json:"ttl_minutes"`
	URL     string `json:"url"`
	Phone   string `json:"phone_number"`
	Example any    `json:"example"`
}

type templateComponent struct {
	Type    string           `json:"type"`
	Format  string           `json:"format"`
	Text    string           `json:"text"`
	Buttons []templateButton `json:"buttons"`
	Example struct {
		Header      []string       `json:"header_text"`
		Body        [][]string     `json:"body_text"`
		NamedHeader []namedExample `json:"header_text_named_params"`
		NamedBody   []namedExample `json:"body_text_named_params"`
	} `json:"example"`
}

type namedExample struct {
	Name    string `json:"param_name"`
	Example string `json:"example"`
}

const (
	maxTemplateBody   = 1024
	maxTemplateHeader = 60
	maxTemplateFooter = 60
	maxTemplateButton = 25
	maxButtons        = 10
	minTemplateTTL    = 1440 // minutes, at creation (§12.4)
	maxTTL            = 43200
)

var (
	templateName     = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)
	templateLanguage = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z][A-Za-z]{1,3})?$`)
	templatePlace    = regexp.MustCompile(`\{\{([^{}]*)\}\}`)
	placeName        = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// check judges a template as Meta does when it is created and fills in its parts.
func (t *Template) check() *graphError {
	switch {
	case !templateName.MatchString(t.Name):
		return refuse(100, "name must be at most 512 lower-case letters, digits and underscores")
	case !templateLanguage.MatchString(t.Language):
		return refuse(100, "language %q is not supported, use a code like en or en_US", t.Language)
	case !slices.Contains([]string{"MARKETING", "UTILITY", "AUTHENTICATION"}, t.Category):
		return refuse(100, "category must be MARKETING, UTILITY or AUTHENTICATION")
	case t.ParameterFormat != "" && t.ParameterFormat != "POSITIONAL" && t.ParameterFormat != "NAMED":
		return refuse(100, "parameter_format must be POSITIONAL or NAMED")
	}
	raw, err := json.Marshal(t.Components)
	var list []templateComponent
	if err != nil || json.Unmarshal(raw, &list) != nil {
		return refuse(100, "components are malformed")
	}
	t.parts = templateParts{}
	seen := map[string]bool{}
	for _, c := range list {
		kind := strings.ToUpper(c.Type)
		if seen[kind] {
			return refuse(100, "more than one %s component", kind)
		}
		seen[kind] = true
		if e := t.addComponent(kind, &c); e != nil {
			return e
		}
	}
	return t.checkWhole(seen)
}

func (t *Template) checkWhole(seen map[string]bool) *graphError {
	special := t.parts.asksPermission || t.parts.callButton() >= 0
	switch {
	case !seen["BODY"]:
		return refuse(100, "a BODY component is required")
	case t.parts.asksPermission && seen["BUTTONS"]:
		return refuse(100, "call_permission_request can not be combined with BUTTONS")
	case special && t.Category == "AUTHENTICATION":
		return refuse(100, "category must be MARKETING or UTILITY for calling components")
	}
	return nil
}

func (t *Template) addComponent(kind string, c *templateComponent) *graphError {
	var e *graphError
	p, named := &t.parts, t.ParameterFormat == "NAMED"
	switch kind {
	case "HEADER":
		if c.Format != "TEXT" {
			return refuse(100, "HEADER format %q needs an uploaded example; only TEXT is simulated", c.Format)
		}
		p.header = c.Text
		p.headerArgs, e = checkText("HEADER", c.Text, maxTemplateHeader, named, c.Example.Header, c.Example.NamedHeader)
		if e == nil && len(p.headerArgs) > 1 {
			return refuse(100, "HEADER may have one variable at most")
		}
	case "BODY":
		var example []string
		if len(c.Example.Body) > 0 {
			example = c.Example.Body[0]
		}
		p.body = c.Text
		p.bodyArgs, e = checkText("BODY", c.Text, maxTemplateBody, named, example, c.Example.NamedBody)
	case "FOOTER":
		var args []string
		p.footer = c.Text
		if args, e = checkText("FOOTER", c.Text, maxTemplateFooter, named, nil, nil); e == nil && len(args) > 0 {
			return refuse(100, "FOOTER can not have variables")
		}
	case "CALL_PERMISSION_REQUEST":
		p.asksPermission = true
	case "BUTTONS":
		p.buttons = c.Buttons
		return checkButtons(c.Buttons)
	default:
		return refuse(100, "component type %q is not known", c.Type)
	}
	return e
}

// checkText judges a component's text and returns its placeholders, each once: positional ones by number.
func checkText(what, text string, limit int, named bool, example []string, namedExamples []namedExample) ([]string, *graphError) {
	if text == "" || utf8.RuneCountInString(text) > limit {
		return nil, refuse(100, "%s text must have 1 to %d characters", what, limit)
	}
	args := placeholders(text)
	if strings.Count(text, "{{") != len(templatePlace.FindAllString(text, -1)) {
		return nil, refuse(100, "%s text has a malformed variable", what)
	}
	if named {
		for _, a := range args {
			if !placeName.MatchString(a) {
				return nil, refuse(100, "%s variable {{%s}} must be lower-case letters, digits and underscores", what, a)
			}
			if !slices.ContainsFunc(namedExamples, func(n namedExample) bool { return n.Name == a && n.Example != "" }) {
				return nil, refuse(100, "%s needs an example for {{%s}}", what, a)
			}
		}
		return args, nil
	}
	ordered := make([]string, len(args))
	for i := range args {
		if ordered[i] = strconv.Itoa(i + 1); !slices.Contains(args, ordered[i]) {
			return nil, refuse(100, "%s variables must be {{1}} to {{%d}} without gaps", what, len(args))
		}
	}
	if len(example) != len(args) || slices.Contains(example, "") {
		return nil, refuse(100, "%s has %d variables and %d examples", what, len(args), len(example))
	}
	return ordered, nil
}

func placeholders(text string) []string {
	var out []string
	for _, m := range templatePlace.FindAllStringSubmatch(text, -1) {
		if name := strings.TrimSpace(m[1]); !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func checkButtons(list []templateButton) *graphError {
	if len(list) == 0 || len(list) > maxButtons {
		return refuse(100, "BUTTONS must have 1 to %d buttons", maxButtons)
	}
	calls := 0
	for _, b := range list {
		if b.Text == "" || utf8.RuneCountInString(b.Text) > maxTemplateButton {
			return refuse(100, "button text must have 1 to %d characters", maxTemplateButton)
		}
		switch strings.ToUpper(b.Type) {
		case "VOICE_CALL":
			calls++
			if b.TTL != nil && (*b.TTL < minTemplateTTL || *b.TTL > maxTTL) {
				return refuse(100, "ttl_minutes must be %d to %d", minTemplateTTL, maxTTL)
			}
		case "URL":
			if !strings.HasPrefix(b.URL, "https://") && !strings.HasPrefix(b.URL, "http://") {
				return refuse(100, "a URL button needs a url")
			}
		case "PHONE_NUMBER":
			if digits(b.Phone) == "" {
				return refuse(100, "a PHONE_NUMBER button needs a phone_number")
			}
		case "QUICK_REPLY":
		default:
			return refuse(100, "button type %q is not known", b.Type)
		}
	}
	if calls > 1 {
		return refuse(100, "more than one voice_call button")
	}
	return nil
}

// callButton is the index of the voice_call button, or -1.
func (p *templateParts) callButton() int {
	return slices.IndexFunc(p.buttons, func(b templateButton) bool { return strings.EqualFold(b.Type, "voice_call") })
}

// sameLanguage compares language codes with - and _ alike.
func sameLanguage(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "-", "_"), strings.ReplaceAll(b, "-", "_"))
}

// fields is what GET message_templates can tell.
func (t *Template) fields() obj {
	format, reason := t.ParameterFormat, "NONE"
	if format == "" {
		format = "POSITIONAL"
	}
	if t.Status == TemplateRejected && t.Reason != "" {
		reason = t.Reason
	}
	return obj{"id": t.ID, "name": t.Name, "language": t.Language, "status": t.Status, "category": t.Category,
		"components": t.Components, "parameter_format": format, "rejected_reason": reason, "quality_score": obj{"score": "UNKNOWN"}}
}

func (t *Template) copy() Template {
	c := *t
	c.Components = nil
	for _, o := range t.Components {
		c.Components = append(c.Components, deepCopy(o))
	}
	return c
}

// deepCopy copies a JSON object. What can't be JSON is a bug of the caller and comes back as nil.
func deepCopy(o map[string]any) map[string]any {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil
	}
	var out map[string]any
	if json.Unmarshal(raw, &out) != nil {
		return nil
	}
	return out
}

func (t *Template) String() string { return fmt.Sprintf("%s/%s (%s)", t.Name, t.Language, t.Status) }
