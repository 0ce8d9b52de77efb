package simulator

import (
	"errors"
	"testing"
	"time"
)

// Each case is a history of one number and customer; "a" and "b" are requests, in that order.
func TestPermissionRequestDies(t *testing.T) {
	t.Parallel()
	type step struct {
		at     time.Duration
		ask    string
		answer string
		tap    Attitude
		want   error
	}
	ask := func(at time.Duration, id string) step { return step{at: at, ask: id} }
	tap := func(at time.Duration, id string, a Attitude, want error) step {
		return step{at: at, answer: id, tap: a, want: want}
	}
	for name, c := range map[string]struct {
		steps []step
		kind  PermissionKind
	}{
		"answered in the last second of the seventh day": {[]step{ask(0, "a"), tap(week-time.Second, "a", AttitudeTemporary, nil)}, PermissionTemporary},
		"not answered for seven days":                    {[]step{ask(0, "a"), tap(week, "a", AttitudeTemporary, ErrRequestExpired)}, PermissionNone},
		"superseded by the answer to a newer one": {[]step{ask(0, "a"), ask(day, "b"), tap(day, "b", AttitudeDecline, nil),
			tap(day, "a", AttitudeTemporary, ErrRequestSuperseded)}, PermissionNone},
		"not superseded by a newer one without an answer": {[]step{ask(0, "a"), ask(day, "b"), tap(day, "a", AttitudeTemporary, nil)}, PermissionTemporary},
		"answered differently within seven days":          {[]step{ask(0, "a"), tap(0, "a", AttitudeDecline, nil), tap(week-time.Second, "a", AttitudePermanent, nil)}, PermissionPermanent},
		"seven days after the decline": {[]step{ask(0, "a"), tap(day, "a", AttitudeDecline, nil), tap(8*day, "a", AttitudeTemporary, ErrRequestExpired)},
			PermissionNone},
		"seven days after delivery, but not after the answer": {[]step{ask(0, "a"), tap(6*day, "a", AttitudeDecline, nil), tap(12*day, "a", AttitudeTemporary, nil)},
			PermissionTemporary},
		"a decline takes back what the request gave": {[]step{ask(0, "a"), tap(0, "a", AttitudeTemporary, nil), tap(day, "a", AttitudeDecline, nil)}, PermissionNone},
		"a decline does not forbid a later grant":    {[]step{ask(0, "a"), tap(0, "a", AttitudeDecline, nil), ask(day, "b"), tap(day, "b", AttitudeTemporary, nil)}, PermissionTemporary},
		"a decline leaves an earlier grant": {[]step{ask(0, "a"), tap(0, "a", AttitudeTemporary, nil), ask(day, "b"), tap(day, "b", AttitudeDecline, nil)},
			PermissionTemporary},
		"never asked": {[]step{tap(0, "a", AttitudeTemporary, ErrRequestUnknown)}, PermissionNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &permission{limits: limitsOf(false), kind: PermissionNone}
			last := noon
			for i, s := range c.steps {
				last = noon.Add(s.at)
				if s.ask != "" {
					if e := p.request(s.ask, last); e != nil {
						t.Fatalf("step %d: %v", i, e)
					}
					continue
				}
				if err := p.answer(s.answer, s.tap, last); !errors.Is(err, s.want) {
					t.Errorf("step %d: %v, want %v", i, err, s.want)
				}
			}
			if kind, _ := p.status(last); kind != c.kind {
				t.Errorf("permission is %s, want %s", kind, c.kind)
			}
		})
	}
}

func TestPermissionLimitsOfTestNumbers(t *testing.T) {
	t.Parallel()
	p := &permission{limits: limitsOf(true), kind: PermissionNone}
	now := noon
	for i := range 100 {
		if i%25 == 0 && i > 0 {
			if got := codeOf(p.request("x", now)); got != 138009 {
				t.Fatalf("request 26 of a day: %d", got)
			}
			now = now.Add(day)
		}
		if e := p.request("x", now); e != nil {
			t.Fatalf("request %d: %v", i+1, e)
		}
	}
	now = now.Add(day)
	if got := codeOf(p.request("x", now)); got != 138009 {
		t.Errorf("request 101 of a week: %d", got)
	}
	if e := p.request("x", noon.Add(week)); e != nil {
		t.Errorf("a week after the first: %v", e)
	}
}

// replies waits for n permission replies and returns them with their context ID.
func (p *product) replies(n int) []hook {
	p.t.Helper()
	var out []hook
	eventually(p.t, "permission replies", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		out = nil
		for _, h := range p.events {
			if h.Event == "interactive" {
				out = append(out, h)
			}
		}
		return len(out) >= n
	})
	if len(out) != n {
		p.t.Fatalf("%d permission replies, want %d", len(out), n)
	}
	return out
}

func replyOf(h hook) (reply map[string]any, context any) {
	i, _ := h.Call["interactive"].(map[string]any)
	reply, _ = i["call_permission_reply"].(map[string]any)
	c, _ := h.Call["context"].(map[string]any)
	return reply, c["id"]
}

// The six rows of §10.5.
func TestPermissionReplyWebhooks(t *testing.T) {
	t.Parallel()
	type scenario struct {
		run                 func(t *testing.T, p *product, c *Customer) (context string)
		response, source    string
		permanent, expires  bool
		permanentKeyPresent bool
	}
	asked := func(accept, permanent bool) func(*testing.T, *product, *Customer) string {
		return func(t *testing.T, p *product, c *Customer) string {
			status, out := p.graph("POST", testPNID+"/messages", permissionRequestBody())
			wantOK(t, status, out)
			id := c.Messages()[0].ID
			if err := c.AnswerPermission(id, accept, permanent); err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	for name, s := range map[string]scenario{
		"accepts temporarily": {run: asked(true, false), response: "accept", source: "user_action", expires: true, permanentKeyPresent: true},
		"accepts permanently": {run: asked(true, true), response: "accept", source: "user_action", permanent: true, permanentKeyPresent: true},
		"declines":            {run: asked(false, false), response: "reject", source: "user_action"},
		"accepts permanently in the business profile": {run: func(t *testing.T, _ *product, c *Customer) string {
			if err := c.SetPermission(testPNID, PermissionPermanent, true); err != nil {
				t.Fatal(err)
			}
			return ""
		}, response: "accept", source: "user_action", permanent: true, permanentKeyPresent: true},
		"automatic after the user called": {run: func(t *testing.T, p *product, c *Customer) string {
			if err := p.meta.ChangeSettings(testPNID, obj{"callback_permission_status": "ENABLED"}); err != nil {
				t.Fatal(err)
			}
			cc, err := c.Call(testCtx(t), testPNID, CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			cc.Hangup() // missed, perhaps before the business heard of it
			return cc.ID()
		}, response: "accept", source: "automatic", expires: true, permanentKeyPresent: true},
		"automatic revoke after four unanswered": {run: func(t *testing.T, p *product, c *Customer) string {
			if err := c.SetPermission(testPNID, PermissionPermanent, false); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				connectOut(t, p, "+6281234567890")
				<-(<-c.Calls()).Ended()
			}
			return ""
		}, response: "reject", source: "automatic"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProduct(t)
			c := p.customer(func(c *CustomerConfig) {
				c.Permission, c.Behaviour = PermissionNone, Behaviour{React: ReactDecline, After: time.Millisecond}
			})
			before := p.meta.Clock().Now()
			context := s.run(t, p, c)
			reply, gotContext := replyOf(p.replies(1)[0])
			if reply["response"] != s.response || reply["response_source"] != s.source {
				t.Errorf("reply %v", reply)
			}
			if v, present := reply["is_permanent"]; present != s.permanentKeyPresent || (present && v != s.permanent) {
				t.Errorf("is_permanent in %v", reply)
			}
			if _, present := reply["expiration_timestamp"]; present != s.expires {
				t.Errorf("expiration_timestamp in %v", reply)
			}
			if (context == "") != (gotContext == nil) || (context != "" && gotContext != context) {
				t.Errorf("context %v, want %q", gotContext, context)
			}
			if !s.expires {
				return
			}
			_, until := c.PermissionFor(testPNID)
			if want := before.Add(week); until.Before(want) || until.After(want.Add(time.Minute)) || reply["expiration_timestamp"] != stamp(until) {
				t.Errorf("until %s, told %v", until, reply)
			}
		})
	}
}

func TestCompanionDeviceGivesNoCallbackPermission(t *testing.T) {
	t.Parallel()
	p := newProduct(t, func(c *MetaConfig) { c.Numbers[0].CallbackPermission = true })
	c := p.customer(func(c *CustomerConfig) { c.Permission, c.Companion = PermissionNone, true })
	if _, err := c.Call(testCtx(t), testPNID, CallOptions{}); err != nil {
		t.Fatal(err)
	}
	p.wait("connect")
	if kind, _ := c.PermissionFor(testPNID); kind != PermissionNone {
		t.Errorf("permission is %s", kind)
	}
}

func TestAnswerToADeadRequestIsRefusedButItsWebhookCanBeForced(t *testing.T) {
	t.Parallel()
	p := newProduct(t)
	c := p.customer(func(c *CustomerConfig) { c.Permission = PermissionNone })
	ask := func() string {
		status, out := p.graph("POST", testPNID+"/messages", permissionRequestBody())
		wantOK(t, status, out)
		list := c.Messages()
		return list[len(list)-1].ID
	}
	first := ask()
	p.meta.Clock().Advance(day)
	if err := c.SendText(testPNID, "hello"); err != nil { // keeps the window open
		t.Fatal(err)
	}
	second := ask()
	if err := c.AnswerPermission(second, false, false); err != nil {
		t.Fatal(err)
	}
	if err := c.AnswerPermission(first, true, true); !errors.Is(err, ErrRequestSuperseded) || !errors.Is(c.PermissionRequest(first), ErrRequestSuperseded) {
		t.Errorf("the older request: %v", err)
	}
	p.replies(1)
	tapped := p.meta.Clock().Now().Add(-time.Hour)
	if err := c.LateAnswer(first, true, false, tapped); err != nil {
		t.Fatal(err)
	}
	late := p.replies(2)[1]
	reply, context := replyOf(late)
	if reply["response"] != "accept" || context != first || late.Call["timestamp"] != stamp(tapped) || reply["expiration_timestamp"] != stamp(tapped.Add(week)) {
		t.Errorf("late reply %v", late.Call)
	}
	if _, body := connectTry(t, p, "+6281234567890"); errCode(body) != 138006 {
		t.Errorf("the late webhook changed something at Meta: %v", body)
	}
	p.meta.Clock().Advance(week)
	if err := c.AnswerPermission(second, true, false); !errors.Is(err, ErrRequestExpired) {
		t.Errorf("after a week: %v", err)
	}
	if err := c.AnswerPermission("wamid.NOBODY", true, false); !errors.Is(err, ErrRequestUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

func TestCustomerIsAskedToReconsiderAfterTwoUnanswered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		test           bool
		notice, revoke int
	}{{false, 2, 4}, {true, 5, 10}} {
		p := newProduct(t, func(cfg *MetaConfig) {
			cfg.Numbers[0].Test, cfg.Numbers[0].AllowList = c.test, []string{"6281234567890"}
		})
		cust := p.customer(func(c *CustomerConfig) { c.Behaviour = Behaviour{React: ReactDecline, After: time.Millisecond} })
		for i := 1; i <= c.revoke; i++ {
			connectOut(t, p, "+6281234567890")
			<-(<-cust.Calls()).Ended()
			want := 0
			switch {
			case i == c.revoke:
				want = 2
			case i >= c.notice:
				want = 1
			}
			eventually(t, "system messages", func() bool { return len(cust.Messages()) == want })
			kind, _ := cust.PermissionFor(testPNID)
			if (kind == PermissionNone) != (i == c.revoke) {
				t.Errorf("test=%v: permission is %s after %d", c.test, kind, i)
			}
		}
		for _, g := range cust.Messages() {
			if g.Type != "system" {
				t.Errorf("message %+v", g)
			}
		}
	}
}
