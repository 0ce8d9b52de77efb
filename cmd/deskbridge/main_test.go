package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// invoke runs one command line in this process.
func invoke(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestExitCodesAndWhatTheyComeWith(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := file("bad.yaml", "sip: {upd: 1}\nlog: {level: loud}\n")
	good := file("good.yaml", "data_dir: "+dir+"/data\n")
	for _, c := range []struct {
		args []string
		code int
		want string // in either output
	}{
		{nil, exitUsage, "Usage: deskbridge COMMAND"},
		{[]string{"help"}, exitOK, "selftest"},
		{[]string{"version"}, exitOK, "libopus"},
		{[]string{"version", "extra"}, exitUsage, `unexpected argument "extra"`},
		{[]string{"nonsense"}, exitUsage, "nonsense"},
		{[]string{"serve", "--help"}, exitOK, "configuration"},
		{[]string{"serve", "--no-such-flag"}, exitUsage, "no-such-flag"},
		{[]string{"serve", "--config", filepath.Join(dir, "none.yaml")}, exitFailed, "--config"},
		{[]string{"check", "--config", bad}, exitProblems, "bad.yaml:1: sip.upd"},
		{[]string{"check", "--config", bad}, exitProblems, "bad.yaml:2: log.level"},
		{[]string{"settings"}, exitUsage, "apply"},
		{[]string{"settings", "apply", "--config", good}, exitUsage, "apply"},
		{[]string{"settings", "export", "--config", good}, exitFailed, "run"},
		{[]string{"status", "--config", good}, exitFailed, "run"},
		{[]string{"user"}, exitUsage, "passwd [flags] LOGIN"},
		{[]string{"user", "add", "--config", good}, exitUsage, "LOGIN"},
		{[]string{"user", "add", "ayu", "extra", "--config", good}, exitUsage, "extra"},
		{[]string{"user", "list", "--config", good}, exitFailed, "run"},
		{[]string{"user", "add", "--config", good, "ayu"}, exitFailed, "run"},
		{[]string{"token", "create", "--config", good}, exitUsage, "--scopes"},
		{[]string{"token", "create", "--config", good, "--user", "ayu", "--name", "crm", "--scopes", "calls:read"}, exitFailed, "run"},
		{[]string{"demo", "--address", "nowhere"}, exitUsage, "--address"},
		{[]string{"selftest", "--codec", "mp3"}, exitUsage, "PCMA"},
	} {
		code, out, errOut := invoke(t, c.args...)
		if code != c.code || !strings.Contains(out+errOut, c.want) {
			t.Errorf("deskbridge %s: exit %d, want %d with %q\n%s%s", strings.Join(c.args, " "), code, c.code, c.want, out, errOut)
		}
	}
}

func TestSelftestPlacesACallEachWay(t *testing.T) {
	code, out, errOut := invoke(t, "selftest", "--codec", "opus")
	if code != exitOK || !strings.Contains(out, "selftest passed") || strings.Contains(out, "FAILED") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}
