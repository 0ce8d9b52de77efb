package whatsapp

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
	"golang.org/x/time/rate"
)

const (
	// maxPacketRate is four times what 20 ms packets need (reliability.md, input limits).
	maxPacketRate = 200
	// maxSources bounds how often an authenticated peer may change its SSRC; Meta never does.
	maxSources = 8
)

// receiver is the incoming half, used by the reader goroutines of the session one packet at a time. It holds its lock
// while it feeds the sink: that is what lets setSink promise that the former sink hears nothing more.
type receiver struct {
	s        *mediaSession
	lastSeen atomic.Int64 // nanoseconds after base
	base     time.Time

	mu      sync.Mutex
	keys    *srtpKeys
	sink    media.Sink
	tap     media.Tap
	audio   [128]bool // payload types
	digit   [128]bool
	limit   *rate.Limiter
	ssrc    uint32
	sources int

	stats  *media.Receiver
	events media.DigitReceiver

	header rtp.Header
	plain  [maxDatagram]byte
	packet media.Packet
}

func newReceiver(s *mediaSession) *receiver {
	return &receiver{s: s, base: time.Now(), limit: rate.NewLimiter(maxPacketRate, maxPacketRate),
		stats: media.NewReceiver(opusStream.Codec.ClockRate())}
}

// negotiate sets which payload types are taken: those of the peer's description, and when we offered also ours, since an
// answerer sends with the numbers of the offer (RFC 3264 §6.1).
func (r *receiver) negotiate(d *remoteSDP, offered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.audio[d.opus] = true
	if d.digit {
		r.digit[d.dtmf] = true
	}
	if offered && !r.digit[offerOpus] {
		r.audio[offerOpus] = true
	}
	if offered && d.digit && !r.audio[offerDTMF] {
		r.digit[offerDTMF] = true
	}
}

func (r *receiver) setKeys(k *srtpKeys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = k
}

func (r *receiver) setSink(k media.Sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sink = k
}

func (r *receiver) setTap(t media.Tap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tap = t
}

func (r *receiver) last() time.Time {
	if n := r.lastSeen.Load(); n != 0 {
		return r.base.Add(time.Duration(n))
	}
	return time.Time{}
}

func (r *receiver) seen(now time.Time) { r.lastSeen.Store(int64(now.Sub(r.base))) }

func (r *receiver) reject(why dropReason) {
	r.stats.Reject()
	r.s.drop(why)
}

// receiveRTP authenticates one packet and gives it to whoever it is for.
func (r *receiver) receiveRTP(b []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.reject(dropEarly)
		return
	}
	headerLen, ok := rtpHeaderLen(b)
	if !ok || !r.audio[b[1]&0x7f] && !r.digit[b[1]&0x7f] {
		r.reject(dropFormat)
		return
	}
	plain, err := r.keys.in.DecryptRTP(r.plain[:0], b, &r.header)
	if err != nil {
		r.reject(dropAuth)
		return
	}
	// The limit comes after authentication, so that forged packets can't use it up.
	if !r.limit.AllowN(now, 1) {
		r.reject(dropRate)
		return
	}
	if !r.acceptSource(r.header.SSRC) {
		r.reject(dropSSRC)
		return
	}
	payload, ok := stripPadding(plain, headerLen, r.header.Padding)
	if !ok {
		r.reject(dropFormat)
		return
	}
	r.seen(now)
	r.deliver(payload, now)
}

func (r *receiver) deliver(payload []byte, now time.Time) {
	h := &r.header
	digit := r.digit[h.PayloadType]
	r.stats.Receive(h.SequenceNumber, h.Timestamp, now, !digit)
	switch {
	case digit:
		if d, ok := r.events.Receive(payload, h.Timestamp); ok {
			select {
			case r.s.digits <- d:
			default:
				r.s.drop(dropQueue)
			}
		}
	case len(payload) > 0: // an empty one is padding that probes bandwidth
		r.packet = media.Packet{Payload: payload, Arrival: now, Timestamp: h.Timestamp, Sequence: h.SequenceNumber, Marker: h.Marker}
		if r.tap != nil {
			r.tap.Received(&r.packet, media.Opus)
		}
		if r.sink != nil {
			r.sink.ReceivePacket(&r.packet)
		}
	}
}

// acceptSource follows a changed SSRC, a bounded number of times. The statistics see a jump of the sequence, which
// appendix A.1 of RFC 3550 covers.
func (r *receiver) acceptSource(ssrc uint32) bool {
	if r.sources > 0 && ssrc == r.ssrc {
		return true
	}
	if r.sources == maxSources {
		return false
	}
	r.sources++
	r.ssrc = ssrc
	r.events = media.DigitReceiver{}
	return true
}

// rtpHeaderLen checks version and lengths of the fixed header, CSRC list and extension (RFC 3550 §5.1, §5.3.1).
func rtpHeaderLen(b []byte) (int, bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return 0, false
	}
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n, len(b) >= n
}

// stripPadding returns the payload between header and padding (RFC 3550 §5.1).
func stripPadding(plain []byte, headerLen int, padded bool) ([]byte, bool) {
	if len(plain) < headerLen {
		return nil, false
	}
	payload := plain[headerLen:]
	if !padded {
		return payload, true
	}
	if len(payload) == 0 {
		return nil, false
	}
	n := int(payload[len(payload)-1])
	if n == 0 || n > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-n], true
}
