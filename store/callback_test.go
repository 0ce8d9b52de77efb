package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"deskbridge/bridge"

	"github.com/google/go-cmp/cmp"
)

func testCallback(customer, call string) Callback {
	return Callback{Line: "main", Customer: customer, Call: call, Source: CallbackMeta, Permission: "temporary",
		Expires: noon.Add(24 * time.Hour), RequestedAt: noon, Due: noon.Add(time.Hour), Note: "about order 77"}
}

func ids[T any](page Page[T], id func(T) string) (out []string) {
	for _, v := range page.Items {
		out = append(out, id(v))
	}
	return out
}

func callbackID(c Callback) string { return c.ID }

func TestOneCallbackPerSourceAndCall(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	first, err := s.RequestCallback(ctx, testCallback("c1", "call1"))
	must(t, err)
	again := testCallback("c1", "call1")
	again.Due = noon.Add(5 * time.Hour)
	second, err := s.RequestCallback(ctx, again)
	must(t, err)
	if d := cmp.Diff(first, second); d != "" || first.State != CallbackOpen || first.Note != "about order 77" {
		t.Errorf("the webhook worked off twice changed the request:\n%s", d)
	}
	menu := testCallback("c1", "call1")
	menu.Source = CallbackMenu
	if other, err := s.RequestCallback(ctx, menu); err != nil || other.ID == first.ID {
		t.Errorf("another source: %+v %v", other, err)
	}
	got, err := s.Callback(ctx, first.ID)
	must(t, err)
	if d := cmp.Diff(first, got); d != "" {
		t.Error(d)
	}
}

func TestCallbackChangesDemandTheVersionAndEndForGood(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	c, err := s.RequestCallback(ctx, testCallback("c1", "call1"))
	must(t, err)
	mine, theirs := c, c
	mine.Owner, theirs.Owner = "phone:1001", "phone:1002"
	mine, err = s.UpdateCallback(ctx, mine, noon)
	must(t, err)
	if mine.State != CallbackAssigned || mine.Version == c.Version || mine.Note != c.Note {
		t.Errorf("assigned %+v", mine)
	}
	if _, err := s.UpdateCallback(ctx, theirs, noon); !errors.Is(err, ErrVersion) {
		t.Errorf("two agents took the same request: %v", err)
	}
	same, err := s.UpdateCallback(ctx, mine, noon)
	if err != nil || same.Version != mine.Version {
		t.Errorf("no change made a fact: %+v %v", same, err)
	}
	mine.State, mine.Note, mine.Line = CallbackCancelled, "", "other"
	gone, err := s.UpdateCallback(ctx, mine, noon.Add(time.Minute))
	must(t, err)
	if gone.State != CallbackCancelled || gone.Note != "" || gone.Line != "main" || !gone.ClosedAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("cancelled %+v", gone)
	}
	if back, err := s.Callback(ctx, c.ID); err != nil || back.Note != "" {
		t.Errorf("the removed note is back: %+v %v", back, err)
	}
	gone.State = CallbackOpen
	if _, err := s.UpdateCallback(ctx, gone, noon); !errors.Is(err, ErrInvalid) {
		t.Errorf("a closed request was opened: %v", err)
	}
	for name, bad := range map[string]Callback{
		"no customer": {Line: "main", Source: CallbackMenu, RequestedAt: noon, Due: noon},
		"no due time": {Line: "main", Customer: "c", Source: CallbackMenu, RequestedAt: noon},
		"no source":   {Line: "main", Customer: "c", RequestedAt: noon, Due: noon},
	} {
		if _, err := s.RequestCallback(ctx, bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.UpdateCallback(ctx, Callback{ID: "nobody"}, noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown request: %v", err)
	}
}

func TestCallbacksByDueTimeOrNewestFirst(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	for i, due := range []int{3, 1, 2, 4} {
		c := testCallback(fmt.Sprintf("c%d", i%2), "")
		c.ID, c.RequestedAt, c.Due = fmt.Sprintf("b%d", i), noon.Add(time.Duration(i)*time.Second), noon.Add(time.Duration(due)*time.Hour)
		c, err := s.RequestCallback(ctx, c)
		must(t, err)
		if i == 3 {
			c.State = CallbackExpired
			_, err = s.UpdateCallback(ctx, c, noon)
			must(t, err)
		}
	}
	for _, c := range []struct {
		name string
		q    CallbackQuery
		want []string
	}{
		{"all", CallbackQuery{}, []string{"b3", "b2", "b1", "b0"}},
		{"live", CallbackQuery{Live: true}, []string{"b1", "b2", "b0"}},
		{"expired", CallbackQuery{State: CallbackExpired}, []string{"b3"}},
		{"of a customer", CallbackQuery{Customer: "c0"}, []string{"b2", "b0"}},
		{"of another line", CallbackQuery{Line: "other"}, nil},
		{"of an owner", CallbackQuery{Owner: "phone:1001"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := s.Callbacks(ctx, c.q)
			must(t, err)
			if d := cmp.Diff(c.want, ids(page, callbackID)); d != "" {
				t.Error(d)
			}
		})
	}
	var paged []string
	for q := (CallbackQuery{Span: Span{Limit: 2}, Live: true}); ; {
		page, err := s.Callbacks(ctx, q)
		must(t, err)
		paged = append(paged, ids(page, callbackID)...)
		if q.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if d := cmp.Diff([]string{"b1", "b2", "b0"}, paged); d != "" {
		t.Error(d)
	}
	if _, err := s.Callbacks(ctx, CallbackQuery{Span: Span{Cursor: "zz"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad cursor: %v", err)
	}
	for hours, want := range map[int]int{0: 0, 1: 0, 2: 1, 9: 3} {
		if n, err := s.OverdueCallbacks(ctx, noon.Add(time.Duration(hours)*time.Hour)); err != nil || n != want {
			t.Errorf("%d overdue after %d h, want %d (%v)", n, hours, want, err)
		}
	}
}

func TestTheCallThatReachesTheCustomerCompletesCallbacks(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	for i, line := range []string{"main", "main", "other"} {
		c := testCallback(phone.ID, fmt.Sprintf("call%d", i))
		c.Line = line
		_, err := s.RequestCallback(ctx, c)
		must(t, err)
	}
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	n, err := s.CompleteCallbacks(ctx, "main", user.ID, "call9", noon.Add(time.Minute))
	if err != nil || n != 2 {
		t.Fatalf("%d completed, want both of the line, made before the merge (%v)", n, err)
	}
	if n, err := s.CompleteCallbacks(ctx, "main", user.ID, "call10", noon); err != nil || n != 0 {
		t.Errorf("%d completed twice (%v)", n, err)
	}
	page, err := s.Callbacks(ctx, CallbackQuery{Customer: phone.ID})
	must(t, err)
	for _, c := range page.Items {
		if c.Customer != user.ID || (c.State == CallbackDone) != (c.Line == "main") || c.State == CallbackDone && c.DoneBy != "call9" {
			t.Errorf("after the call: %+v", c)
		}
	}
	if len(page.Items) != 3 {
		t.Errorf("%d requests under the old ID", len(page.Items))
	}
}

func TestLastMissedIsTheNewestUnansweredInboundCall(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	if _, err := s.LastMissed(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("no calls: %v", err)
	}
	for i, c := range []struct {
		line               string
		dir                bridge.Direction
		answered, finished bool
	}{
		{"main", bridge.Inbound, false, true},
		{"other", bridge.Inbound, false, true},
		{"main", bridge.Inbound, true, true},
		{"main", bridge.Outbound, false, true},
		{"main", bridge.Inbound, false, false},
	} {
		cdr := testCDR(fmt.Sprintf("call%d", i), bridge.Customer{})
		cdr.Line, cdr.Direction, cdr.OfferedAt = c.line, c.dir, noon.Add(time.Duration(i)*time.Minute)
		if c.answered {
			cdr.AnsweredAt = cdr.OfferedAt
		}
		if c.finished {
			cdr.EndedAt = cdr.OfferedAt
		}
		must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: cdr}))
	}
	for want, lines := range map[string][]string{"call1": nil, "call0": {"main", "third"}} {
		if c, err := s.LastMissed(ctx, lines...); err != nil || c.ID != want || c.Dialled == "" {
			t.Errorf("on %v: %+v %v, want %s", lines, c, err, want)
		}
	}
}
