package graph

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a token or key that shows itself to nobody but Reveal: not in logs, errors, JSON or %v.
type Secret struct{ value string }

// NewSecret wraps a token or key.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself, for the one place that must send or use it.
func (s Secret) Reveal() string { return s.value }

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.value == "" }

// String hides the secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// Format hides the secret from every fmt verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalJSON hides the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalText hides the secret from YAML, XML and map keys.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
