package frontdesk

import (
	"fmt"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/policy"
	"deskbridge/store"
)

func (r *rig) callbacks() []store.Callback {
	r.t.Helper()
	page, err := r.store.Callbacks(r.ctx(), store.CallbackQuery{})
	r.must(err)
	return page.Items
}

// automatic is Meta's grant after a call of the customer's.
func (r *rig) automatic(wacid string, expires time.Time) {
	r.t.Helper()
	r.tell(r.reply("wamid.auto."+wacid, wacid, fmt.Sprintf(`"response":"accept","is_permanent":false,"expiration_timestamp":"%d","response_source":"automatic"`, expires.Unix()), r.now()))
}

// inbound records a customer's call.
func (r *rig) inbound(id string, kind bridge.FactKind, answered time.Time) {
	r.t.Helper()
	cdr := bridge.CDR{ID: id, Direction: bridge.Inbound, Line: "main", Wacid: theirCall, Customer: r.c, OfferedAt: r.now(), AnsweredAt: answered}
	if kind == bridge.FactEnded {
		cdr.EndedAt = r.now()
	}
	r.must(r.store.Record(r.ctx(), bridge.Fact{Kind: kind, At: r.now(), CDR: cdr}))
}

func TestAutomaticGrantIsACallbackRequestUnlessTheCallWasAnswered(t *testing.T) {
	week := noon.Add(policy.Week)
	t.Run("missed", func(t *testing.T) {
		r := newRig(t)
		r.inbound("k1", bridge.FactEnded, time.Time{})
		r.automatic(theirCall, week)
		want := store.Callback{Line: "main", Customer: r.c.ID, Call: "k1", Source: store.CallbackMeta, Permission: policy.PermissionTemporary, Expires: week,
			RequestedAt: noon, Due: noon.Add(2 * time.Hour), State: store.CallbackOpen}
		got := r.callbacks()
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		want.ID, want.Version = got[0].ID, got[0].Version
		if got[0] != want {
			t.Fatalf("%+v, want %+v", got[0], want)
		}
	})
	t.Run("answered", func(t *testing.T) {
		r := newRig(t)
		r.inbound("k1", bridge.FactEnded, noon)
		r.automatic(theirCall, week)
		if got := r.callbacks(); len(got) != 0 || r.standing() != policy.StandingTemporary {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("answered after the grant", func(t *testing.T) {
		r := newRig(t)
		r.inbound("k1", bridge.FactOffered, time.Time{})
		r.automatic(theirCall, week)
		r.desk.Completed(r.ctx(), "main", r.c.ID, "k1", r.now())
		if got := r.callbacks(); len(got) != 1 || got[0].State != store.CallbackDone || got[0].DoneBy != "k1" {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("told before and after the call's record", func(t *testing.T) {
		r := newRig(t)
		r.automatic(theirCall, week)
		r.inbound("k1", bridge.FactEnded, time.Time{})
		r.automatic(theirCall, week)
		if got := r.callbacks(); len(got) != 1 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestCallbackFromTheMenuIsKeptOncePerCall(t *testing.T) {
	r := newRig(t)
	r.grant()
	for range 2 {
		if o := r.desk.RequestCallback(r.ctx(), ivr.Request{Call: "k1", Line: "main", Customer: r.c}); !o.Done {
			t.Fatalf("%+v", o)
		}
	}
	got := r.callbacks()
	if len(got) != 1 || got[0].Source != store.CallbackMenu || got[0].Permission != policy.PermissionTemporary || !got[0].Expires.Equal(noon.Add(policy.Week)) {
		t.Fatalf("%+v", got)
	}
	r.free.Store(1 << 20)
	if o := r.desk.RequestCallback(r.ctx(), ivr.Request{Call: "k2", Line: "main", Customer: r.c}); o.Done || o.Reason != ivr.ReasonTrouble {
		t.Fatalf("on a full disk: %+v", o)
	}
}

func TestDueTimeCountsInCallHours(t *testing.T) {
	day := func(d, h, m int) time.Time { return time.Date(2026, 11, d, h, m, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		hours policy.Hours
		from  time.Time
		want  time.Time
	}{
		"always open":                 {policy.Hours{}, noon, noon.Add(2 * time.Hour)},
		"open long enough":            {morning, day(23, 8, 30), day(23, 10, 30)},
		"to the very end":             {morning, day(23, 9, 0), day(23, 11, 0)},
		"over the night":              {morning, day(23, 10, 30), day(24, 9, 30)},
		"asked at night":              {morning, noon, day(24, 10, 0)},
		"over the weekend":            {morning, day(27, 10, 0), day(30, 9, 0)},
		"a holiday between":           {holiday(morning, "2026-11-24"), noon, day(25, 10, 0)},
		"never open: every hour":      {policy.Hours{Zone: "Nowhere/None"}, noon, noon.Add(2 * time.Hour)},
		"opened by hand until hours":  {once(morning, true, day(23, 13, 0)), noon, day(24, 9, 0)},
		"closed by hand in the hours": {once(morning, false, day(24, 9, 0)), day(23, 8, 0), day(24, 11, 0)},
		"closed by hand for good":     {once(morning, false, day(23, 8, 0).AddDate(forGood, 0, 0)), noon, noon.Add(2 * time.Hour)},
		"zone with daylight saving":   {policy.Hours{Zone: "Europe/Berlin", Weekly: []policy.Span{{Day: 0, From: 0, To: 4 * 60}}}, time.Date(2027, 3, 28, 0, 30, 0, 0, time.UTC), time.Date(2027, 4, 3, 22, 30, 0, 0, time.UTC)},
	} {
		if got := openTime(c.hours, c.from, 2*time.Hour); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func holiday(h policy.Hours, date string) policy.Hours {
	h.Holidays = []policy.Holiday{{Date: date}}
	return h
}

func once(h policy.Hours, open bool, until time.Time) policy.Hours {
	h.Once = &policy.HoursOnce{Open: open, Until: until}
	return h
}

func TestCallbackIsDueBeforeThePermissionEnds(t *testing.T) {
	r := newRig(t)
	r.automatic(theirCall, noon.Add(time.Hour))
	if got := r.callbacks(); !got[0].Due.Equal(noon.Add(time.Hour)) {
		t.Fatalf("%+v", got)
	}
}

func TestNextCallbackIsTheOneDueFirstThatTheAgentMayTake(t *testing.T) {
	r := newRig(t)
	want := func(id, line string, in time.Duration, owner string) {
		t.Helper()
		_, err := r.store.RequestCallback(r.ctx(), store.Callback{ID: id, Line: line, Customer: r.c.ID, Source: store.CallbackAgent, RequestedAt: noon, Due: noon.Add(in), Owner: owner})
		r.must(err)
	}
	want("theirs", "main", time.Minute, "phone:9")
	want("elsewhere", "other", 2*time.Minute, "")
	want("b-first", "main", 3*time.Minute, "")
	want("b-own", "main", 4*time.Minute, agent)
	next := func(who string) string {
		t.Helper()
		cb, ok, err := r.desk.NextCallback(r.ctx(), who, func(line string) bool { return line == "main" })
		r.must(err)
		if !ok {
			return ""
		}
		return cb.ID
	}
	// Whoever asks again gets the next one; who has all had theirs gets the first again; another agent gets none of them.
	for i, c := range []struct{ who, id string }{{agent, "b-first"}, {"phone:2", ""}, {agent, "b-own"}, {agent, "b-first"}, {"phone:9", "theirs"}} {
		if got := next(c.who); got != c.id {
			t.Fatalf("%d: %s got %q, want %q", i, c.who, got, c.id)
		}
	}
	r.pass(leaseFor)
	if got := next("phone:2"); got != "b-first" {
		t.Fatalf("after the lease: %q", got)
	}
}

func TestLeasesAreBounded(t *testing.T) {
	var l leases
	for i := range 3 * maxLeases {
		l.take(fmt.Sprint(i), agent, noon)
	}
	if len(l.by) > maxLeases {
		t.Fatalf("%d leases", len(l.by))
	}
}

func TestCallbackExpiresWithItsPermission(t *testing.T) {
	r := newRig(t)
	r.automatic(theirCall, noon.Add(time.Hour))
	_, err := r.store.RequestCallback(r.ctx(), store.Callback{ID: "for-good", Line: "main", Customer: r.c.ID, Source: store.CallbackAgent, RequestedAt: noon, Due: noon.Add(time.Minute)})
	r.must(err)
	states := func() map[string]store.CallbackState {
		t.Helper()
		r.desk.keepHouse(r.ctx())
		got := map[string]store.CallbackState{}
		for _, cb := range r.callbacks() {
			got[string(cb.Source)] = cb.State
		}
		return got
	}
	r.pass(time.Hour - time.Second)
	if got := states(); got["meta"] != store.CallbackOpen || r.value(r.desk.metrics.overdue) != 1 {
		t.Fatalf("%v, overdue %v", got, r.value(r.desk.metrics.overdue))
	}
	r.pass(time.Second)
	if got := states(); got["meta"] != store.CallbackExpired || got["agent"] != store.CallbackOpen {
		t.Fatalf("%v", got)
	}
}

func TestCallbackOfACustomerWhoAllowedCallsAnewDoesNotExpire(t *testing.T) {
	r := newRig(t)
	r.automatic(theirCall, noon.Add(time.Hour))
	r.pass(30 * time.Minute)
	r.grant()
	r.pass(time.Hour)
	r.desk.keepHouse(r.ctx())
	if got := r.callbacks(); got[0].State != store.CallbackOpen {
		t.Fatalf("%+v", got)
	}
	if cb, ok, err := r.desk.NextCallback(r.ctx(), agent, func(string) bool { return true }); err != nil || !ok || cb.ID != r.callbacks()[0].ID {
		t.Fatalf("%+v, %v, %v", cb, ok, err)
	}
}

func TestUncertainMessageIsGivenUpWhenNoWebhookCanComeAnyMore(t *testing.T) {
	r := newRig(t)
	m, _, err := r.store.BeginMessage(r.ctx(), store.Message{Line: "main", Customer: r.c.ID, Kind: kindText, At: r.now()})
	r.must(err)
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{giveUpAfter - time.Second, 1}, {giveUpAfter, 0}} {
		r.at(noon.Add(c.after))
		r.desk.keepHouse(r.ctx())
		page, err := r.store.UncertainMessages(r.ctx(), store.Span{})
		r.must(err)
		if len(page.Items) != c.want {
			t.Fatalf("after %v: %d uncertain, want %d", c.after, len(page.Items), c.want)
		}
	}
	page, err := r.store.Conversation(r.ctx(), store.ConversationQuery{Customer: r.c.ID})
	r.must(err)
	if got := page.Items[0]; got.ID != m.ID || got.Status != store.MessageFailed {
		t.Fatalf("%+v", got)
	}
}
