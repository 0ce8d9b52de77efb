package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// fuzzMeta is a Meta nobody has to start: requests go to its handler directly, webhooks nowhere.
func fuzzMeta(f *testing.F) (*Meta, *Customer) {
	f.Helper()
	timing := DefaultTiming().Fast()
	timing.GraphLatency, timing.WebhookRetries = 0, nil
	m, err := NewMeta(MetaConfig{Numbers: []Number{testNumber()}, WebhookURL: "http://127.0.0.1:1/", Timing: timing, Templates: []Template{
		PermissionTemplate("ask_to_call", "en", "May we call about {{1}}?"), CallButtonTemplate("call_us", "en", "Hello", "Call")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = m.Close() })
	c, err := m.Customer(CustomerConfig{Phone: "6281234567890"})
	if err != nil {
		f.Fatal(err)
	}
	return m, c
}

func (m *Meta) fuzzPost(t *testing.T, path string, body []byte) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v25.0/"+path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testToken)
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, r)
	var out map[string]any
	if json.Unmarshal(w.Body.Bytes(), &out) != nil {
		t.Fatalf("answer is not JSON: %q", w.Body)
	}
	if n := m.Panics(); n != 0 {
		t.Fatalf("%d panics", n)
	}
	if w.Code != http.StatusOK && errCode(out) == 0 {
		t.Fatalf("status %d without an error code: %v", w.Code, out)
	}
	return w.Code, out
}

func seedJSON(f *testing.F, seeds ...any) {
	for _, s := range seeds {
		raw, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[[[[]]]]`))
}

func FuzzMessageBody(f *testing.F) {
	m, c := fuzzMeta(f)
	seedJSON(f, textMessage(), permissionRequestBody(), buttonMessage(obj{"payload": "x", "ttl_minutes": 1}),
		sendTemplate("ask_to_call", "en", obj{"type": "body", "parameters": textParams("4711")}),
		sendTemplate("call_us", "en", obj{"type": "button", "sub_type": "voice_call", "index": "0", "parameters": []any{obj{"type": "ttl_minutes", "ttl_minutes": 100}}}),
		obj{"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"})
	f.Fuzz(func(t *testing.T, body []byte) {
		if status, out := m.fuzzPost(t, testPNID+"/messages", body); status != http.StatusOK {
			return
		} else if list, isMessage := out["messages"].([]any); isMessage && len(list) != 1 {
			t.Fatalf("answer %v", out)
		}
		if list := c.Messages(); len(list) > 0 && list[len(list)-1].ID == "" {
			t.Fatalf("message without ID: %+v", list)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	m, _ := fuzzMeta(f)
	seedJSON(f, askTemplate(), buttonTemplate(obj{"type": "voice_call", "text": "Call", "ttl_minutes": 1440}),
		obj{"name": "n", "language": "en", "category": "UTILITY", "parameter_format": "NAMED", "components": []any{
			obj{"type": "BODY", "text": "{{a}} {{b}}.", "example": obj{"body_text_named_params": []any{obj{"param_name": "a", "example": "1"}}}}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		status, out := m.fuzzPost(t, testWABA+"/message_templates", body)
		if status != http.StatusOK {
			return
		}
		id := out["id"].(string)
		m.mu.Lock()
		tpl := m.templateByID(id)
		m.mu.Unlock()
		// What was accepted can be sent with as many parameters as it has.
		s := &templateSend{}
		for kind, args := range map[string][]string{"header": tpl.parts.headerArgs, "body": tpl.parts.bodyArgs} {
			c := sendComponent{Type: kind}
			for _, a := range args {
				c.Parameters = append(c.Parameters, sendParameter{Type: "text", Name: a, Text: "x"})
			}
			s.Components = append(s.Components, c)
		}
		if _, e := tpl.fill(s, noon); e != nil && e.code != 132005 {
			t.Fatalf("accepted, but can't be sent: %v", e)
		}
		m.mu.Lock()
		m.templates = m.templates[:2] // the seeds
		m.mu.Unlock()
	})
}

func FuzzSettings(f *testing.F) {
	m, _ := fuzzMeta(f)
	monday := []any{window("MONDAY", "0900", "1200")}
	seedJSON(f, obj{"calling": obj{"status": "ENABLED", "call_hours": hoursIn("Asia/Jakarta", monday, holiday("2099-12-25", "0000", "2359"))}},
		obj{"calling": obj{"audio": obj{"additional_codecs": []any{"PCMA"}}, "sip": obj{"status": "DISABLED"}, "call_icons": obj{"restrict_to_user_countries": []any{"DE"}}}},
		obj{"calling": obj{"voicemail": obj{"status": "ENABLED", "triggers": []any{"REJECT"}, "audio": obj{"default": obj{"timeout_seconds": 20}}}}})
	f.Fuzz(func(t *testing.T, body []byte) {
		if status, _ := m.fuzzPost(t, testPNID+"/settings", body); status != http.StatusOK {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		n := m.numbers[testPNID]
		for h := range 7 * 24 { // whatever was accepted can be asked at any hour
			n.hoursOpen(noon.Add(time.Duration(h) * time.Hour))
		}
		if n.calling(noon) == nil {
			t.Fatal("settings that can't be told")
		}
	})
}
