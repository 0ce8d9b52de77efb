package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"deskbridge/bridge"

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
			if k[0] == tabCall || k[0] == tabCustomer {
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
	must(t, s.Erase(ctx, custs[3].ID))
	_, err := s.Append(ctx, Fact{Kind: "login", At: noon, Subjects: []string{"user:admin"}})
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
