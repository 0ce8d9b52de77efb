package recorder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSlowDiskLosesMarkedFramesAndNoCallWaits hangs the disk for 15 s in the middle of a call.
func TestSlowDiskLosesMarkedFramesAndNoCallWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, func(c *Config) { c.RingBytes = 32 << 10 })
		r := b.start("call-1")
		n := talk(r, 5*time.Second, 20*msec)
		release := make(chan struct{})
		b.fs.set(func(x *faultFS) {
			x.write = func(f File, p []byte) (int, error) { <-release; return f.Write(p) }
		})
		began := time.Now()
		hung := talk(r, 15*time.Second, 20*msec)
		if took := time.Since(began); took != 15*time.Second || hung != 1500 { // in the bubble a call that waited would show
			t.Errorf("the call was slowed: %v, %d packets", took, hung)
		}
		n += hung
		if d := b.Disk(); d.State != Stuck || b.metric("disk_state") != float64(Stuck) {
			t.Errorf("state %s after 15 s", d.State)
		}
		if _, err := b.Start(Info{Call: "call-2"}); !errors.Is(err, ErrDiskFailed) {
			t.Errorf("start on a stuck disk: %v", err)
		}
		b.fs.set(func(x *faultFS) { x.write = nil })
		close(release)
		time.Sleep(3 * time.Second)
		if d := b.Disk(); d.State != Fine {
			t.Errorf("state %s after the disk came back", d.State)
		}
		n += talk(r, 5*time.Second, 20*msec)
		r.Close(time.Now())
		<-r.Done()
		b.stop()
		e := b.finished(1)[0]
		rep := b.verify(e, Sound)
		if e.Lost == 0 || e.Packets+e.Lost != uint64(n) || rep.Lost != e.Lost {
			t.Errorf("%d packets, %d lost of %d; marks say %d", e.Packets, e.Lost, n, rep.Lost)
		}
		x := b.reader(e)
		marks, err := x.Marks()
		must(t, err)
		if len(marks) != 3 || marks[0].Kind != FramesLost || marks[0].Side != Customer || marks[1].Side != Agent ||
			uint64(marks[0].Count)+uint64(marks[1].Count) != e.Lost || marks[0].At < 5*time.Second || marks[0].At > 20*time.Second {
			t.Errorf("marks %+v", marks)
		}
		// The gap is in one piece, where the mark says.
		var gaps []time.Duration
		last := time.Duration(0)
		for _, p := range play(t, x) {
			if p.At-last > 100*msec {
				gaps = append(gaps, last)
			}
			last = p.At
		}
		if len(gaps) != 1 || marks[0].At-gaps[0] > 20*msec {
			t.Errorf("gaps after %v, mark at %v", gaps, marks[0].At)
		}
	})
}

func TestFullDiskEndsRecordingsAndSpaceBringsThemBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		r := b.start("call-1")
		n := talk(r, 5*time.Second, 20*msec)
		b.fs.set(func(x *faultFS) { x.space.Free = 1<<30 - 1 })
		began := time.Now()
		talk(r, 3*time.Second, 20*msec)
		<-r.Done()
		e := b.finished(1)[0]
		if e.Reason != DiskFull || e.Packets < uint64(n) || e.Packets > uint64(n+150) || time.Since(began) > 3*time.Second {
			t.Errorf("%+v after %v", e, time.Since(began))
		}
		if rep := b.verify(e, Sound); rep.Reason != DiskFull {
			t.Errorf("the end mark says %s", rep.Reason)
		}
		if _, err := b.Start(Info{Call: "call-2"}); !errors.Is(err, ErrDiskFull) || b.Disk().State != Full || b.metric("disk_state") != 1 {
			t.Errorf("start on a full disk: %v", err)
		}
		b.fs.set(func(x *faultFS) { x.space.Free = 1<<30 + 1 }) // the watermark itself is not yet enough
		time.Sleep(3 * time.Second)
		if b.Disk().State != Full {
			t.Error("the state flaps at the watermark")
		}
		b.fs.set(func(x *faultFS) { x.space.Free = 2 << 30 })
		time.Sleep(3 * time.Second)
		r = b.start("call-2")
		speak(r, 0)
		r.Close(time.Now())
		<-r.Done()
		b.verify(b.finished(2)[1], Sound)
	})
}

// TestFailingWritesEndTheRecordingAndKeepThePrefix fails one write after some bytes of it.
func TestFailingWritesEndTheRecordingAndKeepThePrefix(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		part int // bytes of the failing write that reach the disk
		want EndReason
	}{
		"disk full":    {syscall.ENOSPC, 777, DiskFull},
		"quota":        {syscall.EDQUOT, 0, DiskFull},
		"input/output": {syscall.EIO, 1234, DiskFailed},
		"read-only":    {syscall.EROFS, 0, DiskFailed},
		"removed":      {syscall.ENODEV, 5, DiskFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t, nil)
				defer b.stop()
				r, other := b.start("call-1"), b.start("call-2")
				n := talk(r, 3*time.Second, 20*msec)
				b.fs.set(func(x *faultFS) {
					x.write = func(f File, p []byte) (int, error) {
						n, _ := f.Write(p[:min(c.part, len(p))])
						return n, &os.PathError{Op: "write", Path: "x", Err: c.err}
					}
				})
				n += talk(r, time.Second, 20*msec)
				<-r.Done()
				b.fs.set(func(x *faultFS) { x.write = nil })
				e := b.finished(1)[0]
				if e.Info.Call != "call-1" || e.Reason != c.want || e.Packets+e.Lost > uint64(n) || e.Packets < 280 || e.Lost == 0 {
					t.Errorf("%+v of %d", e, n)
				}
				rep, err := Verify(testCtx(t), b.path(e), testKeys(t), e.SHA256[:], nil)
				must(t, err)
				if rep.Verdict != Incomplete || !rep.HashMatches {
					t.Errorf("%s, hash %v, %v", rep.Verdict, rep.HashMatches, rep.First)
				}
				if got := play(t, b.reader(e)); uint64(len(got)) < e.Packets {
					t.Errorf("%d packets play, the ledger has %d", len(got), e.Packets)
				}
				talk(other, time.Second, 20*msec)
				other.Close(time.Now())
				<-other.Done()
				b.verify(b.finished(2)[1], Sound)
			})
		})
	}
}

func TestFailedFolderSyncEndsTheRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		b.fs.set(func(x *faultFS) { x.syncDir = func() error { return syscall.EIO } })
		r := b.start("call-1")
		talk(r, time.Second, 20*msec)
		<-r.Done()
		if e := b.finished(1)[0]; e.Reason != DiskFailed {
			t.Errorf("%+v", e)
		}
	})
}

func TestFailedSyncEndsTheRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		r := b.start("call-1")
		talk(r, time.Second, 20*msec)
		b.fs.set(func(x *faultFS) { x.sync = func() error { return syscall.EIO } })
		talk(r, 2*time.Second, 20*msec)
		<-r.Done()
		if e := b.finished(1)[0]; e.Reason != DiskFailed {
			t.Errorf("%+v", e)
		}
	})
}

func TestEachOpenFileIsSyncedEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		syncs := make(chan time.Time, 1000)
		b.fs.set(func(x *faultFS) { x.sync = func() error { syncs <- time.Now(); return nil } })
		r := b.start("call-1")
		last := time.Now()
		talk(r, 10*time.Second, 20*msec)
		r.Close(time.Now())
		<-r.Done()
		close(syncs)
		n := 0
		for at := range syncs {
			if at.Sub(last) > time.Second {
				t.Errorf("no sync for %v", at.Sub(last))
			}
			last = at
			n++
		}
		if n < 10 {
			t.Errorf("%d syncs", n)
		}
	})
}

func TestNewFilesAndFoldersAreMadeDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var later time.Duration
		b := newBox(t, func(c *Config) { c.Clock = func() time.Time { return time.Now().Add(later) } })
		defer b.stop()
		for _, later = range []time.Duration{0, 24 * time.Hour, 41 * 24 * time.Hour} {
			for _, call := range []string{"a", "b"} {
				r := b.start(call)
				r.Close(time.Now())
				<-r.Done()
			}
		}
		want := []string{"2000/01/01", "2000/01", "2000", ".", "2000/01/01", "2000/01/02", "2000/01", "2000", ".", "2000/01/02",
			"2000/02/11", "2000/02", "2000", ".", "2000/02/11"}
		if d := cmp.Diff(want, b.fs.synced); d != "" {
			t.Error(d)
		}
	})
}

func TestRecordingThatCannotBeginIsReportedLost(t *testing.T) {
	for name, c := range map[string]struct {
		prep func(*faultFS)
		want EndReason
	}{
		"read-only": {func(x *faultFS) { x.create = func(string) error { return syscall.EROFS } }, DiskFailed},
		"no space":  {func(x *faultFS) { x.create = func(string) error { return syscall.ENOSPC } }, DiskFull},
		"header cut": {func(x *faultFS) {
			x.write = func(f File, p []byte) (int, error) { n, _ := f.Write(p[:9]); return n, syscall.ENOSPC }
		}, DiskFull},
		"panic": {func(x *faultFS) { x.create = func(string) error { panic("bug") } }, Bug},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t, nil)
				defer b.stop()
				b.fs.set(c.prep)
				r := b.start("call-1")
				speak(r, 0)
				<-r.Done()
				speak(r, 2)
				if len(b.ledger.lost) != 1 || b.ledger.lost[0].Reason != c.want || len(b.ledger.finished) != 0 {
					t.Errorf("lost %+v finished %+v", b.ledger.lost, b.ledger.finished)
				}
			})
		})
	}
}

func TestABugInOneRecordingEndsThatOneOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		bad, good := b.start("bad"), b.start("good")
		talk(bad, time.Second, 20*msec)
		b.fs.set(func(x *faultFS) { x.write = func(File, []byte) (int, error) { panic("bug") } })
		speak(bad, 0)
		<-bad.Done()
		b.fs.set(func(x *faultFS) { x.write = nil })
		speak(good, 0)
		good.Close(time.Now())
		<-good.Done()
		all := b.finished(2)
		if all[0].Reason != Bug || all[1].Reason != CallEnded || b.metric("panics_total") != 1 {
			t.Errorf("%+v", all)
		}
		b.verify(all[1], Sound)
	})
}

func TestReadOnlyAndRefusingDisksAreSeenBeforeACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		for name, c := range map[string][2]func(*faultFS){
			"mounted read-only": {func(x *faultFS) { x.space.ReadOnly = true }, func(x *faultFS) { x.space.ReadOnly = false }},
			"refuses a write":   {func(x *faultFS) { x.probe = func() error { return syscall.EIO } }, func(x *faultFS) { x.probe = nil }},
		} {
			r := b.start("call")
			b.fs.set(c[0])
			time.Sleep(7 * time.Second)
			if _, err := b.Start(Info{Call: "call-1"}); !errors.Is(err, ErrDiskFailed) || b.Disk().State != Failing {
				t.Errorf("%s: %v", name, err)
			}
			<-r.Done() // ended
			b.fs.set(c[1])
			time.Sleep(3 * time.Second)
			if b.Disk().State != Fine {
				t.Errorf("%s: state %s after", name, b.Disk().State)
			}
		}
	})
}

// TestMissingVolumeRecordsNothing: an unmounted disk leaves an empty folder, or none, on the root disk.
func TestMissingVolumeRecordsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		remove, restore func(t *testing.T, dir string)
	}{
		"empty mount point": {
			func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".away")); must(t, os.Mkdir(dir, 0o700)) },
			func(t *testing.T, dir string) { must(t, os.Remove(dir)); must(t, os.Rename(dir+".away", dir)) },
		},
		"no folder": {
			func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".away")) },
			func(t *testing.T, dir string) { must(t, os.Rename(dir+".away", dir)) },
		},
		"another disk": {
			func(t *testing.T, dir string) {
				must(t, os.Rename(dir, dir+".away"))
				_, err := Claim(dir)
				must(t, err)
			},
			func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)); must(t, os.Rename(dir+".away", dir)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t, nil)
				defer b.stop()
				r := b.start("call-1")
				talk(r, 1500*msec, 20*msec)
				c.remove(t, b.dir)
				late := b.start("call-2") // before the guard has looked
				talk(r, 3*time.Second, 20*msec)
				<-r.Done()
				<-late.Done()
				if len(b.ledger.lost) != 1 || b.ledger.lost[0].Info.Call != "call-2" || b.ledger.lost[0].Reason != DiskGone {
					t.Errorf("lost %+v", b.ledger.lost)
				}
				if _, err := b.Start(Info{Call: "call-3"}); !errors.Is(err, ErrNoVolume) {
					t.Errorf("start: %v", err)
				}
				if err := CheckVolume(b.dir, b.cfg.VolumeID); !errors.Is(err, ErrNoVolume) {
					t.Errorf("the volume passes the check: %v", err)
				}
				if found, _ := filepath.Glob(filepath.Join(b.dir, "2*")); len(found) > 0 {
					t.Errorf("recorded beside the volume: %v", found)
				}
				c.restore(t, b.dir)
				time.Sleep(3 * time.Second)
				must(t, CheckVolume(b.dir, b.cfg.VolumeID))
				e := b.finished(1)[0] // what ran went on to the disk it had begun on
				if b.verify(e, Sound); e.Reason != DiskGone {
					t.Errorf("%+v", e)
				}
				r = b.start("call-3")
				r.Close(time.Now())
				<-r.Done()
				b.finished(2)
			})
		})
	}
}

func TestRecorderStartsOnAHangingOrMissingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFaultFS()
		f.open = func() error { <-release; return nil }
		dir := t.TempDir()
		_, err := Claim(dir)
		must(t, err)
		began := time.Now()
		rec, err := New(Config{Dir: dir, Keyring: testRing(t), FS: f})
		must(t, err)
		if took := time.Since(began); took > 3*time.Second || rec.Disk().State != Stuck {
			t.Errorf("New took %v, state %s", took, rec.Disk().State)
		}
		close(release)
		time.Sleep(3 * time.Second)
		if rec.Disk().State != Fine {
			t.Errorf("state %s", rec.Disk().State)
		}
		must(t, rec.Stop(testCtx(t)))
		rec, err = New(Config{Dir: filepath.Join(dir, "none"), Keyring: testRing(t)})
		must(t, err)
		if rec.Disk().State != Missing {
			t.Errorf("state %s", rec.Disk().State)
		}
		must(t, rec.Stop(testCtx(t)))
	})
}

func TestStopIsBoundedOnAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		r := b.start("call-1")
		talk(r, time.Second, 20*msec)
		release := make(chan struct{})
		b.fs.set(func(x *faultFS) {
			x.write = func(f File, p []byte) (int, error) { <-release; return 0, os.ErrClosed }
		})
		speak(r, 0)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := b.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(release)
		b.wg.Wait()
	})
}

func TestStopFinishesRunningRecordings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		r := b.start("call-1")
		n := talk(r, time.Second, 20*msec)
		early := b.start("call-2") // has no file yet
		speak(early, 0)
		b.stop()
		all := b.finished(2)
		if all[0].Reason != Shutdown || all[0].Packets != uint64(n) || all[1].Packets != 2 {
			t.Errorf("%+v", all)
		}
		b.verify(all[0], Sound)
		b.verify(all[1], Sound)
	})
}

func TestTimeUntilTheDiskIsFullIsForetold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		time.Sleep(time.Minute)
		if d := b.Disk(); d.FullIn != 0 || d.Free != 100<<30 {
			t.Errorf("not filling: %+v", d)
		}
		for range 3600 { // an hour at 10 MiB/s
			b.fs.set(func(x *faultFS) { x.space.Free -= 10 << 20 })
			time.Sleep(time.Second)
		}
		d := b.Disk()
		want := time.Duration(float64(d.Free-1<<30) / (10 << 20) * float64(time.Second))
		if off := (d.FullIn - want).Abs(); off > want/50 {
			t.Errorf("full in %v, want %v", d.FullIn, want)
		}
		if m := b.metric("disk_full_seconds"); m < want.Seconds()*0.98 || m > want.Seconds()*1.02 {
			t.Errorf("metric %v", m)
		}
	})
}

func TestClaimKeepsTheVolumeItFinds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	first, err := Claim(dir)
	must(t, err)
	second, err := Claim(dir)
	must(t, err)
	if first != second || len(first) != 32 {
		t.Errorf("%q %q", first, second)
	}
	must(t, CheckVolume(dir, ""))
	must(t, os.WriteFile(filepath.Join(dir, MarkerFile), nil, 0o600))
	if _, err := Claim(dir); !errors.Is(err, ErrInvalid) {
		t.Errorf("an empty marker: %v", err)
	}
}

func TestRecoverSettlesWhatACrashLeft(t *testing.T) {
	good := build(t, 40)
	frames := framesOf(t, good)
	end := frames[31].offset // the 31st record is cut
	files := map[string][]byte{"whole": good, "cut": good[:end+30], "between": good[:end], "stub": good[:20], "empty": {}}
	b := newBox(t, nil)
	defer b.stop()
	must(t, os.MkdirAll(filepath.Join(b.dir, "2026/11/23"), 0o700))
	for name, data := range files {
		must(t, os.WriteFile(filepath.Join(b.dir, "2026/11/23", name+".dbr"), data, 0o600))
	}
	for _, name := range []string{"whole", "cut", "between", "stub", "empty", "absent"} {
		b.ledger.before = append(b.ledger.before, Entry{ID: name, Info: Info{Call: name}, Path: "2026/11/23/" + name + ".dbr", Started: noon})
	}
	running := b.start("running")
	b.ledger.before = append(b.ledger.before, Entry{ID: running.ID(), Info: Info{Call: "running"}})
	must(t, b.Recover(testCtx(t)))
	type got struct {
		Reason   EndReason
		Readable int64
		Packets  uint64
		Duration time.Duration
	}
	have := map[string]got{}
	for _, e := range b.finished(3) {
		have[e.Info.Call] = got{e.Reason, e.Readable, e.Packets, e.Duration}
		rep, err := Verify(testCtx(t), b.path(e), testKeys(t), e.SHA256[:], nil)
		if err != nil || !rep.HashMatches || e.Size != int64(len(files[e.ID])) || rep.Verdict == Damaged {
			t.Errorf("%+v: %v %s", e, err, rep.Verdict)
		}
		if raw, _ := os.ReadFile(b.path(e)); len(raw) != len(files[e.ID]) {
			t.Errorf("%s was changed", e.Path)
		}
	}
	want := map[string]got{"whole": {CallEnded, int64(len(good) - trailerSize), 40, 400 * msec},
		"cut": {Interrupted, end, 29, testPacket(28).At}, "between": {Interrupted, end, 29, testPacket(28).At}}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
	b.ledger.mu.Lock()
	if len(b.ledger.lost) != 3 {
		t.Errorf("lost %+v", b.ledger.lost)
	}
	b.ledger.mu.Unlock()
	must(t, os.Remove(filepath.Join(b.dir, MarkerFile)))
	if err := b.Recover(testCtx(t)); !errors.Is(err, ErrNoVolume) {
		t.Errorf("without the volume: %v", err)
	}
}

// volumeFile counts its syncs and its volume's.
type volumeFile struct {
	File
	volume        uint64
	files, whole  *int
	whole1, file1 error
}

func (f volumeFile) Volume() uint64    { return f.volume }
func (f volumeFile) SyncVolume() error { *f.whole++; return f.whole1 }
func (f volumeFile) Sync() error       { *f.files++; return f.file1 }

func TestManyDueTogetherAreOneSyncOfTheirVolume(t *testing.T) {
	lost := errors.New("input/output error")
	for _, c := range []struct {
		name         string
		due          int
		volumes      uint64
		fail         error
		whole, files int
		failed       int
	}{
		{"a few", volumeBatch - 1, 1, nil, 0, volumeBatch - 1, 0},
		{"many", 100, 1, nil, 1, 0, 0},
		{"many on two volumes", 100, 2, nil, 0, 100, 0},
		{"a volume that fails tells by the file whose pages are lost", 100, 1, lost, 1, 100, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, nil)
			defer b.stop()
			var whole, files int
			var batch []*Recording
			for i := range c.due {
				f := volumeFile{volume: uint64(i) % c.volumes, files: &files, whole: &whole, whole1: c.fail}
				if i == 3 {
					f.file1 = c.fail
				}
				r := &Recording{tape: &tape{f: f}}
				r.queued.Store(true)
				batch = append(batch, r)
			}
			b.sync(batch, &busy{})
			failed := 0
			for i, r := range batch {
				if r.queued.Load() {
					t.Errorf("recording %d would not be synced again", i)
				}
				if p := r.syncErr.Load(); p != nil {
					failed++
					if i != 3 || !errors.Is(*p, lost) {
						t.Errorf("recording %d failed with %v", i, *p)
					}
				}
			}
			if whole != c.whole || files != c.files || failed != c.failed {
				t.Errorf("%d syncs of the volume, %d of files, %d failed; want %d, %d, %d", whole, files, failed, c.whole, c.files, c.failed)
			}
		})
	}
}
