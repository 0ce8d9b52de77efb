package simulator

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func textMessage() obj {
	return obj{"messaging_product": "whatsapp", "to": "+6281234567890", "type": "text", "text": obj{"body": "Hello"}}
}

func buttonMessage(parameters obj) obj {
	return obj{"messaging_product": "whatsapp", "to": "+6281234567890", "type": "interactive", "interactive": obj{"type": "voice_call",
		"body": obj{"text": "Call us"}, "action": obj{"name": "voice_call", "parameters": parameters}}}
}

// §11.3: who opens the window, and for how long.
func TestWindowIsOpenedFor24Hours(t *testing.T) {
	t.Parallel()
	answered := func(t *testing.T, p *product, c *Customer) {
		connectOut(t, p, "+6281234567890")
		if err := (<-c.Calls()).WaitState(testCtx(t), StateConnected); err != nil {
			t.Fatal(err)
		}
	}
	for name, open := range map[string]func(*testing.T, *product, *Customer){
		"by a text": func(t *testing.T, _ *product, c *Customer) {
			if err := c.SendText(testPNID, "hi"); err != nil {
				t.Fatal(err)
			}
		},
		"by a missed call": func(t *testing.T, p *product, c *Customer) {
			cc, err := c.Call(testCtx(t), testPNID, CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.wait("connect")
			cc.Hangup()
		},
		"by a call given up at once": func(t *testing.T, _ *product, c *Customer) {
			cc, err := c.Call(testCtx(t), testPNID, CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			cc.Hangup()
		},
		"by accepting our call": answered,
		"by answering a permission request": func(t *testing.T, p *product, c *Customer) {
			status, out := p.graph("POST", testPNID+"/messages", sendTemplate("ask_to_call", "en"))
			wantOK(t, status, out)
			if err := c.AnswerPermission(c.Messages()[0].ID, false, false); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t, func(c *MetaConfig) { c.Templates = []Template{PermissionTemplate("ask_to_call", "en", "May we call?")} })
			c := p.customer(func(c *CustomerConfig) { c.WindowClosed, c.Permission = true, PermissionTemporary })
			if _, out := p.graph("POST", testPNID+"/messages", textMessage()); errCode(out) != 131047 {
				t.Fatalf("closed: %v", out)
			}
			open(t, p, c)
			p.meta.Clock().Advance(day - time.Minute)
			status, out := p.graph("POST", testPNID+"/messages", textMessage())
			wantOK(t, status, out)
			p.meta.Clock().Advance(time.Minute)
			if _, out := p.graph("POST", testPNID+"/messages", textMessage()); errCode(out) != 131047 {
				t.Errorf("a day later: %v", out)
			}
		})
	}
}

func TestUnansweredOutboundCallOpensNoWindow(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	c := p.customer(func(c *CustomerConfig) {
		c.WindowClosed, c.Behaviour = true, Behaviour{React: ReactDecline, After: time.Millisecond}
	})
	connectOut(t, p, "+6281234567890")
	<-(<-c.Calls()).Ended()
	for name, b := range map[string]obj{"text": textMessage(), "permission request": permissionRequestBody(), "call button": buttonMessage(obj{})} {
		if _, out := p.graph("POST", testPNID+"/messages", b); errCode(out) != 131047 {
			t.Errorf("%s: %v", name, out)
		}
	}
}

func TestCallButtonIsJudged(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	p.customer()
	for name, c := range map[string]struct {
		parameters obj
		code       int
	}{
		"defaults":           {obj{}, 0},
		"longest label":      {obj{"display_text": strings.Repeat("é", 20)}, 0},
		"label too long":     {obj{"display_text": strings.Repeat("x", 21)}, 131009},
		"one minute":         {obj{"ttl_minutes": 1}, 0},
		"no minute":          {obj{"ttl_minutes": 0}, 131009},
		"thirty days":        {obj{"ttl_minutes": 43200}, 0},
		"more than 30 days":  {obj{"ttl_minutes": 43201}, 131009},
		"longest payload":    {obj{"payload": strings.Repeat("x", 512)}, 0},
		"payload too long":   {obj{"payload": strings.Repeat("x", 513)}, 131009},
		"payload not a text": {obj{"payload": 7}, 100},
	} {
		if _, out := p.graph("POST", testPNID+"/messages", buttonMessage(c.parameters)); errCode(out) != c.code {
			t.Errorf("%s: %v, want %d", name, out, c.code)
		}
	}
	q := newProduct(t, func(c *MetaConfig) { c.Numbers[0].Disabled = true })
	q.customer()
	if _, out := q.graph("POST", testPNID+"/messages", buttonMessage(obj{})); errCode(out) != 131009 {
		t.Errorf("calling is off: %v", out)
	}
}

func TestPressedCallButtonBringsItsPayloadUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	c := p.customer()
	for _, b := range []obj{buttonMessage(obj{"display_text": "Call support", "ttl_minutes": 60, "payload": "order-4711"}), textMessage(), buttonMessage(obj{})} {
		status, out := p.graph("POST", testPNID+"/messages", b)
		wantOK(t, status, out)
	}
	got := c.Messages()
	if got[0].Type != "call_button" || got[0].Text != "Call us" || got[0].Buttons[0] != "Call support" || got[2].Buttons[0] != "Call Now" ||
		got[2].Until.Sub(got[2].At) != 7*day || got[1].Type != "text" || got[1].Text != "Hello" || got[1].PhoneNumberID != testPNID {
		t.Fatalf("messages %+v", got)
	}
	cc, err := c.PressCallButton(testCtx(t), got[0].ID, CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if h := p.wait("connect"); h.Call["cta_payload"] != "order-4711" || h.Call["id"] != cc.ID() {
		t.Errorf("connect %v", h.Call)
	}
	if _, err := c.PressCallButton(testCtx(t), got[1].ID, CallOptions{}); !errors.Is(err, ErrNoButton) {
		t.Errorf("a text has no button: %v", err)
	}
	p.meta.Clock().Advance(time.Hour)
	if _, err := c.PressCallButton(testCtx(t), got[0].ID, CallOptions{}); !errors.Is(err, ErrNoButton) {
		t.Errorf("after its time: %v", err)
	}
}

func TestOldAppFailsLater(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	c := p.customer(func(c *CustomerConfig) { c.OldApp, c.Permission = true, PermissionNone })
	status, out := p.graph("POST", testPNID+"/messages", permissionRequestBody())
	wantOK(t, status, out)
	h := p.wait("failed")
	failed := h.Call["errors"].([]any)[0].(map[string]any)
	if failed["code"] != 131026.0 || h.Value["contacts"] != nil || h.Call["recipient_user_id"] != nil {
		t.Errorf("status %v", h.Value)
	}
	if len(c.Messages()) != 0 {
		t.Error("the message arrived")
	}
}

func TestMessagesOfACustomerAreBounded(t *testing.T) {
	t.Parallel()
	c := &Customer{}
	for range 3 * maxInbox {
		c.receive(nil, Message{Type: "text"})
	}
	if n := len(c.Messages()); n > maxInbox || n < maxInbox/2 {
		t.Errorf("%d messages kept", n)
	}
}
