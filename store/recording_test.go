package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func testRecording(id string, day int) Recording {
	return Recording{ID: id, Call: "call-" + id, Line: "main", Customer: "c1", Agent: "phone:1001", Path: "2026/11/" + id + ".dbr",
		StartedAt: noon.AddDate(0, 0, day)}
}

func finish(t *testing.T, s *Store, r Recording, bytes int64) {
	t.Helper()
	must(t, s.StartRecording(testCtx(t), r))
	must(t, s.FinishRecording(testCtx(t), r.ID, RecordingEnd{At: r.StartedAt.Add(time.Minute), SHA256: "ab", Bytes: bytes,
		Duration: time.Minute, Packets: 3000, Lost: 1}))
}

func recordingID(r Recording) string { return r.ID }

func TestRecordingsByDayLineCustomerAndCall(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	for i := range 4 {
		r := testRecording(fmt.Sprintf("r%d", i), i)
		if i == 2 {
			r.Line, r.Customer = "other", ""
		}
		if i == 3 {
			must(t, s.StartRecording(ctx, r))
			continue
		}
		finish(t, s, r, int64(100+i))
	}
	must(t, s.DeleteRecording(ctx, "r0", "retention", noon))
	for _, c := range []struct {
		name string
		q    RecordingQuery
		want []string
	}{
		{"newest first", RecordingQuery{}, []string{"r3", "r2", "r1"}},
		{"oldest first", RecordingQuery{OldestFirst: true}, []string{"r1", "r2", "r3"}},
		{"of a line", RecordingQuery{Line: "other"}, []string{"r2"}},
		{"of a customer", RecordingQuery{Customer: "c1"}, []string{"r3", "r1"}},
		{"of a call, also when it is gone", RecordingQuery{Call: "call-r0"}, []string{"r0"}},
		{"before a day", RecordingQuery{OldestFirst: true, Before: noon.AddDate(0, 0, 3)}, []string{"r1", "r2"}},
		{"of a day", RecordingQuery{Since: noon.AddDate(0, 0, 1), Before: noon.AddDate(0, 0, 2)}, []string{"r1"}},
		{"since a day", RecordingQuery{OldestFirst: true, Since: noon.AddDate(0, 0, 2)}, []string{"r2", "r3"}},
		{"held", RecordingQuery{Held: true}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := s.Recordings(ctx, c.q)
			must(t, err)
			if d := cmp.Diff(c.want, ids(page, recordingID)); d != "" {
				t.Error(d)
			}
		})
	}
	if page, err := s.OpenRecordings(ctx, Span{}); err != nil || len(page.Items) != 1 || page.Items[0].ID != "r3" {
		t.Errorf("open %+v %v", page.Items, err)
	}
	for line, want := range map[string]int64{"": 101 + 102, "main": 101, "other": 102, "third": 0} {
		if sum, err := s.RecordingBytes(ctx, line); err != nil || sum != want {
			t.Errorf("%d bytes of line %q, want %d (%v)", sum, line, want, err)
		}
	}
}

func TestLegalHoldBeatsDeletion(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	finish(t, s, testRecording("r1", 0), 100)
	must(t, s.HoldRecording(ctx, "r1", "user:anna", "case 12 of Erika Muster", noon))
	if err := s.DeleteRecording(ctx, "r1", "retention", noon); !errors.Is(err, ErrHeld) {
		t.Fatalf("deleted under a hold: %v", err)
	}
	r, err := s.Recording(ctx, "r1")
	must(t, err)
	if !r.Held || r.HeldBy != "user:anna" || r.HeldReason != "case 12 of Erika Muster" {
		t.Errorf("held %+v", r)
	}
	must(t, s.ReleaseRecording(ctx, "r1", "user:anna", noon))
	must(t, s.DeleteRecording(ctx, "r1", "retention", noon))
	must(t, s.DeleteRecording(ctx, "r1", "retention", noon)) // again is harmless
	r, err = s.Recording(ctx, "r1")
	must(t, err)
	if r.State != RecordingDeleted || r.Why != "retention" || r.HeldReason != "" || r.SHA256 != "ab" {
		t.Errorf("deleted %+v", r)
	}
}

func TestARecordingOnlyGoesTheWayOfAFile(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	r := testRecording("r1", 0)
	must(t, s.StartRecording(ctx, r))
	for name, err := range map[string]error{
		"started twice":       s.StartRecording(ctx, r),
		"deleted while open":  s.DeleteRecording(ctx, "r1", "quota", noon),
		"copied while open":   s.CopiedRecording(ctx, "r1", "s3://b/r1", noon),
		"started without ID":  s.StartRecording(ctx, Recording{Call: "c", Path: "p", StartedAt: noon}),
		"started nowhere":     s.StartRecording(ctx, Recording{ID: "r2", Call: "c", StartedAt: noon}),
		"access without kind": s.AuditRecording(ctx, "r1", "recording.deleted", "anna", "::1", noon),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.FinishRecording(ctx, "nobody", RecordingEnd{At: noon}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown recording: %v", err)
	}
	must(t, s.LoseRecording(ctx, "r1", "the file is missing", noon))
	if err := s.HoldRecording(ctx, "r1", "user:anna", "", noon); !errors.Is(err, ErrInvalid) {
		t.Errorf("held without a file: %v", err)
	}
	if page, err := s.OpenRecordings(ctx, Span{}); err != nil || len(page.Items) != 0 {
		t.Errorf("lost and open: %+v %v", page.Items, err)
	}
}

func TestListeningIsInTheLedger(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	finish(t, s, testRecording("r1", 0), 100)
	must(t, s.CopiedRecording(ctx, "r1", "s3://bucket/r1", noon))
	before, err := s.Recording(ctx, "r1")
	must(t, err)
	must(t, s.AuditRecording(ctx, "r1", RecordingPlayed, "anna", "192.0.2.7", noon))
	if err := s.AuditRecording(ctx, "nobody", RecordingPlayed, "anna", "192.0.2.7", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown recording: %v", err)
	}
	for _, subject := range []string{"user:anna", "recording:r1", "call:call-r1", "customer:c1"} {
		facts, err := s.Facts(ctx, FactQuery{Subject: subject})
		must(t, err)
		if f := facts[len(facts)-1]; f.Kind != "recording.played" || string(f.Data) != `{"by":"anna","from":"192.0.2.7"}` {
			t.Errorf("%s: %s %s", subject, f.Kind, f.Data)
		}
	}
	after, err := s.Recording(ctx, "r1")
	must(t, err)
	if d := cmp.Diff(before, after); d != "" || after.CopiedTo != "s3://bucket/r1" {
		t.Error(d)
	}
}

func TestADamagedRecordingDoesNotHideTheOthers(t *testing.T) {
	s := open(t, testConfig(t.TempDir()))
	ctx := testCtx(t)
	for i := range 3 {
		must(t, s.StartRecording(ctx, testRecording(fmt.Sprint("r", i), i)))
	}
	_, err := s.submit(ctx, classNormal, func(x *tx) error { return x.set(key(tabRecording, "r1"), []byte("rubbish")) })
	must(t, err)
	page, err := s.OpenRecordings(ctx, Span{})
	must(t, err)
	if d := cmp.Diff([]string{"r0", "r2"}, ids(page, recordingID)); d != "" {
		t.Error(d)
	}
	if _, err := s.Recording(ctx, "r1"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the damaged one: %v", err)
	}
}

func TestTheEndOfARecordingWaitsForAFullDisk(t *testing.T) {
	g := openGuarded(t, 10<<30, nil)
	ctx := testCtx(t)
	must(t, g.StartRecording(ctx, testRecording("r1", 0)))
	g.disk.free.Store(1 << 20)
	g.wait(t, Full)
	if err := g.StartRecording(ctx, testRecording("r2", 0)); !errors.Is(err, ErrDiskFull) {
		t.Errorf("started on a full disk: %v", err)
	}
	must(t, g.FinishRecording(ctx, "r1", RecordingEnd{At: noon.Add(time.Minute), Bytes: 100}))
	g.disk.free.Store(10 << 30)
	g.wait(t, Fine)
	must(t, g.HoldRecording(ctx, "r1", "user:anna", "", noon)) // behind it in the queue
	if r, err := g.Recording(ctx, "r1"); err != nil || r.State != RecordingFinished || r.Bytes != 100 {
		t.Errorf("%+v %v", r, err)
	}
}
