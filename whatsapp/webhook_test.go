package whatsapp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
)

func TestTerminateBeforeConnectIsAMissedCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.tellTerminate("wacid.IN")
		time.Sleep(9 * time.Minute)
		r.tellConnectAt("wacid.IN", time.Now())
		if len(r.board.offers) != 1 || r.board.offers[0].Open != nil || r.board.offers[0].Missed.Reason != bridge.ReasonCancelled {
			t.Errorf("offers %+v", r.board.offers)
		}
		same(t, "graph", r.graph.actions())
		// After ten minutes the tombstone is no longer believed.
		r.tellTerminate("wacid.OLD")
		time.Sleep(11 * time.Minute)
		r.tellConnectAt("wacid.OLD", time.Now())
		if len(r.board.offers) != 2 || r.board.offers[1].Open == nil {
			t.Errorf("offers %+v", r.board.offers)
		}
	})
}

func (r *rig) tellConnectAt(id string, at time.Time) {
	r.t.Helper()
	r.tell(contacts+`"calls":[{"id":"%s","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED","timestamp":"%d","session":{"sdp_type":"offer","sdp":"meta offer"}}]`, id, at.Unix())
}

func TestAcceptedBeforeTheAnswerSDP(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, said, m := r.dial()
		r.tellStatus("wacid.OUT", "ACCEPTED", "call-out")
		same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventAnswered)
		r.tellAnswer("wacid.OUT", "call-out")
		m.h.Up()
		synctest.Wait()
		same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventAnswered, bridge.EventFormat)
		if m.did("start") != 1 || m.did("gate") != 1 {
			t.Errorf("media %v", m.log)
		}
	})
}

func TestWebhooksBeforeTheAnswerToConnect(t *testing.T) {
	for name, data := range map[string]string{"with our callback data": "call-out", "without": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.graph.answer("connect", graphAfter(time.Second, graphSays(200, `{"calls":[{"id":"wacid.OUT"}]}`)))
				leg, said, m := r.dial()
				r.tellAnswer("wacid.OUT", data)
				r.tellStatus("wacid.OUT", "RINGING", data)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventFormat, bridge.EventRinging)
				if m.did("apply meta answer") != 1 || leg.Record().CallID != "wacid.OUT" {
					t.Errorf("media %v record %+v", m.log, leg.Record())
				}
			})
		})
	}
}

func TestTenDuplicatesAreOneCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for range 10 {
			r.tellConnect("wacid.IN")
		}
		if len(r.board.offers) != 1 || r.counted("connect", "duplicate") != 9 {
			t.Errorf("%d offers, %v duplicates", len(r.board.offers), r.counted("connect", "duplicate"))
		}
		// The store may have forgotten the key: the registry of calls still knows it, also after the end.
		r.inbox.raw = map[string][]byte{}
		r.tellConnect("wacid.IN")
		r.tellTerminate("wacid.IN")
		r.inbox.raw = map[string][]byte{}
		r.tellConnect("wacid.IN")
		if len(r.board.offers) != 1 {
			t.Errorf("%d offers", len(r.board.offers))
		}
		_, said, _ := r.dial()
		for range 10 {
			r.tellStatus("wacid.OUT", "RINGING", "call-out")
			r.tellStatus("wacid.OUT", "ACCEPTED", "call-out")
		}
		same(t, "events", said.kinds(), bridge.EventNamed, bridge.EventRinging, bridge.EventAnswered)
	})
}

func TestCallerWithoutPhoneNumberRings(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.tell(`"contacts":[{"profile":{"username":"erika.m"},"user_id":"DE.7"}],"calls":[{"id":"wacid.IN","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED","timestamp":"%d","session":{"sdp_type":"offer","sdp":"x"}}]`, time.Now().Unix())
		if c := r.board.offers[0].Customer; c.BSUID != "DE.7" || c.Phone != "" || c.Username != "erika.m" || c.Alias == "" {
			t.Errorf("customer %+v", c)
		}
		said := &said{}
		if _, err := r.line.Dial(t.Context(), bridge.Invite{Call: "c", Customer: bridge.Customer{BSUID: "DE.7"}}, said.notify); err != nil {
			t.Fatal(err)
		}
	})
}

func TestMissingContactsAndAFailingDirectoryStillRing(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.dir.err = errors.New("disk full")
		r.tell(`"calls":[{"id":"wacid.IN","from":"4915112345678","event":"connect","timestamp":"%d","session":{"sdp_type":"offer","sdp":"x"}}]`, time.Now().Unix())
		if o := r.board.offers[0]; o.Open == nil || o.Customer.Phone != "4915112345678" {
			t.Errorf("offer %+v", o)
		}
	})
}

func TestStaleConnectIsMissedNotRung(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.tellConnectAt("wacid.59", time.Now().Add(-59*time.Second))
		r.tellConnectAt("wacid.61", time.Now().Add(-61*time.Second))
		if o := r.board.offers; len(o) != 2 || o[0].Open == nil || o[1].Open != nil || o[1].Missed.Reason != bridge.ReasonStale {
			t.Errorf("offers %+v", o)
		}
	})
}

// What was acknowledged before a crash is worked off after it, and what rang then no longer does.
func TestStoredEventsSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		connect := func(id string) string {
			return fmt.Sprintf(`{"entry":[{"id":"900","changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"%s"},"calls":[{"id":"%s","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED","timestamp":"%d","session":{"sdp_type":"offer","sdp":"x"}}]}}]}]}`, testNumber, id, time.Now().Unix())
		}
		if code := r.post(connect("wacid.OLD")); code != 200 || r.inbox.pending() != 1 {
			t.Fatalf("webhook %d, %d pending", code, r.inbox.pending())
		}
		time.Sleep(2 * time.Minute)
		r.post(connect("wacid.NEW"))
		again := newRig(t) // the next process: same store, nothing in memory
		again.web.inbox = r.inbox
		again.web.Start(t.Context())
		synctest.Wait()
		o := again.board.offers
		if len(o) != 2 || o[0].Missed.Reason != bridge.ReasonStale || o[1].Open == nil || r.inbox.pending() != 0 {
			t.Errorf("offers %+v, %d pending", o, r.inbox.pending())
		}
		if err := errors.Join(again.web.Stop(t.Context()), again.hub.Stop(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestMoreEventsThanTheQueueHoldsAreReadBackFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var items []string
		for i := range 1000 {
			items = append(items, fmt.Sprintf(`{"id":"wacid.%d","event":"terminate"}`, i))
		}
		for k := range 2 {
			body := strings.ReplaceAll(strings.Join(items, ","), "wacid.", fmt.Sprintf("wacid.%d-", k))
			if code := r.post(`{"entry":[{"changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"` + testNumber + `"},"calls":[` + body + `]}}]}]}`); code != 200 {
				t.Fatal(code)
			}
		}
		r.web.Start(t.Context())
		synctest.Wait()
		if n := r.inbox.pending(); n != 0 {
			t.Errorf("%d events are left", n)
		}
		if n := len(r.hub.calls.strays); n > maxStrays {
			t.Errorf("%d strays are kept", n)
		}
		if err := errors.Join(r.web.Stop(t.Context()), r.hub.Stop(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestTerminateWhileTheSwitchboardOpensTheLegIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		// A terminate that is delivered between admission and opening becomes a stray and is given to the leg.
		ev := &graph.Event{Kind: graph.KindTerminate, ID: "wacid.IN", Call: &graph.Call{}}
		r.board.onOffer = func() {
			r.hub.calls.mu.Lock()
			delete(r.hub.calls.seen, "wacid.IN")
			r.hub.calls.homeless(ev)
			r.hub.calls.mu.Unlock()
		}
		r.tellConnect("wacid.IN")
		if c := r.board.said[0].ended(t); c.Reason != bridge.ReasonCancelled {
			t.Errorf("cause %v", c)
		}
	})
}

func TestAnswersOfTheListener(t *testing.T) {
	const good = `{"entry":[{"changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"` + testNumber + `"},"calls":[{"id":"wacid.A","event":"terminate"}]}}]}]}`
	unknownLine := strings.Replace(good, testNumber, "1", 1)
	for name, c := range map[string]struct {
		method, target, body, secret, result string
		want                                 int
	}{
		"event":                {"POST", WebhookPath, good, testSecret, "stored", 200},
		"unknown number":       {"POST", WebhookPath, unknownLine, testSecret, "stored", 200},
		"unknown field":        {"POST", WebhookPath, `{"entry":[{"changes":[{"field":"weather","value":{}}]}]}`, testSecret, "stored", 200},
		"another's account":    {"POST", WebhookPath, `{"entry":[{"changes":[{"field":"account_update","value":{"phone_number":"1999"}}]}]}`, testSecret, "stored", 200},
		"bad signature":        {"POST", WebhookPath, good, "other-secret", "bad_signature", 401},
		"malformed":            {"POST", WebhookPath, `{"entry":`, testSecret, "malformed", 400},
		"too deep":             {"POST", WebhookPath, `{"entry":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, testSecret, "malformed", 400},
		"too large":            {"POST", WebhookPath, strings.Repeat(" ", maxBody+1), testSecret, "too_large", 413},
		"other path":           {"POST", "/", good, testSecret, "not_found", 404},
		"path below":           {"GET", WebhookPath + "/x", "", "", "not_found", 404},
		"other method":         {"PUT", WebhookPath, good, testSecret, "method", 405},
		"handshake":            {"GET", WebhookPath + "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=" + testToken, "", "", "handshake", 200},
		"handshake, bad token": {"GET", WebhookPath + "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x", "", "", "handshake_refused", 403},
		"handshake, no token":  {"GET", WebhookPath + "?hub.mode=subscribe&hub.challenge=1", "", "", "handshake_refused", 403},
		"handshake, bad mode":  {"GET", WebhookPath + "?hub.mode=x&hub.challenge=1&hub.verify_token=" + testToken, "", "", "handshake_refused", 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			req := httptest.NewRequest(c.method, c.target, strings.NewReader(c.body))
			req.Header.Set(graph.SignatureHeader, sign(c.secret, []byte(c.body)))
			rec := httptest.NewRecorder()
			r.web.ServeHTTP(rec, req)
			if rec.Code != c.want || testutil.ToFloat64(r.hub.metrics.results.WithLabelValues(c.result)) != 1 {
				t.Errorf("answered %d, counted as %q %v times", rec.Code, c.result, testutil.ToFloat64(r.hub.metrics.results.WithLabelValues(c.result)))
			}
			if name == "handshake" && (rec.Body.String() != "1158201444" || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/plain")) {
				t.Errorf("handshake answered %q as %q", rec.Body, rec.Header().Get("Content-Type"))
			}
			if stored := r.inbox.pending(); (stored == 1) != (name == "event") {
				t.Errorf("%d events stored", stored)
			}
		})
	}
}

func TestChunkedBodyBeyondTheLimitIsRefused(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequest(http.MethodPost, WebhookPath, strings.NewReader(strings.Repeat(" ", maxBody+1)))
	req.ContentLength = -1
	rec := httptest.NewRecorder()
	if r.web.ServeHTTP(rec, req); rec.Code != 413 {
		t.Errorf("answered %d", rec.Code)
	}
}

func TestStoreThatRefusesIsNotAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.inbox.refuse = errors.New("disk full")
		body := `{"entry":[{"changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"` + testNumber + `"},"calls":[{"id":"wacid.A","event":"terminate"}]}}]}]}`
		if code := r.post(body); code != 503 {
			t.Errorf("answered %d", code)
		}
		r.inbox.refuse = nil
		if code := r.post(body); code != 200 {
			t.Errorf("answered %d", code)
		}
	})
}

func TestNoMoreThan64RequestsAtOnce(t *testing.T) {
	r := newRig(t)
	for range maxInFlight {
		if !r.web.enter() {
			t.Fatal("refused too early")
		}
	}
	if code := r.post(`{}`); code != 503 {
		t.Errorf("the 65th is answered %d", code)
	}
	r.web.inFlight.Add(-1)
	if code := r.post(`{}`); code != 200 {
		t.Errorf("with a free place it is answered %d", code)
	}
	if n := r.web.inFlight.Load(); n != maxInFlight-1 {
		t.Errorf("%d places are taken", n)
	}
}

func TestLargeBodiesTakeNoMoreMemoryThanTheyMay(t *testing.T) {
	r := newRig(t)
	r.web.bodies.Add(maxBodies - smallBody)
	large := `{"entry":[]}` + strings.Repeat(" ", smallBody)
	if code := r.post(large); code != 503 {
		t.Errorf("a large body beyond the memory is answered %d", code)
	}
	if code := r.post(`{}`); code != 200 {
		t.Errorf("a small one is answered %d", code)
	}
	r.web.bodies.Add(-2 * smallBody)
	if code := r.post(large); code != 200 {
		t.Errorf("a large body with memory free is answered %d", code)
	}
	if n := r.web.bodies.Load(); n != maxBodies-3*smallBody {
		t.Errorf("%d bytes are reserved", n)
	}
}

// Slow senders keep nobody else out: neither with many small bodies nor with a few large ones.
func TestSlowBodiesKeepNobodyOut(t *testing.T) {
	r := newRig(t)
	for _, size := range []int64{100, maxBody} {
		for range 2 * maxInFlight {
			body, feed := io.Pipe()
			req := httptest.NewRequest(http.MethodPost, WebhookPath, body)
			req.ContentLength = size
			done := make(chan struct{})
			go func() { defer close(done); r.web.ServeHTTP(httptest.NewRecorder(), req) }()
			t.Cleanup(func() { _ = feed.Close(); <-done })
			if size == 100 {
				_, _ = feed.Write([]byte("{")) // returns when it is being read
			}
		}
	}
	if code := r.post(`{}`); code != 200 {
		t.Errorf("answered %d", code)
	}
}

func TestAnotherAppsSignatureDoesNotSpeakForThisLine(t *testing.T) {
	r := newRig(t)
	other, err := NewLine(LineConfig{ID: "other", PhoneNumberID: "2", AppSecret: graph.NewSecret("other-secret"), VerifyToken: graph.NewSecret("v"), Graph: r.line.graph, Hub: r.hub})
	if err != nil {
		t.Fatal(err)
	}
	r.web.SetLines(r.line, other)
	body := `{"entry":[{"changes":[{"field":"calls","value":{"metadata":{"phone_number_id":"` + testNumber + `"},"calls":[{"id":"wacid.A","event":"terminate"}]}}]}]}`
	req := httptest.NewRequest(http.MethodPost, WebhookPath, strings.NewReader(body))
	req.Header.Set(graph.SignatureHeader, sign("other-secret", []byte(body)))
	rec := httptest.NewRecorder()
	if r.web.ServeHTTP(rec, req); rec.Code != 200 || r.inbox.pending() != 0 || r.counted("terminate", "unknown_line") != 1 {
		t.Errorf("answered %d, %d stored", rec.Code, r.inbox.pending())
	}
}

func TestReplacingTheLinesKeepsTheirCalls(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, said, _ := r.incoming("wacid.IN")
		same2, err := NewLine(LineConfig{ID: "main", PhoneNumberID: testNumber, AppSecret: graph.NewSecret(testSecret), VerifyToken: graph.NewSecret("v"), Graph: r.line.graph, Hub: r.hub})
		if err != nil {
			t.Fatal(err)
		}
		r.web.SetLines(same2)
		r.tellTerminate("wacid.IN")
		if c := said.ended(t); c.Reason != bridge.ReasonCancelled {
			t.Errorf("cause %v", c)
		}
	})
}

func TestCallsFoundOpenAfterACrashAreEnded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		if err := r.line.Terminate(t.Context(), "wacid.OPEN"); err != nil {
			t.Fatal(err)
		}
		r.tellTerminate("wacid.OPEN")
		r.line.Disown("call-before-crash")
		r.tellAnswer("wacid.UNNAMED", "call-before-crash")
		same(t, "graph", r.graph.actions(), "terminate", "terminate")
		if r.graph.calls[1].id != "wacid.UNNAMED" || r.counted("terminate", "late") != 1 {
			t.Errorf("%+v", r.graph.calls)
		}
	})
}

func TestPermissionIsMetasAnswerAndUnknownWithoutOne(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		c := bridge.Customer{Phone: "4915112345678"}
		r.graph.answer("", graphSays(200, `{"permission":{"status":"temporary","expiration_time":1791021600},"actions":[{"action_name":"start_call","can_perform_action":true}]}`))
		f, err := r.line.Live(t.Context(), c)
		if err != nil || f.Permission != policy.PermissionTemporary || !f.CanStart || f.Expires.Unix() != 1791021600 || f.At.IsZero() {
			t.Errorf("%+v %v", f, err)
		}
		// The customer's reply makes the cached answer worthless.
		r.graph.answer("", graphSays(200, `{"permission":{"status":"no_permission"},"actions":[{"action_name":"start_call","can_perform_action":false}]}`))
		body := `{"entry":[{"changes":[{"field":"messages","value":{"metadata":{"phone_number_id":"` + testNumber + `"},"messages":[{"id":"wamid.A","from":"4915112345678","interactive":{"type":"call_permission_reply","call_permission_reply":{"response":"reject"}}}]}}]}]}`
		if code := r.post(body); code != 200 {
			t.Fatal(code)
		}
		synctest.Wait()
		if f, err = r.line.Live(t.Context(), c); err != nil || f.Permission != policy.PermissionNone || f.CanStart {
			t.Errorf("after the reply: %+v %v", f, err)
		}
		time.Sleep(time.Minute)
		for name, fault := range map[string]func(*http.Request) (*http.Response, error){"hang": graphHangs, "token": graphRefuses(190), "garbage": graphSays(200, "{")} {
			r.graph.answer("", fault)
			begin := time.Now()
			f, err = r.line.Live(t.Context(), c)
			cause := &bridge.CauseError{}
			if !errors.As(err, &cause) || cause.Cause.Reason != bridge.ReasonUpstream || f.Permission != policy.PermissionUnknown || time.Since(begin) > 5*time.Second {
				t.Errorf("%s: %+v %v after %v", name, f, err, time.Since(begin))
			}
		}
	})
}
