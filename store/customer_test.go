package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"deskbridge/bridge"
	"deskbridge/policy"

	"github.com/dgraph-io/badger/v4"
)

func TestResolveFindsByBSUIDThenParentThenPhone(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	a, err := s.Resolve(ctx, Identity{Phone: "+4915112345678", Name: "Erika"})
	must(t, err)
	if a.ID == "" || a.Alias != "99900000001" || a.Phone != "4915112345678" {
		t.Fatalf("new customer %+v", a)
	}
	b, err := s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.1", ParentBSUID: "DE.ENT.1", Username: "erika.m"})
	must(t, err)
	if b.ID != a.ID || b.BSUID != "DE.1" || b.Name != "Erika" || b.Alias != a.Alias {
		t.Errorf("BSUID was not attached to the known number: %+v", b)
	}
	for name, id := range map[string]Identity{"bsuid": {BSUID: "DE.1"}, "parent": {ParentBSUID: "DE.ENT.1"}, "phone": {Phone: "4915112345678"}} {
		if c, err := s.Resolve(ctx, id); err != nil || c.ID != a.ID {
			t.Errorf("by %s: %+v %v", name, c, err)
		}
	}
	c, err := s.Resolve(ctx, Identity{BSUID: "DE.1", Phone: "4915199999999", Name: "Erika M."})
	must(t, err)
	if c.ID != a.ID || c.Phone != "4915199999999" || c.Name != "Erika M." {
		t.Errorf("update %+v", c)
	}
	for _, find := range []func() (bridge.Customer, error){
		func() (bridge.Customer, error) { return s.ByAlias(ctx, "99900000001") },
		func() (bridge.Customer, error) { return s.ByPhone(ctx, "4915199999999") },
		func() (bridge.Customer, error) { return s.ByPhone(ctx, "4915112345678") },
		func() (bridge.Customer, error) { return s.Customer(ctx, a.ID) },
	} {
		if got, err := find(); err != nil || got != c {
			t.Errorf("found %+v %v", got, err)
		}
	}
	if _, err := s.ByAlias(ctx, "99900000099"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown alias: %v", err)
	}
	if _, err := s.Resolve(ctx, Identity{Name: "nobody"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty identity: %v", err)
	}
}

func TestResolveMergesPhoneOnlyCustomerIntoTheUserID(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915100000001"})
	must(t, err)
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.7"})
	must(t, err)
	both, err := s.Resolve(ctx, Identity{BSUID: "DE.7", Phone: "4915100000001"})
	must(t, err)
	if both.ID != user.ID || both.Phone != "4915100000001" {
		t.Errorf("merged %+v", both)
	}
	old, err := s.Customer(ctx, phone.ID)
	if err != nil || old.ID != user.ID {
		t.Errorf("the merged ID leads to %+v %v", old, err)
	}
	if c, err := s.ByAlias(ctx, phone.Alias); err != nil || c.ID != user.ID {
		t.Errorf("the merged alias leads to %+v %v", c, err)
	}
}

func TestRecycledNumberIsAnotherPerson(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	first, err := s.Resolve(ctx, Identity{BSUID: "DE.1", Phone: "4915100000001"})
	must(t, err)
	second, err := s.Resolve(ctx, Identity{BSUID: "DE.2", Phone: "4915100000001"})
	must(t, err)
	if first.ID == second.ID {
		t.Fatal("two user IDs became one customer")
	}
	if c, err := s.ByPhone(ctx, "4915100000001"); err != nil || c.ID != second.ID {
		t.Errorf("number leads to %+v %v", c, err)
	}
	if c, err := s.Customer(ctx, first.ID); err != nil || c.Phone != "" {
		t.Errorf("former owner keeps the number: %+v %v", c, err)
	}
}

func TestConcurrentFirstSightingsMakeOneCustomer(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	ids := make([]string, 32)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			c, err := s.Resolve(ctx, Identity{Phone: "4915100000001", BSUID: "DE.1"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("several customers: %v", ids)
		}
	}
}

func TestErasureLeavesTimesAndCountersOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	// The first fact comes before anyone knows the customer: it is sealed under the call's own key.
	c := testCDR("call1", bridge.Customer{})
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: c}))
	var err error
	c.Customer, err = s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.1", Name: "Erika"})
	must(t, err)
	c.EndedAt = noon
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactEnded, At: noon, CDR: c}))
	_, err = s.Append(ctx, Fact{Kind: "message", At: noon, Customer: c.Customer.ID, Subjects: []string{"customer:" + c.Customer.ID},
		Data: []byte(`{"chars":5}`), Personal: []byte("hello")})
	must(t, err)
	populateRows(t, s, c.Customer.ID, "call3")

	must(t, s.Erase(ctx, c.Customer.ID))
	must(t, s.Erase(ctx, c.Customer.ID)) // again is harmless
	check := func() {
		t.Helper()
		facts, err := s.Facts(ctx, FactQuery{})
		must(t, err)
		for _, f := range facts {
			if f.Personal != nil {
				t.Errorf("fact %d %s still has %q", f.Seq, f.Kind, f.Personal)
			}
		}
		got, err := s.Call(ctx, "call1")
		must(t, err)
		if got.Customer.Phone+got.Customer.BSUID+got.Customer.Name+got.Dialled+got.Payload+got.Wacid+got.Cause.Text+string(got.Legs[0].Dialog) != "" {
			t.Errorf("call still has personal fields: %+v", got)
		}
		if !got.OfferedAt.Equal(noon) || got.Agent != "201" || got.Customer.ID != c.Customer.ID {
			t.Errorf("call lost more than personal fields: %+v", got)
		}
		checkRowsErased(t, s, c.Customer.ID)
		for _, find := range []func() (bridge.Customer, error){
			func() (bridge.Customer, error) { return s.ByPhone(ctx, "4915112345678") },
			func() (bridge.Customer, error) { return s.ByAlias(ctx, c.Customer.Alias) },
		} {
			if who, err := find(); !errors.Is(err, ErrNotFound) {
				t.Errorf("erased customer found: %+v %v", who, err)
			}
		}
	}
	check()
	// A fact that comes after the erasure (the call was still on) seals nothing for the erased person.
	late := testCDR("call2", c.Customer)
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: late}))
	must(t, s.Rebuild(ctx))
	check()
	must(t, s.Close())
	s = open(t, testConfig(dir))
	check()
	again, err := s.Resolve(ctx, Identity{Phone: "4915112345678"})
	must(t, err)
	if again.ID == c.Customer.ID || again.Alias == c.Customer.Alias {
		t.Errorf("an erased person came back as the same customer: %+v", again)
	}
}

func TestWhatAnErasureLeavesIsFoundUnderEveryIDOfTheCustomer(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	phone, err := s.Resolve(ctx, Identity{Phone: "4915112345678", Name: "Erika"})
	must(t, err)
	populateRows(t, s, phone.ID, "call3")
	user, err := s.Resolve(ctx, Identity{BSUID: "DE.1"})
	must(t, err)
	_, err = s.Resolve(ctx, Identity{BSUID: "DE.1", Phone: "4915112345678"})
	must(t, err)
	must(t, s.Erase(ctx, phone.ID))
	for range 2 {
		checkRowsErased(t, s, phone.ID)
		checkRowsErased(t, s, user.ID)
		must(t, s.Rebuild(ctx))
	}
}

// checkRowsErased looks for what populateRows left of a customer.
func checkRowsErased(t *testing.T, s *Store, who string) {
	t.Helper()
	ctx := testCtx(t)
	callbacks, err := s.Callbacks(ctx, CallbackQuery{Customer: who})
	must(t, err)
	messages, err := s.Conversation(ctx, ConversationQuery{Customer: who})
	must(t, err)
	recordings, err := s.Recordings(ctx, RecordingQuery{Customer: who})
	must(t, err)
	if len(callbacks.Items) != 2 || len(messages.Items) != 3 || len(recordings.Items) != 2 {
		t.Errorf("%d callbacks, %d messages, %d recordings are left", len(callbacks.Items), len(messages.Items), len(recordings.Items))
	}
	pair, _, version, err := s.PolicyState(ctx, "main", who)
	must(t, err)
	if len(pair.Attempts) != 1 || version == 0 {
		t.Errorf("counters are gone: %+v", pair)
	}
	decision, err := s.Decision(ctx, "call3")
	must(t, err)
	all := asJSON([]any{callbacks, messages, recordings, pair}) + string(decision)
	for _, secret := range []string{"Erika", "order 77", "wamid."} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is still in %s", secret, all)
		}
	}
	if !messages.Items[0].At.Equal(noon) || callbacks.Items[0].Due.IsZero() || recordings.Items[0].Bytes != 1000 {
		t.Error("times and counters are gone")
	}
}

func TestNothingPersonalLiesOpenOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	ctx := testCtx(t)
	cust, err := s.Resolve(ctx, Identity{Phone: "4915112345678", BSUID: "DE.7001122334455667788", Username: "erika.muster", Name: "Erika Muster"})
	must(t, err)
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR("call1", cust)}))
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR("call2", bridge.Customer{})}))
	populateRows(t, s, cust.ID, "call3")
	for _, e := range []policy.Event{{Kind: policy.EventWrote, Wamid: "wamid.HBgLNDkxNTE="}, {Kind: policy.EventGranted, Context: "wacid.HBgLNDkxNTE="}} {
		e.At = noon
		_, err = s.RecordEvent(ctx, "main", cust.ID, e, nil)
		must(t, err)
	}
	_, _, err = s.ReceiveMessage(ctx, testMessage(cust.ID, "wamid.HBgLNDkxNTE="))
	must(t, err)
	_, err = s.Put(ctx, "wacid.HBgLNDkxNTE=/connect", []byte(`{"from":"4915112345678"}`))
	must(t, err)
	_, err = s.PutSettings(ctx, []byte("token: hunter2"), 0)
	must(t, err)
	for c := range everything(t, s) {
		for _, secret := range secrets {
			if bytes.Contains([]byte(c), []byte(secret)) {
				t.Errorf("%q lies open in %c", secret, c[0])
			}
		}
	}
	must(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dir, "db", "*"))
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		must(t, err)
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%q lies open in file %s", secret, filepath.Base(f))
			}
		}
	}
}

var secrets = []string{"4915112345678", "7001122334455667788", "erika.muster", "Erika Muster", "HBgLNDkxNTE", "order 77", "hunter2"}

// everything is each key with its value as stored.
func everything(t *testing.T, s *Store) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	must(t, s.view(testCtx(t), func(x *tx) error {
		return x.scan(nil, func(k []byte, it *badger.Item) (bool, error) {
			v, err := it.ValueCopy(nil)
			all[string(k)+string(v)] = true
			return true, err
		})
	}))
	return all
}
