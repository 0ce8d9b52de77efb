package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite openapi.json")

// described is what the test reads of openapi.json.
type described struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		ID    string `json:"operationId"`
		Role  string `json:"x-role"`
		Scope string `json:"x-scope"`
	} `json:"paths"`
}

func TestOpenAPIDocumentIsCurrent(t *testing.T) {
	r := newRig(t)
	raw, err := r.s.OpenAPI()
	r.must(err)
	var b bytes.Buffer
	r.must(json.Indent(&b, raw, "", "  "))
	b.WriteByte('\n')
	if *update {
		r.must(os.WriteFile("openapi.json", b.Bytes(), 0o644))
	}
	have, err := os.ReadFile("openapi.json")
	r.must(err)
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("openapi.json is stale; run go test ./admin -run %s -update\n%s", t.Name(), cmp.Diff(string(have), b.String()))
	}
	r.s.Start()
	a := r.do(http.MethodGet, "/api/v1/openapi.json", "")
	d := into[described](r, a)
	if a.StatusCode != 200 || d.OpenAPI != "3.1.0" || len(d.Paths) < 25 {
		t.Errorf("served: %d, version %s, %d paths", a.StatusCode, d.OpenAPI, len(d.Paths))
	}
}

// Every operation with nobody, each role, a token that lacks the scope and one that has it. A request that is let in may
// well be refused for what it says; it must not be for who sends it.
func TestEveryOperationWithEveryRole(t *testing.T) {
	r := newRig(t).start()
	r.m.ended = []CallRecord{endedCall("call1", "phone:1001")}
	raw, err := r.s.OpenAPI()
	r.must(err)
	var doc described
	r.must(json.Unmarshal(raw, &doc))
	tried := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			method = strings.ToUpper(method)
			url := strings.NewReplacer("{id}", "nobodys", "{name}", "nobody", "{target}", "phone:9").Replace(path)
			if op.ID == "events" {
				url += "?not=served" // let in, then refused: the stream itself has its own tests
			}
			body := ""
			if method != http.MethodGet && method != http.MethodDelete {
				body = "{}"
			}
			ask := func(who string, refused bool, edits ...edit) {
				tried++
				r.clock.pass(1e9) // the rate limit has its own test
				got := r.do(method, url, body, edits...).StatusCode
				if denied := got == 401 || got == 403; denied != refused || got >= 500 {
					t.Errorf("%s %s (%s) by %s: %d", method, path, op.ID, who, got)
				}
			}
			if op.Role == "public" {
				if op.ID != "setup" { // which refuses everybody who lacks the code
					ask("nobody", false)
				}
				continue
			}
			least := Role(op.Role)
			if !slices.Contains(Roles, least) {
				t.Fatalf("%s has no role: %q", op.ID, op.Role)
			}
			ask("nobody", true)
			ask("a made-up session", true, as("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
			ask("a made-up token", true, bearing("dbt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
			for _, role := range Roles {
				ask(string(role), !role.Covers(least), as(r.session(role)))
			}
			switch op.Scope {
			case "":
				ask("a token of an admin with every scope", true, bearing(r.token(Admin, TokenScopes...)))
			case anyScope:
				ask("a token", false, bearing(r.token(Admin, "audit:read")))
			default:
				others := slices.DeleteFunc(slices.Clone(TokenScopes), func(s string) bool { return s == op.Scope })
				ask("a token without the scope", true, bearing(r.token(Admin, others...)))
				ask("a token with the scope", false, bearing(r.token(Admin, op.Scope)))
				ask("an agent's token with the scope", !Agent.Covers(least), bearing(r.token(Agent, op.Scope)))
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d requests", tried)
	}
}

// A call of somebody else is not found, whatever one asks for; a supervisor sees the team's.
func TestAnothersCallIsNotThere(t *testing.T) {
	r := newRig(t).start()
	r.m.ended = []CallRecord{endedCall("mine", "phone:1001"), endedCall("theirs", "phone:1002")}
	r.m.setRunning(runningCall("mine", "phone:1001"), runningCall("theirs", "phone:1002"))
	for _, c := range []struct {
		role   Role
		mine   bool
		theirs bool
	}{{Agent, true, false}, {Supervisor, true, false}, {SuperAgent, true, true}, {Admin, true, true}} {
		s := r.session(c.role)
		for id, sees := range map[string]bool{"mine": c.mine, "theirs": c.theirs} {
			check := func(what string, a answered) {
				t.Helper()
				if found := a.StatusCode != http.StatusNotFound; found != sees || a.StatusCode >= 400 && a.StatusCode != 404 {
					t.Errorf("%s: %s of %s: %d %s", c.role, what, id, a.StatusCode, a.body)
				}
			}
			check("reading", r.do(http.MethodGet, "/api/v1/calls/"+id, "", as(s)))
			check("a note", r.do(http.MethodPut, "/api/v1/calls/"+id+"/note", `{"text":"x"}`, as(s)))
			check("hanging up", r.do(http.MethodPost, "/api/v1/live/calls/"+id+"/hangup", "", as(s)))
			for _, list := range []string{"/api/v1/calls", "/api/v1/calls/export?format=json", "/api/v1/calls/export?format=csv", "/api/v1/live/calls"} {
				if a := r.do(http.MethodGet, list, "", as(s)); a.StatusCode != 200 || strings.Contains(a.body, id) != sees {
					t.Errorf("%s: %s in %s: %d %s", c.role, id, list, a.StatusCode, a.body)
				}
			}
		}
		// Asking for somebody else's calls by name does not help either.
		if a := r.do(http.MethodGet, "/api/v1/calls?agent=phone:1002", "", as(s)); strings.Contains(a.body, "theirs") != c.theirs {
			t.Errorf("%s asking for another agent: %s", c.role, a.body)
		}
	}
	if slices.Contains(r.m.hungUp[:2], "theirs") {
		t.Errorf("an agent or a supervisor hung up a stranger's call: %v", r.m.hungUp)
	}
}

func TestAnothersSessionAndTokenAreNotThere(t *testing.T) {
	r := newRig(t).start()
	own, others := r.session(Agent), r.session(Admin)
	list := into[sessionList](r, r.do(http.MethodGet, "/api/v1/sessions", "", as(others)))
	r.want(r.do(http.MethodDelete, "/api/v1/sessions/"+list.Sessions[0].ID, "", as(own)), 404, "")
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(others)), 200, "")
	r.token(Admin, "calls:read")
	tokens, err := r.acc.Tokens(t.Context(), "")
	r.must(err)
	r.want(r.do(http.MethodDelete, "/api/v1/tokens/"+tokens[0].ID, "", as(own)), 404, "")
	r.want(r.do(http.MethodGet, "/api/v1/tokens?all=true", "", as(own)), 403, "")
	if a := r.do(http.MethodGet, "/api/v1/tokens", "", as(own)); strings.Contains(a.body, tokens[0].ID) {
		t.Error("an agent sees an admin's token")
	}
	r.want(r.do(http.MethodDelete, "/api/v1/tokens/"+tokens[0].ID, "", as(others)), 204, "")
}

func TestARoleTakenAwayIsGoneAtOnce(t *testing.T) {
	r := newRig(t).start()
	s, token := r.session(SuperAgent), r.token(SuperAgent, "calls:read")
	r.m.ended = []CallRecord{endedCall("theirs", "phone:1002")}
	r.want(r.do(http.MethodGet, "/api/v1/calls/theirs", "", as(s)), 200, "")
	u := r.users[SuperAgent]
	next := u
	next.Role = Agent
	u, err := r.acc.Update(t.Context(), ControlSocket, u.ID, u.Version, next)
	r.must(err)
	r.want(r.do(http.MethodGet, "/api/v1/calls/theirs", "", as(s)), 404, "")
	r.want(r.do(http.MethodGet, "/api/v1/calls/theirs", "", bearing(token)), 404, "")
	next = u
	next.Disabled = true
	_, err = r.acc.Update(t.Context(), ControlSocket, u.ID, u.Version, next)
	r.must(err)
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(s)), 401, "")
	r.want(r.do(http.MethodGet, "/api/v1/session", "", bearing(token)), 401, "")
	r.want(r.signIn("super", testPassword), 401, "denied")
}
