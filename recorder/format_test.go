package recorder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func wantPackets(n int) []Packet {
	var out []Packet
	for i := range n {
		out = append(out, testPacket(i))
	}
	return out
}

func TestRecordingReadsBackAsItWasWritten(t *testing.T) {
	b := build(t, 500)
	r, err := openBytes(b, testKeys(t))
	must(t, err)
	if d := cmp.Diff(wantPackets(500), play(t, r)); d != "" {
		t.Error(d)
	}
	marks, err := r.Marks()
	must(t, err)
	length, err := r.Duration()
	must(t, err)
	want := []Mark{{Kind: Held, At: testPacket(250).At}, {Kind: Ended, At: 5 * time.Second}}
	if d := cmp.Diff(want, marks); d != "" || !r.Complete() || length != 5*time.Second || r.Damaged() != 0 {
		t.Errorf("complete %v, %v, %d damaged, marks %s", r.Complete(), length, r.Damaged(), d)
	}
	if r.Info() != testInfo || !r.Start().Equal(noon) || len(r.ID()) != 32 {
		t.Errorf("%+v %v %s", r.Info(), r.Start(), r.ID())
	}
	sum := sha256.Sum256(b)
	rep := verifyBytes(t, b, testKeys(t), sum[:])
	if rep.Verdict != Sound || !rep.Opened || !rep.HashMatches || rep.Packets != [2]uint64{250, 250} || rep.Readable+trailerSize != rep.Size {
		t.Errorf("%+v %v", rep, rep.First)
	}
}

// golden is what the golden file says, for a reader written by a stranger.
type golden struct {
	Info    Info
	Packets []Packet
	Marks   []Mark
}

// TestGoldenFileOpens keeps files of earlier versions readable: testdata/golden-*.dbr are never made anew, only added to.
func TestGoldenFileOpens(t *testing.T) {
	path := filepath.Join("testdata", "golden-1.dbr")
	text := strings.TrimSuffix(path, ".dbr") + ".json"
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, build(t, 20), 0o644))
	}
	r, err := Open(path, testKeys(t))
	must(t, err)
	defer r.Close()
	marks, err := r.Marks()
	must(t, err)
	got, err := json.MarshalIndent(golden{r.Info(), play(t, r), marks}, "", " ")
	must(t, err)
	got = append(got, '\n')
	if *update {
		must(t, os.WriteFile(text, got, 0o644))
	}
	want, err := os.ReadFile(text)
	must(t, err)
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	rep, err := Verify(testCtx(t), path, testKeys(t), nil, nil)
	if err != nil || rep.Verdict != Sound {
		t.Errorf("%+v %v", rep, err)
	}
}

// TestEveryFlippedByteIsDetectedAndTheRestPlays flips each byte of a small file.
func TestEveryFlippedByteIsDetectedAndTheRestPlays(t *testing.T) {
	const n = 14
	good := build(t, n)
	want := wantPackets(n)
	sum := sha256.Sum256(good)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		rep := verifyBytes(t, b, testKeys(t), sum[:])
		if rep.Verdict != Damaged || rep.First == nil {
			t.Fatalf("byte %d: %s", i, rep.Verdict)
		}
		if rep = verifyBytes(t, b, testKeys(t), nil); rep.Verdict != Damaged {
			t.Fatalf("byte %d without a hash: %s", i, rep.Verdict)
		}
		r, err := openBytes(b, testKeys(t))
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		got := play(t, r)
		if lost := n - len(got); lost > 1 || lost == 1 && r.Damaged() != 1 {
			t.Fatalf("byte %d costs %d packets, %d counted", i, lost, r.Damaged())
		}
		rest := slices.Clone(want)
		for _, p := range got { // what plays is true, and in order
			at := slices.IndexFunc(rest, func(q Packet) bool { return cmp.Equal(p, q) })
			if at < 0 {
				t.Fatalf("byte %d: packet %+v was never recorded", i, p)
			}
			rest = rest[at+1:]
		}
	}
}

// TestEveryCutOpensAndYieldsThePrefix cuts a small file at each byte.
func TestEveryCutOpensAndYieldsThePrefix(t *testing.T) {
	const n = 24
	good := build(t, n)
	copies, err := findHeaders(good)
	must(t, err)
	frames := framesOf(t, good)
	for cut := range len(good) {
		b := good[:cut]
		r, err := openBytes(b, testKeys(t))
		if cut < copies[0].size {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("cut at %d in the header: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		whole := 0
		for _, f := range frames {
			if f.source != markSource && f.offset+frameSize+int64(len(f.packet)) <= int64(cut) {
				whole++
			}
		}
		got := play(t, r)
		if d := cmp.Diff(wantPackets(whole), got, cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })); d != "" || r.Damaged() != 0 {
			t.Fatalf("cut at %d: %d packets, want %d, %d damaged\n%s", cut, len(got), whole, r.Damaged(), d)
		}
		if cut >= 2*copies[0].size {
			if rep := verifyBytes(t, b, testKeys(t), nil); rep.Verdict != Incomplete || rep.Readable > int64(cut) {
				t.Fatalf("cut at %d: %s %v", cut, rep.Verdict, rep.First)
			}
		}
		length, err := r.Duration()
		if err != nil || whole > 0 && length < testPacket(whole-1).At-20*msec {
			t.Fatalf("cut at %d: duration %v, %v", cut, length, err)
		}
	}
}

// TestMovedRecordsAreDetected changes the order of sound records.
func TestMovedRecordsAreDetected(t *testing.T) {
	good := build(t, 40)
	other := build(t, 40)
	frames, foreign := framesOf(t, good), framesOf(t, other)
	size := func(f frame) int64 { return frameSize + int64(len(f.packet)) }
	head := good[:frames[0].offset]
	tail := good[frames[len(frames)-1].offset+size(frames[len(frames)-1]):]
	raw := func(b []byte, f frame) []byte { return b[f.offset : f.offset+size(f)] }
	join := func(records [][]byte) []byte { return slices.Concat(head, slices.Concat(records...), tail) }
	all := func() (out [][]byte) {
		for _, f := range frames {
			out = append(out, raw(good, f))
		}
		return out
	}
	if !bytes.Equal(join(all()), good) {
		t.Fatal("the test takes the file apart wrongly")
	}
	for name, c := range map[string]struct {
		edit     func([][]byte) [][]byte
		position int    // index of the record at whose place the fault shows
		source   string // of it
		plays    int    // packets that still play
	}{
		"one side's record removed":  {func(r [][]byte) [][]byte { return slices.Delete(r, 5, 6) }, 5, "", 39},
		"many removed":               {func(r [][]byte) [][]byte { return slices.Delete(r, 5, 15) }, 5, "", 30},
		"first removed":              {func(r [][]byte) [][]byte { return r[1:] }, 0, "", 40},
		"mark removed":               {func(r [][]byte) [][]byte { return slices.Delete(r, 22, 23) }, 22, "", 40},
		"sides exchanged":            {func(r [][]byte) [][]byte { r[5], r[6] = r[6], r[5]; return r }, 5, "", 39},
		"repeated":                   {func(r [][]byte) [][]byte { return slices.Insert(r, 9, r[5]) }, 9, "", 40},
		"moved to the end":           {func(r [][]byte) [][]byte { return append(slices.Delete(slices.Clone(r), 5, 6), r[5]) }, 5, "", 39},
		"another recording's record": {func(r [][]byte) [][]byte { r[7] = raw(other, foreign[7]); return r }, 7, "", 39},
	} {
		t.Run(name, func(t *testing.T) {
			records := c.edit(all())
			b := join(records)
			at := int64(len(head))
			for i := range c.position {
				at += int64(len(records[i]))
			}
			rep := verifyBytes(t, b, testKeys(t), nil)
			if rep.Verdict != Damaged || rep.First.Offset != at {
				t.Fatalf("%s, first %v, want a fault at %d", rep.Verdict, rep.First, at)
			}
			r, err := openBytes(b, testKeys(t))
			must(t, err)
			if got := play(t, r); len(got) != c.plays || r.Damaged() == 0 {
				t.Errorf("%d packets play, want %d; %d damaged", len(got), c.plays, r.Damaged())
			}
		})
	}
	t.Run("another recording's header", func(t *testing.T) {
		b := slices.Concat(other[:foreign[0].offset], good[frames[0].offset:])
		if rep := verifyBytes(t, b, testKeys(t), nil); rep.Verdict != Damaged {
			t.Errorf("%s", rep.Verdict)
		}
	})
	t.Run("start time changed with its checksum", func(t *testing.T) {
		copies, _ := findHeaders(good)
		h := *copies[0].header
		h.start = h.start.Add(-time.Hour)
		enc, err := h.encode()
		must(t, err)
		rep := verifyBytes(t, slices.Concat(enc, enc, good[frames[0].offset:]), testKeys(t), nil)
		if rep.Verdict != Damaged || rep.First.Source != "header" {
			t.Errorf("%s %v", rep.Verdict, rep.First)
		}
	})
	t.Run("rubbish behind the end", func(t *testing.T) {
		rep := verifyBytes(t, append(bytes.Clone(good), "and more"...), testKeys(t), nil)
		if rep.Verdict != Damaged {
			t.Errorf("%s", rep.Verdict)
		}
	})
}

func TestVerifyWithoutAKeyStillSeesHashAndNumbers(t *testing.T) {
	good := build(t, 40)
	sum := sha256.Sum256(good)
	rep := verifyBytes(t, good, Keys{}, sum[:])
	if rep.Verdict != Sound || rep.Opened || !rep.HashMatches || rep.Packets != [2]uint64{20, 20} || rep.Info.Call != "call-1" || rep.Info.Agent != "" {
		t.Errorf("%+v %v", rep, rep.First)
	}
	frames := framesOf(t, good)
	cut := slices.Concat(good[:frames[5].offset], good[frames[7].offset:])
	if rep = verifyBytes(t, cut, Keys{}, nil); rep.Verdict != Damaged || rep.First.Offset != frames[5].offset {
		t.Errorf("%+v %v", rep, rep.First)
	}
	if rep = verifyBytes(t, good[:frames[9].offset+10], Keys{}, nil); rep.Verdict != Incomplete || rep.Readable != frames[9].offset {
		t.Errorf("%+v %v", rep, rep.First)
	}
}

func TestFirstBadPacketIsNamed(t *testing.T) {
	b := build(t, 40)
	f := framesOf(t, b)[12] // begin, then packets 0…: packet 11 is the agent's sixth
	b[f.offset+50] ^= 4
	rep := verifyBytes(t, b, testKeys(t), nil)
	want := Fault{Offset: f.offset, Source: "agent", Number: 5, What: rep.First.What}
	if *rep.First != want || rep.Faults != 1 || !strings.Contains(rep.First.String(), "agent packet 5 at byte") {
		t.Errorf("%v, %d faults, want %v", rep.First, rep.Faults, want)
	}
}

func TestWithoutTheKeyNothingOpens(t *testing.T) {
	b := build(t, 40)
	other := testRing(t, bytes.Repeat([]byte{9}, 32))
	for name, k := range map[string]Keys{"none": {}, "another ring": {Keyring: other}} {
		if _, err := openBytes(b, k); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := openBytes(b, Keys{Keyring: other})
	if want := keyIDOf(testKey).String(); !strings.Contains(err.Error(), want) {
		t.Errorf("the missing key %s is not named: %v", want, err)
	}
	// A guessed file key opens not one record.
	o, err := newOpener(make([]byte, fileKeySize))
	must(t, err)
	var r record
	for _, f := range framesOf(t, b) {
		if o.open(f, &r) {
			t.Fatalf("record at %d opens under another key", f.offset)
		}
	}
}

func TestOldFilesStayReadableAfterRotation(t *testing.T) {
	b := build(t, 10)
	ring := testRing(t, testKey, bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32))
	r, err := openBytes(b, Keys{Keyring: ring})
	must(t, err)
	if got := play(t, r); len(got) != 10 {
		t.Errorf("%d packets", len(got))
	}
}

func TestRecipientPlaysWhatTheBoxCannot(t *testing.T) {
	for name, make := range map[string]func() (age.Identity, age.Recipient){
		"x25519": func() (age.Identity, age.Recipient) {
			id, err := age.GenerateX25519Identity()
			must(t, err)
			return id, id.Recipient()
		},
		"post-quantum": func() (age.Identity, age.Recipient) {
			id, err := age.GenerateHybridIdentity()
			must(t, err)
			return id, id.Recipient()
		},
	} {
		id, to := make()
		rec := &Recorder{cfg: Config{Recipients: []age.Recipient{to, to}, Clock: time.Now, RingBytes: 64 << 10}}
		rr, err := rec.newRecording(testInfo)
		must(t, err)
		f := &memFile{}
		tp, err := newTape(f, rr.key, rr.head, rr.info)
		must(t, err)
		p := testPacket(0)
		must(t, tp.entry(entryOf(&p)))
		must(t, tp.finish(0, CallEnded))
		if _, err := openBytes(f.Bytes(), testKeys(t)); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: the box opens it: %v", name, err)
		}
		r, err := openBytes(f.Bytes(), Keys{Identities: []age.Identity{id}})
		must(t, err)
		if got := play(t, r); len(got) != 1 || !cmp.Equal(got[0], p) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestNothingIsRecognisableInTheFile looks for what was recorded in the bytes, and for the regularity of Opus packets, whose
// first byte (TOC, RFC 6716 §3.1) is nearly always the same.
func TestNothingIsRecognisableInTheFile(t *testing.T) {
	const n = 20_000
	b := build(t, n)
	for _, word := range []string{"opus packet", testInfo.Line, testInfo.Team, testInfo.Agent, testInfo.Customer, "the call", string(bytes.Repeat([]byte{0xd5}, 16))} {
		if bytes.Contains(b, []byte(word)) {
			t.Errorf("%q is in the file in clear", word)
		}
	}
	frames := framesOf(t, b)
	// Each byte of the sealed part, at each of its first places, takes every value as often as chance has it.
	places := 2 * blockSize
	counts := make([][256]float64, places)
	equal := 0
	var last []byte
	for _, f := range frames {
		sealed := f.packet[rtpSize:]
		for i := range places {
			counts[i][sealed[i]]++
		}
		if bytes.Equal(last, sealed[:blockSize]) {
			equal++
		}
		last = sealed[:blockSize]
	}
	if equal > 0 {
		t.Errorf("%d records begin as the one before", equal)
	}
	for i := range counts {
		want, chi := float64(len(frames))/256, 0.0
		for _, c := range counts[i] {
			chi += (c - want) * (c - want) / want
		}
		// Chi-squared with 255 degrees of freedom: mean 255, deviation 22.6. Eight deviations are beyond chance; a TOC byte
		// in clear gives millions.
		if math.Abs(chi-255) > 8*22.6 {
			t.Errorf("byte %d of the sealed part is not evenly distributed: chi-squared %.0f", i, chi)
		}
	}
	// In clear are the header and, per frame, sync, length and our own numbers; nothing between them.
	next := [sources]uint64{}
	for _, f := range frames {
		head := b[f.offset : f.offset+frameSize+rtpSize]
		want := []byte{0xdb, 0x52, byte(len(f.packet) >> 8), byte(len(f.packet)), 0x80, 96}
		want = binary.BigEndian.AppendUint16(want, uint16(next[f.source]))
		want = binary.BigEndian.AppendUint32(want, uint32(next[f.source]>>16))
		want = append(want, 'd', 'b', 'R', byte(f.source))
		if !bytes.Equal(head, want) {
			t.Fatalf("frame header %x, want %x", head, want)
		}
		next[f.source]++
		if len(f.packet)%blockSize != (rtpSize+tagSize)%blockSize {
			t.Fatalf("size %d tells the size of the audio", len(f.packet))
		}
	}
}

func TestNoncesNeverRepeatAcrossRollovers(t *testing.T) {
	key := bytes.Repeat([]byte{5}, fileKeySize)
	s, err := newSealer(key)
	must(t, err)
	o, err := newOpener(key)
	must(t, err)
	p := testPacket(0)
	entry := entryOf(&p)
	var first []byte
	for _, from := range []uint64{0, 1<<16 - 2, 1<<32 - 2, 1<<47 - 2, maxNumber - 4} {
		s.ctx.SetROC(sourceBase, uint32(from>>16))
		s.next[Customer] = from
		for range 4 {
			n := s.next[Customer]
			out, err := s.seal(nil, int(Customer), entry)
			must(t, err)
			f, ok, _ := parseFrame(out)
			var r record
			if !ok || f.number != n || !o.open(f, &r) {
				t.Fatalf("packet %d: parsed %v as %d", n, ok, f.number)
			}
			if first == nil {
				first = out[frameSize+rtpSize+blockSize:]
			} else if bytes.Equal(first[:8], out[frameSize+rtpSize+blockSize:][:8]) {
				t.Errorf("packet %d has the keystream of packet 0", n)
			}
		}
	}
	s.next[Customer] = maxNumber + 1
	if _, err := s.seal(nil, int(Customer), entry); !errors.Is(err, errExhausted) {
		t.Errorf("packet 2^48: %v", err)
	}
}

func TestTwoRecordingsOfOneCallHaveDifferentKeys(t *testing.T) {
	rec := &Recorder{cfg: Config{Keyring: testRing(t), Clock: time.Now, RingBytes: 64 << 10}}
	a, err := rec.newRecording(testInfo)
	must(t, err)
	b, err := rec.newRecording(testInfo)
	must(t, err)
	if bytes.Equal(a.key, b.key) || a.id == b.id {
		t.Error("same key or ID")
	}
}

func TestHeaderLimits(t *testing.T) {
	for name, h := range map[string]header{
		"no wrap":      {call: "c"},
		"many wraps":   {call: "c", wraps: make([]wrap, maxWraps+1)},
		"large wrap":   {call: "c", wraps: []wrap{{1, make([]byte, maxWrap+1)}}},
		"large in all": {call: "c", wraps: slices.Repeat([]wrap{{1, make([]byte, maxWrap)}}, maxWraps)},
	} {
		if _, err := h.encode(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := build(t, 1)
	copies, err := findHeaders(b)
	must(t, err)
	h := bytes.Clone(b[:copies[0].size])
	binary.BigEndian.PutUint16(h[8:], 2)
	h = binary.BigEndian.AppendUint32(h[:len(h)-4], crcOf(h[:len(h)-4]))
	if _, err := openBytes(slices.Concat(h, h, b[2*len(h):]), testKeys(t)); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer file: %v", err)
	}
}
