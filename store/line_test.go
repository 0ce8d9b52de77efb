package store

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLineStateChangesWithAFactEach(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	if l, err := s.LineState(ctx, "main"); err != nil || l.Override != nil || l.Version != 0 {
		t.Fatalf("unknown line %+v %v", l, err)
	}
	o := &HoursOverride{Open: true, Until: noon.Add(time.Hour), By: "phone:1001", At: noon}
	r := []Restriction{{Kind: "RESTRICTED_BUSINESS_INITIATED_CALLING", Since: noon, Until: noon.Add(24 * time.Hour)}}
	for range 2 { // the second time nothing changes
		_, err := s.SetLineOverride(ctx, "main", o, noon)
		must(t, err)
		_, err = s.SetLineRestrictions(ctx, "main", r, noon)
		must(t, err)
		_, err = s.SetLineSettings(ctx, "main", json.RawMessage(`{"calling": {"status":"ENABLED"}}`), noon)
		must(t, err)
		_, err = s.SetLineQuality(ctx, "main", "GREEN", noon)
		must(t, err)
	}
	facts, err := s.Facts(ctx, FactQuery{Subject: "line:main"})
	must(t, err)
	var kinds []string
	for _, f := range facts {
		kinds = append(kinds, f.Kind)
	}
	if d := cmp.Diff([]string{"line.override", "line.restricted", "line.settings", "line.quality"}, kinds); d != "" {
		t.Error(d)
	}
	all, err := s.LineStates(ctx)
	must(t, err)
	want := []LineState{{Line: "main", Override: o, Restrictions: r, Settings: json.RawMessage(`{"calling":{"status":"ENABLED"}}`), SettingsAt: noon,
		Quality: "GREEN", QualityAt: noon, Version: 4}}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}
	back, err := s.SetLineOverride(ctx, "main", nil, noon)
	if err != nil || back.Override != nil || back.Quality != "GREEN" {
		t.Errorf("taken back: %+v %v", back, err)
	}
	if _, err := s.SetLineSettings(ctx, "main", json.RawMessage(`{`), noon); !errors.Is(err, ErrInvalid) {
		t.Errorf("broken settings: %v", err)
	}
	if _, err := s.SetLineRestrictions(ctx, "main", make([]Restriction, maxRestrictions+1), noon); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless restrictions: %v", err)
	}
}

func TestWhoNeverSaidAnythingIsAvailable(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	if a, err := s.Availability(ctx, "phone:1001"); err != nil || !a.Available {
		t.Errorf("%+v %v", a, err)
	}
	for _, c := range []struct{ available, changed bool }{{true, false}, {false, true}, {false, false}, {true, true}, {false, true}} {
		changed, err := s.SetAvailability(ctx, Availability{Target: "phone:1001", Available: c.available, Since: noon, By: "phone:1001"})
		if err != nil || changed != c.changed {
			t.Errorf("available %v: changed %v, want %v (%v)", c.available, changed, c.changed, err)
		}
	}
	all, err := s.Availabilities(ctx)
	must(t, err)
	if d := cmp.Diff([]Availability{{Target: "phone:1001", Since: noon, By: "phone:1001"}}, all); d != "" {
		t.Error(d)
	}
	if facts, err := s.Facts(ctx, FactQuery{Subject: "agent:phone:1001"}); err != nil || len(facts) != 3 {
		t.Errorf("%d facts, want 3 (%v)", len(facts), err)
	}
}
