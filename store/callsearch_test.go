package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
)

func containsAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) })
}

func keepEnded(t testing.TB, s *Store, c bridge.CDR) {
	t.Helper()
	must(t, s.Record(testCtx(t), bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c}))
}

// keepAll records ended calls with few syncs.
func keepAll(t testing.TB, s *Store, calls []bridge.CDR) {
	t.Helper()
	for part := range slices.Chunk(calls, 100) {
		_, err := s.submit(testCtx(t), classNormal, func(x *tx) error {
			for _, c := range part {
				f, err := callFact(bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c})
				if err != nil {
					return err
				}
				if _, err := x.append(f); err != nil {
					return err
				}
			}
			return nil
		})
		must(t, err)
	}
}

func ended(id string, at time.Time, talk time.Duration) bridge.CDR {
	c := bridge.CDR{ID: id, Direction: bridge.Inbound, Line: "main", Agent: "phone:1001", OfferedAt: at, EndedAt: at.Add(talk + time.Second), State: "ended",
		Cause: bridge.Cause{Reason: bridge.ReasonHangup}}
	if talk > 0 {
		c.AnsweredAt = at.Add(time.Second)
	}
	return c
}

func TestCallsAreFiledInTheirGroup(t *testing.T) {
	talked := noon
	for _, c := range []struct {
		dir    bridge.Direction
		at     time.Time
		reason bridge.Reason
		want   CallGroup
	}{
		{bridge.Inbound, talked, bridge.ReasonHangup, GroupIncoming}, {bridge.Outbound, talked, bridge.ReasonHangup, GroupOutgoing},
		{bridge.Inbound, talked, bridge.ReasonInterrupted, GroupIncoming},
		{bridge.Inbound, time.Time{}, bridge.ReasonCancelled, GroupMissed}, {bridge.Inbound, time.Time{}, bridge.ReasonNoAnswer, GroupMissed},
		{bridge.Inbound, time.Time{}, bridge.ReasonRefused, GroupMissed}, {bridge.Inbound, time.Time{}, bridge.ReasonStale, GroupMissed},
		{bridge.Outbound, time.Time{}, bridge.ReasonDeclined, GroupMissed}, {bridge.Outbound, time.Time{}, bridge.ReasonNoAnswer, GroupMissed},
		{bridge.Outbound, time.Time{}, bridge.ReasonBusy, GroupMissed}, {bridge.Outbound, time.Time{}, bridge.ReasonCancelled, GroupCanceled},
		{bridge.Outbound, time.Time{}, bridge.ReasonRefused, GroupCanceled}, {bridge.Outbound, time.Time{}, bridge.ReasonUpstream, GroupCanceled},
	} {
		cdr := bridge.CDR{Direction: c.dir, AnsweredAt: c.at, Cause: bridge.Cause{Reason: c.reason}}
		if got := GroupOf(&cdr); got != c.want {
			t.Errorf("%s %s answered=%v: group %d, want %d", c.dir, c.reason, !c.at.IsZero(), got, c.want)
		}
	}
}

func TestMissedCallsBelongToThePhonesThatRang(t *testing.T) {
	c := bridge.CDR{Direction: bridge.Inbound, Legs: []bridge.LegRecord{{Kind: bridge.KindWhatsApp, Peer: "main"},
		{Kind: bridge.KindSIP, Peer: "1001", Remote: "1001"}, {Kind: bridge.KindSIP, Peer: "1002"}, {Kind: bridge.KindSIP, Peer: "pbx", Remote: "200"}}}
	if d := cmp.Diff([]string{"phone:1001", "phone:1002", "trunk:pbx/200"}, Rang(&c)); d != "" {
		t.Error(d)
	}
	if HandledBy(&c, []string{"phone:1002"}, false) || !HandledBy(&c, []string{"phone:1002"}, true) || HandledBy(&c, []string{"phone:9"}, true) {
		t.Error("who a missed call belongs to")
	}
	c.Agent = "phone:1001"
	if HandledBy(&c, []string{"phone:1002"}, true) || !HandledBy(&c, []string{"phone:1001"}, false) || len(Rang(&c)) != 0 {
		t.Error("a call that was taken is its agent's alone")
	}
}

// world of random calls and the searches against a model that looks at every call.
type searchModel struct {
	calls []bridge.CDR
	names map[string]string // customer → name
}

func randomCalls(t testing.TB, s *Store, n int) *searchModel {
	r := rand.New(rand.NewPCG(7, 7))
	m := &searchModel{names: map[string]string{}}
	ctx := testCtx(t)
	var customers []bridge.Customer
	for i, name := range []string{"Sari Wijaya", "Budi Santoso", "Sariwati", "Ángel Núñez", "李 小龍", "x"} {
		c, err := s.Resolve(ctx, Identity{Phone: fmt.Sprintf("62812345%04d", 4710+i), Name: name})
		must(t, err)
		customers = append(customers, c)
		m.names[c.ID] = name
	}
	for i := range n {
		at := noon.Add(time.Duration(r.IntN(100*24*60)) * time.Minute)
		c := ended(fmt.Sprintf("c%05d", i), at, time.Duration(r.IntN(4))*time.Duration(r.IntN(500))*time.Second)
		c.Line, c.Agent = fmt.Sprint("line", r.IntN(3)), fmt.Sprint("phone:100", r.IntN(4))
		c.Customer = customers[r.IntN(len(customers))]
		if r.IntN(2) == 0 {
			c.Direction = bridge.Outbound
		} else if c.AnsweredAt.IsZero() {
			c.Agent = ""
			c.Legs = []bridge.LegRecord{{Kind: bridge.KindSIP, Peer: fmt.Sprint("100", r.IntN(4))}, {Kind: bridge.KindSIP, Peer: fmt.Sprint("100", r.IntN(4))}}
		}
		c.Cause.Reason = []bridge.Reason{bridge.ReasonHangup, bridge.ReasonNoAnswer, bridge.ReasonDeclined}[r.IntN(3)]
		m.calls = append(m.calls, c)
	}
	keepAll(t, s, m.calls)
	return m
}

func (m *searchModel) matches(c *bridge.CDR, q CallSearch) bool {
	word := func(name, w string) bool {
		return slices.ContainsFunc(nameWords(name), func(have string) bool { return strings.HasPrefix(have, w) })
	}
	text := q.Text == "" || strings.HasSuffix(c.Customer.Phone, q.Text) || slices.Contains(q.TextTargets, c.Agent) ||
		q.Text != "" && !slices.ContainsFunc(nameWords(q.Text), func(w string) bool { return !word(m.names[c.Customer.ID], w) })
	return text && (q.Targets == nil || HandledBy(c, q.Targets, q.Rang)) && (q.Line == "" || c.Line == q.Line) && (q.Customer == "" || c.Customer.ID == q.Customer) && (q.Reason == "" || c.Cause.Reason == q.Reason) &&
		(q.From.IsZero() || !c.OfferedAt.Before(q.From)) && (q.To.IsZero() || c.OfferedAt.Before(q.To)) &&
		TalkTime(c) >= q.MinTalk && (q.MaxTalk == 0 || TalkTime(c) <= q.MaxTalk) && (q.Group == 0 || GroupOf(c) == q.Group)
}

func (m *searchModel) search(q CallSearch) (ids []string) {
	var hits []bridge.CDR
	for _, c := range m.calls {
		if m.matches(&c, q) {
			hits = append(hits, c)
		}
	}
	slices.SortFunc(hits, func(a, b bridge.CDR) int {
		n := a.OfferedAt.Compare(b.OfferedAt)
		if q.Sort.index() == sortTalk {
			n = int(TalkTime(&a) - TalkTime(&b))
		}
		if n == 0 {
			n = strings.Compare(a.ID, b.ID)
		}
		if q.Sort.reverse() {
			n = -n
		}
		return n
	})
	for _, c := range hits {
		ids = append(ids, c.ID)
	}
	return ids
}

func randomSearch(r *rand.Rand) CallSearch {
	q := CallSearch{Sort: CallSort(r.IntN(4)), Limit: 1 + r.IntN(40)}
	maybe := func(do func()) {
		if r.IntN(3) == 0 {
			do()
		}
	}
	maybe(func() {
		q.Targets, q.Rang = []string{fmt.Sprint("phone:100", r.IntN(4)), "phone:1003"}[:1+r.IntN(2)], r.IntN(2) == 0
	})
	maybe(func() { q.Line = fmt.Sprint("line", r.IntN(4)) })
	maybe(func() {
		q.Reason = []bridge.Reason{bridge.ReasonHangup, bridge.ReasonNoAnswer, bridge.ReasonStale}[r.IntN(3)]
	})
	maybe(func() { q.From = noon.Add(time.Duration(r.IntN(100*24)) * time.Hour) })
	maybe(func() { q.To = noon.Add(time.Duration(r.IntN(100*24)) * time.Hour) })
	maybe(func() { q.MinTalk = time.Duration(r.IntN(900)) * time.Second })
	maybe(func() { q.MaxTalk = time.Duration(1+r.IntN(900)) * time.Second })
	maybe(func() { q.Group = CallGroup(r.IntN(5)) })
	maybe(func() {
		q.Text = []string{"sari", "SAR", "sari wij", "4711", "471", "628123454712", "ángel", "李", "小龍", "nobody", "99", "santoso"}[r.IntN(12)]
		if r.IntN(3) == 0 {
			q.TextTargets = []string{"phone:1002"}
		}
	})
	return q
}

func TestSearchAndCountsEqualAModelThatLooksAtEveryCall(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	m := randomCalls(t, s, 600)
	ctx := testCtx(t)
	r := rand.New(rand.NewPCG(3, 9))
	nonEmpty := 0
	for range 600 {
		q := randomSearch(r)
		if q.Text == "李" { // one rune is too short to be filed under
			q.Text = "小龍"
		}
		if r.IntN(4) == 0 {
			q.Customer = m.calls[r.IntN(len(m.calls))].Customer.ID
		}
		var got []string
		for page := q; ; {
			p, err := s.SearchCalls(ctx, page)
			must(t, err)
			if len(p.Calls) > q.Limit {
				t.Fatalf("%d calls on a page of %d", len(p.Calls), q.Limit)
			}
			for _, c := range p.Calls {
				got = append(got, c.ID)
			}
			if page.After = p.Next; p.Next == "" {
				break
			}
		}
		want := m.search(q)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%+v:\n%s", q, d)
		}
		if len(want) > 0 {
			nonEmpty++
		}
		var count CallsCounted
		q.Group = 0
		for _, c := range m.calls {
			if m.matches(&c, q) {
				count.add(GroupOf(&c), 1)
			}
		}
		n, err := s.CountCalls(ctx, q)
		must(t, err)
		if n != count {
			t.Fatalf("%+v: counted %+v, want %+v", q, n, count)
		}
	}
	if nonEmpty < 200 {
		t.Errorf("only %d searches found anything: the test proves little", nonEmpty)
	}
}

// An agent's calls are frequent, the reason is rare and old: walking the agent's calls finds none of the three in time.
func TestARareConditionIsCollectedAndSorted(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	var calls []bridge.CDR
	for i := range glanceRows + 100 {
		c := ended(fmt.Sprintf("c%06d", i), noon.Add(time.Duration(i)*time.Second), time.Minute)
		if i < 3 {
			c.Cause.Reason = bridge.ReasonInterrupted
		}
		calls = append(calls, c)
	}
	keepAll(t, s, calls)
	p, err := s.SearchCalls(testCtx(t), CallSearch{Targets: []string{"phone:1001"}, Reason: bridge.ReasonInterrupted, Limit: 2})
	must(t, err)
	if len(p.Calls) != 2 || p.Calls[0].ID != "c000002" || p.Calls[1].ID != "c000001" || p.Next == "" {
		t.Fatalf("page %+v", p)
	}
	p, err = s.SearchCalls(testCtx(t), CallSearch{Targets: []string{"phone:1001"}, Reason: bridge.ReasonInterrupted, Limit: 2, After: p.Next})
	must(t, err)
	if len(p.Calls) != 1 || p.Calls[0].ID != "c000000" || p.Next != "" {
		t.Errorf("second page %+v", p)
	}
}

func TestSearchByCallIDStaysInScope(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	id := "01hq3v9k7m2n4p6r8s0t1w3x"
	keepEnded(t, s, ended(id, noon, time.Minute))
	for _, c := range []struct {
		q    CallSearch
		want int
	}{
		{CallSearch{Text: id}, 1}, {CallSearch{Text: id, Targets: []string{"phone:1001"}}, 1},
		{CallSearch{Text: id, Targets: []string{"phone:1002"}}, 0}, {CallSearch{Text: id, Targets: []string{}}, 0}, {CallSearch{Text: id, Line: "other"}, 0},
	} {
		p, err := s.SearchCalls(testCtx(t), c.q)
		must(t, err)
		if len(p.Calls) != c.want {
			t.Errorf("%+v: %d calls", c.q, len(p.Calls))
		}
	}
}

func TestAnErasedCustomerCannotBeFoundAndNothingPersonalIsInTheIndexes(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	cust, err := s.Resolve(ctx, Identity{Phone: "6281234567890", Name: "Kartika Dewi"})
	must(t, err)
	c := ended("c1", noon, time.Minute)
	c.Customer = cust
	keepEnded(t, s, c)
	found := func(text string) int {
		p, err := s.SearchCalls(ctx, CallSearch{Text: text})
		must(t, err)
		return len(p.Calls)
	}
	for _, text := range []string{"kart", "dewi kartika", "7890", "+62 812-3456-7890"} {
		if found(text) != 1 {
			t.Errorf("%q does not find the call", text)
		}
	}
	must(t, s.view(ctx, func(x *tx) error {
		return x.scan(nil, func(k []byte, it *badger.Item) (bool, error) {
			v, err := it.ValueCopy(nil)
			if containsAny(strings.ToLower(string(k)+string(v)), "kart", "dewi", "567890", "7890") {
				t.Errorf("%q tells something personal", k)
			}
			return true, err
		})
	}))
	_, err = s.Resolve(ctx, Identity{Phone: "6281234567890", Name: "Kartika Sari"})
	must(t, err)
	if found("dewi") != 0 || found("sari") != 1 {
		t.Error("the search goes by the name of today")
	}
	must(t, s.Erase(ctx, cust.ID))
	for _, text := range []string{"kart", "sari", "7890"} {
		if found(text) != 0 {
			t.Errorf("%q still finds the erased customer", text)
		}
	}
	must(t, s.view(ctx, func(x *tx) error {
		for _, table := range []byte{tabWord, tabWords} {
			if some, err := x.any([]byte{table}); err != nil || some {
				t.Errorf("table %c is not empty: %v", table, err)
			}
		}
		return nil
	}))
	n, err := s.CountCalls(ctx, CallSearch{})
	must(t, err)
	if n.Incoming != 1 {
		t.Errorf("the erasure took the call out of the counters: %+v", n)
	}
}

func TestAClosedCallIsCountedOnce(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	c := ended("c1", noon, time.Minute)
	keepEnded(t, s, c)
	c.Agent, c.OfferedAt = "phone:1009", noon.Add(time.Hour)
	keepEnded(t, s, c)
	n, err := s.CountCalls(testCtx(t), CallSearch{})
	must(t, err)
	if n.Incoming != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestCursorsOfOtherListsAreRefused(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	for i := range 3 {
		keepEnded(t, s, ended(fmt.Sprint("c", i), noon.Add(time.Duration(i)*time.Hour), time.Minute))
	}
	p, err := s.SearchCalls(testCtx(t), CallSearch{Limit: 1})
	must(t, err)
	for _, bad := range []CallSearch{{Sort: SortLongest, After: p.Next}, {After: "zz"}, {After: "!"}, {After: strings.Repeat("A", 5000)}, {Text: strings.Repeat("x", 500)}, {Sort: 9}} {
		if _, err := s.SearchCalls(testCtx(t), bad); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzSearchCalls(f *testing.F) {
	s := open(f, testConfig(f.TempDir()))
	randomCalls(f, s, 60)
	p, err := s.SearchCalls(testCtx(f), CallSearch{Limit: 5})
	must(f, err)
	f.Add("sari", p.Next, uint8(0), int64(0))
	f.Add("+62 (812) 4711", "", uint8(1), int64(5))
	f.Add("\xff\x00", "AAAA", uint8(2), int64(-1))
	f.Add(strings.Repeat("9", 100), "MA", uint8(3), int64(1)<<62)
	f.Fuzz(func(t *testing.T, text, after string, sort uint8, ns int64) {
		q := CallSearch{Text: text, After: after, Sort: CallSort(sort % 5), Limit: 5, From: time.Unix(0, ns), MinTalk: time.Duration(ns)}
		p, err := s.SearchCalls(testCtx(t), q)
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		if len(p.Calls) > 5 {
			t.Fatal(len(p.Calls))
		}
		if _, err := s.CountCalls(testCtx(t), q); err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
	})
}

func TestAStoreWithoutIndexesGetsThemAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	keepAll(t, s, []bridge.CDR{ended("c1", noon, time.Minute), ended("c2", noon, 0)})
	want := views(t, s)
	_, err := s.submit(testCtx(t), classNormal, func(x *tx) error { // as an older version left it
		for _, table := range []byte{tabSorted, tabCount, tabWord, tabWords} {
			var keys [][]byte
			if err := x.scan([]byte{table}, func(k []byte, _ *badger.Item) (bool, error) {
				keys = append(keys, slices.Clone(k))
				return true, nil
			}); err != nil {
				return err
			}
			for _, k := range keys {
				if err := x.del(k); err != nil {
					return err
				}
			}
		}
		return x.del(keyIndexed)
	})
	must(t, err)
	must(t, s.Close())
	s = open(t, testConfig(dir))
	if d := cmp.Diff(want, views(t, s)); d != "" {
		t.Error(d)
	}
	if n, err := s.CountCalls(testCtx(t), CallSearch{}); err != nil || n.Incoming != 1 || n.Missed != 1 {
		t.Errorf("%+v %v", n, err)
	}
}

func TestCallsFromBeforeAMergeAreFoundUnderThePersonOfToday(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	byNumber, err := s.Resolve(ctx, Identity{Phone: "6281234567890", Name: "Kartika"})
	must(t, err)
	byID, err := s.Resolve(ctx, Identity{BSUID: "ID.77", Name: "Tika"})
	must(t, err)
	for i, cust := range []bridge.Customer{byNumber, byID} {
		c := ended(fmt.Sprint("c", i), noon.Add(time.Duration(i)*time.Hour), time.Minute)
		c.Customer = cust
		keepEnded(t, s, c)
	}
	one, err := s.Resolve(ctx, Identity{Phone: "6281234567890", BSUID: "ID.77", Name: "Kartika Dewi"})
	must(t, err)
	for _, text := range []string{"kartika dewi", "7890"} {
		p, err := s.SearchCalls(ctx, CallSearch{Text: text})
		must(t, err)
		if len(p.Calls) != 2 {
			t.Errorf("%q finds %d of 2 calls of customer %s", text, len(p.Calls), one.ID)
		}
	}
	for _, id := range []string{byNumber.ID, byID.ID, one.ID} {
		p, err := s.SearchCalls(ctx, CallSearch{Customer: id})
		must(t, err)
		if len(p.Calls) != 2 {
			t.Errorf("%d of 2 calls by the ID %s", len(p.Calls), id)
		}
	}
	p, err := s.SearchCalls(ctx, CallSearch{Text: "tika"})
	must(t, err)
	if len(p.Calls) != 0 {
		t.Error("found by a name that nobody has any more")
	}
}
