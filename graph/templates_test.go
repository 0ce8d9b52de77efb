package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTemplatesAreReadWhole(t *testing.T) {
	c, g := serve(t, golden(t, "answer/templates"))
	list, err := c.Templates(t.Context(), "900")
	if err != nil {
		t.Fatal(err)
	}
	g.was(t, "GET /v25.0/900/message_templates?fields=id%2Cname%2Clanguage%2Cstatus%2Ccategory%2Cparameter_format%2Ccomponents%2Crejected_reason%2Cquality_score&limit=100", "")
	want := []Template{
		{ID: "800", Name: "ask_to_call", Language: "en", Status: "APPROVED", Category: "UTILITY", Kind: TemplatePermission, Quality: "GREEN",
			Header: "Order {{1}}", HeaderFormat: "TEXT", Body: "May we call you about order {{1}}, {{2}}?", Footer: "Thank you",
			HeaderParameters: []string{"1"}, BodyParameters: []string{"1", "2"}},
		{ID: "801", Name: "call_us", Language: "en_US", Status: "REJECTED", Category: "MARKETING", Kind: TemplateCallButton, Rejected: "INCORRECT_CATEGORY",
			HeaderFormat: "IMAGE", Body: "Dear {{customer}}, call us about {{order}}. Yours, {{customer}}", BodyParameters: []string{"customer", "order"}, Named: true,
			Button: "Call Now", ButtonIndex: 1, ButtonTTL: 24 * time.Hour},
		{ID: "802", Name: "hello", Language: "id", Status: "PAUSED", Category: "MARKETING", Body: "Hello"},
	}
	for i := range want {
		if i >= len(list) || !reflect.DeepEqual(list[i], want[i]) {
			t.Errorf("template %d is %+v, want %+v", i, list[min(i, len(list)-1)], want[i])
		}
	}
	if !list[0].Approved() || list[1].Approved() || list[2].Approved() {
		t.Error("only the first is approved")
	}
}

// page is a page of n templates with a cursor, and a "next" that must not be followed.
func page(n int, after string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":"%s-%d","name":"t%d","status":"APPROVED"}`, after, i, i)
	}
	s := `{"data":[` + strings.Join(list, ",") + `],"paging":{"cursors":{"after":"` + after + `"}`
	if after != "" {
		s += `,"next":"https://evil.test/?access_token=x"`
	}
	return s + `}}`
}

func TestTemplatesArePagedByCursor(t *testing.T) {
	c, g := serve(t, page(100, "one"), page(0, "two"), page(3, ""))
	list, err := c.Templates(t.Context(), "900")
	if err != nil || len(list) != 103 || len(g.asked) != 3 {
		t.Fatalf("%d templates in %d requests, %v", len(list), len(g.asked), err)
	}
	if strings.Contains(g.asked[0], "after=") || !strings.Contains(g.asked[1], "after=one") || !strings.Contains(g.asked[2], "after=two") {
		t.Errorf("asked %q", g.asked)
	}
}

func TestTemplatesEndAtTwoThousand(t *testing.T) {
	for name, c := range map[string]struct {
		page  func(n int) string
		want  int
		pages int
	}{
		"full pages":           {func(n int) string { return page(100, fmt.Sprint("c", n)) }, 2000, 20},
		"one page of too many": {func(int) string { return page(2500, "") }, 2000, 1},
		"empty pages":          {func(n int) string { return page(0, fmt.Sprint("c", n)) }, 0, 40},
	} {
		n := 0
		cl, m := client(func(r *http.Request) (*http.Response, error) { n++; return says(200, c.page(n))(r) })
		list, err := cl.Templates(t.Context(), "900")
		if !errors.Is(err, ErrMore) || len(list) != c.want || len(m.asked) != c.pages {
			t.Errorf("%s: %d templates in %d requests, %v", name, len(list), len(m.asked), err)
		}
	}
	cl, _ := client(says(200, page(1, "same")))
	if _, err := cl.Templates(t.Context(), "900"); !errors.Is(err, ErrAnswer) {
		t.Errorf("a cursor that stands still: %v", err)
	}
	cl, _ = client(says(200, page(2000, "")))
	if list, err := cl.Templates(t.Context(), "900"); err != nil || len(list) != 2000 {
		t.Errorf("2000 templates: %d, %v", len(list), err)
	}
}

var (
	askToCall = TemplateSpec{Name: "ask_to_call", Language: "en", Category: "UTILITY", Kind: TemplatePermission, Header: "Order {{1}}",
		HeaderExamples: []string{"4711"}, Body: "May we call you about order {{1}}?", BodyExamples: []string{"4711"}, Footer: "Thank you"}
	callUs = TemplateSpec{Name: "call_us", Language: "id", Category: "MARKETING", Kind: TemplateCallButton, Body: "Call us",
		Button: "Call Now", ButtonTTL: 24 * time.Hour}
)

func TestTemplatesAreCreatedInTheContractsForm(t *testing.T) {
	for name, spec := range map[string]TemplateSpec{"create_permission": askToCall, "create_button": callUs} {
		c, g := serve(t, `{"id":"800","status":"PENDING","category":"MARKETING"}`)
		got, err := c.CreateTemplate(t.Context(), "900", spec)
		if err != nil || got.ID != "800" || got.Status != "PENDING" || got.Category != "MARKETING" || got.Name != spec.Name || got.Kind != spec.Kind {
			t.Errorf("%+v %v", got, err)
		}
		if len(got.BodyParameters) != len(spec.BodyExamples) || len(got.HeaderParameters) != len(spec.HeaderExamples) {
			t.Errorf("parameters %v and %v", got.HeaderParameters, got.BodyParameters)
		}
		g.was(t, "POST /v25.0/900/message_templates", golden(t, "request/"+name))
	}
}

func TestBadTemplatesAreNotCreated(t *testing.T) {
	for name, change := range map[string]func(*TemplateSpec){
		"no name":               func(s *TemplateSpec) { s.Name = "" },
		"name in capitals":      func(s *TemplateSpec) { s.Name = "Ask" },
		"name too long":         func(s *TemplateSpec) { s.Name = strings.Repeat("a", 513) },
		"language":              func(s *TemplateSpec) { s.Language = "Deutsch" },
		"category":              func(s *TemplateSpec) { s.Category = "AUTHENTICATION" },
		"kind":                  func(s *TemplateSpec) { s.Kind = TemplateOther },
		"no body":               func(s *TemplateSpec) { s.Body, s.BodyExamples = "", nil },
		"body too long":         func(s *TemplateSpec) { s.Body = "{{1}}" + strings.Repeat("a", 1020) },
		"header too long":       func(s *TemplateSpec) { s.Header = "{{1}}" + strings.Repeat("a", 56) },
		"footer too long":       func(s *TemplateSpec) { s.Footer = strings.Repeat("a", 61) },
		"footer with a hole":    func(s *TemplateSpec) { s.Footer = "{{1}}" },
		"two holes in a header": func(s *TemplateSpec) { s.Header, s.HeaderExamples = "{{1}} {{2}}", []string{"a", "b"} },
		"gap":                   func(s *TemplateSpec) { s.Body, s.BodyExamples = "{{1}} {{3}}", []string{"a", "b"} },
		"named hole":            func(s *TemplateSpec) { s.Body = "{{order}}" },
		"no example":            func(s *TemplateSpec) { s.BodyExamples = nil },
		"empty example":         func(s *TemplateSpec) { s.BodyExamples = []string{""} },
		"example too many":      func(s *TemplateSpec) { s.BodyExamples = []string{"a", "b"} },
		"button":                func(s *TemplateSpec) { s.Button = "Call" },
		"button without label":  func(s *TemplateSpec) { s.Kind = TemplateCallButton },
		"label too long":        func(s *TemplateSpec) { s.Kind, s.Button = TemplateCallButton, strings.Repeat("a", 21) },
		"button for a minute":   func(s *TemplateSpec) { s.Kind, s.Button, s.ButtonTTL = TemplateCallButton, "Call", time.Minute },
		"button for a year":     func(s *TemplateSpec) { s.Kind, s.Button, s.ButtonTTL = TemplateCallButton, "Call", 365*24*time.Hour },
	} {
		spec := askToCall
		change(&spec)
		c, m := client(says(200, `{"id":"800"}`))
		if _, err := c.CreateTemplate(t.Context(), "900", spec); !errors.Is(err, ErrContent) || len(m.asked) != 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(m.asked))
		}
	}
	all := TemplateSpec{Kind: TemplatePermission, Footer: "{{1}}"}.Validate()
	for _, want := range []string{"name", "language", "category", "body is missing", "footer"} {
		if !strings.Contains(fmt.Sprint(all), want) {
			t.Errorf("%q is not among the problems: %v", want, all)
		}
	}
	if err := errors.Join(askToCall.Validate(), callUs.Validate()); err != nil {
		t.Errorf("good templates: %v", err)
	}
}

func TestCreatingATemplateIsNotRepeatedWhenItMayHaveBeenTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := client(says(502, "<html>"))
		if _, err := c.CreateTemplate(t.Context(), "900", askToCall); !errors.Is(err, ErrUncertain) || len(m.asked) != 1 {
			t.Errorf("%v after %d tries", err, len(m.asked))
		}
	})
}

func TestCreatingATemplateMayTakeEightSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := client(hangs)
		begin := time.Now()
		if _, err := c.CreateTemplate(t.Context(), "900", askToCall); !errors.Is(err, ErrUncertain) || time.Since(begin) != 8*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestTemplatesAreDeletedByNameAndID(t *testing.T) {
	c, g := serve(t, `{"success":true}`)
	if err := c.DeleteTemplate(t.Context(), "900", "ask_to_call", "800"); err != nil {
		t.Fatal(err)
	}
	g.was(t, "DELETE /v25.0/900/message_templates?hsm_id=800&name=ask_to_call", "")
	gone := `{"error":{"message":"Invalid parameter","code":100,"error_data":{"details":"Message template not found"}}}`
	synctest.Test(t, func(t *testing.T) {
		c, _ := client(hangs, says(400, gone))
		if err := c.DeleteTemplate(t.Context(), "900", "a", ""); err != nil {
			t.Errorf("deleted by a try whose answer was lost: %v", err)
		}
		c, _ = client(says(400, gone))
		if err := c.DeleteTemplate(t.Context(), "900", "a", ""); err == nil {
			t.Error("deleted what was never there")
		}
	})
	cl, m := client(says(200, ok))
	if err := cl.DeleteTemplate(t.Context(), "900", "", ""); !errors.Is(err, ErrContent) || len(m.asked) != 0 {
		t.Errorf("without a name: %v after %d requests", err, len(m.asked))
	}
}

func TestPlaceholdersAreFoundOnceAndInOrder(t *testing.T) {
	for content, want := range map[string]string{
		"":                       "",
		"plain { } }} text":      "",
		"{{2}} and {{1}}, {{2}}": "2 1",
		"{{ name }}":             "name",
		"{{a{{1}}":               "1",
		"{{}} {{1":               "",
		"{{1}}{{2}}":             "1 2",
		"{{{1}}}":                "1",
	} {
		if got := strings.Join(placeholders(content), " "); got != want {
			t.Errorf("%q: %q, want %q", content, got, want)
		}
	}
}

func TestLanguagesAreComparedWithEitherDash(t *testing.T) {
	if !SameLanguage("en_US", "en-us") || SameLanguage("en", "en_US") {
		t.Error("en_US is en-us, and not en")
	}
}

func FuzzTemplates(f *testing.F) {
	f.Add([]byte(golden(f, "answer/templates")))
	f.Add([]byte(page(3, "c")))
	f.Add([]byte(`{"data":[{"name":"a","quality_score":"GREEN","components":[{"type":"BODY","text":"{{{{1}}"},{"type":"BUTTONS","buttons":[{"type":"voice_call","ttl_minutes":"1e9"}]}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p templatesJSON
		if err := json.Unmarshal(body, &p); err != nil && !isTypeError(err) {
			return
		}
		_ = p.next()
		for _, tpl := range p.templates() {
			if tpl.Name == "" || len(tpl.Name) > maxTemplateName+3 || len(tpl.BodyParameters) > maxParameters || tpl.ButtonTTL < 0 || tpl.ButtonIndex >= maxButtons {
				t.Fatalf("%+v", tpl)
			}
			for _, name := range tpl.BodyParameters {
				if !strings.Contains(tpl.Body, name) {
					t.Fatalf("%q is not in %q", name, tpl.Body)
				}
			}
		}
	})
}
