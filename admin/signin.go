package admin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Lifetimes of a session.
const (
	sessionIdle     = 8 * time.Hour
	sessionLifetime = 7 * 24 * time.Hour
	sessionNoted    = time.Minute // a use is written down at most this often
	sessionsPerUser = 20
)

// Session is one place a user is signed in at.
type Session struct {
	ID      string    `json:"id"`
	Began   time.Time `json:"began"`
	Used    time.Time `json:"used" doc:"To the minute."`
	Expires time.Time `json:"expires" doc:"When it ends even if it is used."`
	Address string    `json:"address"`
	Browser string    `json:"browser" doc:"What the browser says it is."`
	Current bool      `json:"current" doc:"The one this request came with."`
}

type sessionDoc struct {
	Began   time.Time `json:"began"`
	Used    time.Time `json:"used"`
	Address string    `json:"address"`
	Browser string    `json:"browser"`
}

// LockedError says when to try again.
type LockedError struct{ Wait time.Duration }

// Error implements error.
func (e *LockedError) Error() string {
	return fmt.Sprintf("too many failed sign-ins; try again in %v", e.Wait.Round(time.Second))
}

// Unwrap makes it an ErrTooMany.
func (e *LockedError) Unwrap() error { return ErrTooMany }

// SignIn is an attempt to sign in.
type SignIn struct {
	Login, Password, Code string
	Address               netip.Addr
	Browser               string
	Replaces              string // secret of the session the browser came with, which ends
}

// SignIn checks password and second factor and makes a session. The errors are ErrDenied, ErrCodeNeeded, *LockedError.
func (a *Accounts) SignIn(ctx context.Context, in SignIn) (secret string, u User, err error) {
	login := strings.ToLower(strings.TrimSpace(in.Login))
	if len(login) > maxUserName || len(in.Password) > maxPassword {
		return "", User{}, ErrDenied
	}
	account, address := accountKey(login), addressKey(in.Address)
	if wait := a.lockout.begin(account, address); wait > 0 {
		return "", User{}, &LockedError{wait}
	}
	u, err = a.authenticate(ctx, login, in)
	by := Actor{ID: u.ID, Login: login, Address: in.Address}
	switch {
	case errors.Is(err, ErrCodeNeeded):
		a.lockout.refund(account, address) // the right password, and guessed codes stay counted
		return "", User{}, err
	case errors.Is(err, ErrDenied):
		_ = a.s.Audit.Record(ctx, a.event(by, "session.denied", "", nil, nil)) // a full disk must not tell right from wrong
		return "", User{}, err
	case err != nil:
		return "", User{}, err
	}
	if secret, err = a.begin(ctx, by, in); err != nil {
		return "", User{}, err
	}
	a.lockout.succeeded(account, address)
	return secret, u, nil
}

// authenticate is the same work whether the account exists or not.
func (a *Accounts) authenticate(ctx context.Context, login string, in SignIn) (User, error) {
	acc, err := a.byLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, err
	}
	ok, err := a.hasher.matches(ctx, in.Password, acc.Hash)
	if err != nil {
		return User{}, err
	}
	if !ok || acc.Disabled {
		return User{}, ErrDenied
	}
	if !acc.Factor.Confirmed {
		return acc.User, nil
	}
	if in.Code == "" {
		return User{}, ErrCodeNeeded
	}
	return a.useCode(ctx, Actor{ID: acc.ID, Login: acc.Login, Address: in.Address}, acc.ID, in.Code)
}

// useCode takes a code out of what can be used. Of two requests with one code, the second finds it used.
func (a *Accounts) useCode(ctx context.Context, by Actor, id, code string) (User, error) {
	return a.change(ctx, by, id, 0, "user.code_used", func(acc *account) error {
		if !acc.Factor.Confirmed || len(code) > 64 || !acc.Factor.accept(code, a.now()) {
			return ErrDenied
		}
		return nil
	})
}

func (a *Accounts) begin(ctx context.Context, by Actor, in SignIn) (secret string, err error) {
	if in.Replaces != "" { // fixation: whoever knew the old secret has nothing in common with the new session
		if old, err := a.s.Credentials.Credential(ctx, SessionKind, in.Replaces); err == nil {
			_ = a.s.Credentials.DropCredential(ctx, SessionKind, old.ID, nil)
		}
	}
	if err := a.dropOldest(ctx, by.ID); err != nil {
		return "", err
	}
	now := a.now()
	doc, err := json.Marshal(sessionDoc{Began: now, Used: now, Address: in.Address.String(), Browser: clip(clean(in.Browser), 256)})
	if err != nil {
		return "", fmt.Errorf("encode session: %w", err)
	}
	secret = newSecret()
	c := CredentialRecord{Kind: SessionKind, ID: newID(), User: by.ID, Expires: now.Add(sessionLifetime), Doc: doc}
	e := a.event(by, "session.started", "session:"+c.ID, nil, nil)
	return secret, a.s.Credentials.PutCredential(ctx, secret, c, &e)
}

// newSecret has 256 random bits.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// dropOldest keeps the number of a user's sessions bounded.
func (a *Accounts) dropOldest(ctx context.Context, user string) error {
	list, err := a.Sessions(ctx, user, "")
	if err != nil {
		return err
	}
	for len(list) >= sessionsPerUser {
		last := list[len(list)-1]
		if err := a.s.Credentials.DropCredential(ctx, SessionKind, last.ID, nil); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		list = list[:len(list)-1]
	}
	return nil
}

// resume finds the user behind a session's secret, as they are now. note: this is a use, which keeps the session alive.
func (a *Accounts) resume(ctx context.Context, secret string, note bool) (u User, id string, err error) {
	c, err := a.s.Credentials.Credential(ctx, SessionKind, secret)
	if err != nil {
		return User{}, "", err
	}
	var doc sessionDoc
	if err := json.Unmarshal(c.Doc, &doc); err != nil {
		return User{}, "", fmt.Errorf("decode session: %w", err)
	}
	now := a.now()
	if now.Sub(doc.Used) >= sessionIdle || !now.Before(c.Expires) {
		_ = a.s.Credentials.DropCredential(ctx, SessionKind, c.ID, nil) // it expires by itself as well
		return User{}, "", ErrNotFound
	}
	acc, err := a.get(ctx, c.User)
	if err != nil {
		return User{}, "", err
	}
	if acc.Disabled {
		return User{}, "", ErrNotFound
	}
	if note && now.Sub(doc.Used) >= sessionNoted {
		doc.Used = now
		if c.Doc, err = json.Marshal(doc); err == nil {
			// Optional: with a full disk the session ends sooner, nothing worse.
			if err := a.s.Credentials.RenewCredential(ctx, secret, c); errors.Is(err, ErrNotFound) {
				return User{}, "", err
			}
		}
	}
	return acc.User, c.ID, nil
}

// Sessions are where a user is signed in, the last used first.
func (a *Accounts) Sessions(ctx context.Context, user, current string) ([]Session, error) {
	records, err := a.s.Credentials.Credentials(ctx, SessionKind, user)
	if err != nil {
		return nil, err
	}
	list := []Session{}
	for _, c := range records {
		var d sessionDoc
		if err := json.Unmarshal(c.Doc, &d); err != nil {
			return nil, fmt.Errorf("decode session: %w", err)
		}
		if a.now().Sub(d.Used) >= sessionIdle {
			continue
		}
		list = append(list, Session{ID: c.ID, Began: d.Began, Used: d.Used, Expires: c.Expires, Address: d.Address, Browser: d.Browser, Current: c.ID == current})
	}
	slices.SortFunc(list, func(x, y Session) int { return y.Used.Compare(x.Used) })
	return list, nil
}

// EndSession ends one of the user's sessions.
func (a *Accounts) EndSession(ctx context.Context, by Actor, user, id string) error {
	list, err := a.Sessions(ctx, user, "")
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(s Session) bool { return s.ID == id }) {
		return ErrNotFound // somebody else's is not there either
	}
	e := a.event(by, "session.ended", "session:"+id, nil, nil)
	return a.s.Credentials.DropCredential(ctx, SessionKind, id, &e)
}

// EndSessions ends all of a user's sessions but keep.
func (a *Accounts) EndSessions(ctx context.Context, by Actor, user, keep string) error {
	e := a.event(by, "sessions.ended", "user:"+user, nil, nil)
	return a.s.Credentials.DropCredentials(ctx, SessionKind, user, keep, &e)
}

// ChangePassword is the user's own: it wants the old one, ends every session and begins a new one.
func (a *Accounts) ChangePassword(ctx context.Context, by Actor, old, password, browser string) (secret string, err error) {
	if err := a.reprove(ctx, by, old); err != nil {
		return "", err
	}
	if err := a.SetPassword(ctx, by, by.ID, password); err != nil {
		return "", err
	}
	return a.begin(ctx, by, SignIn{Address: by.Address, Browser: browser})
}

// reprove asks for the password again before something that a borrowed browser must not do.
func (a *Accounts) reprove(ctx context.Context, by Actor, password string) error {
	acc, err := a.get(ctx, by.ID)
	if err != nil {
		return err
	}
	account, address := accountKey(acc.Login), addressKey(by.Address)
	if wait := a.lockout.begin(account, address); wait > 0 {
		return &LockedError{wait}
	}
	if len(password) > maxPassword {
		return ErrDenied
	}
	ok, err := a.hasher.matches(ctx, password, acc.Hash)
	if err != nil {
		return err
	}
	if !ok {
		return ErrDenied
	}
	a.lockout.succeeded(account, address)
	return nil
}

// EnrolFactor makes a new TOTP secret. It is asked for only once it is confirmed; until then the old one stays in use.
func (a *Accounts) EnrolFactor(ctx context.Context, by Actor, password string) (e enrolment, err error) {
	if err := a.reprove(ctx, by, password); err != nil {
		return e, err
	}
	_, err = a.change(ctx, by, by.ID, 0, "user.totp_begun", func(acc *account) error {
		if acc.Factor.Confirmed {
			return fmt.Errorf("%w: a second factor is in use; switch it off first", ErrInvalid)
		}
		acc.Factor, e, err = newFactor(acc.Login)
		return err
	})
	return e, err
}

// ConfirmFactor puts the second factor in use when the code shows that the app has it, and returns the recovery codes.
func (a *Accounts) ConfirmFactor(ctx context.Context, by Actor, code string) (recovery []string, err error) {
	key := addressKey(by.Address)
	if wait := a.lockout.begin(accountKey(by.Login), key); wait > 0 {
		return nil, &LockedError{wait}
	}
	_, err = a.change(ctx, by, by.ID, 0, "user.totp_on", func(acc *account) error {
		if acc.Factor.Secret == "" || acc.Factor.Confirmed {
			return fmt.Errorf("%w: begin with a new second factor", ErrInvalid)
		}
		if len(code) != 6 || !acc.Factor.accept(code, a.now()) {
			return ErrDenied
		}
		acc.Factor.Confirmed = true
		recovery = acc.Factor.renewRecovery()
		return nil
	})
	if err == nil {
		a.lockout.succeeded(accountKey(by.Login), key)
	}
	return recovery, err
}

// DropFactor switches the user's own second factor off.
func (a *Accounts) DropFactor(ctx context.Context, by Actor, password string) error {
	if err := a.reprove(ctx, by, password); err != nil {
		return err
	}
	return a.ResetFactor(ctx, by, by.ID)
}

// ResetFactor switches somebody's second factor off, because the telephone is lost.
func (a *Accounts) ResetFactor(ctx context.Context, by Actor, id string) error {
	_, err := a.change(ctx, by, id, 0, "user.totp_off", func(acc *account) error {
		acc.Factor = factor{}
		return nil
	})
	return err
}

// SetupNeeded reports whether there is no account yet, and the code to make the first one with; announce is called with a
// code that was just made.
func (a *Accounts) SetupNeeded(ctx context.Context, announce func(code string)) (bool, error) {
	all, err := a.all(ctx)
	if err != nil || len(all) > 0 {
		return false, err
	}
	a.setupMu.Lock()
	defer a.setupMu.Unlock()
	if a.setupCode == "" {
		raw := rand.Text()[:16]
		a.setupCode = raw[:4] + "-" + raw[4:8] + "-" + raw[8:12] + "-" + raw[12:]
		announce(a.setupCode)
	}
	return true, nil
}

// Setup makes the first account, an admin, with the code from the log. The code is good once.
func (a *Accounts) Setup(ctx context.Context, code string, n NewUser, address netip.Addr) (User, error) {
	key := addressKey(address)
	if wait := a.lockout.begin(key); wait > 0 { // by address only: 80 random bits need no other limit, and nobody can lock the owner out
		return User{}, &LockedError{wait}
	}
	a.setupMu.Lock()
	defer a.setupMu.Unlock()
	normal := strings.ToUpper(strings.TrimSpace(code))
	if a.setupCode == "" || subtle.ConstantTimeCompare([]byte(normal), []byte(a.setupCode)) != 1 {
		return User{}, ErrDenied
	}
	a.lockout.refund(key)
	n.Role = Admin
	u, err := a.create(ctx, Actor{Login: "first run", Address: address}, n, true)
	if err == nil || errors.Is(err, ErrTaken) {
		a.setupCode = ""
	}
	return u, err
}
