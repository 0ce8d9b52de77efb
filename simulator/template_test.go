package simulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

const testWABA = "900100200300400"

func askTemplate() obj {
	return obj{"name": "ask_to_call", "language": "en", "category": "UTILITY", "components": []any{
		obj{"type": "HEADER", "format": "TEXT", "text": "Order {{1}}", "example": obj{"header_text": []any{"4711"}}},
		obj{"type": "BODY", "text": "May we call you about order {{1}}?", "example": obj{"body_text": []any{[]any{"4711"}}}},
		obj{"type": "FOOTER", "text": "Thank you"},
		obj{"type": "call_permission_request"},
	}}
}

func buttonTemplate(button obj) obj {
	return obj{"name": "call_us", "language": "en_US", "category": "MARKETING", "components": []any{
		obj{"type": "BODY", "text": "Call us any time"},
		obj{"type": "BUTTONS", "buttons": []any{button}},
	}}
}

func TestTemplateIsJudgedWhenCreated(t *testing.T) {
	t.Parallel()
	body := func(text string, example ...any) obj {
		b := obj{"type": "BODY", "text": text}
		if example != nil {
			b["example"] = obj{"body_text": []any{example}}
		}
		return b
	}
	with := func(key string, v any) obj { t := askTemplate(); t[key] = v; return t }
	components := func(c ...any) obj { return with("components", c) }
	named := func(text string, example ...any) obj {
		t := components(obj{"type": "BODY", "text": text, "example": obj{"body_text_named_params": example}})
		t["parameter_format"] = "NAMED"
		return t
	}
	for name, c := range map[string]struct {
		body obj
		want string // part of the details; empty: accepted
	}{
		"as documented":             {askTemplate(), ""},
		"capital letters":           {with("name", "Ask"), "name"},
		"name too long":             {with("name", strings.Repeat("a", 513)), "name"},
		"longest name":              {with("name", strings.Repeat("a", 512)), ""},
		"no name":                   {with("name", ""), "name"},
		"language in words":         {with("language", "English"), "language"},
		"language with region":      {with("language", "pt_BR"), ""},
		"unknown category":          {with("category", "FUN"), "category"},
		"authentication asks":       {with("category", "AUTHENTICATION"), "category"},
		"no components":             {with("components", []any{}), "BODY"},
		"no body":                   {components(obj{"type": "FOOTER", "text": "x"}), "BODY"},
		"two bodies":                {components(body("a"), body("b")), "more than one"},
		"empty body":                {components(body("")), "BODY"},
		"body too long":             {components(body(strings.Repeat("x", 1025))), "BODY"},
		"no example":                {components(body("Order {{1}} is here")), "example"},
		"too few examples":          {components(body("{{1}} and {{2}}.", "a")), "example"},
		"gap in the variables":      {components(body("{{1}} and {{3}}.", "a", "b")), "without gaps"},
		"variable unclosed":         {components(body("Order {{1} is here", "a")), "malformed"},
		"variables out of order":    {components(body("{{2}} and {{1}}.", "a", "b")), ""},
		"named":                     {named("Order {{order_id}} is here", obj{"param_name": "order_id", "example": "4711"}), ""},
		"named without example":     {named("Order {{order_id}} is here"), "example"},
		"named in capitals":         {named("Order {{OrderID}} is here", obj{"param_name": "OrderID", "example": "4711"}), "lower-case"},
		"footer with variable":      {components(body("a"), obj{"type": "FOOTER", "text": "for {{1}}"}), "FOOTER"},
		"header with two variables": {components(body("a"), obj{"type": "HEADER", "format": "TEXT", "text": "{{1}} {{2}}", "example": obj{"header_text": []any{"a", "b"}}}), "HEADER"},
		"unknown component":         {components(body("a"), obj{"type": "HOLOGRAM"}), "HOLOGRAM"},
		"permission beside buttons": {components(body("a"), obj{"type": "call_permission_request"}, obj{"type": "BUTTONS", "buttons": []any{obj{"type": "QUICK_REPLY", "text": "No"}}}), "combined"},
		"malformed components":      {components(obj{"type": 7}), "malformed"},
		"call button":               {buttonTemplate(obj{"type": "voice_call", "text": "Call Now", "ttl_minutes": 1440}), ""},
		"call button below a day":   {buttonTemplate(obj{"type": "voice_call", "text": "Call Now", "ttl_minutes": 1439}), "ttl_minutes"},
		"call button of 30 days":    {buttonTemplate(obj{"type": "voice_call", "text": "Call Now", "ttl_minutes": 43200}), ""},
		"call button above 30 days": {buttonTemplate(obj{"type": "voice_call", "text": "Call Now", "ttl_minutes": 43201}), "ttl_minutes"},
		"button without text":       {buttonTemplate(obj{"type": "voice_call"}), "button text"},
		"unknown button":            {buttonTemplate(obj{"type": "TELEPORT", "text": "Go"}), "TELEPORT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			status, out := p.graph("POST", testWABA+"/message_templates", c.body)
			if c.want == "" {
				wantOK(t, status, out)
				if out["status"] != "PENDING" || out["category"] != c.body["category"] || out["id"] == "" {
					t.Errorf("created %v", out)
				}
				return
			}
			if status != 400 || errCode(out) != 100 || !strings.Contains(details(out), c.want) {
				t.Errorf("%d %v, want details about %q", status, out, c.want)
			}
		})
	}
}

func details(body map[string]any) string {
	e, _ := body["error"].(map[string]any)
	d, _ := e["error_data"].(map[string]any)
	s, _ := d["details"].(string)
	return s
}

func TestTemplateExistsOncePerLanguage(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	status, out := p.graph("POST", testWABA+"/message_templates", askTemplate())
	wantOK(t, status, out)
	if status, out = p.graph("POST", testWABA+"/message_templates", askTemplate()); status != 400 || !strings.Contains(details(out), "already exists") {
		t.Errorf("again: %d %v", status, out)
	}
	german := askTemplate()
	german["language"] = "de"
	status, out = p.graph("POST", testWABA+"/message_templates", german)
	wantOK(t, status, out)
	if status, _ = p.graph("POST", testPNID+"/message_templates", askTemplate()); status != 400 {
		t.Errorf("templates of a phone number: %d", status)
	}
}

func TestTemplatesArePaged(t *testing.T) {
	t.Parallel()
	var seeds []Template
	for i := range 7 {
		seeds = append(seeds, PermissionTemplate(fmt.Sprintf("ask_%d", i), "en", "May we call about {{1}}?"))
	}
	p := newProduct(t, func(c *MetaConfig) { c.Templates = seeds })
	path := testWABA + "/message_templates?fields=id,name,status,components,rejected_reason,quality_score&limit=3"
	var names []string
	pages, after := 0, ""
	for {
		status, out := p.graph("GET", path+after, nil)
		wantOK(t, status, out)
		pages++
		for _, o := range out["data"].([]any) {
			tpl := o.(map[string]any)
			names = append(names, tpl["name"].(string))
			if tpl["status"] != "APPROVED" || len(tpl["components"].([]any)) != 2 || tpl["rejected_reason"] != "NONE" {
				t.Errorf("template %v", tpl)
			}
		}
		paging := out["paging"].(map[string]any)
		if paging["next"] == nil {
			break
		}
		next, err := url.Parse(paging["next"].(string))
		if err != nil || next.Query().Get("after") != paging["cursors"].(map[string]any)["after"] || next.Query().Get("limit") != "3" {
			t.Fatalf("next %v, cursors %v", paging["next"], paging["cursors"])
		}
		after = "&after=" + next.Query().Get("after")
	}
	if got := strings.Join(names, " "); pages != 3 || got != "ask_0 ask_1 ask_2 ask_3 ask_4 ask_5 ask_6" {
		t.Errorf("%d pages: %s", pages, got)
	}
	for query, want := range map[string]int{"name=ask_3": 1, "status=approved": 7, "status=PENDING": 0, "language=de": 0, "category=UTILITY": 7} {
		_, out := p.graph("GET", testWABA+"/message_templates?"+query, nil)
		if got := len(out["data"].([]any)); got != want {
			t.Errorf("%s: %d templates, want %d", query, got, want)
		}
	}
	for _, bad := range []string{"limit=0", "limit=x", "after=nonsense", "before=nonsense", "fields=colour"} {
		if status, out := p.graph("GET", testWABA+"/message_templates?"+bad, nil); status != 400 || errCode(out) != 100 {
			t.Errorf("%s: %d %v", bad, status, out)
		}
	}
}

func TestTemplateIsEditedAndReviewedAgain(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	_, out := p.graph("POST", testWABA+"/message_templates", askTemplate())
	id := out["id"].(string)
	edit := obj{"components": []any{obj{"type": "BODY", "text": "May we ring you?"}, obj{"type": "call_permission_request"}}}
	if status, out := p.graph("POST", id, edit); status != 400 || !strings.Contains(details(out), "PENDING") {
		t.Errorf("edit while pending: %d %v", status, out)
	}
	review(t, p, TemplateRejected, "INVALID_FORMAT")
	_, out = p.graph("GET", id+"?fields=status,rejected_reason", nil)
	if out["status"] != "REJECTED" || out["rejected_reason"] != "INVALID_FORMAT" {
		t.Errorf("rejected template %v", out)
	}
	status, out := p.graph("POST", id, edit)
	wantOK(t, status, out)
	if got := p.meta.Templates(testWABA); len(got) != 1 || got[0].Status != TemplatePending || got[0].Components[0]["text"] != "May we ring you?" {
		t.Errorf("after the edit: %+v", got)
	}
	if status, _ = p.graph("POST", id, obj{"components": []any{}}); status != 400 {
		t.Errorf("an edit to nothing: %d", status)
	}
}

func review(t *testing.T, p *product, status, reason string) {
	t.Helper()
	if err := p.meta.ReviewTemplate(testWABA, "ask_to_call", "en", status, reason); err != nil {
		t.Fatal(err)
	}
}

func TestReviewTellsByWebhook(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	_, created := p.graph("POST", testWABA+"/message_templates", askTemplate())
	for _, c := range []struct {
		event, reason string
		want          any
	}{
		{TemplateApproved, "", "NONE"}, {TemplateRejected, "ABUSIVE_CONTENT", "ABUSIVE_CONTENT"}, {TemplatePaused, "", nil},
		{TemplateDisabled, "", nil}, {"REINSTATED", "", nil}, {"FLAGGED", "", nil},
	} {
		review(t, p, c.event, c.reason)
		h := p.waitFor(func(h hook) bool { return h.Field == "message_template_status_update" && h.Value["event"] == c.event })
		if h.Value["reason"] != c.want || h.Value["message_template_name"] != "ask_to_call" || h.Value["message_template_language"] != "en" ||
			h.Value["message_template_category"] != "UTILITY" || h.Value["metadata"] != nil {
			t.Errorf("%s: %v", c.event, h.Value)
		}
		if !strings.Contains(string(h.Body), `"message_template_id":`+created["id"].(string)) {
			t.Errorf("%s: ID not as a whole number in %s", c.event, h.Body)
		}
		if e := entryOf(t, h); e.ID != testWABA || e.Time == 0 {
			t.Errorf("%s: entry %+v", c.event, e)
		}
	}
	if err := p.meta.ReviewTemplate(testWABA, "ask_to_call", "en", "LIKED", ""); err == nil {
		t.Error("an event Meta does not have")
	}
	if err := p.meta.ReviewTemplate(testWABA, "other", "en", TemplateApproved, ""); err == nil {
		t.Error("a template that does not exist")
	}
}

func TestTemplateWebhookMayHyphenateTheLanguage(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates, c.Delivery.HyphenLanguage = []Template{PermissionTemplate("ask", "en_US", "May we call?")}, true
	})
	if err := p.meta.ReviewTemplate(testWABA, "ask", "en_US", TemplatePaused, ""); err != nil {
		t.Fatal(err)
	}
	p.waitFor(func(h hook) bool { return h.Value["message_template_language"] == "en-US" })
}

type entry struct {
	ID   string `json:"id"`
	Time int64  `json:"time"`
}

func entryOf(t *testing.T, h hook) entry {
	t.Helper()
	var b struct {
		Entry []entry `json:"entry"`
	}
	if err := json.Unmarshal(h.Body, &b); err != nil || len(b.Entry) != 1 {
		t.Fatalf("%v in %s", err, h.Body)
	}
	return b.Entry[0]
}

func TestTemplateIsApprovedAfterTheSetDelay(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Timing.TemplateReview = time.Millisecond })
	status, out := p.graph("POST", testWABA+"/message_templates", askTemplate())
	wantOK(t, status, out)
	p.waitFor(func(h hook) bool {
		return h.Field == "message_template_status_update" && h.Value["event"] == TemplateApproved
	})
	if got := p.meta.Templates(testWABA); got[0].Status != TemplateApproved {
		t.Errorf("status %s", got[0].Status)
	}
}

func TestTemplateIsDeletedByNameOrByID(t *testing.T) {
	t.Parallel()
	german := PermissionTemplate("ask_to_call", "de", "Dürfen wir anrufen?")
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates = []Template{PermissionTemplate("ask_to_call", "en", "May we call?"), german, PermissionTemplate("other", "en", "May we?")}
	})
	id := p.meta.Templates(testWABA)[1].ID
	if status, _ := p.graph("DELETE", testWABA+"/message_templates?name=nobody", nil); status != 400 {
		t.Errorf("unknown name: %d", status)
	}
	status, out := p.graph("DELETE", testWABA+"/message_templates?name=ask_to_call&hsm_id="+id, nil)
	wantOK(t, status, out)
	if got := p.meta.Templates(testWABA); len(got) != 2 || got[0].Language != "en" {
		t.Errorf("left %+v", got)
	}
	status, out = p.graph("DELETE", testWABA+"/message_templates?name=ask_to_call", nil)
	wantOK(t, status, out)
	if got := p.meta.Templates(testWABA); len(got) != 1 || got[0].Name != "other" {
		t.Errorf("left %+v", got)
	}
}

func sendTemplate(name, language string, components ...any) obj {
	return obj{"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+6281234567890", "type": "template",
		"template": obj{"name": name, "language": obj{"code": language}, "components": components}}
}

func textParams(texts ...string) []any {
	out := []any{}
	for _, s := range texts {
		out = append(out, obj{"type": "text", "text": s})
	}
	return out
}

func TestTemplateIsSentOnlyWhenApprovedAndFilled(t *testing.T) {
	t.Parallel()
	body := func(texts ...string) obj { return obj{"type": "body", "parameters": textParams(texts...)} }
	header := obj{"type": "header", "parameters": textParams("4711")}
	for name, c := range map[string]struct {
		event string
		send  obj
		code  int
	}{
		"approved":              {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("4711")), 0},
		"unknown name":          {TemplateApproved, sendTemplate("nobody", "en"), 132001},
		"unknown language":      {TemplateApproved, sendTemplate("ask_to_call", "de", header, body("4711")), 132001},
		"pending":               {TemplatePending, sendTemplate("ask_to_call", "en", header, body("4711")), 132001},
		"rejected":              {TemplateRejected, sendTemplate("ask_to_call", "en", header, body("4711")), 132001},
		"paused":                {TemplatePaused, sendTemplate("ask_to_call", "en", header, body("4711")), 132015},
		"disabled":              {TemplateDisabled, sendTemplate("ask_to_call", "en", header, body("4711")), 132016},
		"deleted":               {TemplateDeleted, sendTemplate("ask_to_call", "en", header, body("4711")), 132001},
		"no parameters":         {TemplateApproved, sendTemplate("ask_to_call", "en"), 132000},
		"too many parameters":   {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("4711", "4712")), 132000},
		"header missing":        {TemplateApproved, sendTemplate("ask_to_call", "en", body("4711")), 132000},
		"empty parameter":       {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("")), 132012},
		"parameter with break":  {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("a\nb")), 132007},
		"too long when filled":  {TemplateApproved, sendTemplate("ask_to_call", "en", header, body(strings.Repeat("x", 1024))), 132005},
		"body twice":            {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("1"), body("1")), 132012},
		"component of no one":   {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("1"), obj{"type": "hologram"}), 132012},
		"button it has not":     {TemplateApproved, sendTemplate("ask_to_call", "en", header, body("1"), obj{"type": "button", "sub_type": "voice_call"}), 132012},
		"no name or language":   {TemplateApproved, sendTemplate("", ""), 131008},
		"media as parameter":    {TemplateApproved, sendTemplate("ask_to_call", "en", header, obj{"type": "body", "parameters": []any{obj{"type": "image"}}}), 132012},
		"parameters of a wrong": {TemplateApproved, sendTemplate("ask_to_call", "en", header, obj{"type": "body", "parameters": 7}), 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			cust := p.customer(func(c *CustomerConfig) { c.Permission, c.WindowClosed = PermissionNone, true })
			_, out := p.graph("POST", testWABA+"/message_templates", askTemplate())
			if out["id"] == nil {
				t.Fatal(out)
			}
			review(t, p, c.event, "")
			_, out = p.graph("POST", testPNID+"/messages", c.send)
			if errCode(out) != c.code {
				t.Fatalf("%v, want %d", out, c.code)
			}
			got := cust.Messages()
			if c.code != 0 {
				if len(got) != 0 {
					t.Errorf("refused, but the customer has %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Type != "template" || got[0].Template != "ask_to_call" || !got[0].AsksPermission ||
				got[0].Header != "Order 4711" || got[0].Text != "May we call you about order 4711?" || got[0].Footer != "Thank you" {
				t.Errorf("the customer has %+v", got)
			}
			if out["messages"].([]any)[0].(map[string]any)["message_status"] != "accepted" {
				t.Errorf("answer %v", out)
			}
		})
	}
}

func TestNamedParametersFindTheirPlace(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates = []Template{{Name: "named", Language: "en", Category: "UTILITY", ParameterFormat: "NAMED", Components: []map[string]any{
			{"type": "BODY", "text": "{{who}}, order {{order}} is here, {{who}}.", "example": obj{"body_text_named_params": []any{
				obj{"param_name": "who", "example": "Zoë"}, obj{"param_name": "order", "example": "1"}}}}}}}
	})
	cust := p.customer()
	send := func(first, second string) map[string]any {
		_, out := p.graph("POST", testPNID+"/messages", sendTemplate("named", "en", obj{"type": "body", "parameters": []any{
			obj{"type": "text", "parameter_name": first, "text": "{{who}}"}, obj{"type": "text", "parameter_name": second, "text": "Zoë"}}}))
		return out
	}
	if out := send("order", "whom"); errCode(out) != 132012 {
		t.Errorf("a name the template has not: %v", out)
	}
	if out := send("order", "who"); errCode(out) != 0 {
		t.Fatal(out)
	}
	if got := cust.Messages()[0].Text; got != "Zoë, order {{who}} is here, Zoë." {
		t.Errorf("text %q", got)
	}
}

func TestPermissionTemplateCountsAsAPermissionRequest(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates = []Template{PermissionTemplate("ask_to_call", "en", "May we call?"), CallButtonTemplate("call_us", "en", "Hello", "Call")}
	})
	p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	status, out := p.graph("POST", testPNID+"/messages", sendTemplate("ask_to_call", "en"))
	wantOK(t, status, out)
	if _, out = p.graph("POST", testPNID+"/messages", permissionRequestBody()); errCode(out) != 138009 {
		t.Errorf("a free-form request beside it: %v", out)
	}
	if _, out = p.graph("POST", testPNID+"/messages", sendTemplate("ask_to_call", "en")); errCode(out) != 138009 {
		t.Errorf("a second template: %v", out)
	}
	status, out = p.graph("POST", testPNID+"/messages", sendTemplate("call_us", "en"))
	wantOK(t, status, out) // no permission request: no quota
}

func TestCallButtonTemplateTakesTTLAndPayload(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		tpl := CallButtonTemplate("call_us", "en", "Hello", "Call")
		tpl.Components[1]["buttons"] = []any{obj{"type": "URL", "text": "Shop", "url": "https://example.com/"}, tpl.Components[1]["buttons"].([]any)[0]}
		c.Templates = []Template{tpl, CallButtonTemplate("plain", "en", "Hello", "Call")}
	})
	cust := p.customer(func(c *CustomerConfig) { c.WindowClosed = true })
	override := func(index any, ttl int, payload string) obj {
		o := obj{"type": "button", "sub_type": "voice_call", "parameters": []any{
			obj{"type": "ttl_minutes", "ttl_minutes": ttl}, obj{"type": "payload", "payload": payload}}}
		if index != nil {
			o["index"] = index
		}
		return o
	}
	for name, c := range map[string]struct {
		template string
		override obj
		code     int
	}{
		"index as a string":    {"call_us", override("1", 100, "order-4711"), 0},
		"index as a number":    {"call_us", override(1, 100, "order-4711"), 0},
		"index of the URL":     {"call_us", override("0", 100, "x"), 132012},
		"index out of range":   {"call_us", override("9", 100, "x"), 132012},
		"index of letters":     {"call_us", override("one", 100, "x"), 132012},
		"no index, one button": {"plain", override(nil, 100, "order-4711"), 0},
		"TTL of nothing":       {"call_us", override("1", 0, "x"), 132012},
		"TTL too long":         {"call_us", override("1", 43201, "x"), 132012},
		"payload too long":     {"call_us", override("1", 100, strings.Repeat("x", 513)), 132012},
	} {
		_, out := p.graph("POST", testPNID+"/messages", sendTemplate(c.template, "en", c.override))
		if errCode(out) != c.code {
			t.Errorf("%s: %v, want %d", name, out, c.code)
		}
	}
	got := cust.Messages()
	if len(got) != 3 {
		t.Fatalf("%d messages: %+v", len(got), got)
	}
	for _, g := range got {
		if g.Payload != "order-4711" || g.Until.Sub(g.At) != 100*time.Minute || g.Buttons[len(g.Buttons)-1] != "Call" {
			t.Errorf("%+v", g)
		}
	}
}
