package simulator

import (
	"slices"
	"strings"
	"time"
)

// number is a business number with what Meta keeps about it. Fields below are guarded by Meta.mu.
type number struct {
	Number
	tokenExpired bool
	settings     obj         // the "calling" object
	attempts     []time.Time // outbound, last 24 h
	restrictions map[string]restriction
	tier, rating string      // messaging_limit_tier, quality_rating
	permGets     []time.Time // call_permissions within the last second
}

func newNumber(n Number) *number {
	status, callback := "ENABLED", "DISABLED"
	if n.Disabled {
		status = "DISABLED"
	}
	if n.CallbackPermission {
		callback = "ENABLED"
	}
	s := obj{"status": status, "call_icon_visibility": "DEFAULT", "callback_permission_status": callback,
		"call_hours": obj{"status": "DISABLED"}, "sip": obj{"status": "DISABLED"}}
	if len(n.Codecs) > 0 {
		s["audio"] = obj{"additional_codecs": toAny(n.Codecs)}
	}
	if n.SIPMode {
		s["sip"] = obj{"status": "ENABLED"}
	}
	tier := "TIER_2K"
	if n.LowTier {
		tier = "TIER_250"
	}
	return &number{Number: n, settings: s, restrictions: map[string]restriction{}, tier: tier, rating: "GREEN"}
}

func toAny(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// callingEnabled reads the settings. m.mu is held.
func (n *number) callingEnabled() bool { return n.settings["status"] == "ENABLED" }

func (n *number) sipMode() bool {
	sip, _ := n.settings["sip"].(obj)
	return sip["status"] == "ENABLED"
}

func (n *number) callback() bool { return n.settings["callback_permission_status"] == "ENABLED" }

// extraCodecs is audio.additional_codecs. m.mu is held.
func (n *number) extraCodecs() []string {
	audio, _ := n.settings["audio"].(obj)
	list, _ := audio["additional_codecs"].([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (m *Meta) debugToken(q *graphRequest) (answer, *graphError) {
	if bearer(q.Request) == "" && q.URL.Query().Get("access_token") == "" {
		return nil, refuse(190, "An access token is required to request this resource")
	}
	token := q.URL.Query().Get("input_token")
	if token == "" {
		return nil, refuse(100, "The parameter input_token is required")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.numbers {
		if n.Token != token {
			continue
		}
		scopes := n.Scopes
		if len(scopes) == 0 {
			scopes = []string{scopeManage, scopeMessaging}
		}
		data := obj{"app_id": n.AppID, "type": "SYSTEM_USER", "is_valid": !n.tokenExpired, "expires_at": 0, "scopes": scopes}
		if n.tokenExpired {
			data["error"] = obj{"code": 190, "message": "Error validating access token", "subcode": 463}
		}
		return obj{"data": data}, nil
	}
	return obj{"data": obj{"is_valid": false, "scopes": []string{},
		"error": obj{"code": 190, "message": "Invalid OAuth access token data"}}}, nil
}

// fields is what GET /{PNID}?fields= knows; m.mu is held.
func (n *number) fields() obj {
	health := obj{"can_send_message": "AVAILABLE", "entities": []any{
		obj{"entity_type": "PHONE_NUMBER", "id": n.PhoneNumberID, "can_send_message": "AVAILABLE"},
		obj{"entity_type": "WABA", "id": n.WABA, "can_send_message": "AVAILABLE"},
		obj{"entity_type": "APP", "id": n.AppID, "can_send_message": "AVAILABLE"},
	}}
	return obj{
		"id": n.PhoneNumberID, "display_phone_number": n.DisplayNumber, "verified_name": n.Name, "name_status": "APPROVED",
		"quality_rating": n.rating, "code_verification_status": "VERIFIED", "status": "CONNECTED", "platform_type": "CLOUD_API",
		"throughput": obj{"level": "STANDARD"}, "messaging_limit_tier": n.tier, "health_status": health,
		"webhook_configuration": obj{"application": "configured in the app"},
	}
}

func (m *Meta) serveNumber(q *graphRequest) (answer, *graphError) {
	asked := q.URL.Query().Get("fields")
	if asked == "" {
		asked = "id,display_phone_number,verified_name,quality_rating,code_verification_status"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, out := q.num.fields(), obj{"id": q.num.PhoneNumberID}
	for f := range strings.SplitSeq(asked, ",") {
		v, ok := known[strings.TrimSpace(f)]
		if !ok {
			return nil, refuse(100, "Tried accessing nonexisting field (%s) on node type (WhatsAppBusinessPhoneNumber)", f)
		}
		out[strings.TrimSpace(f)] = v
	}
	return out, nil
}

func (m *Meta) servePhoneNumbers(q *graphRequest) (answer, *graphError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id, n := range m.numbers {
		if n.WABA == q.num.WABA {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	list := []any{}
	for _, id := range ids {
		f := m.numbers[id].fields()
		delete(f, "health_status")
		list = append(list, f)
	}
	return obj{"data": list}, nil
}

func (m *Meta) serveSubscribed(q *graphRequest) (answer, *graphError) {
	if q.num.Unsubscribed {
		return obj{"data": []any{}}, nil
	}
	return obj{"data": []any{obj{"whatsapp_business_api_data": obj{"id": q.num.AppID, "name": "deskbridge", "link": "https://example.com/"}}}}, nil
}
