package recorder

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	keyFileName = "recording.keys"
	keyFileHead = "# deskbridge recording keys, the newest last. Keep them all: each opens the recordings made under it.\n"
	maxKeyFile  = 1 << 20
)

// LoadOrCreateKeyring reads the recording keys: the systemd credential "recording.keys" if there is one, else
// dir/keys/recording.keys, which is made (0600, synced) with one key the first time. The file has one key per line, 64
// hexadecimal digits; lines that begin with # are comments.
func LoadOrCreateKeyring(dir string) (*Keyring, error) {
	if cred := os.Getenv("CREDENTIALS_DIRECTORY"); cred != "" {
		k, err := readKeyring(filepath.Join(cred, keyFileName))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return k, err
		}
	}
	path := filepath.Join(dir, "keys", keyFileName)
	k, err := readKeyring(path)
	if err == nil {
		k.path = path
	}
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return k, err
	}
	key := make([]byte, ringKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make recording key: %w", err)
	}
	k, err = NewKeyring(key)
	if err != nil {
		return nil, err
	}
	k.path = path
	return k, writeKeyring(path, k.order)
}

// Rotate adds a fresh key to the ring and its file; recordings started from now on are sealed under it. The old keys stay.
func (k *Keyring) Rotate() (KeyID, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" {
		return KeyID{}, fmt.Errorf("rotate recording key: %w: the ring is not from a file of ours: add a line to where it comes from", ErrInvalid)
	}
	if len(k.order) >= maxRingKeys {
		return KeyID{}, fmt.Errorf("rotate recording key: %w: %d keys already", ErrInvalid, maxRingKeys)
	}
	key := make([]byte, ringKeySize)
	if _, err := rand.Read(key); err != nil {
		return KeyID{}, fmt.Errorf("make recording key: %w", err)
	}
	// On disk before it is used: a recording whose key is lost is lost.
	if err := writeKeyring(k.path, append(k.order[:len(k.order):len(k.order)], key)); err != nil {
		return KeyID{}, err
	}
	k.add(key)
	return k.newest, nil
}

func readKeyring(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read recording keys: %w", err)
	}
	// systemd mounts credentials read-only for the service alone and picks the mode itself.
	if info.Mode().Perm()&0o077 != 0 && filepath.Dir(path) != filepath.Clean(os.Getenv("CREDENTIALS_DIRECTORY")) {
		return nil, fmt.Errorf("recording keys %s are readable by others: chmod 600 the file", path)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("recording keys %s: %w: %d bytes, at most %d", path, ErrInvalid, info.Size(), maxKeyFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read recording keys: %w", err)
	}
	var keys [][]byte
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != ringKeySize { // the line itself stays out of the message
			return nil, fmt.Errorf("recording keys %s:%d: %w: want 64 hexadecimal digits: restore the file from a backup", path, n, ErrInvalid)
		}
		keys = append(keys, key)
	}
	k, err := NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("recording keys %s: %w", path, err)
	}
	return k, nil
}

// writeKeyring: write, fsync, rename, fsync folder (reliability.md). After a power cut the file is the old or the new one.
func writeKeyring(path string, keys [][]byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write recording keys: %w", err)
	}
	f, err := os.CreateTemp(dir, keyFileName+".*") // 0600
	if err != nil {
		return fmt.Errorf("write recording keys: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(keyFileHead)
	for _, k := range keys {
		if err == nil {
			_, err = f.WriteString(hex.EncodeToString(k) + "\n")
		}
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err == nil {
			err = syncFolder(d)
		}
	}
	if err != nil {
		return fmt.Errorf("write recording keys: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
