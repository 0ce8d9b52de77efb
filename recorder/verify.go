package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Verdict is what Verify thinks of a file.
type Verdict uint8

// The verdicts. A tail that is missing is no sign of a forger: a crash leaves it so.
const (
	Sound      Verdict = iota // whole, every tag and number right, and the hash if one was given
	Incomplete                // the end is missing; what is there is right
	Damaged                   // something in it is not what was recorded: First says where
)

// String is the verdict for reports.
func (v Verdict) String() string { return [...]string{"sound", "incomplete", "damaged"}[v] }

// Report is what Verify found.
type Report struct {
	Verdict Verdict
	ID      string
	Start   time.Time
	Info    Info // only the call without a key

	Opened      bool // a key was there, so the tags were checked; without one only the numbers in clear were
	Size        int64
	Readable    int64 // up to here the file is made of whole records
	SHA256      [32]byte
	HashMatches bool // false also when none was given

	Records  uint64
	Packets  [2]uint64 // by Side
	Lost     uint64    // as the marks say
	Duration time.Duration
	Reason   EndReason // Interrupted while there is no end mark
	Faults   uint64
	First    *Fault // the first of them
}

// Fault is one thing that is wrong in a file.
type Fault struct {
	Offset int64
	Source string // customer, agent, mark; or header, trailer, file
	Number uint64 // of the packet within its source, as its header in clear says; of a gap, the first missing
	What   string
}

func (f Fault) String() string {
	if f.Source == "header" || f.Source == "trailer" || f.Source == "file" {
		return fmt.Sprintf("%s at byte %d: %s", f.Source, f.Offset, f.What)
	}
	return fmt.Sprintf("%s packet %d at byte %d: %s", f.Source, f.Number, f.Offset, f.What)
}

// Verify checks every tag, every number, the index and, unless it is empty, the SHA-256 of a recording. progress, if not
// nil, is told bytes done of bytes to do. The error is about reading (no such file, no recording, ctx); what is wrong with
// the recording is in the report. Without a fitting key the report has Opened false.
func Verify(ctx context.Context, path string, k Keys, sha []byte, progress func(done, total int64)) (Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, fmt.Errorf("verify recording: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("verify recording: %w", err)
	}
	rep, err := verify(ctx, f, info.Size(), k, sha, progress)
	if err != nil {
		return rep, fmt.Errorf("verify recording %s: %w", path, err)
	}
	return rep, nil
}

type verifier struct {
	Report
	ctx      context.Context
	r        io.ReaderAt
	progress func(done, total int64)
	open     *opener // nil without a key
	rec      record
	sum      [32]byte // of the header, as found

	next     [sources]uint64
	position int64         // of the next record
	hurt     bool          // since the last sound record
	doubt    [sources]bool // a gap in this source's numbers may be of what was reported
	ended    bool
	indexAt  int64 // first index record; 0: none
	index    []seekEntry
	marks    []int64
}

func verify(ctx context.Context, r io.ReaderAt, size int64, k Keys, sha []byte, progress func(done, total int64)) (Report, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	v := &verifier{ctx: ctx, r: r, progress: progress, indexAt: 0}
	v.Size, v.Reason = size, Interrupted
	copies, err := readHeaders(r, size)
	if err != nil {
		return v.Report, err
	}
	if err := v.hash(); err != nil {
		return v.Report, err
	}
	v.checkHeaders(copies, k)
	if err := v.records(bodyOf(copies)); err != nil {
		return v.Report, err
	}
	v.checkIndex()
	v.HashMatches = len(sha) == len(v.SHA256) && bytes.Equal(sha, v.SHA256[:])
	if v.Verdict == Sound && len(sha) > 0 && !v.HashMatches {
		v.fault(Fault{Source: "file", What: "its SHA-256 is not the one in the ledger"})
	}
	return v.Report, nil
}

func (v *verifier) fault(f Fault) {
	v.Verdict = Damaged
	v.Faults++
	if v.First == nil {
		v.First = &f
	}
}

// hash reads the file once from end to end.
func (v *verifier) hash() error {
	h := sha256.New()
	buf := make([]byte, min(256<<10, v.Size))
	for at := int64(0); at < v.Size; {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		n, err := v.r.ReadAt(buf[:min(int64(len(buf)), v.Size-at)], at)
		h.Write(buf[:n])
		at += int64(n)
		if n == 0 && err != nil {
			return fmt.Errorf("read at %d: %w", at, err)
		}
		v.progress(at, 2*v.Size)
	}
	v.SHA256 = [32]byte(h.Sum(nil))
	return nil
}

func (v *verifier) checkHeaders(copies []headerCopy, k Keys) {
	if len(copies) < 2 || copies[0].offset != 0 {
		v.fault(Fault{Source: "header", What: "one of its two copies is damaged"})
	}
	for _, c := range copies {
		b := make([]byte, c.size)
		if _, err := v.r.ReadAt(b, int64(c.offset)); err != nil && !errors.Is(err, io.EOF) {
			continue
		}
		sum := sha256.Sum256(b)
		if v.ID != "" {
			if sum != v.sum {
				v.fault(Fault{Offset: int64(c.offset), Source: "header", What: "its two copies differ"})
			}
			continue
		}
		v.sum, v.ID, v.Start, v.Info = sum, hexID(c.id), c.start, Info{Call: c.call}
		if key, err := k.unwrap(c.header); err == nil {
			v.open, _ = newOpener(key)
			v.Opened = v.open != nil
		}
	}
}

var sourceNames = [sources]string{"customer", "agent", "mark"}

// records walks the file.
func (v *verifier) records(body int64) error {
	s := newScanner(v.r, v.Size, body)
	v.Readable = min(body, v.Size)
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			v.progress(v.Size+s.pos, 2*v.Size)
		}
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			v.tail()
			v.progress(2*v.Size, 2*v.Size)
			return nil
		}
		if err != nil {
			return err
		}
		if s.skipped >= 0 && !v.hurt {
			v.fault(Fault{Offset: s.skipped, Source: "file", What: fmt.Sprintf("no record where record %d should begin", v.position)})
			v.hurt = true
		}
		if v.open != nil && !v.open.open(f, &v.rec) {
			if !v.hurt {
				v.fault(Fault{Offset: f.offset, Source: sourceNames[f.source], Number: f.number, What: "its tag is wrong: it was changed, or belongs to another place or recording"})
			}
			v.hurt = true
			s.again(f)
			continue
		}
		v.record(f)
		v.Readable = f.offset + frameSize + int64(len(f.packet))
		v.hurt = false
	}
}

// record checks the numbers of one sound record and notes what it says.
func (v *verifier) record(f frame) {
	at := Fault{Offset: f.offset, Source: sourceNames[f.source], Number: f.number}
	want := v.next[f.source]
	doubt := v.hurt // what is missing here has been reported
	if v.hurt {
		v.doubt = [sources]bool{true, true, true}
	}
	switch {
	case f.number < want || v.open != nil && int64(v.rec.position) < v.position:
		at.What = "it is out of order or repeated"
		v.fault(at)
		return
	case v.open != nil && int64(v.rec.position) > v.position && !doubt:
		at.What = fmt.Sprintf("%d records before it are missing", int64(v.rec.position)-v.position)
		v.fault(at)
	case v.open == nil && f.number > want && !v.doubt[f.source]:
		at.Number, at.What = want, fmt.Sprintf("%d packets are missing", f.number-want)
		v.fault(at)
	}
	v.doubt[f.source] = false
	v.next[f.source] = f.number + 1
	v.Records++
	if v.ended && (v.open == nil || v.rec.kind != typeSeekIndex && v.rec.kind != typeMarkIndex) {
		at.What = "it comes after the end"
		v.fault(at)
	}
	if f.source != markSource {
		v.Packets[f.source]++
	}
	if v.open == nil {
		return
	}
	v.position = int64(v.rec.position) + 1
	v.Duration = max(v.Duration, v.rec.since())
	v.note(at)
}

// note takes in a mark or an index record.
func (v *verifier) note(at Fault) {
	switch v.rec.kind {
	case typeBegin:
		v.begin(at)
	case typeMark:
		v.marks = append(v.marks, at.Offset)
		switch m := v.rec.mark(); m.Kind {
		case FramesLost:
			v.Lost += uint64(m.Count)
		case Ended:
			v.ended, v.Reason = true, EndReason(m.Count)
			v.checkEnd(at)
		}
	case typeSeekIndex, typeMarkIndex:
		if v.indexAt == 0 {
			v.indexAt = at.Offset
		}
		if v.rec.kind == typeSeekIndex && len(v.index) < maxIndex {
			v.index = append(v.index, seekEntries(v.rec.body, v.Size)...)
		}
	}
}

func (v *verifier) begin(at Fault) {
	if v.rec.position != 0 || len(v.rec.body) < sha256.Size {
		at.What = "a begin record in the middle"
		v.fault(at)
		return
	}
	if !bytes.Equal(v.rec.body[:sha256.Size], v.sum[:]) {
		v.fault(Fault{Source: "header", What: "it is not the one the recording was begun with"})
	}
	var info Info
	if json.Unmarshal(v.rec.body[sha256.Size:], &info) == nil {
		v.Info = info
	}
}

// checkEnd compares the end mark's counts. With faults before it they differ anyway.
func (v *verifier) checkEnd(at Fault) {
	b := v.rec.body
	if v.Faults > 0 || len(b) < endBodySize {
		return
	}
	if binary.BigEndian.Uint64(b) != v.Packets[Customer] || binary.BigEndian.Uint64(b[8:]) != v.Packets[Agent] ||
		binary.BigEndian.Uint64(b[16:]) != v.Lost {
		at.What = "its counts are not those of the file"
		v.fault(at)
	}
}

// tail judges what lies behind the last sound record: the trailer, a record that was cut off, or rubbish.
func (v *verifier) tail() {
	rest := make([]byte, min(v.Size-v.Readable, frameSize+maxRecord))
	n, err := v.r.ReadAt(rest, v.Readable)
	if err != nil && !errors.Is(err, io.EOF) {
		return
	}
	rest = rest[:n]
	if at, ok := parseTrailer(rest); ok {
		switch {
		case v.open != nil && (at != v.indexAt || !v.ended):
			v.fault(Fault{Offset: v.Readable, Source: "trailer", What: "it does not belong to this end"})
		case v.open == nil && at >= v.Readable:
			v.fault(Fault{Offset: v.Readable, Source: "trailer", What: "it points behind the records"})
		}
		return
	}
	_, _, short := parseFrame(rest)
	cut := short || len(bytes.Trim(rest, "\x00")) == 0 || v.trailerBegins(rest) // zeros: a power cut can leave the length without the data
	last := make([]byte, trailerSize)
	if n, _ := v.r.ReadAt(last, max(v.Size-trailerSize, 0)); n == trailerSize {
		_, ok := parseTrailer(last)
		cut = cut && !ok // the end is there, so what lies before it was not cut off
	}
	switch {
	case cut && v.Verdict == Sound:
		v.Verdict = Incomplete
	case !cut && !v.hurt:
		v.fault(Fault{Offset: v.Readable, Source: "file", What: fmt.Sprintf("%d bytes that are no record", v.Size-v.Readable)})
	}
}

func (v *verifier) trailerBegins(b []byte) bool {
	if v.open == nil {
		return len(b) < trailerSize
	}
	return v.indexAt > 0 && bytes.HasPrefix(appendTrailer(nil, v.indexAt), b)
}

// checkIndex opens the record behind each entry of the index.
func (v *verifier) checkIndex() {
	if v.open == nil {
		return
	}
	b := make([]byte, frameSize+maxRecord)
	for _, e := range v.index {
		n, err := v.r.ReadAt(b, e.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		f, ok, _ := parseFrame(b[:n])
		sound := ok && v.open.open(f, &v.rec)
		if sound && v.rec.at != e.at || !sound && v.Faults == 0 {
			v.fault(Fault{Offset: e.offset, Source: "file", What: "the index points to another record"})
			return
		}
	}
}
