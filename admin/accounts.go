package admin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Actor is who does something, for the audit log.
type Actor struct {
	ID, Login string
	Token     string // ID of the API token used
	Address   netip.Addr
}

// ControlSocket is the actor behind the command line: whoever may use the socket is not asked who they are.
var ControlSocket = Actor{Login: "control socket"}

// Stores are what Accounts rests on.
type Stores struct {
	Accounts    AccountStore
	Credentials CredentialStore
	Audit       AuditLog
}

// Accounts are the people who may sign in, their sessions and API tokens. It is the same for the panel and the command line.
type Accounts struct {
	s       Stores
	now     func() time.Time
	hasher  *hasher
	lockout *lockout

	changing sync.Mutex // one change of an account at a time: the last admin must not be lost to two changes at once

	cacheMu sync.Mutex
	cached  []account
	fresh   time.Time

	setupMu   sync.Mutex
	setupCode string // empty: not made yet, or used
}

// NewAccounts makes the service. now is the clock.
func NewAccounts(s Stores, now func() time.Time) *Accounts {
	return &Accounts{s: s, now: now, hasher: newHasher(hashParams), lockout: newLockout(now)}
}

func (a *Accounts) event(by Actor, action, object string, before, after any) Event {
	e := Event{At: a.now(), Action: action, ActorID: by.ID, Actor: by.Login, Via: by.Token, Object: object}
	if by.Address.IsValid() {
		e.Address = by.Address.String()
	}
	e.Before, e.After = asJSON(before), asJSON(after)
	return e
}

// asJSON is nil for nil: an audit event without one side.
func asJSON(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

func newID() string { return strings.ToLower(rand.Text()[:20]) }

// NewUser is what a new account begins with.
type NewUser struct {
	User
	Password string
}

// Create makes an account.
func (a *Accounts) Create(ctx context.Context, by Actor, n NewUser) (User, error) {
	return a.create(ctx, by, n, false)
}

func (a *Accounts) create(ctx context.Context, by Actor, n NewUser, first bool) (User, error) {
	u, err := n.User.normal()
	if err != nil {
		return User{}, err
	}
	if err := checkPassword(u.Login, n.Password); err != nil {
		return User{}, err
	}
	acc := account{User: u, Password: a.now()}
	if acc.Hash, err = a.hasher.hash(ctx, n.Password); err != nil {
		return User{}, err
	}
	acc.ID, acc.Version, acc.Created, acc.TOTP = newID(), 0, a.now().UTC(), false
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.put(ctx, acc, first, a.event(by, "user.created", "user:"+acc.ID, nil, acc.User))
}

// put writes an account. The caller holds changing.
func (a *Accounts) put(ctx context.Context, acc account, first bool, e Event) (User, error) {
	r, err := acc.record()
	if err != nil {
		return User{}, err
	}
	defer a.forget()
	if acc.Version, err = a.s.Accounts.PutAccount(ctx, r, first, e); err != nil {
		return User{}, err
	}
	acc.TOTP = acc.Factor.Confirmed
	return acc.User, nil
}

// forget makes the next look at all accounts a fresh one.
func (a *Accounts) forget() {
	a.cacheMu.Lock()
	a.cached, a.fresh = nil, time.Time{}
	a.cacheMu.Unlock()
}

// cacheFor is how long the list of accounts may be old where it only names people and teams. Rights are read anew with
// every request.
const cacheFor = 2 * time.Second

func (a *Accounts) all(ctx context.Context) ([]account, error) {
	a.cacheMu.Lock()
	defer a.cacheMu.Unlock()
	if now := a.now(); a.cached != nil && now.Sub(a.fresh) < cacheFor {
		return a.cached, nil
	}
	records, err := a.s.Accounts.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]account, 0, len(records))
	for _, r := range records {
		acc, err := accountOf(r)
		if err != nil {
			return nil, err
		}
		list = append(list, acc)
	}
	slices.SortFunc(list, func(x, y account) int { return strings.Compare(x.Login, y.Login) })
	a.cached, a.fresh = list, a.now()
	return list, nil
}

// Users are all users by login.
func (a *Accounts) Users(ctx context.Context) ([]User, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(all))
	for _, acc := range all {
		users = append(users, acc.User)
	}
	return users, nil
}

func (a *Accounts) get(ctx context.Context, id string) (account, error) {
	r, err := a.s.Accounts.Account(ctx, id)
	if err != nil {
		return account{}, err
	}
	return accountOf(r)
}

func (a *Accounts) byLogin(ctx context.Context, login string) (account, error) {
	r, err := a.s.Accounts.AccountByLogin(ctx, strings.ToLower(strings.TrimSpace(login)))
	if err != nil {
		return account{}, err
	}
	return accountOf(r)
}

// change reads an account, lets edit change it, and writes it with an audit event. version 0 means any.
func (a *Accounts) change(ctx context.Context, by Actor, id string, version uint64, action string, edit func(*account) error) (User, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	acc, err := a.get(ctx, id)
	if err != nil {
		return User{}, err
	}
	if version != 0 && acc.Version != version {
		return User{}, fmt.Errorf("%w: the user is at version %d", ErrConflict, acc.Version)
	}
	before := acc.User
	if err := edit(&acc); err != nil {
		return User{}, err
	}
	if before.Role == Admin && !before.Disabled && (acc.Role != Admin || acc.Disabled) {
		if err := a.mustNotBeLastAdmin(ctx, id); err != nil {
			return User{}, err
		}
	}
	after := acc.User
	after.TOTP = acc.Factor.Confirmed
	return a.put(ctx, acc, false, a.event(by, action, "user:"+id, before, after))
}

func (a *Accounts) mustNotBeLastAdmin(ctx context.Context, id string) error {
	a.forget()
	all, err := a.all(ctx)
	if err != nil {
		return err
	}
	for _, acc := range all {
		if acc.ID != id && acc.Role == Admin && !acc.Disabled {
			return nil
		}
	}
	return fmt.Errorf("%w: this is the last admin; make another one first", ErrInvalid)
}

// Update changes everything of a user but the password. Sessions of a user who is switched off end.
func (a *Accounts) Update(ctx context.Context, by Actor, id string, version uint64, next User) (User, error) {
	next, err := next.normal()
	if err != nil {
		return User{}, err
	}
	u, err := a.change(ctx, by, id, version, "user.changed", func(acc *account) error {
		next.ID, next.Created, next.Version = acc.ID, acc.Created, acc.Version
		acc.User = next
		return nil
	})
	if err == nil && u.Disabled {
		err = a.EndSessions(ctx, by, id, "")
	}
	return u, err
}

// Prefer changes language and theme.
func (a *Accounts) Prefer(ctx context.Context, by Actor, language, theme string) (User, error) {
	return a.change(ctx, by, by.ID, 0, "user.preferred", func(acc *account) error {
		u := acc.User
		if language != "" {
			u.Language = language
		}
		if theme != "" {
			u.Theme = theme
		}
		u, err := u.normal()
		acc.User = u
		return err
	})
}

// SetPassword replaces a password, ends every session of the user and clears the lock.
func (a *Accounts) SetPassword(ctx context.Context, by Actor, id, password string) error {
	acc, err := a.get(ctx, id)
	if err != nil {
		return err
	}
	if err := checkPassword(acc.Login, password); err != nil {
		return err
	}
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	if _, err := a.change(ctx, by, id, 0, "user.password", func(acc *account) error {
		acc.Hash, acc.Password = hash, a.now()
		return nil
	}); err != nil {
		return err
	}
	a.lockout.clear(accountKey(acc.Login))
	return a.EndSessions(ctx, by, id, "")
}

// SetPasswordOf is SetPassword by login.
func (a *Accounts) SetPasswordOf(ctx context.Context, by Actor, login, password string) error {
	acc, err := a.byLogin(ctx, login)
	if err != nil {
		return fmt.Errorf("user %q: %w", login, err)
	}
	return a.SetPassword(ctx, by, acc.ID, password)
}

// Delete removes a user with their sessions and tokens.
func (a *Accounts) Delete(ctx context.Context, by Actor, id string) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	acc, err := a.get(ctx, id)
	if err != nil {
		return err
	}
	if acc.Role == Admin && !acc.Disabled {
		if err := a.mustNotBeLastAdmin(ctx, id); err != nil {
			return err
		}
	}
	defer a.forget()
	return a.s.Accounts.DropAccount(ctx, id, acc.Version, a.event(by, "user.deleted", "user:"+id, acc.User, nil))
}
