package recorder

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"deskbridge/media"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// BenchmarkTap is what the media path pays per packet.
func BenchmarkTap(b *testing.B) {
	r := &Recording{start: time.Now(), clock: time.Now, buf: make([]byte, 0, 64<<10)}
	p := &media.Packet{Payload: make([]byte, 60), Arrival: time.Now()}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%256 == 0 {
			r.exchange(r.buf)
		}
		r.Received(p, media.Opus)
	}
}

// BenchmarkSeal is what the writer pays per packet: sealing, hashing, and a write of many into memory.
func BenchmarkSeal(b *testing.B) {
	tp := newTestTape(b, discard{}, testKeys(b))
	tp.out = make([]byte, 0, batchSize+maxRecord+frameSize)
	p := testPacket(0)
	p.Payload = make([]byte, 60)
	e := entryOf(&p)
	b.ReportAllocs()
	for b.Loop() {
		if err := tp.entry(e); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{ memFile }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Sync() error                 { return nil }
func (discard) Close() error                { return nil }

// BenchmarkNext is what a player or an export pays per packet.
func BenchmarkNext(b *testing.B) {
	file := build(b, 20_000)
	r, err := openBytes(file, testKeys(b))
	must(b, err)
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Next(&p); err == io.EOF {
			must(b, r.Seek(0))
		}
	}
}

// BenchmarkFiveHundredCalls records 500 calls to one real disk for 20 s (-benchtime 20x: one "operation" is a second). It
// reports the process's CPU per call and the packets lost. Compare with BenchmarkFiveHundredRelays: the same packets without
// a recorder, through the least a call can cost, which is SRTP on both legs.
func BenchmarkFiveHundredCalls(b *testing.B) { benchmarkCalls(b, true) }

// BenchmarkFiveHundredRelays is the same load without the recorder.
func BenchmarkFiveHundredRelays(b *testing.B) { benchmarkCalls(b, false) }

const benchCalls = 500

func benchmarkCalls(b *testing.B, record bool) {
	dir := filepath.Join(b.TempDir(), "recordings")
	_, err := Claim(dir)
	must(b, err)
	ledger := &memLedger{}
	rec, err := New(Config{Dir: dir, Keyring: testRing(b), Ledger: ledger})
	must(b, err)
	calls := make([]*relay, benchCalls)
	for i := range calls {
		calls[i] = newRelay(b)
		if record {
			calls[i].tap, err = rec.Start(Info{Call: fmt.Sprint("call-", i)})
			must(b, err)
		}
	}
	b.ResetTimer()
	began, cpu := time.Now(), cpuTime()
	// 500 calls in 20 groups, each 1 ms after the other, as packets come in life.
	step := time.NewTicker(ms)
	n := 0
	for ; n < b.N*1000; n++ {
		for i := n % 20; i < benchCalls; i += 20 {
			calls[i].packet(uint16(n / 20))
		}
		<-step.C
	}
	step.Stop()
	took, used := time.Since(began), cpuTime()-cpu
	b.StopTimer()
	for _, c := range calls {
		if c.tap != nil {
			c.tap.Close(time.Now())
		}
	}
	must(b, rec.Stop(testCtx(b)))
	var packets, lost uint64
	for _, e := range ledger.finished {
		packets, lost = packets+e.Packets, lost+e.Lost
	}
	if record && packets != uint64(n/20*2*benchCalls) {
		b.Errorf("%d packets in the files of %d handed over, %d lost", packets, n/20*2*benchCalls, lost)
	}
	calledFor := float64(n) / 1000 * benchCalls
	b.ReportMetric(float64(used.Microseconds())/calledFor, "cpu-µs/call-s")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(took.Seconds()/(float64(n)/1000), "slowdown") // of the feeder: 1 when it keeps its pace
	b.ReportMetric(0, "ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// relay is the floor of what a call costs: each packet opened from one leg's SRTP and sealed for the other's.
type relay struct {
	tap      *Recording
	in, out  *srtp.Context
	peer     *srtp.Context
	h        rtp.Header
	wire     []byte
	buf, enc []byte
}

func newRelay(b *testing.B) *relay {
	key := bytes.Repeat([]byte{1}, 30)
	ctx := func() *srtp.Context {
		c, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
		must(b, err)
		return c
	}
	return &relay{in: ctx(), out: ctx(), peer: ctx(), buf: make([]byte, 1500), enc: make([]byte, 1500), wire: make([]byte, 0, 1500)}
}

// packet moves one packet each way.
func (r *relay) packet(n uint16) {
	now := time.Now()
	for side := range 2 {
		h := rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: n, Timestamp: uint32(n) * 960, SSRC: uint32(side + 1)}
		k, _ := h.MarshalTo(r.buf)
		plain := r.buf[:k+60]
		sealed, _ := r.peer.EncryptRTP(r.wire[:0], plain, &r.h)
		opened, err := r.in.DecryptRTP(r.buf[:0], sealed, &r.h)
		if err != nil {
			panic(err)
		}
		_, _ = r.out.EncryptRTP(r.enc[:0], opened, &r.h)
		if r.tap == nil {
			continue
		}
		if side == 0 {
			r.tap.Received(&media.Packet{Payload: opened[k:], Arrival: now, Timestamp: h.Timestamp, Sequence: n}, media.Opus)
		} else {
			r.tap.Sent(opened[k:], media.Opus, h.Timestamp, n, false, now)
		}
	}
}
