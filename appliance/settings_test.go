package appliance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodSettings = `
lines:
  - id: sales
    name: "Sales: Jakarta"
    phone_number_id: 700800900100200
    display_number: "+62 21 5550100"
    country: ID
    app_secret: 0123456789abcdef0123456789abcdef
    verify_token: correct horse
    access_token: EAAtoken
    inbound:
      ring: [phone:1001, trunk:pbx/200]
      ring_timeout: 30s
    outbound:
      prefix: "81"
trunks:
  - name: pbx
    host: 192.0.2.5
    register: true
    username: deskbridge
    password: "pbx password"
    codecs: [PCMA, g722]
    extensions: [2xx]
    line: sales
phones:
  - extension: 1001
    password: "phone password"
    line: sales
`

func parseSettings(t *testing.T, text string) *Settings {
	t.Helper()
	s, err := ParseSettings(strings.NewReader(text), "settings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func export(t *testing.T, s *Settings) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var secretValues = []string{"0123456789abcdef", "correct horse", "EAAtoken", "pbx password", "phone password"}

func TestNoSecretLeavesInAnyForm(t *testing.T) {
	s := parseSettings(t, goodSettings)
	js, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	log.Info("x", "settings", s, "line", s.Lines[0], "secret", s.Lines[0].AppSecret)
	for name, text := range map[string]string{
		"export": export(t, s), "json": string(js), "slog": logged.String(),
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", *s), "%#v": fmt.Sprintf("%#v", s.Lines), "%s": fmt.Sprintf("%s", s.Lines[0].AppSecret),
		"%x": fmt.Sprintf("%x", s.Lines[0].AppSecret), "%q": fmt.Sprintf("%q", s.Lines[0].VerifyToken), "diff": fmt.Sprint(Diff(nil, s)),
	} {
		for _, secret := range secretValues {
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s shows %q:\n%s", name, secret, text)
			}
		}
	}
	if s.Lines[0].AppSecret.Reveal() != "0123456789abcdef0123456789abcdef" {
		t.Error("Reveal does not give the value")
	}
}

func TestApplyingAnExportChangesNothing(t *testing.T) {
	s := parseSettings(t, goodSettings)
	doc := export(t, s)
	again, err := PrepareSettings(strings.NewReader(doc), "export.yaml", s)
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	if d := Diff(s, again); len(d) != 0 {
		t.Errorf("changes: %v\n%s", d, doc)
	}
	if doc2 := export(t, again); doc2 != doc {
		t.Errorf("second export differs:\n%s", cmp.Diff(doc, doc2))
	}
	if again.Phones[0].Password.Reveal() != "phone password" || again.Lines[0].Name != "Sales: Jakarta" || again.Phones[0].Extension != "1001" {
		t.Errorf("values were lost: %+v", again)
	}
}

func TestSettingsSurviveTheStore(t *testing.T) {
	s := parseSettings(t, goodSettings)
	data, err := s.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ThawSettings(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(s, back); len(d) != 0 {
		t.Errorf("changed on the way: %v", d)
	}
	if got := back.Trunks[0].Password.Reveal(); got != "pbx password" {
		t.Errorf("password is %q", got)
	}
	for _, bad := range []string{"", "{}", `{"version":2}`, `{"version":1,"document":"lines: 1"}`} {
		if _, err := ThawSettings([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestEmptySettingsExportAndComeBack(t *testing.T) {
	s := parseSettings(t, "")
	if again := parseSettings(t, export(t, s)); len(Diff(s, again)) != 0 {
		t.Error("an empty document changed")
	}
}

func TestDiffNamesWhatChangedAndHidesSecrets(t *testing.T) {
	old := parseSettings(t, goodSettings)
	text := strings.NewReplacer(`"phone password"`, `"another password"`, "ring_timeout: 30s", "ring_timeout: 20s", "trunk:pbx/200", "trunk:pbx/201",
		"host: 192.0.2.5", "host: 192.0.2.6", "    prefix: \"81\"\n", "    prefix: \"82\"\n", "    country: ID\n", "").Replace(goodSettings)
	var got []string
	for _, c := range Diff(old, parseSettings(t, text+"  - extension: 1002\n    password: \"third password\"\n")) {
		got = append(got, c.String())
	}
	want := []string{
		"- lines[sales].country: ID",
		"~ lines[sales].inbound.ring: [phone:1001, trunk:pbx/200] -> [phone:1001, trunk:pbx/201]",
		"~ lines[sales].inbound.ring_timeout: 30s -> 20s",
		`~ lines[sales].outbound.prefix: 81 -> 82`,
		"~ phones[1001].password: (set) -> (set) (changed)",
		"+ phones[1002].enabled: true",
		"+ phones[1002].extension: 1002",
		"+ phones[1002].language: en",
		"+ phones[1002].password: (set)",
		"+ phones[1002].ptime: 20ms",
		"+ phones[1002].refusal: menu",
		"+ phones[1002].supervisor: false",
		"~ trunks[pbx].host: 192.0.2.5 -> 192.0.2.6",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOrderOfEntriesIsNoChange(t *testing.T) {
	two := goodSettings + "  - {extension: 1002, password: \"second password\"}\n"
	swapped := strings.Replace(goodSettings, "phones:\n", "phones:\n  - {extension: 1002, password: \"second password\"}\n", 1)
	if d := Diff(parseSettings(t, two), parseSettings(t, swapped)); len(d) != 0 {
		t.Errorf("%v", d)
	}
}

func TestSecretsAreReadFromFilesAndCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, text := range map[string]string{"token": "from a credential\n", "password": "from a file", "empty": "\n", "two": "a\nb\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.NewReplacer("EAAtoken", "credential:token", `"phone password"`, "file:"+dir+"/password").Replace(goodSettings)
	s, err := PrepareSettings(strings.NewReader(text), "settings.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.Lines[0].AccessToken.Reveal(), s.Phones[0].Password.Reveal(); a != "from a credential" || b != "from a file" {
		t.Errorf("got %q and %q", a, b)
	}
	if doc := export(t, s); !strings.Contains(doc, "access_token: credential:token\n") {
		t.Errorf("the export does not name the reference:\n%s", doc)
	}
	for _, bad := range []string{"credential:missing", "credential:empty", "credential:two", "file:" + dir, "file:/nonexistent"} {
		_, err := PrepareSettings(strings.NewReader(strings.Replace(goodSettings, "EAAtoken", bad, 1)), "settings.yaml", nil)
		if list := ConfigErrors(err); len(list) != 1 || list[0].Path != "lines[0].access_token" || list[0].Line == 0 {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestKeptSecretMustExist(t *testing.T) {
	text := strings.Replace(goodSettings, "EAAtoken", "(set)", 1)
	_, err := PrepareSettings(strings.NewReader(text), "settings.yaml", nil)
	if list := ConfigErrors(err); len(list) != 1 || list[0].Path != "lines[0].access_token" {
		t.Errorf("got %v", err)
	}
}

func TestInternalNumbersOfATrunk(t *testing.T) {
	trunk := Trunk{Extensions: []string{"2xx", "1000", "*1X"}}
	for number, want := range map[string]bool{"200": true, "299": true, "2001": false, "20": false, "1000": true, "1001": false, "*15": true, "2*0": false,
		"": false, "+6281234567": false, "0811": false} {
		if got := trunk.Internal(number); got != want {
			t.Errorf("%q: %v", number, got)
		}
	}
	if (Trunk{}).Internal("200") {
		t.Error("a trunk without patterns takes calls")
	}
}

func TestMayDial(t *testing.T) {
	p := Phone{Line: "a", Lines: []string{"b"}}
	for line, want := range map[string]bool{"a": true, "b": true, "c": false, "": false} {
		if p.MayDial(line) != want {
			t.Errorf("line %q", line)
		}
	}
	if (Phone{}).MayDial("") {
		t.Error("no line is not a line")
	}
}
