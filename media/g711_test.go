package media

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// The digests are of what ffmpeg's pcm_alaw and pcm_mulaw decoders make of the bytes 0 to 255 (16 bit little endian).
func TestG711DecodesEveryCodeAsFFmpegDoes(t *testing.T) {
	for c, want := range map[Codec]string{
		PCMA: "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
		PCMU: "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
	} {
		var pcm []byte
		for _, s := range g711Decode(c) {
			pcm = binary.LittleEndian.AppendUint16(pcm, uint16(s))
		}
		sum := sha256.Sum256(pcm)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%v: decoder table digest %s, want %s", c, got, want)
		}
	}
}

// The decision levels lie in the middle between output levels of a segment, so no sample may be further than half a step
// of its code's segment from what it decodes to.
func TestG711EncodesEverySampleWithinHalfAStep(t *testing.T) {
	for _, c := range []Codec{PCMA, PCMU} {
		enc, _ := NewEncoder(c, 8000)
		levels := g711Decode(c)
		code := make([]byte, 1)
		for s := -32768; s <= 32767; s++ {
			if _, err := enc.Encode([]int16{int16(s)}, code); err != nil {
				t.Fatal(err)
			}
			half := 4 << (^code[0] >> 4 & 7)
			if c == PCMA {
				half = 8 << max(int((code[0]^0x55)>>4&7)-1, 0)
			}
			want := clip(s, -32636, 32635) // µ-law saturates there
			if off := abs(int(levels[code[0]]) - want); off > half+4 {
				t.Fatalf("%v: sample %d became %d, off by %d, half a step is %d", c, s, levels[code[0]], off, half)
			}
		}
	}
}

func TestG711CodesSurviveDecodeAndEncode(t *testing.T) {
	for _, c := range []Codec{PCMA, PCMU} {
		enc, _ := NewEncoder(c, 8000)
		for i, s := range g711Decode(c) {
			code := make([]byte, 1)
			if _, err := enc.Encode([]int16{s}, code); err != nil {
				t.Fatal(err)
			}
			if int(code[0]) != i && g711Decode(c)[code[0]] != s {
				t.Errorf("%v: code %#x decodes to %d, which encodes to %#x", c, i, s, code[0])
			}
		}
	}
}

func TestG711LawsMapOntoEachOther(t *testing.T) {
	for i := range 256 {
		a, u := int(alawToLinear[i]), int(ulawToLinear[alawToUlaw[i]])
		if abs(a-u) > max(abs(a)/16, 16) {
			t.Errorf("A-law %#x is %d, as µ-law %d", i, a, u)
		}
		u, a = int(ulawToLinear[i]), int(alawToLinear[ulawToAlaw[i]])
		if abs(a-u) > max(abs(u)/16, 16) {
			t.Errorf("µ-law %#x is %d, as A-law %d", i, u, a)
		}
	}
}

func abs(v int) int { return max(v, -v) }
