package ivr

import (
	"testing"

	"deskbridge/bridge"
	"deskbridge/bridge/legtest"
)

func TestMenuIsALeg(t *testing.T) {
	m := newMenus(t, newLibrary(t))
	legtest.RunMenu(t, func(t *testing.T, n bridge.Notify) bridge.Leg {
		l, err := m.Dialer(Announcement("en", "test", say("closed.restricted", "why.unknown"))).Dial(t.Context(), bridge.Invite{Call: "call"}, n)
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}
