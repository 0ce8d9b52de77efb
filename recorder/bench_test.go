package recorder

import (
	"bytes"
	"errors"
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

// BenchmarkCalls moves calls in real time (-benchtime 20x: one "operation" is a second) and reports the process's CPU per
// call and the packets lost. "relay" is the least a call can cost, SRTP on both legs and no sockets; "transcode" adds the
// codecs of a customer on Opus and a phone on PCMA. Each runs without and with recordings on a real disk.
func BenchmarkCalls(b *testing.B) {
	for _, c := range []struct {
		name      string
		calls     int
		transcode bool
		record    bool
	}{
		{"500-relay", 500, false, false}, {"500-relay-recorded", 500, false, true},
		{"60-transcode", 60, true, false}, {"60-transcode-recorded", 60, true, true},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkCalls(b, c.calls, c.transcode, c.record) })
	}
}

func benchmarkCalls(b *testing.B, count int, transcode, record bool) {
	dir := filepath.Join(b.TempDir(), "recordings")
	_, err := Claim(dir)
	must(b, err)
	ledger := &memLedger{}
	rec, err := New(Config{Dir: dir, Keyring: testRing(b), Ledger: ledger})
	must(b, err)
	calls := make([]*relay, count)
	for i := range calls {
		calls[i] = newRelay(b, transcode)
		if record {
			calls[i].tap, err = rec.Start(Info{Call: fmt.Sprint("call-", i)})
			must(b, err)
		}
	}
	b.ResetTimer()
	began, cpu := time.Now(), cpuTime()
	// The calls come in 20 groups, each 1 msec after the other, as packets come in life.
	step := time.NewTicker(msec)
	n := 0
	for ; n < b.N*1000; n++ {
		for i := n % 20; i < count; i += 20 {
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
	if want := uint64(n / 20 * 2 * count); record && packets != want {
		b.Errorf("%d packets in the files of %d handed over, %d lost", packets, want, lost)
	}
	calledFor := float64(n) / 1000 * float64(count)
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

// relay is what a call costs without its sockets.
type relay struct {
	tap           *Recording
	in, out, peer *srtp.Context
	h             rtp.Header
	wire          []byte
	buf, enc      []byte
	payload       [2][]byte // as the customer and the phone send it
	pcm           []int16
	fromOpus      media.Decoder
	toOpus        media.Encoder
	fromPCMA      media.Decoder
	toPCMA        media.Encoder
}

func newRelay(b *testing.B, transcode bool) *relay {
	key := bytes.Repeat([]byte{1}, 30)
	ctx := func() *srtp.Context {
		c, err := srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80)
		must(b, err)
		return c
	}
	r := &relay{in: ctx(), out: ctx(), peer: ctx(), buf: make([]byte, 1500), enc: make([]byte, 1500), wire: make([]byte, 0, 1500),
		payload: [2][]byte{make([]byte, 60), make([]byte, 60)}}
	if !transcode {
		return r
	}
	var errs [4]error
	r.fromOpus, errs[0] = media.NewDecoder(media.Opus, 8000)
	r.toOpus, errs[1] = media.NewEncoder(media.Opus, 8000)
	r.fromPCMA, errs[2] = media.NewDecoder(media.PCMA, 8000)
	r.toPCMA, errs[3] = media.NewEncoder(media.PCMA, 8000)
	must(b, errors.Join(errs[:]...))
	r.pcm = make([]int16, 8000*120/1000)
	for side, e := range []media.Encoder{r.toOpus, r.toPCMA} {
		n, err := e.Encode(media.Tone(440, 8000, 20*msec), r.enc)
		must(b, err)
		r.payload[side] = bytes.Clone(r.enc[:n])
	}
	return r
}

// packet moves one packet each way.
func (r *relay) packet(n uint16) {
	now := time.Now()
	for side := range 2 {
		h := rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: n, Timestamp: uint32(n) * 960, SSRC: uint32(side + 1)}
		k, _ := h.MarshalTo(r.buf)
		plain := r.buf[:k+copy(r.buf[k:], r.payload[side])]
		sealed, _ := r.peer.EncryptRTP(r.wire[:0], plain, &r.h)
		opened, err := r.in.DecryptRTP(r.buf[:0], sealed, &r.h)
		if err != nil {
			panic(err)
		}
		if side == 0 && r.tap != nil {
			r.tap.Received(&media.Packet{Payload: opened[k:], Arrival: now, Timestamp: h.Timestamp, Sequence: n}, media.Opus)
		}
		if r.toOpus != nil {
			opened = r.convert(opened, k, side)
		}
		if side == 1 && r.tap != nil {
			r.tap.Sent(opened[k:], media.Opus, h.Timestamp, n, false, now)
		}
		_, _ = r.out.EncryptRTP(r.enc[:0], opened, &r.h)
	}
}

func (r *relay) convert(packet []byte, head, side int) []byte {
	from, to := r.fromOpus, r.toPCMA
	if side == 1 {
		from, to = r.fromPCMA, r.toOpus
	}
	n, err := from.Decode(packet[head:], r.pcm)
	if err == nil {
		n, err = to.Encode(r.pcm[:n], r.buf[head:])
	}
	if err != nil {
		panic(err)
	}
	return r.buf[:head+n]
}
