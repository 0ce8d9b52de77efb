package whatsapp

import (
	"testing"
	"time"
)

func TestConnectAndItsDoubtShareWhatTheCallerStillWaits(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ left, connect, doubt time.Duration }{
		{8 * time.Second, 6500 * time.Millisecond, 3 * time.Second},
		{4 * time.Second, 2500 * time.Millisecond, 3 * time.Second},
		{1500 * time.Millisecond, time.Second, 1500 * time.Millisecond},
		{-time.Second, time.Second, time.Second},
	} {
		if got := connectBy(now.Add(c.left), now).Sub(now); got != c.connect {
			t.Errorf("%s left: connect may take %s, want %s", c.left, got, c.connect)
		}
		if got := uncertainWait(now.Add(c.left), now); got != c.doubt {
			t.Errorf("%s left: doubt may take %s, want %s", c.left, got, c.doubt)
		}
	}
	if got := uncertainWait(time.Time{}, now); got != uncertainLimit {
		t.Errorf("without a deadline: %s", got)
	}
}
