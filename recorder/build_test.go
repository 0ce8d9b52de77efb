package recorder

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"deskbridge/media"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// memFile is a File in memory.
type memFile struct{ bytes.Buffer }

func (*memFile) Sync() error  { return nil }
func (*memFile) Close() error { return nil }

var testInfo = Info{Call: "call-1", Line: "main-line", Team: "sales-team", Agent: "extension-201", Customer: "customer-77"}

// testPacket is the i-th packet of the test recordings: 20 msec of each side in turn.
func testPacket(i int) Packet {
	p := Packet{Side: Side(i % 2), At: time.Duration(i/2)*20*msec + time.Duration(i%2)*3*msec, Codec: media.Opus,
		Timestamp: uint32(i/2) * 960, Sequence: uint16(65500 + i/2), Marker: i < 2,
		Payload: fmt.Appendf(nil, "\x48opus packet %d of the call", i)}
	if i%10 == 9 {
		p.Codec, p.Payload = media.PCMA, bytes.Repeat([]byte{0xd5}, 160)
	}
	return p
}

func entryOf(p *Packet) []byte {
	r := record{kind: typeAudio, flags: flagsOf(p.Side, p.Marker), code: codecNumber(p.Codec), at: microseconds(p.At),
		timestamp: p.Timestamp, sequence: p.Sequence, body: p.Payload}
	b := make([]byte, padded(len(r.body)))
	r.put(b)
	return b
}

// newTestTape begins a file under a fresh key and fixed IDs.
func newTestTape(t testing.TB, f File, k Keys) *tape {
	t.Helper()
	rec := &Recorder{cfg: Config{Keyring: k.Keyring, Clock: func() time.Time { return noon }, RingBytes: 64 << 10}}
	r, err := rec.newRecording(testInfo)
	must(t, err)
	tp, err := newTape(f, r.key, r.head, r.info)
	must(t, err)
	return tp
}

// build makes a finished recording of n packets with a pause mark in the middle.
func build(t testing.TB, n int) []byte {
	t.Helper()
	f := &memFile{}
	tp := newTestTape(t, f, testKeys(t))
	for i := range n {
		p := testPacket(i)
		must(t, tp.entry(entryOf(&p)))
		if i == n/2 {
			must(t, tp.record(&record{kind: typeMark, code: uint8(Held), at: microseconds(p.At)}))
		}
	}
	must(t, tp.finish(microseconds(time.Duration(n)*10*msec), CallEnded))
	return f.Bytes()
}

func openBytes(b []byte, k Keys) (*Reader, error) {
	return NewReader(bytes.NewReader(b), int64(len(b)), k)
}

// play reads all packets, with payloads of their own.
func play(t testing.TB, r *Reader) []Packet {
	t.Helper()
	var out []Packet
	for {
		var p Packet
		err := r.Next(&p)
		if err == io.EOF {
			return out
		}
		must(t, err)
		p.Payload = bytes.Clone(p.Payload)
		out = append(out, p)
	}
}

func verifyBytes(t testing.TB, b []byte, k Keys, sha []byte) Report {
	t.Helper()
	rep, err := verify(testCtx(t), bytes.NewReader(b), int64(len(b)), k, sha, nil)
	must(t, err)
	return rep
}

// framesOf are the frames of a sound file.
func framesOf(t testing.TB, b []byte) []frame {
	t.Helper()
	copies, err := findHeaders(b)
	must(t, err)
	s := newScanner(bytes.NewReader(b), int64(len(b)), bodyOf(copies))
	var out []frame
	for {
		f, err := s.next()
		if err == io.EOF {
			return out
		}
		must(t, err)
		f.packet = bytes.Clone(f.packet)
		out = append(out, f)
	}
}

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
