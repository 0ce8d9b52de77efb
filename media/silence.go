package media

import (
	"bytes"
	"sync"
	"time"
)

const (
	ulawZero = 0xff
	alawZero = 0xd5
	// The smallest positive step of both bands: it lets predictor and step size of the decoder die down whatever state it
	// is in. Encoded zeros, cut into frames and repeated, don't: they hum at -44 dBFS.
	g722Zero = 0xfd
)

// SilenceFrame returns ready-made silence of this length, at most 120 ms (Opus: always 20 ms). The payload is shared:
// never write to it.
func SilenceFrame(c Codec, ticks uint32) []byte {
	s := silences()
	if c == Opus {
		return s.opus
	}
	return s.flat[c][:min(int(ticks), len(s.flat[c]))]
}

type silenceSet struct {
	opus []byte
	flat [Opus][]byte // one byte per tick for G.711 and for G.722
}

var silences = sync.OnceValue(func() *silenceSet {
	s := &silenceSet{}
	for c, code := range map[Codec]byte{PCMU: ulawZero, PCMA: alawZero, G722: g722Zero} {
		s.flat[c] = bytes.Repeat([]byte{code}, int(c.Ticks(maxPacketMillis*time.Millisecond)))
	}
	enc, err := newOpusEncoder(16000, DefaultOpusSettings)
	if err != nil {
		panic(err) // libopus refuses its own documented settings
	}
	// The first frames carry the encoder's start; a later one can follow any audio.
	buf := make([]byte, MaxPayload)
	for range 10 {
		n, err := enc.Encode(make([]int16, 320), buf)
		if err != nil {
			panic(err)
		}
		s.opus = append(s.opus[:0], buf[:n]...)
	}
	return s
})
