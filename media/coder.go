package media

import (
	"errors"
	"fmt"
)

// ErrMalformed says that a payload is not what its codec allows.
var ErrMalformed = errors.New("malformed payload")

// ErrNoConversion says that two formats cannot be joined.
var ErrNoConversion = errors.New("no conversion between these codecs")

// maxPacketMillis is the longest packet we decode (RFC 6716 §3.2.5 allows Opus 120 ms).
const maxPacketMillis = 120

// Decoder turns payloads into mono PCM. It belongs to one goroutine.
type Decoder interface {
	// Decode decodes one payload into pcm, which must hold 120 ms, and returns the samples written.
	Decode(payload []byte, pcm []int16) (int, error)
	// Conceal makes up len(pcm) samples for lost audio.
	Conceal(pcm []int16)
	// Recover rebuilds the len(pcm) samples before next from what next repeats of them, and reports whether it could;
	// it conceals otherwise.
	Recover(next []byte, pcm []int16) bool
}

// Encoder turns mono PCM into payloads. It belongs to one goroutine.
type Encoder interface {
	// Encode encodes pcm (for Opus exactly 20 ms) into dst and returns the bytes written.
	Encode(pcm []int16, dst []byte) (int, error)
}

// NewDecoder returns a decoder of c to the given sample rate: 8000, 16000 or 48000 for Opus, the codec's own otherwise.
func NewDecoder(c Codec, rate int) (Decoder, error) {
	switch {
	case c == Opus && (rate == 8000 || rate == 16000 || rate == 48000):
		return newOpusDecoder(rate)
	case c == G722 && rate == 16000:
		return &g722Decoder{plc: newConcealer(rate)}, nil
	case (c == PCMA || c == PCMU) && rate == 8000:
		return &g711Decoder{table: g711Decode(c), plc: newConcealer(rate)}, nil
	}
	return nil, fmt.Errorf("decode %v at %d Hz: %w", c, rate, ErrNoConversion)
}

// NewEncoder returns an encoder of c from the given sample rate, with the settings we send with.
func NewEncoder(c Codec, rate int) (Encoder, error) {
	switch {
	case c == Opus && (rate == 8000 || rate == 16000 || rate == 48000):
		return newOpusEncoder(rate, DefaultOpusSettings)
	case c == G722 && rate == 16000:
		return &g722Encoder{}, nil
	case (c == PCMA || c == PCMU) && rate == 8000:
		return &g711Encoder{table: g711Encode(c)}, nil
	}
	return nil, fmt.Errorf("encode %v at %d Hz: %w", c, rate, ErrNoConversion)
}

// EncodeRate is the sample rate at which we encode c: Opus content stays within 16 kHz (what Meta asks for).
func EncodeRate(c Codec) int {
	if c == Opus {
		return 16000
	}
	return c.SampleRate()
}
