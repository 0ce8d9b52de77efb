package media

import "sync"

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
	for _, c := range []Codec{PCMU, PCMA, G722} {
		enc, err := NewEncoder(c, c.SampleRate())
		if err != nil {
			panic(err) // our own table of codecs is broken
		}
		s.flat[c] = make([]byte, c.Ticks(maxPacketMillis*1e6))
		if _, err := enc.Encode(make([]int16, maxPacketMillis*c.SampleRate()/1000), s.flat[c]); err != nil {
			panic(err)
		}
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
