package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const keyName = "appliance.key"

// LoadOrCreateKey reads the appliance key: the systemd credential "appliance.key" if there is one, else
// dir/keys/appliance.key, which is made (0600, synced) the first time. Without this key nothing sealed can be read.
func LoadOrCreateKey(dir string) ([]byte, error) {
	if cred := os.Getenv("CREDENTIALS_DIRECTORY"); cred != "" {
		k, err := readKey(filepath.Join(cred, keyName))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return k, err
		}
	}
	path := filepath.Join(dir, "keys", keyName)
	k, err := readKey(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return k, err
	}
	// A data folder with a database but without its key is a mistake in a restore: a new key would hide it.
	if _, err := os.Stat(filepath.Join(dir, "db", "MANIFEST")); err == nil {
		return nil, fmt.Errorf("appliance key %s is missing but the database exists: put the key back from its backup", path)
	}
	k = make([]byte, keySize)
	if _, err := rand.Read(k); err != nil {
		return nil, fmt.Errorf("make appliance key: %w", err)
	}
	if err := writeSynced(path, k); err != nil {
		return nil, fmt.Errorf("make appliance key: %w", err)
	}
	return k, nil
}

func readKey(path string) ([]byte, error) {
	k, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read appliance key: %w", err)
	}
	if len(k) != keySize {
		return nil, fmt.Errorf("appliance key %s: %w: %d bytes, want %d: restore it from a backup", path, ErrInvalid, len(k), keySize)
	}
	info, err := os.Stat(path)
	// systemd mounts credentials read-only for the service alone and picks the mode itself.
	if err == nil && info.Mode().Perm()&0o077 != 0 && filepath.Dir(path) != filepath.Clean(os.Getenv("CREDENTIALS_DIRECTORY")) {
		return nil, fmt.Errorf("appliance key %s is readable by others: chmod 600 it", path)
	}
	return k, err
}

// writeSynced: write, fsync, rename, fsync folder (reliability.md). After a power cut the file is whole or absent.
func writeSynced(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, keyName+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
