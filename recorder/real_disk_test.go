package recorder

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountVolume makes a recording volume on a file system of its own.
func mountVolume(t *testing.T, size string) (dir, id string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	id, err := Claim(dir)
	must(t, err)
	return dir, id
}

func realRecorder(t *testing.T, dir, id string, minFree int64) (*Recorder, *memLedger) {
	t.Helper()
	ledger := &memLedger{}
	rec, err := New(Config{Dir: dir, VolumeID: id, Keyring: testRing(t), Ledger: ledger, MinFree: minFree, Logger: slog.New(slog.DiscardHandler),
		Flush: 20 * msec, Poll: 50 * msec})
	must(t, err)
	t.Cleanup(func() { must(t, rec.Stop(testCtx(t))) })
	return rec, ledger
}

// flood hands over packets, far faster than a call does, until the recording has ended.
func flood(t *testing.T, r *Recording) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(msec)
	defer tick.Stop()
	for n := 0; ; n += 2 {
		select {
		case <-r.Done():
			return
		case <-limit:
			t.Fatal("the recording did not end")
		case <-tick.C:
			speak(r, n)
			speak(r, n)
		}
	}
}

// TestLastBlockOfARealDisk records until the file system has no block left, below the watermark of a guard that was told one
// byte is enough, and goes on once there is room.
func TestLastBlockOfARealDisk(t *testing.T) {
	dir, id := mountVolume(t, "256k")
	rec, ledger := realRecorder(t, dir, id, 1)
	r, err := rec.Start(Info{Call: "call-1"})
	must(t, err)
	flood(t, r)
	e := ledger.finished[0]
	rep, err := Verify(testCtx(t), filepath.Join(dir, e.Path), testKeys(t), e.SHA256[:], nil)
	if err != nil || e.Reason != DiskFull || rep.Verdict == Damaged || !rep.HashMatches || rep.Size != e.Size || e.Packets < 500 {
		t.Errorf("%+v: %s, hash %v, %v %v", e, rep.Verdict, rep.HashMatches, rep.First, err)
	}
	must(t, os.Remove(filepath.Join(dir, e.Path)))
	waitFor(t, func() bool { return rec.Disk().State == Fine })
	r, err = rec.Start(Info{Call: "call-2"})
	must(t, err)
	speak(r, 0)
	r.Close(time.Now())
	<-r.Done()
	if len(ledger.finished) != 2 || ledger.finished[1].Reason != CallEnded {
		t.Errorf("%+v %+v", ledger.finished, ledger.lost)
	}
}

// TestUnmountedDiskUncoversNothing takes the file system away under a running recording. What was open ends there; nothing
// is written into the folder below.
func TestUnmountedDiskUncoversNothing(t *testing.T) {
	dir, id := mountVolume(t, "8m")
	rec, ledger := realRecorder(t, dir, id, 1)
	r, err := rec.Start(Info{Call: "call-1"})
	must(t, err)
	speak(r, 0)
	waitFor(t, r.ready.Load)
	must(t, unix.Unmount(dir, unix.MNT_DETACH))
	flood(t, r)
	if e := ledger.finished[0]; e.Reason != DiskGone {
		t.Errorf("%+v", e)
	}
	if _, err := rec.Start(Info{Call: "call-2"}); !errors.Is(err, ErrNoVolume) {
		t.Errorf("start: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("in the folder below: %v %v", left, err)
	}
}

// TestReadOnlyRealDisk remounts the volume read-only and back.
func TestReadOnlyRealDisk(t *testing.T) {
	dir, id := mountVolume(t, "8m")
	rec, ledger := realRecorder(t, dir, id, 1)
	must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "size=8m"))
	waitFor(t, func() bool { return rec.Disk().State == Failing })
	if _, err := rec.Start(Info{Call: "call-1"}); !errors.Is(err, ErrDiskFailed) {
		t.Errorf("start: %v", err)
	}
	must(t, unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=8m"))
	waitFor(t, func() bool { return rec.Disk().State == Fine })
	r, err := rec.Start(Info{Call: "call-1"})
	must(t, err)
	r.Close(time.Now())
	<-r.Done()
	if len(ledger.finished) != 1 {
		t.Errorf("%+v", ledger.lost)
	}
}

// waitFor looks again and again; for what the recorder's own goroutines do in real time.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(5 * msec)
	defer tick.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatal("it did not come")
		case <-tick.C:
		}
	}
}
