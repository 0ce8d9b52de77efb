package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func TestSignInMakesANewSessionAndThePlantedOneIsWorthNothing(t *testing.T) {
	r := newRig(t).start()
	planted := "planted-by-somebody-who-knows-it-0000000000"
	a := r.signIn("Agent", testPassword, as(planted))
	r.want(a, 200, "")
	c := cookieOf(a)
	if c.Value == planted || len(c.Value) < 40 || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure || c.Name != cookiePlain || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(planted)), 401, "")
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(c.Value)), 200, "")
	again := cookieOf(r.signIn("agent", testPassword, as(c.Value)))
	if again.Value == c.Value {
		t.Error("the session was not rotated")
	}
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(c.Value)), 401, "")
	r.want(r.do(http.MethodDelete, "/api/v1/session", "", as(again.Value)), 204, "")
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(again.Value)), 401, "")
}

func TestCookieIsSecureBehindATrustedProxyWithTLS(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }).start()
	a := r.signIn("agent", testPassword, header("X-Forwarded-Proto", "https"))
	if c := cookieOf(a); c.Name != "__Host-deskbridge" || !c.Secure || c.Path != "/" || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("cookie %+v", c)
	}
	// A session of the TLS side is not one of the plain side: the name is another.
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(cookieOf(a).Value), header("X-Forwarded-Proto", "https")), 401, "")
}

func TestSessionsEndByIdlenessByAgeAndByPasswordChange(t *testing.T) {
	r := newRig(t).start()
	good := func(s string, want bool) {
		t.Helper()
		if got := r.do(http.MethodGet, "/api/v1/session", "", as(s)).StatusCode == 200; got != want {
			t.Errorf("session good: %v, want %v", got, want)
		}
	}
	idle := r.session(Agent)
	r.clock.pass(sessionIdle - time.Minute)
	good(idle, true) // a use
	r.clock.pass(sessionIdle - time.Minute)
	good(idle, true)
	r.clock.pass(sessionIdle)
	good(idle, false)
	old := r.session(Agent)
	for range int(sessionLifetime/(7*time.Hour)) - 1 {
		r.clock.pass(7 * time.Hour)
		good(old, true)
	}
	r.clock.pass(7 * time.Hour)
	r.clock.pass(7 * time.Hour)
	good(old, false)

	one, two := r.session(Agent), r.session(Agent)
	change := func(old, new string) answered {
		return r.do(http.MethodPut, "/api/v1/me/password", fmt.Sprintf(`{"old":%q,"new":%q}`, old, new), as(one))
	}
	r.want(change("wrong wrong wrong", "another long password"), 401, "denied")
	r.want(change(testPassword, "short"), 422, "invalid")
	a := change(testPassword, "another long password")
	r.want(a, 204, "")
	good(one, false)
	good(two, false)
	good(cookieOf(a).Value, true)
	r.want(r.signIn("agent", testPassword), 401, "denied")
	r.want(r.signIn("agent", "another long password"), 200, "")
}

func TestTenFailuresLockAccountAndAddressAndAnUnknownUserIsNoDifferent(t *testing.T) {
	for _, login := range []string{"agent", "nobody-of-that-name"} {
		r := newRig(t).start()
		failures := 0
		for failures < maxFailures {
			a := r.signIn(login, "wrong wrong wrong")
			switch a.code() {
			case "denied":
				failures++
			case "locked": // the pause between guesses
				if a.Header.Get("Retry-After") == "" {
					t.Fatal("no Retry-After")
				}
				r.clock.pass(time.Second)
			default:
				t.Fatal(a.StatusCode, a.body)
			}
		}
		r.clock.pass(time.Minute)
		r.want(r.signIn(login, testPassword), 429, "locked")
		r.want(r.signIn("admin", testPassword), 429, "locked") // the address is locked too
		r.clock.pass(failureWindow)
		r.want(r.signIn("agent", testPassword), 200, "")
	}
}

func TestAnAdminUnlocksWithANewPassword(t *testing.T) {
	r := newRig(t).start()
	for range maxFailures {
		r.acc.lockout.begin(accountKey("agent"))
		r.clock.pass(longestPause)
	}
	r.want(r.signIn("agent", testPassword), 429, "locked")
	r.must(r.acc.SetPasswordOf(t.Context(), ControlSocket, "agent", "another long password"))
	r.want(r.signIn("agent", "another long password"), 200, "")
}

func TestGuessingInParallelIsGuessingInTurn(t *testing.T) {
	c := &clock{at: time.Unix(1e9, 0)}
	l := newLockout(c.now)
	var wg sync.WaitGroup
	var mu sync.Mutex
	let := 0
	for range 200 {
		wg.Go(func() {
			if l.begin("account x", "address y") == 0 {
				mu.Lock()
				let++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if let != freeFailures {
		t.Errorf("%d guesses at once, want %d", let, freeFailures)
	}
	// Whoever keeps guessing with patience has ten in a quarter of an hour.
	for range 900 {
		c.pass(time.Second)
		if l.begin("account x") == 0 {
			let++
		}
	}
	if let < maxFailures || let > maxFailures+freeFailures {
		t.Errorf("%d guesses in 15 minutes, want about %d", let, maxFailures)
	}
}

func TestLockoutTableIsBounded(t *testing.T) {
	c := &clock{at: time.Unix(1e9, 0)}
	l := newLockout(c.now)
	for i := range maxGuessers + 500 {
		l.begin(fmt.Sprint("address ", i))
	}
	if n := len(l.guesses); n > maxGuessers {
		t.Errorf("%d entries", n)
	}
}

func TestSecondFactorFromEnrolmentToRecovery(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Agent)
	r.want(r.do(http.MethodPost, "/api/v1/me/totp", `{"password":"wrong wrong wrong"}`, as(s)), 401, "denied")
	e := into[enrolment](r, r.do(http.MethodPost, "/api/v1/me/totp", fmt.Sprintf(`{"password":%q}`, testPassword), as(s)))
	if !strings.HasPrefix(e.QR, "data:image/png;base64,") || !strings.HasPrefix(e.URI, "otpauth://totp/") {
		t.Errorf("enrolment %+v", e)
	}
	r.want(r.signIn("agent", testPassword), 200, "") // not in use until it is confirmed
	code := func() string {
		c, err := totp.GenerateCode(e.Secret, r.clock.now())
		r.must(err)
		return c
	}
	r.want(r.do(http.MethodPost, "/api/v1/me/totp/confirm", `{"code":"000000"}`, as(s)), 401, "denied")
	recovery := into[recoveryList](r, r.do(http.MethodPost, "/api/v1/me/totp/confirm", fmt.Sprintf(`{"code":%q}`, code()), as(s))).Recovery
	if len(recovery) != recoveryCodes {
		t.Fatalf("recovery codes %v", recovery)
	}
	with := func(code string) answered {
		r.clock.pass(20 * time.Second) // past the pause, within the code's tolerance
		b, _ := json.Marshal(map[string]string{"login": "agent", "password": testPassword, "code": code})
		return r.do(http.MethodPost, "/api/v1/session", string(b))
	}
	r.want(with(""), 401, "code_needed")
	r.want(with(code()), 401, "denied") // the code that confirmed is used
	r.clock.pass(time.Minute)
	used := code()
	r.want(with(used), 200, "")
	r.want(with(used), 401, "denied")
	r.want(with(strings.ToUpper(recovery[3])), 200, "")
	r.want(with(recovery[3]), 401, "denied")
	for _, secret := range append(recovery, e.Secret) {
		if got, _ := json.Marshal(r.m.events); strings.Contains(string(got), secret) {
			t.Error("the audit log holds a secret")
		}
	}
	if a := r.do(http.MethodGet, "/api/v1/session", "", as(s)); strings.Contains(a.body, e.Secret) || !strings.Contains(a.body, `"totp":true`) {
		t.Error(a.body)
	}
	r.clock.pass(time.Minute)
	r.want(r.do(http.MethodPost, "/api/v1/me/totp/disable", fmt.Sprintf(`{"password":%q}`, testPassword), as(s)), 204, "")
	r.clock.pass(time.Minute)
	r.want(r.signIn("agent", testPassword), 200, "")
}

// Somebody who has the password guesses codes: that a sign-in without a code is no failure must not start the count anew.
func TestGuessedCodesAreCounted(t *testing.T) {
	r := newRig(t).start()
	_, err := r.acc.change(t.Context(), ControlSocket, r.users[Agent].ID, 0, "x", func(a *account) error {
		f, _, err := newFactor("agent")
		f.Confirmed = true
		a.Factor = f
		return err
	})
	r.must(err)
	guesses := 0
	for range 400 {
		r.clock.pass(2 * time.Second)
		r.signIn("agent", testPassword)
		r.clock.pass(time.Millisecond)
		b, _ := json.Marshal(map[string]string{"login": "agent", "password": testPassword, "code": "123456"})
		if a := r.do(http.MethodPost, "/api/v1/session", string(b)); a.code() == "denied" {
			guesses++
		}
	}
	if guesses > maxFailures {
		t.Errorf("%d codes guessed in 14 minutes", guesses)
	}
}

func TestFirstRunNeedsTheCodeFromTheLogOnce(t *testing.T) {
	r := newRig(t)
	r.s.Start()
	if a := r.do(http.MethodGet, "/api/v1/setup", ""); !strings.Contains(a.body, `"needed":true`) {
		t.Fatal(a.body)
	}
	setup := func(code string) answered {
		b, _ := json.Marshal(map[string]string{"code": code, "login": "boss", "password": testPassword})
		return r.do(http.MethodPost, "/api/v1/setup", string(b))
	}
	code := r.acc.setupCode
	if len(code) != 19 {
		t.Fatalf("code %q", code)
	}
	r.want(setup("AAAA-AAAA-AAAA-AAAA"), 401, "denied")
	r.want(setup(""), 401, "denied")
	r.want(setup(strings.ToLower(code)), 200, "")
	r.want(setup(code), 401, "denied")
	r.clock.pass(cacheFor)
	if a := r.do(http.MethodGet, "/api/v1/setup", ""); !strings.Contains(a.body, `"needed":false`) {
		t.Error(a.body)
	}
	if a := into[me](r, r.signIn("boss", testPassword)); a.User.Role != Admin {
		t.Errorf("the first user is %s", a.User.Role)
	}
}

func TestTheCodeIsWorthNothingOnceThereIsAUser(t *testing.T) {
	r := newRig(t)
	r.s.Start()
	code := r.acc.setupCode
	_, err := r.acc.Create(t.Context(), ControlSocket, NewUser{User{Login: "first", Role: Admin}, testPassword})
	r.must(err)
	b, _ := json.Marshal(map[string]string{"code": code, "login": "boss", "password": testPassword})
	r.want(r.do(http.MethodPost, "/api/v1/setup", string(b)), 409, "taken")
	if users, _ := r.acc.Users(t.Context()); len(users) != 1 {
		t.Errorf("users %v", users)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	r := newRig(t).start()
	boss := r.users[Admin]
	for _, edit := range []func(*User){func(u *User) { u.Role = SuperAgent }, func(u *User) { u.Disabled = true }} {
		next := boss
		edit(&next)
		if _, err := r.acc.Update(t.Context(), ControlSocket, boss.ID, boss.Version, next); err == nil {
			t.Error("the last admin was lost")
		}
	}
	if err := r.acc.Delete(t.Context(), ControlSocket, boss.ID); err == nil {
		t.Error("the last admin was deleted")
	}
}

func TestUsersOfTheAPI(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	post := func(body string) answered { return r.do(http.MethodPost, "/api/v1/users", body, as(s)) }
	r.want(post(`{"login":"agent","role":"agent","password":"long enough it is"}`), 409, "taken")
	r.want(post(`{"login":"Ünïcode","role":"agent","password":"long enough it is"}`), 422, "invalid")
	r.want(post(`{"login":"new","role":"king","password":"long enough it is"}`), 422, "invalid")
	r.want(post(`{"login":"new","role":"agent","targets":["sip:evil@host"],"password":"long enough it is"}`), 422, "invalid")
	a := post(`{"login":"new","role":"agent","password":"short"}`)
	r.want(a, 422, "invalid")
	if strings.Contains(a.body, "short") && strings.Contains(a.body, "value") {
		t.Errorf("the password is repeated: %s", a.body)
	}
	a = post(`{"login":"new","role":"agent","teams":["red"],"targets":["phone:1003","trunk:pbx/200"],"password":"long enough it is"}`)
	r.want(a, 201, "")
	u := into[User](r, a)
	put := func(match string) answered {
		return r.do(http.MethodPut, "/api/v1/users/"+u.ID, `{"login":"new","role":"supervisor"}`, as(s), header("If-Match", match))
	}
	r.want(put(""), 428, "if_match_needed")
	r.want(put(`"99"`), 412, "changed_meanwhile")
	r.want(put(`garbage`), 412, "changed_meanwhile")
	r.want(put(a.Header.Get("ETag")), 200, "")
	r.want(put(a.Header.Get("ETag")), 412, "changed_meanwhile")
	r.want(r.do(http.MethodPut, "/api/v1/teams/green%20team", fmt.Sprintf(`{"members":[%q]}`, u.ID), as(s)), 204, "")
	if a := r.do(http.MethodGet, "/api/v1/teams", "", as(s)); !strings.Contains(a.body, `"green team"`) {
		t.Error(a.body)
	}
	r.want(r.do(http.MethodDelete, "/api/v1/users/"+u.ID, "", as(s)), 204, "")
	r.want(r.do(http.MethodGet, "/api/v1/users/"+u.ID, "", as(s)), 404, "")
	for _, want := range []string{"user.created", "user.changed", "user.deleted"} {
		if !slices.Contains(r.m.actions(), want) {
			t.Errorf("the audit log lacks %s", want)
		}
	}
	if log := r.do(http.MethodGet, "/api/v1/audit?limit=200", "", as(s)); strings.Contains(log.body, "argon2") || !strings.Contains(log.body, `"before"`) {
		t.Errorf("audit log: %s", log.body)
	}
}
