package appliance_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/simulator"
)

const panelPassword = "correct horse battery"

// panel is somebody signed in.
type panel struct {
	w      *world
	cookie string
}

func (w *world) signIn(login string) *panel {
	w.t.Helper()
	p := &panel{w: w}
	status, body, header := p.do(http.MethodPost, "/session", `{"login":"`+login+`","password":"`+panelPassword+`"}`)
	if status != 200 {
		w.t.Fatalf("sign-in of %s: %d %s", login, status, body)
	}
	p.cookie, _, _ = strings.Cut(header.Get("Set-Cookie"), ";")
	return p
}

func (p *panel) do(method, path, body string, headers ...string) (int, string, http.Header) {
	p.w.t.Helper()
	req, err := http.NewRequestWithContext(p.w.t.Context(), method, "http://"+p.w.app.AdminAddr()+"/api/v1"+path, strings.NewReader(body))
	p.w.must(err)
	req.Header.Set("X-Deskbridge", "test")
	req.Header.Set("Cookie", p.cookie)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Timeout: waiting, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	p.w.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	p.w.must(err)
	return res.StatusCode, string(text), res.Header
}

func (p *panel) get(path string) string {
	p.w.t.Helper()
	status, body, _ := p.do(http.MethodGet, path, "")
	if status != 200 {
		p.w.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	return body
}

// addUsers makes a user of each role over the control socket: agent and supervisor of the team red, whose phone is 1001.
func (w *world) addUsers() {
	w.t.Helper()
	control := appliance.NewControlClient(w.cfg.DataDir)
	for _, u := range []appliance.AddUserRequest{
		{Login: "admin", Role: "admin"}, {Login: "super", Role: "super_agent"}, {Login: "supervisor", Role: "supervisor", Teams: []string{"red"}},
		{Login: "agent", Name: "Ayu", Role: "agent", Teams: []string{"red"}, Targets: []string{"phone:1001"}}, {Login: "stranger", Role: "agent", Targets: []string{"phone:1002"}},
	} {
		u.Password = panelPassword
		_, err := control.AddUser(w.t.Context(), u)
		w.must(err)
	}
}

// await reads the event stream until an event of this kind has these words.
func (p *panel) await(stream *bufio.Scanner, event, words string) {
	p.w.t.Helper()
	var kind string
	for stream.Scan() {
		line := stream.Text()
		if k, ok := strings.CutPrefix(line, "event: "); ok {
			kind = k
		}
		if strings.HasPrefix(line, "data: ") && kind == event && strings.Contains(line, words) {
			return
		}
	}
	p.w.t.Fatalf("the stream ended before %s with %s: %v", event, words, stream.Err())
}

func TestACallInThePanelFromRingingToTheExport(t *testing.T) {
	w := newWorld(t)
	w.addUsers()
	admin := w.signIn("admin")
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.app.AdminAddr()+"/api/v1/events", nil)
	w.must(err)
	req.Header.Set("Cookie", admin.cookie)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	w.must(err)
	defer res.Body.Close()
	stream := bufio.NewScanner(res.Body)
	stream.Buffer(nil, 1<<20)
	admin.await(stream, "calls", `"calls":[]`)

	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika Muster"})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	desk := <-w.phone.Calls()
	w.hearEachOther(call, desk)
	admin.await(stream, "call", `"state":"talking"`)
	var live struct{ Calls []struct{ ID string } }
	w.must(json.Unmarshal([]byte(w.signIn("agent").get("/live/calls")), &live))
	if len(live.Calls) != 1 || strings.Contains(w.signIn("stranger").get("/live/calls"), live.Calls[0].ID) {
		t.Fatalf("live calls %+v", live)
	}
	id := live.Calls[0].ID
	if status, _, _ := w.signIn("stranger").do(http.MethodPost, "/live/calls/"+id+"/hangup", ""); status != 404 {
		t.Errorf("a stranger's hang-up: %d", status)
	}
	if status, body, _ := w.signIn("supervisor").do(http.MethodPost, "/live/calls/"+id+"/hangup", ""); status != 204 {
		t.Errorf("hang-up: %d %s", status, body)
	}
	admin.await(stream, "gone", id)
	cdr := w.lastRecord()
	if cdr.Cause.Text == "" || cdr.Agent != "phone:1001" {
		t.Errorf("record %+v", cdr)
	}

	for login, sees := range map[string]bool{"admin": true, "super": true, "supervisor": true, "agent": true, "stranger": false} {
		p := w.signIn(login)
		for _, path := range []string{"/calls", "/calls?q=must", "/calls?q=5678", "/calls?q=" + id, "/calls?q=1001", "/calls?group=incoming&line=main&sort=longest&agent=phone:1001", "/calls/export?format=json", "/calls?team=red"} {
			if body := p.get(path); strings.Contains(body, id) != sees {
				t.Errorf("%s, %s: %s", login, path, body)
			}
		}
		if strings.Contains(p.get("/calls/counts"), `"incoming":1`) != sees {
			t.Errorf("%s: counts %s", login, p.get("/calls/counts"))
		}
		status, body, _ := p.do(http.MethodGet, "/calls/"+id, "")
		if (status == 200) != sees || !sees && status != 404 || sees && !strings.Contains(body, `"agent_name":"Ayu"`) {
			t.Errorf("%s reads the call: %d %s", login, status, body)
		}
	}
	agent := w.signIn("agent")
	if status, body, _ := agent.do(http.MethodPut, "/calls/"+id+"/note", `{"text":"sent the invoice","tags":["vip"],"disposition":"done"}`); status != 200 {
		t.Fatalf("note: %d %s", status, body)
	}
	if body := agent.get("/calls/" + id); !strings.Contains(body, "sent the invoice") || !strings.Contains(body, `"kind":"call.answered"`) {
		t.Errorf("detail %s", body)
	}
	w.must(w.app.Store().Erase(t.Context(), cdr.Customer.ID))
	if body := agent.get("/calls/" + id); containsOneOf(body, "invoice", "Erika", "4915112345678") || !strings.Contains(body, `"erased":true`) {
		t.Errorf("after the erasure: %s", body)
	}
	if log := admin.get("/audit?limit=200"); !strings.Contains(log, `"call.hung_up"`) || !strings.Contains(log, `"note.changed"`) || !strings.Contains(log, `"calls.exported"`) || containsOneOf(log, "invoice", "Erika") {
		t.Errorf("audit log %s", log)
	}
}

func containsOneOf(text string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

func TestAMissedCallIsSeenByTheTeamThatWasRung(t *testing.T) {
	w := newWorld(t)
	w.addUsers()
	w.must(w.phone.Close())
	var err error
	w.phone, err = simulator.NewPhone(simulator.PhoneConfig{User: "1001", Password: "phone-password", Registrar: w.app.SIPAddr().String(), Answer: simulator.PhoneAnswer{After: time.Hour}})
	w.must(err)
	w.must(w.phone.Register(t.Context()))
	cust := w.customer(simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika"})
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	w.until("the phone to ring", func() bool {
		for _, c := range w.app.Exchange().Calls() {
			if !c.CDR.RangAt.IsZero() {
				return true
			}
		}
		return false
	})
	call.Hangup()
	cdr := w.lastRecord()
	if cdr.Agent != "" || !cdr.AnsweredAt.IsZero() {
		t.Fatalf("somebody took it: %+v", cdr)
	}
	for login, sees := range map[string]bool{"supervisor": true, "agent": false, "stranger": false, "super": true} {
		if body := w.signIn(login).get("/calls?group=missed"); strings.Contains(body, cdr.ID) != sees {
			t.Errorf("%s: %s", login, body)
		}
	}
	if body := w.signIn("supervisor").get("/calls/counts"); !strings.Contains(body, `"missed":1`) {
		t.Errorf("counts %s", body)
	}
}

func TestSettingsThroughThePanel(t *testing.T) {
	w := newWorld(t)
	w.addUsers()
	p := w.signIn("admin")
	_, doc, h := p.do(http.MethodGet, "/settings", "")
	if containsOneOf(doc, "app-secret", "phone-password") {
		t.Fatalf("a secret left: %s", doc)
	}
	if _, body, _ := p.do(http.MethodPost, "/settings/diff", doc); body != "{\"changes\":[]}\n" {
		t.Errorf("the exported document changes something: %s", body)
	}
	var s map[string]any
	w.must(json.Unmarshal([]byte(doc), &s))
	line := s["lines"].([]any)[0].(map[string]any)
	line["name"] = "Größe \"quoted\"\t: {flow}, [x] # 😀 \u2028" // nothing a YAML reader may trip over
	line["inbound"].(map[string]any)["enabled"] = false
	s["phones"] = append(s["phones"].([]any), map[string]any{"extension": "0042", "password": "12345678", "ptime": "40ms"})
	next := marshal(t, s)
	if status, body, _ := p.do(http.MethodPut, "/settings", next, "If-Match", h.Get("ETag")); status != 422 || !strings.Contains(body, "lines[0].name") {
		t.Errorf("a control character in a name: %d %s", status, body)
	}
	line["name"] = "Größe \"quoted\": {flow}, [x] # 😀"
	next = marshal(t, s)
	status, body, changed := p.do(http.MethodPut, "/settings", next, "If-Match", h.Get("ETag"))
	if status != 200 || !strings.Contains(body, "phones[0042].password") || containsOneOf(body, "12345678") {
		t.Fatalf("put: %d %s", status, body)
	}
	if changed.Get("ETag") == h.Get("ETag") {
		t.Error("the version is the same")
	}
	if status, _, _ := p.do(http.MethodPut, "/settings", next, "If-Match", h.Get("ETag")); status != 412 {
		t.Errorf("a change based on what was before: %d", status)
	}
	if body := p.get("/settings"); !strings.Contains(body, `"extension":"0042"`) || !strings.Contains(body, `😀`) || !strings.Contains(body, `"40ms"`) {
		t.Errorf("settings %s", body)
	}
	// A file of the machine is not read for somebody at a browser.
	s["phones"].([]any)[1].(map[string]any)["password"] = "file:/etc/hostname"
	if status, body, _ := p.do(http.MethodPost, "/settings/diff", marshal(t, s)); status != 422 || !strings.Contains(body, "phones[1].password") {
		t.Errorf("a reference to a file: %d %s", status, body)
	}
	for _, bad := range []string{"{} {}", "[]", `"x"`, `{"lines":5}`, `{"nonsense":1}`, "not json"} {
		if status, body, _ := p.do(http.MethodPost, "/settings/diff", bad); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", bad, status, body)
		}
	}
	log := p.get("/audit")
	if !strings.Contains(log, `"settings.changed"`) || !strings.Contains(log, `"lines[main].inbound.enabled":"false"`) || containsOneOf(log, "12345678") {
		t.Errorf("audit log %s", log)
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAccountsOverTheControlSocketAndAcrossARestart(t *testing.T) {
	w := newWorld(t)
	w.addUsers()
	control := appliance.NewControlClient(w.cfg.DataDir)
	if _, err := control.AddUser(t.Context(), appliance.AddUserRequest{Login: "ADMIN", Role: "admin", Password: panelPassword}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a login twice: %v", err)
	}
	secret, _, err := control.AddToken(t.Context(), appliance.AddTokenRequest{Login: "agent", Name: "crm", Scopes: []string{"calls:read"}, Expires: time.Now().Add(time.Hour)})
	w.must(err)
	admin, agent := w.signIn("admin"), w.signIn("agent")
	w.must(control.SetPassword(t.Context(), "agent", "another long password"))
	w.stop()
	w.start()
	if status, _, _ := agent.do(http.MethodGet, "/session", ""); status != 401 {
		t.Errorf("a session outlived its password: %d", status)
	}
	admin.get("/session")
	if status, body, _ := (&panel{w: w}).do(http.MethodGet, "/calls", "", "Authorization", "Bearer "+secret); status != 200 {
		t.Errorf("token: %d %s", status, body)
	}
	if err := control.SetPassword(t.Context(), "nobody", panelPassword); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("password of nobody: %v", err)
	}
	users, err := appliance.NewControlClient(w.cfg.DataDir).Users(t.Context())
	if err != nil || len(users) != 5 || bytes.Contains([]byte(marshal(t, users)), []byte("argon2")) {
		t.Errorf("users %+v %v", users, err)
	}
	var system struct {
		Ready bool   `json:"ready"`
		Disk  string `json:"disk"`
	}
	w.must(json.Unmarshal([]byte(admin.get("/system")), &system))
	if !system.Ready || system.Disk != "fine" && system.Disk != "low" {
		t.Errorf("system %+v", system)
	}
	if body := admin.get("/connections"); !strings.Contains(body, `"id":"main"`) || !strings.Contains(body, `"extension":"1001"`) {
		t.Errorf("connections %s", body)
	}
}
