package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
)

// checkID bounds what names a record: it becomes part of a key and of a subject.
func checkID(noun, id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("%w: %s ID of %d bytes, want 1 to %d", ErrInvalid, noun, len(id), maxID)
	}
	for _, r := range id {
		if r < 0x20 {
			return fmt.Errorf("%w: control character in %s ID", ErrInvalid, noun)
		}
	}
	return nil
}

// newID is a random name, in the form of a customer's.
func newID(prefix string) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
	return prefix + hex.EncodeToString(b[:])
}

// derivedID is the same for the same parts, and tells nothing about them.
func (s *Store) derivedID(prefix string, parts ...string) string {
	return prefix + hex.EncodeToString([]byte(s.crypt.hash("id", strings.Join(parts, "\x00"))[:12]))
}

// maxID leaves room for the noun in a subject.
const maxID = maxSubject - len("recording:")

// subjects are what a record is about beside itself.
func subjects(line, customer, call string) (about []string) {
	if customer != "" {
		about = append(about, "customer:"+customer)
		if line != "" {
			about = append(about, pairSubject(line, customer))
		}
	}
	if call != "" {
		about = append(about, "call:"+call)
	}
	return about
}
