package recorder

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("RECORDER_TEST_CHILD") != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

const msec = time.Millisecond

var testKey = bytes.Repeat([]byte("deskbrid"), 4)

func testRing(t testing.TB, keys ...[]byte) *Keyring {
	t.Helper()
	if len(keys) == 0 {
		keys = [][]byte{testKey}
	}
	k, err := NewKeyring(keys...)
	must(t, err)
	return k
}

func testKeys(t testing.TB) Keys { return Keys{Keyring: testRing(t)} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testCtx(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(stop)
	return ctx
}
