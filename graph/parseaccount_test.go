package graph

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// change wraps a value into a body with one change of the field; at is the entry's time, "" for none.
func change(field, at, value string) []byte {
	if at != "" {
		at = `"time":` + at + `,`
	}
	return []byte(`{"object":"whatsapp_business_account","entry":[{"id":"0",` + at + `"changes":[{"field":"` + field + `","value":` + value + `}]}]}`)
}

func happened(t *testing.T, e Event, want int64) {
	t.Helper()
	if e.At.Unix() != want {
		t.Errorf("%v at %v, want %v", e.Kind, e.At, time.Unix(want, 0).UTC())
	}
}

func TestRestrictionsAreReadWithTypeAndEnd(t *testing.T) {
	e := one(t, load(t, "account_update"))
	if len(e.News.Restrictions) != 1 || e.Display != "15550100200" || e.Name != "ACCOUNT_RESTRICTION" {
		t.Fatalf("%+v %+v", e, e.News)
	}
	r := e.News.Restrictions[0]
	if end := time.Unix(1791021600, 0); r.Type != RestrictedOutbound || !r.Expires.Equal(end) || !r.InForce(end.Add(-1)) || r.InForce(end) {
		t.Errorf("%+v", r)
	}
	happened(t, e, 1790416800)
	e = one(t, load(t, "account_restriction_hidden"))
	r = e.News.Restrictions[0]
	if r.Type != RestrictedButtonHidden || !r.Expires.IsZero() || r.Remediation != "Show the buttons again in WhatsApp Manager." || !r.InForce(time.Unix(1<<33, 0)) {
		t.Errorf("%+v", r)
	}
}

func TestViolationsAreReadWithAdvice(t *testing.T) {
	if e := one(t, load(t, "account_violation")); e.News.Violation != "LOW_BUSINESS_INITIATED_CALLING_QUALITY" || e.News.Remediation != "" {
		t.Errorf("%+v", e.News)
	}
	if e := one(t, load(t, "account_violation_pickup")); e.News.Violation != "USER_INITIATED_CALLS_LOW_PICKUP_RATE" || e.News.Remediation != "Answer more calls." {
		t.Errorf("%+v", e.News)
	}
	e := one(t, change("account_update", "", `{"event":"ACCOUNT_VIOLATION","remediation":"Do better.","violation_info":{"violation_type":"X"}}`))
	if e.News.Remediation != "Do better." {
		t.Errorf("advice beside the violation: %+v", e.News)
	}
}

func TestTheSameNewsTwiceHasOneKeyAndNewNewsAnother(t *testing.T) {
	restriction := func(at, expires string) string {
		end := ""
		if expires != "" {
			end = `,"expiration":` + expires
		}
		e := one(t, change("account_update", at, `{"phone_number":"15550100200","event":"ACCOUNT_RESTRICTION","restriction_info":[{"restriction_type":"A","expiration":9},{"restriction_type":"B"`+end+`}]}`))
		return e.Key()
	}
	if a, b := restriction("1790416800", "1791021600"), restriction("1790416999", `"1791021600"`); a != b {
		t.Errorf("one restriction told twice: %q and %q", a, b)
	}
	if a, b := restriction("1790416800", "1791021600"), restriction("1790416800", "1791021601"); a == b {
		t.Errorf("another end, the same key: %q", a)
	}
	if a, b := restriction("1790416800", ""), restriction("1790416999", ""); a == b {
		t.Errorf("another restriction without end, the same key: %q", a)
	}
	if a, b := restriction("", ""), restriction("", ""); a != b || !strings.HasPrefix(a, "other:") {
		t.Errorf("without any time: %q and %q", a, b)
	}
	order := func(list string) string {
		e := one(t, change("account_update", "1", `{"restriction_info":[`+list+`]}`))
		return e.Key()
	}
	x, y := `{"restriction_type":"X","expiration":1791021600}`, `{"restriction_type":"Y","expiration":1791021600}`
	if order(x+","+y) != order(y+","+x) {
		t.Error("the order of restrictions is part of the key")
	}
	template := func(at string) string {
		e := one(t, change("message_template_status_update", at, `{"event":"PAUSED","message_template_id":800}`))
		return e.Key()
	}
	paused, twice, later := template("1790416800"), template("1790416800"), template("1790416801")
	if paused != twice || paused == later {
		t.Error("a template paused again is news, one told twice is not")
	}
}

func TestKeysOfOtherNewsDoNotDependOnTheEntrysTime(t *testing.T) {
	value := `{"event":"PIN_CHANGED","requester":"1"}`
	first, second, none := one(t, change("security", "1790416800", value)), one(t, change("security", "1790416900", value)), one(t, change("security", "", value))
	if first.Key() != second.Key() || first.Key() != none.Key() {
		t.Errorf("keys %q, %q and %q", first.Key(), second.Key(), none.Key())
	}
	// The key of this body as it has always been.
	if want := "other:" + digest([]byte(`{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[{"field":"security","value":`+value+`}]}]}`)); first.Key() != want {
		t.Errorf("key %q, want %q", first.Key(), want)
	}
}

func TestTemplateNewsAreRead(t *testing.T) {
	e := one(t, load(t, "template_rejected"))
	if want := (TemplateNews{ID: "800", Name: "ask_to_call", Language: "en-US", Category: "UTILITY", Reason: "INCORRECT_CATEGORY"}); *e.Template != want || e.Name != "REJECTED" || e.Account != "900100200300400" {
		t.Errorf("%+v, want %+v", *e.Template, want)
	}
	happened(t, e, 1790416800)
	if e := one(t, load(t, "template_approved")); e.Template.Reason != "" {
		t.Errorf("an approved template has the reason %q", e.Template.Reason)
	}
	e = one(t, change("message_template_status_update", "1", `{"event":"REJECTED","message_template_name":"a","reason":"NONE","rejection_info":{"reason":"Too vague."}}`))
	if e.Template.Reason != "Too vague." {
		t.Errorf("reason %q", e.Template.Reason)
	}
	if e := one(t, change("message_template_status_update", "1", `{"event":"REJECTED"}`)); e.Kind != KindAccount || e.Template != nil {
		t.Errorf("news of no template: %v %+v", e.Kind, e.Template)
	}
}

func TestQualityNewsAreRead(t *testing.T) {
	e := one(t, load(t, "quality_update"))
	if e.Name != "UPGRADE" || e.Quality.Limit != "TIER_10K" || e.Display != "15550100200" {
		t.Errorf("%+v %+v", e, e.Quality)
	}
	happened(t, e, 1790416800)
}

func TestSettingsOfAWebhookAreReadLikeAnAnswer(t *testing.T) {
	e := one(t, load(t, "settings_full"))
	want := CallHours{Enabled: true, TimeZone: "Asia/Jakarta", Weekly: []WeeklySpan{{time.Monday, 480, 1440}}}
	if s := e.Settings; e.Number != "700800900100200" || s.Status != "ENABLED" || s.SIP != "ENABLED" || s.Callback != "" || s.Hours == nil || !s.Hours.Equal(want) {
		t.Errorf("%+v", e.Settings)
	}
	happened(t, e, 1790416800) // the value's, not the entry's
	if e := one(t, load(t, "account_settings_update")); e.Settings == nil || e.Settings.Status != "" || e.Settings.Hours != nil {
		t.Errorf("%+v", e.Settings)
	}
	if e := one(t, change("account_settings_update", "1", `{"type":"other"}`)); e.Kind != KindSettings || e.Settings != nil {
		t.Errorf("without settings: %v %+v", e.Kind, e.Settings)
	}
}

func TestChangedIdentities(t *testing.T) {
	system := func(rest string) []byte {
		return change("messages", "", `{"messages":[{"id":"wamid.A","timestamp":"1790418000","type":"system",`+rest+`}]}`)
	}
	for name, c := range map[string]struct {
		body []byte
		want *IdentityChange
	}{
		"new ID": {load(t, "system"), &IdentityChange{"user_changed_user_id", Identity{BSUID: "DE.OLD1"},
			Identity{Phone: "4915199999999", BSUID: "DE.NEW1", ParentBSUID: "DE.ENT.2"}}},
		"new number": {load(t, "system_number"), &IdentityChange{"user_changed_number", Identity{Phone: "4915112345678", BSUID: "DE.OLD1"},
			Identity{Phone: "4915199999999", BSUID: "DE.NEW1"}}},
		"from is the new number": {system(`"from":"222","system":{"type":"user_changed_number","wa_id":"222","previous_user_id":"DE.1"}`),
			&IdentityChange{"user_changed_number", Identity{BSUID: "DE.1"}, Identity{Phone: "222"}}},
		"old ID as sender": {system(`"from_user_id":"DE.1","system":{"type":"user_changed_user_id","user_id":"DE.2"}`),
			&IdentityChange{"user_changed_user_id", Identity{BSUID: "DE.1"}, Identity{BSUID: "DE.2"}}},
		"with the contact of before": {change("messages", "", `{"contacts":[{"profile":{"name":"Erika"},"wa_id":"111"}],"messages":[{"id":"wamid.A","from":"111","type":"system",
			"system":{"type":"user_changed_number","wa_id":"222"}}]}`), &IdentityChange{"user_changed_number", Identity{Phone: "111"}, Identity{Phone: "222"}}},
		"nothing old":           {system(`"from_user_id":"DE.2","system":{"type":"user_changed_user_id","user_id":"DE.2"}`), nil},
		"nothing new":           {system(`"from":"111","system":{"type":"user_changed_number"}`), nil},
		"another system":        {system(`"from":"111","system":{"type":"customer_identity_changed","wa_id":"222"}`), nil},
		"a message that claims": {[]byte(strings.Replace(string(load(t, "system")), `"system",`, `"text",`, 1)), nil},
	} {
		e := one(t, c.body)
		if c.want == nil {
			if e.Kind != KindMessage || e.Change != nil {
				t.Errorf("%s: %v %+v", name, e.Kind, e.Change)
			}
			continue
		}
		if e.Kind != KindIdentity || e.Change == nil || *e.Change != *c.want || e.Customer != c.want.Now || e.OpensWindow() {
			t.Errorf("%s: %v %+v customer %+v, want %+v", name, e.Kind, e.Change, e.Customer, c.want)
		}
		if strings.Contains(string(e.Raw), "contacts") {
			t.Errorf("%s: a contact that may be of before or after is stored: %s", name, e.Raw)
		}
		if again := one(t, e.Raw); again.Change == nil || *again.Change != *c.want || again.Customer != e.Customer {
			t.Errorf("%s: the stored form reads as %+v", name, again.Change)
		}
	}
}

func TestPermissionReplies(t *testing.T) {
	end := time.Unix(1791021600, 0).UTC()
	const asked, call = "wamid.EXAMPLE70", "wacid.EXAMPLE0002"
	for name, c := range map[string]struct {
		context, reply string
		want           Message
		opens          bool
	}{
		"accepts temporarily": {asked, `"response":"accept","is_permanent":false,"expiration_timestamp":"1791021600","response_source":"user_action"`,
			Message{Granted: true, Expires: end, Context: asked}, true},
		"accepts permanently": {asked, `"response":"ACCEPT","is_permanent":true,"response_source":"user_action"`,
			Message{Granted: true, Permanent: true, Context: asked}, true},
		"accepts in the business profile": {"", `"response":"accept","is_permanent":true,"response_source":"user_action"`,
			Message{Granted: true, Permanent: true}, false},
		"declines": {asked, `"response":"reject","response_source":"user_action"`, Message{Context: asked}, true},
		"granted by calling us": {call, `"response":"accept","is_permanent":false,"expiration_timestamp":1791021600,"response_source":"automatic"`,
			Message{Granted: true, Automatic: true, Expires: end, Context: call}, false},
		"revoked after 4 unanswered": {"", `"response":"reject","response_source":"automatic"`, Message{Automatic: true}, false},
		"with the name GET uses": {asked, `"response":"accept","expiration_time":"1791021600","response_source":"user_action"`,
			Message{Granted: true, Expires: end, Context: asked}, true},
	} {
		ctx := ""
		if c.context != "" {
			ctx = `"context":{"from":"15550100200","id":"` + c.context + `"},`
		}
		e := one(t, change("messages", "", `{"messages":[{"id":"wamid.A","from":"4915112345678","timestamp":"1790416800",`+ctx+
			`"interactive":{"type":"call_permission_reply","call_permission_reply":{`+c.reply+`}}}]}`))
		c.want.Type = "call_permission_reply"
		if e.Kind != KindPermission || *e.Message != c.want || e.OpensWindow() != c.opens {
			t.Errorf("%s: %v %+v, want %+v", name, e.Kind, e.Message, c.want)
		}
		if e.Message.AnswersCall() != (c.context == call) {
			t.Errorf("%s: answers a call is %v", name, e.Message.AnswersCall())
		}
		happened(t, e, 1790416800)
	}
}

func TestFailedMessageIsRecognisedByItsCallbackData(t *testing.T) {
	e := one(t, load(t, "message_status"))
	if e.Kind != KindMessageStatus || e.Name != "FAILED" || e.ID != "wamid.EXAMPLE70" || e.CallbackData != "…" || e.Customer.Phone != "4915112345678" {
		t.Errorf("%+v", e)
	}
	if len(e.Errors) != 1 || !e.Errors[0].Graph().Uncallable() || e.Errors[0].Graph().Details != "…" {
		t.Errorf("errors %+v", e.Errors)
	}
	happened(t, e, 1790416810)
}

// Meta's time decides when the window closes, and what rings: no kind of event may come without it when Meta gave it.
func TestEveryKindOfEventHasMetasTime(t *testing.T) {
	seen := map[Kind]bool{}
	check := func(name string, e Event) {
		seen[e.Kind] = true
		if e.At.IsZero() {
			t.Errorf("%s: a %v event without time", name, e.Kind)
		}
	}
	for _, name := range []string{"calls_connect_user", "calls_connect_busi", "calls_status", "calls_terminate_busi", "calls_call_recording_available",
		"text", "voicemail", "permission_reply", "message_status", "system", "account_settings_update", "settings_full", "account_update",
		"account_violation", "account_restriction_hidden", "template_rejected", "quality_update", "security", "envelope"} {
		check(name, one(t, load(t, name)))
	}
	// These give no time of their own.
	check("errors", one(t, change("calls", "1790416800", `{"errors":[{"code":131044}]}`)))
	check("unknown field", one(t, change("dance", "1790416800", `{}`)))
	check("call without time", one(t, change("calls", "1790416800", `{"calls":[{"id":"wacid.A","event":"connect"}]}`)))
	check("message without time", one(t, change("messages", "1790416800", `{"messages":[{"id":"wamid.A"}]}`)))
	for k := range kindNames {
		if !seen[Kind(k)] {
			t.Errorf("no sample of a %v event", Kind(k))
		}
	}
}

func TestWindowIsOpenedByMessagesAndCallsOnly(t *testing.T) {
	for name, want := range map[string]bool{
		"text": true, "voicemail": true, "calls_connect_user": true, "permission_reply": true,
		"calls_connect_busi": false, "calls_status": false, "calls_terminate_busi": false, "message_status": false, "system": false,
		"account_update": false, "errors_only": false,
	} {
		if e := one(t, load(t, name)); e.OpensWindow() != want {
			t.Errorf("%s opens the window: %v", name, !want)
		}
	}
	for value, want := range map[string]bool{
		`{"statuses":[{"id":"wacid.A","status":"ACCEPTED"}]}`:                                  true,
		`{"statuses":[{"id":"wacid.A","status":"REJECTED"}]}`:                                  false,
		`{"calls":[{"id":"wacid.A","event":"connect","session":{"sdp_type":"offer"}}]}`:        true,
		`{"calls":[{"id":"wacid.A","event":"terminate","direction":"USER_INITIATED"}]}`:        false,
		`{"calls":[{"id":"wacid.A","event":"connect","direction":"BUSINESS_INITIATED"}]}`:      false,
		`{"calls":[{"id":"wacid.A","event":"call_created","direction":"BUSINESS_INITIATED"}]}`: false,
	} {
		if e := one(t, calls(value)); e.OpensWindow() != want {
			t.Errorf("%s opens the window: %v", value, !want)
		}
	}
	group := one(t, change("messages", "", `{"messages":[{"id":"wamid.A","from":"1","type":"text","group_id":"G"}]}`))
	if group.OpensWindow() || group.Message.Group != "G" {
		t.Errorf("a message in a group opens the window: %+v", group.Message)
	}
}

func TestNewsAreBounded(t *testing.T) {
	many := strings.Repeat(`{"restriction_type":"`+strings.Repeat("A", 1000)+`"},`, 1000)
	e := one(t, change("account_update", "1", `{"restriction_info":[`+many+`{"restriction_type":"B"}],"violation_info":{"violation_type":"`+strings.Repeat("V", 1<<16)+`"}}`))
	if len(e.News.Restrictions) != maxRestrictions || len(e.News.Violation) > 64 || len(e.Key()) > 1024 {
		t.Errorf("%d restrictions, key of %d bytes", len(e.News.Restrictions), len(e.Key()))
	}
	e = one(t, change("message_template_status_update", "1", fmt.Sprintf(`{"message_template_id":"%s","reason":"%[1]s"}`, strings.Repeat("9", 1<<16))))
	if len(e.Template.Reason) > 512 || len(e.Key()) > 256 {
		t.Errorf("%+v", e.Template)
	}
}
