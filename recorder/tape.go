package recorder

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"time"
)

const (
	batchSize    = 64 << 10 // bytes gathered before a write
	trailerSize  = 20
	endBodySize  = 24
	indexEvery   = 2 * time.Second
	maxIndex     = 8192 // entries in memory; then every second one goes and the distance doubles
	maxMarkIndex = 8192
	perIndex     = 150 // entries of one index record
)

// tape is one file while it is written: sealing, hash, index and counts. It has one user at a time.
type tape struct {
	f     File
	seal  *sealer
	hash  hash.Hash
	size  int64  // written
	out   []byte // sealed, not yet written
	index seekIndex
	marks []int64 // offsets

	packets [2]uint64 // sealed
	written [2]uint64 // of these, those that a write took
	lost    uint64
	last    uint64 // µs, the latest time seen
}

// newTape writes the header and the begin record.
func newTape(f File, key, head []byte, info Info) (*tape, error) {
	s, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("encode recording info: %w", err)
	}
	t := &tape{f: f, seal: s, hash: sha256.New(), index: seekIndex{every: uint64(indexEvery / time.Microsecond)}}
	t.out = append(append(t.out, head...), head...)
	sum := sha256.Sum256(head)
	if err := t.record(&record{kind: typeBegin, body: append(sum[:], about...)}); err != nil {
		return nil, err
	}
	return t, t.flush()
}

// entry seals one entry of a recording's buffer: a packet or a mark.
func (t *tape) entry(payload []byte) error {
	at := get48(payload[8:])
	t.last = max(t.last, at)
	offset := t.size + int64(len(t.out))
	if recordType(payload[0]) == typeAudio {
		side := int(payload[1] & 1)
		t.packets[side]++
		t.index.add(at, offset)
		return t.append(side, payload)
	}
	if len(t.marks) < maxMarkIndex {
		t.marks = append(t.marks, offset)
	}
	return t.append(markSource, payload)
}

func (t *tape) append(source int, payload []byte) (err error) {
	if t.out, err = t.seal.seal(t.out, source, payload); err == nil && len(t.out) >= batchSize {
		err = t.flush()
	}
	return err
}

// record seals a record of the recorder's own.
func (t *tape) record(r *record) error {
	b := make([]byte, padded(len(r.body)))
	r.put(b)
	if r.kind == typeMark {
		return t.entry(b)
	}
	return t.append(markSource, b)
}

// frames seals all entries of a buffer, then the gap that follows them.
func (t *tape) frames(d drained) error {
	for b := d.buf; len(b) > 0; {
		n := int(binary.BigEndian.Uint16(b))
		if err := t.entry(b[entryHead : entryHead+n]); err != nil {
			return err
		}
		b = b[entryHead+n:]
	}
	for side, n := range d.lost {
		if n == 0 {
			continue
		}
		t.lost += uint64(n)
		if err := t.record(&record{kind: typeMark, flags: uint8(side), code: uint8(FramesLost), at: d.lostSince, timestamp: n}); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what is sealed. On an error the hash is of what reached the file.
func (t *tape) flush() error {
	if len(t.out) == 0 {
		return nil
	}
	n, err := t.f.Write(t.out)
	t.hash.Write(t.out[:n])
	t.size += int64(n)
	t.out = t.out[:0]
	if err == nil {
		t.written = t.packets
	}
	return err
}

// giveUp counts what an error cost: of the entries drained, those that no write took.
func (t *tape) giveUp(drained, before [2]uint64) {
	for side, n := range drained {
		t.lost += before[side] + n - t.written[side]
	}
	t.packets = t.written
}

// entries counts the packets of a buffer, by side.
func entries(b []byte) (n [2]uint64) {
	for len(b) > 0 {
		if recordType(b[entryHead]) == typeAudio {
			n[b[entryHead+1]&1]++
		}
		b = b[entryHead+int(binary.BigEndian.Uint16(b)):]
	}
	return n
}

// finish writes the last mark, the index and the trailer.
func (t *tape) finish(at uint64, why EndReason) error {
	t.last = max(t.last, at)
	body := make([]byte, endBodySize)
	binary.BigEndian.PutUint64(body, t.packets[Customer])
	binary.BigEndian.PutUint64(body[8:], t.packets[Agent])
	binary.BigEndian.PutUint64(body[16:], t.lost)
	if err := t.record(&record{kind: typeMark, code: uint8(Ended), at: t.last, timestamp: uint32(why), body: body}); err != nil {
		return err
	}
	trailer := t.size + int64(len(t.out))
	for _, b := range t.index.bodies() {
		if err := t.record(&record{kind: typeSeekIndex, at: t.last, body: b}); err != nil {
			return err
		}
	}
	for _, b := range markBodies(t.marks) {
		if err := t.record(&record{kind: typeMarkIndex, at: t.last, body: b}); err != nil {
			return err
		}
	}
	t.out = appendTrailer(t.out, trailer)
	return t.flush()
}

func appendTrailer(b []byte, index int64) []byte {
	n := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(index))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[n:n+8], castagnoli))
	return append(b, trailerMagic[:]...)
}

// parseTrailer reads the last trailerSize bytes of a file: the offset of the first index record.
func parseTrailer(b []byte) (int64, bool) {
	if len(b) != trailerSize || [8]byte(b[12:]) != trailerMagic || binary.BigEndian.Uint32(b[8:]) != crc32.Checksum(b[:8], castagnoli) {
		return 0, false
	}
	index := binary.BigEndian.Uint64(b)
	return int64(index), index < 1<<62
}
