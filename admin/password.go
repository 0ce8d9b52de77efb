package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/alexedwards/argon2id"
)

// hashParams are the cost of a password: 64 MiB once, about 60 ms (RFC 9106 §4 with less memory, for a machine that
// carries calls as well).
var hashParams = &argon2id.Params{Memory: 64 << 10, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

const (
	hashesAtOnce = 2
	hashesQueued = 32
)

// hasher bounds what passwords cost the machine: two hashes at once, a short queue, the rest is told to try later.
type hasher struct {
	running, queued chan struct{}
	params          *argon2id.Params
	dummy           string // hash of a password nobody has: what an unknown login is compared with
}

func newHasher(p *argon2id.Params) *hasher {
	return &hasher{running: make(chan struct{}, hashesAtOnce), queued: make(chan struct{}, hashesAtOnce+hashesQueued), params: p, dummy: dummyHash(p)}
}

// dummyHash is a random key in the form of a hash: no password is known for it, and comparing costs what comparing costs.
func dummyHash(p *argon2id.Params) string {
	salt, key := make([]byte, p.SaltLength), make([]byte, p.KeyLength)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	_, _ = rand.Read(key)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.Memory, p.Iterations, p.Parallelism, enc.EncodeToString(salt), enc.EncodeToString(key))
}

func (h *hasher) slot(ctx context.Context) (release func(), err error) {
	select {
	case h.queued <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: sign-ins at once", ErrTooMany)
	}
	select {
	case h.running <- struct{}{}:
		return func() { <-h.running; <-h.queued }, nil
	case <-ctx.Done():
		<-h.queued
		return nil, ctx.Err()
	}
}

func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	s, err := argon2id.CreateHash(password, h.params)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return s, nil
}

// matches compares a password; with an empty hash it takes as long and says no.
func (h *hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	release, err := h.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if hash == "" {
		_, err := argon2id.ComparePasswordAndHash(password, h.dummy)
		return false, err
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("compare password: %w", err)
	}
	return ok, nil
}
