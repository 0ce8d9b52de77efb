package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"deskbridge/bridge"
	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/policy"
	"deskbridge/recorder"
)

// planOf asks the dial plan whether a call of a line with these options is recorded.
func planOf(t *testing.T, r LineRecording, call string) bridge.RecordingPlan {
	t.Helper()
	d := testPlan(nil)
	library, err := ivr.NewLibrary(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.prompts = library
	return d.recordingPlan(t.Context(), d.plant.Load(), Line{ID: "sales", Language: "id", Recording: r}, call)
}

func TestRecordingPlans(t *testing.T) {
	if p := planOf(t, LineRecording{}, "c"); p.Mode != "" || p.Toggle != "" || p.Consent != nil {
		t.Errorf("without settings: %+v", p)
	}
	if p := planOf(t, LineRecording{Mode: "demand"}, "c"); p.Mode != bridge.RecordDemand || p.Toggle != "*1" {
		t.Errorf("on demand: %+v", p)
	}
	if p := planOf(t, LineRecording{Mode: "always", Toggle: "none"}, "c"); p.Mode != bridge.RecordAlways || p.Toggle != "" || p.Refuse != 0 {
		t.Errorf("no toggle: %+v", p)
	}
	beep := planOf(t, LineRecording{Mode: "always", Consent: "beep"}, "c")
	if media.ToneLevel(beep.Consent[:4000], beep.ConsentRate, 1400) < 0.8 {
		t.Error("the beep is no tone of 1400 Hz")
	}
	long := planOf(t, LineRecording{Mode: "always", Consent: "announcement", RefuseKey: "9"}, "c")
	short := planOf(t, LineRecording{Mode: "always", Consent: "announcement"}, "c")
	if long.Refuse != '9' || short.Refuse != 0 || len(short.Consent) < short.ConsentRate || len(long.Consent) < len(short.Consent)+long.ConsentRate {
		t.Errorf("announcements of %d and %d samples, keys %q and %q", len(long.Consent), len(short.Consent), long.Refuse, short.Refuse)
	}
	for _, key := range []string{"0", "*", "#"} {
		if p := planOf(t, LineRecording{Mode: "always", Consent: "announcement", RefuseKey: key}, "c"); len(p.Consent) <= len(short.Consent) || string(p.Refuse) != key {
			t.Errorf("the key %s is not said", key)
		}
	}
}

func TestTheShareIsDecidedByTheCall(t *testing.T) {
	recorded := 0
	for i := range 10000 {
		call := fmt.Sprintf("06h255h2y05e6p1wax%08d", i)
		if share(call) < 30 {
			recorded++
		}
		if share(call) < 0 || share(call) > 99 {
			t.Fatalf("share of %s: %d", call, share(call))
		}
	}
	if recorded < 2800 || recorded > 3200 {
		t.Errorf("%d of 10000 calls at 30 percent", recorded)
	}
	for i := range 100 {
		call := fmt.Sprint("c", i)
		if p := planOf(t, LineRecording{Mode: "always", Percent: 30}, call); (p.Mode == bridge.RecordAlways) != (share(call) < 30) {
			t.Errorf("call %s with share %d: %+v", call, share(call), p.Mode)
		}
	}
}

type yes struct{}

func (yes) Authorize(context.Context, bridge.Attempt) (policy.Decision, error) {
	return policy.Decision{Allowed: true, Rule: policy.RuleAllowed}, nil
}

func TestALineThatMustRecordTakesNoCallWithoutADisk(t *testing.T) {
	d := testPlan(nil)
	d.plant.Load().settings.Lines[0].Recording = LineRecording{Mode: "always", Required: true}
	for state := recorder.Fine; state <= recorder.Stuck; state++ {
		g := recordingGate{yes{}, d, func() recorder.Disk { return recorder.Disk{State: state} }}
		for line, allowed := range map[string]bool{"sales": state == recorder.Fine, "help": true} {
			dec, err := g.Authorize(t.Context(), bridge.Attempt{Line: line})
			if err != nil || dec.Allowed != allowed || !allowed && (dec.Rule != ruleRecording || dec.Sentence == "") {
				t.Errorf("line %s, disk %s: %+v, %v", line, state, dec, err)
			}
		}
	}
}

func TestARefusedRecordingIsNoRecording(t *testing.T) {
	rec, err := recorder.New(recorder.Config{Dir: t.TempDir(), Keyring: testKeyring(t)}) // not claimed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rec.Stop(context.Background()) }()
	r, err := tapes{rec}.Record(bridge.RecordingInfo{Call: "c1"})
	if r != nil || !errors.Is(err, recorder.ErrNoVolume) { // a typed nil would be taken for a recording
		t.Errorf("%v, %v", r, err)
	}
}

func testKeyring(t *testing.T) *recorder.Keyring {
	t.Helper()
	k, err := recorder.NewKeyring(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
