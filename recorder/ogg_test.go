package recorder

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"deskbridge/media"
)

// oggPacket is one audio packet of a file, as another reader would see it.
type oggPacket struct {
	left, right []byte // right is nil in a mono file
	ticks       int64
}

// oggFile is a file read by RFC 3533 and RFC 7845 alone.
type oggFile struct {
	channels int
	preSkip  int64
	last     int64 // granule position of the last page
	pages    int
	packets  []oggPacket
}

// slowCRC is RFC 3533's, bit by bit.
func slowCRC(b []byte) (c uint32) {
	for _, x := range b {
		c ^= uint32(x) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
	}
	return c
}

// readOgg checks every page and packet.
func readOgg(t testing.TB, b []byte) (f oggFile) {
	t.Helper()
	var serial uint32
	var samples int64
	for n := uint32(0); len(b) > 0; n++ {
		if len(b) < 27 || string(b[:5]) != "OggS\x00" {
			t.Fatalf("page %d: %q", n, b[:min(len(b), 27)])
		}
		segments := b[27 : 27+int(b[26])]
		size := 27 + len(segments)
		for _, s := range segments {
			size += int(s)
		}
		page := bytes.Clone(b[:size])
		crc := binary.LittleEndian.Uint32(page[22:])
		clear(page[22:26])
		if n%64 < 3 && slowCRC(page) != crc || oggCRC(page) != crc {
			t.Fatalf("page %d: CRC %08x", n, crc)
		}
		if n == 0 {
			serial = binary.LittleEndian.Uint32(b[14:])
		}
		if binary.LittleEndian.Uint32(b[14:]) != serial || binary.LittleEndian.Uint32(b[18:]) != n {
			t.Fatalf("page %d: serial or number: %x", n, b[14:22])
		}
		flags, want := b[5], byte(0)
		if n == 0 {
			want = 2
		}
		if len(b) == size {
			want |= 4
		}
		if flags != want {
			t.Fatalf("page %d: flags %d, want %d", n, flags, want)
		}
		body := page[27+len(segments):]
		for len(segments) > 0 {
			length := 0
			for segments[0] == 255 {
				length += 255
				segments = segments[1:]
			}
			length += int(segments[0])
			segments = segments[1:]
			f.packet(t, n, body[:length])
			body = body[length:]
		}
		granule := int64(binary.LittleEndian.Uint64(b[6:]))
		for ; f.pages < len(f.packets); f.pages++ {
			samples += f.packets[f.pages].ticks
		}
		if n < 2 && granule != 0 || n >= 2 && flags&4 == 0 && granule != samples || flags&4 != 0 && (granule > samples || granule <= f.last) {
			t.Fatalf("page %d: granule position %d after %d samples", n, granule, samples)
		}
		f.last = granule
		b = b[size:]
	}
	f.pages = 0
	return f
}

func (f *oggFile) packet(t testing.TB, page uint32, p []byte) {
	t.Helper()
	switch page {
	case 0:
		if string(p[:9]) != "OpusHead\x01" {
			t.Fatalf("identification header %q", p)
		}
		f.channels, f.preSkip = int(p[9]), int64(binary.LittleEndian.Uint16(p[10:]))
		if f.channels == 2 && !bytes.Equal(p[18:], []byte{1, 2, 0, 0, 1}) || f.channels == 1 && !bytes.Equal(p[18:], []byte{0}) {
			t.Fatalf("channel mapping %x", p[18:])
		}
		return
	case 1:
		if string(p) != "OpusTags\x0a\x00\x00\x00deskbridge\x00\x00\x00\x00" {
			t.Fatalf("comment header %q", p)
		}
		return
	}
	var o oggPacket
	o.left = p
	if f.channels == 2 {
		o.left, o.right = undelimited(t, p)
		if d := packetTicks(t, o.right); d != packetTicks(t, o.left) {
			t.Fatalf("page %d: sides of %d and %d samples", page, packetTicks(t, o.left), d)
		}
	}
	o.ticks = packetTicks(t, o.left)
	f.packets = append(f.packets, o)
}

func packetTicks(t testing.TB, p []byte) int64 {
	t.Helper()
	frames, ok := media.OpusFrames(p, nil)
	if !ok {
		t.Fatalf("malformed Opus packet %x", p)
	}
	return int64(len(frames)) * int64(media.OpusFrameTicks(p[0]))
}

// undelimited cuts a self-delimited packet (RFC 6716 appendix B) off and returns it as a plain one.
func undelimited(t testing.TB, p []byte) (packet, rest []byte) {
	t.Helper()
	head, at, count := 1, 1, 1
	variable, padding := false, 0
	switch p[0] & 3 {
	case 1:
		count = 2
	case 2:
		count, variable = 2, true
	case 3:
		count, variable = int(p[1]&63), p[1]&0x80 != 0
		at = 2
		for more := p[1]&0x40 != 0; more; {
			more = p[at] == 255
			padding += int(p[at]) - int(p[at])/255
			at++
		}
		head = at
	}
	read := func() (n int) {
		n = int(p[at])
		at++
		if n >= 252 {
			n += 4 * int(p[at])
			at++
		}
		return n
	}
	total, lengths := 0, head
	if variable {
		for range count - 1 {
			total += read()
		}
		lengths = at
		total += read()
	} else {
		total = count * read()
	}
	end := at + total + padding
	if end > len(p) {
		t.Fatalf("self-delimited packet of %d bytes in %d", end, len(p))
	}
	return append(bytes.Clone(p[:lengths]), p[at:end]...), p[end:]
}

// decode returns a channel as a player plays it: pre-skip and end cut off.
func (f *oggFile) decode(t testing.TB, right bool, rate int) []int16 {
	t.Helper()
	dec, err := media.NewDecoder(media.Opus, rate)
	if err != nil {
		t.Fatal(err)
	}
	var pcm []int16
	buf := make([]int16, rate*120/1000)
	for _, p := range f.packets {
		b := p.left
		if right {
			b = p.right
		}
		n := int(p.ticks) * rate / ticksPerSecond
		if frames, _ := media.OpusFrames(b, nil); onlyLost(frames) {
			dec.Conceal(buf[:n])
		} else if got, err := dec.Decode(b, buf); err != nil || got != n {
			t.Fatalf("decode %x: %d samples, %v", b, got, err)
		}
		pcm = append(pcm, buf[:n]...)
	}
	return pcm[int(f.preSkip)*rate/ticksPerSecond : int(f.last)*rate/ticksPerSecond]
}

func onlyLost(frames [][]byte) bool {
	for _, f := range frames {
		if len(f) > 0 {
			return false
		}
	}
	return true
}

func TestOggChecksumIsRFC3533s(t *testing.T) {
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(rand.Uint32())
		if got, want := oggCRC(b[:i]), slowCRC(b[:i]); got != want {
			t.Fatalf("%d bytes: %08x, want %08x", i, got, want)
		}
	}
}

func TestOggPageRefusesWhatDoesNotFit(t *testing.T) {
	var g oggPage
	for range 254 {
		if !g.add([]byte{1}) {
			t.Fatal("a page of 254 packets is full")
		}
	}
	if g.add(make([]byte, 255)) {
		t.Error("256 segments fit")
	}
	if !g.add(make([]byte, 254)) {
		t.Error("255 segments do not fit")
	}
}
