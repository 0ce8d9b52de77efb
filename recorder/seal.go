package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

const (
	masterKeySize  = 32
	masterSaltSize = 12
	fileKeySize    = masterKeySize + masterSaltSize
	maxNumber      = 1<<48 - 1 // per source: where SRTP's nonces end
)

var errExhausted = errors.New("all packet numbers used")

// sealer protects the records of one file: SRTP, AEAD_AES_256_GCM (RFC 7714). The nonce is made of key, SSRC and packet
// number, so the numbers are ours alone: one counter per source, never the wire's, never set back. The whole number
// (48 bits) is in the RTP header, its upper 32 bits in the timestamp field, so that a reader can start anywhere.
type sealer struct {
	ctx      *srtp.Context
	header   rtp.Header
	next     [sources]uint64
	position uint32
	plain    [rtpSize + prefixSize + maxBody + blockSize]byte
}

func newContext(fileKey []byte) (*srtp.Context, error) {
	ctx, err := srtp.CreateContext(fileKey[:masterKeySize], fileKey[masterKeySize:], srtp.ProtectionProfileAeadAes256Gcm)
	if err != nil {
		return nil, fmt.Errorf("srtp context: %w", err)
	}
	return ctx, nil
}

func newSealer(fileKey []byte) (*sealer, error) {
	ctx, err := newContext(fileKey)
	if err != nil {
		return nil, err
	}
	return &sealer{ctx: ctx}, nil
}

// seal numbers a padded payload, whose position it fills in, and appends its frame to out.
func (s *sealer) seal(out []byte, source int, payload []byte) ([]byte, error) {
	n := s.next[source]
	if n > maxNumber || s.position == 1<<32-1 {
		return out, errExhausted
	}
	s.next[source]++
	p := s.plain[:rtpSize+copy(s.plain[rtpSize:], payload)]
	p[0], p[1] = rtpVersion, payloadType
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	binary.BigEndian.PutUint32(p[4:], uint32(n>>16))
	binary.BigEndian.PutUint32(p[8:], sourceBase+uint32(source))
	binary.BigEndian.PutUint32(p[rtpSize+4:], s.position)
	s.position++
	size := len(p) + tagSize
	at := len(out) + frameSize
	out = append(out, frameSync[0], frameSync[1], byte(size>>8), byte(size))
	if cap(out)-at < size {
		out = append(out, make([]byte, size)...)[:at]
	}
	sealed, err := s.ctx.EncryptRTP(out[at:at], p, &s.header)
	if err != nil {
		return out[:at-frameSize], fmt.Errorf("seal record: %w", err)
	}
	return out[:at+len(sealed)], nil
}

// opener is the reader's half. It takes the packet number from the header, whatever was read before.
type opener struct {
	ctx    *srtp.Context
	header rtp.Header
	plain  []byte
}

func newOpener(fileKey []byte) (*opener, error) {
	ctx, err := newContext(fileKey)
	if err != nil {
		return nil, err
	}
	return &opener{ctx: ctx, plain: make([]byte, 0, maxRecord)}, nil
}

// open checks and opens one SRTP packet of the right shape (see frame). The payload is valid until the next call.
func (o *opener) open(f frame, r *record) bool {
	o.ctx.SetROC(sourceBase+uint32(f.source), uint32(f.number>>16))
	b, err := o.ctx.DecryptRTP(o.plain[:0], f.packet, &o.header)
	if err != nil || !r.parse(b[rtpSize:]) {
		return false
	}
	// The SSRC is authenticated, but so must be that audio lies under its own side's.
	if r.kind == typeAudio {
		return f.source == int(r.side())
	}
	return f.source == markSource
}

// frame is one frame as it lies in the file, still sealed.
type frame struct {
	offset int64
	source int
	number uint64 // of its source
	packet []byte
}

// parseFrame reads the frame at the start of b. ok: it is one, whole; short: it may be the beginning of one.
func parseFrame(b []byte) (f frame, ok, short bool) {
	var want = [...]struct {
		at   int
		byte byte
	}{{0, frameSync[0]}, {1, frameSync[1]}, {4, rtpVersion}, {5, payloadType},
		{12, byte(sourceBase >> 24)}, {13, byte(sourceBase >> 16 & 0xff)}, {14, byte(sourceBase >> 8 & 0xff)}}
	for _, w := range want {
		if w.at >= len(b) {
			break
		}
		if b[w.at] != w.byte {
			return f, false, false
		}
	}
	if len(b) < frameSize+rtpSize {
		return f, false, true
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	f.source = int(b[15])
	if f.source >= sources || size < minRecord || size > maxRecord || (size-rtpSize-tagSize)%blockSize != 0 {
		return f, false, false
	}
	if len(b) < frameSize+size {
		return f, false, true
	}
	f.packet = b[frameSize : frameSize+size]
	f.number = uint64(binary.BigEndian.Uint32(b[8:]))<<16 | uint64(binary.BigEndian.Uint16(b[6:]))
	return f, true, false
}
