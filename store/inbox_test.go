package store

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

func pendingKeys(t testing.TB, s *Store) (keys []string) {
	t.Helper()
	must(t, s.Pending(testCtx(t), func(k string, _ []byte) error {
		keys = append(keys, k)
		return nil
	}))
	return keys
}

func TestInboxKeepsEventsUntilDoneAndKeysAfter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	dup, err := s.PutBatch(ctx, []InboxItem{{"a", []byte("1")}, {"b", []byte("2")}, {"a", []byte("3")}})
	must(t, err)
	if dup[0] || dup[1] || !dup[2] {
		t.Errorf("dup %v", dup)
	}
	if d, err := s.Put(ctx, "b", []byte("again")); err != nil || !d {
		t.Errorf("second put: %v %v", d, err)
	}
	must(t, s.Close())
	s = open(t, testConfig(dir))
	var got []string
	must(t, s.Pending(ctx, func(k string, raw []byte) error {
		got = append(got, k+string(raw))
		return s.Done(ctx, k)
	}))
	if fmt.Sprint(got) != "[a1 b2]" {
		t.Errorf("pending %v", got)
	}
	if left := pendingKeys(t, s); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if d, err := s.Put(ctx, "a", []byte("1")); err != nil || !d {
		t.Errorf("a redelivery after Done is new: %v %v", d, err)
	}
	must(t, s.Done(ctx, "unknown"))
}

func TestInboxKeyIsRememberedForEightDaysAtLeast(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	_, err := s.Put(ctx, "a", []byte("1"))
	must(t, err)
	must(t, s.Done(ctx, "a"))
	must(t, s.view(ctx, func(x *tx) error {
		return x.scan([]byte{tabDedupe}, func(_ []byte, it *badger.Item) (bool, error) {
			left := time.Until(time.Unix(int64(it.ExpiresAt()), 0))
			if left < 8*24*time.Hour || left > 10*24*time.Hour {
				t.Errorf("remembered for %s", left)
			}
			return true, nil
		})
	}))
}

func TestInboxTakesAPostBeyondOneTransaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	var items []InboxItem
	for i := range 30 {
		items = append(items, InboxItem{fmt.Sprint("k", i), bytes.Repeat([]byte{byte('a' + i%26)}, 130<<10)})
	}
	if _, err := s.PutBatch(ctx, items); err != nil {
		t.Fatal(err)
	}
	if d, err := s.PutBatch(ctx, items); err != nil || !d[0] || !d[29] {
		t.Errorf("redelivery %v %v", d, err)
	}
	if _, err := s.submit(ctx, classInbox, func(x *tx) error { return x.put(partKey(make([]byte, 16), 0), "", nil, []byte("orphan")) }); err != nil {
		t.Fatal(err)
	}
	must(t, s.Close())
	s = open(t, testConfig(dir))
	n := 0
	must(t, s.Pending(ctx, func(k string, raw []byte) error {
		if k != items[n].Key || !bytes.Equal(raw, items[n].Raw) {
			t.Errorf("event %d differs", n)
		}
		n++
		return s.Done(ctx, k)
	}))
	if n != 30 {
		t.Errorf("%d events", n)
	}
	must(t, s.view(ctx, func(x *tx) error {
		return x.scan([]byte{tabPart}, func([]byte, *badger.Item) (bool, error) {
			t.Error("a body part was left behind")
			return false, nil
		})
	}))
	if _, err := s.Put(ctx, "big", make([]byte, maxRaw+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("oversized: %v", err)
	}
}

func TestSettingsDemandTheExpectedVersion(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	if doc, v, err := s.Settings(ctx); err != nil || v != 0 || doc != nil {
		t.Fatalf("fresh: %q %d %v", doc, v, err)
	}
	v, err := s.PutSettings(ctx, []byte("one"), 0)
	must(t, err)
	if _, err := s.PutSettings(ctx, []byte("two"), 0); !errors.Is(err, ErrVersion) {
		t.Errorf("stale write: %v", err)
	}
	v, err = s.PutSettings(ctx, bytes.Repeat([]byte("x"), maxSettings), v)
	must(t, err)
	must(t, s.Close())
	s = open(t, testConfig(dir))
	doc, got, err := s.Settings(ctx)
	if err != nil || got != v || v != 2 || len(doc) != maxSettings {
		t.Errorf("after reopen: %d bytes, version %d, %v", len(doc), got, err)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "settings"})
	if err != nil || len(facts) != 2 || facts[0].Kind != "setting.changed" {
		t.Errorf("facts %+v %v", facts, err)
	}
}
