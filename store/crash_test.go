package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"deskbridge/policy"

	"github.com/google/go-cmp/cmp"
)

func TestKillNineLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	rounds := 22
	if testing.Short() {
		rounds = 3
	}
	var calls, inbox []string
	for round := range rounds {
		p := startChild(t, "writer", dir, fmt.Sprintf("r%02d", round))
		// Killed after a random number of acknowledgements, from none (during the open) to thousands (a memtable flush).
		for left := rand.IntN(1 << (1 + rand.IntN(11))); left > 0 && p.lines.Scan(); left-- {
			if what, id, ok := strings.Cut(p.lines.Text(), " "); ok && what == "call" {
				calls = append(calls, id)
			} else if ok && what == "inbox" {
				inbox = append(inbox, id)
			} else if ok {
				t.Fatalf("child says %q", p.lines.Text())
			}
		}
		must(t, p.cmd.Process.Kill())
		for p.lines.Scan() { // what was acknowledged before the kill but not read yet
			if what, id, ok := strings.Cut(p.lines.Text(), " "); ok && what == "call" && len(id) == 10 {
				calls = append(calls, id)
			}
		}
		_ = p.cmd.Wait()
	}
	s := open(t, testConfig(dir))
	checkAcknowledged(t, s, calls, inbox)
	before := views(t, s)
	must(t, s.Rebuild(context.Background()))
	if d := cmp.Diff(before, views(t, s)); d != "" {
		t.Errorf("views disagree with the ledger:\n%s", d)
	}
	t.Logf("%d rounds, %d calls and %d webhooks acknowledged", rounds, len(calls), len(inbox))
}

// What was reserved is counted after a kill at any moment, and all processes together stay within the limit.
func TestKillNineAfterAReservationKeepsTheCount(t *testing.T) {
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	won := map[string][]string{} // by customer
	for round := range rounds {
		p := startChild(t, "reserver", dir, fmt.Sprintf("r%02d", round))
		left := rand.IntN(1 << (1 + rand.IntN(8)))
		for p.lines.Scan() { // to the end: what was acknowledged before the kill but not read yet counts too
			who, id, ok := strings.Cut(p.lines.Text(), " ")
			if ok && who == "refused" {
				t.Fatalf("child says %q", p.lines.Text())
			}
			if ok && len(id) == len("r00-0-000000") {
				won[who] = append(won[who], id)
			}
			if left--; left < 0 {
				_ = p.cmd.Process.Kill()
			}
		}
		_ = p.cmd.Wait()
	}
	s := open(t, testConfig(dir))
	total := 0
	for who, ids := range won {
		_, global, _, err := s.PolicyState(testCtx(t), "line0", who)
		must(t, err)
		if len(global.Attempts) > reserveLimit {
			t.Errorf("%s was called %d times, limit %d", who, len(global.Attempts), reserveLimit)
		}
		for _, id := range ids {
			if !slices.ContainsFunc(global.Attempts, func(a policy.Attempt) bool { return a.ID == id }) {
				t.Errorf("%s is not counted among %s's attempts", id, who)
			}
		}
		total += len(ids)
	}
	if total == 0 {
		t.Error("no reservation was acknowledged")
	}
	t.Logf("%d rounds, %d reservations acknowledged", rounds, total)
}

func checkAcknowledged(t *testing.T, s *Store, calls, inbox []string) {
	t.Helper()
	ctx := testCtx(t)
	for _, id := range calls {
		if c, err := s.Call(ctx, id); err != nil || c.Customer.ID == "" {
			t.Fatalf("acknowledged call %s: %v", id, err)
		}
	}
	have := map[string]bool{}
	for _, k := range pendingKeys(t, s) {
		have[k] = true
	}
	for _, k := range inbox {
		if !have[k] {
			t.Fatalf("acknowledged webhook %s is gone", k)
		}
	}
	for after, seen := uint64(0), uint64(0); ; {
		facts, err := s.Facts(ctx, FactQuery{After: after, Limit: 1000})
		must(t, err)
		for _, f := range facts {
			if seen++; f.Seq != seen {
				t.Fatalf("fact %d follows %d", f.Seq, seen-1)
			}
			after = f.Seq
		}
		if len(facts) == 0 {
			break
		}
	}
}

func TestSecondProcessIsToldHowToProceed(t *testing.T) {
	dir := t.TempDir()
	open(t, testConfig(dir))
	_, err := Open(testConfig(dir))
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "systemctl stop deskbridge") {
		t.Errorf("second open: %v", err)
	}
}

func TestWrongKeyAndNewerSchemaAreRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, testConfig(dir))
	must(t, s.Close())
	cfg := testConfig(dir)
	cfg.Key = []byte(strings.Repeat("k", 32))
	if _, err := Open(cfg); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "appliance.key") {
		t.Errorf("wrong key: %v", err)
	}
	s = open(t, testConfig(dir))
	_, err := s.submit(testCtx(t), classNormal, func(x *tx) error { return x.set(keySchema, u64(schemaVersion+1)) })
	must(t, err)
	must(t, s.Close())
	if _, err := Open(testConfig(dir)); !errors.Is(err, ErrSchema) {
		t.Errorf("newer schema: %v", err)
	}
	if _, err := Open(Config{Dir: dir, Key: []byte("short")}); !errors.Is(err, ErrInvalid) {
		t.Errorf("short key: %v", err)
	}
}
