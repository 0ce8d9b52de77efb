//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"

	"deskbridge/media"
)

// loadRig is a product process under the calls of a generator in this process.
type loadRig struct {
	t       testing.TB
	codec   media.Codec
	meta    *loadMeta
	bank    *phoneBank
	product *product
	pacer   *pacer
	calls   []*loadCall

	fromCustomer, fromPhone [][]byte // frames of speech, encoded once
}

type loadCall struct {
	c      *loadCustomer
	p      *bankPhone
	hookAt time.Time
}

func newLoadRig(t testing.TB, codec media.Codec, maxCalls int, allAllocs bool) *loadRig {
	return newRecordedRig(t, codec, maxCalls, allAllocs, false)
}

// newRecordedRig may record every call.
func newRecordedRig(t testing.TB, codec media.Codec, maxCalls int, allAllocs, record bool) *loadRig {
	r := &loadRig{t: t, codec: codec, meta: newLoadMeta(t), bank: newPhoneBank(t, codec), pacer: newPacer()}
	r.fromCustomer = speechFrames(t, media.Opus)
	r.fromPhone = speechFrames(t, codec)
	r.product = startProduct(t, productConfig{Graph: r.meta.srv.URL, Trunk: r.bank.addr(), Codec: codec.String(), MaxCalls: maxCalls, AllAllocs: allAllocs, Record: record})
	r.meta.hook = r.product.Webhook
	t.Cleanup(r.pacer.stop)
	return r
}

// call lets a customer call until both ends can talk.
func (r *loadRig) call(n int) (*loadCall, error) {
	c, err := newLoadCustomer(n)
	if err != nil {
		return nil, err
	}
	l := &loadCall{c: c, hookAt: time.Now()}
	if err := r.meta.connect(c, c.offer()); err != nil {
		c.close()
		return nil, err
	}
	late := time.After(wait)
	select {
	case l.p = <-r.bank.rang:
	case <-late:
		c.close()
		return nil, errors.New("the phone was not rung")
	}
	for what, ch := range map[string]chan struct{}{"accept": c.accepted, "media": c.up} {
		select {
		case <-ch:
		case <-late:
			c.close()
			return nil, fmt.Errorf("no %s", what)
		}
	}
	return l, nil
}

// start makes n calls, one after the other, and lets everybody talk.
func (r *loadRig) start(n int) {
	r.t.Helper()
	for i := range n {
		l, err := r.call(i + 1)
		if err != nil {
			r.t.Fatalf("call %d: %v", i+1, err)
		}
		r.calls = append(r.calls, l)
		r.talk(l)
	}
}

func (r *loadRig) talk(l *loadCall) {
	i, j := 0, len(r.fromPhone)/2
	r.pacer.add(func() { _ = l.c.send(r.fromCustomer[i%len(r.fromCustomer)]); i++ })
	r.pacer.add(func() { _ = l.p.send(r.fromPhone[j%len(r.fromPhone)]); j++ })
}

// finish hangs all calls up and waits until the product has let them go.
func (r *loadRig) finish() {
	r.t.Helper()
	r.pacer.stop()
	for _, l := range r.calls {
		if err := r.meta.terminate(l.c); err != nil {
			r.t.Errorf("terminate: %v", err)
		}
	}
	end := time.Now().Add(wait)
	for _, l := range r.calls {
		for l.p.byeAt.get().IsZero() && time.Now().Before(end) {
			runtime.Gosched()
			<-time.After(5 * time.Millisecond)
		}
		if l.p.byeAt.get().IsZero() {
			r.t.Errorf("no BYE for %s", l.p.caller)
		}
		l.c.close()
	}
}

// tally is what was sent and what came, both directions of all calls.
type tally struct{ sent, got, lost, bad uint64 }

func (r *loadRig) tally() (t tally) {
	for _, l := range r.calls {
		t.sent += l.c.line.sent.Load() + l.p.line.sent.Load()
		t.got += l.c.got.Load() + l.p.got.Load()
		t.lost += l.c.lost.Load() + l.p.lost.Load()
		t.bad += l.c.bad.Load() + l.p.bad.Load()
	}
	return t
}

// pacer calls functions every 20 ms, spread evenly: a hundred phones don't speak in step.
type pacer struct {
	mu    sync.Mutex
	slots [20][]func()
	n     int
	muted bool
	late  atomic.Int64 // worst delay of a slot, ns
	halt  chan struct{}
	once  sync.Once
	done  chan struct{}
}

func newPacer() *pacer {
	p := &pacer{halt: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *pacer) add(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.n * 7 % len(p.slots)
	p.slots[s] = append(p.slots[s], f)
	p.n++
}

// mute stops everybody's packets for a while.
func (p *pacer) mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muted = on
}

func (p *pacer) run() {
	defer close(p.done)
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	begin := time.Now()
	for slot := int64(0); ; {
		select {
		case <-p.halt:
			return
		case <-t.C:
		}
		for now := time.Since(begin); slot <= int64(now/time.Millisecond); slot++ {
			if late := int64(now) - slot*int64(time.Millisecond); late > p.late.Load() {
				p.late.Store(late)
			}
			p.mu.Lock()
			for _, f := range p.slots[slot%int64(len(p.slots))] {
				if !p.muted {
					f()
				}
			}
			p.mu.Unlock()
		}
	}
}

func (p *pacer) stop() {
	p.once.Do(func() { close(p.halt) })
	<-p.done
}

// speechFrames are two seconds of something like speech as packets of 20 ms.
func speechFrames(t testing.TB, c media.Codec) (frames [][]byte) {
	t.Helper()
	rate := media.EncodeRate(c)
	enc, err := media.NewEncoder(c, rate)
	if err != nil {
		t.Fatal(err)
	}
	pcm, size := likeSpeech(rate, 2*time.Second), rate/50
	buf := make([]byte, media.MaxPayload)
	for i := 0; i+size <= len(pcm); i += size {
		n, err := enc.Encode(pcm[i:i+size], buf)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, slices.Clone(buf[:n]))
	}
	return frames
}

// likeSpeech is a 120 Hz buzz with twelve harmonics that swells four times a second.
func likeSpeech(rate int, d time.Duration) []int16 {
	pcm := make([]int16, int(int64(d)*int64(rate)/int64(time.Second)))
	for i := range pcm {
		at, v := float64(i)/float64(rate), 0.0
		for h := 1.0; h <= 12; h++ {
			v += math.Sin(2*math.Pi*120*h*at+h*h) / h
		}
		pcm[i] = int16(6000 * v * (0.6 - 0.4*math.Cos(2*math.Pi*4*at)))
	}
	return pcm
}

// bareCost is the CPU that a second of both directions costs when nothing is done but what cannot be saved: libopus, the
// other codec and SRTP, on the frames the load sends.
func (r *loadRig) bareCost() time.Duration {
	r.t.Helper()
	must := func(err error) {
		if err != nil {
			r.t.Helper()
			r.t.Fatal(err)
		}
	}
	rate := 8000
	if r.codec == media.G722 {
		rate = 16000
	}
	var coders [4]any
	if r.codec != media.Opus {
		var err error
		coders[0], err = media.NewDecoder(media.Opus, rate)
		must(err)
		coders[1], err = media.NewEncoder(r.codec, rate)
		must(err)
		coders[2], err = media.NewDecoder(r.codec, rate)
		must(err)
		coders[3], err = media.NewEncoder(media.Opus, rate)
		must(err)
	}
	key, salt := make([]byte, 16), make([]byte, 12)
	profile := srtp.ProtectionProfileAeadAes128Gcm
	var ctx [4]*srtp.Context
	for i := range ctx {
		var err error
		ctx[i], err = srtp.CreateContext(key, salt, profile)
		must(err)
	}
	const seconds = 6
	// Ciphertexts to decrypt are made before the clock starts.
	var encrypted [][]byte
	line := rtpLine{header: rtp.Header{Version: 2, PayloadType: 111, SSRC: 1}, ticks: 960}
	for i := range 50 * seconds {
		b, err := line.next(r.fromCustomer[i%len(r.fromCustomer)])
		must(err)
		e, err := ctx[0].EncryptRTP(nil, b, nil)
		must(err)
		encrypted = append(encrypted, e)
	}
	pcm, buf, out := make([]int16, 5760), make([]byte, media.MaxPayload), make([]byte, 2048)
	line = rtpLine{header: rtp.Header{Version: 2, PayloadType: 111, SSRC: 2}, ticks: 960}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadCPU()
	for i, e := range encrypted {
		plain, err := ctx[1].DecryptRTP(out[:0], e, nil)
		must(err)
		towards := r.fromPhone[i%len(r.fromPhone)]
		if r.codec != media.Opus {
			n, err := coders[0].(media.Decoder).Decode(plain[12:], pcm)
			must(err)
			_, err = coders[1].(media.Encoder).Encode(pcm[:n], buf)
			must(err)
			n, err = coders[2].(media.Decoder).Decode(towards, pcm)
			must(err)
			n, err = coders[3].(media.Encoder).Encode(pcm[:n], buf)
			must(err)
			towards = buf[:n]
		}
		b, err := line.next(towards)
		must(err)
		_, err = ctx[2].EncryptRTP(out[:0], b, nil)
		must(err)
	}
	return (threadCPU() - begin) / seconds
}

func threadCPU() time.Duration { return cpuClock(unix.CLOCK_THREAD_CPUTIME_ID) }

var loadPaths = []struct {
	name   string
	codec  media.Codec
	limit  float64 // CPU, ms per call-second, that we aim to stay under
	record bool
}{
	{"passthrough", media.Opus, 3, false}, {"passthrough-recorded", media.Opus, 0, true},
	{"PCMA", media.PCMA, 7, false}, {"PCMA-recorded", media.PCMA, 0, true}, {"PCMU", media.PCMU, 7, false}, {"G722", media.G722, 0, false},
}

// BenchmarkPath runs calls through a product process over real sockets and reports what a second of one call costs it, both
// directions, everything included: two sockets, SRTP, conversion, reports, consent checks, collection. CPU is what the
// kernel counted for that process, so the generator here is not in it, but the delivery of what the product sends on
// loopback is. allocs/packet is how many allocations of the process a packet adds to the same calls when nobody sends;
// allocs/call-s are those: consent checks, RTCP, the store.
//
// A recorded path is the same with every call recorded: what it costs more is what recording costs.
//
// The load is the rated one, 100 calls; with fewer calls a packet wakes a sleeping process more often and each costs more.
// PATH_CALLS and PATH_SECONDS change it (100, 8: consent checks come every 4 s); PATH_PROFILE=prefix writes CPU and allocation profiles.
func BenchmarkPath(b *testing.B) {
	for _, path := range loadPaths {
		b.Run(path.name, func(b *testing.B) {
			n, seconds := envNumber(b, "PATH_CALLS", 100), envNumber(b, "PATH_SECONDS", 8)
			prefix := os.Getenv("PATH_PROFILE")
			r := newRecordedRig(b, path.codec, n, prefix != "", path.record)
			r.start(n)
			<-time.After(time.Second) // the start is not what is measured
			if prefix != "" {
				r.product.profile(b, prefix+path.name)
			}
			var talk, mute stretch
			for b.Loop() {
				talk.add(r, seconds)
			}
			if prefix != "" {
				r.product.profile(b, "")
			}
			r.pacer.mute(true)
			<-time.After(200 * time.Millisecond)
			mute.add(r, seconds)
			total := r.tally()
			recorded := r.product.look(r.t, true).Recorded
			r.finish()
			if path.record && recorded < float64(talk.packets)*.99 {
				b.Fatalf("%.0f packets were recorded of %d", recorded, talk.packets)
			}
			calls := float64(n)
			if expected := talk.seconds * calls * 100; float64(talk.packets) < expected*.9 {
				b.Fatalf("%d packets came of %.0f", talk.packets, expected)
			}
			mutedRate, packetRate := float64(mute.mallocs)/mute.seconds, float64(talk.packets)/talk.seconds
			b.ReportMetric(talk.cpu.Seconds()*1000/talk.seconds/calls, "cpu-ms/call-s")
			b.ReportMetric(r.bareCost().Seconds()*1000, "bare-ms/call-s")
			b.ReportMetric(path.limit, "aim-ms/call-s")
			b.ReportMetric(max(0, float64(talk.mallocs)/talk.seconds-mutedRate)/packetRate, "allocs/packet")
			b.ReportMetric(mutedRate/calls, "allocs/call-s")
			b.ReportMetric(float64(total.lost)/float64(total.got+1)*100, "lost-%")
			b.ReportMetric(0, "ns/op") // says only how long we looked
		})
	}
}

// stretch sums what the product used while we looked.
type stretch struct {
	cpu              time.Duration
	seconds          float64
	mallocs, packets uint64
}

func (s *stretch) add(r *loadRig, seconds int) {
	before, counted := r.product.look(r.t, false), r.tally()
	<-time.After(time.Duration(seconds) * time.Second)
	after, now := r.product.look(r.t, false), r.tally()
	s.cpu += after.CPU - before.CPU
	s.seconds += after.At.Sub(before.At).Seconds()
	s.mallocs += after.Mallocs - before.Mallocs
	s.packets += now.got - counted.got
}

// BenchmarkSetUp is the time parts of a call's set-up take on loopback, with a Graph that answers at once.
func BenchmarkSetUp(b *testing.B) {
	r := newLoadRig(b, media.PCMA, 200, false)
	r.warm()
	for b.Loop() {
		l, err := r.call(len(r.calls) + 2)
		if err != nil {
			b.Fatal(err)
		}
		r.calls = append(r.calls, l)
		if len(r.calls) == 100 {
			b.Fatal("more calls than one run needs: -benchtime 50x")
		}
	}
	for _, s := range r.setUp() {
		b.ReportMetric(quantile(s.d, .5).Seconds()*1000, s.unit+"-p50-ms")
		b.ReportMetric(quantile(s.d, .99).Seconds()*1000, s.unit+"-p99-ms")
	}
	r.finish()
}

func envNumber(t testing.TB, name string, def int) int {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, s)
	}
	return n
}

// median and p99 of durations.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(int(float64(len(s))*q), len(s)-1)]
}

// TestCallsAtOnce lets many customers and phones talk at the same time, each call transcoded: none may drop, no more than
// one packet in a thousand may be missing, and afterwards goroutines and open files must be as before. It runs 20 calls
// for 3 s; the rated load, 100 calls for 30 s, is
//
//	DESKBRIDGE_LOAD=1 go test -tags nolibopusfile,nomsgpack,e2e -run TestCallsAtOnce -v ./e2e
//
// PATH_CALLS and PATH_SECONDS set other numbers.
func TestCallsAtOnce(t *testing.T) {
	n, seconds := 20, 3
	if os.Getenv("DESKBRIDGE_LOAD") != "" {
		n, seconds = 100, 30
	}
	n, seconds = envNumber(t, "PATH_CALLS", n), envNumber(t, "PATH_SECONDS", seconds)
	r := newLoadRig(t, media.PCMA, n+1, false)
	r.warm()
	base := r.settled(usage{Goroutines: math.MaxInt, Files: math.MaxInt})
	r.start(n)
	begin := r.product.look(t, false)
	<-time.After(time.Duration(seconds) * time.Second)
	end := r.product.look(t, false)
	busy := r.product.look(t, true)
	for _, l := range r.calls {
		if l.c.terminated.Load() || !l.p.byeAt.get().IsZero() {
			t.Errorf("the call of %s was dropped", l.p.caller)
		}
	}
	r.pacer.stop()
	<-time.After(200 * time.Millisecond) // what is under way arrives
	total := r.tally()
	r.finish()
	after := r.settled(base)

	// What never came to the product it conceals, so only its own count tells; what it sent and did not come shows at the ends.
	if base.LostIn < 0 || after.LostIn < 0 {
		t.Error("the product doesn't count lost packets any more")
	}
	if in := after.LostIn - base.LostIn; in+float64(total.lost) > float64(total.sent)/1000 || total.bad != 0 {
		t.Errorf("of %d packets %.0f were lost on the way in, %d on the way out; %d bad", total.sent, in, total.lost, total.bad)
	}
	if after.Goroutines > base.Goroutines || after.Files > base.Files {
		t.Errorf("before the calls %d goroutines and %d files, after them %d and %d", base.Goroutines, base.Files, after.Goroutines, after.Files)
	}
	each := func(a, b uint64) string { return fmt.Sprintf("%.0f KiB", (float64(a)-float64(b))/float64(n)/1024) }
	talked := end.At.Sub(begin.At).Seconds() * float64(n)
	t.Logf("%d calls Opus-PCMA for %d s: sent %d, came %d, lost %.0f on the way in, %d on the way out (generator up to %s late)", n, seconds,
		total.sent, total.got, after.LostIn-base.LostIn, total.lost, time.Duration(r.pacer.late.Load()).Round(time.Millisecond))
	t.Logf("CPU %.2f ms per call-second; %.1f goroutines and %.1f files per call", float64((end.CPU-begin.CPU).Microseconds())/1000/talked,
		float64(busy.Goroutines-base.Goroutines)/float64(n), float64(busy.Files-base.Files)/float64(n))
	t.Logf("memory per call: live heap %s, stacks %s, resident %s; base: heap %d MiB, stacks %d KiB, resident %d MiB",
		each(busy.HeapLive, base.HeapLive), each(busy.Stacks, base.Stacks), each(busy.Resident, base.Resident),
		base.HeapLive>>20, base.Stacks>>10, base.Resident>>20)
	r.logSetUp()
}

// warm makes one call so that what is made once per process is made.
func (r *loadRig) warm() {
	r.start(1)
	if err := r.calls[0].c.send(r.fromCustomer[0]); err != nil {
		r.t.Fatal(err)
	}
	<-time.After(200 * time.Millisecond)
	r.finish()
	r.calls, r.pacer = nil, newPacer()
	r.t.Cleanup(r.pacer.stop)
}

// settled looks until the product is as it was, or no longer changes: SIP transactions live for 32 s (RFC 3261 timers).
func (r *loadRig) settled(want usage) (u usage) {
	end := time.Now().Add(45 * time.Second)
	for last := (usage{}); ; last = u {
		if u = r.product.look(r.t, true); u.Goroutines <= want.Goroutines && u.Files <= want.Files && u.Goroutines == last.Goroutines {
			return u
		}
		if time.Now().After(end) {
			return u
		}
		<-time.After(250 * time.Millisecond)
	}
}

type setUpPart struct {
	unit, what string
	d          []time.Duration
}

// setUp is how long the parts of set-up took.
func (r *loadRig) setUp() []setUpPart {
	invite := setUpPart{unit: "invite", what: "webhook sent to INVITE at the phone"}
	keys := setUpPart{unit: "keys", what: "first ICE check to DTLS done at the customer"}
	media := setUpPart{unit: "media", what: "webhook sent to DTLS done"}
	for _, l := range r.calls {
		invite.d = append(invite.d, l.p.invitedAt.get().Sub(l.hookAt))
		keys.d = append(keys.d, l.c.upAt.get().Sub(l.c.firstCheck.get()))
		media.d = append(media.d, l.c.upAt.get().Sub(l.hookAt))
	}
	return []setUpPart{invite, keys, media}
}

func (r *loadRig) logSetUp() {
	for _, s := range r.setUp() {
		r.t.Logf("%-45s median %7s  p99 %7s", s.what, quantile(s.d, .5).Round(100*time.Microsecond), quantile(s.d, .99).Round(100*time.Microsecond))
	}
}
