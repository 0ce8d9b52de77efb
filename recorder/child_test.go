package recorder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fileLedger is a ledger in a file of lines, as durable as the kernel's memory: enough against kill -9.
type fileLedger struct {
	mu   sync.Mutex
	path string
}

type ledgerLine struct {
	Event string
	Entry Entry
}

func (l *fileLedger) add(event string, e Entry) error {
	b, err := json.Marshal(ledgerLine{event, e})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

func (l *fileLedger) RecordingStarted(_ context.Context, e Entry) error {
	return l.add("started", e)
}
func (l *fileLedger) RecordingFinished(_ context.Context, e Entry) error {
	return l.add("finished", e)
}
func (l *fileLedger) RecordingLost(_ context.Context, e Entry) error { return l.add("lost", e) }

func (l *fileLedger) OpenRecordings(context.Context) ([]Entry, error) {
	lines, err := l.lines()
	open := map[string]Entry{}
	for _, x := range lines {
		if x.Event == "started" {
			open[x.Entry.ID] = x.Entry
		} else {
			delete(open, x.Entry.ID)
		}
	}
	var out []Entry
	for _, e := range open {
		out = append(out, e)
	}
	return out, err
}

func (l *fileLedger) lines() ([]ledgerLine, error) {
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []ledgerLine
	for _, line := range strings.Split(string(b), "\n") {
		var x ledgerLine
		if json.Unmarshal([]byte(line), &x) == nil && x.Event != "" {
			out = append(out, x)
		}
	}
	return out, err
}

// child is the process that is killed: it records short calls, many at once, without end, and prints after each step what
// every call has handed over so far: "call microseconds".
func child() {
	dir := os.Getenv("RECORDER_TEST_DIR")
	ring, err := NewKeyring(testKey)
	if err == nil {
		err = childRun(dir, os.Getenv("RECORDER_TEST_CHILD"), ring)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func childRun(dir, run string, ring *Keyring) error {
	rec, err := New(Config{Dir: filepath.Join(dir, "recordings"), Keyring: ring, MinFree: 1, Ledger: &fileLedger{path: filepath.Join(dir, "ledger")}})
	if err != nil {
		return err
	}
	type call struct {
		*Recording
		n, end int
	}
	out := bufio.NewWriter(os.Stdout)
	var calls []*call
	tick := time.NewTicker(20 * msec)
	for started := 0; ; {
		for len(calls) < 30 {
			r, err := rec.Start(Info{Call: fmt.Sprintf("%s-%d", run, started)})
			if err != nil {
				return err
			}
			started++
			calls = append(calls, &call{Recording: r, end: 10 + rand.IntN(100)})
		}
		keep := calls[:0]
		for _, c := range calls {
			speak(c.Recording, 2*c.n)
			at := time.Since(c.start)
			if c.n++; c.n < c.end {
				keep = append(keep, c)
			} else {
				c.Close(time.Now())
			}
			if _, err := fmt.Fprintf(out, "%s %d\n", c.info.Call, at.Microseconds()); err != nil {
				return err
			}
		}
		calls = keep
		if err := out.Flush(); err != nil {
			return err
		}
		<-tick.C
	}
}

// TestKillNineLosesAtMostASecond kills the child at random moments, most of them in full work, and then looks at every file
// and at the ledger. RECORDER_TEST_KILLS sets how often; the default is 20.
func TestKillNineLosesAtMostASecond(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 3
	}
	if n, err := strconv.Atoi(os.Getenv("RECORDER_TEST_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	_, err := Claim(filepath.Join(dir, "recordings"))
	must(t, err)
	ledger := &fileLedger{path: filepath.Join(dir, "ledger")}
	handed := map[string]time.Duration{} // by call
	for i := range kills {
		killOne(t, dir, fmt.Sprintf("r%03d", i), time.Duration(rand.IntN(1500))*msec, handed)
		rec, err := New(Config{Dir: filepath.Join(dir, "recordings"), Keyring: testRing(t), MinFree: 1, Ledger: ledger})
		must(t, err)
		must(t, rec.Recover(testCtx(t)))
		must(t, rec.Stop(testCtx(t)))
	}
	calls := len(handed)
	worst := checkKilled(t, dir, ledger, handed)
	t.Logf("%d kills, %d calls, at most %v missing", kills, calls, worst)
}

func killOne(t *testing.T, dir, run string, after time.Duration, handed map[string]time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RECORDER_TEST_CHILD="+run, "RECORDER_TEST_DIR="+dir)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	first := true
	var kill *time.Timer
	for lines.Scan() {
		if first {
			first = false
			kill = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		call, us, ok := strings.Cut(lines.Text(), " ")
		n, err := strconv.Atoi(us)
		if !ok || err != nil {
			continue // cut by the kill
		}
		handed[call] = time.Duration(n) * time.Microsecond
	}
	_ = cmd.Wait()
	if first {
		t.Fatalf("the child said nothing: %s", errs.String())
	}
	kill.Stop()
}

func checkKilled(t *testing.T, dir string, ledger *fileLedger, handed map[string]time.Duration) (worst time.Duration) {
	t.Helper()
	lines, err := ledger.lines()
	must(t, err)
	known := map[string]bool{}
	settled := map[string]int{}
	for _, x := range lines {
		e := x.Entry
		if x.Event == "started" {
			known[e.Path] = true
			continue
		}
		settled[e.ID]++
		kept := time.Duration(0)
		if x.Event == "finished" {
			kept = checkFile(t, filepath.Join(dir, "recordings", e.Path), e)
		}
		missing := handed[e.Info.Call] - kept
		worst = max(worst, missing)
		if missing > time.Second {
			t.Errorf("call %s: %v handed over, %v in the file (%s)", e.Info.Call, handed[e.Info.Call], kept, x.Event)
		}
		delete(handed, e.Info.Call)
	}
	for call, d := range handed { // killed before the ledger heard of it
		if worst = max(worst, d); d > time.Second {
			t.Errorf("call %s: %v handed over, not in the ledger", call, d)
		}
	}
	for id, n := range settled {
		if n != 1 {
			t.Errorf("recording %s was settled %d times", id, n)
		}
	}
	open, err := ledger.OpenRecordings(t.Context())
	if err != nil || len(open) > 0 {
		t.Errorf("still open: %v %v", open, err)
	}
	must(t, filepath.WalkDir(filepath.Join(dir, "recordings"), func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(dir, "recordings"), path)
		if err == nil && strings.HasSuffix(path, ".dbr") && !known[rel] {
			t.Errorf("file %s is not in the ledger", rel)
		}
		return err
	}))
	return worst
}

// checkFile wants the file to be what the ledger says, and returns how far it reaches.
func checkFile(t *testing.T, path string, e Entry) time.Duration {
	t.Helper()
	rep, err := Verify(testCtx(t), path, testKeys(t), e.SHA256[:], nil)
	must(t, err)
	want := Sound
	if e.Reason == Interrupted {
		want = Incomplete
	}
	if rep.Verdict != want || !rep.HashMatches || rep.Size != e.Size || rep.Packets[0]+rep.Packets[1] != e.Packets || rep.Lost != 0 {
		t.Errorf("%s: %s, hash %v, %+v; ledger %+v; %v", path, rep.Verdict, rep.HashMatches, rep, e, rep.First)
	}
	r, err := Open(path, testKeys(t))
	must(t, err)
	defer r.Close()
	packets := play(t, r)
	if uint64(len(packets)) != e.Packets {
		t.Errorf("%s: %d packets play, the ledger has %d", path, len(packets), e.Packets)
	}
	if len(packets) == 0 {
		return 0
	}
	return packets[len(packets)-1].At
}
