package simulator

import (
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
