package recorder

import (
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"deskbridge/media"
)

// hourSource is a Source of an hour that makes its packets as it goes, so that memory is the export's own.
type hourSource struct {
	n       int
	payload [2][]byte
	length  time.Duration
}

func (s *hourSource) Next(p *Packet) error {
	at := time.Duration(s.n/2) * 20 * time.Millisecond
	if at >= s.length {
		return io.EOF
	}
	side := Side(s.n & 1)
	*p = Packet{Side: side, At: at + time.Duration(s.n*7919%11)*time.Millisecond, Codec: media.Opus, Timestamp: uint32(s.n/2) * 960, Sequence: uint16(s.n / 2), Payload: s.payload[side]}
	s.n++
	return nil
}

func (s *hourSource) Mark() int64             { return int64(s.n) }
func (s *hourSource) Resume(mark int64) error { s.n = int(mark); return nil }

func hourOpener(b testing.TB, length time.Duration) Opener {
	packets := simulate(b, time.Second, ms20(Customer, 440), ms20(Agent, 1000))
	return func() (Source, error) {
		return &hourSource{length: length, payload: [2][]byte{packets[40].Payload, packets[41].Payload}}, nil
	}
}

// BenchmarkExport is the export of an hour from packets in memory: without cipher and disk, laid out and read once.
func BenchmarkExport(b *testing.B) {
	open := hourOpener(b, time.Hour)
	b.Run("layout", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewExport(context.Background(), open, ExportOptions{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(3600/(b.Elapsed().Seconds()/float64(b.N)), "x-real-time")
	})
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, err := NewExport(context.Background(), open, ExportOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, e.NewReader()); err != nil || n != e.Size() {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(3600/(b.Elapsed().Seconds()/float64(b.N)), "x-real-time")
	})
	e, err := NewExport(context.Background(), open, ExportOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("seek", func(b *testing.B) {
		r := e.NewReader()
		var buf [4096]byte
		for i := 0; b.Loop(); i++ {
			if _, err := r.Seek(int64(i)*7919777%e.Size(), io.SeekStart); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Read(buf[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestMemoryOfAnExportDoesNotGrowWithTheCall: what a laid out export holds is bounded by the places to begin, not the length.
func TestMemoryOfAnExportDoesNotGrowWithTheCall(t *testing.T) {
	held := func(length time.Duration) int64 {
		open := hourOpener(t, length)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e, err := NewExport(t.Context(), open, ExportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(e)
		return int64(after.HeapAlloc) - int64(before.HeapAlloc)
	}
	short, long := held(time.Hour), held(4*time.Hour)
	t.Logf("%d kB for an hour, %d kB for four", short/1000, long/1000)
	if long > 6e6 || short > 6e6 {
		t.Errorf("%d kB for an hour, %d kB for four", short/1000, long/1000)
	}
}
