package recorder

import (
	"io"
	"testing"
	"time"

	"deskbridge/media"
)

// FuzzExport exports what strangers sent. Input: per packet side and codec, arrival and timestamp deltas, length, bytes.
func FuzzExport(f *testing.F) {
	seed := func(packets []Packet) {
		var b []byte
		for _, p := range packets {
			n := min(len(p.Payload), 255)
			b = append(append(b, byte(p.Side), 20, 20, byte(n)), p.Payload[:n]...)
		}
		f.Add(b)
	}
	seed(mixedCall(f, 2*time.Second)[:60])
	seed(simulate(f, time.Second, ms20(Customer, 440), talker{side: Agent, codec: media.Opus, ptime: 10 * millisecond, say: tone(1000)}))
	f.Add([]byte{0, 0, 0, 2, 0xfb, 0x03, 1, 255, 128, 3, 0x1b, 0x02, 0, 7, 255, 127, 1, 0x10})
	f.Fuzz(func(t *testing.T, data []byte) {
		var packets []Packet
		p := Packet{Timestamp: 1 << 31}
		for len(data) >= 4 && len(packets) < 200 && p.At < 8*time.Second {
			p.Side = Side(data[0] & 1)
			p.Codec = [4]media.Codec{media.Opus, media.Opus, media.PCMA, media.PCMU}[data[0]>>1&3]
			p.At += time.Duration(data[1]) * millisecond * time.Duration(1+data[0]>>7*8)
			p.Timestamp += uint32(int32(int8(data[2])) * 48 * int32(1+data[0]>>6&1*200))
			n := min(int(data[3]), len(data)-4)
			p.Payload, data = data[4:4+n], data[4+n:]
			packets = append(packets, p)
		}
		for _, format := range []ExportFormat{OggStereo, ExportFormat(1 + len(packets)%3)} {
			e, b := export(t, packets, ExportOptions{Format: format})
			if format < WAV16k {
				file := readOgg(t, b)
				if got := time.Duration(file.last-file.preSkip) * time.Second / 48000; got-e.Duration() > millisecond || e.Duration()-got > millisecond {
					t.Errorf("lasts %v, announced %v", got, e.Duration())
				}
			}
			if limit := p.At + 60*time.Second; e.Duration() > limit {
				t.Errorf("%v of %v", e.Duration(), limit)
			}
			r := e.NewReader()
			got := make([]byte, len(b)/3)
			if _, err := r.Seek(int64(len(b)/2), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, got); err != nil || string(got) != string(b[len(b)/2:][:len(got)]) {
				t.Errorf("format %d: another reading differs: %v", format, err)
			}
		}
	})
}
