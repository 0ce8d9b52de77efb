package simulator

import (
	"testing"
	"time"
)

func accountUpdate(p *product, event string) hook {
	p.t.Helper()
	return p.waitFor(func(h hook) bool { return h.Field == "account_update" && h.Value["event"] == event })
}

func TestEarlyWarningRestrictsNothing(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer()
	for kind, remedy := range map[string]bool{ViolationBusinessCallQuality: false, ViolationUserCallQuality: false, ViolationLowPickup: true} {
		if err := p.meta.WarnViolation(testPNID, kind); err != nil {
			t.Fatal(err)
		}
		h := p.waitFor(func(h hook) bool {
			info, _ := h.Value["violation_info"].(map[string]any)
			return info["violation_type"] == kind
		})
		info := h.Value["violation_info"].(map[string]any)
		if h.Value["event"] != "ACCOUNT_VIOLATION" || h.Value["phone_number"] != "6221500100200" || h.Value["metadata"] != nil ||
			(info["remediation"] != nil) != remedy || entryOf(t, h).ID != "0" || entryOf(t, h).Time == 0 {
			t.Errorf("%s: %s", kind, h.Body)
		}
	}
	connectOut(t, p, "+6281234567890")
}

func TestBusinessRestrictionStopsCallsAndRequestsUntilItExpires(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer(func(c *CustomerConfig) { c.Permission = PermissionTemporary })
	p.meta.Restrict(testPNID, RestrictBusinessCalls, p.meta.Clock().Now().Add(3*day))
	info := accountUpdate(p, "ACCOUNT_RESTRICTION").Value["restriction_info"].([]any)[0].(map[string]any)
	if info["restriction_type"] != RestrictBusinessCalls || info["expiration"] == nil || info["remediation"] != nil {
		t.Errorf("restriction %v", info)
	}
	if _, body := connectTry(t, p, "+6281234567890"); errCode(body) != 138014 {
		t.Errorf("call: %v", body)
	}
	if _, body := p.graph("POST", testPNID+"/messages", permissionRequestBody()); errCode(body) != 138014 {
		t.Errorf("permission request: %v", body)
	}
	_, body := p.graph("GET", testPNID+"/call_permissions?user_wa_id=6281234567890", nil)
	if actionOf(body, "start_call")["can_perform_action"] != false || actionOf(body, "send_call_permission_request")["can_perform_action"] != false {
		t.Errorf("actions %v", body)
	}
	if kind, _ := cust.PermissionFor(testPNID); kind != PermissionTemporary {
		t.Error("an existing grant stays valid")
	}
	list := restrictionsIn(p.meta.SettingsOf(testPNID))
	if len(list) != 1 || list[0].(map[string]any)["type"] != RestrictBusinessCalls || list[0].(map[string]any)["expiration"] != info["expiration"] {
		t.Errorf("settings tell %v", list)
	}
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{Behaviour: &Behaviour{HangupIn: StateRinging}}); err != nil {
		t.Errorf("the customer may still call: %v", err)
	}
	p.wait("terminate")
	p.meta.Clock().Advance(3 * day)
	if list := restrictionsIn(p.meta.SettingsOf(testPNID)); list != nil {
		t.Errorf("after its end settings tell %v", list)
	}
	connectOut(t, p, "+6281234567890")
}

func restrictionsIn(settings map[string]any) []any {
	r, _ := settings["restrictions"].(map[string]any)
	list, _ := r["restrictions_list"].([]any)
	return list
}

func TestUserRestrictionStopsInboundCallsOnly(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer()
	p.meta.Restrict(testPNID, RestrictUserCalls, p.meta.Clock().Now().Add(time.Hour))
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{}); err == nil {
		t.Error("the customer could call")
	}
	p.meta.Clock().Advance(time.Hour)
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{}); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestHiddenButtonHasNoEndButLift(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	cust := p.customer()
	p.meta.Restrict(testPNID, RestrictButtonHidden, time.Time{})
	info := accountUpdate(p, "ACCOUNT_RESTRICTION").Value["restriction_info"].([]any)[0].(map[string]any)
	if _, given := info["expiration"]; given || info["remediation"] == nil {
		t.Errorf("restriction %v", info)
	}
	p.meta.Clock().Advance(1000 * day)
	list := restrictionsIn(p.meta.SettingsOf(testPNID))
	if len(list) != 1 || list[0].(map[string]any)["expiration"] != nil {
		t.Errorf("settings tell %v", list)
	}
	if _, err := cust.Call(testCtx(t), testPNID, CallOptions{}); err != nil {
		t.Errorf("by other entry points the number stays callable: %v", err)
	}
	p.meta.Lift(testPNID, RestrictButtonHidden)
	if list := restrictionsIn(p.meta.SettingsOf(testPNID)); list != nil {
		t.Errorf("lifted, but settings tell %v", list)
	}
}

func TestQualityUpdateChangesTheTier(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Numbers[0].Disabled = true })
	if err := p.meta.QualityUpdate(testPNID, "FLAGGED", "TIER_250"); err != nil {
		t.Fatal(err)
	}
	h := p.waitFor(func(h hook) bool { return h.Field == "phone_number_quality_update" })
	if h.Value["event"] != "FLAGGED" || h.Value["max_daily_conversations_per_business"] != "TIER_250" || entryOf(t, h).ID != testWABA {
		t.Errorf("%s", h.Body)
	}
	_, out := p.graph("GET", testPNID+"?fields=messaging_limit_tier,quality_rating", nil)
	if out["messaging_limit_tier"] != "TIER_250" || out["quality_rating"] != "RED" {
		t.Errorf("number %v", out)
	}
	if _, out = p.graph("POST", testPNID+"/settings", obj{"calling": obj{"status": "ENABLED"}}); errCode(out) != 138015 {
		t.Errorf("calling below 2 000: %v", out)
	}
	if err := p.meta.QualityUpdate(testPNID, "UPGRADE", "TIER_2K"); err != nil {
		t.Fatal(err)
	}
	status, out := p.graph("POST", testPNID+"/settings", obj{"calling": obj{"status": "ENABLED"}})
	wantOK(t, status, out)
	if p.meta.QualityUpdate(testPNID, "UPGRADE", "TIER_7") == nil {
		t.Error("an unknown tier")
	}
}

func TestAccountEventHasNoMetadata(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	if err := p.meta.AccountEvent(testPNID, "security", obj{"event": "PIN_CHANGED"}); err != nil {
		t.Fatal(err)
	}
	h := p.waitFor(func(h hook) bool { return h.Field == "security" })
	if h.Value["metadata"] != nil || h.Value["event"] != "PIN_CHANGED" || entryOf(t, h).ID != testWABA {
		t.Errorf("%s", h.Body)
	}
}
