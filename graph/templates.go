package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The limits of reading templates: pages of 100, as Meta gives them, and 2,000 in all.
const (
	templatePage  = 100
	maxTemplates  = 2000
	maxPages      = 2 * maxTemplates / templatePage // pages may be half empty
	maxComponents = 16
	maxButtons    = 10 // Meta's own limit
	maxCursor     = 4096
)

// TemplateKind is what a template is to a telephone.
type TemplateKind uint8

// The kinds of template.
const (
	TemplateOther      TemplateKind = iota // anything without a call in it
	TemplatePermission                     // asks for permission to call: for calls the business initiates
	TemplateCallButton                     // has a button by which the customer calls
)

func (k TemplateKind) String() string {
	switch k {
	case TemplatePermission:
		return "permission_request"
	case TemplateCallButton:
		return "call_button"
	}
	return "other"
}

// Template is a message template as Meta holds it (§12.1). Enumerations are in upper case, "" where Meta said nothing.
type Template struct {
	ID       string
	Name     string
	Language string // as Meta writes it; compare with SameLanguage
	Status   string // PENDING, APPROVED, REJECTED, PAUSED, DISABLED, …
	Category string // MARKETING, UTILITY, AUTHENTICATION
	Kind     TemplateKind
	Rejected string // why, if it was: INCORRECT_CATEGORY, …
	Quality  string // GREEN, YELLOW, RED

	Header       string // text, "" when there is none or it is a medium
	HeaderFormat string // TEXT, IMAGE, VIDEO, DOCUMENT, LOCATION; "" without header
	Body         string
	Footer       string
	// The placeholders by order of first appearance: "1", "2", or names. Their numbers are what SendTemplate must be given.
	HeaderParameters []string
	BodyParameters   []string
	Named            bool // placeholders are filled by name

	// Of the call button, for TemplateCallButton.
	Button      string
	ButtonIndex int           // among all the buttons
	ButtonTTL   time.Duration // 0: Meta's seven days
}

// Approved reports whether the template may be sent now.
func (t *Template) Approved() bool { return t.Status == "APPROVED" }

// SameLanguage compares two language codes: Meta writes both en_US and en-US (§12.2).
func SameLanguage(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "-", "_"), strings.ReplaceAll(b, "-", "_"))
}

// Templates lists the account's templates, in Meta's order. When Meta holds more than 2,000 it returns those and ErrMore.
func (c *Client) Templates(ctx context.Context, waba string) ([]Template, error) {
	query := url.Values{"fields": {"id,name,language,status,category,parameter_format,components,rejected_reason,quality_score"},
		"limit": {strconv.Itoa(templatePage)}}
	var list []Template
	for range maxPages {
		var page templatesJSON
		r := request{action: "templates", method: http.MethodGet, path: "/" + segment(waba) + "/message_templates", query: query}
		if _, err := c.do(ctx, r, &page); err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		list = append(list, page.templates()...)
		next := page.next()
		switch {
		case len(list) > maxTemplates, len(list) == maxTemplates && next != "":
			return list[:maxTemplates], fmt.Errorf("templates: %w: %d", ErrMore, maxTemplates)
		case next == "":
			return list, nil
		case next == query.Get("after"), len(next) > maxCursor:
			return nil, fmt.Errorf("templates: %w: paging does not advance", ErrAnswer)
		}
		// The cursor is followed, never the URL in "next": it names a host and holds the token.
		query.Set("after", next)
	}
	return list, fmt.Errorf("templates: %w: %d pages", ErrMore, maxPages)
}

type templatesJSON struct {
	Data   []templateJSON `json:"data"`
	Paging struct {
		Cursors struct {
			After text `json:"after"`
		} `json:"cursors"`
		Next text `json:"next"`
	} `json:"paging"`
}

// next is the cursor of the page that follows: Meta gives a cursor on the last page too, but no "next".
func (p *templatesJSON) next() string {
	if p.Paging.Next == "" {
		return ""
	}
	return string(p.Paging.Cursors.After)
}

func (p *templatesJSON) templates() []Template {
	list := make([]Template, 0, min(len(p.Data), templatePage))
	for i := range p.Data[:min(len(p.Data), maxTemplates+1)] {
		if t := p.Data[i].template(); t.Name != "" {
			list = append(list, t)
		}
	}
	return list
}

type templateJSON struct {
	ID         text              `json:"id"`
	Name       text              `json:"name"`
	Language   text              `json:"language"`
	Status     enum              `json:"status"`
	Category   enum              `json:"category"`
	Format     enum              `json:"parameter_format"`
	Rejected   enum              `json:"rejected_reason"`
	Quality    json.RawMessage   `json:"quality_score"`
	Components []json.RawMessage `json:"components"`
}

func (j *templateJSON) template() Template {
	t := Template{ID: clip(string(j.ID), 64), Name: clip(string(j.Name), maxTemplateName), Language: clip(string(j.Language), maxLanguage),
		Status: clip(string(j.Status), 64), Category: clip(string(j.Category), 64), Named: j.Format == "NAMED", Quality: quality(j.Quality)}
	if j.Rejected != "NONE" {
		t.Rejected = clip(string(j.Rejected), 128)
	}
	for _, raw := range j.Components[:min(len(j.Components), maxComponents)] {
		t.addComponent(raw)
	}
	return t
}

// quality reads quality_score, which is an object {"score":"GREEN"} in the field and a word in older samples.
func quality(raw json.RawMessage) string {
	var j struct {
		Score enum `json:"score"`
	}
	var word enum
	if json.Unmarshal(raw, &j) == nil && j.Score != "" {
		word = j.Score
	} else if word.UnmarshalJSON(raw) != nil {
		return ""
	}
	if word == "UNKNOWN" {
		return ""
	}
	return clip(string(word), 64)
}

func (t *Template) addComponent(raw json.RawMessage) {
	var j struct {
		Type    enum `json:"type"`
		Format  enum `json:"format"`
		Text    text `json:"text"`
		Buttons []struct {
			Type enum `json:"type"`
			Text text `json:"text"`
			TTL  num  `json:"ttl_minutes"`
		} `json:"buttons"`
	}
	if err := json.Unmarshal(raw, &j); err != nil && !isTypeError(err) {
		return
	}
	switch content := clip(string(j.Text), 4*maxText); j.Type {
	case "HEADER":
		t.Header, t.HeaderFormat = content, clip(string(j.Format), 64)
		t.HeaderParameters = placeholders(content)
	case "BODY":
		t.Body, t.BodyParameters = content, placeholders(content)
	case "FOOTER":
		t.Footer = content
	case "CALL_PERMISSION_REQUEST":
		t.Kind = TemplatePermission
	case "BUTTONS":
		for i, b := range j.Buttons[:min(len(j.Buttons), maxButtons)] {
			if b.Type == "VOICE_CALL" && t.Kind == TemplateOther {
				t.Kind, t.Button, t.ButtonIndex = TemplateCallButton, clip(string(b.Text), 4*maxLabel), i
				t.ButtonTTL = time.Duration(min(max(b.TTL, 0), 1e6)) * time.Minute
			}
		}
	}
}

// DeleteTemplate deletes one template by name and ID, or with an empty ID the name in every language. One that is not there
// after an answer was lost counts as deleted.
func (c *Client) DeleteTemplate(ctx context.Context, waba, name, id string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("delete template: %w", err)
	}
	query := url.Values{"name": {name}}
	if id != "" {
		query.Set("hsm_id", id)
	}
	r := request{action: "delete_template", method: http.MethodDelete, path: "/" + segment(waba) + "/message_templates", query: query}
	uncertain, err := c.do(ctx, r, nil)
	if e := AsError(err); e != nil && uncertain && e.templateGone() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete template %q: %w", name, err)
	}
	return nil
}

// templateGone: codes 33 and 100 with words to it; Meta documents none.
func (e *Error) templateGone() bool {
	return e.Code == 33 || (e.Code == 100 && e.says("not found", "not exist", "n't exist"))
}
