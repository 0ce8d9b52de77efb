package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tinyLimits are the watermarks for a file system of 480 MB.
var tinyLimits = Limits{Low: 40 << 20, Tight: 32 << 20, Full: 16 << 20, Ballast: 128 << 20, Poll: 50 * time.Millisecond, Probe: time.Second}

const tinyDisk = "size=480m"

func mountTiny(t *testing.T) string {
	t.Helper()
	if other := os.Getenv("STORE_TEST_DISK"); other != "" { // an empty small file system of another type, say ext4 on a loop
		sub, err := os.MkdirTemp(other, "t")
		must(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(sub) })
		return sub
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, tinyDisk); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillUp takes every last block of the file system at full speed.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer func() { _ = f.Close() }()
	for size := 1 << 20; size >= 4096; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// TestFullDiskNeverKillsTheDaemon fills a real file system to the last block again and again, at random moments of a
// child that writes as fast as it can (so that Badger is flushing or compacting in some rounds), and looks at the child.
func TestFullDiskNeverKillsTheDaemon(t *testing.T) {
	dir := mountTiny(t)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	p := startChild(t, "tiny", filepath.Join(dir, "data"), "full")
	var calls, inbox []string
	died := func() {
		t.Helper()
		_ = p.cmd.Wait()
		t.Fatalf("the child died: %v\n%s", p.cmd.ProcessState, tail(p.errs.String(), 3000))
	}
	// until reads acknowledgements until n lines of a sort have come.
	until := func(n int, sort string) {
		t.Helper()
		for n > 0 {
			if !p.lines.Scan() {
				died()
			}
			what, id, _ := strings.Cut(p.lines.Text(), " ")
			switch what {
			case "call":
				calls = append(calls, id)
			case "inbox":
				inbox = append(inbox, id)
			case "refused":
				t.Fatalf("child was refused: %s", id)
			}
			if what == sort {
				n--
			}
		}
	}
	until(1, "ready")
	filler := filepath.Join(dir, "filler")
	for round := range rounds {
		until(1500+round*317, "inbox") // over 8 MB: at least one flush each
		fillUp(t, filler)
		until(20, "full")
		fillUp(t, filler) // what the ballast gave back, too
		until(20, "full")
		must(t, os.Remove(filler))
	}
	until(50, "inbox")
	must(t, p.stdin.Close())
	for p.lines.Scan() {
		what, id, _ := strings.Cut(p.lines.Text(), " ")
		switch what {
		case "call":
			calls = append(calls, id)
		case "inbox":
			inbox = append(inbox, id)
		}
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("child: %v\n%s", err, tail(p.errs.String(), 3000))
	}
	cfg := testConfig(filepath.Join(dir, "data"))
	checkAcknowledged(t, open(t, cfg), calls, inbox)
	t.Logf("%d rounds, %d calls and %d webhooks acknowledged", rounds, len(calls), len(inbox))
}

func TestStartOnADiskWithoutABlockLeftKeepsCallFactsAndRecovers(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, string){
		"empty folder": func(t *testing.T, dir string) {},
		"after a clean stop": func(t *testing.T, dir string) {
			s := open(t, tinyConfig(dir))
			must(t, note(s, "before"))
			must(t, s.Close())
		},
		"after kill -9": func(t *testing.T, dir string) {
			p := startChild(t, "tiny", dir, "x")
			for range 300 {
				p.lines.Scan()
			}
			must(t, p.cmd.Process.Kill())
			_ = p.cmd.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			mnt := mountTiny(t)
			dir := filepath.Join(mnt, "data")
			prepare(t, dir)
			fillUp(t, filepath.Join(mnt, "filler"))
			s := open(t, tinyConfig(dir))
			if s.Level() != Full {
				t.Errorf("level %s", s.Level())
			}
			must(t, note(s, "during"))
			must(t, os.Remove(filepath.Join(mnt, "filler")))
			for deadline := time.Now().Add(20 * time.Second); s.Level() >= Full; {
				if time.Now().After(deadline) {
					t.Fatal("the store did not recover")
				}
				_, change := s.levelAndChange()
				select {
				case <-change:
				case <-time.After(time.Second):
				}
			}
			must(t, note(s, "after"))
			for _, id := range []string{"during", "after"} {
				if _, err := s.Call(testCtx(t), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func tinyConfig(dir string) Config { return Config{Dir: dir, Key: testKey, Limits: tinyLimits} }

// TestPageFaultOnAFullDiskIsServedFromTheBallast is the handler alone: a store through a sparse mapping with no block left.
func TestPageFaultOnAFullDiskIsServedFromTheBallast(t *testing.T) {
	mnt := mountTiny(t)
	b := newBallast(mnt, 4<<20)
	must(t, b.take(1<<30))
	t.Cleanup(b.close)
	f, err := os.Create(filepath.Join(mnt, "sparse"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	must(t, f.Truncate(64<<10))
	m, err := unix.Mmap(int(f.Fd()), 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	t.Cleanup(func() { _ = unix.Munmap(m) })
	fillUp(t, filepath.Join(mnt, "filler"))
	before := rescues()
	for i := 0; i < len(m); i += 4096 {
		m[i] = 'x'
	}
	if rescues() == before || b.given() == 0 {
		t.Errorf("no fault was served: %d, %d bytes given", rescues()-before, b.given())
	}
	must(t, unix.Msync(m, unix.MS_SYNC))
	must(t, os.Remove(filepath.Join(mnt, "filler")))
	must(t, b.take(1<<30))
	if b.given() != 0 {
		t.Errorf("ballast is not whole again: %d given", b.given())
	}
}
