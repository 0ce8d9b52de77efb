package graph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a template's parts. The lengths of header, body and footer are Meta's general ones and not in §12.
const (
	maxTemplateName   = 512
	maxLanguage       = 16
	maxTemplateHeader = 60
	maxTemplateBody   = 1024
	maxTemplateFooter = 60
	minTemplateTTL    = 1440 * time.Minute // of a call button, at creation (§12.4)
)

var (
	nameForm     = regexp.MustCompile(`^[a-z0-9_]+$`)
	languageForm = regexp.MustCompile(`^[a-z]{2,3}([-_][A-Za-z0-9]{2,4})?$`)
)

func checkName(name string) error {
	if len(name) > maxTemplateName || !nameForm.MatchString(name) {
		return fmt.Errorf("%w: template name %q, allowed are 1 to %d lower-case letters, digits and _", ErrContent, clip(name, 64), maxTemplateName)
	}
	return nil
}

func checkLanguage(code string) error {
	if len(code) > maxLanguage || !languageForm.MatchString(code) {
		return fmt.Errorf("%w: language %q, write it as id, en or en_US", ErrContent, clip(code, maxLanguage))
	}
	return nil
}

// TemplateSpec is a template to create, of one of the two kinds that calls need. Placeholders are {{1}}, {{2}}, … and each
// has an example, by which Meta judges the template.
type TemplateSpec struct {
	Name     string
	Language string
	Category string       // MARKETING or UTILITY
	Kind     TemplateKind // TemplatePermission or TemplateCallButton

	Header         string // may be empty, at most 60 characters and one placeholder
	HeaderExamples []string
	Body           string // 1 to 1024 characters
	BodyExamples   []string
	Footer         string // may be empty, at most 60 characters, no placeholders

	// Of TemplateCallButton only.
	Button    string        // 1 to 20 characters
	ButtonTTL time.Duration // whole minutes from 1 to 30 days; 0 is Meta's seven days
}

// Validate reports everything wrong with the spec at once.
func (s TemplateSpec) Validate() error {
	bad := func(wrong bool, format string, a ...any) error {
		if !wrong {
			return nil
		}
		return fmt.Errorf("%w: "+format, append([]any{ErrContent}, a...)...)
	}
	call := s.Kind == TemplateCallButton
	return errors.Join(
		checkName(s.Name), checkLanguage(s.Language),
		bad(s.Category != "MARKETING" && s.Category != "UTILITY", "category %q, allowed are MARKETING and UTILITY", clip(s.Category, 64)),
		bad(!call && s.Kind != TemplatePermission, "kind %v, allowed are %v and %v", s.Kind, TemplatePermission, TemplateCallButton),
		bad(s.Body == "", "body is missing"),
		checkPart("header", s.Header, maxTemplateHeader, 1, s.HeaderExamples),
		checkPart("body", s.Body, maxTemplateBody, maxParameters, s.BodyExamples),
		checkPart("footer", s.Footer, maxTemplateFooter, 0, nil),
		bad(call && s.Button == "", "label of the call button is missing"),
		bad(utf8.RuneCountInString(s.Button) > maxLabel, "label of the call button is longer than %d characters", maxLabel),
		bad(!call && (s.Button != "" || s.ButtonTTL != 0), "a %v template has no call button", s.Kind),
		bad(s.ButtonTTL != 0 && (s.ButtonTTL < minTemplateTTL || s.ButtonTTL > maxButtonTTL || s.ButtonTTL%time.Minute != 0),
			"button for %v, allowed are whole minutes from %d to %d", s.ButtonTTL, minTemplateTTL/time.Minute, maxButtonTTL/time.Minute),
	)
}

// checkPart checks one text: its length, that its placeholders are {{1}} to {{n}}, and that each has an example.
func checkPart(part, content string, most, mostHoles int, examples []string) error {
	if n := utf8.RuneCountInString(content); n > most {
		return fmt.Errorf("%w: %s of %d characters, allowed are %d", ErrContent, part, n, most)
	}
	holes := placeholders(content)
	if len(holes) > mostHoles {
		return fmt.Errorf("%w: %s has %d placeholders, allowed are %d", ErrContent, part, len(holes), mostHoles)
	}
	for i := range holes {
		if !slices.Contains(holes, strconv.Itoa(i+1)) {
			return fmt.Errorf("%w: placeholders of the %s must be {{1}} to {{%d}} without a gap", ErrContent, part, len(holes))
		}
	}
	if len(examples) != len(holes) || slices.Contains(examples, "") {
		return fmt.Errorf("%w: %s has %d placeholders, so it needs %d examples that are not empty", ErrContent, part, len(holes), len(holes))
	}
	return nil
}

// placeholders lists what stands between {{ and }}, each once, by order of first appearance.
func placeholders(s string) []string {
	var list []string
	for len(list) < maxParameters {
		_, rest, ok := strings.Cut(s, "{{")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(rest, "}}")
		if !ok {
			break
		}
		if i := strings.LastIndex(name, "{{"); i >= 0 {
			name = name[i+2:] // an opening before it that nothing closes is text
		}
		if name = strings.TrimSpace(strings.TrimLeft(name, "{")); name != "" && len(name) <= 64 && !slices.Contains(list, name) {
			list = append(list, name)
		}
		s = after
	}
	return list
}

type specJSON struct {
	Name       string          `json:"name"`
	Language   string          `json:"language"`
	Category   string          `json:"category"`
	Components []specComponent `json:"components"`
}

type specComponent struct {
	Type    string         `json:"type"`
	Format  string         `json:"format,omitempty"`
	Text    string         `json:"text,omitempty"`
	Example map[string]any `json:"example,omitempty"`
	Buttons []specButton   `json:"buttons,omitempty"`
}

type specButton struct {
	Type string `json:"type"`
	Text string `json:"text"`
	TTL  int64  `json:"ttl_minutes,omitempty"`
}

func (s TemplateSpec) body() specJSON {
	var list []specComponent
	add := func(c specComponent, examples []string, key string, value any) {
		if c.Text == "" {
			return
		}
		if len(examples) > 0 {
			c.Example = map[string]any{key: value}
		}
		list = append(list, c)
	}
	// The header's example is a list, the body's a list of lists (§12.3).
	add(specComponent{Type: "HEADER", Format: "TEXT", Text: s.Header}, s.HeaderExamples, "header_text", s.HeaderExamples)
	add(specComponent{Type: "BODY", Text: s.Body}, s.BodyExamples, "body_text", [][]string{s.BodyExamples})
	add(specComponent{Type: "FOOTER", Text: s.Footer}, nil, "", nil)
	if s.Kind == TemplateCallButton {
		list = append(list, specComponent{Type: "BUTTONS", Buttons: []specButton{{"voice_call", s.Button, int64(s.ButtonTTL / time.Minute)}}})
	} else {
		list = append(list, specComponent{Type: "call_permission_request"})
	}
	return specJSON{s.Name, s.Language, s.Category, list}
}

// CreateTemplate hands a template to Meta for approval and returns it with the ID, status and category Meta gave it: the
// category may be another than asked for. A name Meta already has in that language is an error, so nothing is resent when it
// may have been taken: ErrUncertain, and Templates tells.
func (c *Client) CreateTemplate(ctx context.Context, waba string, s TemplateSpec) (Template, error) {
	if err := s.Validate(); err != nil {
		return Template{}, fmt.Errorf("create template: %w", err)
	}
	var out struct {
		ID       text `json:"id"`
		Status   enum `json:"status"`
		Category enum `json:"category"`
	}
	r := request{action: "create_template", method: http.MethodPost, path: "/" + segment(waba) + "/message_templates", body: s.body(), limit: budget}
	if err := c.once(ctx, r, &out); err != nil {
		return Template{}, fmt.Errorf("create template %q: %w", s.Name, err)
	}
	if out.ID == "" {
		return Template{}, fmt.Errorf("create template %q: %w: %w: no template id", s.Name, ErrUncertain, ErrAnswer)
	}
	t := Template{ID: string(out.ID), Name: s.Name, Language: s.Language, Status: string(out.Status), Category: first(string(out.Category), s.Category),
		Kind: s.Kind, Header: s.Header, Body: s.Body, Footer: s.Footer, HeaderParameters: placeholders(s.Header),
		BodyParameters: placeholders(s.Body), Button: s.Button, ButtonTTL: s.ButtonTTL}
	if s.Header != "" {
		t.HeaderFormat = "TEXT"
	}
	return t, nil
}
