package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
)

// clock is the rig's wall clock.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

const testPassword = "correct horse battery"

// rig is a server over memory, with cheap passwords.
type rig struct {
	t     testing.TB
	clock *clock
	m     *memory
	desk  *office
	acc   *Accounts
	s     *Server
	users map[Role]User
}

func newRig(t testing.TB, options ...func(*Options)) *rig {
	t.Helper()
	c := &clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	r := &rig{t: t, clock: c, m: newMemory(c.now), users: map[Role]User{}}
	r.desk = newOffice(r.m)
	var err error
	r.acc = NewAccounts(Stores{r.m, r.m, r.m}, c.now)
	r.acc.hasher = newHasher(&argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	o := Options{Listen: "127.0.0.1:0", Accounts: r.acc, Audit: r.m, Calls: r.m, Live: r.m, Settings: r.m, System: r.m, Sounds: r.desk, Customers: r.desk, Callbacks: r.desk, Agents: r.desk, Lines: r.desk, Log: slog.New(slog.DiscardHandler), Now: c.now}
	for _, f := range options {
		f(&o)
	}
	r.s, err = New(o)
	r.must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(r.s.Stop(ctx), r.s.Stop(ctx)); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

// start serves with one user of each role; supervisor and agent are in the team red.
func (r *rig) start() *rig {
	r.t.Helper()
	for _, u := range []User{{Login: "agent", Role: Agent, Teams: []string{"red"}, Targets: []string{"phone:1001"}}, {Login: "supervisor", Role: Supervisor, Teams: []string{"red"}},
		{Login: "super", Role: SuperAgent}, {Login: "admin", Role: Admin}, {Login: "stranger", Role: Agent, Targets: []string{"phone:1002"}}} {
		made, err := r.acc.Create(r.t.Context(), ControlSocket, NewUser{u, testPassword})
		r.must(err)
		if u.Login != "stranger" {
			r.users[u.Role] = made
		}
	}
	r.s.Start()
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// session makes a session without the sign-in.
func (r *rig) session(role Role) (secret string) {
	r.t.Helper()
	u := r.users[role]
	secret, err := r.acc.begin(r.t.Context(), Actor{ID: u.ID, Login: u.Login}, SignIn{Address: netip.MustParseAddr("127.0.0.1")})
	r.must(err)
	return secret
}

func (r *rig) token(role Role, scopes ...string) string {
	r.t.Helper()
	r.must(r.m.DropCredentials(r.t.Context(), TokenKind, r.users[role].ID, "", nil)) // their number is limited
	secret, _, err := r.acc.CreateToken(r.t.Context(), ControlSocket, r.users[role].ID, "t", scopes, time.Time{})
	r.must(err)
	return secret
}

// answered is a response, read.
type answered struct {
	*http.Response
	body string
}

func (a answered) code() string {
	var p Problem
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

type edit func(*http.Request)

func header(k, v string) edit { return func(q *http.Request) { q.Header.Set(k, v) } }
func without(k string) edit   { return func(q *http.Request) { q.Header.Del(k) } }
func as(session string) edit  { return header("Cookie", cookiePlain+"="+session) }
func bearing(token string) edit {
	return header("Authorization", "Bearer "+token)
}

func (r *rig) do(method, path, body string, edits ...edit) answered {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.s.Addr().String()+path, strings.NewReader(body))
	r.must(err)
	req.Header.Set(requestHeader, "1")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, e := range edits {
		e(req)
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	r.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	r.must(err)
	return answered{res, string(text)}
}

func (r *rig) want(a answered, status int, code string) {
	r.t.Helper()
	if a.StatusCode != status || code != "" && a.code() != code {
		r.t.Errorf("%s %s: %d %s, want %d %s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.body, status, code)
	}
}

func into[T any](r *rig, a answered) (v T) {
	r.t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	if err := d.Decode(&v); err != nil {
		r.t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

func (r *rig) signIn(login, password string, edits ...edit) answered {
	b, _ := json.Marshal(map[string]string{"login": login, "password": password})
	return r.do(http.MethodPost, "/api/v1/session", string(b), edits...)
}

func cookieOf(a answered) *http.Cookie {
	for _, c := range a.Cookies() {
		return c
	}
	return &http.Cookie{}
}
