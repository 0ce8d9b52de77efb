package recorder

import (
	"errors"
	"testing"
	"time"

	"filippo.io/age"
)

func TestRecipientsMayChangeWhileItRuns(t *testing.T) {
	one, two := identity(t), identity(t)
	list := &Recipients{}
	b := newBox(t, func(c *Config) { c.Recipients = RecipientList(list) })
	for i, now := range [][]*age.X25519Identity{nil, {one}, {one, two}, {two}} {
		var keys []string
		for _, id := range now {
			keys = append(keys, id.Recipient().String())
		}
		if err := list.Set(keys); err != nil {
			t.Fatal(err)
		}
		r := b.start("call" + string(rune('0'+i)))
		r.Close(time.Time{})
		<-r.Done()
	}
	for i, e := range b.finished(4) {
		for _, c := range []struct {
			id    *age.X25519Identity
			opens bool
		}{{one, i == 1 || i == 2}, {two, i >= 2}} {
			r, err := Open(b.path(e), Keys{Identities: []age.Identity{c.id}})
			if c.opens != (err == nil) || err != nil && !errors.Is(err, ErrNoKey) {
				t.Errorf("recording %d: %v", i, err)
			}
			if err == nil {
				_ = r.Close()
			}
		}
		_ = b.reader(e) // the appliance's own key
	}
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestBadRecipientsChangeNothing(t *testing.T) {
	list := &Recipients{}
	good := identity(t).Recipient().String()
	if err := list.Set([]string{good}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]string{{"age1nonsense"}, {good, ""}, make([]string, MaxRecipients+1)} {
		if err := list.Set(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if got := len(*list.list.Load()); got != 1 {
		t.Errorf("%d recipients", got)
	}
	if _, err := ParseIdentities("AGE-SECRET-KEY-nonsense"); !errors.Is(err, ErrInvalid) {
		t.Errorf("identities: %v", err)
	}
}
