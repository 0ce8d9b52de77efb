package appliance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/policy"
	"deskbridge/simulator"
	"deskbridge/store"
)

// post does one thing in the panel and reads the answer.
func (p *panel) post(path, body string, into any) {
	p.w.t.Helper()
	status, text, _ := p.do(http.MethodPost, path, body)
	if status != 200 {
		p.w.t.Fatalf("POST %s: %d %s", path, status, text)
	}
	p.w.must(json.Unmarshal([]byte(text), into))
}

func TestAnAgentAsksACustomerInThePanelWhoAllowsAndIsCalled(t *testing.T) {
	w := newOffice(t, officeOptions{})
	w.addUsers()
	cust := w.erika()
	call, err := cust.Call(t.Context(), number, simulator.CallOptions{})
	w.must(err)
	desk := w.rung(w.phone)
	w.hearEachOther(call, desk)
	w.must(desk.Hangup(t.Context()))
	w.lastRecord()
	w.writes(cust)
	id := w.customerID(cust)
	agent, stranger, boss := w.signIn("agent"), w.signIn("stranger"), w.signIn("admin")

	var seen struct {
		Customer struct{ Name string }
		Lines    []struct {
			Line       string
			Permission struct{ Standing policy.Standing }
			Window     time.Time `json:"window_until"`
			Call, Ask  struct {
				Allowed bool
				Rule    string
			}
		}
	}
	look := func() {
		t.Helper()
		w.must(json.Unmarshal([]byte(agent.get("/customers/"+id)), &seen))
	}
	if look(); seen.Customer.Name != "Erika" || len(seen.Lines) != 2 || seen.Lines[0].Line != "main" || seen.Lines[0].Call.Allowed || !seen.Lines[0].Ask.Allowed || seen.Lines[0].Window.IsZero() {
		t.Fatalf("before the question: %+v", seen)
	}
	if status, body, _ := agent.do(http.MethodPost, "/customers/"+id+"/call", `{"line":"main"}`); status != 409 || !strings.Contains(body, `"refused"`) {
		t.Errorf("a call that is not allowed: %d %s", status, body)
	}
	for _, path := range []string{"", "/timeline"} {
		if status, _, _ := stranger.do(http.MethodGet, "/customers/"+id+path, ""); status != 404 {
			t.Errorf("a stranger reads %s: %d", path, status)
		}
	}
	for _, path := range []string{"/ask", "/button", "/call"} {
		if status, _, _ := stranger.do(http.MethodPost, "/customers/"+id+path, `{"line":"main"}`); status != 404 {
			t.Errorf("a stranger does %s: %d", path, status)
		}
	}

	var sent struct {
		Sent    bool
		Message struct{ Text, By, Status string }
	}
	agent.post("/customers/"+id+"/ask", `{"line":"main","text":"May I call about your order?"}`, &sent)
	if !sent.Sent || sent.Message.By != "user:agent" || sent.Message.Text != "May I call about your order?" {
		t.Fatalf("sent %+v", sent)
	}
	w.must(cust.AnswerPermission(w.request(cust), true, false))
	w.standing(cust, policy.StandingTemporary)
	if look(); !seen.Lines[0].Call.Allowed || seen.Lines[0].Permission.Standing != policy.StandingTemporary || seen.Lines[1].Call.Allowed {
		t.Fatalf("after the answer: %+v", seen)
	}

	var begun struct{ Call string }
	agent.post("/customers/"+id+"/call", `{"line":"main"}`, &begun)
	mine := w.rung(w.phone)
	theirs := w.reaches(cust)
	w.hearEachOther(theirs, mine)
	if live := agent.get("/live/calls"); !strings.Contains(live, begun.Call) {
		t.Errorf("live calls %s, want %s", live, begun.Call)
	}
	w.must(mine.Hangup(t.Context()))
	if cdr := w.lastRecord(); cdr.ID != begun.Call || cdr.Agent != "phone:1001" || cdr.Line != "main" || cdr.AnsweredAt.IsZero() {
		t.Errorf("record %+v", cdr)
	}
	var why struct {
		Decision struct {
			Allowed bool
			Facts   any
		}
		Replayed   bool
		Permission struct{ Standing string }
	}
	w.must(json.Unmarshal([]byte(agent.get("/calls/"+begun.Call+"/decision")), &why))
	if !why.Decision.Allowed || !why.Replayed || why.Permission.Standing != "temporary" || why.Decision.Facts != nil {
		t.Errorf("decision %+v", why)
	}
	if status, _, _ := stranger.do(http.MethodGet, "/calls/"+begun.Call+"/decision", ""); status != 404 {
		t.Errorf("a stranger reads the decision: %d", status)
	}

	timeline := agent.get("/customers/" + id + "/timeline")
	for _, part := range []string{`"kind":"call"`, begun.Call, "May I call about your order?", `"hello"`, "permission.requested", "permission.granted"} {
		if !strings.Contains(timeline, part) {
			t.Errorf("the timeline lacks %s: %s", part, timeline)
		}
	}
	w.walkTimeline(agent, id)
	if log := boss.get("/audit?limit=200"); !strings.Contains(log, `"customer.asked"`) || !strings.Contains(log, `"customer.called"`) || containsOneOf(log, "your order", "Erika", erika[1:]) {
		t.Errorf("audit log %s", log)
	}
}

// walkTimeline reads a timeline in small pages: they are the same entries, each once.
func (w *office) walkTimeline(p *panel, id string) {
	w.t.Helper()
	type page struct {
		Entries []json.RawMessage
		Next    string
	}
	var whole, part page
	w.must(json.Unmarshal([]byte(p.get("/customers/"+id+"/timeline?limit=200")), &whole))
	var got []string
	for before := ""; ; before = "&before=" + part.Next {
		part = page{}
		w.must(json.Unmarshal([]byte(p.get("/customers/"+id+"/timeline?limit=2"+before)), &part))
		for _, e := range part.Entries {
			got = append(got, string(e))
		}
		if part.Next == "" || len(got) > 100 {
			break
		}
	}
	if len(got) != len(whole.Entries) || len(got) < 6 {
		w.t.Fatalf("%d entries page by page, %d at once", len(got), len(whole.Entries))
	}
	for i := range got {
		if got[i] != string(whole.Entries[i]) {
			w.t.Errorf("entry %d is %s, want %s", i, got[i], whole.Entries[i])
		}
	}
}

func TestASupervisorBlocksInThePanelAndNothingRings(t *testing.T) {
	w := newOffice(t, officeOptions{})
	w.addUsers()
	cust := w.erika(granted)
	w.allowed(cust)
	id := w.customerID(cust)
	boss, agent := w.signIn("supervisor"), w.signIn("agent")
	if status, body, _ := agent.do(http.MethodPost, "/customers/"+id+"/block", `{"reason":"x"}`); status != 403 {
		t.Errorf("an agent blocks: %d %s", status, body)
	}
	if status, body, _ := boss.do(http.MethodPost, "/customers/"+id+"/block", `{"reason":"asked us to"}`); status != 204 {
		t.Fatalf("block: %d %s", status, body)
	}
	if status, body, _ := agent.do(http.MethodPost, "/customers/"+id+"/call", `{"line":"second"}`); status != 409 {
		t.Errorf("a call to who is blocked, over another line: %d %s", status, body)
	}
	w.notRung(w.phone)
	if status, body, _ := boss.do(http.MethodPost, "/customers/"+id+"/unblock", `{}`); status != 204 {
		t.Fatalf("unblock: %d %s", status, body)
	}
	if status, body, _ := boss.do(http.MethodPost, "/customers/"+id+"/override", `{"line":"main","reason":"x","until":"2020-01-01T00:00:00Z"}`); status != 422 {
		t.Errorf("an override that has ended: %d %s", status, body)
	}
	w.allowed(cust)
}

func TestLinesAgentsAndTemplatesInThePanel(t *testing.T) {
	w := newOffice(t, officeOptions{settings: func(s *appliance.Settings) {
		s.Lines[0].Hours = appliance.HoursSettings{TimeZone: berlin, Weekly: []string{"mon-fri 09:00-17:00"}}
	}})
	w.addUsers()
	boss, agent := w.signIn("admin"), w.signIn("agent")
	var lines struct {
		Lines []struct {
			ID       string
			Open     bool      `json:"open_now"`
			Next     time.Time `json:"next_change"`
			Override *struct{ Open bool }
		}
	}
	look := func() {
		t.Helper()
		lines.Lines = nil
		w.must(json.Unmarshal([]byte(boss.get("/lines")), &lines))
	}
	if look(); len(lines.Lines) != 2 || !lines.Lines[0].Open || !lines.Lines[0].Next.Equal(monday.Add(7*time.Hour)) || lines.Lines[0].Override != nil {
		t.Errorf("lines %+v", lines)
	}
	if status, body, _ := boss.do(http.MethodPut, "/lines/main/override", `{"open":false}`); status != 204 {
		t.Fatalf("close: %d %s", status, body)
	}
	if look(); lines.Lines[0].Open || lines.Lines[0].Override == nil || lines.Lines[0].Override.Open {
		t.Errorf("closed by hand: %+v", lines)
	}
	if status, body, _ := boss.do(http.MethodPut, "/lines/main/override", `{}`); status != 204 {
		t.Fatalf("end: %d %s", status, body)
	}
	if look(); !lines.Lines[0].Open || lines.Lines[0].Override != nil {
		t.Errorf("as its hours say: %+v", lines)
	}
	for _, path := range []string{"/lines/none/override", "/lines/none/templates/x"} {
		method := http.MethodPut
		if strings.Contains(path, "templates") {
			method = http.MethodDelete
		}
		if status, body, _ := boss.do(method, path, "{}"); status != 404 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body, _ := boss.do(http.MethodPost, "/lines/main/apply", ""); status != 200 || !strings.Contains(body, `"at":`) {
		t.Errorf("apply: %d %s", status, body)
	}
	if body := agent.get("/lines/main/templates"); !strings.Contains(body, ask) || !strings.Contains(body, `"kind":"permission"`) {
		t.Errorf("templates %s", body)
	}
	made := `{"name":"new_one","language":"en","category":"UTILITY","kind":"permission","body":"May we call about {{1}}?","examples":["your order"]}`
	if status, body, _ := boss.do(http.MethodPost, "/lines/main/templates", made); status != 201 || !strings.Contains(body, `"new_one"`) {
		t.Errorf("create: %d %s", status, body)
	}
	if status, body, _ := boss.do(http.MethodPost, "/lines/main/templates", strings.Replace(made, `["your order"]`, `[]`, 1)); status != 422 {
		t.Errorf("a template without examples: %d %s", status, body)
	}
	if body := agent.get("/lines/main/templates"); !strings.Contains(body, "new_one") {
		t.Errorf("templates after it: %s", body)
	}
	if status, body, _ := boss.do(http.MethodDelete, "/lines/main/templates/new_one", ""); status != 204 {
		t.Errorf("delete: %d %s", status, body)
	}
	if body := agent.get("/agents"); !strings.Contains(body, `"target":"phone:1001"`) || !strings.Contains(body, `"registered":true`) || strings.Contains(body, "phone:1002") {
		t.Errorf("an agent sees %s", body)
	}
	if status, body, _ := agent.do(http.MethodPut, "/agents/phone:1001/availability", `{"available":false}`); status != 200 || !strings.Contains(body, `"available":false`) {
		t.Errorf("away: %d %s", status, body)
	}
	if status, _, _ := agent.do(http.MethodPut, "/agents/phone:1002/availability", `{"available":false}`); status != 404 {
		t.Errorf("somebody else's phone: %d", status)
	}
	if a, err := w.app.Store().Availability(t.Context(), "phone:1001"); err != nil || a.Available || a.By != "user:agent" {
		t.Errorf("kept %+v, %v", a, err)
	}
}

func TestACallbackIsTakenInThePanel(t *testing.T) {
	w := newOffice(t, officeOptions{})
	w.addUsers()
	cust := w.erika()
	w.writes(cust)
	id := w.customerID(cust)
	w.wantsCallback(id)
	agent, stranger := w.signIn("agent"), w.signIn("stranger")
	var list struct {
		Callbacks []struct {
			ID, Owner, State string
			Version          uint64
			Customer         struct{ Name, Phone string }
		}
	}
	look := func(p *panel) {
		t.Helper()
		list.Callbacks = nil
		w.must(json.Unmarshal([]byte(p.get("/callbacks")), &list))
	}
	if look(agent); len(list.Callbacks) != 1 || list.Callbacks[0].Customer.Name != "" || list.Callbacks[0].State != "open" {
		t.Fatalf("before it is taken: %+v", list)
	}
	cb := list.Callbacks[0]
	put := func(p *panel, body string) (int, string) {
		status, text, _ := p.do(http.MethodPut, "/callbacks/"+cb.ID, body)
		return status, text
	}
	version := marshal(t, cb.Version)
	if status, body := put(agent, `{"owner":"phone:1002","version":`+version+`}`); status != 422 {
		t.Errorf("given to somebody else: %d %s", status, body)
	}
	if status, body := put(agent, `{"owner":"phone:1001","note":"in the afternoon","version":`+version+`}`); status != 200 || !strings.Contains(body, `"Erika"`) {
		t.Fatalf("taken: %d %s (version %s)", status, body, version)
	}
	if status, _ := put(agent, `{"note":"x","version":`+version+`}`); status != 412 {
		t.Errorf("an old version: %d", status)
	}
	if look(stranger); len(list.Callbacks) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
	if look(agent); len(list.Callbacks) != 1 || list.Callbacks[0].Owner != "phone:1001" || "+"+list.Callbacks[0].Customer.Phone != erika {
		t.Errorf("taken: %+v", list)
	}
	if body := agent.get("/customers/" + id + "/timeline"); !strings.Contains(body, `"kind":"callback"`) {
		t.Errorf("timeline %s", body)
	}
	if status, _, _ := stranger.do(http.MethodGet, "/customers/"+id, ""); status != 404 {
		t.Errorf("a stranger reads the customer: %d", status)
	}
	cb.Version = list.Callbacks[0].Version
	if status, body := put(agent, `{"state":"cancelled","version":`+marshal(t, cb.Version)+`}`); status != 200 || !strings.Contains(body, `"cancelled"`) {
		t.Errorf("cancelled: %d %s", status, body)
	}
	if look(agent); len(list.Callbacks) != 0 {
		t.Errorf("still waiting: %+v", list)
	}
}

// wantsCallback keeps a request as the menu makes it.
func (w *office) wantsCallback(customer string) {
	w.t.Helper()
	_, err := w.app.Store().RequestCallback(w.t.Context(), store.Callback{Line: "main", Customer: customer, Call: "none", Source: store.CallbackMenu,
		RequestedAt: monday, Due: monday.Add(time.Hour)})
	w.must(err)
}
