package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/policy"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
)

// views is the content of all views with the sealing taken off (its nonces differ each time).
func views(t testing.TB, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, s.view(context.Background(), func(x *tx) error {
		return x.scan(nil, func(k []byte, it *badger.Item) (bool, error) {
			if !slices.Contains(viewTables, k[0]) {
				return true, nil
			}
			k = append([]byte(nil), k...)
			v, err := it.ValueCopy(nil)
			if err != nil {
				return false, err
			}
			if slices.Contains(sealedViews, k[0]) {
				owner, open, personal, err := x.open(k, v)
				if err != nil {
					return false, err
				}
				v = fmt.Appendf(nil, "%s|%s|%s", owner, open, personal)
			}
			out[fmt.Sprintf("%q", k)] = string(v)
			return true, nil
		})
	}))
	return out
}

func populate(t testing.TB, s *Store) {
	t.Helper()
	ctx := testCtx(t)
	var custs []bridge.Customer
	for i := range 20 {
		c, err := s.Resolve(ctx, Identity{Phone: fmt.Sprintf("491510000%04d", i), Name: "N"})
		must(t, err)
		custs = append(custs, c)
	}
	for i := range 10 { // user IDs: attached, merged, and a recycled number
		_, err := s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.%d", i)})
		must(t, err)
		_, err = s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.%d", i), Phone: fmt.Sprintf("491510000%04d", i+i%2)})
		must(t, err)
	}
	for i := range 200 {
		c := testCDR(fmt.Sprintf("c%03d", i), bridge.Customer{})
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: c}))
		c.Customer = custs[i%len(custs)]
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactAllowed, At: noon, CDR: c}))
		if i%3 > 0 {
			c.EndedAt = noon
			must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c}))
		}
	}
	for i, c := range custs {
		populateRows(t, s, c.ID, fmt.Sprint("call", i))
	}
	for i := range 4 { // user IDs that swallow customers who have rows and states already
		_, err := s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.late%d", i)})
		must(t, err)
		_, err = s.Resolve(ctx, Identity{BSUID: fmt.Sprintf("DE.late%d", i), Phone: fmt.Sprintf("491510000%04d", 11+2*i)})
		must(t, err)
		populateRows(t, s, custs[11+2*i].ID, fmt.Sprint("late", i))
	}
	must(t, s.Erase(ctx, custs[3].ID))
	must(t, s.Erase(ctx, custs[13].ID)) // one that was merged
	populateRows(t, s, custs[13].ID, "after")
	_, err := s.Append(ctx, Fact{Kind: "login", At: noon, Subjects: []string{"user:admin"}})
	must(t, err)
}

// populateRows leaves something of everything that is kept about a customer and a call, changed as it is in life.
func populateRows(t testing.TB, s *Store, who, call string) {
	t.Helper()
	ctx := testCtx(t)
	for _, e := range []policy.Event{
		{Kind: policy.EventRequested, At: noon, ID: "q" + call},
		{Kind: policy.EventRequestNamed, At: noon, ID: "q" + call, Wamid: "wamid." + call},
		{Kind: policy.EventGranted, At: noon, Context: "wamid." + call, Expires: noon.Add(time.Hour)},
		{Kind: policy.EventBlocked, At: noon, By: "user:anna", Reason: "Erika Muster asked"},
		{Kind: policy.EventAttempted, At: noon, ID: call},
	} {
		for _, line := range []string{"main", "other"} {
			_, err := s.RecordEvent(ctx, line, who, e, nil)
			must(t, err)
		}
	}
	must(t, s.RecordDecision(ctx, call, "main", who, []byte(`{"reason":"Erika Muster asked"}`)))
	cb, err := s.RequestCallback(ctx, testCallback(who, call))
	must(t, err)
	cb.Owner, cb.Note = "phone:1001", "she asks for Erika Muster"
	_, err = s.UpdateCallback(ctx, cb, noon)
	must(t, err)
	done := testCallback(who, call)
	done.Source, done.Line = CallbackMenu, "other"
	_, err = s.RequestCallback(ctx, done)
	must(t, err)
	_, err = s.CompleteCallbacks(ctx, "other", who, call, noon)
	must(t, err)
	_, _, err = s.ReceiveMessage(ctx, testMessage(who, "wamid.in."+call))
	must(t, err)
	m, _, err := s.BeginMessage(ctx, testMessage(who, ""))
	must(t, err)
	_, _, err = s.SetMessageStatus(ctx, MessageUpdate{ID: m.ID, Wamid: "wamid.out." + call, Status: MessageSent, At: noon})
	must(t, err)
	_, _, err = s.BeginMessage(ctx, testMessage(who, ""))
	must(t, err)
	w, err := s.OpenWatch(ctx, Watch{Line: "main", Customer: who, Agent: "phone:1001", Since: noon, Until: noon.Add(time.Hour)})
	must(t, err)
	_, err = s.CloseWatch(ctx, w.ID, WatchDone, noon)
	must(t, err)
	_, err = s.OpenWatch(ctx, Watch{Line: "main", Customer: who, Agent: "phone:1002", Since: noon, Until: noon.Add(time.Hour)})
	must(t, err)
	for i, end := range []func(id string) error{
		func(id string) error { return s.HoldRecording(ctx, id, "user:anna", "the case of Erika Muster", noon) },
		func(id string) error { return s.DeleteRecording(ctx, id, "quota", noon) },
		func(id string) error { return s.CopiedRecording(ctx, id, "s3://b/o", noon) },
	} {
		r := testRecording(fmt.Sprint(call, "-", i), i)
		r.Customer = who
		must(t, s.StartRecording(ctx, r))
		must(t, s.FinishRecording(ctx, r.ID, RecordingEnd{At: noon, SHA256: "ab", Bytes: 1000}))
		must(t, end(r.ID))
	}
	_, err = s.SetAvailability(ctx, Availability{Target: "phone:" + call, Since: noon})
	must(t, err)
	_, err = s.SetLineQuality(ctx, "main", call, noon)
	must(t, err)
	_, err = s.SetLineOverride(ctx, "other", &HoursOverride{By: call, At: noon}, noon)
	must(t, err)
}

func TestRebuiltViewsEqualTheOriginal(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	populate(t, s)
	before := views(t, s)
	must(t, s.Rebuild(testCtx(t)))
	if d := cmp.Diff(before, views(t, s)); d != "" || len(before) < 500 {
		t.Errorf("%d entries; rebuilt differs:\n%s", len(before), d)
	}
	have := map[byte]bool{}
	for k := range before {
		have[k[1]] = true // behind the quote
	}
	for _, table := range viewTables {
		if !have[table] {
			t.Errorf("nothing of view %c was tested", table)
		}
	}
}

func TestInterruptedRebuildIsFinishedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	populate(t, s)
	before := views(t, s)
	_, err := s.submit(testCtx(t), classNormal, func(x *tx) error { // as a crash in the middle leaves it
		if err := x.del(key(tabCall, "c001")); err != nil {
			return err
		}
		return x.set(keyRebuild, nil)
	})
	must(t, err)
	must(t, s.Close())
	s = open(t, testConfig(dir))
	if d := cmp.Diff(before, views(t, s)); d != "" {
		t.Error(d)
	}
}
