package recorder

import (
	"errors"
	"fmt"
	"io"
)

// ExportReader reads an Export's bytes; http.ServeContent takes it. It belongs to one goroutine.
type ExportReader struct {
	e     *Export
	off   int64 // where the next Read begins
	p     producer
	at    int64 // where chunk begins
	chunk []byte
}

// NewReader returns a reader at the file's beginning. It opens the recording when it is first read.
func (e *Export) NewReader() *ExportReader { return &ExportReader{e: e} }

var _ io.ReadSeekCloser = (*ExportReader)(nil)

// Read makes as much of the file as it needs.
func (r *ExportReader) Read(b []byte) (int, error) {
	if r.off >= r.e.size {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	if err := r.reach(); err != nil {
		_ = r.Close()
		return 0, fmt.Errorf("export: %w", err)
	}
	n := copy(b, r.chunk[r.off-r.at:])
	r.off += int64(n)
	return n, nil
}

// reach makes chunks until one holds the next byte.
func (r *ExportReader) reach() error {
	end := r.at + int64(len(r.chunk))
	if r.p == nil || r.off < r.at || r.off >= end && r.e.nearer(end, r.off) {
		_ = r.Close()
		p, at, err := r.e.begin(r.off)
		if err != nil {
			return err
		}
		r.p, r.at, r.chunk = p, at, r.chunk[:0]
	}
	for r.off >= r.at+int64(len(r.chunk)) {
		r.at += int64(len(r.chunk))
		var err error
		if r.chunk, err = r.p.next(r.chunk[:0]); err != nil {
			return err
		}
		if len(r.chunk) == 0 {
			return fmt.Errorf("the recording changed: it ends at byte %d of %d: %w", r.at, r.e.size, io.ErrUnexpectedEOF)
		}
	}
	return nil
}

// Seek sets where the next Read begins. It costs nothing until then.
func (r *ExportReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.e.size
	case io.SeekStart:
	default:
		return 0, fmt.Errorf("seek in export: whence %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("seek in export: before its beginning")
	}
	r.off = offset
	return offset, nil
}

// Close closes the recording. A later Read opens it again.
func (r *ExportReader) Close() error {
	if r.p != nil {
		closeSource(r.p.line().src)
	}
	r.p, r.chunk = nil, r.chunk[:0]
	return nil
}
