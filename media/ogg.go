package media

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrOgg says that a file is not an Ogg file of one logical stream, or is damaged.
var ErrOgg = errors.New("not a sound Ogg file of one stream")

// maxOggPacket bounds a packet put together from many pages: comments may hold a picture, audio is far below.
const maxOggPacket = 1 << 20

// oggPages takes an Ogg file apart (RFC 3533 §6). It keeps no copy of the file: packets on one page are slices of it.
type oggPages struct {
	rest    []byte
	page    []byte // what is left of the current page's body
	lacing  []byte // and of its segment table
	partial []byte // a packet that goes on on the next page
	serial  uint32
	next    uint32 // page number expected
	begun   bool
	last    bool   // the current page ends the stream
	granule uint64 // of the current page
}

// packet returns the next packet, nil at the end of the stream.
func (o *oggPages) packet() ([]byte, error) {
	for {
		p, whole, err := o.take()
		if err != nil || whole {
			return p, err
		}
		if o.last || len(o.rest) == 0 {
			return nil, nil // a cut file ends with its last whole packet
		}
		if err := o.read(); err != nil {
			return nil, err
		}
	}
}

// take cuts one packet off the current page, or keeps its beginning for the next.
func (o *oggPages) take() (p []byte, whole bool, err error) {
	size := 0
	for i, n := range o.lacing {
		size += int(n)
		if n == 255 {
			continue
		}
		p, o.page, o.lacing = o.page[:size], o.page[size:], o.lacing[i+1:]
		if len(o.partial) > 0 {
			p, o.partial = append(o.partial, p...), nil
		}
		return p, true, nil
	}
	if len(o.partial)+size > maxOggPacket {
		return nil, false, fmt.Errorf("read Ogg: a packet of more than %d bytes: %w", maxOggPacket, ErrOgg)
	}
	o.partial = append(o.partial, o.page...)
	o.page, o.lacing = nil, nil
	return nil, false, nil
}

// read takes the next page apart.
func (o *oggPages) read() error {
	b := o.rest
	if len(b) < 27 || string(b[:4]) != "OggS" || b[4] != 0 {
		return fmt.Errorf("read Ogg page %d: no page header: %w", o.next, ErrOgg)
	}
	segments := int(b[26])
	if len(b) < 27+segments {
		return fmt.Errorf("read Ogg page %d: cut off: %w", o.next, ErrOgg)
	}
	size := 27 + segments
	for _, n := range b[27:size] {
		size += int(n)
	}
	if len(b) < size {
		return fmt.Errorf("read Ogg page %d: cut off: %w", o.next, ErrOgg)
	}
	page, flags, serial := b[:size], b[5], binary.LittleEndian.Uint32(b[14:])
	switch number := binary.LittleEndian.Uint32(b[18:]); {
	case oggSum(page) != binary.LittleEndian.Uint32(b[22:]):
		return fmt.Errorf("read Ogg page %d: its checksum is wrong: %w", o.next, ErrOgg)
	case !o.begun && flags&2 == 0, o.begun && (flags&2 != 0 || serial != o.serial):
		return fmt.Errorf("read Ogg page %d: it belongs to another stream: %w", o.next, ErrOgg)
	case o.begun && number != o.next:
		return fmt.Errorf("read Ogg page %d: it is missing: %w", o.next, ErrOgg)
	case flags&1 != 0 != (len(o.partial) > 0):
		return fmt.Errorf("read Ogg page %d: it does not go on where the one before ended: %w", o.next, ErrOgg)
	default:
		o.next = number + 1
	}
	o.begun, o.serial, o.last = true, serial, flags&4 != 0
	o.granule = binary.LittleEndian.Uint64(b[6:])
	o.lacing, o.page, o.rest = b[27:27+segments], b[27+segments:size], b[size:]
	return nil
}

// oggTable is for the page checksum of RFC 3533 §6: polynomial 0x04c11db7, bits not reflected, which hash/crc32 has not.
var oggTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			top := c >> 31
			c = c<<1 ^ top*0x04c11db7
		}
		t[i] = c
	}
	return t
}()

// oggSum is a page's checksum, taken with the checksum's own place as zeros.
func oggSum(page []byte) uint32 {
	var c uint32
	for i, b := range page {
		if i >= 22 && i < 26 {
			b = 0
		}
		c = c<<8 ^ oggTable[byte(c>>24)^b]
	}
	return c
}
