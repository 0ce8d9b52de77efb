package media

import (
	"bytes"
	"slices"
	"testing"
)

// undelimit turns one self-delimited packet at the head of p (RFC 6716 appendix B) into a plain one, by its own reading of the
// RFC, and returns the bytes after it.
func undelimit(t *testing.T, p []byte) (packet, rest []byte) {
	t.Helper()
	length := func(at int) (n, next int) {
		if p[at] < 252 {
			return int(p[at]), at + 1
		}
		return 4*int(p[at+1]) + int(p[at]), at + 2
	}
	switch p[0] & 3 {
	case 0:
		n, at := length(1)
		return append([]byte{p[0]}, p[at:at+n]...), p[at+n:]
	case 1:
		n, at := length(1)
		return append([]byte{p[0]}, p[at:at+2*n]...), p[at+2*n:]
	case 2:
		n1, mid := length(1)
		n2, at := length(mid)
		return slices.Concat(p[:mid], p[at:at+n1+n2]), p[at+n1+n2:]
	}
	count, at, padding := int(p[1]&63), 2, 0
	if p[1]&0x40 != 0 {
		for {
			b := int(p[at])
			at++
			if b < 255 {
				padding += b
				break
			}
			padding += 254
		}
	}
	total := 0
	if p[1]&0x80 != 0 {
		for range count - 1 {
			n, next := length(at)
			total, at = total+n, next
		}
	}
	lengths := at
	n, at := length(at)
	if total += n; p[1]&0x80 == 0 {
		total = count * n
	}
	return slices.Concat(p[:lengths], p[at:at+total+padding]), p[at+total+padding:]
}

func TestOpusFramesAreCutAndJoinedWithoutChange(t *testing.T) {
	long, longer := bytes.Repeat([]byte{1}, 252), bytes.Repeat([]byte{2}, 1275)
	for name, frames := range map[string][][]byte{
		"one":             {{1, 2, 3}},
		"one empty":       {{}},
		"one long":        {longer},
		"two equal":       {{1, 2}, {3, 4}},
		"two unequal":     {{1, 2}, {3}},
		"two long":        {longer, long},
		"three equal":     {{1, 2}, {3, 4}, {5, 6}},
		"three unequal":   {{1, 2}, {}, {5, 6, 7}},
		"three long":      {long, longer, {1}},
		"six, all lost":   {{}, {}, {}, {}, {}, {}},
		"two, first lost": {{}, {1}},
	} {
		for _, selfDelimited := range []bool{false, true} {
			for _, pad := range []int{0, 1, 2, 254, 255, 256, 509, 510, 511, 1000} {
				plain := AppendOpus(nil, 0x4b, frames, OpusJoin{})
				j := OpusJoin{SelfDelimited: selfDelimited}
				if pad > 0 {
					j.Size = len(plain) + 8 + pad
				}
				p := AppendOpus([]byte("x"), 0x4b, frames, j)[1:]
				if pad > 0 && len(p) != j.Size {
					t.Errorf("%s: padded to %d, want %d", name, len(p), j.Size)
				}
				if selfDelimited {
					var rest []byte
					if p, rest = undelimit(t, append(p, "rest"...)); string(rest) != "rest" {
						t.Errorf("%s, pad %d: %q follows", name, pad, rest)
						continue
					}
				}
				got, ok := OpusFrames(p, nil)
				if !ok || p[0]&^3 != 0x48 || !slices.EqualFunc(got, frames, bytes.Equal) {
					t.Errorf("%s, self-delimited %v, pad %d: %x, %v from %x", name, selfDelimited, pad, got, ok, p)
				}
			}
		}
	}
}

func TestOpusPacketsOfOneOrTwoFramesAreWrittenShort(t *testing.T) {
	for _, c := range []struct {
		frames [][]byte
		size   int
	}{{[][]byte{{1, 2, 3}}, 4}, {[][]byte{{1, 2}, {3, 4}}, 5}, {[][]byte{{1}, {2, 3}}, 5}} {
		if p := AppendOpus(nil, 0x48, c.frames, OpusJoin{}); len(p) != c.size {
			t.Errorf("%d frames: %x", len(c.frames), p)
		}
	}
}

// FuzzOpusFrames cuts what a stranger sent, joins it again in every way and decodes both: the audio is the same.
func FuzzOpusFrames(f *testing.F) {
	f.Add(SilenceFrame(Opus, 960), uint16(0))
	f.Add([]byte{0x1b, 0xc2, 1, 0xaa, 0xbb}, uint16(300))
	f.Add([]byte{0xff, 0x41, 5, 1, 2, 3, 4, 5}, uint16(9))
	f.Add([]byte{0x5a, 252, 1}, uint16(1))
	f.Add([]byte{0x4b, 0x03, 1, 2, 3}, uint16(0))
	f.Add([]byte{0x49, 1, 2, 3, 4}, uint16(64))
	f.Fuzz(func(t *testing.T, p []byte, size uint16) {
		ticks, sound := opusTicks(p)
		frames, ok := OpusFrames(p, nil)
		if ok != sound {
			t.Fatalf("cut: %v, checked: %v, %x", ok, sound, p)
		}
		if !ok {
			return
		}
		if uint32(len(frames))*OpusFrameTicks(p[0]) != ticks {
			t.Fatalf("%d frames of %d ticks are not %d", len(frames), OpusFrameTicks(p[0]), ticks)
		}
		j := OpusJoin{Size: int(size % 4096)}
		plain := AppendOpus(nil, p[0], frames, j)
		j.SelfDelimited = true
		packet, rest := undelimit(t, AppendOpus(nil, p[0], frames, j))
		for _, q := range [][]byte{plain, packet} {
			again, ok := OpusFrames(q, nil)
			if !ok || !slices.EqualFunc(again, frames, bytes.Equal) || q[0]&^3 != p[0]&^3 {
				t.Fatalf("%x became %x, %d bytes over", p, q, len(rest))
			}
		}
		a, b := decodeOnce(t, p), decodeOnce(t, plain)
		if !slices.Equal(a, b) {
			t.Errorf("%x and %x decode differently", p, plain)
		}
	})
}

func decodeOnce(t *testing.T, p []byte) []int16 {
	dec, err := NewDecoder(Opus, 8000)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 960)
	n, err := dec.Decode(p, pcm)
	if err != nil {
		t.Fatal(err)
	}
	return pcm[:n]
}
