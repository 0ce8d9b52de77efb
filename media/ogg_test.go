package media

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// oggFile builds an Ogg Opus file of 20 ms packets, ten to a page.
func oggFile(t testing.TB, head []byte, pcm []int16, end uint64) []byte {
	t.Helper()
	var packets [][]byte
	for _, p := range packetsOf(t, Format{Opus, 20 * ms}, pcm, 16000) {
		packets = append(packets, p.Payload)
	}
	file := oggPage(0, 2, 0, head)
	file = append(file, oggPage(1, 0, 0, append([]byte("OpusTags"), make([]byte, 8)...))...)
	for n := uint32(2); len(packets) > 0; n++ {
		k := min(10, len(packets))
		flags, granule := byte(0), uint64(n-1)*9600
		if k == len(packets) {
			flags, granule = 4, end
		}
		file = append(file, oggPage(n, flags, granule, packets[:k]...)...)
		packets = packets[k:]
	}
	return file
}

func oggHead(channels byte, skip, gain uint16) []byte {
	h := append([]byte("OpusHead"), 1, channels)
	h = binary.LittleEndian.AppendUint16(h, skip)
	h = binary.LittleEndian.AppendUint32(h, 16000)
	h = binary.LittleEndian.AppendUint16(h, gain)
	return append(h, 0)
}

func oggPage(number uint32, flags byte, granule uint64, packets ...[]byte) []byte {
	b := append([]byte("OggS"), 0, flags)
	b = binary.LittleEndian.AppendUint64(b, granule)
	b = binary.LittleEndian.AppendUint32(b, 7)
	b = binary.LittleEndian.AppendUint32(b, number)
	b = append(b, 0, 0, 0, 0, 0)
	var body []byte
	for _, p := range packets {
		for n := len(p); ; n -= 255 {
			b = append(b, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		body = append(body, p...)
	}
	b[26] = byte(len(b) - 27)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[22:], oggSum(b))
	return b
}

func TestOggOpusIsReadToTheSample(t *testing.T) {
	const skip, length = 312, 48000 + 600 // just over a second
	file := oggFile(t, oggHead(1, skip, 0), Tone(440, 16000, 1100*ms), skip+length)
	for _, rate := range []int{8000, 16000, 48000} {
		pcm, err := ReadOggOpus(file, rate, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if d := len(pcm) - length*rate/48000; d < -1 || d > 1 {
			t.Errorf("at %d Hz: %d samples, want %d", rate, len(pcm), length*rate/48000)
		}
		if f, l := DominantTone(pcm, rate); f < 438 || f > 442 || l < 0.95 {
			t.Errorf("at %d Hz: %.0f Hz at %.2f", rate, f, l)
		}
	}
}

func TestOggOpusGainIsApplied(t *testing.T) {
	plain, err := ReadOggOpus(oggFile(t, oggHead(1, 0, 0), Tone(440, 16000, time.Second), 48000), 16000, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	six := int16(-6 * 256)
	quiet, err := ReadOggOpus(oggFile(t, oggHead(1, 0, uint16(six)), Tone(440, 16000, time.Second), 48000), 16000, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if d := Level(quiet) - Level(plain); math.Abs(d+6) > 0.1 {
		t.Errorf("%.1f dB, want -6", d)
	}
}

func TestAPacketMayGoOnOnTheNextPage(t *testing.T) {
	tags := append([]byte("OpusTags"), make([]byte, 600)...)
	first := oggPage(1, 0, 0, tags[:510])
	first[26]-- // without the lacing value that would end the packet: it goes on
	first = append(first[:29], first[30:]...)
	binary.LittleEndian.PutUint32(first[22:], oggSum(first))
	file := append(oggPage(0, 2, 0, oggHead(1, 0, 0)), first...)
	file = append(file, oggPage(2, 1, 0, tags[510:])...)
	file = append(file, oggPage(3, 4, 960, SilenceFrame(Opus, 960))...)
	if pcm, err := ReadOggOpus(file, 16000, time.Second); err != nil || len(pcm) != 320 {
		t.Errorf("%d samples, %v", len(pcm), err)
	}
}

func TestOggFilesThatAreRefused(t *testing.T) {
	head := oggHead(1, 312, 0)
	good := oggFile(t, head, Tone(440, 16000, time.Second), 48000)
	flip := slices.Clone(good)
	flip[len(flip)/2] ^= 1
	mapped := oggHead(1, 0, 0)
	mapped[18] = 1
	for name, file := range map[string][]byte{
		"empty":            nil,
		"not Ogg":          []byte("RIFF0000WAVEfmt and so on, long enough for a header"),
		"cut off":          good[:len(good)-10],
		"a bit flipped":    flip,
		"two streams":      append(slices.Clone(good[:len(good)/2]), good...),
		"a page missing":   append(oggPage(0, 2, 0, head), oggPage(2, 0, 0, []byte("OpusTags"))...),
		"Vorbis":           oggFile(t, append([]byte("\x01vorbis"), make([]byte, 23)...), Tone(440, 16000, 100*ms), 4800),
		"six channels":     oggFile(t, oggHead(6, 0, 0), Tone(440, 16000, 100*ms), 4800),
		"channel family 1": oggFile(t, mapped, Tone(440, 16000, 100*ms), 4800),
		"no comments":      append(oggPage(0, 2, 0, head), oggPage(1, 4, 960, SilenceFrame(Opus, 960))...),
		"too long":         oggFile(t, head, Tone(440, 16000, 3*time.Second), 144000),
	} {
		if _, err := ReadOggOpus(file, 16000, 2*time.Second); !errors.Is(err, ErrOgg) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := append(oggPage(0, 2, 0, head), oggPage(1, 0, 0, append([]byte("OpusTags"), 0, 0, 0, 0, 0, 0, 0, 0))...)
	bad = append(bad, oggPage(2, 4, 960, []byte{3, 0})...)
	if _, err := ReadOggOpus(bad, 16000, time.Second); !errors.Is(err, ErrMalformed) {
		t.Errorf("a malformed packet: %v", err)
	}
}

// FuzzReadOggOpus repairs the checksums of what it is given, else nearly nothing would get past them.
func FuzzReadOggOpus(f *testing.F) {
	f.Add(oggFile(f, oggHead(1, 312, 0), Tone(440, 16000, 300*ms), 14000))
	f.Add(oggFile(f, oggHead(2, 65535, 0x7fff), Tone(440, 16000, 100*ms), 1<<63))
	f.Add([]byte("OggS"))
	f.Fuzz(func(t *testing.T, file []byte) {
		file = slices.Clone(file)
		for at := 0; at+27 <= len(file) && string(file[at:at+4]) == "OggS"; {
			size := 27 + int(file[at+26])
			if at+size > len(file) {
				break
			}
			for _, n := range file[at+27 : at+size] {
				size += int(n)
			}
			if at+size > len(file) {
				break
			}
			binary.LittleEndian.PutUint32(file[at+22:], oggSum(file[at:at+size]))
			at += size
		}
		const limit = 2 * time.Second
		if pcm, err := ReadOggOpus(file, 16000, limit); err == nil && len(pcm) > 32000 {
			t.Errorf("%d samples are longer than %v", len(pcm), limit)
		}
	})
}
