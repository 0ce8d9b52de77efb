package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"
)

// staffed is a rig with one customer, "c", with whom phone:1001 has talked, and "d", with whom phone:1002 has.
func staffed(t *testing.T) *rig {
	r := newRig(t).start()
	theirs := endedCall("theirs", "phone:1002")
	theirs.Customer = bridge.Customer{ID: "d", Name: "Budi", Phone: "628999"}
	r.m.ended = []CallRecord{endedCall("mine", "phone:1001"), theirs}
	r.desk.records = []Recording{{ID: "rmine", Call: "mine", State: "finished"}, {ID: "rtheirs", Call: "theirs", State: "finished"}}
	r.desk.decisions = map[string]KeptDecision{"mine": {Replayed: true}, "theirs": {}}
	r.desk.peaks = &Peaks{PointsPerSecond: 10, Customer: []byte{1, 2}, Agent: []byte{3}}
	return r
}

// Whatever one asks for about somebody else's customer, call or recording: it is not there.
func TestAnothersCustomerAndRecordingAreNotThere(t *testing.T) {
	r := staffed(t)
	r.m.setRunning(runningCall("mine", "phone:1001"), runningCall("theirs", "phone:1002"))
	until := `"2026-11-23T13:00:00Z"`
	for _, c := range []struct {
		role   Role
		theirs bool
	}{{Agent, false}, {Supervisor, false}, {SuperAgent, true}, {Admin, true}} {
		s := r.session(c.role)
		for _, which := range []struct {
			customer, call string
			sees           bool
		}{{"c", "mine", true}, {"d", "theirs", c.theirs}} {
			for _, q := range []struct{ method, path, body string }{
				{"GET", "/customers/C", ""}, {"GET", "/customers/C/timeline", ""}, {"POST", "/customers/C/ask", `{"line":"main"}`},
				{"POST", "/customers/C/button", `{"line":"main"}`}, {"POST", "/customers/C/message", `{"line":"main","text":"x"}`},
				{"GET", "/calls/ID/decision", ""}, {"GET", "/calls/ID/recordings", ""}, {"GET", "/recordings/rID/audio", ""}, {"GET", "/recordings/rID/download", ""},
				{"GET", "/recordings/rID/peaks", ""}, {"POST", "/live/calls/ID/recording", ""},
				{"POST", "/customers/C/block", `{"reason":"x"}`}, {"POST", "/customers/C/unblock", `{}`}, {"POST", "/customers/C/override", `{"line":"main","reason":"x","until":` + until + `}`},
			} {
				if c.role == Agent && strings.Contains(q.body, `"reason"`) || c.role == Agent && strings.HasSuffix(q.path, "/unblock") {
					continue // not theirs to do at all: see the table of roles
				}
				r.clock.pass(time.Second)
				path := strings.NewReplacer("C", which.customer, "ID", which.call).Replace(q.path)
				a := r.do(q.method, "/api/v1"+path, q.body, as(s))
				if found := a.StatusCode != 404; found != which.sees || found && a.StatusCode >= 300 {
					t.Errorf("%s: %s %s: %d %s", c.role, q.method, path, a.StatusCode, a.body)
				}
			}
		}
	}
	if slices.ContainsFunc(r.desk.orders[:6], func(o DeskOrder) bool { return o.Customer == "d" }) {
		t.Errorf("something was sent to somebody else's customer: %+v", r.desk.orders)
	}
}

func TestWhatIsSentToACustomerIsAuditedWithoutItsWords(t *testing.T) {
	r := staffed(t)
	s := r.session(Agent)
	post := func(path, body string) answered {
		return r.do(http.MethodPost, "/api/v1/customers/c"+path, body, as(s))
	}
	sent := into[sentView](r, post("/ask", `{"line":"main","text":"may I call about the invoice?"}`))
	if !sent.Sent || !sent.Decision.Allowed || sent.Message == nil || sent.Message.By != "user:agent" {
		t.Errorf("sent %+v", sent)
	}
	r.want(post("/message", `{"line":"main","template":{"name":"news","language":"en","parameters":["invoice"]}}`), 200, "")
	if o := r.desk.orders[len(r.desk.orders)-1]; o.Template != "news" || o.Language != "en" || len(o.Parameters) != 1 || o.Text != "" {
		t.Errorf("order %+v", o)
	}
	r.want(post("/message", `{"line":"main"}`), 422, "invalid")
	r.want(post("/message", `{"line":"main","text":"x","template":{"name":"news"}}`), 422, "invalid")
	r.want(post("/button", `{"line":"none"}`), 422, "invalid")
	r.want(post("/ask", `{"line":"down"}`), 502, "upstream")
	r.want(post("/ask", `{}`), 422, "invalid")
	r.desk.denies = policy.RuleRequests
	if sent := into[sentView](r, post("/ask", `{"line":"main"}`)); sent.Sent || sent.Decision.Rule != policy.RuleRequests || sent.Message != nil {
		t.Errorf("refused: %+v", sent)
	}
	for _, action := range []string{"customer.asked", "customer.written_to", "customer.button_sent"} {
		if !slices.Contains(r.m.actions(), action) {
			t.Errorf("the audit log lacks %s", action)
		}
	}
	if log, _ := json.Marshal(r.m.events); strings.Contains(string(log), "invoice") || strings.Contains(string(log), "Sari") {
		t.Errorf("audit log %s", log)
	}
	n := len(r.desk.orders)
	r.m.fail = ErrUnavailable
	r.want(post("/ask", `{"line":"main"}`), 503, "unavailable")
	if len(r.desk.orders) != n {
		t.Error("something was sent that is not in the audit log")
	}
}

func TestACallBeginsAtTheOwnTelephoneAndOnlyWhereItIsAllowed(t *testing.T) {
	r := staffed(t)
	call := func(role Role) answered {
		return r.do(http.MethodPost, "/api/v1/customers/c/call", `{"line":"main"}`, as(r.session(role)))
	}
	if b := into[callBegun](r, call(Agent)); b.Call != "call9" || !slices.Contains(r.desk.done, "called c over main from phone:1001") {
		t.Errorf("%+v %v", b, r.desk.done)
	}
	r.want(call(Admin), 409, "no_telephone")
	r.desk.denies = "permission.none"
	a := call(Agent)
	r.want(a, 409, "refused")
	if p := into[Problem](r, a); p.Detail != "The customer has not allowed calls." {
		t.Errorf("problem %+v", p)
	}
	if len(r.desk.done) != 1 {
		t.Errorf("done %v", r.desk.done)
	}
}

func TestACustomerShowsWhatMayBeDoneAndNothingOfWhatItRestsOn(t *testing.T) {
	r := staffed(t)
	at := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	r.desk.lines = []CustomerLine{{Line: "main", Name: "Main", Window: at, Permission: policy.PermissionState{Standing: policy.StandingRequested, Pending: &policy.Request{Wamid: "secret", At: at}},
		Call: policy.Decision{Rule: policy.RuleAttempts, NextAllowed: at, Facts: &policy.Question{}, Counters: []policy.Counter{{Name: "attempts", Scope: "line", Window: 24 * time.Hour, Used: 5, Max: 5}}, Possible: []policy.Action{policy.ActionButton}},
		Ask:  policy.Decision{Allowed: true}}}
	a := r.do(http.MethodGet, "/api/v1/customers/c", "", as(r.session(Agent)))
	d := into[customerDetail](r, a)
	l := d.Lines[0]
	if d.Customer.Name != "Sari" || l.Call.Allowed || !l.Ask.Allowed || l.Call.Counters[0].WindowSeconds != 86400 || !l.Call.NextAllowed.Equal(at) || !l.WindowUntil.Equal(at) ||
		!slices.Equal(l.Call.Possible, []string{"button"}) || l.Permission.Pending == nil || !l.Permission.Pending.At.Equal(at) {
		t.Errorf("%+v", d)
	}
	if strings.Contains(a.body, "facts") || strings.Contains(a.body, "secret") {
		t.Errorf("it tells too much: %s", a.body)
	}
}

func TestATimelineShowsEachKindAndGoesOnBeforeItsLastEntry(t *testing.T) {
	r := staffed(t)
	at := r.clock.now()
	call := endedCall("mine", "phone:1001")
	r.desk.entries = []TimelineEntry{
		{At: at, Message: &MessageRecord{ID: "m", Text: "hi\u202e\nthere", Status: "received"}}, {At: at.Add(-1 * time.Minute), Call: &call},
		{At: at.Add(-2 * time.Minute), Permission: &PermissionEvent{Kind: "permission.granted", Line: "main", Permanent: true}},
		{At: at.Add(-3 * time.Minute), Callback: &CallbackRecord{ID: "b", Customer: call.Customer, State: "done", Source: "menu"}},
	}
	s := r.session(Agent)
	p := into[timelinePage](r, r.do(http.MethodGet, "/api/v1/customers/c/timeline?limit=3", "", as(s)))
	if len(p.Entries) != 3 || p.Entries[0].Message.Text != "hi\nthere" || p.Entries[1].Call.ID != "mine" || p.Entries[2].Permission.Kind != "permission.granted" || !p.Next.Equal(at.Add(-2*time.Minute)) {
		t.Fatalf("%+v", p)
	}
	p = into[timelinePage](r, r.do(http.MethodGet, "/api/v1/customers/c/timeline?limit=3&before="+p.Next.Format(time.RFC3339Nano), "", as(s)))
	if len(p.Entries) != 1 || p.Entries[0].Callback.Customer.Name != "Sari" || p.Entries[0].Kind != "callback" || !p.Next.IsZero() {
		t.Errorf("%+v", p)
	}
	r.want(r.do(http.MethodGet, "/api/v1/customers/c/timeline?before=yesterday", "", as(s)), 422, "invalid")
}

func TestARecordingComesByRangesAndEachIsAudited(t *testing.T) {
	r := staffed(t)
	s := r.session(Agent)
	a := r.do(http.MethodGet, "/api/v1/recordings/rmine/audio", "", as(s), header("Range", "bytes=2-4"))
	if a.StatusCode != 206 || a.body != "234" || a.Header.Get("Content-Range") != "bytes 2-4/10" || a.Header.Get("Content-Disposition") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %q %v", a.StatusCode, a.body, a.Header)
	}
	a = r.do(http.MethodGet, "/api/v1/recordings/rmine/download?format=wav", "", as(s))
	if a.StatusCode != 200 || a.body != r.desk.sound || a.Header.Get("Content-Disposition") != `attachment; filename="call.ogg"` || a.Header.Get("Content-Type") != "audio/ogg" {
		t.Errorf("%d %q %v", a.StatusCode, a.body, a.Header)
	}
	user := r.users[Agent].ID
	if want := []string{"ogg false " + user, "wav true " + user}; !slices.Equal(r.desk.opened, want) {
		t.Errorf("opened %v, want %v", r.desk.opened, want)
	}
	if got := r.m.actions(); !slices.Contains(got, "recording.played") || !slices.Contains(got, "recording.downloaded") {
		t.Errorf("audit log %v", got)
	}
	r.want(r.do(http.MethodGet, "/api/v1/recordings/rmine/audio?format=mp3", "", as(s)), 422, "invalid")
	r.desk.records[0].State = "deleted"
	gone := r.do(http.MethodGet, "/api/v1/recordings/rmine/audio", "", as(s))
	r.want(gone, 410, "gone")
	if p := into[Problem](r, gone); p.Detail != "it is deleted (retention)" {
		t.Errorf("problem %+v", p)
	}
	r.m.fail = ErrUnavailable
	n := len(r.desk.opened)
	r.want(r.do(http.MethodGet, "/api/v1/recordings/rmine/audio", "", as(s)), 503, "unavailable")
	if len(r.desk.opened) != n {
		t.Error("played without the audit log")
	}
}

func TestAnOutlineThatIsBeingMadeSaysWhenToAskAgain(t *testing.T) {
	r := staffed(t)
	s := r.session(Agent)
	get := func() answered { return r.do(http.MethodGet, "/api/v1/recordings/rmine/peaks", "", as(s)) }
	if p := into[Peaks](r, get()); p.PointsPerSecond != 10 || len(p.Customer) != 2 {
		t.Errorf("%+v", p)
	}
	r.desk.peaks = nil
	if a := get(); a.StatusCode != 202 || a.Header.Get("Retry-After") != "2" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// A callback that is nobody's is seen by everybody who may take it, the customer only by who has.
func TestACallbackIsTakenBeforeItsCustomerIsSeen(t *testing.T) {
	r := staffed(t)
	budi := bridge.Customer{ID: "d", Name: "Budi", Phone: "628999"}
	r.desk.callbacks = []CallbackRecord{
		{ID: "open", Customer: budi, Note: "wants Budi", Call: "theirs", State: "open", Version: 1},
		{ID: "taken", Customer: budi, State: "assigned", Owner: "phone:1002", Version: 1}, {ID: "closed", Customer: budi, State: "done", Version: 1},
	}
	s, boss := r.session(Agent), r.session(SuperAgent)
	list := func(who string) (ids []string, text string) {
		a := r.do(http.MethodGet, "/api/v1/callbacks?state=all", "", as(who))
		for _, c := range into[callbackPage](r, a).Callbacks {
			ids = append(ids, c.ID)
		}
		return ids, a.body
	}
	if ids, text := list(s); !slices.Equal(ids, []string{"open"}) || strings.Contains(text, "Budi") || strings.Contains(text, "628999") || strings.Contains(text, "theirs") {
		t.Errorf("an agent sees %s", text)
	}
	if ids, text := list(boss); len(ids) != 3 || !strings.Contains(text, "Budi") {
		t.Errorf("a super agent sees %s", text)
	}
	put := func(who, id, body string) answered {
		return r.do(http.MethodPut, "/api/v1/callbacks/"+id, body, as(who))
	}
	r.want(put(s, "taken", `{"owner":"phone:1001","version":1}`), 404, "not_found")
	r.want(put(s, "closed", `{"note":"x","version":1}`), 404, "not_found")
	r.want(put(s, "open", `{"owner":"phone:1002","version":1}`), 422, "invalid")
	r.want(put(s, "open", `{"version":1}`), 422, "invalid")
	r.want(put(s, "open", `{"owner":"phone:1001","version":7}`), 412, "changed_meanwhile")
	a := put(s, "open", `{"owner":"phone:1001","version":1}`)
	r.want(a, 200, "")
	if v := into[callbackView](r, a); v.Customer.Name != "Budi" || v.State != "assigned" {
		t.Errorf("taken %+v", v)
	}
	r.want(r.do(http.MethodGet, "/api/v1/customers/d", "", as(s)), 200, "")
	a = put(s, "open", `{"owner":"","version":2}`)
	r.want(a, 200, "")
	r.want(put(boss, "taken", `{"owner":"nonsense","version":1}`), 422, "invalid")
	r.want(put(boss, "taken", `{"due":"2026-11-24T09:00:00Z","state":"cancelled","version":1}`), 200, "")
	if !slices.Contains(r.m.actions(), "callback.changed") {
		t.Error("not in the audit log")
	}
}

func TestAnAgentSwitchesOnlyTheOwnTelephone(t *testing.T) {
	r := staffed(t)
	put := func(role Role, target string) answered {
		return r.do(http.MethodPut, "/api/v1/agents/"+target+"/availability", `{"available":false}`, as(r.session(role)))
	}
	r.want(put(Agent, "phone:1002"), 404, "not_found")
	r.want(put(Supervisor, "phone:1002"), 404, "not_found")
	if a := into[AgentState](r, put(Agent, "phone:1001")); a.Available || a.Name != "agent" {
		t.Errorf("%+v", a)
	}
	r.want(put(SuperAgent, "phone:1002"), 200, "")
	if a := r.do(http.MethodGet, "/api/v1/agents", "", as(r.session(Agent))); strings.Contains(a.body, "phone:1002") || !strings.Contains(a.body, `"available":false`) {
		t.Errorf("an agent sees %s", a.body)
	}
	if e := r.m.events[len(r.m.events)-2:]; !slices.ContainsFunc(e, func(e Event) bool {
		return e.Action == "agent.availability_set" && string(e.After) == `{"available":false}`
	}) {
		t.Errorf("audit log %+v", e)
	}
}

func TestALineIsOpenedAndClosedByHand(t *testing.T) {
	r := staffed(t)
	s := r.session(Supervisor)
	put := func(body string) answered { return r.do(http.MethodPut, "/api/v1/lines/main/override", body, as(s)) }
	r.want(put(`{"open":false,"until":"2026-11-23T18:00:00Z"}`), 204, "")
	if o := r.desk.override; o == nil || o.Open || o.Until.Hour() != 18 || o.By != "user:supervisor" {
		t.Errorf("override %+v", o)
	}
	if l := into[lineList](r, r.do(http.MethodGet, "/api/v1/lines", "", as(s))); len(l.Lines) != 1 || l.Lines[0].Override == nil {
		t.Errorf("lines %+v", l)
	}
	r.want(put(`{"open":true,"until":"2020-01-01T00:00:00Z"}`), 422, "invalid")
	r.want(put(`{}`), 204, "")
	if r.desk.override != nil {
		t.Error("it is still closed by hand")
	}
	admin := r.session(Admin)
	r.want(r.do(http.MethodPost, "/api/v1/lines/main/adopt", "", as(admin)), 200, "")
	r.want(r.do(http.MethodPost, "/api/v1/lines/none/apply", "", as(admin)), 404, "not_found")
	made := r.do(http.MethodPost, "/api/v1/lines/main/templates", `{"name":"x","language":"en","category":"UTILITY","kind":"button","body":"Call {{1}}","examples":["us"],"button":"Call","ttl_hours":24}`, as(admin))
	r.want(made, 201, "")
	if m := into[Template](r, made); m.Status != "PENDING" || m.TTLHours != 24 || m.Kind != "button" {
		t.Errorf("template %+v", m)
	}
	r.want(r.do(http.MethodPost, "/api/v1/lines/main/templates", `{"name":"x","language":"en","category":"UTILITY","kind":"other","body":"x"}`, as(admin)), 422, "invalid")
	r.want(r.do(http.MethodDelete, "/api/v1/lines/main/templates/x", "", as(admin)), 204, "")
	for _, action := range []string{"line.override_set", "line.adopted", "template.created", "template.deleted"} {
		if !slices.Contains(r.m.actions(), action) {
			t.Errorf("the audit log lacks %s", action)
		}
	}
}
