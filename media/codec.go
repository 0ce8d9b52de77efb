package media

import (
	"strings"
	"time"
)

// Codec is an audio codec, by the name SDP gives it (RFC 3551, RFC 7587).
type Codec uint8

// The codecs a leg can speak.
const (
	CodecNone Codec = iota
	PCMU            // G.711 µ-law, RFC 3551 §4.5.14
	PCMA            // G.711 A-law, RFC 3551 §4.5.14
	G722            // 64 kbit/s G.722, RFC 3551 §4.5.2
	Opus            // RFC 6716, RTP mapping RFC 7587
)

type codecInfo struct {
	name        string // encoding name in a=rtpmap
	clock       int    // RTP clock, Hz
	rate        int    // audio sample rate at which we decode and encode by default, Hz
	payloadType int    // static payload type, -1 when dynamic
}

var codecs = [...]codecInfo{
	CodecNone: {"none", 8000, 8000, -1},
	PCMU:      {"PCMU", 8000, 8000, 0},
	PCMA:      {"PCMA", 8000, 8000, 8},
	// G.722 samples at 16 kHz but its RTP clock is 8 kHz, a mistake in RFC 1890 that RFC 3551 §4.5.2 keeps.
	G722: {"G722", 8000, 16000, 9},
	Opus: {"opus", 48000, 48000, -1},
}

// String returns the encoding name used in a=rtpmap ("PCMA", "opus", …).
func (c Codec) String() string { return codecs[c].name }

// ClockRate returns the RTP clock in Hz.
func (c Codec) ClockRate() int { return codecs[c].clock }

// SampleRate returns the codec's own audio sample rate in Hz.
func (c Codec) SampleRate() int { return codecs[c].rate }

// StaticPayloadType returns the payload type RFC 3551 assigns, if any.
func (c Codec) StaticPayloadType() (uint8, bool) {
	if p := codecs[c].payloadType; p >= 0 {
		return uint8(p), true
	}
	return 0, false
}

// Ticks returns how far d advances the codec's RTP timestamp.
func (c Codec) Ticks(d time.Duration) uint32 {
	return uint32(int64(d) * int64(codecs[c].clock) / int64(time.Second))
}

// Duration is the inverse of Ticks.
func (c Codec) Duration(ticks uint32) time.Duration {
	return time.Duration(int64(ticks) * int64(time.Second) / int64(codecs[c].clock))
}

// ParseCodec finds a codec by its rtpmap encoding name, in any case. It returns CodecNone for any other name.
func ParseCodec(name string) Codec {
	for c := PCMU; c <= Opus; c++ {
		if strings.EqualFold(codecs[c].name, name) {
			return c
		}
	}
	return CodecNone
}

// Format is how the audio of one leg is packed: the codec of both directions and the ptime of what we send (10–60 ms).
type Format struct {
	Codec Codec
	PTime time.Duration
}
