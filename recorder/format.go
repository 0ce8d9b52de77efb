package recorder

import (
	"encoding/binary"
	"time"

	"deskbridge/media"
)

// The file format, version 1. DESIGN.md is its reference; the constants here are its numbers.
const (
	formatVersion = 1

	// A frame is sync (2), length of the SRTP packet (2), SRTP packet.
	frameSize   = 4
	rtpSize     = 12
	tagSize     = 16
	prefixSize  = 22
	blockSize   = 16                       // the sealed part is padded to a multiple of it, so that sizes say less about the audio
	maxRecord   = rtpSize + 2048 + tagSize // SRTP packet; small, so that a hostile file costs little to look through
	minRecord   = rtpSize + 2*blockSize + tagSize
	maxPayload  = 1500                                               // audio bytes of one packet: no RTP packet is longer (reliability.md)
	maxBody     = 2000                                               // bytes after the prefix
	maxAt       = 1<<48 - 1                                          // µs
	rtpVersion  = 0x80                                               // V=2, no padding, extension or CSRC
	payloadType = 96                                                 // of every sealed packet
	sourceBase  = uint32('d')<<24 | uint32('b')<<16 | uint32('R')<<8 // SSRC of the customer's packets
	sources     = 3                                                  // customer, agent, marks
	markSource  = 2
)

var (
	headerMagic  = [8]byte{0x89, 'D', 'B', 'R', '\r', '\n', 0x1a, '\n'}
	trailerMagic = [8]byte{0x89, 'D', 'B', 'R', 'e', 'n', 'd', '\n'}
	frameSync    = [2]byte{0xdb, 0x52}
)

// recordType is the first byte of a sealed payload.
type recordType uint8

const (
	typeAudio     recordType = 1
	typeMark      recordType = 2
	typeBegin     recordType = 3
	typeSeekIndex recordType = 4
	typeMarkIndex recordType = 5
)

// formatCodecs are the format's own numbers of codecs: those of package media may move.
var formatCodecs = [...]media.Codec{1: media.Opus, 2: media.PCMA, 3: media.PCMU, 4: media.G722}

func codecNumber(c media.Codec) uint8 {
	switch c {
	case media.Opus:
		return 1
	case media.PCMA:
		return 2
	case media.PCMU:
		return 3
	case media.G722:
		return 4
	}
	return 0
}

// record is a sealed payload's prefix, decoded, and its body.
type record struct {
	kind      recordType
	flags     uint8  // side in bit 0, the RTP marker in bit 7
	code      uint8  // codec or MarkKind
	position  uint32 // of all records of the file, from 0
	at        uint64 // µs since the start
	timestamp uint32 // the sender's, or a mark's count
	sequence  uint16 // the sender's
	body      []byte
}

const markerFlag = 0x80

// put writes the record to b, padded with zeros, and returns the bytes used. b must be large enough: sealedSize.
func (r *record) put(b []byte) int {
	b[0], b[1], b[2], b[3] = byte(r.kind), r.flags, r.code, 0
	binary.BigEndian.PutUint32(b[4:], r.position)
	put48(b[8:], r.at)
	binary.BigEndian.PutUint32(b[14:], r.timestamp)
	binary.BigEndian.PutUint16(b[18:], r.sequence)
	binary.BigEndian.PutUint16(b[20:], uint16(len(r.body)))
	n := prefixSize + copy(b[prefixSize:], r.body)
	end := padded(len(r.body))
	clear(b[n:end])
	return end
}

// parse reads an opened payload. It is authenticated, so a failure means a writer that is newer or at fault.
func (r *record) parse(b []byte) bool {
	if len(b) < prefixSize {
		return false
	}
	r.kind, r.flags, r.code = recordType(b[0]), b[1], b[2]
	r.position = binary.BigEndian.Uint32(b[4:])
	r.at = get48(b[8:])
	r.timestamp = binary.BigEndian.Uint32(b[14:])
	r.sequence = binary.BigEndian.Uint16(b[18:])
	n := int(binary.BigEndian.Uint16(b[20:]))
	if n > len(b)-prefixSize {
		return false
	}
	r.body = b[prefixSize : prefixSize+n]
	return true
}

func (r *record) side() Side { return Side(r.flags & 1) }

func (r *record) since() time.Duration { return time.Duration(r.at) * time.Microsecond }

func (r *record) mark() Mark {
	return Mark{Kind: MarkKind(r.code), At: r.since(), Side: r.side(), Count: r.timestamp}
}

// packet fills p, whose payload then lies in the record's buffer. It is false for a codec we don't know.
func (r *record) packet(p *Packet) bool {
	if r.code == 0 || int(r.code) >= len(formatCodecs) {
		return false
	}
	*p = Packet{Side: r.side(), At: r.since(), Codec: formatCodecs[r.code], Timestamp: r.timestamp, Sequence: r.sequence,
		Marker: r.flags&markerFlag != 0, Payload: r.body}
	return true
}

// padded is the size of a payload whose body has n bytes.
func padded(n int) int { return (prefixSize + n + blockSize - 1) / blockSize * blockSize }

// microseconds is d in the file's unit, within its range.
func microseconds(d time.Duration) uint64 {
	return min(uint64(max(d, 0)/time.Microsecond), maxAt)
}

func put48(b []byte, v uint64) {
	binary.BigEndian.PutUint16(b, uint16(v>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(v))
}

func get48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}
