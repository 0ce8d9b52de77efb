package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

const (
	maxAccounts   = 10_000
	maxAccountDoc = 32 << 10
)

// ErrExists is for an account whose login another one has, or a first account when there is one already.
var ErrExists = errors.New("exists already")

// Account is a person who may sign in to the panel. Doc is the panel's own record of them (role, password hash, …); it
// and the login are sealed under the appliance key.
type Account struct {
	ID      string
	Login   string // unique without regard to case
	Version uint64 // of the last write; 0: a new account
	Doc     []byte
}

type accountSealed struct {
	Login string `json:"l"`
	Doc   []byte `json:"d"`
}

func userKey(id string) []byte { return key(tabUser, "u"+id) }

func (t *tx) loginKey(login string) []byte {
	return key(tabUser, "n"+t.s.crypt.hash("login", strings.ToLower(login)))
}

// PutAccount writes an account if its version is still a.Version (0: that there is none) and appends the audit facts, in
// one transaction. It returns the new version. ErrVersion: it changed meanwhile. ErrExists: the login is taken.
func (s *Store) PutAccount(ctx context.Context, a Account, audit ...Fact) (version uint64, err error) {
	return s.putAccount(ctx, a, false, audit)
}

// PutFirstAccount is PutAccount for an appliance that has no account yet; ErrExists when it has one.
func (s *Store) PutFirstAccount(ctx context.Context, a Account, audit ...Fact) (version uint64, err error) {
	return s.putAccount(ctx, a, true, audit)
}

func (s *Store) putAccount(ctx context.Context, a Account, first bool, audit []Fact) (version uint64, err error) {
	err = checkAccount(a)
	if err == nil {
		_, err = s.submit(ctx, classNormal, func(t *tx) error {
			if first {
				some, err := t.any([]byte{tabUser})
				if err != nil {
					return err
				}
				if some {
					return ErrExists
				}
			}
			version, err = t.putAccount(a)
			if err != nil {
				return err
			}
			return t.appendAll(audit)
		})
	}
	if err != nil {
		return 0, fmt.Errorf("put account: %w", err)
	}
	return version, nil
}

func checkAccount(a Account) error {
	switch {
	case a.ID == "" || len(a.ID) > 64 || a.Login == "" || len(a.Login) > 256:
		return fmt.Errorf("%w: account without ID or login", ErrInvalid)
	case len(a.Doc) > maxAccountDoc:
		return fmt.Errorf("%w: account of %d bytes", ErrTooLarge, len(a.Doc))
	}
	return nil
}

func (t *tx) putAccount(a Account) (uint64, error) {
	old, err := t.account(a.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	if old.Version != a.Version {
		return 0, fmt.Errorf("%w: account is at %d, expected %d", ErrVersion, old.Version, a.Version)
	}
	name := t.loginKey(a.Login)
	who, err := t.get(name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	if err == nil && string(who) != a.ID {
		return 0, fmt.Errorf("%w: the login is taken", ErrExists)
	}
	sealed, err := json.Marshal(accountSealed{a.Login, a.Doc})
	if err != nil {
		return 0, fmt.Errorf("encode account: %w", err)
	}
	if old.Login != "" && !strings.EqualFold(old.Login, a.Login) {
		if err := t.del(t.loginKey(old.Login)); err != nil {
			return 0, err
		}
	}
	if err := t.set(name, []byte(a.ID)); err != nil {
		return 0, err
	}
	return a.Version + 1, t.put(userKey(a.ID), "", u64(a.Version+1), sealed)
}

func (t *tx) appendAll(facts []Fact) error {
	for _, f := range facts {
		if err := f.check(); err != nil {
			return err
		}
		if _, err := t.append(f); err != nil {
			return err
		}
	}
	return nil
}

// any reports whether a table has an entry.
func (t *tx) any(prefix []byte) (some bool, err error) {
	err = t.scan(prefix, func([]byte, *badger.Item) (bool, error) {
		some = true
		return false, nil
	})
	return some, err
}

func (t *tx) account(id string) (a Account, err error) {
	_, open, sealed, err := t.load(userKey(id))
	if err != nil {
		return a, err
	}
	var d accountSealed
	if err := json.Unmarshal(sealed, &d); err != nil {
		return a, fmt.Errorf("%w: account: %w", ErrCorrupt, err)
	}
	return Account{ID: id, Login: d.Login, Version: asU64(open), Doc: d.Doc}, nil
}

// Account reads an account by its ID.
func (s *Store) Account(ctx context.Context, id string) (a Account, err error) {
	err = s.view(ctx, func(t *tx) error {
		a, err = t.account(id)
		return err
	})
	if err != nil {
		return a, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

// AccountByLogin reads an account by its login, in any case.
func (s *Store) AccountByLogin(ctx context.Context, login string) (a Account, err error) {
	err = s.view(ctx, func(t *tx) error {
		id, err := t.get(t.loginKey(login))
		if err == nil {
			a, err = t.account(string(id))
		}
		return err
	})
	if err != nil {
		return a, fmt.Errorf("read account: %w", err)
	}
	return a, nil
}

// Accounts are all accounts (at most 10,000), by ID.
func (s *Store) Accounts(ctx context.Context) (list []Account, err error) {
	err = s.view(ctx, func(t *tx) error {
		var ids []string
		err := t.scan(userKey(""), func(k []byte, _ *badger.Item) (bool, error) {
			ids = append(ids, string(k[2:]))
			return len(ids) < maxAccounts, ctx.Err()
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			a, err := t.account(id)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return list, nil
}

// DropAccount deletes an account at this version, with its sessions and API tokens, and appends the audit facts.
func (s *Store) DropAccount(ctx context.Context, id string, version uint64, audit ...Fact) error {
	_, err := s.submit(ctx, classNormal, func(t *tx) error {
		a, err := t.account(id)
		if err != nil {
			return err
		}
		if a.Version != version {
			return fmt.Errorf("%w: account is at %d, expected %d", ErrVersion, a.Version, version)
		}
		if err := errors.Join(t.del(userKey(id)), t.del(t.loginKey(a.Login))); err != nil {
			return err
		}
		for _, kind := range []CredentialKind{SessionCredential, TokenCredential} {
			if err := t.dropCredentials(kind, id, ""); err != nil {
				return err
			}
		}
		return t.appendAll(audit)
	})
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	return nil
}
