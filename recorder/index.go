package recorder

// seekEntry says that the packet at this offset has this time.
type seekEntry struct {
	at     uint64 // µs
	offset int64
}

const (
	seekEntrySize = 12 // both 48 bits
	markEntrySize = 6
)

// seekIndex gathers entries in file order at a distance that grows with the recording, so that it stays small.
type seekIndex struct {
	every   uint64 // µs
	entries []seekEntry
}

func (x *seekIndex) add(at uint64, offset int64) {
	if n := len(x.entries); n > 0 && at < x.entries[n-1].at+x.every {
		return
	}
	if len(x.entries) == maxIndex {
		for i := range maxIndex / 2 {
			x.entries[i] = x.entries[2*i]
		}
		x.entries = x.entries[:maxIndex/2]
		x.every *= 2
	}
	x.entries = append(x.entries, seekEntry{at, offset})
}

// bodies are the entries as index records hold them; at least one, so that the trailer has something to point at.
func (x *seekIndex) bodies() [][]byte {
	out := [][]byte{nil}
	for i, e := range x.entries {
		if i > 0 && i%perIndex == 0 {
			out = append(out, nil)
		}
		last := &out[len(out)-1]
		*last = append48(append48(*last, e.at), uint64(e.offset))
	}
	return out
}

func markBodies(offsets []int64) [][]byte {
	var out [][]byte
	for i, o := range offsets {
		if i%perIndex == 0 {
			out = append(out, nil)
		}
		last := &out[len(out)-1]
		*last = append48(*last, uint64(o))
	}
	return out
}

func append48(b []byte, v uint64) []byte {
	var x [6]byte
	put48(x[:], v)
	return append(b, x[:]...)
}

// seekEntries reads an index record; offsets outside the file are left out.
func seekEntries(body []byte, size int64) []seekEntry {
	var out []seekEntry
	for ; len(body) >= seekEntrySize; body = body[seekEntrySize:] {
		if e := (seekEntry{get48(body), int64(get48(body[6:]))}); e.offset < size {
			out = append(out, e)
		}
	}
	return out
}

func markEntries(body []byte, size int64) []int64 {
	var out []int64
	for ; len(body) >= markEntrySize; body = body[markEntrySize:] {
		if o := int64(get48(body)); o < size {
			out = append(out, o)
		}
	}
	return out
}
