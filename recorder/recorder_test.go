package recorder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"deskbridge/media"

	"github.com/google/go-cmp/cmp"
)

func TestCallIsRecordedSealedAndInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		r := b.start("call-1")
		r.Mark(ConsentGiven, time.Now())
		n := talk(r, 10*time.Second, 20*msec)
		r.Mark(Transferred, time.Now())
		r.Close(time.Now())
		<-r.Done()
		e := b.finished(1)[0]
		if e.Path != "2000/01/01/call-1.dbr" || e.Reason != CallEnded || e.Packets != uint64(n) || e.Lost != 0 || e.Duration != 10*time.Second || e.ID != r.ID() {
			t.Errorf("%+v, %d packets", e, n)
		}
		if len(b.ledger.started) != 1 || b.ledger.started[0].Path != e.Path || b.ledger.started[0].Size != 0 {
			t.Errorf("started: %+v", b.ledger.started)
		}
		for path, want := range map[string]fs.FileMode{b.path(e): 0o600, filepath.Dir(b.path(e)): 0o700 | fs.ModeDir, b.dir: 0o700 | fs.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v %v", path, info.Mode(), err)
			}
		}
		rep := b.verify(e, Sound)
		if rep.Reason != CallEnded || rep.Info.Line != "main" {
			t.Errorf("%+v", rep)
		}
		x := b.reader(e)
		for i, p := range play(t, x) {
			want := testPacket(i)
			if !bytes.Equal(p.Payload, want.Payload) || p.Side != want.Side || p.At != time.Duration(i/2)*20*msec || p.Sequence != want.Sequence || p.Timestamp != want.Timestamp {
				t.Fatalf("packet %d: %+v", i, p)
			}
		}
		marks, err := x.Marks()
		must(t, err)
		if d := cmp.Diff([]Mark{{Kind: ConsentGiven}, {Kind: Transferred, At: 10 * time.Second}, {Kind: Ended, At: 10 * time.Second}}, marks); d != "" {
			t.Error(d)
		}
		r.Received(&media.Packet{Arrival: time.Now()}, media.Opus) // after the end: nothing
		r.Close(time.Now())
		b.stop()
		b.stop()
		if _, err := b.Start(Info{Call: "late"}); !errors.Is(err, ErrStopped) {
			t.Errorf("start after stop: %v", err)
		}
	})
}

func TestSecondRecordingOfACallGetsItsOwnFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		for range 3 {
			r := b.start("call-1")
			talk(r, time.Second, 20*msec)
			r.Close(time.Now())
			<-r.Done()
		}
		for i, e := range b.finished(3) {
			if want := []string{"call-1.dbr", "call-1-2.dbr", "call-1-3.dbr"}[i]; filepath.Base(e.Path) != want {
				t.Errorf("%s, want %s", e.Path, want)
			}
			b.verify(e, Sound)
		}
	})
}

func TestCallIDsThatAreNoFileNamesAreRefused(t *testing.T) {
	b := newBox(t, nil)
	defer b.stop()
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a\x00b", ".hidden", "-rf", "ä", strings.Repeat("x", 129)} {
		if _, err := b.Start(Info{Call: id}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := b.Start(Info{Call: "c", Agent: strings.Repeat("x", maxInfo)}); !errors.Is(err, ErrInvalid) {
		t.Errorf("large info: %v", err)
	}
}

func TestAsManyRecordingsAsAgreedAndNoMore(t *testing.T) {
	b := newBox(t, func(c *Config) { c.MaxRecordings = 2 })
	defer b.stop()
	b.start("a")
	r := b.start("b")
	if _, err := b.Start(Info{Call: "c"}); !errors.Is(err, ErrTooMany) {
		t.Errorf("third: %v", err)
	}
	r.Close(time.Now())
	<-r.Done()
	b.start("c")
}

// TestPauseLeavesNoTrace looks for the paused audio in the opened file and in every buffer that held audio.
func TestPauseLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		r := b.start("call-1")
		say := func(what string, at time.Time) {
			r.Received(&media.Packet{Payload: []byte(what), Arrival: at}, media.Opus)
			r.Sent([]byte(what), media.Opus, 0, 0, false, at)
		}
		say("before", time.Now())
		time.Sleep(time.Second)
		r.Pause(time.Now())
		r.Pause(time.Now())
		during := time.Now()
		for range 100 {
			say("secret", time.Now())
			time.Sleep(20 * msec)
		}
		resumed := time.Now()
		r.Resume(resumed)
		r.Resume(time.Now())
		say("secret", during)               // was on its way
		say("secret", resumed.Add(-1*msec)) // so was this
		say("after", time.Now())
		time.Sleep(time.Second)
		r.mu.Lock()
		ring := r.buf[:cap(r.buf)]
		r.mu.Unlock()
		r.Close(time.Now())
		<-r.Done()
		b.stop()
		held := [][]byte{ring, b.spare[:cap(b.spare)], b.out[:cap(b.out)], r.tape.seal.plain[:]}
		e := b.finished(1)[0]
		x := b.reader(e)
		var heard []string
		for _, p := range play(t, x) {
			heard = append(heard, string(p.Payload))
		}
		if d := cmp.Diff([]string{"before", "before", "after", "after"}, heard); d != "" || e.Packets != 4 || e.Lost != 0 {
			t.Errorf("%s %+v", d, e)
		}
		raw, err := os.ReadFile(b.path(e))
		must(t, err)
		for i, buf := range append(held, raw) {
			if bytes.Contains(buf, []byte("secret")) {
				t.Errorf("paused audio is in buffer %d", i)
			}
		}
		marks, err := x.Marks()
		must(t, err)
		if d := cmp.Diff([]Mark{{Kind: Paused, At: time.Second}, {Kind: Resumed, At: 3 * time.Second}, {Kind: Ended, At: 4 * time.Second}}, marks); d != "" {
			t.Error(d)
		}
	})
}

// TestWallClockStepsDoNotMoveTheAudio sets the wall clock back and forth while the monotonic one runs on. It has real times:
// those of a synctest bubble have no monotonic part.
func TestWallClockStepsDoNotMoveTheAudio(t *testing.T) {
	b := newBox(t, nil)
	defer b.stop()
	r := b.start("call-1")
	for i, step := range []time.Duration{0, time.Hour, -time.Hour, -20 * 365 * 24 * time.Hour, 48 * time.Hour} {
		real := r.start.Add(time.Duration(i) * time.Second)
		now := stepped(real, step)
		if !now.Round(0).Equal(real.Add(step).Round(0)) || now.Sub(real) != 0 {
			t.Fatalf("the step is wrong: %v from %v; monotonic off by %v", now, real, now.Sub(real))
		}
		r.Received(&media.Packet{Payload: []byte{byte(i)}, Arrival: now}, media.Opus)
		r.Sent([]byte{byte(i)}, media.Opus, 0, 0, false, now)
	}
	r.Close(stepped(r.start.Add(5*time.Second), -time.Hour))
	<-r.Done()
	e := b.finished(1)[0]
	for i, p := range play(t, b.reader(e)) {
		if p.At != time.Duration(i/2)*time.Second {
			t.Errorf("packet %d at %v", i, p.At)
		}
	}
	if e.Duration != 5*time.Second || e.Packets != 10 {
		t.Errorf("%+v", e)
	}
}

// stepped is t as a clock would give it whose wall time was stepped: the monotonic part stays. Package time has no way to
// make such a value, so this sets the wall seconds in its memory (33 bits from bit 30).
func stepped(t time.Time, by time.Duration) time.Time {
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(int64(by/time.Second)) << 30
	return t
}

// TestCallOfADay is recorded with 60 msec frames of the customer and a quiet agent; our numbers roll over many times.
func TestCallOfADay(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, func(c *Config) { c.Flush = 5 * time.Second })
		defer b.stop()
		r := b.start("call-1")
		n := 0
		for end := time.Now().Add(24 * time.Hour); time.Now().Before(end); {
			for range 100 { // six seconds at once, with their own times
				at := r.start.Add(time.Duration(n) * 60 * msec)
				r.Received(&media.Packet{Payload: []byte{0x58, byte(n), byte(n >> 8), byte(n >> 16)}, Arrival: at, Timestamp: uint32(n) * 2880, Sequence: uint16(n)}, media.Opus)
				if n%10 == 0 {
					r.Sent([]byte{0xf8, 0xff, 0xfe}, media.Opus, uint32(n)*2880, uint16(n), false, at)
				}
				n++
			}
			time.Sleep(6 * time.Second)
		}
		r.Close(time.Now())
		<-r.Done()
		e := b.finished(1)[0]
		if e.Duration != 24*time.Hour || e.Packets != uint64(n+n/10) || e.Lost != 0 || n>>16 < 20 {
			t.Fatalf("%+v, %d packets", e, n)
		}
		b.verify(e, Sound)
		x := b.reader(e)
		if len(x.index) > maxIndex || len(x.index) < maxIndex/2 {
			t.Errorf("index of %d entries", len(x.index))
		}
		for _, at := range []time.Duration{0, time.Second, 65536 * 60 * msec, 23*time.Hour + 59*time.Minute, 12 * time.Hour} {
			must(t, x.Seek(at))
			var p Packet
			for must(t, x.Next(&p)); p.Side != Customer; must(t, x.Next(&p)) {
			}
			want := int((at + 59*msec) / (60 * msec))
			if got := int(p.Payload[1]) | int(p.Payload[2])<<8 | int(p.Payload[3])<<16; got != want || p.Sequence != uint16(want) || p.At != time.Duration(want)*60*msec {
				t.Errorf("seek to %v: packet %d at %v, want %d", at, got, p.At, want)
			}
		}
	})
}

func TestTwoSixtyMillisecondSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, nil)
		defer b.stop()
		r := b.start("call-1")
		n := talk(r, time.Minute, 60*msec)
		r.Close(time.Now())
		<-r.Done()
		e := b.finished(1)[0]
		b.verify(e, Sound)
		if got := play(t, b.reader(e)); len(got) != n || got[n-1].At != time.Duration(n/2-1)*60*msec {
			t.Errorf("%d packets of %d, last at %v", len(got), n, got[len(got)-1].At)
		}
	})
}

// TestSenderNumbersMayRepeatAndRewind: the wire's numbers are kept, not trusted.
func TestSenderNumbersMayRepeatAndRewind(t *testing.T) {
	b := newBox(t, nil)
	defer b.stop()
	r := b.start("call-1")
	numbers := []uint16{7, 7, 6, 65535, 0, 0, 7, 7}
	for _, n := range numbers {
		r.Received(&media.Packet{Payload: []byte("same"), Arrival: time.Now(), Timestamp: uint32(n), Sequence: n}, media.Opus)
	}
	r.Close(time.Now())
	<-r.Done()
	e := b.finished(1)[0]
	b.verify(e, Sound)
	var got []uint16
	for _, p := range play(t, b.reader(e)) {
		got = append(got, p.Sequence)
	}
	if d := cmp.Diff(numbers, got); d != "" {
		t.Error(d)
	}
	raw, err := os.ReadFile(b.path(e))
	must(t, err)
	seen := map[string]bool{}
	for _, f := range framesOf(t, raw) {
		if f.source == int(Customer) {
			seen[string(f.packet[rtpSize:rtpSize+prefixSize])] = true
		}
	}
	if len(seen) != len(numbers) {
		t.Errorf("%d different ciphertexts of %d packets", len(seen), len(numbers))
	}
}

func TestUnusablePacketsAreCountedAsLost(t *testing.T) {
	b := newBox(t, nil)
	defer b.stop()
	r := b.start("call-1")
	r.Sent(make([]byte, maxPayload), media.Opus, 0, 0, false, time.Now())
	r.Sent(make([]byte, maxPayload+1), media.Opus, 0, 0, false, time.Now())
	r.Sent([]byte{1}, media.CodecNone, 0, 0, false, time.Now())
	r.Sent(nil, media.Opus, 0, 0, false, time.Now())
	r.Close(time.Now())
	<-r.Done()
	if e := b.finished(1)[0]; e.Packets != 2 || e.Lost != 2 || b.metric("frames_lost_total") != 2 {
		t.Errorf("%+v", e)
	}
}

func TestManySpeakersAtOnce(t *testing.T) {
	b := newBox(t, nil)
	var calls sync.WaitGroup
	for i := range 20 {
		calls.Go(func() {
			r := b.start(fmt.Sprint("call-", i))
			var sides sync.WaitGroup
			for side := range 2 {
				sides.Go(func() {
					for n := range 500 {
						if side == 0 {
							r.Received(&media.Packet{Payload: []byte("x"), Arrival: time.Now()}, media.Opus)
						} else {
							r.Sent([]byte("y"), media.Opus, 0, 0, false, time.Now())
						}
						if n%100 == 50 {
							r.Mark(Held, time.Now())
						}
					}
				})
			}
			sides.Wait()
			r.Close(time.Now())
			<-r.Done()
		})
	}
	calls.Wait()
	b.stop()
	for _, e := range b.finished(20) {
		if e.Packets+e.Lost != 1000 {
			t.Errorf("%+v", e)
		}
		b.verify(e, Sound)
	}
}

func TestTapAllocatesNothing(t *testing.T) {
	r := &Recording{start: time.Now(), clock: time.Now, buf: make([]byte, 0, 64<<10)}
	p := &media.Packet{Payload: make([]byte, 60), Arrival: time.Now()}
	if n := testing.AllocsPerRun(1000, func() {
		r.Received(p, media.Opus)
		r.Sent(p.Payload, media.Opus, 1, 2, false, p.Arrival)
		r.Mark(Held, p.Arrival)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLedgerFailureStopsNoRecording(t *testing.T) {
	b := newBox(t, nil)
	defer b.stop()
	b.ledger.err = errors.New("store is stuck")
	r := b.start("call-1")
	speak(r, 0)
	r.Close(time.Now())
	<-r.Done()
	b.verify(b.finished(1)[0], Sound)
	if n := b.metric("ledger_errors_total"); n != 2 {
		t.Errorf("%v errors counted", n)
	}
}

func TestConfigurationErrorsAreAllNamed(t *testing.T) {
	_, err := New(Config{RingBytes: 5})
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	for _, want := range []string{"folder", "keyring", "ring of 5"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no word of %s", err, want)
		}
	}
}
