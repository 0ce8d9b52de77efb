package store

import (
	"context"
	"os"
	"testing"
	"time"

	"deskbridge/bridge"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("STORE_TEST_CHILD"); role != "" {
		child(role)
		return
	}
	goleak.VerifyTestMain(m)
}

var testKey = []byte("0123456789abcdef0123456789abcdef")

// roomy keeps the real disk out of tests that aren't about it.
func roomy(string) (Space, error) { return Space{Free: 10 << 30}, nil }

func testConfig(dir string) Config {
	return Config{Dir: dir, Key: testKey, Statfs: roomy, Limits: Limits{Ballast: -1}}
}

func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testCtx(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func testCDR(id string, cust bridge.Customer) bridge.CDR {
	return bridge.CDR{ID: id, Direction: bridge.Inbound, Line: "main", Wacid: "wacid.HBgLNDkxNTE=", Customer: cust, Agent: "201",
		Dialled: "+4915112345678", Payload: "order 77", State: "ringing", OfferedAt: noon,
		Cause: bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream, Text: "no route to 4915112345678"},
		Legs: []bridge.LegRecord{{Kind: bridge.KindSIP, Peer: "pbx", Remote: "201", CallID: "abc@pbx", Dialog: []byte("sip:+4915112345678@pbx"),
			Cause: bridge.Cause{Text: "gone"}}}}
}
