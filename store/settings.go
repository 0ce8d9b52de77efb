package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// maxSettings keeps the document inside one transaction.
const maxSettings = 512 << 10

const settingsSubject = "settings"

// Settings is the document in force and its version; nil and 0 before the first PutSettings.
func (s *Store) Settings(ctx context.Context) (document []byte, version uint64, err error) {
	err = s.view(ctx, func(t *tx) error {
		document, version, err = t.settings()
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read settings: %w", err)
	}
	return document, version, nil
}

func (t *tx) settings() ([]byte, uint64, error) {
	_, open, doc, err := t.load(keySettings)
	if errors.Is(err, ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if len(open) != 8 {
		return nil, 0, fmt.Errorf("%w: settings", ErrCorrupt)
	}
	return doc, binary.BigEndian.Uint64(open), nil
}

// PutSettings replaces the document if its version is still expect (ErrVersion otherwise) and appends a
// "setting.changed" fact with the hash of the new one. It returns the new version.
func (s *Store) PutSettings(ctx context.Context, document []byte, expect uint64) (version uint64, err error) {
	if len(document) == 0 || len(document) > maxSettings {
		return 0, fmt.Errorf("put settings: %w: %d bytes, at most %d", ErrTooLarge, len(document), maxSettings)
	}
	sum := sha256.Sum256(document)
	_, err = s.submit(ctx, classNormal, func(t *tx) error {
		_, have, err := t.settings()
		if err != nil {
			return err
		}
		if have != expect {
			return fmt.Errorf("%w: settings are at %d, expected %d", ErrVersion, have, expect)
		}
		version = have + 1
		data, err := json.Marshal(map[string]any{"version": version, "sha256": hex.EncodeToString(sum[:]), "bytes": len(document)})
		if err != nil {
			return err
		}
		if err := t.put(keySettings, "", u64(version), document); err != nil {
			return err
		}
		_, err = t.append(Fact{Kind: "setting.changed", At: s.cfg.Clock(), Subjects: []string{settingsSubject}, Version: 1, Data: data})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("put settings: %w", err)
	}
	return version, nil
}
