package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TokenScopes are what an API token can be allowed. What its owner's role may not, the token may not either.
var TokenScopes = []string{"calls:read", "calls:write", "calls:export", "recordings:read", "customers:read", "customers:write", "callbacks:read", "callbacks:write", "live:read", "live:write", "settings:read", "settings:write", "users:read", "users:write", "audit:read", "status:read"}

const (
	tokenPrefix   = "dbt_" // so that a leaked one is recognised
	tokensPerUser = 50
	tokenNoted    = time.Minute
)

// Token is an API token, without its secret.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	User    string    `json:"user" doc:"ID of its owner, whose role bounds it."`
	Login   string    `json:"login,omitempty"`
	Scopes  []string  `json:"scopes" nullable:"false"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero" doc:"To the minute."`
	Expires time.Time `json:"expires,omitzero" doc:"Absent: never."`
}

type tokenDoc struct {
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"`
}

func tokenOf(c CredentialRecord) (Token, error) {
	var d tokenDoc
	if err := json.Unmarshal(c.Doc, &d); err != nil {
		return Token{}, fmt.Errorf("decode token %s: %w", c.ID, err)
	}
	return Token{ID: c.ID, Name: d.Name, User: c.User, Scopes: d.Scopes, Created: d.Created, Used: d.Used, Expires: c.Expires}, nil
}

// CreateToken makes an API token of a user's. The secret is returned this once.
func (a *Accounts) CreateToken(ctx context.Context, by Actor, user, name string, scopes []string, expires time.Time) (secret string, t Token, err error) {
	scopes = tidy(scopes)
	name = strings.TrimSpace(name)
	switch {
	case name == "" || !printable(name, maxUserName):
		return "", t, fmt.Errorf("%w: a token needs a name of at most %d printable characters", ErrInvalid, maxUserName)
	case len(scopes) == 0:
		return "", t, fmt.Errorf("%w: a token needs a scope: %s", ErrInvalid, strings.Join(TokenScopes, " "))
	case !expires.IsZero() && !expires.After(a.now()):
		return "", t, fmt.Errorf("%w: the token would have expired already", ErrInvalid)
	}
	for _, s := range scopes {
		if !slices.Contains(TokenScopes, s) {
			return "", t, fmt.Errorf("%w: there is no scope %q; known are %s", ErrInvalid, s, strings.Join(TokenScopes, " "))
		}
	}
	acc, err := a.get(ctx, user)
	if err != nil {
		return "", t, err
	}
	have, err := a.s.Credentials.Credentials(ctx, TokenKind, user)
	if err != nil {
		return "", t, err
	}
	if len(have) >= tokensPerUser {
		return "", t, fmt.Errorf("%w: a user has at most %d tokens", ErrInvalid, tokensPerUser)
	}
	t = Token{ID: newID(), Name: name, User: user, Login: acc.Login, Scopes: scopes, Created: a.now().UTC(), Expires: expires}
	doc, err := json.Marshal(tokenDoc{Name: name, Scopes: scopes, Created: t.Created})
	if err != nil {
		return "", t, fmt.Errorf("encode token: %w", err)
	}
	secret = tokenPrefix + newSecret()
	e := a.event(by, "token.created", "token:"+t.ID, nil, t)
	return secret, t, a.s.Credentials.PutCredential(ctx, secret, CredentialRecord{Kind: TokenKind, ID: t.ID, User: user, Expires: expires, Doc: doc}, &e)
}

// CreateTokenOf is CreateToken by login.
func (a *Accounts) CreateTokenOf(ctx context.Context, by Actor, login, name string, scopes []string, expires time.Time) (secret string, t Token, err error) {
	acc, err := a.byLogin(ctx, login)
	if err != nil {
		return "", Token{}, fmt.Errorf("user %q: %w", login, err)
	}
	return a.CreateToken(ctx, by, acc.ID, name, scopes, expires)
}

// Tokens are a user's, or everybody's when user is empty.
func (a *Accounts) Tokens(ctx context.Context, user string) ([]Token, error) {
	records, err := a.s.Credentials.Credentials(ctx, TokenKind, user)
	if err != nil {
		return nil, err
	}
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	list := []Token{}
	for _, c := range records {
		t, err := tokenOf(c)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(all, func(x account) bool { return x.ID == t.User }); i >= 0 {
			t.Login = all[i].Login
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y Token) int { return y.Created.Compare(x.Created) })
	return list, nil
}

// DropToken ends a token: the user's own, or anybody's when user is empty.
func (a *Accounts) DropToken(ctx context.Context, by Actor, user, id string) error {
	list, err := a.Tokens(ctx, user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(t Token) bool { return t.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	e := a.event(by, "token.deleted", "token:"+id, list[i], nil)
	return a.s.Credentials.DropCredential(ctx, TokenKind, id, &e)
}

// bearer finds the user behind an API token, as they are now, and what the token may do.
func (a *Accounts) bearer(ctx context.Context, secret string) (u User, t Token, err error) {
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 128 {
		return u, t, ErrNotFound
	}
	c, err := a.s.Credentials.Credential(ctx, TokenKind, secret)
	if err != nil {
		return u, t, err
	}
	if t, err = tokenOf(c); err != nil {
		return u, t, err
	}
	acc, err := a.get(ctx, c.User)
	if err != nil {
		return u, t, err
	}
	if acc.Disabled {
		return u, t, ErrNotFound
	}
	if now := a.now(); now.Sub(t.Used) >= tokenNoted {
		if c.Doc, err = json.Marshal(tokenDoc{t.Name, t.Scopes, t.Created, now}); err == nil {
			if err := a.s.Credentials.RenewCredential(ctx, secret, c); errors.Is(err, ErrNotFound) {
				return u, t, err
			}
		}
	}
	return acc.User, t, nil
}
