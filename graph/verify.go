package graph

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// SignatureHeader carries the signature of a webhook. The SHA-1 X-Hub-Signature beside it is legacy and ignored.
const SignatureHeader = "X-Hub-Signature-256"

// Verify reports whether header is the signature of body under the app secret, in constant time (§5.2). body is the raw
// bytes as received: Meta escapes non-ASCII in some bodies and not in others, so a re-encoded body never verifies.
func Verify(secret Secret, body []byte, header string) bool {
	hexSum, ok := strings.CutPrefix(strings.TrimSpace(header), "sha256=")
	if !ok || secret.Empty() || len(hexSum) != 2*sha256.Size {
		return false
	}
	sum, err := hex.DecodeString(hexSum)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return hmac.Equal(sum, mac.Sum(nil))
}
