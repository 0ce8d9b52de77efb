package appliance

import (
	"strings"
	"testing"
)

const recordingSettings = `
recording:
  keep_days: 90
  quota_gib: 500
  recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
  archive: {endpoint: "https://s3.example.com", bucket: calls, prefix: box1/, access_key: AK, secret_key: abc, local_days: 7}
`

// withRecording is the good document with recording options on its first line and below.
func withRecording(t *testing.T, line string) string {
	t.Helper()
	doc := strings.Replace(goodSettings, "    inbound:", "    recording: {"+line+"}\n    inbound:", 1)
	if doc == goodSettings {
		t.Fatal("the good document has no inbound")
	}
	return doc + recordingSettings
}

func TestGoodRecordingSettings(t *testing.T) {
	s := parseSettings(t, withRecording(t, `mode: always, percent: 20, consent: announcement, refuse_key: "9", toggle: "*1", keep_days: 365`))
	r := s.retention()
	if r.Days != 90 || r.Quota != 500<<30 || r.LocalDays != 7 || r.LineDays[s.Lines[0].ID] != 365 {
		t.Errorf("rules %+v", r)
	}
	if a := s.archive(); a == nil || a.SecretKey != "abc" || a.Bucket != "calls" {
		t.Errorf("archive %+v", a)
	}
	var doc strings.Builder
	if err := s.Export(&doc); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(doc.String(), "abc") || !strings.Contains(doc.String(), `refuse_key: "9"`) {
		t.Errorf("the export: %s", doc.String())
	}
	if a := parseSettings(t, goodSettings).archive(); a != nil {
		t.Errorf("an archive by default: %+v", a)
	}
}

func TestBadRecordingSettings(t *testing.T) {
	tests := []struct{ name, line, old, new, path, problem string }{
		{"mode", "mode: sometimes", "", "", "lines[0].recording.mode", "sometimes"},
		{"percent too large", "mode: always, percent: 101", "", "", "lines[0].recording.percent", "101"},
		{"percent of nothing", "mode: demand, percent: 10", "", "", "lines[0].recording.percent", "not always"},
		{"key that is none", "mode: always, consent: announcement, refuse_key: yes", "", "", "lines[0].recording.refuse_key", "not a key"},
		{"key nobody hears of", `mode: always, consent: beep, refuse_key: "9"`, "", "", "lines[0].recording.refuse_key", "nothing tells"},
		{"must and may not", `mode: always, consent: announcement, refuse_key: "9", required: true`, "", "", "lines[0].recording.refuse_key", "must be recorded"},
		{"must and some", "mode: always, percent: 10, required: true", "", "", "lines[0].recording.percent", "must be recorded"},
		{"must on demand", "mode: demand, required: true", "", "", "lines[0].recording.required", "not always"},
		{"toggle", "mode: always, toggle: record", "", "", "lines[0].recording.toggle", "cannot be pressed"},
		{"days of a line", "mode: always, keep_days: -1", "", "", "lines[0].recording.keep_days", "-1 days"},
		{"days", "mode: never", "keep_days: 90", "keep_days: 1000000", "recording.keep_days", "1000000 days"},
		{"quota", "mode: never", "quota_gib: 500", "quota_gib: -5", "recording.quota_gib", "-5 GiB"},
		{"recipient", "mode: never", "[age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]", "[age1nobody]", "recording.recipients[0]", "not a public key"},
		{"endpoint", "mode: never", "https://s3.example.com", "s3.example.com", "recording.archive.endpoint", "not the URL"},
		{"endpoint with bucket", "mode: never", "https://s3.example.com", "https://s3.example.com/calls", "recording.archive.endpoint", "not the URL"},
		{"bucket", "mode: never", "bucket: calls", "bucket: Calls_1", "recording.archive.bucket", "not a bucket"},
		{"prefix", "mode: never", "prefix: box1/", "prefix: /box1", "recording.archive.prefix", "cannot begin"},
		{"no secret", "mode: never", ", secret_key: abc", "", "recording.archive.secret_key", "missing"},
		{"no endpoint", "mode: never", `endpoint: "https://s3.example.com", `, "", "recording.archive.endpoint", "missing"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			doc := withRecording(t, c.line)
			if c.old != "" {
				doc = strings.Replace(doc, c.old, c.new, 1)
			}
			_, err := ParseSettings(strings.NewReader(doc), "test.yaml")
			for _, e := range ConfigErrors(err) {
				if e.Path == c.path && strings.Contains(e.Problem, c.problem) && e.Fix != "" {
					return
				}
			}
			t.Errorf("want %s: …%s…, got %v", c.path, c.problem, err)
		})
	}
}
