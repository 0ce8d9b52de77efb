package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAnotherSiteCannotMakeTheBrowserAct(t *testing.T) {
	r := newRig(t).start()
	r.m.setRunning(runningCall("mine", "phone:1001"))
	s := r.session(Agent)
	own := "http://" + r.s.Addr().String()
	for _, c := range []struct {
		name   string
		status int
		edits  []edit
	}{
		{"the panel", 204, []edit{header("Sec-Fetch-Site", "same-origin"), header("Origin", own)}},
		{"the panel in an old browser", 204, []edit{header("Origin", own)}},
		{"another site", 403, []edit{header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")}},
		{"a sibling site", 403, []edit{header("Sec-Fetch-Site", "same-site")}},
		{"another site in an old browser", 403, []edit{header("Origin", "https://evil.example")}},
		{"a sandboxed frame", 403, []edit{header("Origin", "null")}},
		{"a form", 403, []edit{without(requestHeader)}},
		{"a form with Origin of ours", 403, []edit{without(requestHeader), header("Origin", own)}},
	} {
		a := r.do(http.MethodPost, "/api/v1/live/calls/mine/hangup", "", append(c.edits, as(s))...)
		if a.StatusCode != c.status || c.status == 403 && a.code() != "cross_origin" {
			t.Errorf("%s: %d %s", c.name, a.StatusCode, a.body)
		}
		if a := r.do(http.MethodPost, "/api/v1/session", `{"login":"agent","password":"x"}`, c.edits...); (a.StatusCode == 403) != (c.status == 403) {
			t.Errorf("sign-in by %s: %d", c.name, a.StatusCode)
		}
		r.clock.pass(time.Hour)
	}
	// A token is no cookie: no browser sends it by itself.
	r.want(r.do(http.MethodPost, "/api/v1/live/calls/mine/hangup", "", bearing(r.token(Agent, "live:write")), without(requestHeader)), 204, "")
	if a := r.do(http.MethodOptions, "/api/v1/calls", "", header("Origin", "https://evil.example"), header("Access-Control-Request-Method", "GET")); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin is let in by CORS")
	}
}

func TestLargeBodiesAreRefusedBeforeAndWhileTheyAreRead(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	large := `{"login":"` + strings.Repeat("x", maxBody) + `"}`
	r.want(r.do(http.MethodPost, "/api/v1/users", large, as(s)), 413, "too_large")
	chunked := func(q *http.Request) { q.ContentLength = -1 }
	if a := r.do(http.MethodPost, "/api/v1/users", large, as(s), chunked); a.StatusCode < 400 || a.StatusCode >= 500 {
		t.Errorf("chunked: %d %s", a.StatusCode, a.body)
	}
	if a := r.do(http.MethodPost, "/api/v1/users", large, as(s), chunked, header(idempotencyHeader, "k")); a.StatusCode != 413 {
		t.Errorf("chunked with a key: %d %s", a.StatusCode, a.body)
	}
	if a := r.do(http.MethodPost, "/api/v1/users", strings.Repeat("[", maxBody-1), as(s)); a.StatusCode < 400 || a.StatusCode >= 500 {
		t.Errorf("deep: %d", a.StatusCode)
	}
	document := `{"lines":"` + strings.Repeat("x", 2*maxBody) + `"}` // a settings document may be larger
	r.want(r.do(http.MethodPost, "/api/v1/settings/diff", document, as(s)), 200, "")
	r.want(r.do(http.MethodPost, "/api/v1/settings/diff", strings.Repeat(" ", maxSettings)+"{}", as(s)), 413, "too_large")
	many := func(q *http.Request) {
		for i := range maxHeaders + 1 {
			q.Header.Set(fmt.Sprint("X-H", i), "1")
		}
	}
	r.want(r.do(http.MethodGet, "/api/v1/session", "", many), 431, "")
}

func TestSlowClientsAreCutOff(t *testing.T) {
	r := newRig(t)
	r.s.http.ReadHeaderTimeout, r.s.http.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
	r.start()
	s := r.session(Admin)
	for name, text := range map[string]string{
		"headers": "GET /healthz HTTP/1.1\r\nHost: x\r\nX-",
		"body":    "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nX-Deskbridge: 1\r\nCookie: " + cookiePlain + "=" + s + "\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n\r\n{",
	} {
		c, err := net.Dial("tcp", r.s.Addr().String())
		r.must(err)
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.WriteString(c, text)
		r.must(err)
		rest, err := io.ReadAll(c)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Errorf("%s: still connected", name)
		}
		if strings.Contains(string(rest), " 200 ") || strings.Contains(string(rest), " 201 ") {
			t.Errorf("%s: answered %s", name, rest)
		}
		_ = c.Close()
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	r := newRig(t).start()
	for _, path := range []string{"/", "/healthz", "/api/v1/session", "/api/v1/openapi.json", "/nothing"} {
		h := r.do(http.MethodGet, path, "").Header
		csp := h.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "script-src 'self';") || !strings.Contains(csp, "frame-ancestors 'none'") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
	a := r.do(http.MethodGet, "/", "")
	_, rest, _ := strings.Cut(a.Header.Get("Content-Security-Policy"), "'nonce-")
	nonce, _, _ := strings.Cut(rest, "'")
	if !strings.Contains(a.body, `<style nonce="`+nonce+`">`) || len(nonce) < 20 {
		t.Errorf("nonce %q not in the page", nonce)
	}
	if r.do(http.MethodGet, "/", "").Header.Get("Content-Security-Policy") == a.Header.Get("Content-Security-Policy") {
		t.Error("the nonce is always the same")
	}
	if a := r.do(http.MethodGet, "/api/v1/session", ""); a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("headers %v", a.Header)
	}
}

func TestForwardedAddressesCountFromTrustedProxiesOnly(t *testing.T) {
	s := newServer(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:5", "203.0.113.9", "192.0.2.1"},
		{"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:5", "198.51.100.1, 203.0.113.9", "203.0.113.9"}, // the left one is what the client wrote
		{"10.0.0.1:5", "203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:5", "rubbish", "10.0.0.1"},
		{"10.0.0.1:5", "203.0.113.9, rubbish", "10.0.0.1"},
		{"[fd00::1]:5", "2001:db8::1", "2001:db8::1"},
		{"[::ffff:10.0.0.1]:5", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:5", "10.0.0.3", "10.0.0.3"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.client(r).address.String(); got != c.want {
			t.Errorf("from %s with %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	if addressKey(netip.MustParseAddr("2001:db8::1")) != addressKey(netip.MustParseAddr("2001:db8::ffff:1")) {
		t.Error("one household has many guesses")
	}
	if addressKey(netip.MustParseAddr("::ffff:192.0.2.1")) != addressKey(netip.MustParseAddr("192.0.2.1")) {
		t.Error("an address in two forms")
	}
}

func TestARateIsKept(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Agent)
	limited := 0
	for range userRate.burst + 50 {
		if a := r.do(http.MethodGet, "/api/v1/session", "", as(s)); a.StatusCode == 429 {
			limited++
			if a.Header.Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		}
	}
	if limited != 50 {
		t.Errorf("%d of 50 too many were refused", limited)
	}
	r.clock.pass(time.Minute)
	r.want(r.do(http.MethodGet, "/api/v1/session", "", as(s)), 200, "")
	l := newLimiters(r.clock.now)
	for i := range maxLimiters + 100 {
		l.allow(fmt.Sprint(i), userRate)
	}
	if len(l.m) > maxLimiters {
		t.Errorf("%d limiters", len(l.m))
	}
}

func TestAPanicInTheAPIEndsOneRequest(t *testing.T) {
	r := newRig(t).start()
	r.s.calls = nil
	a := r.do(http.MethodGet, "/api/v1/calls", "", as(r.session(Admin)))
	if a.StatusCode != 500 || a.code() != "internal" || strings.Contains(a.body, "nil pointer") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.want(r.do(http.MethodGet, "/healthz", ""), 200, "")
}

func TestErrorsOfTheStoreAreNotTold(t *testing.T) {
	r := newRig(t).start()
	s := r.session(Admin)
	r.m.fail = errTest
	a := r.do(http.MethodPatch, "/api/v1/me", `{"theme":"dark"}`, as(s))
	if a.StatusCode != 500 || strings.Contains(a.body, errTest.Error()) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.m.fail = fmt.Errorf("put: %w", ErrUnavailable)
	r.want(r.do(http.MethodPatch, "/api/v1/me", `{"theme":"dark"}`, as(s)), 503, "unavailable")
	r.want(r.do(http.MethodGet, "/api/v1/calls/export", "", as(s)), 503, "unavailable") // no log, no export
}

// FuzzCallFilter sends any query string: an answer comes, and never a fault of ours.
func FuzzCallFilter(f *testing.F) {
	for _, q := range []string{"", "q=sari&sort=longest", "from=2026-01-01T00:00:00Z&to=x", "limit=-1", "after=%00", "group=missed&min_duration=99999999999999999999", "%zz", "q=" + strings.Repeat("%F0%9F%98%80", 99),
		"agent=trunk:pbx/200&team=red", "q[]=1&&&==", "after=bad"} {
		f.Add(q)
	}
	r := newRig(f)
	u, err := r.acc.Create(f.Context(), ControlSocket, NewUser{User{Login: "admin", Role: Admin}, testPassword})
	r.must(err)
	router, err := r.s.router()
	r.must(err)
	f.Fuzz(func(t *testing.T, query string) {
		req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/api/v1/calls", RawQuery: query}, Header: http.Header{}, Body: http.NoBody, Host: "x"}).
			WithContext(context.WithValue(t.Context(), principalKey, &principal{user: u}))
		w := &sink{h: http.Header{}}
		r.s.fence(router).ServeHTTP(w, req)
		if w.status >= 500 || w.status == 0 {
			t.Fatalf("%q: %d", query, w.status)
		}
	})
}

type sink struct {
	h      http.Header
	status int
}

func (s *sink) Header() http.Header { return s.h }
func (s *sink) WriteHeader(n int)   { s.status = n }
func (s *sink) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = 200
	}
	return len(b), nil
}

func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1:5", "203.0.113.9, 10.0.0.2", "https")
	f.Add("[::1]:1", ",,,", "")
	f.Add("x", "::ffff:1.2.3.4%eth0", "HTTPS")
	s := newServer(Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	f.Fuzz(func(t *testing.T, peer, forwarded, proto string) {
		c := s.client(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}, "X-Forwarded-Proto": {proto}}})
		if p, err := netip.ParseAddrPort(peer); err == nil && !s.trusted(p.Addr().Unmap()) && c.address != p.Addr().Unmap() {
			t.Fatalf("%s could say it is %s", peer, c.address)
		}
		if c.address.IsValid() {
			_ = addressKey(c.address)
		}
	})
}

func FuzzIfMatch(f *testing.F) {
	f.Add(`"1"`)
	f.Add(`W/"1"`)
	f.Add("\"\\x31\"")
	f.Fuzz(func(t *testing.T, h string) {
		if n, err := ifMatch(h); err == nil && etag(n) != h {
			t.Fatalf("%q taken for %d", h, n)
		}
	})
}

// readLines hands out the lines of a stream.
func readLines(body io.Reader) <-chan string {
	lines := make(chan string, 100)
	go func() { // ends with the body, which the test closes
		defer close(lines)
		sc := bufio.NewScanner(body)
		for sc.Scan() {
			lines <- sc.Text()
		}
	}()
	return lines
}
