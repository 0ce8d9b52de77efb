package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/policy"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func attempt(id string, at time.Time) policy.Event {
	return policy.Event{Kind: policy.EventAttempted, At: at, ID: id}
}

// asJSON compares states the way they are kept: empty and absent are the same.
func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// states is what PolicyState says, for both and as JSON.
func states(t testing.TB, s *Store, line, customer string) (pair, global string, version uint64) {
	t.Helper()
	p, g, v, err := s.PolicyState(testCtx(t), line, customer)
	must(t, err)
	return asJSON(p), asJSON(g), v
}

func randomEvent(r *rapid.T, n int) policy.Event {
	kind := rapid.SampledFrom([]policy.EventKind{policy.EventRequested, policy.EventGranted, policy.EventDeclined, policy.EventRevoked,
		policy.EventAttempted, policy.EventEnded, policy.EventOffered, policy.EventWrote, policy.EventAutoReply, policy.EventLive,
		policy.EventBlocked, policy.EventFreed}).Draw(r, "kind")
	e := policy.Event{Kind: kind, At: noon.Add(time.Duration(n)*time.Minute + time.Duration(rapid.IntRange(-5, 5).Draw(r, "late"))*time.Second),
		Outcome: rapid.SampledFrom([]policy.Outcome{policy.OutcomeConnected, policy.OutcomeUnanswered}).Draw(r, "outcome"),
		Inbound: rapid.Bool().Draw(r, "inbound"), Permanent: rapid.Bool().Draw(r, "permanent"), By: "user:anna"}
	switch kind {
	case policy.EventGranted, policy.EventDeclined, policy.EventRevoked, policy.EventWrote, policy.EventBlocked, policy.EventFreed:
	case policy.EventLive:
		e.Live = &policy.Live{At: e.At, Permission: policy.PermissionTemporary, CanStart: true}
	default:
		e.ID = fmt.Sprint("id", n)
	}
	return e
}

// The states are the events, applied in the order of the ledger, whichever line they are of, across a merge, after a
// rebuild: so a decision can be made again from the ledger alone.
func TestPolicyStateIsTheEventsApplied(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		old, err := s.Resolve(ctx, Identity{Phone: fmt.Sprintf("49151%07d", n)})
		must(t, err)
		user, err := s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.%d", n)})
		must(t, err)
		type state map[string]policy.State // by line; "" is over all lines
		want := map[string]state{old.ID: {}, user.ID: {}}
		merged := false
		for i := range rapid.IntRange(1, 12).Draw(r, "events") {
			if !merged && rapid.IntRange(0, 5).Draw(r, "merge") == 0 {
				_, err := s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.%d", n), Phone: fmt.Sprintf("49151%07d", n)})
				must(t, err)
				for line, st := range want[old.ID] {
					want[user.ID][line] = policy.Merge(want[user.ID][line], st)
				}
				want[old.ID], merged = want[user.ID], true
			}
			who := rapid.SampledFrom([]string{old.ID, user.ID}).Draw(r, "who")
			line := rapid.SampledFrom([]string{"main", "other"}).Draw(r, "line")
			e := randomEvent(r, n*100+i)
			_, err := s.RecordEvent(ctx, line, who, e, nil)
			must(t, err)
			want[who][line], want[who][""] = want[who][line].Apply(e), want[who][""].Apply(e)
		}
		for _, who := range []string{old.ID, user.ID} {
			for _, line := range []string{"main", "other"} {
				pair, global, _ := states(t, s, line, who)
				if d := cmp.Diff(asJSON(want[who][line]), pair); d != "" {
					r.Fatalf("line %s of %s:\n%s", line, who, d)
				}
				if d := cmp.Diff(asJSON(want[who][""]), global); d != "" {
					r.Fatalf("all lines of %s:\n%s", who, d)
				}
			}
		}
	})
	before := views(t, s)
	must(t, s.Rebuild(ctx))
	if d := cmp.Diff(before, views(t, s)); d != "" {
		t.Errorf("rebuilt states differ:\n%s", d)
	}
}

func TestVersionCoversEveryLineOfTheCustomer(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	_, _, seen, err := s.PolicyState(ctx, "main", "c1")
	must(t, err)
	v, err := s.RecordEvent(ctx, "other", "c1", attempt("call1", noon), &seen)
	must(t, err)
	if _, err := s.RecordEvent(ctx, "main", "c1", attempt("call2", noon), &seen); !errors.Is(err, ErrVersion) {
		t.Fatalf("two lines used the last attempt: %v", err)
	}
	if _, err := s.Append(ctx, Fact{Kind: "note", At: noon, Subjects: []string{"customer:c1"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RecordEvent(ctx, "main", "c1", attempt("call2", noon), &v); err != nil {
		t.Errorf("a fact that no decision rests on is in the way: %v", err)
	}
	if pair, global, _, err := s.PolicyState(ctx, "main", "c1"); err != nil || len(pair.Attempts) != 1 || len(global.Attempts) != 2 {
		t.Errorf("%d of the line, %d of all (%v)", len(pair.Attempts), len(global.Attempts), err)
	}
}

func TestAMergeMovesTheVersionOn(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	_, err = s.RecordEvent(ctx, "main", phone.ID, attempt("call1", noon), nil)
	must(t, err)
	seen, err := s.RecordEvent(ctx, "other", user.ID, attempt("call2", noon), nil)
	must(t, err)
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	if _, err := s.RecordEvent(ctx, "other", user.ID, attempt("call3", noon), &seen); !errors.Is(err, ErrVersion) {
		t.Errorf("decided on half of the customer: %v", err)
	}
	pair, global, _ := states(t, s, "main", phone.ID)
	alsoPair, alsoGlobal, _ := states(t, s, "main", user.ID)
	if pair != alsoPair || global != alsoGlobal {
		t.Error("the two IDs have different states")
	}
	if _, g, _, err := s.PolicyState(ctx, "main", user.ID); err != nil || len(g.Attempts) != 2 {
		t.Errorf("%d attempts after the merge, want 2 (%v)", len(g.Attempts), err)
	}
}

func TestAWebhookWorkedOffTwiceCountsOnce(t *testing.T) {
	granted := policy.Event{Kind: policy.EventGranted, At: noon, Context: "wamid.1", Permanent: true}
	changed := granted
	changed.At = noon.Add(time.Minute)
	later := attempt("call1", noon.Add(time.Second))
	otherCall := attempt("call2", noon)
	wrote := policy.Event{Kind: policy.EventWrote, At: noon, Wamid: "wamid.2"}
	live := policy.Event{Kind: policy.EventLive, At: noon, Live: &policy.Live{At: noon}}
	for _, c := range []struct {
		name   string
		events []policy.Event
		want   int
	}{
		{"one reply twice", []policy.Event{granted, granted}, 1},
		{"the answer changed and changed back", []policy.Event{granted, {Kind: policy.EventDeclined, At: noon.Add(time.Second), Context: "wamid.1"}, changed}, 3},
		{"one attempt, by another clock", []policy.Event{attempt("call1", noon), later}, 1},
		{"two attempts at once", []policy.Event{attempt("call1", noon), otherCall}, 2},
		{"one message twice", []policy.Event{wrote, wrote}, 1},
		{"attempt and end of one call", []policy.Event{attempt("call1", noon), {Kind: policy.EventEnded, At: noon, ID: "call1", Outcome: policy.OutcomeFailed}}, 2},
		{"asking Meta twice", []policy.Event{live, live}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, testConfig(t.TempDir()))
			ctx := testCtx(t)
			var last uint64
			for _, e := range c.events {
				v, err := s.RecordEvent(ctx, "main", "c1", e, nil)
				if err != nil || v == 0 {
					t.Fatal(v, err)
				}
				last = v
			}
			events, err := s.PolicyEvents(ctx, "main", "c1", 0, 0)
			must(t, err)
			if len(events) != c.want || last != uint64(c.want) {
				t.Errorf("%d events, version %d, want %d", len(events), last, c.want)
			}
		})
	}
}

func TestConcurrentReservationsNeverExceedTheLimit(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		who := fmt.Sprint("c", n)
		limit, agents := rapid.IntRange(0, 6).Draw(r, "limit"), rapid.IntRange(1, 12).Draw(r, "agents")
		lines := rapid.IntRange(1, 3).Draw(r, "lines")
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range agents {
			wg.Go(func() {
				got, err := s.Reserve(testCtx(t), fmt.Sprint("line", i%lines), who, func(_, global policy.State) (policy.Event, bool) {
					return attempt(fmt.Sprintf("call%d-%d", n, i), noon), len(global.Attempts) < limit
				})
				if err != nil {
					t.Error(err)
				}
				if got.Reserved {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		_, global, _, err := s.PolicyState(testCtx(t), "line0", who)
		if err != nil || int(won.Load()) != min(limit, agents) || len(global.Attempts) != min(limit, agents) {
			r.Fatalf("%d of %d agents won, %d counted, limit %d (%v)", won.Load(), agents, len(global.Attempts), limit, err)
		}
	})
}

func TestReserveCountsOnlyWhatItDecided(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	yes := func(e policy.Event) func(_, _ policy.State) (policy.Event, bool) {
		return func(_, _ policy.State) (policy.Event, bool) { return e, true }
	}
	got, err := s.Reserve(ctx, "main", "c1", yes(attempt("call1", noon)))
	if err != nil || !got.Reserved || got.Version != 1 || got.Event.ID != "call1" {
		t.Fatalf("%+v %v", got, err)
	}
	no, err := s.Reserve(ctx, "main", "c1", func(pair, global policy.State) (policy.Event, bool) {
		return policy.Event{}, len(pair.Attempts) != 1 || len(global.Attempts) != 1
	})
	if err != nil || no.Reserved || no.Version != 1 {
		t.Errorf("refused: %+v %v", no, err)
	}
	for name, e := range map[string]policy.Event{"no time": {Kind: policy.EventAttempted, ID: "x"}, "no kind": {At: noon}, "a CDR's kind": {Kind: "call.ended", At: noon}} {
		if _, err := s.Reserve(ctx, "main", "c1", yes(e)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Reserve(ctx, "main", "c1", func(_, _ policy.State) (policy.Event, bool) { panic("a rule's bug") }); err == nil {
		t.Error("a panic in a rule is no error")
	}
	if _, err := s.Reserve(ctx, "", "c1", yes(attempt("call2", noon))); !errors.Is(err, ErrInvalid) {
		t.Errorf("no line: %v", err)
	}
	if _, _, v := states(t, s, "main", "c1"); v != 1 {
		t.Errorf("version %d after refusals, want 1", v)
	}
}

func TestHistoryTellsMetasNamesUntilTheErasure(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	events := []policy.Event{
		{Kind: policy.EventRequested, At: noon, ID: "q1"},
		{Kind: policy.EventRequestNamed, At: noon, ID: "q1", Wamid: "wamid.HBgL"},
		{Kind: policy.EventGranted, At: noon.Add(time.Minute), Context: "wamid.HBgL", Permanent: true},
		{Kind: policy.EventBlocked, At: noon.Add(2 * time.Minute), By: "user:anna", Reason: "Erika asked us to"},
	}
	for i, e := range events {
		_, err := s.RecordEvent(ctx, "main", []string{phone.ID, user.ID}[i/3], e, nil)
		must(t, err)
	}
	_, err = s.RecordEvent(ctx, "other", user.ID, attempt("call1", noon), nil)
	must(t, err)
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	read := func(line string) (got []policy.Event) {
		for after := uint64(0); ; {
			page, err := s.PolicyEvents(ctx, line, phone.ID, after, 2)
			must(t, err)
			for _, e := range page {
				got, after = append(got, e.Event), e.Seq
			}
			if len(page) == 0 {
				return got
			}
		}
	}
	if d := cmp.Diff(events, read("main")); d != "" {
		t.Error(d)
	}
	if all := read(""); len(all) != 5 {
		t.Errorf("%d events over all lines, want 5", len(all))
	}
	pair, _, _, err := s.PolicyState(ctx, "main", user.ID)
	must(t, err)
	if b, blocked := pair.IsBlocked(); !blocked || b.Reason != "Erika asked us to" {
		t.Errorf("blocked %v %+v", blocked, b)
	}
	if p := pair.Permission(noon.Add(time.Hour)); p.Standing != policy.StandingPermanent || p.Source != policy.SourceRequest {
		t.Errorf("the reply did not find its request: %+v", p)
	}

	must(t, s.Erase(ctx, user.ID))
	for _, e := range read("main") {
		if len(e.Wamid) == len("wamid.HBgL") || e.Reason != "" && e.Reason != withheld {
			t.Errorf("still there: %+v", e)
		}
	}
	pair, _, _, err = s.PolicyState(ctx, "main", user.ID)
	must(t, err)
	if b, blocked := pair.IsBlocked(); !blocked || b.Reason != withheld || b.By != "user:anna" || !pair.Permission(noon.Add(time.Hour)).Standing.Granted() {
		t.Errorf("the erasure took more than words: %v %+v", blocked, b)
	}
}

func TestWhileTheDiskIsFullNothingIsDoneUncounted(t *testing.T) {
	g := openGuarded(t, 10<<30, nil)
	ctx := testCtx(t)
	g.disk.free.Store(1 << 20)
	g.wait(t, Full)
	if _, err := g.RecordEvent(ctx, "main", "c1", attempt("call1", noon), nil); !errors.Is(err, ErrDiskFull) {
		t.Errorf("attempt: %v", err)
	}
	if _, err := g.Reserve(ctx, "main", "c1", func(_, _ policy.State) (policy.Event, bool) { return attempt("call1", noon), true }); !errors.Is(err, ErrDiskFull) {
		t.Errorf("reservation: %v", err)
	}
	v, err := g.RecordEvent(ctx, "main", "c1", policy.Event{Kind: policy.EventEnded, At: noon, ID: "call0", Outcome: policy.OutcomeUnanswered}, nil)
	if err != nil || v != 0 {
		t.Errorf("an outcome does not wait: %d %v", v, err)
	}
	g.disk.free.Store(10 << 30)
	g.wait(t, Fine)
	got, err := g.Reserve(ctx, "main", "c1", func(pair, _ policy.State) (policy.Event, bool) {
		return attempt("call1", noon), pair.Streak() == 1
	})
	if err != nil || !got.Reserved {
		t.Errorf("the outcome that waited is not counted: %+v %v", got, err)
	}
}
