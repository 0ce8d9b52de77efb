package graph_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"deskbridge/graph"
	"deskbridge/simulator"
)

// The simulator is written from the same contract by itself: what it takes and sends is a second reading of it.

const pnid, waba, phone = "700800900100200", "900100200300400", "4915112345678"

// play starts a simulated Meta whose verified webhooks come out of events.
func play(t *testing.T, customer simulator.CustomerConfig) (c *graph.Client, m *simulator.Meta, who *simulator.Customer, events <-chan graph.Event) {
	t.Helper()
	const secret = "app secret"
	ch := make(chan graph.Event, 64)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !graph.Verify(graph.NewSecret(secret), body, r.Header.Get(graph.SignatureHeader)) {
			t.Errorf("bad signature of %s", body)
		}
		list, err := graph.ParseWebhook(body)
		if err != nil {
			t.Errorf("%v of %s", err, body)
		}
		for _, e := range list {
			ch <- e
		}
	}))
	m, err := simulator.NewMeta(simulator.MetaConfig{WebhookURL: hook.URL, Numbers: []simulator.Number{{PhoneNumberID: pnid, WABA: waba,
		DisplayNumber: "15550100200", AppID: "100", AppSecret: secret, Token: "EAAtoken"}}})
	if err != nil {
		t.Fatal(err)
	}
	m.Start()
	customer.Phone = phone
	who, err = m.Customer(customer)
	if err != nil {
		t.Fatal(err)
	}
	c = graph.NewClient(graph.ClientConfig{BaseURL: m.URL(), Token: graph.NewSecret("EAAtoken")})
	t.Cleanup(func() {
		c.Close()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		hook.Close()
	})
	return c, m, who, ch
}

// next is the next event of the kind.
func next(t *testing.T, events <-chan graph.Event, kind graph.Kind) graph.Event {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return e
			}
		case <-limit:
			t.Fatalf("no %v event came", kind)
		}
	}
}

var recipient = graph.Recipient{Phone: phone}

func TestPermissionIsAskedForAndGranted(t *testing.T) {
	c, _, _, events := play(t, simulator.CustomerConfig{Permission: simulator.PermissionNone, Attitude: simulator.AttitudePermanent})
	id, err := c.SendPermissionRequest(t.Context(), pnid, recipient, "May we call?", graph.WithCallbackData("request-1"))
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, events, graph.KindMessageStatus); e.ID != id || e.CallbackData != "request-1" || e.At.IsZero() {
		t.Errorf("status %+v", e)
	}
	if e := next(t, events, graph.KindPermission); !e.Message.Granted || !e.Message.Permanent || e.Message.Context != id || !e.OpensWindow() {
		t.Errorf("reply %+v", e.Message)
	}
	_, err = c.SendPermissionRequest(t.Context(), pnid, recipient, "")
	if e := graph.AsError(err); e == nil || !e.PermanentPermission() {
		t.Errorf("asking again: %v", err)
	}
}

func TestASecondRequestWithinADayIsRefused(t *testing.T) {
	c, _, _, _ := play(t, simulator.CustomerConfig{Permission: simulator.PermissionNone})
	if _, err := c.SendPermissionRequest(t.Context(), pnid, recipient, ""); err != nil {
		t.Fatal(err)
	}
	_, err := c.SendPermissionRequest(t.Context(), pnid, recipient, "")
	if e := graph.AsError(err); e == nil || !e.RequestLimit() {
		t.Errorf("%v", err)
	}
	p, err := c.FreshCallPermissions(t.Context(), pnid, recipient)
	if err != nil {
		t.Fatal(err)
	}
	day, ok := p.Limit(graph.ActionSendPermission, graph.PeriodDay)
	week, ok2 := p.Limit(graph.ActionSendPermission, graph.PeriodWeek)
	if !ok || !ok2 || day.Left() != 0 || week.Left() != 1 || p.Allowed(graph.ActionSendPermission) {
		t.Errorf("a day %+v %v, a week %+v %v", day, ok, week, ok2)
	}
}

func TestOutsideTheWindowOnlyATemplateGoes(t *testing.T) {
	c, _, who, events := play(t, simulator.CustomerConfig{Permission: simulator.PermissionNone, WindowClosed: true})
	for name, send := range map[string]func() (string, error){
		"text":    func() (string, error) { return c.SendText(t.Context(), pnid, recipient, "Hello") },
		"request": func() (string, error) { return c.SendPermissionRequest(t.Context(), pnid, recipient, "") },
		"button": func() (string, error) {
			return c.SendCallButton(t.Context(), pnid, recipient, graph.CallButton{Text: "Call us", Label: "Call", TTL: time.Hour, Payload: "agent-1"})
		},
	} {
		_, err := send()
		if e := graph.AsError(err); e == nil || !e.WindowClosed() {
			t.Errorf("%s: %v", name, err)
		}
	}
	ask := graph.TemplateMessage{Name: "ask_to_call", Language: "en", Body: graph.Positional("4711")}
	if _, err := c.SendTemplate(t.Context(), pnid, recipient, ask); err != nil {
		t.Errorf("template: %v", err)
	}
	if err := who.SendText(pnid, "Hello"); err != nil {
		t.Fatal(err)
	}
	if e := next(t, events, graph.KindMessage); !e.OpensWindow() || e.At.IsZero() || e.Message.Text != "Hello" {
		t.Errorf("message %+v", e)
	}
	if _, err := c.SendCallButton(t.Context(), pnid, recipient, graph.CallButton{Text: "Call us", Label: "Call", TTL: time.Hour, Payload: "agent-1"}); err != nil {
		t.Errorf("button after a message: %v", err)
	}
}

func TestSettingsSurviveTheWayToMetaAndBack(t *testing.T) {
	c, m, _, events := play(t, simulator.CustomerConfig{})
	hours := graph.CallHours{Enabled: true, TimeZone: "Asia/Jakarta",
		Weekly:   []graph.WeeklySpan{{Day: time.Sunday, Open: 0, Close: 1440}, {Day: time.Friday, Open: 780, Close: 1020}, {Day: time.Friday, Open: 480, Close: 690}},
		Holidays: []graph.HolidaySpan{{Date: m.Clock().Now().AddDate(0, 1, 0).Format(time.DateOnly), Start: 0, End: 1440}}}
	change := graph.SettingsChange{Callback: "ENABLED", Icons: "DISABLE_ALL", Codecs: []string{"PCMA"}, Hours: &hours, SIPOff: true}
	if err := c.WriteSettings(t.Context(), pnid, change); err != nil {
		t.Fatal(err)
	}
	e := next(t, events, graph.KindSettings)
	if e.Number != pnid || e.Settings == nil || e.Settings.Callback != "ENABLED" || e.Settings.Hours == nil || !e.Settings.Hours.Equal(hours) {
		t.Errorf("webhook %+v", e.Settings)
	}
	s, err := c.Settings(t.Context(), pnid)
	if err != nil || s.Icons != "DISABLE_ALL" || len(s.ExtraCodecs) != 1 || s.Hours == nil || !s.Hours.Equal(hours) || s.HoursUnread != 0 {
		t.Errorf("%+v %v", s, err)
	}
	hours.Holidays = nil
	if err := c.WriteSettings(t.Context(), pnid, graph.SettingsChange{Hours: &hours}); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Settings(t.Context(), pnid); err != nil || len(s.Hours.Holidays) != 0 || s.Icons != "DISABLE_ALL" {
		t.Errorf("holidays were not taken away, or more than them: %+v %v", s.Hours, err)
	}
	if err := c.WriteSettings(t.Context(), pnid, graph.SettingsChange{Hours: &graph.CallHours{}}); err != nil {
		t.Errorf("switching the hours off: %v", err)
	}
}

func TestRestrictionStopsRequestsAndIsTold(t *testing.T) {
	c, m, _, events := play(t, simulator.CustomerConfig{Permission: simulator.PermissionNone})
	until := m.Clock().Now().Add(7 * 24 * time.Hour).Truncate(time.Second)
	m.Restrict(pnid, simulator.RestrictBusinessCalls, until)
	e := next(t, events, graph.KindRestriction)
	if len(e.News.Restrictions) != 1 || e.News.Restrictions[0].Type != graph.RestrictedOutbound || !e.News.Restrictions[0].Expires.Equal(until) || e.At.IsZero() {
		t.Errorf("%+v at %v", e.News, e.At)
	}
	_, err := c.SendPermissionRequest(t.Context(), pnid, recipient, "")
	if g := graph.AsError(err); g == nil || !g.Restricted() || g.CountryExcluded() {
		t.Errorf("%v", err)
	}
}

func TestMessageWhoseAnswerIsLostIsRecognisedByItsCallbackData(t *testing.T) {
	c, m, _, events := play(t, simulator.CustomerConfig{})
	m.Fail(simulator.Match{Action: "messages"}, simulator.Fault{Drop: true, AfterProcessing: true})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.SendText(ctx, pnid, recipient, "Hello", graph.WithCallbackData("message-7")); !errors.Is(err, graph.ErrUncertain) {
		t.Fatalf("%v", err)
	}
	if e := next(t, events, graph.KindMessageStatus); e.CallbackData != "message-7" || e.ID == "" {
		t.Errorf("status %+v", e)
	}
	if n := len(m.Requests("messages")); n != 1 {
		t.Errorf("%d requests, want one", n)
	}
}
