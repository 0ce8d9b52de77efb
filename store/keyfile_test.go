package store

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApplianceKeyIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	a, err := LoadOrCreateKey(dir)
	must(t, err)
	b, err := LoadOrCreateKey(dir)
	must(t, err)
	if len(a) != 32 || !bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) {
		t.Errorf("keys %x %x", a, b)
	}
	path := filepath.Join(dir, "keys", "appliance.key")
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "keys", "*")); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	must(t, os.Chmod(path, 0o644))
	if _, err := LoadOrCreateKey(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("key readable by others: %v", err)
	}
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, []byte("short"), 0o600))
	if _, err := LoadOrCreateKey(dir); err == nil {
		t.Error("truncated key accepted")
	}
}

func TestCredentialBeatsTheKeyFile(t *testing.T) {
	cred := t.TempDir()
	want := bytes.Repeat([]byte{7}, 32)
	must(t, os.WriteFile(filepath.Join(cred, "appliance.key"), want, 0o440))
	t.Setenv("CREDENTIALS_DIRECTORY", cred)
	dir := t.TempDir()
	k, err := LoadOrCreateKey(dir)
	if err != nil || !bytes.Equal(k, want) {
		t.Errorf("%x %v", k, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); !os.IsNotExist(err) {
		t.Error("a key file was made beside the credential")
	}
}

func TestLostKeyIsNotReplacedByANewOne(t *testing.T) {
	dir := t.TempDir()
	k, err := LoadOrCreateKey(dir)
	must(t, err)
	cfg := testConfig(dir)
	cfg.Key = k
	must(t, open(t, cfg).Close())
	must(t, os.Remove(filepath.Join(dir, "keys", "appliance.key")))
	if _, err := LoadOrCreateKey(dir); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("a new key for an old database: %v", err)
	}
}
