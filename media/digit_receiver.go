package media

import "encoding/binary"

// digitRewind is how far (in timestamp units, over 10 s at 48 kHz) an event's timestamp may lie behind the last and still
// be an old packet; further back the sender's clock started anew.
const digitRewind = 1 << 19

// DigitReceiver reads RFC 4733 events. Each event is reported once, on the first packet of it that arrives, be it the
// first sent or not; the end bit is not needed. It belongs to the leg's reader goroutine.
type DigitReceiver struct {
	// Malformed counts payloads too short to be an event. Ignored counts events that are no digits.
	Malformed, Ignored uint64

	begun    bool
	code     byte
	ts       uint32
	duration uint16
}

// Receive takes one telephone-event payload and its RTP timestamp. ok is true when a new digit began.
func (r *DigitReceiver) Receive(payload []byte, timestamp uint32) (d Digit, ok bool) {
	if len(payload) < 4 {
		r.Malformed++
		return 0, false
	}
	code := payload[0]
	duration := binary.BigEndian.Uint16(payload[2:])
	if int(code) >= len(digitNames) {
		r.Ignored++
		return 0, false
	}
	if r.begun && r.seen(code, timestamp, duration) {
		return 0, false
	}
	r.begun, r.code, r.ts, r.duration = true, code, timestamp, duration
	return Digit(digitNames[code]), true
}

// seen reports whether the packet belongs to the last event, or to one before it.
func (r *DigitReceiver) seen(code byte, ts uint32, duration uint16) bool {
	ahead := int32(ts - r.ts)
	switch {
	case ahead == 0 && code == r.code:
		r.duration = max(r.duration, duration)
		return true
	case ahead < 0 && ahead > -digitRewind:
		return true
	case code == r.code && r.duration == 0xffff && ahead > 0 && ahead <= 6*0xffff+1:
		// RFC 4733 §2.5.1.3: an event longer than the field can say goes on as a new segment, its timestamp moved by the
		// full duration (six times that where the timestamp counts 48 kHz and the duration 8 kHz).
		r.ts, r.duration = ts, duration
		return true
	}
	return false
}
