package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

const (
	keySize      = 32
	nonceSize    = 12
	saltSize     = 16
	maxKeyCached = 4096
)

// errErased: the owner's key is gone, and with it what it sealed.
var errErased = errors.New("personal data erased")

// crypt derives and caches keys. The appliance key itself seals nothing: each use has its own subkey.
type crypt struct {
	wrap, mac, lookup, box []byte

	mu    sync.Mutex
	cache map[string]cipher.AEAD // by owner
}

func newCrypt(appliance []byte) (*crypt, error) {
	if len(appliance) != keySize {
		return nil, fmt.Errorf("appliance key: %w: %d bytes, want %d", ErrInvalid, len(appliance), keySize)
	}
	c := &crypt{cache: map[string]cipher.AEAD{}}
	for name, dst := range map[string]*[]byte{"wrap": &c.wrap, "mac": &c.mac, "lookup": &c.lookup, "box": &c.box} {
		k, err := hkdf.Key(sha256.New, appliance, nil, "deskbridge store v1 "+name, keySize)
		if err != nil {
			return nil, fmt.Errorf("derive %s key: %w", name, err)
		}
		*dst = k
	}
	return c, nil
}

// hash is the lookup form of a value that must not be in a key.
func (c *crypt) hash(kind, value string) string {
	h := hmac.New(sha256.New, c.lookup)
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(value))
	return string(h.Sum(nil)[:24])
}

// sealBox seals under the appliance: a fresh 128-bit salt gives every box its own key, so no nonce can repeat.
func (c *crypt) sealBox(key, plain, aad []byte) ([]byte, error) {
	out := make([]byte, saltSize, saltSize+len(plain)+16)
	if _, err := rand.Read(out); err != nil {
		return nil, fmt.Errorf("read random: %w", err)
	}
	a, err := boxAEAD(key, out[:saltSize])
	if err != nil {
		return nil, err
	}
	return a.Seal(out, make([]byte, nonceSize), plain, aad), nil
}

func (c *crypt) openBox(key, box, aad []byte) ([]byte, error) {
	if len(box) < saltSize {
		return nil, fmt.Errorf("%w: sealed part", ErrCorrupt)
	}
	a, err := boxAEAD(key, box[:saltSize])
	if err != nil {
		return nil, err
	}
	plain, err := a.Open(nil, make([]byte, nonceSize), box[saltSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: sealed part", ErrCorrupt)
	}
	return plain, nil
}

func boxAEAD(key, salt []byte) (cipher.AEAD, error) {
	h := hmac.New(sha256.New, key)
	h.Write(salt)
	return newAEAD(h.Sum(nil))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

func sealWith(a cipher.AEAD, plain, aad []byte) ([]byte, error) {
	out := make([]byte, nonceSize, nonceSize+len(plain)+a.Overhead())
	if _, err := rand.Read(out); err != nil {
		return nil, fmt.Errorf("read random: %w", err)
	}
	return a.Seal(out, out[:nonceSize], plain, aad), nil
}

func openWith(a cipher.AEAD, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < nonceSize {
		return nil, fmt.Errorf("%w: sealed part", ErrCorrupt)
	}
	plain, err := a.Open(nil, sealed[:nonceSize], sealed[nonceSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: sealed part", ErrCorrupt)
	}
	return plain, nil
}

func (c *crypt) cached(owner string) cipher.AEAD {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cache[owner]
}

func (c *crypt) remember(owner string, a cipher.AEAD) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cache) >= maxKeyCached {
		clear(c.cache)
	}
	c.cache[owner] = a
}

func (c *crypt) forget(owners ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range owners {
		delete(c.cache, o)
	}
}
