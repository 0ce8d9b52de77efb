package simulator

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestGraphRefusesWhatMetaRefuses(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer()
	leg := newBizLeg(t, 1000)
	offer := leg.offer()
	connect := func(change func(obj)) obj {
		b := obj{"messaging_product": "whatsapp", "to": "+6281234567890", "action": "connect", "session": obj{"sdp_type": "offer", "sdp": offer}}
		change(b)
		return b
	}
	cases := []struct {
		name   string
		path   string
		body   obj
		status int
		code   int
	}{
		{"no product", "/calls", connect(func(b obj) { delete(b, "messaging_product") }), 400, 100},
		{"wrong type", "/calls", connect(func(b obj) { b["to"] = 62 }), 400, 100},
		{"no recipient", "/calls", connect(func(b obj) { delete(b, "to") }), 400, 100},
		{"no session", "/calls", connect(func(b obj) { delete(b, "session") }), 400, 100},
		{"answer for offer", "/calls", connect(func(b obj) { b["session"].(obj)["sdp_type"] = "answer" }), 400, 100},
		{"unknown action", "/calls", connect(func(b obj) { b["action"] = "hold" }), 400, 100},
		{"opaque too long", "/calls", connect(func(b obj) { b["biz_opaque_callback_data"] = strings.Repeat("x", 513) }), 400, 100},
		{"not on WhatsApp", "/calls", connect(func(b obj) { b["to"] = "+15551112222" }), 400, 138001},
		{"several fingerprints", "/calls", connect(func(b obj) {
			b["session"] = obj{"sdp_type": "offer", "sdp": offer + "a=fingerprint:" + testFingerprint + "\r\n"}
		}), 400, 138008},
		{"unknown call", "/calls", obj{"messaging_product": "whatsapp", "call_id": "wacid.X", "action": "accept", "session": obj{"sdp_type": "answer", "sdp": offer}}, 400, 100},
		{"recording without purpose", "/calls", connect(func(b obj) { b["recording"] = obj{"status": "ENABLED"} }), 400, 100},
		{"unknown edge", "/hold", obj{}, 400, 100},
		{"no text", "/messages", obj{"messaging_product": "whatsapp", "to": "+6281234567890", "type": "text"}, 400, 100},
		{"unknown message type", "/messages", obj{"messaging_product": "whatsapp", "to": "+6281234567890", "type": "hologram"}, 400, 131051},
	}
	for _, c := range cases {
		if status, body := p.graph("POST", testPNID+c.path, c.body); status != c.status || errCode(body) != c.code {
			t.Errorf("%s: %d %v, want %d with code %d", c.name, status, body, c.status, c.code)
		}
	}
	if status, body := p.graph("GET", "999/settings", nil); status != 400 || errCode(body) != 100 {
		t.Errorf("unknown number: %d %v", status, body)
	}
	reqs := p.meta.Requests("connect")
	if len(reqs) == 0 || reqs[0].Code != 100 || len(reqs[0].Body) == 0 {
		t.Errorf("requests are not recorded: %+v", reqs)
	}
}

func TestNumberConditionsRefuseConnect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Number)
		status int
		code   int
	}{
		{"calling off", func(n *Number) { n.Disabled = true }, 401, 138000},
		{"country", func(n *Number) { n.OutboundBarred = true }, 400, 138013},
		{"payment", func(n *Number) { n.NoPayment = true }, 400, 131044},
		{"SIP mode", func(n *Number) { n.SIPMode = true }, 400, 131055},
		{"test number", func(n *Number) { n.Test = true }, 400, 131030},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t, func(cfg *MetaConfig) { c.change(&cfg.Numbers[0]) })
			p.customer()
			if status, body := connectTry(t, p, "+6281234567890"); status != c.status || errCode(body) != c.code {
				t.Errorf("%d %v", status, body)
			}
		})
	}
	p := newProduct(t)
	p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	if status, body := connectTry(t, p, "+6281234567890"); status != 401 || errCode(body) != 138006 {
		t.Errorf("no permission: %d %v", status, body)
	}
	p.meta.Restrict(testPNID, RestrictBusinessCalls, p.meta.Clock().Now().Add(time.Hour))
	if status, body := connectTry(t, p, "+6281234567890"); status != 400 || errCode(body) != 138014 {
		t.Errorf("restricted: %d %v", status, body)
	}
	p.waitFor(func(h hook) bool { return h.Field == "account_update" })
}

func TestSecondCallWithTheSameUserIsRefused(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) { c.Behaviour.React = ReactManual })
	id := connectOut(t, p, "+6281234567890")
	if _, body := connectTry(t, p, "+6281234567890"); errCode(body) != 138003 {
		t.Errorf("second connect: %v", body)
	}
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{}); err == nil {
		t.Error("the customer can call while being called")
	}
	status, body := p.action(id, "terminate", "")
	wantOK(t, status, body)
	connectOut(t, p, "+6281234567890")
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.meta.ExpireToken(testPNID)
	if status, body := p.graph("GET", testPNID+"/settings", nil); status != 401 || errCode(body) != 190 {
		t.Errorf("expired: %d %v", status, body)
	}
	_, body := p.graph("GET", "debug_token?input_token="+testToken, nil)
	if body["data"].(map[string]any)["is_valid"] != false {
		t.Errorf("debug_token %v", body)
	}
	p.meta.RestoreToken(testPNID)
	status, body := p.graph("GET", testPNID+"?fields=display_phone_number,health_status", nil)
	wantOK(t, status, body)
	if status, body = p.graph("GET", testPNID+"?fields=shoe_size", nil); status != 400 || errCode(body) != 100 {
		t.Errorf("unknown field: %d %v", status, body)
	}
	q := newProduct(t, func(c *MetaConfig) { c.Numbers[0].Scopes = []string{scopeMessaging} })
	if status, body := q.graph("GET", testPNID+"/settings", nil); status != 403 || errCode(body) != 200 {
		t.Errorf("scope: %d %v", status, body)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	path := testPNID + "/call_permissions?user_wa_id=1"
	p.meta.Fail(Match{Action: "call_permissions", Count: 2}, Fault{Status: 503})
	for _, want := range []int{503, 503, 200} {
		if status, _ := p.graph("GET", path, nil); status != want {
			t.Errorf("status %d, want %d", status, want)
		}
	}
	p.meta.Fail(Match{}, Fault{Status: 429, RetryAfter: 3 * time.Second})
	if status, body := p.graph("GET", path, nil); status != 429 || errCode(body) != 80007 {
		t.Errorf("%d %v", status, body)
	}
	p.meta.Fail(Match{}, Fault{Garbage: true})
	if status, body := p.graph("GET", path, nil); status != 200 || body["raw"] == nil {
		t.Errorf("garbage: %d %v", status, body)
	}
	p.meta.Fail(Match{}, Fault{Drop: true})
	if _, _, err := p.try("POST", path, obj{}); err == nil {
		t.Error("a dropped request was answered")
	}
	p.meta.Fail(Match{}, Fault{Delay: 120 * time.Millisecond})
	start := time.Now()
	if status, _ := p.graph("GET", path, nil); status != 200 || time.Since(start) < 100*time.Millisecond {
		t.Errorf("slow: %d after %s", status, time.Since(start))
	}
	p.meta.Fail(Match{}, Fault{Hang: true})
	hc := &http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := hc.Get(p.meta.URL() + "/v25.0/" + path)
	if err == nil {
		_ = resp.Body.Close()
		t.Error("a hanging request was answered")
	}
}

func TestConnectCanTakeEffectAlthoughTheClientSawATimeout(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer()
	p.meta.Fail(Match{Action: "connect"}, Fault{Drop: true, AfterProcessing: true})
	leg := newBizLeg(t, 1000)
	_, _, err := p.try("POST", testPNID+"/calls", obj{"messaging_product": "whatsapp", "to": "+6281234567890", "action": "connect",
		"session": obj{"sdp_type": "offer", "sdp": leg.offer()}, "biz_opaque_callback_data": "call-9"})
	if err == nil {
		t.Fatal("answered")
	}
	if h := p.wait("connect"); h.Call["biz_opaque_callback_data"] != "call-9" {
		t.Errorf("connect %v", h.Call)
	}
}

func TestOutboundWebhooksCanOvertake(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Delivery = Delivery{AcceptedFirst: true} })
	p.customer()
	connectOut(t, p, "+6281234567890")
	p.wait("connect")
	if got := strings.Join(p.order(), " "); got != "RINGING ACCEPTED connect" {
		t.Errorf("order %s", got)
	}
	q := newProduct(t, func(c *MetaConfig) { c.Delivery = Delivery{ConnectFirst: true} })
	q.customer()
	connectOut(t, q, "+6281234567890")
	if !contains(q.order(), "connect") {
		t.Error("the HTTP answer came before the connect webhook")
	}
}

func TestOutboundEndings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*CustomerConfig)
		order  string
		reason string
	}{
		{"declined", func(c *CustomerConfig) { c.Behaviour = Behaviour{React: ReactDecline, After: time.Millisecond} },
			"connect RINGING REJECTED terminate", "declined"},
		{"no answer", func(c *CustomerConfig) { c.Behaviour.React = ReactIgnore }, "connect RINGING terminate", "no_answer"},
		{"offline", func(c *CustomerConfig) { c.Offline = true }, "connect terminate", "no_answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t, func(cfg *MetaConfig) { cfg.Timing.NoAnswer = 200 * time.Millisecond })
			cust := p.customer(c.change)
			connectOut(t, p, "+6281234567890")
			term := p.wait("terminate")
			if got := strings.Join(p.order(), " "); got != c.order {
				t.Errorf("order %s", got)
			}
			if term.Call["status"] != "COMPLETED" || term.Call["start_time"] != nil || term.Call["duration"] != nil {
				t.Errorf("terminate %v", term.Call)
			}
			if e := (<-cust.Calls()).End(); e.Reason != c.reason || e.Answered {
				t.Errorf("end %+v", e)
			}
		})
	}
}

func TestInboundEndings(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(cfg *MetaConfig) { cfg.Timing.AnswerDeadline = 100 * time.Millisecond })
	cust := p.customer()
	cc, err := cust.Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.wait("terminate")
	if e := cc.End(); e.Reason != "no_answer" || e.By != ByNetwork {
		t.Errorf("deadline: %+v", e)
	}
	cc, err = cust.Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cc.WaitState(testCtx(t), StateRinging); err != nil {
		t.Fatal(err)
	}
	status, body := p.action(cc.ID(), "reject", "")
	wantOK(t, status, body)
	if e := cc.End(); e.Reason != "reject" || e.By != ByBusiness {
		t.Errorf("reject: %+v", e)
	}
	if status, body = p.action(cc.ID(), "reject", ""); status != 400 || errCode(body) != 100 {
		t.Errorf("reject again: %d %v", status, body)
	}
}

func TestAcceptWantsThePreAcceptSDP(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cc, err := p.customer().Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sdp := newBizLeg(t, 1000).answer(sessionSDP(p.wait("connect")))
	for range 2 { // the same SDP may come again
		status, body := p.action(cc.ID(), "pre_accept", sdp)
		wantOK(t, status, body)
	}
	if status, body := p.action(cc.ID(), "accept", strings.Replace(sdp, "o=- ", "o=- 1", 1)); status != 400 || errCode(body) != 138008 {
		t.Errorf("another SDP: %d %v", status, body)
	}
	status, body := p.action(cc.ID(), "accept", sdp)
	wantOK(t, status, body)
}

func TestSettingsAreValidatedAndReplaced(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	hours := func(weekly ...any) obj {
		return obj{"call_hours": obj{"status": "ENABLED", "timezone_id": "Asia/Jakarta", "weekly_operating_hours": weekly,
			"holiday_schedule": []any{obj{"date": "2099-12-25", "start_time": "0000", "end_time": "2359"}}}}
	}
	win := func(day, open, end string) obj { return obj{"day_of_week": day, "open_time": open, "close_time": end} }
	for name, calling := range map[string]obj{
		"bad status":       {"status": "MAYBE"},
		"unknown field":    {"colour": "red"},
		"bad codec":        {"audio": obj{"additional_codecs": []any{"G722"}}},
		"empty week":       hours(),
		"closes first":     hours(win("MONDAY", "1700", "0900")),
		"overlap":          hours(win("MONDAY", "0900", "1200"), win("MONDAY", "1100", "1300")),
		"three in a day":   hours(win("MONDAY", "0100", "0200"), win("MONDAY", "0300", "0400"), win("MONDAY", "0500", "0600")),
		"bad time":         hours(win("MONDAY", "9 am", "1200")),
		"bad day":          hours(win("MONTAG", "0900", "1200")),
		"bad timezone":     {"call_hours": obj{"status": "ENABLED", "timezone_id": "Mars/Olympus", "weekly_operating_hours": []any{win("MONDAY", "0900", "1200")}}},
		"past holiday":     {"call_hours": obj{"status": "ENABLED", "timezone_id": "UTC", "weekly_operating_hours": []any{win("MONDAY", "0900", "1200")}, "holiday_schedule": []any{obj{"date": "2020-01-01", "start_time": "0000", "end_time": "2359"}}}},
		"bad holiday date": {"call_hours": obj{"status": "ENABLED", "timezone_id": "UTC", "weekly_operating_hours": []any{win("MONDAY", "0900", "1200")}, "holiday_schedule": []any{obj{"date": "25.12.", "start_time": "0000", "end_time": "2359"}}}},
	} {
		if status, body := p.graph("POST", testPNID+"/settings", obj{"calling": calling}); status != 400 || errCode(body) != 100 {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	status, body := p.graph("POST", testPNID+"/settings", obj{"calling": hours(win("MONDAY", "0900", "1200"))})
	wantOK(t, status, body)
	status, body = p.graph("POST", testPNID+"/settings", obj{"calling": obj{"call_hours": obj{"status": "ENABLED", "timezone_id": "UTC",
		"weekly_operating_hours": []any{win("MONDAY", "0900", "1200")}}}})
	wantOK(t, status, body)
	_, body = p.graph("GET", testPNID+"/settings", nil)
	calling := body["calling"].(map[string]any)
	if calling["call_hours"].(map[string]any)["holiday_schedule"] != nil {
		t.Error("call_hours was merged, not replaced")
	}
	status, body = p.graph("POST", testPNID+"/settings", obj{"calling": obj{"status": "DISABLED"}})
	wantOK(t, status, body)
	h := p.waitFor(func(h hook) bool { return h.Field == "account_settings_update" })
	if h.Value["phone_number_settings"].(map[string]any)["calling"].(map[string]any)["status"] != "DISABLED" {
		t.Errorf("%v", h.Value)
	}
}

func TestMessagesNeedAnOpenWindow(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) { c.WindowClosed = true })
	text := obj{"messaging_product": "whatsapp", "to": "+6281234567890", "type": "text", "text": obj{"body": "Hello"}}
	if status, body := p.graph("POST", testPNID+"/messages", text); status != 400 || errCode(body) != 131047 {
		t.Errorf("closed window: %d %v", status, body)
	}
	if err := cust.SendText(testPNID, "hi"); err != nil {
		t.Fatal(err)
	}
	p.wait("text")
	status, body := p.graph("POST", testPNID+"/messages", text)
	wantOK(t, status, body)
	p.wait("delivered")
}
