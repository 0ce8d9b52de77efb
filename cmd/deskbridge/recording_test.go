package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
)

func TestRecordingUsage(t *testing.T) {
	config := filepath.Join(t.TempDir(), "deskbridge.yaml")
	if err := os.WriteFile(config, []byte("data_dir: "+filepath.Join(t.TempDir(), "data")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "Usage"},
		{"--help", exitOK, "Usage"},
		{"play", exitUsage, "Usage"},
		{"list extra", exitUsage, "unexpected argument"},
		{"list --since yesterday", exitUsage, "neither a day"},
		{"export x --format mp3", exitUsage, "no format"},
		{"export x --file y", exitUsage, "unexpected argument"},
		{"export --file /nothere.dbr --identity /nothere", exitFailed, "no such file"},
		{"hold", exitUsage, "at least one"},
		{"release", exitUsage, "at least one"},
		{"link a b", exitUsage, "one recording"},
		{"erase", exitUsage, "--customer"},
		{"erase --customer x", exitUsage, "--yes"},
		{"list", exitFailed, "not running"},
		{"verify x", exitFailed, "not running"},
	}
	for _, c := range tests {
		var out bytes.Buffer
		args := append([]string{"recording"}, strings.Fields(c.args)...)
		if c.args != "" && args[1] != "--help" {
			args = append(args, "--config", config)
		}
		if code := run(t.Context(), args, &out, &out); code != c.code && !(c.says == "not running" && code == exitProblems) || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: exit %d, want %d with %q: %s", c.args, code, c.code, c.says, out.String())
		}
	}
}

func TestClaimMakesTheFolder(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "deskbridge.yaml")
	if err := os.WriteFile(config, []byte("data_dir: "+dir+"/data\nrecordings: {dir: "+dir+"/calls}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"recording", "claim", "--config", config}, &out, &out); code != exitOK {
		t.Fatalf("exit %d: %s", code, out.String())
	}
	if _, err := os.Stat(filepath.Join(dir, "calls", ".deskbridge-recordings")); err != nil {
		t.Error(err)
	}
}

func TestDaysAndTimes(t *testing.T) {
	if d, err := parseDay("2026-11-28"); err != nil || !d.Equal(time.Date(2026, 11, 28, 0, 0, 0, 0, time.Local)) {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := parseDay("2026-11-28T15:04:05+07:00"); err != nil || d.UTC().Hour() != 8 {
		t.Errorf("%v, %v", d, err)
	}
}

// TestAnExportIsWholeOrNotThere: what breaks off leaves no file behind.
func TestAnExportIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	c := &invocation{out: &bytes.Buffer{}, err: &bytes.Buffer{}}
	if err := c.write(strings.NewReader("half"), 8, dir, "call.opus"); err == nil {
		t.Error("half an export is no error")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := c.write(strings.NewReader("complete"), 8, dir, "call.opus"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "call.opus")); err != nil || string(b) != "complete" {
		t.Errorf("%q, %v", b, err)
	}
	if out, err := openOutput(c, filepath.Join(dir, "own.opus"), "call.opus"); err != nil || out.finish(errors.New("broken")) == nil {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "own.opus")); !os.IsNotExist(err) {
		t.Errorf("own.opus: %v", err)
	}
}

func TestTheBarIsForTerminals(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, "x")
	b.at(1, 2)
	b.clear()
	if out.Len() > 0 {
		t.Errorf("a file gets %q", out.String())
	}
	b.w = &out
	b.at(1, 2)
	b.at(2, 2)
	if got := out.String(); !strings.Contains(got, " 50 %") || !strings.Contains(got, "100 %") {
		t.Errorf("%q", got)
	}
}

func TestVerdictLines(t *testing.T) {
	line := verdictLine(appliance.RecordingReport{Verdict: "damaged", Duration: 90 * time.Second, Packets: 9000, Lost: 3, Ended: "call ended", Faults: 2, First: "customer packet 7 at byte 99: wrong"})
	for _, want := range []string{"damaged", "90.0 s", "no key", "SHA-256", "2 faults, first: customer packet 7"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}
