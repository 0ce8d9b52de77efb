package recorder

import (
	"fmt"
	"strings"
	"sync/atomic"

	"filippo.io/age"
)

// MaxRecipients is how many public keys one list may have: their stanzas fill one key wrap.
const MaxRecipients = 15

// nobody is the stanza of an empty list: age writes no header without one, and readers pass over those they don't know.
const nobody = "nobody-grease"

// Recipients is an age.Recipient that stands for a list which may change while the recorder runs: each recording is sealed
// for those who are on it when it starts. All of them share one key wrap; an empty list makes one that nobody opens.
type Recipients struct {
	list atomic.Pointer[[]age.Recipient]
}

var _ age.Recipient = (*Recipients)(nil)

// Set replaces the list by these public keys ("age1…").
func (r *Recipients) Set(texts []string) error {
	if len(texts) > MaxRecipients {
		return fmt.Errorf("recording recipients: %w: %d, at most %d", ErrInvalid, len(texts), MaxRecipients)
	}
	list := make([]age.Recipient, 0, len(texts))
	for i, text := range texts {
		one, err := parseRecipient(text)
		if err != nil {
			return fmt.Errorf("recording recipient %d: %w", i+1, err)
		}
		list = append(list, one)
	}
	r.list.Store(&list)
	return nil
}

// Wrap implements age.Recipient.
func (r *Recipients) Wrap(fileKey []byte) (stanzas []*age.Stanza, err error) {
	list := r.list.Load()
	if list == nil || len(*list) == 0 {
		return []*age.Stanza{{Type: nobody}}, nil
	}
	for _, one := range *list {
		s, err := one.Wrap(fileKey)
		if err != nil {
			return nil, fmt.Errorf("wrap for recipient: %w", err)
		}
		stanzas = append(stanzas, s...)
	}
	return stanzas, nil
}

// RecipientList is what goes into Config.Recipients.
func RecipientList(r *Recipients) []age.Recipient { return []age.Recipient{r} }

// CheckRecipient says what is wrong with a public key, nil if nothing.
func CheckRecipient(text string) error {
	_, err := parseRecipient(text)
	return err
}

// parseRecipient takes X25519 keys only: what age-keygen makes, and small enough for the header.
func parseRecipient(text string) (age.Recipient, error) {
	r, err := age.ParseX25519Recipient(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("%w: not a public key of age: %w", ErrInvalid, err)
	}
	return r, nil
}

// ParseIdentities reads a file of age-keygen: secret keys, one a line, and comments.
func ParseIdentities(text string) ([]age.Identity, error) {
	list, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%w: not a key file of age-keygen: %w", ErrInvalid, err)
	}
	return list, nil
}
