package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"deskbridge/bridge"
)

func TestDecisionComesBackAsItWasGiven(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	cust, err := s.Resolve(ctx, Identity{Phone: "4915112345678"})
	must(t, err)
	// The calls' facts beside it are CDRs: the two must not be taken for each other.
	must(t, s.Record(ctx, bridge.Fact{Kind: bridge.FactOffered, At: noon, CDR: testCDR("call1", cust)}))
	must(t, s.RecordDecision(ctx, "call1", "main", cust.ID, []byte(`{"rule":"limit.attempts"}`)))
	want := `{"pair":{"block":{"by":"anna","reason":"Erika asked"},"n":[1,{"reason":"x"}]},"at":12345678901234567890,"reason":""}`
	must(t, s.RecordDecision(ctx, "call1", "main", cust.ID, []byte(want)))
	must(t, s.RecordDecision(ctx, "call2", "", "", []byte(`{"rule":"line.off"}`)))
	for call, data := range map[string]string{"call1": want, "call2": `{"rule":"line.off"}`} {
		if got, err := s.Decision(ctx, call); err != nil || string(got) != data {
			t.Errorf("%s: %s %v", call, got, err)
		}
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: pairSubject("main", cust.ID)})
	must(t, err)
	facts = slices.DeleteFunc(facts, func(f Fact) bool { return f.Kind != factDecided })
	if len(facts) != 2 {
		t.Errorf("%d decisions of the pair, want 2", len(facts))
	}
	must(t, s.Erase(ctx, cust.ID))
	erased := `{"at":12345678901234567890,"pair":{"block":{"by":"anna","reason":null},"n":[1,{"reason":null}]},"reason":""}`
	if got, err := s.Decision(ctx, "call1"); err != nil || string(got) != erased {
		t.Errorf("after the erasure %s %v", got, err)
	}
}

func TestImpossibleDecisionsAreRefused(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	if _, err := s.Decision(ctx, "call1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no decision: %v", err)
	}
	for name, c := range map[string]struct {
		call, data string
		want       error
	}{
		"no call":    {"", `{}`, ErrInvalid},
		"not JSON":   {"call1", `{`, ErrInvalid},
		"two values": {"call1", `{} {}`, ErrInvalid},
		"huge":       {"call1", `"` + strings.Repeat("x", maxDecision) + `"`, ErrTooLarge},
	} {
		if err := s.RecordDecision(ctx, c.call, "main", "c1", []byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzWithoutReasons(f *testing.F) {
	for _, seed := range []string{`{"reason":"x"}`, `[{"a":{"reason":["x",{"reason":1}]}}]`, `{"n":1e400,"reason":null}`, `{} {}`, `"`, ``, `{"Reason":"x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		bare, err := withoutReasons(data)
		if err != nil {
			return
		}
		if !json.Valid(bare) {
			t.Fatalf("%q became %q", data, bare)
		}
		again, err := withoutReasons(bare)
		if err != nil || !bytes.Equal(bare, again) {
			t.Errorf("%q left a reason: %q, then %q (%v)", data, bare, again, err)
		}
	})
}
