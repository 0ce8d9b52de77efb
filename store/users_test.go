package store

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func TestAccountsAreUniqueByLoginAndVersioned(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	audit := Fact{Kind: "audit.user", At: noon, Subjects: []string{"audit"}, Personal: []byte("who")}
	v, err := s.PutFirstAccount(ctx, Account{ID: "u1", Login: "ayu", Doc: []byte("one")}, audit)
	must(t, err)
	if _, err := s.PutFirstAccount(ctx, Account{ID: "u2", Login: "budi"}); !errors.Is(err, ErrExists) {
		t.Errorf("a second first account: %v", err)
	}
	if _, err := s.PutAccount(ctx, Account{ID: "u2", Login: "AYU"}); !errors.Is(err, ErrExists) {
		t.Errorf("login taken in another case: %v", err)
	}
	if _, err := s.PutAccount(ctx, Account{ID: "u1", Login: "ayu"}, audit); !errors.Is(err, ErrVersion) {
		t.Errorf("stale version: %v", err)
	}
	v, err = s.PutAccount(ctx, Account{ID: "u1", Login: "ayu2", Version: v, Doc: []byte("two")}, audit)
	must(t, err)
	if _, err := s.AccountByLogin(ctx, "ayu"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old login still leads somewhere: %v", err)
	}
	a, err := s.AccountByLogin(ctx, "Ayu2")
	must(t, err)
	if a.ID != "u1" || a.Version != v || string(a.Doc) != "two" {
		t.Errorf("account %+v", a)
	}
	facts, next, err := s.NewestFacts(ctx, "audit", 0, 10)
	must(t, err)
	if len(facts) != 2 || next != 0 || string(facts[0].Personal) != "who" {
		t.Errorf("refused writes left audit facts, or written ones did not: %+v", facts)
	}
	must(t, s.PutCredential(ctx, "0123456789abcdef", Credential{Kind: SessionCredential, ID: "s1", User: "u1"}))
	must(t, s.DropAccount(ctx, "u1", v))
	if _, err := s.Credential(ctx, SessionCredential, "0123456789abcdef"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the session outlived its account: %v", err)
	}
	if list, err := s.Accounts(ctx); err != nil || len(list) != 0 {
		t.Errorf("accounts %v %v", list, err)
	}
}

func TestTwoFirstAccountsAtOnceLeaveOne(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = s.PutFirstAccount(testCtx(t), Account{ID: string(rune('a' + i)), Login: string(rune('a'+i)) + "x"})
		})
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(errs, func(e error) bool { return errors.Is(e, ErrExists) })); n != 1 {
		t.Errorf("%d first accounts", n)
	}
}

func TestCredentialsEndOneByOneAllAndByTime(t *testing.T) {
	cfg := testConfig(t.TempDir())
	now := noon
	cfg.Clock = func() time.Time { return now }
	s := open(t, cfg)
	ctx := testCtx(t)
	secret := func(n string) string { return "0123456789abcdef" + n }
	for _, n := range []string{"1", "2", "3", "4"} {
		must(t, s.PutCredential(ctx, secret(n), Credential{Kind: SessionCredential, ID: "s" + n, User: "u", Expires: noon.Add(time.Hour), Doc: []byte(n)}))
	}
	must(t, s.PutCredential(ctx, secret("5"), Credential{Kind: SessionCredential, ID: "s5", User: "u2"}))
	must(t, s.PutCredential(ctx, secret("1"), Credential{Kind: TokenCredential, ID: "t1", User: "u"}))
	must(t, s.DropCredential(ctx, SessionCredential, "s1"))
	if _, err := s.Credential(ctx, SessionCredential, secret("1")); !errors.Is(err, ErrNotFound) {
		t.Errorf("ended: %v", err)
	}
	if err := s.RenewCredential(ctx, secret("1"), Credential{Kind: SessionCredential, ID: "s1", User: "u"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an ended one came back: %v", err)
	}
	must(t, s.DropCredentials(ctx, SessionCredential, "u", "s3"))
	left, err := s.Credentials(ctx, SessionCredential, "")
	must(t, err)
	if len(left) != 2 || left[0].ID != "s3" || string(left[0].Doc) != "3" || left[1].ID != "s5" {
		t.Errorf("left %+v", left)
	}
	if c, err := s.Credential(ctx, TokenCredential, secret("1")); err != nil || c.ID != "t1" {
		t.Errorf("the token with the same secret as a session: %+v %v", c, err)
	}
	now = noon.Add(time.Hour)
	if _, err := s.Credential(ctx, SessionCredential, secret("3")); !errors.Is(err, ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
}

// What a thief of the data folder without its key finds: no login, no secret of a session.
func TestNothingOfAccountsLiesOpen(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	_, err := s.PutAccount(ctx, Account{ID: "u1", Login: "login-of-ayu", Doc: []byte("hash-of-ayu")}, Fact{Kind: "audit.x", Subjects: []string{"audit"}, Personal: []byte("address-of-ayu")})
	must(t, err)
	must(t, s.PutCredential(ctx, "secret-of-ayu-0123456789", Credential{Kind: SessionCredential, ID: "s", User: "u1", Doc: []byte("browser-of-ayu")}))
	must(t, s.view(ctx, func(x *tx) error {
		return x.scan(nil, func(k []byte, it *badger.Item) (bool, error) {
			v, err := it.ValueCopy(nil)
			if text := string(k) + string(v); containsAny(text, "login-of-ayu", "hash-of-ayu", "secret-of-ayu", "browser-of-ayu", "address-of-ayu") {
				t.Errorf("%q holds it open", k)
			}
			return true, err
		})
	}))
}
