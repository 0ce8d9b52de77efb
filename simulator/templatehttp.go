package simulator

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxTemplates     = 6000 // per WABA
	maxTemplateBytes = 64 << 10
	templatesPerPage = 25
	maxPerPage       = 1000
)

// firstTemplateID has 17 digits, as some of Meta's have: more than a float64 keeps.
const firstTemplateID = 90071992547409931

// seedTemplate adds a template of the configuration.
func (m *Meta) seedTemplate(t Template) error {
	if t.WABA == "" && len(m.cfg.Numbers) > 0 {
		t.WABA = m.cfg.Numbers[0].WABA
	}
	if t.Status == "" {
		t.Status = TemplateApproved
	}
	t = t.copy()
	if e := t.check(); e != nil {
		return fmt.Errorf("simulated template %s: %w", &t, e)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.addTemplate(&t); e != nil {
		return fmt.Errorf("simulated template %s: %w", &t, e)
	}
	return nil
}

// addTemplate gives a template its ID. m.mu is held.
func (m *Meta) addTemplate(t *Template) *graphError {
	n := 0
	for _, o := range m.templates {
		if o.WABA != t.WABA {
			continue
		}
		if n++; o.Name == t.Name && sameLanguage(o.Language, t.Language) {
			return refuse(100, "content in this language already exists for template %s", t.Name)
		}
	}
	if n >= maxTemplates {
		return refuse(100, "the limit of %d templates is reached", maxTemplates)
	}
	t.ID = strconv.FormatInt(firstTemplateID+m.templateSeq, 10)
	m.templateSeq++
	m.templates = append(m.templates, t)
	return nil
}

// templateByID looks a template up. m.mu is held.
func (m *Meta) templateByID(id string) *Template {
	for _, t := range m.templates {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// template looks a template up. m.mu is held.
func (m *Meta) template(waba, name, language string) *Template {
	for _, t := range m.templates {
		if t.WABA == waba && t.Name == name && sameLanguage(t.Language, language) {
			return t
		}
	}
	return nil
}

type templateBody struct {
	Name       string           `json:"name"`
	Language   string           `json:"language"`
	Category   string           `json:"category"`
	Format     string           `json:"parameter_format"`
	Components []map[string]any `json:"components"`
}

func (m *Meta) createTemplate(q *graphRequest) (answer, *graphError) {
	t, e := m.newTemplate(q)
	if e != nil {
		return nil, e
	}
	q.template = t.Name
	category := t.Category
	m.mu.Lock()
	e = m.addTemplate(t)
	id := t.ID
	m.mu.Unlock()
	if e != nil {
		return nil, e
	}
	m.reviewLater(id)
	return obj{"id": id, "status": TemplatePending, "category": category}, nil
}

func (m *Meta) newTemplate(q *graphRequest) (*Template, *graphError) {
	if len(q.body) > maxTemplateBytes {
		return nil, refuse(100, "template is larger than %d bytes", maxTemplateBytes)
	}
	var b templateBody
	if e := decodeBody(q, &b); e != nil {
		return nil, e
	}
	if q.id != q.num.WABA {
		return nil, refuse(100, "message_templates belong to a WhatsApp Business Account, not to a phone number")
	}
	t := &Template{WABA: q.num.WABA, Name: b.Name, Language: b.Language, Category: strings.ToUpper(b.Category), Status: TemplatePending,
		ParameterFormat: strings.ToUpper(b.Format), Components: b.Components}
	return t, t.check()
}

// reviewLater is Meta's own review, when Timing has one.
func (m *Meta) reviewLater(id string) {
	if m.timing.TemplateReview <= 0 {
		return
	}
	m.spawn("template review", func() {
		if !sleep(m.ctx, m.timing.TemplateReview) {
			return
		}
		m.mu.Lock()
		t := m.templateByID(id)
		pending := t != nil && t.Status == TemplatePending
		m.mu.Unlock()
		if pending {
			m.review(t, TemplateApproved, "")
		}
	})
}

// editTemplate is POST /{TEMPLATE_ID}: what was decided once can be changed and is reviewed again.
func (m *Meta) editTemplate(q *graphRequest) (answer, *graphError) {
	if len(q.body) > maxTemplateBytes {
		return nil, refuse(100, "template is larger than %d bytes", maxTemplateBytes)
	}
	var b templateBody
	if e := decodeBody(q, &b); e != nil {
		return nil, e
	}
	m.mu.Lock()
	t := m.templateByID(q.id)
	e := m.applyEdit(t, &b)
	if t != nil {
		q.template = t.Name
	}
	m.mu.Unlock()
	if e != nil {
		return nil, e
	}
	m.reviewLater(q.id)
	return obj{"success": true}, nil
}

// applyEdit changes t if the result is a valid template. m.mu is held.
func (m *Meta) applyEdit(t *Template, b *templateBody) *graphError {
	switch {
	case t == nil:
		return refuse(100, "Unsupported post request: there is no such template")
	case !slices.Contains([]string{TemplateApproved, TemplateRejected, TemplatePaused}, t.Status):
		return refuse(100, "a template with status %s can not be edited", t.Status)
	case b.Category != "" && t.Status == TemplateApproved && !strings.EqualFold(b.Category, t.Category):
		return refuse(100, "the category of an approved template can not be changed")
	}
	next := *t
	if b.Category != "" {
		next.Category = strings.ToUpper(b.Category)
	}
	if b.Format != "" {
		next.ParameterFormat = strings.ToUpper(b.Format)
	}
	if b.Components != nil {
		next.Components = b.Components
	}
	if e := next.check(); e != nil {
		return e
	}
	next.Status, next.Reason = TemplatePending, ""
	*t = next
	return nil
}

// deleteTemplates is DELETE ?name=[&hsm_id=]: all languages of the name, or one of them.
func (m *Meta) deleteTemplates(q *graphRequest) (answer, *graphError) {
	name, id := q.URL.Query().Get("name"), q.URL.Query().Get("hsm_id")
	if name == "" {
		return nil, refuse(100, "The parameter name is required")
	}
	q.template = name
	var gone []*Template
	m.mu.Lock()
	for _, t := range m.templates {
		if t.WABA == q.num.WABA && t.Name == name && (id == "" || id == t.ID) {
			gone = append(gone, t)
		}
	}
	m.mu.Unlock()
	if len(gone) == 0 {
		return nil, refuse(100, "Message template %q was not found", name)
	}
	for _, t := range gone {
		m.review(t, TemplateDeleted, "")
	}
	return obj{"success": true}, nil
}

var templateFields = []string{"name", "components", "language", "status", "category", "id"}

// listTemplates pages through a WABA's templates, oldest first.
func (m *Meta) listTemplates(q *graphRequest) (answer, *graphError) {
	v := q.URL.Query()
	limit := templatesPerPage
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPerPage {
			return nil, refuse(100, "limit must be 1 to %d", maxPerPage)
		}
		limit = n
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*Template
	for _, t := range m.templates {
		if t.WABA == q.num.WABA && matchTemplate(t, v) {
			all = append(all, t)
		}
	}
	from, to, e := pageOf(all, limit, v.Get("after"), v.Get("before"))
	if e != nil {
		return nil, e
	}
	data := []any{}
	for _, t := range all[from:to] {
		o, e := pickFields(t.fields(), v.Get("fields"), templateFields, "MessageTemplate")
		if e != nil {
			return nil, e
		}
		data = append(data, o)
	}
	out := obj{"data": data}
	if len(data) > 0 {
		out["paging"] = m.paging(q, all, from, to)
	}
	return out, nil
}

func matchTemplate(t *Template, v url.Values) bool {
	for key, have := range map[string]string{"name": t.Name, "language": t.Language, "status": t.Status, "category": t.Category} {
		if want := v.Get(key); want != "" && !strings.EqualFold(want, have) {
			return false
		}
	}
	return true
}

// A cursor is the ID of the template at that end of a page, in an opaque dress.
func cursorOf(t *Template) string { return base64.RawURLEncoding.EncodeToString([]byte("t:" + t.ID)) }

func pageOf(all []*Template, limit int, after, before string) (from, to int, e *graphError) {
	at := func(cursor string) int {
		return slices.IndexFunc(all, func(t *Template) bool { return cursorOf(t) == cursor })
	}
	switch {
	case after != "":
		if from = at(after) + 1; from == 0 {
			return 0, 0, refuse(100, "Invalid cursor in after")
		}
	case before != "":
		to := at(before)
		if to < 0 {
			return 0, 0, refuse(100, "Invalid cursor in before")
		}
		return max(0, to-limit), to, nil
	}
	return from, min(len(all), from+limit), nil
}

func (m *Meta) paging(q *graphRequest, all []*Template, from, to int) obj {
	first, last := cursorOf(all[from]), cursorOf(all[to-1])
	link := func(key, cursor string) string {
		v := q.URL.Query()
		v.Del("after")
		v.Del("before")
		v.Set(key, cursor)
		return m.URL() + q.URL.Path + "?" + v.Encode()
	}
	p := obj{"cursors": obj{"before": first, "after": last}}
	if to < len(all) {
		p["next"] = link("after", last)
	}
	if from > 0 {
		p["previous"] = link("before", first)
	}
	return p
}

// pickFields answers ?fields= from what is known; the ID always comes along.
func pickFields(known obj, asked string, defaults []string, node string) (obj, *graphError) {
	names := defaults
	if asked != "" {
		names = strings.Split(asked, ",")
	}
	out := obj{"id": known["id"]}
	for _, f := range names {
		f = strings.TrimSpace(f)
		v, ok := known[f]
		if !ok {
			return nil, refuse(100, "Tried accessing nonexisting field (%s) on node type (%s)", cut(f, 64), node)
		}
		out[f] = v
	}
	return out, nil
}

// cut shortens a stranger's text for an error message.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// serveNode is GET /{ID}: a number or a template.
func (m *Meta) serveNode(q *graphRequest) (answer, *graphError) {
	m.mu.Lock()
	t := m.templateByID(q.id)
	var known obj
	if t != nil {
		known = t.fields()
	}
	m.mu.Unlock()
	if t == nil {
		return m.serveNumber(q)
	}
	return pickFields(known, q.URL.Query().Get("fields"), templateFields, "MessageTemplate")
}
