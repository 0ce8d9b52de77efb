package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"deskbridge/media"
)

// mixedCall has what needs decoding: G.711, and 60 ms frames across each other.
func mixedCall(t testing.TB, length time.Duration) []Packet {
	t.Helper()
	customer := talker{side: Customer, codec: media.Opus, ptime: 60 * millisecond, say: beeps(440), skip: func(i int) bool { return i%61 == 7 }}
	agent := talker{side: Agent, codec: media.Opus, ptime: 60 * millisecond, begin: 25 * millisecond, say: beeps(1000)}
	packets := simulate(t, length/2, customer, agent)
	late := talker{side: Agent, codec: media.PCMA, ptime: 20 * millisecond, begin: length/2 + 7*millisecond, say: beeps(1000), skip: func(i int) bool { return i%31 == 7 }}
	return sortPackets(append(packets, simulate(t, length, late)...))
}

// TestEveryRangeHasTheSameBytes: wherever a reader begins, it makes the bytes that a reading from the beginning makes.
func TestEveryRangeHasTheSameBytes(t *testing.T) {
	calls := map[string][]Packet{"opus": roughCall(t, 70*time.Second), "mixed": mixedCall(t, 70*time.Second)}
	for name, packets := range calls {
		for f := OggStereo; f <= WAV48k; f++ {
			t.Run(fmt.Sprint(name, f), func(t *testing.T) {
				t.Parallel()
				e, whole := export(t, packets, ExportOptions{Format: f, Length: 70 * time.Second})
				if len(e.points) != 3 {
					t.Errorf("a reader can begin at %d places", len(e.points))
				}
				r := e.NewReader()
				defer r.Close()
				random := rand.New(rand.NewPCG(5, uint64(f)))
				for range 6 {
					off := random.Int64N(e.Size())
					n := min(1+random.Int64N(40000), e.Size()-off)
					if _, err := r.Seek(off, io.SeekStart); err != nil {
						t.Fatal(err)
					}
					got := make([]byte, n)
					if _, err := io.ReadFull(r, got); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, whole[off:off+n]) {
						t.Fatalf("bytes %d to %d differ", off, off+n)
					}
				}
			})
		}
	}
}

// resuming is a script that can be taken up at a packet.
type resuming struct {
	script
	read *int
}

func (s *resuming) Next(p *Packet) error { *s.read++; return s.script.Next(p) }
func (s *resuming) Mark() int64          { return int64(s.next) }
func (s *resuming) Resume(mark int64) error {
	s.next = int(mark)
	return nil
}

func TestJumpReadsOnlyWhatItNeedsOfAResumer(t *testing.T) {
	packets := roughCall(t, 2*time.Minute)
	read := 0
	e, err := NewExport(t.Context(), func() (Source, error) { return &resuming{script{packets: packets}, &read}, nil }, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, whole := export(t, packets, ExportOptions{})
	read = 0
	r := e.NewReader()
	defer r.Close()
	got := make([]byte, 100)
	if _, err := r.Seek(-1000, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, whole[len(whole)-1000:][:100]) {
		t.Error("other bytes")
	}
	if read > len(packets)/3 {
		t.Errorf("read %d of %d packets", read, len(packets))
	}
}

func TestHTTPServesRangesOfAnExport(t *testing.T) {
	e, whole := export(t, roughCall(t, 10*time.Second), ExportOptions{})
	serve := func(ranges string) *http.Response {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		if ranges != "" {
			q.Header.Set("Range", ranges)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", e.ContentType())
		r := e.NewReader()
		defer r.Close()
		http.ServeContent(w, q, "", time.Time{}, r)
		return w.Result()
	}
	for ranges, want := range map[string][]byte{"": whole, "bytes=0-99": whole[:100], "bytes=5000-": whole[5000:], "bytes=-7": whole[len(whole)-7:]} {
		a := serve(ranges)
		got, err := io.ReadAll(a.Body)
		if err != nil || !bytes.Equal(got, want) || a.ContentLength != int64(len(want)) {
			t.Errorf("%q: %s, %d bytes announced, %d came, want %d", ranges, a.Status, a.ContentLength, len(got), len(want))
		}
	}
}

// TestRecordingThatGrowsKeepsItsLength: a call is listened to while it is recorded.
func TestRecordingThatGrowsKeepsItsLength(t *testing.T) {
	packets := roughCall(t, 40*time.Second)
	now := packets[:len(packets)/2]
	e, err := NewExport(t.Context(), func() (Source, error) { return &script{packets: now}, nil }, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(e.NewReader())
	if err != nil {
		t.Fatal(err)
	}
	now = packets
	got, err := io.ReadAll(e.NewReader())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; were %d", len(got), err, len(want))
	}
}

func TestRecordingThatShrankIsAnError(t *testing.T) {
	packets := roughCall(t, 10*time.Second)
	e, err := NewExport(t.Context(), func() (Source, error) { return &script{packets: packets}, nil }, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	packets = packets[:100]
	if _, err := io.ReadAll(e.NewReader()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestLayOutEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewExport(ctx, opened(roughCall(t, time.Second)), ExportOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPlacesToBeginAreBounded(t *testing.T) {
	silence := media.SilenceFrame(media.Opus, slotTicks)
	var packets []Packet
	for i := range 100 {
		packets = append(packets, Packet{At: time.Duration(i) * 2 * time.Minute, Codec: media.Opus, Timestamp: uint32(i) * 2 * 60 * 48000, Payload: silence})
	}
	e, b := export(t, packets, ExportOptions{Length: 3 * time.Hour})
	if n := len(e.points); n < maxPoints/4 || n >= maxPoints {
		t.Errorf("a reader can begin at %d places", n)
	}
	if f := readOgg(t, b); f.last-f.preSkip != 3*3600*48000 {
		t.Errorf("lasts %d samples", f.last-f.preSkip)
	}
}
