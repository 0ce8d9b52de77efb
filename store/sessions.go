package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// CredentialKind tells sessions of the panel and API tokens apart.
type CredentialKind byte

// The kinds of credential.
const (
	SessionCredential CredentialKind = 's'
	TokenCredential   CredentialKind = 't'
)

const (
	maxCredentialDoc = 8 << 10
	maxCredentials   = 10_000 // listed at once
)

// Credential is what a bearer string proves: a session of the panel or an API token. The string itself is never stored,
// only its HMAC.
//
//	A + kind + b + HMAC(secret)    → sealed credential
//	A + kind + i + ID              → HMAC
//	A + kind + u + user + 0 + ID   → nothing
type Credential struct {
	Kind    CredentialKind
	ID      string    // its public name
	User    string    // account ID
	Expires time.Time // gone from then on; zero: never
	Doc     []byte    // the panel's own record of it
}

type credentialSealed struct {
	ID      string    `json:"i"`
	User    string    `json:"u"`
	Expires time.Time `json:"e,omitzero"`
	Doc     []byte    `json:"d"`
}

func accessKey(kind CredentialKind, use byte, rest string) []byte {
	return append([]byte{tabAccess, byte(kind), use}, rest...)
}

func (t *tx) secretHash(kind CredentialKind, secret string) string {
	return t.s.crypt.hash("credential "+string(rune(kind)), secret)
}

// PutCredential writes a credential, new or again, and appends the audit facts. Unlike other changes of the panel it is
// written until the disk is full: somebody must be able to sign in and see that the disk is nearly full.
func (s *Store) PutCredential(ctx context.Context, secret string, c Credential, audit ...Fact) error {
	err := checkCredential(secret, c)
	if err == nil {
		_, err = s.submit(ctx, classInbox, func(t *tx) error { return t.putCredential(secret, c, audit) })
	}
	if err != nil {
		return fmt.Errorf("put credential: %w", err)
	}
	return nil
}

// RenewCredential writes a credential that exists, and only then: a session that was ended meanwhile stays ended.
func (s *Store) RenewCredential(ctx context.Context, secret string, c Credential) error {
	err := checkCredential(secret, c)
	if err == nil {
		_, err = s.submit(ctx, classOptional, func(t *tx) error {
			there, err := t.has(accessKey(c.Kind, 'b', t.secretHash(c.Kind, secret)))
			if err != nil {
				return err
			}
			if !there {
				return ErrNotFound
			}
			return t.putCredential(secret, c, nil)
		})
	}
	if err != nil {
		return fmt.Errorf("renew credential: %w", err)
	}
	return nil
}

func checkCredential(secret string, c Credential) error {
	if len(secret) < 16 || c.ID == "" || len(c.ID) > 64 || c.User == "" || len(c.User) > 64 || bytes.IndexByte([]byte(c.User), 0) >= 0 {
		return fmt.Errorf("%w: credential", ErrInvalid)
	}
	if len(c.Doc) > maxCredentialDoc {
		return fmt.Errorf("%w: credential of %d bytes", ErrTooLarge, len(c.Doc))
	}
	return nil
}

func (t *tx) putCredential(secret string, c Credential, audit []Fact) error {
	var ttl time.Duration
	if !c.Expires.IsZero() {
		if ttl = c.Expires.Sub(t.s.cfg.Clock()); ttl <= 0 {
			return fmt.Errorf("%w: credential that expired", ErrInvalid)
		}
		ttl += time.Second // Badger counts in seconds; Expires itself is checked when it is read
	}
	doc, err := json.Marshal(credentialSealed{c.ID, c.User, c.Expires, c.Doc})
	if err != nil {
		return fmt.Errorf("encode credential: %w", err)
	}
	h := t.secretHash(c.Kind, secret)
	k := accessKey(c.Kind, 'b', h)
	sealed, err := t.seal("", k, doc)
	if err != nil {
		return err
	}
	if err := t.setTTL(k, record{sealed: sealed}.encode(t.s.crypt.mac, k), ttl); err != nil {
		return err
	}
	if err := t.setTTL(accessKey(c.Kind, 'i', c.ID), []byte(h), ttl); err != nil {
		return err
	}
	if err := t.setTTL(accessKey(c.Kind, 'u', c.User+"\x00"+c.ID), nil, ttl); err != nil {
		return err
	}
	return t.appendAll(audit)
}

func (t *tx) credential(kind CredentialKind, hash string) (c Credential, err error) {
	_, _, doc, err := t.load(accessKey(kind, 'b', hash))
	if err != nil {
		return c, err
	}
	var d credentialSealed
	if err := json.Unmarshal(doc, &d); err != nil {
		return c, fmt.Errorf("%w: credential: %w", ErrCorrupt, err)
	}
	if !d.Expires.IsZero() && !t.s.cfg.Clock().Before(d.Expires) {
		return c, ErrNotFound
	}
	return Credential{Kind: kind, ID: d.ID, User: d.User, Expires: d.Expires, Doc: d.Doc}, nil
}

// Credential finds what a bearer string proves; ErrNotFound when nothing, or no longer.
func (s *Store) Credential(ctx context.Context, kind CredentialKind, secret string) (c Credential, err error) {
	err = s.view(ctx, func(t *tx) error {
		c, err = t.credential(kind, t.secretHash(kind, secret))
		return err
	})
	if err != nil {
		return c, fmt.Errorf("read credential: %w", err)
	}
	return c, nil
}

// Credentials are a user's, or everybody's when user is empty (at most 10,000).
func (s *Store) Credentials(ctx context.Context, kind CredentialKind, user string) (list []Credential, err error) {
	err = s.view(ctx, func(t *tx) error {
		ids, err := t.credentialIDs(kind, user)
		if err != nil {
			return err
		}
		for _, id := range ids {
			c, err := t.credentialByID(kind, id)
			if errors.Is(err, ErrNotFound) { // expired a moment ago
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list credentials: %w", err)
	}
	return list, nil
}

func (t *tx) credentialIDs(kind CredentialKind, user string) (ids []string, err error) {
	prefix := accessKey(kind, 'u', "")
	if user != "" {
		prefix = accessKey(kind, 'u', user+"\x00")
	}
	err = t.scan(prefix, func(k []byte, _ *badger.Item) (bool, error) {
		ids = append(ids, string(k[bytes.LastIndexByte(k, 0)+1:]))
		return len(ids) < maxCredentials, nil
	})
	return ids, err
}

func (t *tx) credentialByID(kind CredentialKind, id string) (Credential, error) {
	h, err := t.get(accessKey(kind, 'i', id))
	if err != nil {
		return Credential{}, err
	}
	return t.credential(kind, string(h))
}

// DropCredential ends one; ErrNotFound when there is none with this ID.
func (s *Store) DropCredential(ctx context.Context, kind CredentialKind, id string, audit ...Fact) error {
	_, err := s.submit(ctx, classInbox, func(t *tx) error {
		if err := t.dropCredential(kind, id); err != nil {
			return err
		}
		return t.appendAll(audit)
	})
	if err != nil {
		return fmt.Errorf("end credential: %w", err)
	}
	return nil
}

// DropCredentials ends all of a user's but the one with the ID keep.
func (s *Store) DropCredentials(ctx context.Context, kind CredentialKind, user, keep string, audit ...Fact) error {
	_, err := s.submit(ctx, classInbox, func(t *tx) error {
		if err := t.dropCredentials(kind, user, keep); err != nil {
			return err
		}
		return t.appendAll(audit)
	})
	if err != nil {
		return fmt.Errorf("end credentials: %w", err)
	}
	return nil
}

func (t *tx) dropCredentials(kind CredentialKind, user, keep string) error {
	ids, err := t.credentialIDs(kind, user)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id == keep {
			continue
		}
		if err := t.dropCredential(kind, id); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

func (t *tx) dropCredential(kind CredentialKind, id string) error {
	c, err := t.credentialByID(kind, id)
	if err != nil {
		return err
	}
	h, err := t.get(accessKey(kind, 'i', id))
	if err != nil {
		return err
	}
	return errors.Join(t.del(accessKey(kind, 'b', string(h))), t.del(accessKey(kind, 'i', id)),
		t.del(accessKey(kind, 'u', c.User+"\x00"+id)))
}
