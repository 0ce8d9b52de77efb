package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
)

const (
	scanBuffer = 64 << 10
	sectorSize = 4096
)

// scanner walks the frames of a file. Where none is, it looks for the next: a damaged record costs itself alone.
type scanner struct {
	r    io.ReaderAt
	size int64 // where the walk ends
	buf  []byte
	base int64 // file offset of buf[0]
	n    int   // bytes in buf
	pos  int64 // where the next frame should be

	// skipped is where bytes began that next passed over; -1: none.
	skipped int64
}

func newScanner(r io.ReaderAt, size, from int64) *scanner {
	return &scanner{r: r, size: size, buf: make([]byte, min(scanBuffer, max(size-from, 0))), pos: from, base: from, skipped: -1}
}

func (s *scanner) seek(to int64) { s.pos, s.skipped = to, -1 }

// next returns the frame at or after the present position, valid until the next call. io.EOF ends the walk.
func (s *scanner) next() (frame, error) {
	s.skipped = -1
	for {
		b, err := s.window()
		if errors.Is(err, syscall.EIO) { // a bad sector costs what lies in it
			s.skip(sectorSize - s.pos%sectorSize)
			continue
		}
		if err != nil {
			return frame{}, err
		}
		if len(b) == 0 {
			return frame{}, io.EOF
		}
		if f, ok, _ := parseFrame(b); ok {
			f.offset = s.pos
			s.pos += int64(frameSize + len(f.packet))
			return f, nil
		}
		// What looks like the beginning of a frame at the end of the file may be one with a damaged length: look on.
		step := bytes.IndexByte(b[1:], frameSync[0])
		if step < 0 {
			step = len(b) - 1
		}
		s.skip(int64(step) + 1)
	}
}

func (s *scanner) skip(n int64) {
	if s.skipped < 0 {
		s.skipped = s.pos
	}
	s.pos += n
}

// again lets the walk go on one byte behind the start of f, which did not open: its length may be what is damaged.
func (s *scanner) again(f frame) { s.pos = f.offset + 1 }

// window is what lies at the position: a whole frame if the file has one there.
func (s *scanner) window() ([]byte, error) {
	at := s.pos - s.base
	if at >= 0 && at <= int64(s.n) && (int64(s.n)-at >= frameSize+maxRecord || s.base+int64(s.n) >= s.size) {
		return s.buf[at:s.n], nil
	}
	want := min(int64(len(s.buf)), s.size-s.pos)
	if want <= 0 {
		return nil, nil
	}
	n, err := s.r.ReadAt(s.buf[:want], s.pos)
	s.base, s.n = s.pos, n
	switch {
	case errors.Is(err, io.EOF): // it became shorter
		s.size = s.pos + int64(n)
	case err != nil && n == 0:
		return nil, fmt.Errorf("read recording at %d: %w", s.pos, err)
	}
	return s.buf[:n], nil
}
