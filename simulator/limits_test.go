package simulator

import (
	"fmt"
	"testing"
	"time"
)

func limitsIn(t *testing.T, body map[string]any, action string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, l := range actionOf(body, action)["limits"].([]any) {
		o := l.(map[string]any)
		out[o["time_period"].(string)] = o
	}
	return out
}

// §10.2: current_usage counts, limit_expiration_time comes only with an exhausted limit.
func TestCallPermissionsTellsTheQuotaOfRequests(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	p.meta.Clock().Set(noon)
	for i, want := range []struct {
		advance   time.Duration
		day, week float64
		dayUntil  time.Duration // since noon; 0: not exhausted
		weekUntil time.Duration
		can       bool
	}{
		{0, 1, 1, day, 0, false},
		{day + time.Minute, 1, 2, 2*day + time.Minute, week, false},
	} {
		p.meta.Clock().Set(noon.Add(want.advance))
		if err := cust.SendText(testPNID, "hi"); err != nil {
			t.Fatal(err)
		}
		status, body := p.graph("POST", testPNID+"/messages", permissionRequestBody())
		wantOK(t, status, body)
		_, body = p.graph("GET", testPNID+"/call_permissions?user_wa_id=6281234567890", nil)
		l := limitsIn(t, body, "send_call_permission_request")
		if l["PT24H"]["current_usage"] != want.day || l["P7D"]["current_usage"] != want.week || l["PT24H"]["max_allowed"] != 1.0 || l["P7D"]["max_allowed"] != 2.0 {
			t.Errorf("request %d: %v", i+1, l)
		}
		near(t, fmt.Sprintf("request %d, day", i+1), l["PT24H"]["limit_expiration_time"], want.dayUntil)
		near(t, fmt.Sprintf("request %d, week", i+1), l["P7D"]["limit_expiration_time"], want.weekUntil)
		if actionOf(body, "send_call_permission_request")["can_perform_action"] != want.can {
			t.Errorf("request %d: %v", i+1, body)
		}
	}
	p.meta.Clock().Set(noon.Add(3 * day))
	if err := cust.SendText(testPNID, "hi"); err != nil {
		t.Fatal(err)
	}
	if _, body := p.graph("POST", testPNID+"/messages", permissionRequestBody()); errCode(body) != 138009 {
		t.Errorf("the third in a week: %v", body)
	}
}

// near compares a time of Meta's, which ran on a little since the clock was set.
func near(t *testing.T, what string, got any, want time.Duration) {
	t.Helper()
	seconds, ok := got.(float64)
	if ok != (want != 0) {
		t.Errorf("%s: %v", what, got)
		return
	}
	if off := time.Unix(int64(seconds), 0).Sub(noon.Add(want)); ok && (off < -time.Second || off > time.Minute) {
		t.Errorf("%s: off by %s", what, off)
	}
}

func TestAConnectedCallInEitherDirectionResetsTheRequestQuota(t *testing.T) {
	t.Parallel()
	for _, outbound := range []bool{true, false} {
		p := &permission{limits: limitsOf(false), kind: PermissionTemporary, expires: noon.Add(100 * day)}
		for i := range 2 {
			if e := p.request("x", noon.Add(time.Duration(i)*day)); e != nil {
				t.Fatal(e)
			}
		}
		at := noon.Add(2 * day)
		if got := codeOf(p.request("x", at)); got != 138009 {
			t.Fatalf("third request: %d", got)
		}
		p.connect(outbound, at)
		if e := p.request("x", at); e != nil {
			t.Errorf("outbound=%v: %v", outbound, e)
		}
	}
}

func TestLimitsOfTheNumber(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.MaxAttempts, c.MaxConcurrent, c.PermissionQPS = 2, 1, 2 })
	for i := range 3 {
		if _, err := p.meta.Customer(CustomerConfig{Phone: fmt.Sprintf("62812000000%d", i), Permission: PermissionPermanent, Behaviour: Behaviour{React: ReactManual}}); err != nil {
			t.Fatal(err)
		}
	}
	first := connectOut(t, p, "+628120000000")
	if status, body := connectTry(t, p, "+628120000001"); status != 429 || errCode(body) != 138002 {
		t.Errorf("a second call at a time: %d %v", status, body)
	}
	status, body := p.action(first, "terminate", "")
	wantOK(t, status, body)
	second := connectOut(t, p, "+628120000001")
	status, body = p.action(second, "terminate", "")
	wantOK(t, status, body)
	if status, body := connectTry(t, p, "+628120000002"); status != 429 || errCode(body) != 138005 {
		t.Errorf("a third attempt of the day: %d %v", status, body)
	}
	p.meta.Clock().Advance(day)
	connectOut(t, p, "+628120000002")
	limited := false
	for range 10 { // two a second, by the real clock: ten in a row can't all pass unless the machine stands still
		status, body := p.graph("GET", testPNID+"/call_permissions?user_wa_id=628120000000", nil)
		limited = limited || (status == 429 && errCode(body) == 613)
	}
	if !limited {
		t.Error("ten permission reads at once passed")
	}
}

func TestClockStepsBothWays(t *testing.T) {
	t.Parallel()
	var c Clock
	for _, want := range []time.Time{noon, noon.Add(-1000 * day), noon.Add(1000 * day)} {
		c.Set(want)
		if d := c.Now().Sub(want); d < 0 || d > time.Minute {
			t.Errorf("set to %s, off by %s", want, d)
		}
	}
	c.Advance(day)
	if d := c.Now().Sub(noon.Add(1001 * day)); d < 0 || d > time.Minute {
		t.Errorf("advanced, off by %s", d)
	}
}
