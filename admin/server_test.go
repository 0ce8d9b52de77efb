package admin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, ready func() error) *Server {
	t.Helper()
	r := newRig(t)
	r.m.ready = ready
	r.s.Start()
	return r.s
}

func do(t *testing.T, s *Server, method, path string) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestProbesTellAliveAndReady(t *testing.T) {
	t.Parallel()
	why := errors.New("the store is full")
	s := start(t, func() error { return why })
	if code, _ := do(t, s, http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz while not ready: %d", code)
	}
	if code, body := do(t, s, http.MethodGet, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the store is full") {
		t.Errorf("readyz while not ready: %d %s", code, body)
	}
	ready := start(t, func() error { return nil })
	if code, body := do(t, ready, http.MethodGet, "/readyz"); code != http.StatusOK || !strings.Contains(body, "ready") {
		t.Errorf("readyz: %d %s", code, body)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	t.Parallel()
	s := start(t, func() error { return nil })
	for _, r := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/", 200}, {http.MethodGet, "/index.html", 404}, {http.MethodGet, "/api/v1", 404}, {http.MethodGet, "/docs", 404}, {http.MethodGet, "/schemas/User.json", 404}, {http.MethodGet, "/metrics", 404},
		{http.MethodPost, "/webhook/meta", 404}, {http.MethodPost, "/healthz", 405}, {http.MethodGet, "/healthz/../readyz/x", 404},
		{http.MethodGet, "/../../../../etc/passwd", 404}, {http.MethodGet, "/%2e%2e/%2e%2e/etc/passwd", 404}, {http.MethodGet, "/api/v1/calls/..%2f..%2fsettings", 404},
		{http.MethodGet, "//evil.example/", 404}, {http.MethodGet, "/api/v1/session/", 404},
	} {
		if code, _ := do(t, s, r.method, r.path); code != r.want {
			t.Errorf("%s %s: %d, want %d", r.method, r.path, code, r.want)
		}
	}
}

func TestPanicEndsOneRequestOnly(t *testing.T) {
	t.Parallel()
	s := start(t, func() error { panic("a bug") })
	if code, body := do(t, s, http.MethodGet, "/readyz"); code != http.StatusInternalServerError || strings.Contains(body, "a bug") {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ := do(t, s, http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("after the panic: %d", code)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func() error { return nil })
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		_ = res.Body.Close()
		if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answered %d", res.StatusCode)
		}
	}
}

func TestConnectionsBeyondTheLimitAreClosedAndSlotsComeBack(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limited := newLimitListener(l, 1, 9, func(netip.Addr) bool { return false })
	accepted := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := limited.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		return c
	}
	first := dial()
	held := <-accepted
	second := dial()
	var timeout net.Error
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the second connection was not closed: %v", err)
	}
	_ = held.Close()
	_ = held.Close() // the slot comes back once
	third := dial()
	(<-accepted).Close()
	for _, c := range []net.Conn{first, second, third} {
		_ = c.Close()
	}
	_ = l.Close()
	<-done
}

func TestAddressInUseIsAnErrorThatNamesTheListener(t *testing.T) {
	t.Parallel()
	s := start(t, func() error { return nil })
	_, err := New(Options{Listen: s.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "admin listener") {
		t.Errorf("got %v", err)
	}
}

func TestServerThatNeverStartedStops(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("the port is still open")
	}
}
