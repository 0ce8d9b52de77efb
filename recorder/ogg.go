package recorder

import "encoding/binary"

// Ogg page header flags (RFC 3533 §6).
const (
	oggFirst = 2
	oggLast  = 4
)

const (
	oggHeader   = 27
	oggSegments = 255 // of at most 255 bytes each in one page
)

var oggTable = func() (t [8][256]uint32) {
	// RFC 3533 §6: polynomial 0x04c11db7, not reflected, start and end 0.
	for i := range t[0] {
		c := uint32(i) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7*(c>>31)
		}
		t[0][i] = c
	}
	for i := range t[0] {
		for k := 1; k < 8; k++ {
			c := t[k-1][i]
			t[k][i] = c<<8 ^ t[0][c>>24]
		}
	}
	return t
}()

func oggCRC(b []byte) uint32 {
	var c uint32
	for len(b) >= 8 {
		c ^= binary.BigEndian.Uint32(b)
		c = oggTable[7][c>>24] ^ oggTable[6][c>>16&255] ^ oggTable[5][c>>8&255] ^ oggTable[4][c&255] ^
			oggTable[3][b[4]] ^ oggTable[2][b[5]] ^ oggTable[1][b[6]] ^ oggTable[0][b[7]]
		b = b[8:]
	}
	for _, x := range b {
		c = c<<8 ^ oggTable[0][byte(c>>24)^x]
	}
	return c
}

// oggPage collects the packets of one page. No packet of ours needs a second page.
type oggPage struct {
	segments []byte
	body     []byte
}

// add appends a packet and reports whether it fits.
func (g *oggPage) add(packet []byte) bool {
	if len(g.segments)+len(packet)/255+1 > oggSegments {
		return false
	}
	n := len(packet)
	for ; n >= 255; n -= 255 {
		g.segments = append(g.segments, 255)
	}
	g.segments = append(g.segments, byte(n))
	g.body = append(g.body, packet...)
	return true
}

func (g *oggPage) empty() bool { return len(g.segments) == 0 }

// append writes the page to dst and empties it.
func (g *oggPage) append(dst []byte, flags byte, granule int64, serial, number uint32) []byte {
	start := len(dst)
	dst = append(dst, "OggS\x00"...)
	dst = append(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(granule))
	dst = binary.LittleEndian.AppendUint32(dst, serial)
	dst = binary.LittleEndian.AppendUint32(dst, number)
	dst = append(dst, 0, 0, 0, 0, byte(len(g.segments)))
	dst = append(dst, g.segments...)
	dst = append(dst, g.body...)
	binary.LittleEndian.PutUint32(dst[start+22:], oggCRC(dst[start:]))
	g.segments, g.body = g.segments[:0], g.body[:0]
	return dst
}

// opusHead returns the identification header (RFC 7845 §5.1): one channel of mapping family 0, or two channels that are two
// mono streams, left the first, of mapping family 1.
func opusHead(channels int, preSkip int64) []byte {
	h := append([]byte("OpusHead"), 1, byte(channels))
	h = binary.LittleEndian.AppendUint16(h, uint16(preSkip))
	h = binary.LittleEndian.AppendUint32(h, ticksPerSecond) // the rate that opusdec writes
	h = binary.LittleEndian.AppendUint16(h, 0)              // no gain
	if channels == 1 {
		return append(h, 0)
	}
	return append(h, 1, 2, 0, 0, 1) // family, streams, of them coupled, stream of each channel
}

// opusTags returns the comment header (RFC 7845 §5.2). It tells nothing about the call.
func opusTags() []byte {
	const vendor = "deskbridge"
	h := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	h = append(h, vendor...)
	return binary.LittleEndian.AppendUint32(h, 0)
}
