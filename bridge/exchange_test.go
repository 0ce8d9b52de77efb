package bridge

import (
	"testing"
	"time"
)

func TestCallIDsSortByTimeAndTellBeforeFromAfter(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	before, after := newCallID(at.Add(-time.Millisecond)), newCallID(at)
	if first := FirstCallID(at); before >= first || after < first || len(first) != len(after) {
		t.Errorf("%s < %s <= %s does not hold", before, first, after)
	}
	if again := newCallID(at); again == after {
		t.Error("two calls of one millisecond have one ID")
	}
}
