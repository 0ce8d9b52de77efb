package sip

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
)

// token is n random bytes in hex: tags, branches and Call-IDs must be unguessable (RFC 3261 §19.3, §26.1), sipgo's
// generators use math/rand.
func token(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b)
}

func newBranch() string { return "z9hG4bK" + token(10) }

// randomSeq is a first CSeq: small enough that it never reaches 2^31.
func randomSeq() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return 1 + binary.BigEndian.Uint32(b[:])%100_000
}
