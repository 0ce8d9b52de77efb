package simulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func (p *product) page(path string, body any, origin string) (int, map[string]any) {
	p.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", p.meta.URL()+"/browser/"+path, bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	resp, err := p.hc.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := map[string]any{}
	raw, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(raw, &out)
	return resp.StatusCode, out
}

func TestPageIsLockedDown(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	for _, path := range []string{"/", "/page/app.js", "/page/media.js", "/page/style.css", "/page/icon.svg"} {
		resp, err := p.hc.Get(p.meta.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		csp := resp.Header.Get("Content-Security-Policy")
		if resp.StatusCode != 200 || !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %d, CSP %q", path, resp.StatusCode, csp)
		}
		if path == "/" && (strings.Contains(string(body), "style=") || strings.Contains(string(body), "onclick=")) {
			t.Error("inline code in the page")
		}
	}
	if status, _ := p.page("register", obj{"name": "Eve"}, "https://evil.example"); status != http.StatusForbidden {
		t.Errorf("another origin may register: %d", status)
	}
	if status, out := p.page("call", obj{"session": "nope"}, ""); status != http.StatusGone || out["error"] == nil {
		t.Errorf("unknown session: %d %v", status, out)
	}
}

func TestTabsHaveTheirOwnIdentityAndAreBounded(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	status, out := p.page("register", obj{"name": " Sa\u202eri\n", "phone": "+62 812 0000 1111", "permission": "temporary"}, "")
	wantOK(t, status, out)
	if out["name"] != "Sari" || out["phone"] != "6281200001111" || len(out["numbers"].([]any)) != 1 {
		t.Errorf("registered as %v", out)
	}
	if status, out = p.page("register", obj{"name": "Twin", "phone": "6281200001111"}, ""); status != http.StatusConflict {
		t.Errorf("the same phone twice: %d %v", status, out)
	}
	for _, bad := range []obj{{"name": ""}, {"name": "X", "phone": "12"}} {
		if status, _ = p.page("register", bad, ""); status != http.StatusConflict {
			t.Errorf("%v: %d", bad, status)
		}
	}
	last := ""
	for i := range maxBrowsers {
		status, out = p.page("register", obj{"name": fmt.Sprint("Guest ", i)}, "")
		if status == http.StatusOK {
			last = out["session"].(string)
		}
	}
	if status != http.StatusConflict {
		t.Errorf("tab %d was let in", maxBrowsers+1)
	}
	status, out = p.page("leave", obj{"session": last}, "")
	wantOK(t, status, out)
	status, out = p.page("register", obj{"name": "Late"}, "")
	wantOK(t, status, out)
	if status, out = p.page("call", obj{"session": out["session"], "number": testPNID, "sdp": "v=0\r\n"}, ""); status != http.StatusConflict {
		t.Errorf("a call without audio: %d %v", status, out)
	}
}

// A tab that nobody answers at: the page got the offer but its person is away and the page closed.
func TestClosedTabEndsItsCall(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	_, out := p.page("register", obj{"name": "Sari", "phone": "6281200001111", "permission": "permanent"}, "")
	connectOut(t, p, "+6281200001111")
	status, body := p.page("leave", obj{"session": out["session"]}, "")
	wantOK(t, status, body)
	if term := p.wait("terminate"); term.Call["start_time"] != nil {
		t.Errorf("terminate %v", term.Call)
	}
	if _, body := connectTry(t, p, "+6281200001111"); errCode(body) != 138001 {
		t.Errorf("a closed tab can still be called: %v", body)
	}
}

// stream opens the event stream of a tab.
func (p *product) stream(session string) *bufio.Scanner {
	p.t.Helper()
	req, err := http.NewRequestWithContext(testCtx(p.t), http.MethodGet, p.meta.URL()+"/browser/events?session="+session, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.hc.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = resp.Body.Close() })
	return bufio.NewScanner(resp.Body)
}

func nextEvent(t *testing.T, s *bufio.Scanner, kind string) browserEvent {
	t.Helper()
	for s.Scan() {
		var e browserEvent
		if data, ok := strings.CutPrefix(s.Text(), "data: "); ok && json.Unmarshal([]byte(data), &e) == nil && e.Type == kind {
			return e
		}
	}
	t.Fatalf("no %s event: %v", kind, s.Err())
	return browserEvent{}
}

func TestTabGetsRequestsAndButtonsAndAnswersThem(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates = []Template{CallButtonTemplate("call_us", "en", "We are here", "Call the shop")}
	})
	_, out := p.page("register", obj{"name": "Sari", "phone": "6281234567890"}, "")
	session := out["session"].(string)
	stream := p.stream(session)
	status, body := p.graph("POST", testPNID+"/messages", permissionRequestBody())
	wantOK(t, status, body)
	asked := nextEvent(t, stream, "permission_request")
	if asked.Text != "May we call?" || asked.Number != testPNID {
		t.Errorf("request %+v", asked)
	}
	reply := func(attitude Attitude) (int, map[string]any) {
		return p.page("reply", obj{"session": session, "message": asked.Message, "attitude": attitude}, "")
	}
	if status, out = reply("shrug"); status != http.StatusConflict {
		t.Errorf("an answer nobody knows: %d %v", status, out)
	}
	status, out = reply(AttitudeTemporary)
	wantOK(t, status, out)
	if r, context := replyOf(p.replies(1)[0]); out["permission"] != "temporary" || r["response"] != "accept" || context != asked.Message {
		t.Errorf("reply %v of %v", r, context)
	}
	p.meta.Clock().Advance(week)
	if status, out = reply(AttitudePermanent); status != http.StatusConflict || !strings.Contains(out["error"].(string), "dead") {
		t.Errorf("a dead request: %d %v", status, out)
	}
	status, out = p.page("text", obj{"session": session, "number": testPNID, "text": "hello"}, "")
	wantOK(t, status, out)
	p.wait("text")
	if status, _ = p.page("text", obj{"session": session, "number": testPNID, "text": " "}, ""); status != http.StatusConflict {
		t.Errorf("an empty text: %d", status)
	}
	status, body = p.graph("POST", testPNID+"/messages", sendTemplate("call_us", "en"))
	wantOK(t, status, body)
	if e := nextEvent(t, stream, "message"); e.Button != "Call the shop" || e.Text != "We are here" {
		t.Errorf("message %+v", e)
	}
	if status, out = p.page("call", obj{"session": session, "message": "wamid.NOBODY", "sdp": ""}, ""); status != http.StatusConflict {
		t.Errorf("a button of no message: %d %v", status, out)
	}
}
