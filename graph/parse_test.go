package graph

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "webhook", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func one(t *testing.T, body []byte) Event {
	t.Helper()
	events, err := ParseWebhook(body)
	if err != nil || len(events) != 1 {
		t.Fatalf("%d events, %v, want one", len(events), err)
	}
	return events[0]
}

// calls wraps the value of a "calls" change.
func calls(value string) []byte {
	return []byte(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"calls","value":` + value + `}]}]}`)
}

func TestEverySampleOfTheContractHasItsKindAndKey(t *testing.T) {
	for name, want := range map[string]struct {
		kind Kind
		key  string
	}{
		"calls_connect_user":              {KindConnect, "call:wacid.EXAMPLE0002:connect"},
		"calls_connect_busi":              {KindConnect, "call:wacid.EXAMPLE0001:connect"},
		"calls_terminate_busi":            {KindTerminate, "call:wacid.EXAMPLE0001:terminate"},
		"calls_status":                    {KindCallStatus, "status:wacid.EXAMPLE0001:RINGING"},
		"calls_call_recording_available_": {KindCallOther, "call:wacid.EXAMPLE0001:call_recording_available:1002000000000001"},
		"permission_reply":                {KindPermission, "message:wamid.EXAMPLE77"},
		"message_status":                  {KindMessageStatus, "message-status:wamid.EXAMPLE70:FAILED"},
		"system":                          {KindIdentity, "message:wamid.EXAMPLE90"},
		"text":                            {KindMessage, "message:wamid.A"},
		"voicemail":                       {KindMessage, "message:wacid.V"},
		"account_settings_update":         {KindSettings, "other:"},
		"account_update":                  {KindRestriction, "restriction:15550100200:RESTRICTED_BUSINESS_INITIATED_CALLING until 1791021600"},
		"errors_only":                     {KindErrors, "other:"},
		"envelope":                        {KindUnknown, "other:"},
		"settings_full":                   {KindSettings, "other:"},
		"system_number":                   {KindIdentity, "message:wamid.EXAMPLE91"},
		"user_id_update":                  {KindUnknown, "other:"},
		"account_violation":               {KindViolation, "violation:15550100200:LOW_BUSINESS_INITIATED_CALLING_QUALITY:1790416800"},
		"account_violation_pickup":        {KindViolation, "violation:15550100200:USER_INITIATED_CALLS_LOW_PICKUP_RATE:1790416800"},
		"account_restriction_hidden":      {KindRestriction, "restriction:15550100200:RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN 1790416800"},
		"account_deleted":                 {KindAccount, "other:"},
		"template_rejected":               {KindTemplate, "template:800:REJECTED:1790416800"},
		"template_approved":               {KindTemplate, "template:800:APPROVED:1790416900"},
		"quality_update":                  {KindQuality, "quality:15550100200:UPGRADE:TIER_10K:1790416800"},
		"security":                        {KindAccount, "other:"},
	} {
		t.Run(name, func(t *testing.T) {
			e := one(t, load(t, strings.TrimSuffix(name, "_")))
			if e.Kind != want.kind || !strings.HasPrefix(e.Key(), want.key) {
				t.Errorf("kind %v key %q, want %v %q", e.Kind, e.Key(), want.kind, want.key)
			}
			again := one(t, e.Raw)
			if again.Kind != e.Kind || again.Customer != e.Customer || again.Number != e.Number || again.ID != e.ID {
				t.Errorf("the stored form reads as %+v, want %+v", again, e)
			}
			if again.Key() != e.Key() || !again.At.Equal(e.At) {
				t.Errorf("the stored form has key %q at %v, want %q at %v", again.Key(), again.At, e.Key(), e.At)
			}
		})
	}
}

func TestInboundConnectIsReadWhole(t *testing.T) {
	e := one(t, load(t, "calls_connect_user"))
	want := Identity{Phone: "4915112345678", BSUID: "DE.7001122334455667788", ParentBSUID: "DE.ENT.1234567890", Name: "Erika M.", Username: "erika.m"}
	if e.Customer != want {
		t.Errorf("customer %+v, want %+v", e.Customer, want)
	}
	if !e.Call.Inbound || e.Call.SDPType != "offer" || !strings.HasPrefix(e.Call.SDP, "v=0\r\n") || e.Call.Button != "order-4711" || e.Call.DeepLink != "promo-7" {
		t.Errorf("call %+v", e.Call)
	}
	if e.Number != "700800900100200" || e.Display != "15550100200" || e.At.Unix() != 1790416800 {
		t.Errorf("number %q display %q at %v", e.Number, e.Display, e.At)
	}
}

func TestTerminateIsAnsweredOnlyWithStartOrDuration(t *testing.T) {
	e := one(t, load(t, "calls_terminate_busi"))
	if !e.Call.Answered() || e.Call.Duration != 135*time.Second || e.Call.Outcome != "COMPLETED" || e.CallbackData == "" {
		t.Errorf("%+v", e.Call)
	}
	if len(e.Errors) != 1 || e.Errors[0].Code != 138021 {
		t.Errorf("errors %+v", e.Errors)
	}
	e = one(t, calls(`{"calls":[{"id":"wacid.A","event":"terminate","status":["Completed"],"errors":[{"code":"138023"}]}]}`))
	if e.Call.Answered() || e.Call.Outcome != "COMPLETED" || len(e.Errors) != 1 || e.Errors[0].Code != 138023 {
		t.Errorf("unanswered: %+v %+v", e.Call, e.Errors)
	}
}

func TestParserIsGenerous(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		check func(Event) bool
	}{
		"no contacts":             {`{"calls":[{"id":"wacid.A","from":"49151","event":"connect","session":{"sdp_type":"offer","sdp":"v"}}]}`, func(e Event) bool { return e.Kind == KindConnect && e.Customer.Phone == "49151" && e.Call.Inbound }},
		"no phone":                {`{"contacts":[{"profile":{"username":"@erika"},"user_id":"DE.7"}],"calls":[{"id":"wacid.A","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED"}]}`, func(e Event) bool { return e.Customer == Identity{BSUID: "DE.7", Username: "erika"} }},
		"number as id":            {`{"metadata":{"phone_number_id":700800900100200},"calls":[{"id":"wacid.A","event":"CONNECT"}]}`, func(e Event) bool { return e.Number == "700800900100200" && e.Kind == KindConnect }},
		"timestamp as number":     {`{"calls":[{"id":"wacid.A","event":"connect","timestamp":1790416800}]}`, func(e Event) bool { return e.At.Unix() == 1790416800 }},
		"status in lower case":    {`{"statuses":[{"id":"wacid.A","status":"accepted"}]}`, func(e Event) bool { return e.Kind == KindCallStatus && e.Name == "ACCEPTED" }},
		"status as list":          {`{"statuses":[{"id":"wacid.A","status":["Rejected"]}]}`, func(e Event) bool { return e.Name == "REJECTED" }},
		"unknown status":          {`{"statuses":[{"id":"wacid.A","status":"DANCING"}]}`, func(e Event) bool { return e.Kind == KindUnknown && e.Name == "DANCING" }},
		"unknown event":           {`{"calls":[{"id":"wacid.A","event":"sneeze"}]}`, func(e Event) bool { return e.Kind == KindUnknown }},
		"call without id":         {`{"calls":[{"event":"connect"}]}`, func(e Event) bool { return e.Kind == KindUnknown }},
		"fields of other types":   {`{"contacts":"none","metadata":[],"calls":[{"id":"wacid.A","event":"connect","from":{"a":1},"session":"x"}]}`, func(e Event) bool { return e.Kind == KindConnect && e.Customer.Phone == "" }},
		"calls of another type":   {`{"calls":{"id":"wacid.A"}}`, func(e Event) bool { return e.Kind == KindUnknown }},
		"our number as caller":    {`{"metadata":{"display_phone_number":"+1 555 0100200"},"calls":[{"id":"wacid.A","from":"15550100200","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED"}]}`, func(e Event) bool { return e.Customer.Phone == "" && e.Customer.BSUID == "DE.7" }},
		"somebody else's contact": {`{"contacts":[{"profile":{"name":"Other"},"wa_id":"1","user_id":"DE.8"}],"calls":[{"id":"wacid.A","from_user_id":"DE.7","event":"connect","direction":"USER_INITIATED"}]}`, func(e Event) bool { return e.Customer == Identity{BSUID: "DE.7"} }},
		"null value":              {`null`, func(e Event) bool { return e.Kind == KindUnknown }},
		"SDP beyond the limit":    {`{"calls":[{"id":"wacid.A","event":"connect","session":{"sdp_type":"offer","sdp":"` + strings.Repeat("a", maxSDP+1) + `"}}]}`, func(e Event) bool { return e.Kind == KindConnect && e.Call.SDP == "" }},
	} {
		t.Run(name, func(t *testing.T) {
			if e := one(t, calls(c.value)); !c.check(e) {
				t.Errorf("%+v call %+v", e, e.Call)
			}
		})
	}
}

func TestBatchKeepsOrderAndGivesEachItsOwnContact(t *testing.T) {
	body := calls(`{"metadata":{"phone_number_id":"7"},
		"contacts":[{"user_id":"DE.2","profile":{"name":"Two"}},{"user_id":"DE.1","profile":{"name":"One"}}],
		"calls":[{"id":"wacid.1","event":"connect","direction":"USER_INITIATED","from_user_id":"DE.1"},{"id":"wacid.2","event":"terminate","direction":"USER_INITIATED","from_user_id":"DE.2"}],
		"statuses":[{"id":"wacid.3","status":"RINGING"}]}`)
	events, err := ParseWebhook(body)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if events[0].Customer.Name != "One" || events[1].Customer.Name != "Two" || events[2].Kind != KindCallStatus {
		t.Errorf("%+v", events)
	}
	if e := one(t, events[1].Raw); e.ID != "wacid.2" || e.Customer.Name != "Two" {
		t.Errorf("the stored form of the second is %+v", e)
	}
}

func TestLimitsOfABody(t *testing.T) {
	item := `{"id":"wacid.A","event":"connect"}`
	many := func(n int) []byte { return calls(`{"calls":[` + strings.Repeat(item+",", n-1) + item + `]}`) }
	if events, err := ParseWebhook(many(maxUpdates)); err != nil || len(events) != maxUpdates {
		t.Errorf("%d events, %v at the limit", len(events), err)
	}
	if _, err := ParseWebhook(many(maxUpdates + 1)); err != ErrUpdates {
		t.Errorf("beyond the limit: %v", err)
	}
	deep := func(n int) []byte {
		return []byte(`{"entry":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`)
	}
	if _, err := ParseWebhook(deep(maxDepth)); err != nil {
		t.Errorf("depth %d: %v", maxDepth, err)
	}
	if _, err := ParseWebhook(deep(maxDepth + 1)); err == nil {
		t.Errorf("depth %d passed", maxDepth+1)
	}
	if _, err := ParseWebhook([]byte(`{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[["}`)); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
	for _, bad := range []string{"", "null", "[]", "42", `"x"`, "{", `{"entry":}`, "<html>"} {
		if _, err := ParseWebhook([]byte(bad)); err == nil {
			t.Errorf("%q is a webhook", bad)
		}
	}
}

// A batch must not store its contacts or errors once per event: that would make gigabytes of megabytes.
func TestStoredEventsStaySmall(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, `{"contacts":[{"user_id":"DE.1","profile":{"name":"%s"}}],"errors":[{"code":1,"message":"%s"}],"calls":[`, strings.Repeat("n", 1<<20), strings.Repeat("m", 1<<20))
	for i := range 200 {
		fmt.Fprintf(&b, `{"id":"wacid.%d","event":"connect","direction":"USER_INITIATED","from_user_id":"DE.1"},`, i)
	}
	b.WriteString(`{"id":"wacid.x","event":"terminate"}]}`)
	events, err := ParseWebhook(calls(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if len(e.Raw) > 8<<10 {
			t.Fatalf("event %s is stored in %d bytes", e.ID, len(e.Raw))
		}
	}
}

func FuzzParseWebhook(f *testing.F) {
	files, _ := filepath.Glob("testdata/webhook/*.json")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := ParseWebhook(body)
		if err != nil {
			return
		}
		if len(events) > maxUpdates {
			t.Fatalf("%d events", len(events))
		}
		for i := range events {
			e := &events[i]
			if !json.Valid(e.Raw) {
				t.Fatalf("stored form is not JSON: %q", e.Raw)
			}
			if e.Key() == "" || len(e.ID) > maxID+3 {
				t.Fatalf("key %q id %d bytes", e.Key(), len(e.ID))
			}
			again, err := ParseWebhook(e.Raw)
			if err != nil || len(again) != 1 {
				t.Fatalf("stored form %q: %d events, %v", e.Raw, len(again), err)
			}
			if again[0].Kind != e.Kind {
				t.Fatalf("stored form reads as %v, was %v: %q", again[0].Kind, e.Kind, e.Raw)
			}
			if again[0].Key() != e.Key() || !again[0].At.Equal(e.At) {
				t.Fatalf("stored form has key %q at %v, was %q at %v: %q", again[0].Key(), again[0].At, e.Key(), e.At, e.Raw)
			}
			if again[0].OpensWindow() != e.OpensWindow() {
				t.Fatalf("stored form opens the window differently: %q", e.Raw)
			}
		}
	})
}
