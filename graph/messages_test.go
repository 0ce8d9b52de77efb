package graph

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var erika = Recipient{Phone: "4915112345678", BSUID: "DE.7001122334455667788"}

func TestMessagesHaveTheContractsForm(t *testing.T) {
	hidden := Recipient{BSUID: erika.BSUID}
	for name, send := range map[string]func(context.Context, *Client) (string, error){
		"text": func(ctx context.Context, c *Client) (string, error) {
			return c.SendText(ctx, "700", hidden, "Hello", WithCallbackData("message-1"))
		},
		"permission_request": func(ctx context.Context, c *Client) (string, error) {
			return c.SendPermissionRequest(ctx, "700", erika, "May we call you about order 4711?")
		},
		"permission_request_bare": func(ctx context.Context, c *Client) (string, error) {
			return c.SendPermissionRequest(ctx, "700", hidden, "")
		},
		"call_button": func(ctx context.Context, c *Client) (string, error) {
			return c.SendCallButton(ctx, "700", erika, CallButton{Text: "Call us", Label: "Call support", TTL: 24 * time.Hour, Payload: "order-4711"})
		},
		"call_button_bare": func(ctx context.Context, c *Client) (string, error) {
			return c.SendCallButton(ctx, "700", erika, CallButton{Text: "Call us"})
		},
		"template": func(ctx context.Context, c *Client) (string, error) {
			return c.SendTemplate(ctx, "700", erika, TemplateMessage{Name: "ask_to_call", Language: "en", Body: Positional("4711")})
		},
		"template_bare": func(ctx context.Context, c *Client) (string, error) {
			return c.SendTemplate(ctx, "700", erika, TemplateMessage{Name: "ask_to_call", Language: "en", Button: &TemplateButton{}})
		},
		"template_button": func(ctx context.Context, c *Client) (string, error) {
			return c.SendTemplate(ctx, "700", erika, TemplateMessage{Name: "call_us", Language: "en_US", Header: Positional("4711"),
				Body: []Parameter{{Name: "customer", Text: "Erika"}}, Button: &TemplateButton{TTL: 100 * time.Minute, Payload: "order-4711"}},
				WithCallbackData("message-2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, g := serve(t, golden(t, "answer/message"))
			id, err := send(t.Context(), c)
			if err != nil || id != "wamid.EXAMPLE70" {
				t.Fatalf("%q %v", id, err)
			}
			g.was(t, "POST /v25.0/700/messages", golden(t, "request/"+name))
		})
	}
}

func TestMessagesBeyondMetasLimitsAreNotSent(t *testing.T) {
	long := strings.Repeat
	button := func(b CallButton) func(*Client) error {
		return func(c *Client) error { _, err := c.SendCallButton(t.Context(), "1", erika, b); return err }
	}
	template := func(m TemplateMessage) func(*Client) error {
		return func(c *Client) error { _, err := c.SendTemplate(t.Context(), "1", erika, m); return err }
	}
	named := func(b TemplateButton) TemplateMessage { return TemplateMessage{Name: "a", Language: "en", Button: &b} }
	for name, c := range map[string]struct {
		send func(*Client) error
		good bool
	}{
		"no text":         {func(c *Client) error { _, err := c.SendText(t.Context(), "1", erika, ""); return err }, false},
		"4096 characters": {func(c *Client) error { _, err := c.SendText(t.Context(), "1", erika, long("ß", 4096)); return err }, true},
		"4097 characters": {func(c *Client) error { _, err := c.SendText(t.Context(), "1", erika, long("ß", 4097)); return err }, false},
		"request of 4097": {func(c *Client) error {
			_, err := c.SendPermissionRequest(t.Context(), "1", erika, long("a", 4097))
			return err
		}, false},
		"callback data of 512": {func(c *Client) error {
			_, err := c.SendText(t.Context(), "1", erika, "a", WithCallbackData(long("a", 512)))
			return err
		}, true},
		"callback data of 513": {func(c *Client) error {
			_, err := c.SendText(t.Context(), "1", erika, "a", WithCallbackData(long("a", 513)))
			return err
		}, false},
		"button without text":     {button(CallButton{}), false},
		"label of 20":             {button(CallButton{Text: "a", Label: long("ß", 20)}), true},
		"label of 21":             {button(CallButton{Text: "a", Label: long("ß", 21)}), false},
		"payload of 512":          {button(CallButton{Text: "a", Payload: long("a", 512)}), true},
		"payload of 513":          {button(CallButton{Text: "a", Payload: long("a", 513)}), false},
		"1 minute":                {button(CallButton{Text: "a", TTL: time.Minute}), true},
		"half a minute":           {button(CallButton{Text: "a", TTL: 30 * time.Second}), false},
		"a minute and a half":     {button(CallButton{Text: "a", TTL: 90 * time.Second}), false},
		"43200 minutes":           {button(CallButton{Text: "a", TTL: 43200 * time.Minute}), true},
		"43201 minutes":           {button(CallButton{Text: "a", TTL: 43201 * time.Minute}), false},
		"negative":                {button(CallButton{Text: "a", TTL: -time.Minute}), false},
		"template name":           {template(TemplateMessage{Name: "Ask", Language: "en"}), false},
		"template language":       {template(TemplateMessage{Name: "ask", Language: "English"}), false},
		"language as in webhooks": {template(TemplateMessage{Name: "ask", Language: "en-US"}), true},
		"empty parameter":         {template(TemplateMessage{Name: "ask", Language: "en", Body: Positional("")}), false},
		"65 parameters":           {template(TemplateMessage{Name: "ask", Language: "en", Body: make([]Parameter, 65)}), false},
		"button override":         {template(named(TemplateButton{Index: 9, TTL: time.Minute})), true},
		"button 10":               {template(named(TemplateButton{Index: 10})), false},
		"button payload of 513":   {template(named(TemplateButton{Payload: long("a", 513)})), false},
	} {
		cl, m := client(says(200, `{"messages":[{"id":"wamid.A"}]}`))
		err := c.send(cl)
		if c.good && (err != nil || len(m.asked) != 1) {
			t.Errorf("%s: %v", name, err)
		}
		if !c.good && (!errors.Is(err, ErrContent) || len(m.asked) != 0) {
			t.Errorf("%s: %v after %d requests", name, err, len(m.asked))
		}
	}
}

// sends are all kinds of message.
var sends = map[string]func(context.Context, *Client, Recipient) error{
	"text": func(ctx context.Context, c *Client, who Recipient) error {
		_, err := c.SendText(ctx, "1", who, "a")
		return err
	},
	"permission request": func(ctx context.Context, c *Client, who Recipient) error {
		_, err := c.SendPermissionRequest(ctx, "1", who, "")
		return err
	},
	"call button": func(ctx context.Context, c *Client, who Recipient) error {
		_, err := c.SendCallButton(ctx, "1", who, CallButton{Text: "a"})
		return err
	},
	"template": func(ctx context.Context, c *Client, who Recipient) error {
		_, err := c.SendTemplate(ctx, "1", who, TemplateMessage{Name: "a", Language: "en"})
		return err
	},
}

func TestNoMessageIsResentOnceItMayHaveBeenTaken(t *testing.T) {
	for kind, send := range sends {
		for name, answer := range map[string]func(*http.Request) (*http.Response, error){
			"hang": hangs, "5xx page": says(502, "<html>"), "garbage": says(200, "{"), "no id": says(200, ok),
			"cut off": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		} {
			synctest.Test(t, func(t *testing.T) {
				cl, m := client(answer)
				if err := send(t.Context(), cl, erika); !errors.Is(err, ErrUncertain) || len(m.asked) != 1 {
					t.Errorf("%s, %s: %v after %d tries", kind, name, err, len(m.asked))
				}
			})
		}
	}
}

func TestNoMessageGoesToNobody(t *testing.T) {
	for kind, send := range sends {
		cl, m := client(says(200, ok))
		if err := send(t.Context(), cl, Recipient{Phone: "-"}); !errors.Is(err, ErrRecipient) || len(m.asked) != 0 {
			t.Errorf("%s: %v after %d requests", kind, err, len(m.asked))
		}
	}
}

func TestRefusalsOfMessagesAreToldApart(t *testing.T) {
	kinds := map[string]func(*Error) bool{
		"request limit": (*Error).RequestLimit, "permanent permission": (*Error).PermanentPermission, "window closed": (*Error).WindowClosed,
		"template": (*Error).TemplateProblem, "calling disabled": (*Error).CallingDisabled, "restricted": (*Error).Restricted,
		"country": (*Error).CountryExcluded, "uncallable": (*Error).Uncallable, "unsupported": (*Error).Unsupported,
		"marketing": (*Error).MarketingRefused, "not listed": (*Error).NotAllowListed, "rate": (*Error).RateLimited,
		"limit too low": (*Error).LimitTooLow, "not subscribed": (*Error).NotSubscribed, "token": (*Error).TokenInvalid,
	}
	for code, want := range map[int]string{
		138009: "request limit", 138017: "permanent permission", 131047: "window closed", 138000: "calling disabled", 138014: "restricted",
		138013: "country restricted", 138001: "uncallable", 131026: "uncallable", 131009: "unsupported", 131049: "marketing", 131050: "marketing",
		132000: "template", 132001: "template", 132005: "template", 132007: "template", 132012: "template", 132015: "template", 132016: "template",
		131030: "not listed", 131056: "rate", 138015: "limit too low", 138018: "not subscribed", 131008: "", 133005: "",
	} {
		cl, _ := client(says(400, refuses(code)))
		_, err := cl.SendPermissionRequest(t.Context(), "1", erika, "")
		if e := AsError(err); e == nil || errors.Is(err, ErrUncertain) {
			t.Errorf("code %d: %v", code, err)
			continue
		}
		for name, is := range kinds {
			if got := is(AsError(err)); got != strings.Contains(want, name) {
				t.Errorf("code %d is %s: %v", code, name, got)
			}
			if got := is(WebhookError{Code: code}.Graph()); got != strings.Contains(want, name) {
				t.Errorf("code %d in a webhook is %s: %v", code, name, got)
			}
		}
	}
}
