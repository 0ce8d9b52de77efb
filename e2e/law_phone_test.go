//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// lawHouse is a house whose line has the templates that reach customers outside the message window.
func lawHouse(t *testing.T) *house {
	t.Helper()
	return newHouse(t, houseOptions{
		meta: func(m *simulator.MetaConfig) {
			m.Templates = []simulator.Template{simulator.PermissionTemplate("ask_to_call", "en", "May we call you about {{1}}?")}
		},
		settings: func(s *appliance.Settings) {
			s.Lines[0].WABAID = "900100200300400"
			s.Lines[0].Messages.AskTemplate = appliance.TemplateSettings{Name: "ask_to_call", Parameters: []string{"your order"}}
			s.Phones[0].Supervisor = true
		},
	})
}

// asks are the permission requests that Meta took.
func (h *house) asks() []simulator.Request {
	return slices.DeleteFunc(h.meta.Requests("messages"), func(r simulator.Request) bool { return !r.AsksPermission || !r.OK() })
}

// hearsVoice waits until the phone hears a voice in its latest call: loud, and no tone.
func (b *baresip) hearsVoice() {
	b.h.t.Helper()
	b.h.until("a voice at the phone", func() bool {
		pcm, rate := b.heard()
		if rate == 0 || len(pcm) < rate {
			return false
		}
		last := pcm[len(pcm)-rate:]
		_, tone := media.DominantTone(last, rate)
		return media.Level(last) > -40 && tone < 0.8
	})
}

// The agent of a customer who has not allowed calls hears a menu, presses 1, is rung when the customer allows, presses 1, and
// talks: all of it with a real phone's digits.
func TestBaresipAsksAndIsRung(t *testing.T) {
	for name, open := range map[string]bool{"window": true, "template": false} { // short: baresip cuts long file names
		t.Run(name, func(t *testing.T) {
			kind := map[bool]string{true: "message:permission_request", false: "message:template"}[open]
			h := lawHouse(t)
			phone := startBaresip(h, baresipOptions{ext: "1001", codecs: []string{"PCMA/8000/1"}, tone: 1000})
			h.waitRegistered("1001")
			cust := h.customer(simulator.CustomerConfig{Phone: "4915112345678", Name: "Erika M.", Permission: simulator.PermissionNone, WindowClosed: true,
				Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}}})
			if open {
				if err := cust.SendText(numberID, "hello"); err != nil {
					t.Fatal(err)
				}
				h.until("the message window to be open", func() bool {
					e, err := h.app.Explain(t.Context(), appliance.ExplainQuery{Line: lineID, Customer: "+4915112345678"})
					return err == nil && !e.Window.IsZero()
				})
			}
			phone.do("dial", fmt.Sprintf("sip:+4915112345678@%s", h.sip))
			phone.event("CALL_ESTABLISHED", 1)
			phone.hearsVoice()
			if n := len(h.meta.Requests("connect")) + len(h.asks()); n != 0 {
				t.Fatalf("%d calls and requests before a key was pressed", n)
			}
			phone.do("sndcode", "1")
			h.until("a permission request at Meta", func() bool { return len(h.asks()) > 0 })
			phone.event("CALL_CLOSED", 1) // the voice has said how it went
			if got := h.asks(); len(got) != 1 || got[0].Kind != kind {
				t.Fatalf("requests at Meta: %+v, want one %s", got, kind)
			}
			if err := cust.AnswerPermission(h.asks()[0].MessageID, true, false); err != nil {
				t.Fatal(err)
			}
			phone.event("CALL_INCOMING", 1)
			phone.do("accept", "")
			phone.event("CALL_ESTABLISHED", 2)
			phone.hearsVoice()
			if n := len(h.meta.Requests("connect")); n != 0 {
				t.Fatalf("%d calls before the agent pressed a key", n)
			}
			phone.do("sndcode", "1")
			call := <-cust.Calls()
			h.customerHears(call, 1000)
			phone.hears(440)
			phone.do("hangup", "")
			cdr := h.waitNoCalls()
			if cdr.AnsweredAt.IsZero() || cdr.Agent != "phone:1001" || cdr.Customer.Phone != "4915112345678" {
				t.Errorf("record %+v", cdr)
			}
			if n := len(h.meta.Requests("connect")); n != 1 || len(h.asks()) != 1 {
				t.Errorf("%d calls and %d requests in the end", n, len(h.asks()))
			}
			h.clean(call)
		})
	}
}

// Hanging up before a key is pressed asks nobody.
func TestBaresipHangsUpOnTheMenu(t *testing.T) {
	h := lawHouse(t)
	phone := startBaresip(h, baresipOptions{ext: "1001", codecs: []string{"PCMA/8000/1"}, tone: 1000})
	h.waitRegistered("1001")
	h.customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionNone})
	phone.do("dial", fmt.Sprintf("sip:+4915112345678@%s", h.sip))
	phone.event("CALL_ESTABLISHED", 1)
	phone.hearsVoice()
	phone.do("hangup", "")
	h.waitNoCalls()
	if n := len(h.meta.Requests("connect")) + len(h.meta.Requests("messages")); n != 0 {
		t.Errorf("%d calls and messages", n)
	}
}

// A real phone dials the codes.
func TestBaresipDialsFeatureCodes(t *testing.T) {
	h := lawHouse(t)
	phone := startBaresip(h, baresipOptions{ext: "1001", codecs: []string{"PCMA/8000/1"}, tone: 1000})
	h.waitRegistered("1001")
	h.customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionNone, WindowClosed: true})
	calls := 0
	dial := func(code string) {
		t.Helper()
		calls++
		phone.do("dial", fmt.Sprintf("sip:%s@%s", code, h.sip))
		phone.event("CALL_ESTABLISHED", calls)
		phone.event("CALL_CLOSED", calls)
	}
	available := func(want bool) {
		t.Helper()
		a, err := h.app.Store().Availability(t.Context(), "phone:1001")
		if err != nil || a.Available != want {
			t.Errorf("available %+v, %v; want %t", a, err, want)
		}
	}
	dial("*46")
	available(false)
	dial("*45")
	available(true)
	dial("*470")
	if st, err := h.app.Store().LineState(t.Context(), lineID); err != nil || st.Override == nil || st.Override.Open {
		t.Errorf("after *470: %+v, %v", st.Override, err)
	}
	dial("*472")
	if st, err := h.app.Store().LineState(t.Context(), lineID); err != nil || st.Override != nil {
		t.Errorf("after *472: %+v, %v", st.Override, err)
	}
	dial("*40015112345678")
	if got := h.asks(); len(got) != 1 || got[0].Kind != "message:template" || got[0].Customer != "4915112345678" {
		t.Errorf("after *40: %+v", got)
	}
	h.waitNoCalls()
}
