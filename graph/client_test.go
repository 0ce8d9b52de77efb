package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meta is a fake Graph: it plays answers in turn, the last one for ever, and keeps what it was asked.
type meta struct {
	mu      sync.Mutex
	answers []func(*http.Request) (*http.Response, error)
	asked   []*http.Request
	bodies  []string
	at      []time.Time
}

func (m *meta) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	m.mu.Lock()
	n := min(len(m.asked), len(m.answers)-1)
	m.asked = append(m.asked, r)
	m.bodies = append(m.bodies, string(body))
	m.at = append(m.at, time.Now())
	m.mu.Unlock()
	return m.answers[n](r)
}

func says(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func refuses(code int) string {
	return fmt.Sprintf(`{"error":{"message":"(#%d) refused","type":"OAuthException","code":%d,"error_data":{"details":"some detail"},"fbtrace_id":"A"}}`, code, code)
}

const ok = `{"messaging_product":"whatsapp","success":true}`

func client(answers ...func(*http.Request) (*http.Response, error)) (*Client, *meta) {
	m := &meta{answers: answers}
	return NewClient(ClientConfig{BaseURL: "https://graph.test/", Token: NewSecret("EAAtoken"), Transport: m, Registerer: prometheus.NewRegistry()}), m
}

func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil || !reflect.DeepEqual(g, w) {
		t.Errorf("body %s, want %s", got, want)
	}
}

func TestRequestsHaveTheContractsForm(t *testing.T) {
	c, m := client(says(200, `{"messaging_product":"whatsapp","success":true,"calls":[{"id":"wacid.A="}],"messages":[{"id":"wamid.A"}]}`))
	ctx := t.Context()
	id, err := c.Connect(ctx, "700", ConnectRequest{To: Recipient{Phone: "4915112345678", BSUID: "DE.7"}, SDP: "v=0\r\n", CallbackData: "call-1"})
	if err != nil || id != "wacid.A=" {
		t.Fatalf("connect: %q %v", id, err)
	}
	for _, err := range []error{
		c.PreAccept(ctx, "700", "wacid.B", "v=0\r\n"), c.Accept(ctx, "700", "wacid.B", "v=0\r\n"),
		c.Reject(ctx, "700", "wacid.B"), c.Terminate(ctx, "700", "wacid.B"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.SendText(ctx, "700", Recipient{BSUID: "DE.7"}, "Hello"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"messaging_product":"whatsapp","to":"+4915112345678","action":"connect","session":{"sdp_type":"offer","sdp":"v=0\r\n"},"biz_opaque_callback_data":"call-1"}`,
		`{"messaging_product":"whatsapp","call_id":"wacid.B","action":"pre_accept","session":{"sdp_type":"answer","sdp":"v=0\r\n"}}`,
		`{"messaging_product":"whatsapp","call_id":"wacid.B","action":"accept","session":{"sdp_type":"answer","sdp":"v=0\r\n"}}`,
		`{"messaging_product":"whatsapp","call_id":"wacid.B","action":"reject"}`,
		`{"messaging_product":"whatsapp","call_id":"wacid.B","action":"terminate"}`,
		`{"messaging_product":"whatsapp","recipient_type":"individual","recipient":"DE.7","type":"text","text":{"body":"Hello","preview_url":false}}`,
	} {
		sameJSON(t, m.bodies[i], want)
	}
	r := m.asked[0]
	if r.Method != "POST" || r.URL.String() != "https://graph.test/v25.0/700/calls" || r.Header.Get("Authorization") != "Bearer EAAtoken" {
		t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
	}
	if m.asked[5].URL.Path != "/v25.0/700/messages" {
		t.Errorf("text went to %s", m.asked[5].URL)
	}
}

func TestNobodyIsCalledWithoutNumberOrID(t *testing.T) {
	c, m := client(says(200, ok))
	if _, err := c.Connect(t.Context(), "700", ConnectRequest{}); !errors.Is(err, ErrRecipient) || len(m.asked) != 0 {
		t.Errorf("%v after %d requests", err, len(m.asked))
	}
}

func TestProofIsHMACOfTheTokenUnderTheAppSecret(t *testing.T) {
	m := &meta{answers: []func(*http.Request) (*http.Response, error){says(200, ok)}}
	c := NewClient(ClientConfig{Token: NewSecret("abc"), AppSecret: NewSecret("key"), Transport: m})
	if err := c.Terminate(t.Context(), "1", "w"); err != nil {
		t.Fatal(err)
	}
	// HMAC-SHA256("key", "abc"), computed with openssl.
	if got := m.asked[0].URL.Query().Get("appsecret_proof"); got != "9c196e32dc0175f86f4b1cb89289d6619de6bee699e4c378e68309ed97a1a6ab" {
		t.Errorf("proof %s", got)
	}
}

func TestErrorsAreKnownByCodeNotStatus(t *testing.T) {
	for _, c := range []struct {
		status, code int
		is           func(*Error) bool
	}{
		{401, 138006, (*Error).NoPermission}, {401, 138000, (*Error).CallingDisabled}, {400, 190, (*Error).TokenInvalid}, {200, 102, (*Error).TokenInvalid},
		{400, 138003, (*Error).Duplicate}, {400, 138001, (*Error).Uncallable}, {429, 138002, (*Error).ConcurrentLimit}, {429, 613, (*Error).RateLimited},
		{400, 138012, (*Error).ConnectedLimit}, {400, 138009, (*Error).RequestLimit}, {400, 138014, (*Error).Restricted}, {400, 131044, (*Error).Payment},
		{400, 131055, (*Error).SIPMode}, {400, 138008, (*Error).SDPInvalid}, {400, 131030, (*Error).NotAllowListed}, {403, 10, (*Error).MissingScope},
	} {
		cl, _ := client(says(c.status, refuses(c.code)))
		cl.http.Timeout = 0
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond) // no time for retries
		_, err := cl.Connect(ctx, "1", ConnectRequest{To: Recipient{Phone: "1"}})
		cancel()
		e := AsError(err)
		if e == nil || !c.is(e) || e.Code != c.code || e.Details != "some detail" {
			t.Errorf("HTTP %d code %d: %v", c.status, c.code, err)
		}
		if e != nil && c.code != 190 && c.code != 102 && e.TokenInvalid() {
			t.Errorf("code %d is taken for a token error", c.code)
		}
	}
}

func TestNextAllowedIsReadFromTheDetails(t *testing.T) {
	for details, want := range map[string]int64{
		"Next call allowed at 1790503200.": 1790503200, "Next call: 2026-09-27T10:00:00Z": 1790503200, "after 2026-09-27T10:00:00+0000": 1790503200,
		"call limit reached": -62135596800,
	} {
		if got := (&Error{Code: 138012, Details: details}).NextAllowed().Unix(); got != want {
			t.Errorf("%q: %d, want %d", details, got, want)
		}
	}
}

func TestOtherActionsAreTriedAtMostFourTimesInEightSeconds(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		most   int
	}{
		"5xx page": {says(502, "<html>"), 4}, "hang": {hangs, 4}, "garbage": {says(200, "{"), 4}, "transient": {says(500, refuses(131000)), 4},
		"refused": {says(400, refuses(138000)), 1}, "redirect": {says(302, "", "Location", "https://evil.test"), 1}, "4xx page": {says(404, "nope"), 1},
		"retry later": {says(429, refuses(4), "Retry-After", "60"), 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			cl, m := client(c.answer)
			begin := time.Now()
			err := cl.Terminate(t.Context(), "1", "wacid.A")
			if took := time.Since(begin); err == nil || len(m.asked) > c.most || took > 8*time.Second {
				t.Errorf("%s: %v after %d tries in %v", name, err, len(m.asked), took)
			}
			if c.most == 4 && len(m.asked) < 3 {
				t.Errorf("%s: only %d tries", name, len(m.asked))
			}
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, m := client(says(429, refuses(4), "Retry-After", "3"), says(200, ok))
		if err := cl.Terminate(t.Context(), "1", "wacid.A"); err != nil {
			t.Fatal(err)
		}
		if gap := m.at[1].Sub(m.at[0]); gap < 3*time.Second {
			t.Errorf("tried again after %v", gap)
		}
	})
}

func TestConnectIsNeverResentOnceItMayHaveTakenEffect(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"hang": hangs, "5xx page": says(502, "<html>"), "garbage": says(200, "{"), "no id": says(200, ok), "empty list": says(200, `{"calls":[]}`),
		"cut off": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		synctest.Test(t, func(t *testing.T) {
			cl, m := client(answer)
			begin := time.Now()
			_, err := cl.Connect(t.Context(), "1", ConnectRequest{To: Recipient{Phone: "1"}})
			if !errors.Is(err, ErrUncertain) || len(m.asked) != 1 || time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %v after %d tries in %v", name, err, len(m.asked), time.Since(begin))
			}
		})
	}
}

func TestConnectIsTriedAgainOnceWhenMetaSaysItCouldNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl, m := client(says(500, refuses(138004)))
		_, err := cl.Connect(t.Context(), "1", ConnectRequest{To: Recipient{Phone: "1"}})
		if e := AsError(err); e == nil || e.Code != 138004 || errors.Is(err, ErrUncertain) || len(m.asked) != 2 {
			t.Errorf("%v after %d tries", err, len(m.asked))
		}
	})
}

func TestConnectThatNeverLeftIsNotUncertain(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	base := srv.URL
	srv.Close() // nobody listens there any more
	c := NewClient(ClientConfig{BaseURL: base})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := c.Connect(ctx, "1", ConnectRequest{To: Recipient{Phone: "1"}}); err == nil || errors.Is(err, ErrUncertain) {
		t.Errorf("%v", err)
	}
}

func TestAcceptWhoseAnswerWasLostSucceeds(t *testing.T) {
	gone := `{"error":{"message":"Invalid parameter","code":100,"error_data":{"details":"Call is not in a valid state"}}}`
	synctest.Test(t, func(t *testing.T) {
		cl, m := client(hangs, says(400, gone))
		if err := cl.Accept(t.Context(), "1", "wacid.A", "v=0\r\n"); err != nil || m.bodies[0] != m.bodies[1] {
			t.Errorf("%v; bodies %q", err, m.bodies)
		}
		cl, _ = client(says(400, gone))
		if err := cl.Accept(t.Context(), "1", "wacid.A", "v=0\r\n"); err == nil {
			t.Error("accept of a call that is gone succeeded")
		}
		if err := cl.Terminate(t.Context(), "1", "wacid.A"); err != nil {
			t.Errorf("terminate of a call that is gone: %v", err)
		}
	})
}

func TestOversizedAnswerIsGarbage(t *testing.T) {
	c, _ := client(says(200, `{"success":true,"x":"`+strings.Repeat("a", maxAnswer)+`"}`))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Terminate(ctx, "1", "w"); !errors.Is(err, ErrAnswer) {
		t.Errorf("%v", err)
	}
}

func TestErrorsAndLogsHoldNoTokenProofOrNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := &meta{answers: []func(*http.Request) (*http.Response, error){hangs}}
		c := NewClient(ClientConfig{Token: NewSecret("EAAtoken"), AppSecret: NewSecret("appsecret"), Transport: m,
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		_, err := c.CallPermissions(t.Context(), "700", Recipient{Phone: "4915112345678"})
		_, err2 := c.Token(t.Context())
		all := fmt.Sprintf("%v %v %s %+v", err, err2, log.String(), c.token)
		for _, secret := range []string{"EAAtoken", c.proof, "4915112345678", "appsecret"} {
			if strings.Contains(all, secret) {
				t.Errorf("%q is in %s", secret, all)
			}
		}
	})
}

func TestPermissionsAreReadCachedAndForgotten(t *testing.T) {
	body := `{"messaging_product":"whatsapp","permission":{"status":"Temporary","expiration":"1791021600"},"actions":[
		{"action_name":"start_call","can_perform_action":false,"limits":[{"time_period":"PT24H","max_allowed":100,"current_usage":100,"limit_expiration_time":1790503200}]}]}`
	synctest.Test(t, func(t *testing.T) {
		c, m := client(says(200, body))
		who := Recipient{Phone: "+49 151 12345678"}
		p, err := c.CallPermissions(t.Context(), "700", who)
		if err != nil || p.Status != "temporary" || p.Expires.Unix() != 1791021600 || p.Actions[ActionStartCall].Allowed || p.NextAllowed(ActionStartCall).Unix() != 1790503200 {
			t.Fatalf("%+v %v", p, err)
		}
		if q := m.asked[0].URL.Query(); q.Get("user_wa_id") != "4915112345678" || q.Has("recipient") {
			t.Errorf("query %v", q)
		}
		ask := func(want int, why string) {
			t.Helper()
			if _, err := c.CallPermissions(t.Context(), "700", who); err != nil || len(m.asked) != want {
				t.Errorf("%s: %d requests, want %d (%v)", why, len(m.asked), want, err)
			}
		}
		ask(1, "within 30 s")
		time.Sleep(30 * time.Second)
		ask(2, "after 30 s")
		c.ForgetPermissions("700", Recipient{Phone: "4915112345678", BSUID: "DE.7"})
		ask(3, "after a reply")
		if _, err := c.FreshCallPermissions(t.Context(), "700", who); err != nil || len(m.asked) != 4 {
			t.Errorf("fresh: %d requests, %v", len(m.asked), err)
		}
	})
}

func TestPermissionsAreAskedAtMostFiveTimesASecondPerNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := client(says(200, `{"permission":{"status":"no_permission"}}`))
		for i := range 20 {
			if _, err := c.CallPermissions(t.Context(), "700", Recipient{BSUID: fmt.Sprint("DE.", i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := 10; i < 20; i++ {
			if m.at[i].Sub(m.at[i-10]) < time.Second {
				t.Fatalf("11 requests within %v", m.at[i].Sub(m.at[i-10]))
			}
		}
	})
}

func TestSettingsNumberAndTokenAreRead(t *testing.T) {
	c, m := client(says(200, `{"calling":{"status":"enabled","sip":{"status":"DISABLED"},"srtp_key_exchange_protocol":"NOT_SET","audio":{"additional_codecs":["PCMA"]},
		"restrictions":{"restrictions_list":[{"type":"RESTRICTED_BUSINESS_INITIATED_CALLING","expiration":1791021600}]}}}`),
		says(200, `{"id":700,"display_phone_number":"+1 555-010-0200","platform_type":"CLOUD_API"}`),
		says(200, `{"data":{"app_id":"100","is_valid":true,"expires_at":0,"scopes":["whatsapp_business_messaging"]}}`))
	s, err := c.Settings(t.Context(), "700")
	if err != nil || s.Status != "ENABLED" || s.SIP != "DISABLED" || s.KeyExchange != "" || len(s.ExtraCodecs) != 1 || len(s.Restrictions) != 1 || m.asked[0].Method != "GET" {
		t.Errorf("%+v %v", s, err)
	}
	n, err := c.Number(t.Context(), "700")
	if err != nil || n.ID != "700" || n.Display != "15550100200" || n.Platform != "CLOUD_API" {
		t.Errorf("%+v %v", n, err)
	}
	k, err := c.Token(t.Context())
	if err != nil || !k.Valid || !k.Expires.IsZero() || len(k.Scopes) != 1 {
		t.Errorf("%+v %v", k, err)
	}
}

func TestTwoClientsShareOneRegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		m := &meta{answers: []func(*http.Request) (*http.Response, error){says(200, ok, "X-App-Usage", `{"call_count":81,"total_time":3}`)}}
		if err := NewClient(ClientConfig{Transport: m, Registerer: reg}).Terminate(t.Context(), "1", "w"); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "deskbridge_graph_request_seconds":
			if n := f.GetMetric()[0].GetHistogram().GetSampleCount(); n != 2 {
				t.Errorf("%d requests measured, want both clients'", n)
			}
		case "deskbridge_graph_usage_percent":
			if v := f.GetMetric()[0].GetGauge().GetValue(); v != 81 {
				t.Errorf("usage %v", v)
			}
		}
	}
}
