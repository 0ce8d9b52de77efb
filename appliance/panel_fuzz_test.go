package appliance

import (
	"encoding/json"
	"reflect"
	"testing"

	"deskbridge/admin"
)

// FuzzSettingsJSON: any JSON document is taken or refused with its problems, and what is taken reads back as it was.
func FuzzSettingsJSON(f *testing.F) {
	f.Add([]byte(`{"lines":[{"id":"main","phone_number_id":"700800900100200","app_secret":"a","verify_token":"b","access_token":"c","inbound":{"enabled":false}}],"phones":[{"extension":"1001","password":"12345678"}]}`))
	f.Add([]byte(`{"phones":[{"extension":"10","name":"a: b # c, {d} [e] \u2028\ud83d\ude00 \u0085","password":"12345678"}]}`))
	f.Add([]byte(`{"trunks":[{"name":"pbx","host":"192.0.2.1","port":5060.0}]}`))
	f.Add([]byte(`[[[[`))
	f.Add([]byte(`{"lines":null,"x":{"<<":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := prepareJSON(doc, nil)
		if err != nil {
			return
		}
		out, err := json.Marshal(plain(reflect.ValueOf(s).Elem()))
		if err != nil {
			t.Fatal(err)
		}
		again, err := prepareJSON(out, s)
		if err != nil {
			t.Fatalf("%s\nis exported as %s\nwhich is refused: %v", doc, out, err)
		}
		if c := Diff(s, again); len(c) > 0 {
			t.Fatalf("%s changes by its export: %v", doc, c)
		}
	})
}

func TestWhatTwoScopesHaveInCommon(t *testing.T) {
	all, red := admin.Scope{All: true}, admin.Scope{Targets: []string{"phone:1", "phone:2"}, Rang: true}
	for _, c := range []struct {
		name    string
		scope   admin.Scope
		narrow  *admin.Scope
		targets []string
		rang    bool
	}{
		{"everything", all, nil, nil, false},
		{"a team for who sees all", all, &red, []string{"phone:1", "phone:2"}, true},
		{"an agent for who sees all", all, &admin.Scope{Targets: []string{"phone:9"}}, []string{"phone:9"}, false},
		{"a supervisor", red, nil, []string{"phone:1", "phone:2"}, true},
		{"a supervisor asking for somebody else", red, &admin.Scope{Targets: []string{"phone:9"}}, []string{}, false},
		{"a supervisor asking for one", red, &admin.Scope{Targets: []string{"phone:2", "phone:9"}}, []string{"phone:2"}, false},
		{"an agent asking for the team", admin.Scope{Targets: []string{"phone:1"}}, &red, []string{"phone:1"}, false},
		{"an agent without a telephone", admin.Scope{}, nil, []string{}, false},
	} {
		targets, rang := seen(c.scope, c.narrow)
		if !reflect.DeepEqual(targets, c.targets) || rang != c.rang {
			t.Errorf("%s: %v %v, want %v %v", c.name, targets, rang, c.targets, c.rang)
		}
	}
	if _, err := callSearch(admin.CallQuery{Sort: "sideways"}); err == nil {
		t.Error("an order that is none")
	}
	if _, err := callSearch(admin.CallQuery{Group: "lost"}); err == nil {
		t.Error("a group that is none")
	}
	if hostOf("udp:192.0.2.1:5060") != "192.0.2.1" || hostOf("tls:[2001:db8::1]:5061") != "2001:db8::1" {
		t.Error(hostOf("udp:192.0.2.1:5060"), hostOf("tls:[2001:db8::1]:5061"))
	}
}
