package recorder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

const (
	idSize        = 16
	headerFixed   = 36
	maxCallID     = 128
	maxWraps      = 16
	maxWrap       = 4 << 10
	maxHeader     = 60 << 10
	maxHeaderScan = 2*maxHeader + 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the only part of a recording in clear. It is written twice, so that a damaged sector does not lose the keys;
// the begin record holds its SHA-256, so that a changed one shows.
type header struct {
	id    [idSize]byte
	call  string
	start time.Time // UTC, ns
	wraps []wrap
}

// wrap is the file key, sealed for one who may play the recording.
type wrap struct {
	kind uint8
	body []byte
}

func (h *header) encode() ([]byte, error) {
	if len(h.wraps) == 0 || len(h.wraps) > maxWraps {
		return nil, fmt.Errorf("recording header: %w: %d key wraps, want 1 to %d", ErrInvalid, len(h.wraps), maxWraps)
	}
	b := append([]byte(nil), headerMagic[:]...)
	b = binary.BigEndian.AppendUint16(b, formatVersion)
	b = append(b, 0, 0) // size
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.start.UnixNano()))
	b = append(b, byte(len(h.call)))
	b = append(b, h.call...)
	b = append(b, byte(len(h.wraps)))
	for _, w := range h.wraps {
		if len(w.body) > maxWrap {
			return nil, fmt.Errorf("recording header: %w: key wrap of %d bytes, at most %d", ErrInvalid, len(w.body), maxWrap)
		}
		b = append(b, w.kind)
		b = binary.BigEndian.AppendUint16(b, uint16(len(w.body)))
		b = append(b, w.body...)
	}
	if len(b)+4 > maxHeader {
		return nil, fmt.Errorf("recording header: %w: %d bytes, at most %d: use fewer recipients", ErrInvalid, len(b)+4, maxHeader)
	}
	binary.BigEndian.PutUint16(b[10:], uint16(len(b)+4))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), nil
}

// parseHeader reads one copy at the start of b and returns its size. Everything is checked before it is believed.
func parseHeader(b []byte) (*header, int, error) {
	if len(b) < headerFixed+2+4 || !bytes.Equal(b[:8], headerMagic[:]) {
		return nil, 0, ErrFormat
	}
	// Magic, version, size and checksum keep their places in all versions.
	size := int(binary.BigEndian.Uint16(b[10:]))
	if size < headerFixed+2+4 || size > maxHeader || size > len(b) ||
		binary.BigEndian.Uint32(b[size-4:]) != crc32.Checksum(b[:size-4], castagnoli) {
		return nil, 0, ErrFormat
	}
	if v := binary.BigEndian.Uint16(b[8:]); v > formatVersion {
		return nil, 0, fmt.Errorf("%w: version %d, this program reads up to %d: upgrade it", ErrVersion, v, formatVersion)
	} else if v == 0 {
		return nil, 0, ErrFormat
	}
	h := &header{start: time.Unix(0, int64(binary.BigEndian.Uint64(b[28:]))).UTC()}
	copy(h.id[:], b[12:])
	rest := b[headerFixed : size-4]
	n := int(rest[0])
	if n > maxCallID || len(rest) < 1+n+1 {
		return nil, 0, ErrFormat
	}
	h.call = string(rest[1 : 1+n])
	count := int(rest[1+n])
	rest = rest[2+n:]
	if count == 0 || count > maxWraps {
		return nil, 0, ErrFormat
	}
	for range count {
		if len(rest) < 3 {
			return nil, 0, ErrFormat
		}
		n := int(binary.BigEndian.Uint16(rest[1:]))
		if n > maxWrap || n > len(rest)-3 {
			return nil, 0, ErrFormat
		}
		h.wraps = append(h.wraps, wrap{rest[0], bytes.Clone(rest[3 : 3+n])})
		rest = rest[3+n:]
	}
	if len(rest) != 0 {
		return nil, 0, ErrFormat
	}
	return h, size, nil
}

// headerCopy is one copy as it was found.
type headerCopy struct {
	*header
	offset, size int
}

// findHeaders returns the copies of the header (two in a sound file) at the start of b. The error is that of the first.
func findHeaders(b []byte) ([]headerCopy, error) {
	b = b[:min(len(b), maxHeaderScan)]
	h, size, first := parseHeader(b)
	var found []headerCopy
	next := 1
	if first == nil {
		found = append(found, headerCopy{h, 0, size})
		next = size
	}
	for next < len(b) && len(found) < 2 {
		i := bytes.Index(b[next:], headerMagic[:])
		if i < 0 || first == nil && i > 0 { // the copies lie next to each other
			break
		}
		if h, size, err := parseHeader(b[next+i:]); err == nil {
			found = append(found, headerCopy{h, next + i, size})
			break
		}
		next += i + 1
	}
	if len(found) == 0 {
		return nil, first
	}
	return found, nil
}
