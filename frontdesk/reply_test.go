package frontdesk

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

const theirCall = "wacid.EXAMPLE0002"

// The six scenarios of the contract, §10.5, and what each leaves behind.
func TestPermissionReplies(t *testing.T) {
	end := noon.Add(5 * 24 * time.Hour) // Meta's word, not seven days
	temporary := fmt.Sprintf(`"response":"accept","is_permanent":false,"expiration_timestamp":"%d","response_source":`, end.Unix())
	for name, c := range map[string]struct {
		context, reply string // context "ask": our request
		want           policy.Standing
		source         policy.Source
		expires        time.Time
		window         bool
		callbacks      int
	}{
		"accepts temporarily":            {"ask", temporary + `"user_action"`, policy.StandingTemporary, policy.SourceRequest, end, true, 0},
		"accepts permanently":            {"ask", `"response":"accept","is_permanent":true,"response_source":"user_action"`, policy.StandingPermanent, policy.SourceRequest, time.Time{}, true, 0},
		"accepts in the profile":         {"", `"response":"accept","is_permanent":true,"response_source":"user_action"`, policy.StandingPermanent, policy.SourceProfile, time.Time{}, false, 0},
		"declines":                       {"ask", `"response":"reject","response_source":"user_action"`, policy.StandingDeclined, policy.SourceRequest, time.Time{}, true, 0},
		"automatic after they called us": {theirCall, temporary + `"automatic"`, policy.StandingTemporary, policy.SourceCallback, end, false, 1},
		"automatic revoke":               {"", `"response":"reject","response_source":"automatic"`, policy.StandingUnanswered, policy.SourceMeta, time.Time{}, false, 0},
		"revokes in the profile":         {"", `"response":"reject","response_source":"user_action"`, policy.StandingRevoked, policy.SourceProfile, time.Time{}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			context := c.context
			if context == "ask" {
				context = r.ask().Message.Wamid // a template: the window is closed
			}
			r.pass(time.Minute)
			ev := r.reply("wamid.R", context, c.reply, r.now())
			forgot := r.number.n("forget")
			r.tell(ev)
			once := r.state()
			r.restart()
			for range 2 { // duplicates, also after a restart
				r.tell(ev)
			}
			got := r.state().Permission(r.now())
			if got.Standing != c.want || got.Source != c.source || !got.Expires.Equal(c.expires) || !reflect.DeepEqual(once, r.state()) {
				t.Fatalf("%+v, first %+v", got, once)
			}
			if open, _ := r.state().Window(r.now()); open != c.window {
				t.Errorf("window open: %v", open)
			}
			if r.number.n("forget") == forgot {
				t.Error("what Meta said before is still believed")
			}
			page, err := r.store.Callbacks(r.ctx(), store.CallbackQuery{})
			r.must(err)
			if len(page.Items) != c.callbacks {
				t.Errorf("callbacks %+v, want %d", page.Items, c.callbacks)
			}
		})
	}
}

const yes = `"response":"accept","is_permanent":true,"response_source":"user_action"`
const no = `"response":"reject","response_source":"user_action"`

func TestReplyToASupersededRequestChangesNothing(t *testing.T) {
	r := newRig(t)
	first := r.ask().Message.Wamid
	r.pass(policy.Week)
	second := r.ask().Message.Wamid
	r.pass(time.Hour)
	r.tell(r.reply("wamid.R1", first, yes, r.now()))
	if r.standing() != policy.StandingRequested {
		t.Fatalf("standing %s", r.standing())
	}
	r.tell(r.reply("wamid.R2", second, yes, r.now()))
	if r.standing() != policy.StandingPermanent {
		t.Fatalf("standing %s", r.standing())
	}
}

func TestReplyFromBeforeTheNewerRequestCountsHoweverLate(t *testing.T) {
	r := newRig(t)
	first := r.ask().Message.Wamid
	answered := r.now().Add(time.Hour)
	r.pass(policy.Week)
	r.ask()
	r.pass(time.Hour)
	r.tell(r.reply("wamid.R1", first, no, answered))
	if got := r.state().Requests[0].Answer; got != policy.StandingDeclined {
		t.Fatalf("answer %q", got)
	}
}

func TestCustomerMayChangeTheAnswer(t *testing.T) {
	r := newRig(t)
	wamid := r.ask().Message.Wamid
	for i, c := range []struct {
		reply string
		want  policy.Standing
	}{{no, policy.StandingDeclined}, {yes, policy.StandingPermanent}, {no, policy.StandingDeclined}} {
		r.pass(time.Hour)
		r.tell(r.reply(fmt.Sprint("wamid.R", i), wamid, c.reply, r.now()))
		if r.standing() != c.want {
			t.Fatalf("reply %d: %s, want %s", i, r.standing(), c.want)
		}
	}
}

func TestAfterADeclineOneRequestADayAndTwoAWeek(t *testing.T) {
	r := newRig(t)
	decline := func(s Sent) {
		t.Helper()
		if !s.Decision.Allowed || s.Err != nil {
			t.Fatalf("at %v: %+v", r.now(), s.Decision)
		}
		r.tell(r.reply("wamid.R"+s.Message.ID, s.Message.Wamid, no, r.now()))
	}
	decline(r.ask())
	r.pass(policy.Day - time.Second)
	if s := r.ask(); s.Decision.Allowed || s.Decision.Rule != policy.RuleRequests {
		t.Fatalf("%+v", s.Decision)
	}
	r.pass(time.Second)
	decline(r.ask())
	r.pass(policy.Day)
	if s := r.ask(); s.Decision.Allowed || !s.Decision.NextAllowed.Equal(noon.Add(policy.Week)) {
		t.Fatalf("%+v", s.Decision)
	}
}

func TestReplyThatOvertakesTheAnswerToOurMessageFindsItsRequest(t *testing.T) {
	r := newRig(t)
	r.wrote()
	r.number.sendFn = func(s sent) (string, error) {
		r.tell(r.reply("wamid.R", "wamid."+s.id, yes, r.now().Add(time.Second)))
		return "wamid." + s.id, nil
	}
	r.ask()
	if q := r.state().Requests[0]; q.Answer != policy.StandingPermanent || r.standing() != policy.StandingPermanent {
		t.Fatalf("%+v, %s", q, r.standing())
	}
}

func TestExpiryInThePastGrantsNothing(t *testing.T) {
	r := newRig(t)
	wamid := r.ask().Message.Wamid
	r.pass(time.Hour)
	r.tell(r.reply("wamid.R", wamid, fmt.Sprintf(`"response":"accept","is_permanent":false,"expiration_timestamp":"%d","response_source":"user_action"`, noon.Unix()), r.now()))
	if r.standing() != policy.StandingExpired {
		t.Fatalf("standing %s", r.standing())
	}
	r.number.set(func(n *fakeNumber) { n.live = policy.Live{Permission: policy.PermissionNone, CanRequest: true} })
	if d := r.call("k1"); d.Rule != policy.RulePermissionExpired {
		t.Fatalf("%+v", d)
	}
}

func TestGrantWhileAnOlderAnswerOfMetaIsKnownAllowsAtOnce(t *testing.T) {
	r := newRig(t)
	if d := r.call("k1"); d.Rule != policy.RulePermissionNone {
		t.Fatalf("%+v", d)
	}
	r.pass(time.Second)
	r.tell(r.reply("wamid.R", "", yes, r.now()))
	r.allow()
	if d := r.call("k2"); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	r.pass(time.Second)
	r.tell(r.reply("wamid.R2", "", no, r.now()))
	r.number.set(func(n *fakeNumber) { n.live = policy.Live{} })
	if d := r.call("k3"); d.Rule != policy.RulePermissionRevoked {
		t.Fatalf("%+v", d)
	}
}

func TestMessagesOpenTheWindowButNotThoseOfGroupsOrTheSystem(t *testing.T) {
	for name, c := range map[string]struct {
		m     graph.Message
		opens bool
		kept  int
	}{
		"text":   {graph.Message{Type: "text", Text: "hi"}, true, 1},
		"group":  {graph.Message{Type: "text", Text: "hi", Group: "g1"}, false, 0},
		"system": {graph.Message{Type: "system"}, false, 1},
		"bare":   {graph.Message{}, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for range 2 {
				r.tell(graph.Event{Kind: graph.KindMessage, ID: "wamid.M", At: noon.Add(-time.Hour), Message: &c.m})
			}
			open, until := r.state().Window(r.now())
			page, err := r.store.Conversation(r.ctx(), store.ConversationQuery{Customer: r.c.ID})
			r.must(err)
			if open != c.opens || open && !until.Equal(noon.Add(23*time.Hour)) || len(page.Items) != c.kept {
				t.Fatalf("open %v until %v, kept %d", open, until, len(page.Items))
			}
		})
	}
}

func TestEventsOfNobodyAndOfNoLineAreNoErrors(t *testing.T) {
	r := newRig(t)
	for _, ev := range []graph.Event{
		{Kind: graph.KindPermission, Message: &graph.Message{Granted: true}}, {Kind: graph.KindMessage, Message: &graph.Message{}},
		{Kind: graph.KindMessageStatus, Name: "SENT", ID: "wamid.theirs"}, {Kind: graph.KindMessageStatus, Name: "SENT", ID: "wamid.theirs", CallbackData: "somebody else's, with spaces\x00 and more"},
		{Kind: graph.KindMessageStatus, Name: "WARNED", ID: "x"}, {Kind: graph.KindMessageStatus, Name: "SENT"},
		{Kind: graph.KindIdentity}, {Kind: graph.KindIdentity, Change: &graph.IdentityChange{Before: graph.Identity{Phone: "4999"}, Now: graph.Identity{Phone: "4998"}}},
		{Kind: graph.KindSettings}, {Kind: graph.KindRestriction, News: &graph.AccountNews{}}, {Kind: graph.KindAccount}, {Kind: graph.KindErrors}, {},
	} {
		for _, line := range []string{"", "gone"} {
			if err := r.desk.Heard(r.ctx(), line, bridge.Customer{}, &ev); err != nil {
				t.Errorf("%v on line %q: %v", ev.Kind, line, err)
			}
		}
	}
	// The line was removed while its event waited: telling it again would never help.
	ev := r.reply("wamid.R", theirCall, `"response":"accept","is_permanent":true,"response_source":"automatic"`, r.now())
	if err := r.desk.Heard(r.ctx(), "gone", r.c, &ev); err != nil {
		t.Error(err)
	}
}

func TestFullDiskMeansTellMeAgainAndRepeatingIsHarmless(t *testing.T) {
	r := newRig(t)
	asked := r.ask().Message
	events := []graph.Event{
		r.reply("wamid.R", asked.Wamid, yes, r.now()),
		{Kind: graph.KindMessage, ID: "wamid.M", At: r.now(), Message: &graph.Message{Type: "text"}},
		{Kind: graph.KindMessageStatus, Name: "DELIVERED", ID: asked.Wamid, CallbackData: asked.ID, At: r.now()},
		{Kind: graph.KindRestriction, At: r.now(), News: &graph.AccountNews{Restrictions: []graph.Restriction{{Type: graph.RestrictedOutbound, Expires: noon.Add(time.Hour)}}}},
		{Kind: graph.KindQuality, Name: "downgrade", At: r.now(), Quality: &graph.QualityNews{}},
		{Kind: graph.KindIdentity, Change: &graph.IdentityChange{Type: "user_changed_number", Before: graph.Identity{Phone: r.c.Phone}, Now: graph.Identity{Phone: "4915199999999"}}},
	}
	r.free.Store(1 << 20)
	for _, ev := range events {
		if err := r.desk.Heard(r.ctx(), "main", r.c, &ev); err == nil {
			t.Errorf("%v was taken though the disk refused it", ev.Kind)
		}
	}
	if r.standing() != policy.StandingRequested {
		t.Fatalf("standing %s", r.standing())
	}
	r.free.Store(10 << 30)
	for r.store.Level() != store.Fine {
		time.Sleep(time.Millisecond) // the guard looks at the disk every 10 ms
	}
	for range 2 {
		for _, ev := range events {
			r.tell(ev)
		}
	}
	st, err := r.store.LineState(r.ctx(), "main")
	r.must(err)
	if r.standing() != policy.StandingPermanent || len(st.Restrictions) != 1 || st.Quality != "downgrade" || r.counted() != 1 {
		t.Fatalf("%s, %+v", r.standing(), st)
	}
	c, err := r.store.Customer(r.ctx(), r.c.ID)
	r.must(err)
	if c.Phone != "4915199999999" {
		t.Fatalf("customer %+v", c)
	}
}

func TestIdentityChangeKeepsTheHistory(t *testing.T) {
	r := newRig(t)
	r.ask()
	r.tell(graph.Event{Kind: graph.KindIdentity, Change: &graph.IdentityChange{Type: "user_changed_user_id", Before: graph.Identity{Phone: r.c.Phone},
		Now: graph.Identity{Phone: "4915199999999", BSUID: "DE.NEW1"}}})
	c, err := r.store.Resolve(r.ctx(), store.Identity{BSUID: "DE.NEW1"})
	r.must(err)
	if c.ID != r.c.ID || r.counted() != 1 {
		t.Fatalf("%+v", c)
	}
	r.c = c
	if s := r.ask(); s.Decision.Rule != policy.RuleRequests {
		t.Fatalf("%+v", s.Decision)
	}
	if r.number.n("forget") == 0 {
		t.Fatal("what Meta said of the old number is still believed")
	}
}
