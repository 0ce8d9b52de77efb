package appliance

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// slowDocument is far more than any document of a fuzzer's size may take to read.
const slowDocument = 5 * time.Second

func TestGoodSettingsAreAccepted(t *testing.T) {
	s := parseSettings(t, goodSettings)
	if got := s.Trunks[0].Networks(); len(got) != 1 || got[0].String() != "192.0.2.5/32" {
		t.Errorf("the trunk's networks are %v", got)
	}
	if got := len(s.Trunks[0].MediaCodecs()) + len(s.Phones[0].MediaCodecs()); got != 2+4 {
		t.Errorf("%d codecs", got)
	}
}

func TestBadSettings(t *testing.T) {
	tests := []struct{ name, old, new, path, problem string }{
		{"unknown phone", "phone:1001", "phone:1009", "lines[0].inbound.ring[0]", `no phone "1009"`},
		{"unknown trunk", "trunk:pbx/200", "trunk:xbp/200", "lines[0].inbound.ring[1]", `no trunk "xbp"`},
		{"number outside the company", "trunk:pbx/200", "trunk:pbx/0811", "lines[0].inbound.ring[1]", "not an internal number"},
		{"target without kind", "phone:1001", "1001", "lines[0].inbound.ring[0]", "not a target"},
		{"nobody rings", "ring: [phone:1001, trunk:pbx/200]", "ring: []", "lines[0].inbound.ring", "nobody would ring"},
		{"target twice", "trunk:pbx/200", "phone:1001", "lines[0].inbound.ring[1]", "twice"},
		{"ring too long", "ring_timeout: 30s", "ring_timeout: 56s", "lines[0].inbound.ring_timeout", "out of range"},
		{"line without number", "phone_number_id: 700800900100200", "waba_id: 12", "lines[0].phone_number_id", "missing"},
		{"number ID with letters", "700800900100200", "7008x", "lines[0].phone_number_id", "not an ID"},
		{"no app secret", "app_secret: 0123456789abcdef0123456789abcdef", "app_id: 1", "lines[0].app_secret", "missing"},
		{"secret from environment", "EAAtoken", "env:TOKEN", "lines[0].access_token", "environment"},
		{"relative secret file", "EAAtoken", "file:token", "lines[0].access_token", "absolute path"},
		{"credential outside", "EAAtoken", "credential:../token", "lines[0].access_token", "plain name"},
		{"line ID", "id: sales", "id: Sales Team", "lines[0].id", "not a name"},
		{"country", "country: ID", "country: IDN", "lines[0].country", "not a region"},
		{"display number", "+62 21 5550100", "call us", "lines[0].display_number", "not a telephone number"},
		{"prefix", `prefix: "81"`, `prefix: "8a"`, "lines[0].outbound.prefix", "cannot be dialled"},
		{"codec", "[PCMA, g722]", "[PCMA, g729]", "trunks[0].codecs[1]", `unknown codec "g729"`},
		{"codec twice", "[PCMA, g722]", "[PCMA, pcma]", "trunks[0].codecs[1]", "twice"},
		{"trunk's line", "    extensions: [2xx]\n    line: sales", "    extensions: [2xx]\n    line: sale", "trunks[0].line", `no line "sale"`},
		{"CIDR", "register: true", "addresses: [192.0.2.1/24]", "trunks[0].addresses[0]", "not an address or network"},
		{"open relay", "register: true", "addresses: [0.0.0.0/0]", "trunks[0].addresses[0]", "everybody"},
		{"open relay over IPv6", "register: true", "addresses: [\"::/0\"]", "trunks[0].addresses[0]", "everybody"},
		{"transport", "register: true", "transport: sctp", "trunks[0].transport", "not known"},
		{"host with port", "host: 192.0.2.5", "host: 192.0.2.5:5060", "trunks[0].host", "neither a host name"},
		{"no host", "    host: 192.0.2.5\n", "", "trunks[0].host", "neither host nor addresses"},
		{"register without user", "    username: deskbridge\n", "", "trunks[0].username", "missing"},
		{"register without password", "    password: \"pbx password\"\n", "", "trunks[0].password", "missing"},
		{"pattern", "[2xx]", "[2..]", "trunks[0].extensions[0]", "not a pattern"},
		{"ptime", "register: true", "ptime: 25ms", "trunks[0].ptime", "not possible"},
		{"expires", "register: true", "register: true\n    expires: 10s", "trunks[0].expires", "out of range"},
		{"extension", "extension: 1001", "extension: 1", "phones[0].extension", "not an extension"},
		{"short password", `"phone password"`, "secret", "phones[0].password", "shorter than 8"},
		{"phone without password", "    password: \"phone password\"\n", "", "phones[0].password", "missing"},
		{"unknown key", "extension: 1001", "ext: 1001", "phones[0].ext", "unknown key"},
		{"control character", "id: sales\n    name: \"Sales: Jakarta\"", "id: sales\n    name: \"a\\rb\"", "lines[0].name", "control characters"},
		{"Graph address", "country: ID", "graph_base_url: ftp://x", "lines[0].graph_base_url", "not a web address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(goodSettings, tt.old, tt.new, 1)
			if text == goodSettings {
				t.Fatal("the replacement did nothing")
			}
			_, err := ParseSettings(strings.NewReader(text), "settings.yaml")
			for _, e := range ConfigErrors(err) {
				if e.Path == tt.path && strings.Contains(e.Problem, tt.problem) && e.Fix != "" {
					return
				}
			}
			t.Errorf("want %s: …%s…, got\n%s", tt.path, tt.problem, strings.Join(texts(err), "\n"))
		})
	}
}

func TestDuplicatesAreReported(t *testing.T) {
	extra := `
  - {extension: 1001, password: "another password"}
  - {extension: 1003, password: "third password"}
`
	line := `
  - {id: sales, phone_number_id: "1", app_secret: a, verify_token: b, access_token: c, inbound: {enabled: false}, outbound: {prefix: "812"}}
trunks:
  - {name: other, host: 192.0.2.5}`
	text := strings.Replace(goodSettings, "\ntrunks:", line, 1) + extra
	_, err := ParseSettings(strings.NewReader(text), "settings.yaml")
	got := strings.Join(texts(err), "\n")
	for _, want := range []string{
		`phones[1].extension: "1001" is already used by phones[0]`,
		`lines[1].id: "sales" is already used by lines[0]`,
		`lines[1].outbound.prefix: "812" begins with the prefix "81"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
}

func TestTwoTrunksCannotClaimOneAddress(t *testing.T) {
	for trunk, want := range map[string]string{
		"host: 192.0.2.5":           `trunks[1].host: 192.0.2.5/32 overlaps 192.0.2.5/32 of trunk "pbx"`,
		"addresses: [192.0.2.0/24]": `trunks[1].addresses[0]: 192.0.2.0/24 overlaps 192.0.2.5/32 of trunk "pbx"`,
	} {
		text := strings.Replace(goodSettings, "phones:", "  - {name: other, "+trunk+"}\nphones:", 1)
		_, err := ParseSettings(strings.NewReader(text), "settings.yaml")
		if got := texts(err); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q", trunk, got)
		}
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add(goodSettings)
	f.Add("lines: [{id: a}]")
	f.Add("trunks: [{name: a, addresses: [::/0, 0.0.0.0/0]}]")
	f.Add("phones: [{extension: \"00\", password: (set)}]")
	f.Fuzz(func(t *testing.T, text string) {
		guard := time.AfterFunc(slowDocument, func() { panic("too slow: " + strconv.Quote(text)) })
		defer guard.Stop()
		s, err := ParseSettings(strings.NewReader(text), "fuzz.yaml")
		if err != nil {
			return
		}
		data, err := s.Freeze()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ThawSettings(data)
		if err != nil {
			t.Fatalf("an accepted document does not come back: %v\n%s", err, export(t, s))
		}
		// Secrets given as "(set)" have no value here and lose that mark in the store; everything else must be the same.
		if a, b := export(t, s), export(t, back); a != b && !strings.Contains(a, SecretSet) {
			t.Fatalf("changed on the way:\n%s\n%s", a, b)
		}
	})
}
