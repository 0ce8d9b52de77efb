package simulator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What a test of the product asks: how many call requests reached Meta, and which messages.
func TestRequestLogTellsKindCustomerAndResult(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) {
		c.Templates = []Template{PermissionTemplate("ask_to_call", "en", "May we call?"), CallButtonTemplate("call_us", "en", "Hello", "Call")}
	})
	cust := p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	p.meta.Clock().Advance(30 * day)
	connectTry(t, p, "+6281234567890")
	p.graph("POST", testPNID+"/messages", textMessage())
	if err := cust.SendText(testPNID, "hi"); err != nil {
		t.Fatal(err)
	}
	p.graph("POST", testPNID+"/messages", sendTemplate("ask_to_call", "en"))
	p.graph("POST", testPNID+"/messages", permissionRequestBody())
	p.graph("POST", testPNID+"/messages", sendTemplate("call_us", "en"))
	p.graph("POST", testPNID+"/messages", buttonMessage(obj{}))
	p.graph("POST", testPNID+"/messages", obj{"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.X"})
	p.graph("GET", testPNID+"/call_permissions?recipient=ID.906281234567890", nil)
	p.graph("POST", testPNID+"/settings", obj{"calling": obj{"status": "MAYBE"}})
	p.graph("GET", testWABA+"/message_templates", nil)
	p.graph("POST", testPNID+"/calls", "not an object")
	cc, err := cust.Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.wait("connect")
	p.action(cc.ID(), "reject", "")
	type row struct {
		kind, customer string
		asks           bool
		code           int
	}
	want := []row{
		{"call:connect", "6281234567890", false, 138006},
		{"message:text", "6281234567890", false, 131047},
		{"message:template", "6281234567890", true, 0},
		{"message:permission_request", "6281234567890", true, 138009},
		{"message:template", "6281234567890", false, 0},
		{"message:call_button", "6281234567890", false, 0},
		{"message:read", "", false, 0},
		{"call_permissions", "ID.906281234567890", false, 0},
		{"settings", "", false, 100},
		{"templates", "", false, 0},
		{"call:calls", "", false, 100},
		{"call:reject", "6281234567890", false, 0},
	}
	got := p.meta.Requests()
	if len(got) != len(want) {
		t.Fatalf("%d requests, want %d", len(got), len(want))
	}
	for i, r := range got {
		if (row{r.Kind, r.Customer, r.AsksPermission, r.Code}) != want[i] || r.PhoneNumberID != testPNID || r.OK() != (r.Code == 0) {
			t.Errorf("request %d: %+v, want %+v", i, r, want[i])
		}
		if d := r.Virtual.Sub(r.At); d < 30*day || d > 30*day+time.Minute {
			t.Errorf("request %d: %s between the clocks", i, d)
		}
	}
	asked := slices.DeleteFunc(p.meta.Requests("message:permission_request", "message:template"), func(r Request) bool { return !r.AsksPermission || !r.OK() })
	if len(asked) != 1 || asked[0].Template != "ask_to_call" || asked[0].MessageID != cust.Messages()[0].ID {
		t.Errorf("accepted permission requests %+v", asked)
	}
}

func TestFaultHitsAKind(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	p.meta.Fail(Match{Action: "message:permission_request"}, Fault{Status: 503})
	status, out := p.graph("POST", testPNID+"/messages", textMessage())
	wantOK(t, status, out)
	if status, _ = p.graph("POST", testPNID+"/messages", permissionRequestBody()); status != 503 {
		t.Errorf("status %d", status)
	}
	r := p.meta.Requests("message:permission_request")
	if len(r) != 1 || !r[0].Fault || r[0].OK() || !r[0].AsksPermission {
		t.Errorf("recorded %+v", r)
	}
	status, out = p.graph("POST", testPNID+"/messages", permissionRequestBody())
	wantOK(t, status, out) // the fault came before the quota
}

func TestRequestLogIsBounded(t *testing.T) {
	t.Parallel()
	m := &Meta{}
	for range maxRecorded + 10 {
		m.record(Request{Body: []byte(strings.Repeat("x", 8))})
	}
	if n := len(m.Requests()); n > maxRecorded {
		t.Errorf("%d requests kept", n)
	}
	m.record(Request{Kind: "big", Body: make([]byte, 1<<20)})
	if r := m.Requests("big"); len(r[0].Body) != maxRecordedBody {
		t.Errorf("%d bytes kept", len(r[0].Body))
	}
}
