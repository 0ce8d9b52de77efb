package admin

import (
	"context"
	"errors"
	"testing"

	"github.com/alexedwards/argon2id"
)

func TestAnUnknownUserCostsTheSameHash(t *testing.T) {
	h := newHasher(hashParams)
	p, salt, key, err := argon2id.DecodeHash(h.dummy)
	if err != nil || p.Memory != hashParams.Memory || p.Iterations != hashParams.Iterations || p.Parallelism != hashParams.Parallelism || len(salt) != int(hashParams.SaltLength) || len(key) != int(hashParams.KeyLength) {
		t.Fatalf("dummy %q: %+v %v", h.dummy, p, err)
	}
	if ok, err := h.matches(t.Context(), "any password", ""); ok || err != nil {
		t.Errorf("nobody's password matched: %v %v", ok, err)
	}
	real, err := h.hash(t.Context(), testPassword)
	if err != nil {
		t.Fatal(err)
	}
	q, _, _, err := argon2id.DecodeHash(real)
	if err != nil || *q != *p {
		t.Errorf("a real hash costs %+v, the dummy %+v", q, p)
	}
	if ok, _ := h.matches(t.Context(), testPassword, real); !ok {
		t.Error("the right password does not match")
	}
}

func TestHashesAreTwoAtOnceAndTheQueueIsShort(t *testing.T) {
	h := newHasher(&argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16})
	var held []func()
	for range hashesAtOnce {
		release, err := h.slot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, release)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, hashesQueued)
	for range hashesQueued {
		go func() { // ends with ctx
			_, err := h.hash(ctx, testPassword)
			waiting <- err
		}()
	}
	await(t, func() bool { return len(h.queued) == cap(h.queued) })
	if _, err := h.hash(t.Context(), testPassword); !errors.Is(err, ErrTooMany) {
		t.Errorf("beyond the queue: %v", err)
	}
	cancel()
	for range hashesQueued {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting: %v", err)
		}
	}
	for _, release := range held {
		release()
	}
	if _, err := h.hash(t.Context(), testPassword); err != nil {
		t.Error(err)
	}
}
