package media

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
)

// testdata/g722.pcm is a sweep from 200 Hz to 7 kHz and pink noise, made by sox:
//
//	sox -D -R -n -r 16000 -b 16 -c 1 -e signed -L a.raw synth 0.25 sine 200-7000 gain -3
//	sox -D -R -n -r 16000 -b 16 -c 1 -e signed -L b.raw synth 0.15 pinknoise gain -1
//	cat a.raw b.raw > g722.pcm
//
// g722.bits and g722.decoded.pcm are ffmpeg's:
//
//	ffmpeg -f s16le -ar 16000 -ac 1 -i g722.pcm -c:a g722 -f g722 g722.bits
//	ffmpeg -f g722 -i g722.bits -f s16le g722.decoded.pcm
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples(b []byte) []int16 {
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return pcm
}

func TestG722EncodesBitExactly(t *testing.T) {
	pcm, want := samples(golden(t, "g722.pcm")), golden(t, "g722.bits")
	enc, _ := NewEncoder(G722, 16000)
	var got []byte
	for len(pcm) > 0 { // in frames of 20 ms, as in a call
		n := min(320, len(pcm))
		b := make([]byte, n/2)
		if _, err := enc.Encode(pcm[:n], b); err != nil {
			t.Fatal(err)
		}
		got, pcm = append(got, b...), pcm[n:]
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("bits differ from ffmpeg's at byte %d of %d", firstDifference(got, want), len(want))
	}
}

func TestG722DecodesBitExactly(t *testing.T) {
	bits, want := golden(t, "g722.bits"), samples(golden(t, "g722.decoded.pcm"))
	dec, _ := NewDecoder(G722, 16000)
	pcm := make([]int16, 1920)
	at := 0
	for len(bits) > 0 {
		n := min(160, len(bits))
		m, err := dec.Decode(bits[:n], pcm)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range pcm[:m] {
			if s != want[at+i] {
				t.Fatalf("sample %d is %d, ffmpeg's %d", at+i, s, want[at+i])
			}
		}
		at, bits = at+m, bits[n:]
	}
	if at != len(want) {
		t.Fatalf("%d samples, want %d", at, len(want))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
