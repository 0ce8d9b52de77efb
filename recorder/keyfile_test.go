package recorder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeyringIsMadeOnceKeptAndRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", keyFileName)
	a, err := LoadOrCreateKeyring(dir)
	must(t, err)
	again, err := LoadOrCreateKeyring(dir)
	must(t, err)
	if d := cmp.Diff(a.IDs(), again.IDs()); d != "" || len(a.IDs()) != 1 {
		t.Error(d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	old := a.Newest()
	id, err := again.Rotate()
	must(t, err)
	third, err := LoadOrCreateKeyring(dir)
	must(t, err)
	if d := cmp.Diff([]KeyID{old, id}, third.IDs()); d != "" || third.Newest() != id || again.Newest() != id || id == old {
		t.Error(d)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "keys", "*")); len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
	if _, err := testRing(t).Rotate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("a ring without a file: %v", err)
	}
}

func TestBadKeyFilesAreRefusedWithoutShowingThem(t *testing.T) {
	line := strings.Repeat("ab", 32)
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others": {line, 0o644, "chmod 600"},
		"short":              {"# a comment\n" + line[2:], 0o600, ":2:"},
		"not hex":            {strings.Repeat("xy", 32), 0o600, "64 hexadecimal"},
		"no key":             {"# nothing\n", 0o600, "0 keys"},
		"large":              {strings.Repeat("#", maxKeyFile+1), 0o600, "at most"},
	} {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
		path := filepath.Join(dir, "keys", keyFileName)
		must(t, os.WriteFile(path, []byte(c.text), c.mode))
		_, err := LoadOrCreateKeyring(dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), line[2:]) || strings.Contains(err.Error(), "xyxy") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewKeyring([]byte("short")); !errors.Is(err, ErrInvalid) {
		t.Errorf("short key: %v", err)
	}
}

func TestCredentialBeatsTheKeyringFile(t *testing.T) {
	cred := t.TempDir()
	must(t, os.WriteFile(filepath.Join(cred, keyFileName), []byte(strings.Repeat("07", 32)+"\n"), 0o440))
	t.Setenv("CREDENTIALS_DIRECTORY", cred)
	dir := t.TempDir()
	k, err := LoadOrCreateKeyring(dir)
	must(t, err)
	if k.Newest() != keyIDOf(bytes.Repeat([]byte{7}, 32)) {
		t.Error("another key")
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); !os.IsNotExist(err) {
		t.Error("a key file was made beside the credential")
	}
}
