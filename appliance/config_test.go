package appliance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parseConfig(text string) (*Config, error) {
	return ParseConfig(strings.NewReader(text), "deskbridge.yaml")
}

// texts gives the problems of an error, one per line, as an operator reads them.
func texts(err error) []string {
	var list []string
	for _, e := range ConfigErrors(err) {
		list = append(list, e.Error())
	}
	return list
}

func TestEmptyFileGivesTheDefaultsOfTheDesign(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing but a comment\n", "---\n"} {
		c, err := parseConfig(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got := []any{c.DataDir, c.Webhook.Listen, c.Admin.Listen, c.Metrics.Listen, c.SIP.UDP, c.SIP.TCP, c.RTP.PortMin, c.RTP.PortMax,
			c.WebRTC.PortMin, c.WebRTC.PortMax, c.Graph.BaseURL, c.Graph.Version, c.Calls.RingTimeout, c.Calls.DialTimeout, c.DrainLimit}
		want := []any{"/var/lib/deskbridge", ":8443", ":8080", "127.0.0.1:9464", ":5060", ":5060", 20000, 29999,
			40000, 49999, "https://graph.facebook.com", "v25.0", 25 * time.Second, time.Minute, 10 * time.Minute}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q:\n%s", text, d)
		}
	}
}

func TestValuesOfTheFileReplaceDefaults(t *testing.T) {
	c, err := parseConfig(`
data_dir: /srv/deskbridge
public_address: 203.0.113.10
log: {level: debug, format: json}
webhook:
  listen: 127.0.0.1:9443
sip:
  udp: ""
  advertised_address: 192.0.2.20
calls:
  max: 7
  ring_timeout: 40s
webrtc:
  ipv6: true
`)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.DataDir, c.Log.Level, c.Log.Format, c.Webhook.Listen, c.SIP.UDP, c.Calls.Max, c.Calls.RingTimeout, c.WebRTC.IPv6}
	want := []any{"/srv/deskbridge", "debug", "json", "127.0.0.1:9443", "", 7, 40 * time.Second, true}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c.WebRTC.PublicAddress != "203.0.113.10" || c.RTP.Address != "192.0.2.20" {
		t.Errorf("addresses that follow from others: webrtc %q, rtp %q", c.WebRTC.PublicAddress, c.RTP.Address)
	}
}

func TestEveryProblemIsReportedAtOnceWithPathLineAndFix(t *testing.T) {
	_, err := parseConfig(`data_dir: relative
sip:
  upd: ":5060"
  udp: nowhere
calls:
  ring_timeout: 90s
  dial_timeout: 60
  max: many
webrtc:
  outbound_setup: passive
log: loud
graph:
  base_url: http://graph.facebook.com
  version: 25
secret_sauce: 1
`)
	want := []string{
		`deskbridge.yaml:1: data_dir: "relative" is not an absolute path of a folder: use a folder such as /var/lib/deskbridge`,
		`deskbridge.yaml:3: sip.upd: unknown key: known here: advertised_address, domain, tcp, udp`,
		`deskbridge.yaml:4: sip.udp: "nowhere" is not an address to listen on: use :PORT or IP:PORT`,
		`deskbridge.yaml:6: calls.ring_timeout: 1m30s is out of range: use 5s to 55s`,
		`deskbridge.yaml:7: calls.dial_timeout: "60" is not a duration: write it with its unit, such as 25s or 10m`,
		`deskbridge.yaml:8: calls.max: "many" is not a whole number: use digits only`,
		`deskbridge.yaml:10: webrtc.outbound_setup: "passive" is not known: use actpass or active`,
		`deskbridge.yaml:11: log: a group of keys is expected here, found a single value: indent the keys under this one`,
		`deskbridge.yaml:13: graph.base_url: plain http would show the access token to the network: use https; http is for a simulator on this machine only`,
		`deskbridge.yaml:14: graph.version: "25" is not a version: write it as in the URL, such as v25.0`,
		`deskbridge.yaml:15: secret_sauce: unknown key: known here: admin, calls, data_dir, drain_limit, graph, log, media, metrics, public_address, recordings, rtp, sip, webhook, webrtc`,
	}
	if d := cmp.Diff(want, texts(err)); d != "" {
		t.Error(d)
	}
	var ce *ConfigError
	if !errors.As(err, &ce) {
		t.Error("the error does not unwrap to a *ConfigError")
	}
}

func TestBadConfigurations(t *testing.T) {
	tests := []struct{ name, text, path, problem string }{
		{"syntax", "sip: [", "", "not valid YAML"},
		{"tab", "sip:\n\tudp: x", "", "not valid YAML"},
		{"duplicate key", "data_dir: /a\ndata_dir: /b\n", "", "not valid YAML"},
		{"two documents", "data_dir: /a\n---\ndata_dir: /b\n", "", "second YAML document"},
		{"list at the top", "- a\n", "", "a group of keys is expected"},
		{"alias", "data_dir: &x /a\n", "data_dir", "anchors"},
		{"merge key", "sip:\n  <<: {udp: \":1\"}\n", "sip", "anchors"},
		{"tag", "data_dir: !!str /a\n", "data_dir", "anchors"},
		{"not UTF-8", "data_dir: /\xff\n", "", "UTF-8"},
		{"too deep", "data_dir: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "", "nested too deeply"},
		{"too deep in block style", strings.Repeat("- ", 40) + "a", "", "nested too deeply"},
		{"too large", "# " + strings.Repeat("x", maxDocument), "", "larger than 1 MiB"},
		{"root folder", "data_dir: /", "data_dir", "absolute path"},
		{"long folder", "data_dir: /" + strings.Repeat("d", 120), "data_dir", "too long"},
		{"drain beyond the promise", "drain_limit: 11m", "drain_limit", "out of range"},
		{"no SIP at all", "sip: {udp: \"\", tcp: \"\"}", "sip", "switched off"},
		{"two listeners on a port", "admin: {listen: \":8443\"}", "admin.listen", "taken by webhook.listen"},
		{"wildcard and address on a port", "admin: {listen: \"127.0.0.1:8443\"}", "admin.listen", "taken by webhook.listen"},
		{"webhook off", "webhook: {listen: \"\"}", "webhook.listen", "not an address"},
		{"port out of range", "metrics: {listen: \"127.0.0.1:70000\"}", "metrics.listen", "not an address"},
		{"SIP inside RTP", "sip: {udp: \":20000\"}", "sip.udp", "media port range"},
		{"ranges overlap", "rtp: {port_max: 41001}", "webrtc.port_min", "overlaps"},
		{"range upside down", "rtp: {port_min: 30000, port_max: 21001}", "rtp.port_max", "not above"},
		{"odd first port", "rtp: {port_min: 20001}", "rtp.port_min", "odd"},
		{"too few RTP ports", "rtp: {port_min: 20000, port_max: 20099}", "rtp.port_max", "room for 25 calls"},
		{"too few WebRTC ports", "webrtc: {port_min: 40000, port_max: 40009}", "webrtc.port_max", "room for 10 calls"},
		{"no calls", "calls: {max: 0}", "calls.max", "out of range"},
		{"certificate without key", "webhook: {tls: {cert_file: /c.pem}}", "webhook.tls.key_file", "missing"},
		{"realm", "sip: {domain: \"a\\\"b\"}", "sip.domain", "realm"},
		{"host name as address", "rtp: {address: pbx.example.com}", "rtp.address", "not an IP address"},
		{"password in URL", "graph: {base_url: \"https://u:p@graph.facebook.com\"}", "graph.base_url", "not a web address"},
		{"relative music", "media: {hold_music: hold.wav}", "media.hold_music", "absolute"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig(tt.text)
			list := ConfigErrors(err)
			if len(list) == 0 {
				t.Fatal("accepted")
			}
			for _, e := range list {
				if e.Path == tt.path && strings.Contains(e.Problem, tt.problem) && (e.Fix != "" || e.Path == "") {
					return
				}
			}
			t.Errorf("want %s: …%s…, got\n%s", tt.path, tt.problem, strings.Join(texts(err), "\n"))
		})
	}
}

func TestReportAboutNonsenseIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key_%d: 1\n", i)
	}
	_, err := parseConfig(b.String())
	list := ConfigErrors(err)
	if len(list) != maxProblems+1 {
		t.Fatalf("%d problems listed", len(list))
	}
	if last := list[0].Problem + list[len(list)-1].Problem; !strings.Contains(last, "4900 more problems") {
		t.Errorf("the rest is not counted: %s", last)
	}
}

func TestConfigurationMadeByProgramIsValidatedToo(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the defaults are invalid: %v", err)
	}
	c.Calls.RingTimeout = time.Hour
	if got := texts(c.Validate()); len(got) != 1 || !strings.HasPrefix(got[0], "calls.ring_timeout: ") {
		t.Errorf("got %q", got)
	}
}

func TestNearestKeyIsProposed(t *testing.T) {
	_, err := parseConfig("datadir: /a\nrtp: {portmin: 1, port: 2}\n")
	for _, e := range ConfigErrors(err) {
		if !strings.HasPrefix(e.Fix, "did you mean ") {
			t.Errorf("%s: %s", e.Path, e.Fix)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, s := range []string{"", "data_dir: /a", "sip:\n  udp: \":5060\"\n", "a: [1, {b: c}]", "x: &a [*a]", "<<: *x", "? a\n: b", "- - - -", "a: |\n  b\n",
		"\"\\u0000\": 1", "%YAML 1.2\n---\n...", "a: !!binary x", "{", "}", "calls: {max: 99999999999999999999}", "drain_limit: 9999999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		guard := time.AfterFunc(slowDocument, func() { panic("too slow: " + strconv.Quote(text)) })
		defer guard.Stop()
		c, err := parseConfig(text)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil && len(ConfigErrors(err)) == 0 {
			t.Fatalf("untyped error %v", err)
		}
		if err == nil && c.Validate() != nil {
			t.Fatalf("accepted, yet invalid: %v", c.Validate())
		}
	})
}
