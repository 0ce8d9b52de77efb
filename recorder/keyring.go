package recorder

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"sync"

	"filippo.io/age"
)

const (
	ringKeySize = 32
	keyIDSize   = 8
	nonceSize   = 12
	maxRingKeys = 1000

	wrapKeyring = 1
	wrapAge     = 2
)

// KeyID names a key of a Keyring. It is computed from the key, so it cannot be mistaken.
type KeyID [keyIDSize]byte

// String is the ID in hex, as error messages and reports show it.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// Keyring holds the appliance's recording keys: the newest seals new recordings, the older ones keep old files readable.
// It is safe for concurrent use.
type Keyring struct {
	mu     sync.RWMutex
	keys   map[KeyID][]byte
	newest KeyID
	order  [][]byte
	path   string // "" when it was given as bytes
}

// NewKeyring makes a ring of 32-byte keys, the newest last.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	k := &Keyring{keys: map[KeyID][]byte{}}
	if len(keys) == 0 || len(keys) > maxRingKeys {
		return nil, fmt.Errorf("recording keys: %w: %d keys, want 1 to %d", ErrInvalid, len(keys), maxRingKeys)
	}
	for i, key := range keys {
		if len(key) != ringKeySize {
			return nil, fmt.Errorf("recording key %d: %w: %d bytes, want %d", i+1, ErrInvalid, len(key), ringKeySize)
		}
		k.add(bytes.Clone(key))
	}
	return k, nil
}

func (k *Keyring) add(key []byte) {
	k.newest = keyIDOf(key)
	k.keys[k.newest] = key
	k.order = append(k.order, key)
}

func keyIDOf(key []byte) KeyID {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("deskbridge recording key id"))
	return KeyID(m.Sum(nil)[:keyIDSize])
}

// Newest is the key that new recordings are sealed under.
func (k *Keyring) Newest() KeyID {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.newest
}

// IDs are all keys of the ring, the newest last.
func (k *Keyring) IDs() []KeyID {
	k.mu.RLock()
	defer k.mu.RUnlock()
	ids := make([]KeyID, len(k.order))
	for i, key := range k.order {
		ids[i] = keyIDOf(key)
	}
	return ids
}

func (k *Keyring) wrap(fileKey []byte, id [idSize]byte) (wrap, error) {
	k.mu.RLock()
	key := k.keys[k.newest]
	keyID := k.newest
	k.mu.RUnlock()
	a, err := ringAEAD(key)
	if err != nil {
		return wrap{}, err
	}
	body := append(keyID[:], make([]byte, nonceSize)...)
	nonce := body[keyIDSize:]
	if _, err := rand.Read(nonce); err != nil {
		return wrap{}, fmt.Errorf("read random: %w", err)
	}
	return wrap{wrapKeyring, a.Seal(body, nonce, fileKey, wrapContext(id))}, nil
}

// unwrap opens w. missing is the key's ID if the ring lacks it.
func (k *Keyring) unwrap(w wrap, id [idSize]byte) (fileKey []byte, missing *KeyID) {
	if len(w.body) != keyIDSize+nonceSize+fileKeySize+tagSize {
		return nil, nil
	}
	keyID := KeyID(w.body[:keyIDSize])
	k.mu.RLock()
	key, ok := k.keys[keyID]
	k.mu.RUnlock()
	if !ok {
		return nil, &keyID
	}
	a, err := ringAEAD(key)
	if err != nil {
		return nil, nil
	}
	fileKey, err = a.Open(nil, w.body[keyIDSize:keyIDSize+nonceSize], w.body[keyIDSize+nonceSize:], wrapContext(id))
	if err != nil {
		return nil, nil
	}
	return fileKey, nil
}

func ringAEAD(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// wrapContext binds a wrap to its recording: it opens in no other file.
func wrapContext(id [idSize]byte) []byte {
	return append([]byte("deskbridge recording 1\x00"), id[:]...)
}

// wrapAll seals the file key for the ring (may be nil) and for each recipient.
func wrapAll(fileKey []byte, id [idSize]byte, ring *Keyring, recipients []age.Recipient) ([]wrap, error) {
	var wraps []wrap
	if ring != nil {
		w, err := ring.wrap(fileKey, id)
		if err != nil {
			return nil, fmt.Errorf("wrap recording key: %w", err)
		}
		wraps = append(wraps, w)
	}
	for i, r := range recipients {
		var b bytes.Buffer
		w, err := age.Encrypt(&b, r)
		if err == nil {
			_, err = w.Write(slices.Concat(fileKey, id[:])) // age has no associated data: the ID goes inside
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("wrap recording key for recipient %d: %w", i+1, err)
		}
		wraps = append(wraps, wrap{wrapAge, b.Bytes()})
	}
	return wraps, nil
}

// Keys is what a reader may use to open recordings.
type Keys struct {
	Keyring    *Keyring
	Identities []age.Identity
}

// unwrap finds the file key. ErrNoKey names the key of the ring that is missing.
func (k Keys) unwrap(h *header) ([]byte, error) {
	var missing *KeyID
	for _, w := range h.wraps {
		switch {
		case w.kind == wrapKeyring && k.Keyring != nil:
			key, lacks := k.Keyring.unwrap(w, h.id)
			if key != nil {
				return key, nil
			}
			if lacks != nil {
				missing = lacks
			}
		case w.kind == wrapAge && len(k.Identities) > 0:
			if key := unwrapAge(w, h.id, k.Identities); key != nil {
				return key, nil
			}
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("%w: it was sealed under recording key %s: put that key back into the keyring from its backup", ErrNoKey, missing)
	}
	return nil, ErrNoKey
}

func unwrapAge(w wrap, id [idSize]byte, identities []age.Identity) []byte {
	r, err := age.Decrypt(bytes.NewReader(w.body), identities...)
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(r, fileKeySize+idSize+1))
	if err != nil || len(plain) != fileKeySize+idSize || !bytes.Equal(plain[fileKeySize:], id[:]) {
		return nil
	}
	return plain[:fileKeySize]
}
