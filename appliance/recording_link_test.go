package appliance

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"deskbridge/recorder"
)

func TestATokenSaysWhatItWasMadeFor(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	r := &Recordings{linkKey: bytes.Repeat([]byte{7}, 32)}
	want := linkClaim{"0123456789abcdef0123456789abcdef", recorder.OggAgent, now.Add(time.Hour), "ayu"}
	token := r.token(want)
	got, err := r.claim(token, now)
	if err != nil || got.id != want.id || got.format != want.format || got.who != want.who || !got.until.Equal(want.until) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := r.claim(token, now.Add(time.Hour)); err == nil {
		t.Error("it works at the moment it expires")
	}
	other := &Recordings{linkKey: bytes.Repeat([]byte{8}, 32)}
	if _, err := other.claim(token, now); err == nil {
		t.Error("another appliance takes it")
	}
	for i := range token {
		if _, err := r.claim(token[:i]+"_"+token[i+1:], now); err == nil && token[i] != '_' {
			t.Errorf("character %d may be changed", i)
		}
	}
	long := r.token(linkClaim{id: want.id, until: now.Add(time.Hour), who: strings.Repeat("x", 1000)})
	if c, err := r.claim(long, now); err != nil || len(c.who) != maxLinkWho {
		t.Errorf("a long name: %d characters, %v", len(c.who), err)
	}
}

// FuzzLinkToken: nothing but what we made is taken.
func FuzzLinkToken(f *testing.F) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	r := &Recordings{linkKey: bytes.Repeat([]byte{7}, 32)}
	made := r.token(linkClaim{"0123456789abcdef", recorder.WAV16k, now.Add(time.Hour), "ayu"})
	f.Add(made)
	f.Add(made[:len(made)-1])
	f.Add("")
	f.Add(strings.Repeat("A", maxLink))
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := r.claim(token, now); err == nil && token != made {
			t.Errorf("%q is taken as %+v", token, c)
		}
	})
}
