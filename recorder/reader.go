package recorder

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Reader plays one recording: finished, unfinished, cut off or damaged. It is a Source. It is not safe for concurrent use;
// open the file once per listener.
type Reader struct {
	r      io.ReaderAt
	close  func() error
	size   int64
	header *header
	body   int64 // where the records begin
	scan   *scanner
	open   *opener
	rec    record

	info    Info
	damaged uint64
	want    int64         // position of the next record; -1: any
	at      int64         // offset of rec
	from    time.Duration // after Seek: what is before is passed over

	// Of a finished file.
	complete bool
	length   time.Duration
	index    []seekEntry
	marks    []int64
}

var _ Source = (*Reader)(nil)

// Open opens the recording in a file of the operating system.
func Open(path string, k Keys) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrFormat
	}
	var r *Reader
	if err == nil {
		r, err = NewReader(f, info.Size(), k)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open recording %s: %w", path, err), f.Close())
	}
	r.close = f.Close
	return r, nil
}

// NewReader opens the recording in r. It reads size bytes: a file that grows meanwhile is read up to there.
func NewReader(r io.ReaderAt, size int64, k Keys) (*Reader, error) {
	copies, err := readHeaders(r, size)
	if err != nil {
		return nil, err
	}
	x := &Reader{r: r, size: size, close: func() error { return nil }}
	for _, c := range copies {
		key, kerr := k.unwrap(c.header)
		if kerr != nil {
			err = kerr
			continue
		}
		x.header = c.header
		if x.open, err = newOpener(key); err != nil {
			return nil, err
		}
		break
	}
	if x.open == nil {
		return nil, err
	}
	x.body = bodyOf(copies)
	x.info = Info{Call: x.header.call}
	x.scan = newScanner(r, size, x.body)
	x.aside(x.begin)
	x.readEnd()
	return x, nil
}

// bodyOf is where the records begin: after the second copy of the header, or where it should be.
func bodyOf(copies []headerCopy) int64 {
	last := copies[len(copies)-1]
	if len(copies) == 1 && last.offset == 0 {
		return int64(2 * last.size)
	}
	return int64(last.offset + last.size)
}

func readHeaders(r io.ReaderAt, size int64) ([]headerCopy, error) {
	b := make([]byte, min(size, 4096))
	for {
		n, err := r.ReadAt(b, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read recording header: %w", err)
		}
		copies, err := findHeaders(b[:n])
		// Most headers are a few hundred bytes; only large or damaged ones need the whole range.
		if len(copies) == 2 || len(b) == int(min(size, maxHeaderScan)) {
			return copies, err
		}
		b = make([]byte, min(size, maxHeaderScan))
	}
}

// begin reads the first record, if it is sound.
func (x *Reader) begin() {
	x.seek(x.body)
	if err := x.record(); err != nil || x.rec.kind != typeBegin || len(x.rec.body) < sha256.Size {
		return
	}
	var info Info
	if json.Unmarshal(x.rec.body[sha256.Size:], &info) == nil {
		x.info = info
	}
}

// aside lets f read elsewhere in the file.
func (x *Reader) aside(f func()) {
	pos, want, damaged := x.scan.pos, x.want, x.damaged
	f()
	x.seek(pos)
	x.want, x.damaged = want, damaged
}

func (x *Reader) seek(to int64) {
	x.scan.seek(to)
	x.want = -1
}

// record reads the next sound record into x.rec and counts those that are missing before it, by their positions. At the end
// of an unfinished file the piece of a record that is left is not damage.
func (x *Reader) record() error {
	for hurt := false; ; {
		f, err := x.scan.next()
		hurt = hurt || x.scan.skipped >= 0
		if err != nil {
			if hurt && x.complete && errors.Is(err, io.EOF) {
				x.damaged++
			}
			return err
		}
		if !x.open.open(f, &x.rec) {
			hurt = true
			x.scan.again(f)
			continue
		}
		x.at = f.offset
		got := int64(x.rec.position)
		if x.want >= 0 && got < x.want { // moved or repeated: what was played once is not played again
			x.damaged++
			continue
		}
		if missing := got - x.want; x.want >= 0 && missing > 0 {
			x.damaged += uint64(missing)
		} else if hurt {
			x.damaged++
		}
		x.want = got + 1
		return nil
	}
}

// readEnd reads trailer and index. Whatever is wrong with them, the recording then counts as unfinished.
func (x *Reader) readEnd() {
	if x.size < x.body+trailerSize {
		return
	}
	b := make([]byte, trailerSize)
	if n, _ := x.r.ReadAt(b, x.size-trailerSize); n != trailerSize {
		return
	}
	at, ok := parseTrailer(b)
	if !ok || at < x.body || at >= x.size-trailerSize {
		return
	}
	s := newScanner(x.r, x.size-trailerSize, at)
	for {
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || s.skipped >= 0 || !x.open.open(f, &x.rec) {
			return
		}
		switch x.rec.kind {
		case typeSeekIndex:
			x.index = append(x.index, seekEntries(x.rec.body, x.size)...)
		case typeMarkIndex:
			x.marks = append(x.marks, markEntries(x.rec.body, x.size)...)
		default:
			return
		}
		x.length = x.rec.since()
	}
	if s.skipped < 0 {
		x.complete = true
		x.scan = newScanner(x.r, x.size-trailerSize, x.body)
	}
}

// Next returns the next packet in file order; io.EOF ends it. Its payload is valid until the next call.
func (x *Reader) Next(p *Packet) error {
	for {
		if err := x.record(); err != nil {
			return err
		}
		if x.rec.kind == typeAudio && x.rec.since() >= x.from && x.rec.packet(p) {
			return nil
		}
	}
}

// Damaged counts the records that were damaged, missing or misplaced in what Next has passed since Open or the last Seek.
func (x *Reader) Damaged() uint64 { return x.damaged }

// Complete says that the file was finished: it has its index. Verify tells whether all of it is sound.
func (x *Reader) Complete() bool { return x.complete }

// Info is what the recording is about. If the record that holds it is damaged, only the call is known.
func (x *Reader) Info() Info { return x.info }

// ID is the recording's ID in hex.
func (x *Reader) ID() string { return hexID(x.header.id) }

// Start is when the recording began, UTC.
func (x *Reader) Start() time.Time { return x.header.start }

// Close closes the file.
func (x *Reader) Close() error { return x.close() }

// Duration is how long the recording is: of an unfinished one, up to its last sound record.
func (x *Reader) Duration() (last time.Duration, err error) {
	if x.complete {
		return x.length, nil
	}
	x.aside(func() {
		for from := x.size - scanBuffer; err == nil; from -= scanBuffer {
			x.seek(max(from, x.body))
			for err = x.record(); err == nil; err = x.record() {
				last = max(last, x.rec.since())
			}
			if last > 0 || from <= x.body {
				return
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
		}
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return last, err
}

// Marks are the recording's marks in file order.
func (x *Reader) Marks() (out []Mark, err error) {
	x.aside(func() {
		if x.complete && len(x.marks) < maxMarkIndex {
			for _, at := range x.marks {
				x.seek(at)
				if err = x.record(); err == nil && x.at == at && x.rec.kind == typeMark {
					out = append(out, x.rec.mark())
				}
			}
			return
		}
		x.seek(x.body)
		for err = x.record(); err == nil; err = x.record() {
			if x.rec.kind == typeMark {
				out = append(out, x.rec.mark())
			}
		}
	})
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out, err
}

// Seek makes Next go on with the first packet at or after at. Damaged counts anew.
func (x *Reader) Seek(at time.Duration) error {
	x.from = max(at, 0)
	want := microseconds(x.from - time.Second) // the file may be a few packets out of order
	low, err := x.body, error(nil)
	if x.complete {
		for _, e := range x.index {
			if e.at <= want {
				low = max(low, e.offset)
			}
		}
	} else {
		low, err = x.halve(want)
	}
	x.seek(low)
	x.damaged = 0
	return err
}

// halve finds a place shortly before a time without an index: a walk can begin anywhere, as each record has its number.
func (x *Reader) halve(want uint64) (int64, error) {
	low, high := x.body, x.size
	for high-low > scanBuffer {
		middle := low + (high-low)/2
		x.seek(middle)
		err := x.record()
		switch {
		case err == nil && x.rec.at <= want:
			low = middle
		case err == nil || errors.Is(err, io.EOF):
			high = middle
		default:
			return low, err
		}
	}
	return low, nil
}
