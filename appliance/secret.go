package appliance

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// SecretSet stands for a secret that is kept but not shown. In a document that is applied it means: keep what you have.
const SecretSet = "(set)"

// maxSecret bounds what is read from a secret's file. Meta's tokens are a few hundred bytes.
const maxSecret = 16 << 10

// Secret is a token, an app secret or a password. It can be written in a document, or the document names where it is:
// file:/path or credential:NAME (systemd LoadCredential). The environment is not a place for secrets: every child process
// and /proc show it. However it is printed, logged or marshalled, its value does not appear; only Reveal gives it.
type Secret struct {
	value string
	ref   string // "file:/path" or "credential:NAME"; empty for a value written inline
	kept  bool   // it was given as "(set)": the value is to come from the settings in force
}

// NewSecret returns a secret with this value.
func NewSecret(value string) Secret { return Secret{value: value} }

// ParseSecret understands the notation of the documents. A reference is not followed yet; see Resolve.
func ParseSecret(text string) (Secret, error) {
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case text == SecretSet:
		return Secret{kept: true}, nil
	case found && scheme == "file":
		if !filepath.IsAbs(rest) {
			return Secret{}, errors.New("file: needs an absolute path")
		}
		return Secret{ref: text}, nil
	case found && scheme == "credential":
		if rest == "" || rest != filepath.Base(rest) || strings.HasPrefix(rest, ".") {
			return Secret{}, errors.New("credential: needs the plain name of a systemd credential")
		}
		return Secret{ref: text}, nil
	case found && (scheme == "env" || scheme == "environment"):
		return Secret{}, errors.New("secrets are not read from the environment")
	case strings.ContainsAny(text, "\r\n\x00"):
		return Secret{}, errors.New("a secret is a single line")
	case len(text) > maxSecret:
		return Secret{}, errors.New("a secret has at most 16 KiB")
	}
	return Secret{value: text}, nil
}

// Resolve follows the reference, if there is one, and remembers the value.
func (s *Secret) Resolve() error {
	path, found := strings.CutPrefix(s.ref, "file:")
	if name, ok := strings.CutPrefix(s.ref, "credential:"); ok {
		dir := os.Getenv("CREDENTIALS_DIRECTORY") // systemd.exec(5): a path, not a secret
		if dir == "" {
			return fmt.Errorf("credential %q: the service was started without credentials", name)
		}
		path, found = filepath.Join(dir, name), true
	}
	if !found {
		return nil
	}
	value, err := readSecret(path)
	if err != nil {
		return err
	}
	s.value = value
	return nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err // names the file
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a plain file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(text), "\r\n")
	switch {
	case value == "":
		return "", fmt.Errorf("%s is empty", path)
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s is larger than 16 KiB", path)
	case strings.ContainsAny(value, "\r\n\x00"):
		return "", fmt.Errorf("%s has more than one line", path)
	}
	return value, nil
}

// Reveal returns the value, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether nothing was given at all: no value, no reference, no "(set)".
func (s Secret) IsZero() bool { return s == Secret{} }

// String is what a person may see: where the secret is, "(set)", or nothing when there is none.
func (s Secret) String() string {
	switch {
	case s.ref != "":
		return s.ref
	case s.IsZero():
		return ""
	}
	return SecretSet
}

// GoString keeps %#v from showing the fields.
func (s Secret) GoString() string { return "appliance.Secret(" + s.String() + ")" }

// Format keeps every verb, %x and %q included, from showing the value.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is for JSON and every other encoder that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
