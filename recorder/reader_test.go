package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSeekFindsThePlace in an hour of both sides: with the index, in a cut file, and across damage.
func TestSeekFindsThePlace(t *testing.T) {
	const n = 3600 * 100
	good := build(t, n)
	damaged := bytes.Clone(good)
	for at := 100_000; at < len(damaged); at += 700_001 {
		damaged[at] ^= 0x10
	}
	for name, b := range map[string][]byte{"finished": good, "cut": good[:len(good)-2000], "damaged": damaged} {
		r, err := openBytes(b, testKeys(t))
		must(t, err)
		if r.Complete() == (name == "cut") {
			t.Errorf("%s: complete %v", name, r.Complete())
		}
		read := &countingReader{r: bytes.NewReader(b)}
		r.r, r.scan.r = read, read
		for _, at := range []time.Duration{59 * time.Minute, 0, -time.Second, 30*time.Minute + 11*msec, 20 * msec, 59*time.Minute + 59*time.Second} {
			read.n = 0
			must(t, r.Seek(at))
			var p Packet
			must(t, r.Next(&p))
			// The customer's packets are at 0, 20, 40 msec …, the agent's at 3, 23, 43 msec …
			k := max(int64(at/(20*msec)), 0)
			want := time.Duration(k) * 20 * msec
			for i := 2 * k; want < at; i++ {
				want = testPacket(int(i)).At
			}
			if p.At != want {
				t.Errorf("%s: seek to %v gives %v, want %v", name, at, p.At, want)
			}
			if read.n > 2<<20 {
				t.Errorf("%s: seek to %v reads %d bytes", name, at, read.n)
			}
		}
		must(t, r.Seek(2*time.Hour))
		if err := r.Next(&Packet{}); err != io.EOF {
			t.Errorf("%s: behind the end: %v", name, err)
		}
	}
}

type countingReader struct {
	r io.ReaderAt
	n int
}

func (c *countingReader) ReadAt(p []byte, at int64) (int, error) {
	c.n += len(p)
	return c.r.ReadAt(p, at)
}

func TestMarksAreFoundWithAndWithoutIndex(t *testing.T) {
	f := &memFile{}
	tp := newTestTape(t, f, testKeys(t))
	var want []Mark
	for i := range 1000 {
		p := testPacket(i)
		must(t, tp.entry(entryOf(&p)))
		if i%7 == 0 {
			want = append(want, Mark{Kind: MarkKind(1 + i%10), At: p.At})
			must(t, tp.record(&record{kind: typeMark, code: uint8(1 + i%10), at: microseconds(p.At)}))
		}
	}
	must(t, tp.finish(microseconds(10*time.Second), Shutdown))
	want = append(want, Mark{Kind: Ended, At: 10 * time.Second, Count: uint32(Shutdown)})
	for name, b := range map[string][]byte{"finished": f.Bytes(), "cut": f.Bytes()[:f.Len()-30]} {
		r, err := openBytes(b, testKeys(t))
		must(t, err)
		var first, second Packet
		must(t, r.Next(&first))
		got, err := r.Marks()
		must(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		must(t, r.Next(&second)) // asking for marks does not move the reader
		if second.At != testPacket(1).At || second.Side != Agent {
			t.Errorf("%s: after Marks comes %+v", name, second)
		}
	}
}

// badSector answers EIO for one sector, as a failing disk does.
type badSector struct {
	io.ReaderAt
	at int64
}

func (b badSector) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.at && at < b.at+sectorSize {
		if at >= b.at {
			return 0, syscall.EIO
		}
		n, _ := b.ReaderAt.ReadAt(p[:b.at-at], at)
		return n, syscall.EIO
	}
	return b.ReaderAt.ReadAt(p, at)
}

func TestBadSectorCostsOnlyItself(t *testing.T) {
	b := build(t, 4000)
	r, err := NewReader(badSector{bytes.NewReader(b), 40 * sectorSize}, int64(len(b)), testKeys(t))
	must(t, err)
	got := play(t, r)
	if lost := 4000 - len(got); lost < 20 || lost > 60 || r.Damaged() != uint64(lost) {
		t.Errorf("%d packets lost, %d counted", lost, r.Damaged())
	}
	if got[len(got)-1].At != testPacket(3999).At {
		t.Errorf("last packet at %v", got[len(got)-1].At)
	}
}

func TestReadErrorsOtherThanBadSectorsAreReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.dbr")
	must(t, os.WriteFile(path, build(t, 4000), 0o600))
	r, err := Open(path, testKeys(t))
	must(t, err)
	must(t, r.Close())
	for err == nil {
		err = r.Next(&Packet{})
	}
	if !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "a.txt")
	must(t, os.WriteFile(text, []byte(strings.Repeat("not a recording\n", 100)), 0o600))
	for path, want := range map[string]error{text: ErrFormat, dir: ErrFormat, filepath.Join(dir, "none"): os.ErrNotExist} {
		if _, err := Open(path, testKeys(t)); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestVerifyTellsProgressAndStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.dbr")
	b := build(t, 20_000)
	must(t, os.WriteFile(path, b, 0o600))
	var steps []int64
	_, err := Verify(testCtx(t), path, testKeys(t), nil, func(done, total int64) {
		if total != 2*int64(len(b)) {
			t.Fatalf("total %d", total)
		}
		steps = append(steps, done)
	})
	must(t, err)
	if !slices.IsSorted(steps) || steps[len(steps)-1] != 2*int64(len(b)) || len(steps) < 20 {
		t.Errorf("%d steps, last %d of %d", len(steps), steps[len(steps)-1], 2*len(b))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, path, testKeys(t), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWrongHashMakesASoundFileDamaged(t *testing.T) {
	b := build(t, 10)
	rep := verifyBytes(t, b, testKeys(t), make([]byte, 32))
	if rep.Verdict != Damaged || rep.HashMatches || !strings.Contains(rep.First.String(), "SHA-256") {
		t.Errorf("%+v %v", rep, rep.First)
	}
}

// TestReadingAllocatesNothingPerPacket: the reader feeds exports at a thousand times real time.
func TestReadingAllocatesNothingPerPacket(t *testing.T) {
	r, err := openBytes(build(t, 5000), testKeys(t))
	must(t, err)
	var p Packet
	if n := testing.AllocsPerRun(2000, func() { must(t, r.Next(&p)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzReader reads rubbish and changed recordings. The key is right, so only the tags stand between them and the parsers
// behind; a second target opens what is under the tags.
func FuzzReader(f *testing.F) {
	good, err := os.ReadFile(filepath.Join("testdata", "golden-1.dbr"))
	must(f, err)
	f.Add(good)
	f.Add(good[:len(good)-trailerSize])
	f.Add(good[:len(good)/2])
	f.Add(good[:headerFixed])
	f.Add(slices.Concat(good, good))
	f.Add(append([]byte("x"), good...))
	k := testKeys(f)
	sound := 0
	r, err := openBytes(good, k)
	must(f, err)
	want := map[string]bool{}
	for _, p := range play(f, r) {
		want[string(p.Payload)] = true
		sound++
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, err := verify(t.Context(), bytes.NewReader(b), int64(len(b)), k, nil, nil)
		r, rerr := openBytes(b, k)
		if err != nil && rerr == nil {
			t.Fatalf("opens but does not verify: %v", err)
		}
		if rerr != nil {
			return
		}
		got := play(t, r)
		if len(got) > sound {
			t.Errorf("%d packets from a recording of %d", len(got), sound)
		}
		for _, p := range got {
			if !want[string(p.Payload)] {
				t.Errorf("packet %q was never recorded", p.Payload)
			}
		}
		if rep.Verdict == Sound && !bytes.Equal(b, good) {
			t.Errorf("a changed file is sound")
		}
		_, _ = r.Marks()
		_, _ = r.Duration()
		for _, at := range []time.Duration{0, 100 * msec, time.Hour} {
			if err := r.Seek(at); err == nil {
				_ = r.Next(&Packet{})
			}
		}
	})
}

// FuzzRecord gives the parser behind the tags what only a faulty writer could.
func FuzzRecord(f *testing.F) {
	p := testPacket(0)
	f.Add(entryOf(&p))
	f.Add(make([]byte, prefixSize))
	f.Add(binary.BigEndian.AppendUint16(make([]byte, prefixSize-2), 65535))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record
		if !r.parse(b) {
			return
		}
		if len(r.body) > len(b)-prefixSize {
			t.Errorf("body of %d bytes in %d", len(r.body), len(b))
		}
		var p Packet
		if r.packet(&p) && codecNumber(p.Codec) != r.code {
			t.Errorf("codec %v from %d", p.Codec, r.code)
		}
		_ = r.mark()
		for _, e := range seekEntries(r.body, 1000) {
			if e.offset >= 1000 {
				t.Errorf("offset %d beyond the file", e.offset)
			}
		}
		_ = markEntries(r.body, 1000)
	})
}
