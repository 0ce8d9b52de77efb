package simulator

import (
	"net/http"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestPermissionRequestsAreOnePerDayAndTwoPerWeek(t *testing.T) {
	t.Parallel()
	p := &permission{limits: limitsOf(false), kind: PermissionNone}
	steps := []struct {
		after time.Duration
		code  int
	}{
		{0, 0}, {23 * time.Hour, 138009}, {24 * time.Hour, 0}, {48 * time.Hour, 138009},
		{7*day - time.Minute, 138009}, {7 * day, 0},
	}
	for _, s := range steps {
		e := p.request(s.after.String(), noon.Add(s.after))
		if got := codeOf(e); got != s.code {
			t.Errorf("request after %s: code %d, want %d", s.after, got, s.code)
		}
	}
	p.connect(false, noon.Add(7*day))
	if e := p.request("later", noon.Add(7*day+time.Minute)); e != nil {
		t.Errorf("a connected inbound call resets the counters, got %v", e)
	}
}

func codeOf(e *graphError) int {
	if e == nil {
		return 0
	}
	return e.code
}

func TestPermissionTemporaryLastsSevenDays(t *testing.T) {
	t.Parallel()
	p := &permission{limits: limitsOf(false), kind: PermissionNone}
	if got := codeOf(p.start(noon)); got != 138006 {
		t.Errorf("without permission: %d", got)
	}
	p.grantTemporary(noon)
	if e := p.start(noon.Add(7*day - time.Second)); e != nil {
		t.Errorf("in the last second: %v", e)
	}
	if got := codeOf(p.start(noon.Add(7 * day))); got != 138006 {
		t.Errorf("after seven days: %d", got)
	}
	p.grantPermanent()
	if e := p.start(noon.Add(1000 * day)); e != nil {
		t.Errorf("permanent: %v", e)
	}
	if got := codeOf(p.request("again", noon)); got != 138017 {
		t.Errorf("asking although permanent: %d", got)
	}
}

func TestPermissionHundredConnectedCallsPerDay(t *testing.T) {
	t.Parallel()
	p := &permission{limits: limitsOf(false), kind: PermissionPermanent}
	for i := range 100 {
		if e := p.start(noon.Add(time.Duration(i) * time.Minute)); e != nil {
			t.Fatalf("call %d: %v", i+1, e)
		}
		p.connect(true, noon.Add(time.Duration(i)*time.Minute))
	}
	if got := codeOf(p.start(noon.Add(100 * time.Minute))); got != 138012 {
		t.Errorf("call 101: %d", got)
	}
	if e := p.start(noon.Add(day)); e != nil {
		t.Errorf("a day after the first: %v", e)
	}
	if kind, _ := p.status(noon.Add(day)); kind != PermissionPermanent {
		t.Error("the limit must not revoke")
	}
}

func TestPermissionIsRevokedByTheFourthUnanswered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		test           bool
		notice, revoke int
	}{{false, 2, 4}, {true, 5, 10}} {
		p := &permission{limits: limitsOf(c.test), kind: PermissionPermanent}
		for i := 1; i <= c.revoke; i++ {
			want := streakNothing
			switch i {
			case c.notice:
				want = streakNotice
			case c.revoke:
				want = streakRevoked
			}
			if got := p.miss(noon); got != want {
				t.Errorf("test=%v, miss %d: %v, want %v", c.test, i, got, want)
			}
		}
		if kind, _ := p.status(noon); kind != PermissionNone {
			t.Errorf("still %s", kind)
		}
	}
	p := &permission{limits: limitsOf(false), kind: PermissionPermanent}
	p.miss(noon)
	p.miss(noon)
	p.miss(noon)
	p.connect(true, noon)
	if got := p.miss(noon); got != streakNothing {
		t.Error("a connected call must reset the streak")
	}
}

func actionOf(body map[string]any, name string) map[string]any {
	list, _ := body["actions"].([]any)
	for _, a := range list {
		if o := a.(map[string]any); o["action_name"] == name {
			return o
		}
	}
	return nil
}

func TestCallPermissionsTellsStatusAndLimits(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer(func(c *CustomerConfig) { c.Permission = PermissionTemporary })
	status, body := p.graph("GET", testPNID+"/call_permissions?user_wa_id=6281234567890", nil)
	wantOK(t, status, body)
	perm := body["permission"].(map[string]any)
	if perm["status"] != "temporary" || perm["expiration_time"] == nil || actionOf(body, "start_call")["can_perform_action"] != true {
		t.Errorf("%v", body)
	}
	p.meta.Clock().Advance(8 * day)
	_, body = p.graph("GET", testPNID+"/call_permissions?recipient=ID.906281234567890", nil)
	if body["permission"].(map[string]any)["status"] != "no_permission" || actionOf(body, "start_call")["can_perform_action"] != false {
		t.Errorf("after eight days: %v", body)
	}
	if status, body = p.graph("GET", testPNID+"/call_permissions?user_wa_id=15551112222", nil); status != http.StatusOK {
		t.Errorf("a number not on WhatsApp is no error: %d %v", status, body)
	}
	if status, _ = p.graph("GET", testPNID+"/call_permissions", nil); status != http.StatusBadRequest {
		t.Errorf("without a user: %d", status)
	}
}

func permissionRequestBody() obj {
	return obj{"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+6281234567890", "type": "interactive",
		"interactive": obj{"type": "call_permission_request", "action": obj{"name": "call_permission_request"}, "body": obj{"text": "May we call?"}}}
}

func TestPermissionRequestIsAnsweredByAttitude(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		attitude Attitude
		response string
		kind     PermissionKind
	}{
		{AttitudeTemporary, "accept", PermissionTemporary},
		{AttitudePermanent, "accept", PermissionPermanent},
		{AttitudeDecline, "reject", PermissionNone},
	} {
		t.Run(string(c.attitude), func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			cust := p.customer(func(cc *CustomerConfig) { cc.Permission, cc.Attitude = PermissionNone, c.attitude })
			status, body := p.graph("POST", testPNID+"/messages", permissionRequestBody())
			wantOK(t, status, body)
			h := p.wait("interactive")
			reply := h.Call["interactive"].(map[string]any)["call_permission_reply"].(map[string]any)
			wamid := body["messages"].([]any)[0].(map[string]any)["id"]
			if h.Field != "messages" || reply["response"] != c.response || reply["response_source"] != "user_action" ||
				h.Call["context"].(map[string]any)["id"] != wamid {
				t.Errorf("reply %v", h.Call)
			}
			if (reply["expiration_timestamp"] != nil) != (c.attitude == AttitudeTemporary) {
				t.Errorf("expiration in %v", reply)
			}
			if kind, _ := cust.PermissionFor(testPNID); kind != c.kind {
				t.Errorf("permission is %s", kind)
			}
			want := 138009
			if c.kind == PermissionPermanent {
				want = 138017
			}
			if _, body = p.graph("POST", testPNID+"/messages", permissionRequestBody()); errCode(body) != want {
				t.Errorf("second request: %v", body)
			}
		})
	}
}

func TestFourUnansweredCallsRevokeAndTell(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) { c.Behaviour = Behaviour{React: ReactDecline, After: time.Millisecond} })
	for i := range 4 {
		connectOut(t, p, "+6281234567890")
		cc := <-cust.Calls()
		<-cc.Ended()
		if e := cc.End(); e.Reason != "declined" {
			t.Fatalf("call %d: %+v", i, e)
		}
	}
	h := p.wait("interactive")
	reply := h.Call["interactive"].(map[string]any)["call_permission_reply"].(map[string]any)
	if reply["response"] != "reject" || reply["response_source"] != "automatic" || h.Call["context"] != nil {
		t.Errorf("automatic revoke %v", h.Call)
	}
	if _, body := connectTry(t, p, "+6281234567890"); errCode(body) != 138006 {
		t.Errorf("call after the revoke: %v", body)
	}
}

func TestCallbackSettingGrantsTemporaryPermission(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Numbers[0].CallbackPermission = true })
	cust := p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	cc, err := cust.Call(testCtx(t), testPNID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := p.wait("interactive")
	reply := h.Call["interactive"].(map[string]any)["call_permission_reply"].(map[string]any)
	if reply["response_source"] != "automatic" || h.Call["context"].(map[string]any)["id"] != cc.ID() {
		t.Errorf("automatic grant %v", h.Call)
	}
	if kind, _ := cust.PermissionFor(testPNID); kind != PermissionTemporary {
		t.Errorf("permission is %s", kind)
	}
}

func connectTry(t *testing.T, p *product, to string) (int, map[string]any) {
	t.Helper()
	leg := newBizLeg(t, 1000)
	return p.graph("POST", testPNID+"/calls", obj{"messaging_product": "whatsapp", "to": to, "action": "connect",
		"session": obj{"sdp_type": "offer", "sdp": leg.offer()}})
}

func connectOut(t *testing.T, p *product, to string) string {
	t.Helper()
	status, body := connectTry(t, p, to)
	wantOK(t, status, body)
	return body["calls"].([]any)[0].(map[string]any)["id"].(string)
}
