package bridge

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestStateTableIsTheGoldenOne visits every pair of state and input: a changed transition shows up as a diff in a table a
// person can read.
func TestStateTableIsTheGoldenOne(t *testing.T) {
	names := [...]string{
		"decide", "prepare_a", "dial", "next_stage", "leave", "alert_a", "pick_winner", "drop_surplus", "join", "accept_a", "answered",
		"announce", "consent", "record", "note_hold", "note_resume", "hold", "resume", "forward_digit", "hangup", "finish",
	}
	var b strings.Builder
	for s := state(0); s < stateCount; s++ {
		for in := input(0); in < inputCount; in++ {
			to, do, ok := next(s, in)
			fmt.Fprintf(&b, "%-10s %-10s -> ", s, in)
			if !ok {
				fmt.Fprintln(&b, "impossible")
				if to != s || len(do) != 0 {
					t.Errorf("%s/%s: an impossible input changes something", s, in)
				}
				continue
			}
			fmt.Fprintf(&b, "%-10s", to)
			for _, a := range do {
				fmt.Fprintf(&b, " %s", names[a])
			}
			fmt.Fprintln(&b)
		}
	}
	file := filepath.Join("testdata", "states.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("the state table changed; look at it and run with -update if it is right:\n%s", b.String())
	}
}

// TestEveryWalkEndsInExactlyOneFinish follows every sequence of inputs up to a length and checks the promises that hold
// whatever happens: a call is finished once and last, accepted at most once, and every state can still end.
func TestEveryWalkEndsInExactlyOneFinish(t *testing.T) {
	type counts struct{ finish, accept, hangup int }
	var walk func(s state, n counts, depth int)
	walk = func(s state, n counts, depth int) {
		if n.finish > 1 || n.accept > 1 || n.hangup > 1 {
			t.Fatalf("at %s: %+v", s, n)
		}
		if (s == stateEnded) != (n.finish == 1) {
			t.Fatalf("state %s with %d finishes", s, n.finish)
		}
		if depth == 0 {
			e, _, ok := next(s, inHangup)
			if s < stateEnding && (!ok || e != stateEnding) {
				t.Fatalf("%s cannot be hung up", s)
			}
			return
		}
		for in := input(0); in < inputCount; in++ {
			to, do, ok := next(s, in)
			if !ok {
				continue
			}
			m := n
			for _, a := range do {
				switch a {
				case actFinish:
					m.finish++
				case actAcceptA:
					m.accept++
				case actLeave: // leg A was accepted; who comes next is joined to it
					m.accept = 0
				case actHangup:
					m.hangup++
				}
			}
			if to == s && len(do) == 0 {
				continue
			}
			walk(to, m, depth-1)
		}
	}
	walk(stateOffered, counts{}, 7)
	walk(stateSummoning, counts{}, 7)
}
