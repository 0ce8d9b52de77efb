package media

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
)

const ms = time.Millisecond

var opusFormat = Format{Codec: Opus, PTime: 20 * ms}

// number makes a recognisable payload.
func number(n int) []byte { return []byte{byte(n), byte(n >> 8), 0xee} }

func opusFrameOf(n int) *Frame { return &Frame{Payload: number(n), Ticks: 960} }

func bubble(t *testing.T, cfg OutletConfig, test func(t *testing.T, o *Outlet, w *wire)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		cfg.Write = w.write
		if cfg.Format.Codec == CodecNone {
			cfg.Format = opusFormat
		}
		o := NewOutlet(cfg)
		test(t, o, w)
		o.Close()
		before := len(w.all())
		o.SendFrame(opusFrameOf(1))
		o.SendDigit('1')
		time.Sleep(10 * time.Second)
		if after := len(w.all()); after != before {
			t.Errorf("%d packets after Close", after-before)
		}
	})
}

// checkLine fails on more than one SSRC, a sequence that doesn't rise by one, and audio timestamps that don't go with it.
func checkLine(t *testing.T, packets []sent, audioType uint8, ticks uint32) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		p, q := packets[i-1], packets[i]
		if q.SSRC != p.SSRC {
			t.Errorf("packet %d: SSRC changed", i)
		}
		if q.SequenceNumber != p.SequenceNumber+1 {
			t.Errorf("packet %d: sequence went from %d to %d", i, p.SequenceNumber, q.SequenceNumber)
		}
		if p.PayloadType == audioType && q.PayloadType == audioType && q.Timestamp-p.Timestamp != ticks {
			t.Errorf("packet %d: timestamp rose by %d, want %d", i, int32(q.Timestamp-p.Timestamp), ticks)
		}
	}
}

func times(packets []sent) string {
	s := ""
	for _, p := range packets {
		s += fmt.Sprintf("%d ", p.at.Milliseconds())
	}
	return s
}

func isSilence(p sent) bool { return bytes.Equal(p.payload, SilenceFrame(Opus, 960)) }

func TestClosedGateWritesNothingAndLosesNothing(t *testing.T) {
	bubble(t, OutletConfig{Gated: true, Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		for i := range 10 {
			o.SendFrame(opusFrameOf(i))
			time.Sleep(20 * ms)
		}
		o.SendFrame(&Frame{Payload: number(99), Ticks: 960, Concealed: true})
		if n := len(w.all()); n != 0 {
			t.Fatalf("%d packets before the gate opened", n)
		}
		opened := time.Since(w.began)
		o.OpenGate()
		if n := len(w.all()); n != 1 {
			t.Fatalf("%d packets at the moment the gate opened, want 1", n)
		}
		for i := 10; i < 30; i++ { // the source goes on meanwhile
			o.SendFrame(opusFrameOf(i))
			time.Sleep(20 * ms)
		}
		got := w.all()
		if len(got) != 30 {
			t.Fatalf("%d packets, want 30", len(got))
		}
		for i, p := range got {
			if !bytes.Equal(p.payload, number(i)) {
				t.Fatalf("packet %d is frame %v", i, p.payload)
			}
		}
		// 10 waiting and one joining every 20 ms: emptied at 10 ms each within 200 ms, then no delay is left.
		for i := 1; i < 18; i++ {
			if d := got[i].at - got[i-1].at; d != 10*ms {
				t.Errorf("frame %d left %v after the one before, want 10ms (%s)", i, d, times(got))
			}
		}
		if late := got[29].at - opened - 19*20*ms; late != 0 {
			t.Errorf("last frame left %v late", late)
		}
		checkLine(t, got, 0, 960)
		var s Stats
		o.FillStats(&s)
		if s.GateBuffered != 10 || s.GateDropped != 0 || s.Sent != 30 || s.Filler != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestGateKeepsTheLast300ms(t *testing.T) {
	bubble(t, OutletConfig{Gated: true}, func(t *testing.T, o *Outlet, w *wire) {
		for i := range 20 { // not started either: the same wait
			o.SendFrame(opusFrameOf(i))
		}
		o.Start()
		o.OpenGate()
		time.Sleep(time.Second)
		got := w.all()
		if len(got) != 15 || !bytes.Equal(got[0].payload, number(5)) {
			t.Fatalf("%d packets beginning with %v", len(got), got[0].payload)
		}
		var s Stats
		o.FillStats(&s)
		if s.GateDropped != 5 {
			t.Errorf("%d dropped, want 5", s.GateDropped)
		}
	})
}

func TestOpenGateSpeaksAtOnceEvenWithoutASource(t *testing.T) {
	bubble(t, OutletConfig{Gated: true, Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		time.Sleep(3 * time.Second)
		o.OpenGate()
		time.Sleep(99 * ms)
		got := w.all()
		if len(got) != 5 || got[0].at != 3*time.Second {
			t.Fatalf("%d packets at %s", len(got), times(got))
		}
		for _, p := range got {
			if !isSilence(p) {
				t.Errorf("not silence: %x", p.payload)
			}
		}
		checkLine(t, got, 0, 960)
	})
}

func TestLoneFramesAreNotDelayed(t *testing.T) {
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		// 30 ms of jitter, but in order.
		jitter := []int{0, 30, 20, 25, 10, 0, 28, 30, 20, 6, 0}
		at := time.Now()
		for i := range 300 {
			due := at.Add(time.Duration(i)*20*ms + time.Duration(jitter[i%len(jitter)])*ms)
			time.Sleep(time.Until(due))
			before := len(w.all())
			o.SendFrame(opusFrameOf(i))
			if got := w.all(); len(got) != before+1 {
				t.Fatalf("frame %d did not leave at once", i)
			}
		}
		var s Stats
		o.FillStats(&s)
		if s.Filler > 2 { // before the first frame
			t.Errorf("%d filler frames", s.Filler)
		}
		checkLine(t, w.all(), 0, 960)
	})
}

func TestSplitPacketsLeaveAtTheirOwnPace(t *testing.T) {
	for _, pieces := range []int{1, 2, 3} { // packets of 20, 40 and 60 ms
		bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
			o.Start()
			w.take()
			n := 0
			for range 40 {
				for range pieces {
					o.SendFrame(opusFrameOf(n))
					n++
				}
				time.Sleep(time.Duration(pieces) * 20 * ms)
			}
			got := w.all()
			if len(got) != n {
				t.Fatalf("pieces %d: %d packets, want %d", pieces, len(got), n)
			}
			for i, p := range got {
				if !bytes.Equal(p.payload, number(i)) {
					t.Fatalf("packet %d is frame %v", i, p.payload)
				}
				if i > 0 && p.at-got[i-1].at != 20*ms {
					t.Errorf("pieces %d: frame %d left %v after the one before", pieces, i, p.at-got[i-1].at)
				}
			}
			checkLine(t, got, 0, 960)
		})
	}
}

func TestFlatFramesOfEveryPTimeKeepTheLine(t *testing.T) {
	for _, ptime := range []time.Duration{10 * ms, 20 * ms, 30 * ms, 40 * ms, 60 * ms} {
		cfg := OutletConfig{Format: Format{PCMA, ptime}, PayloadType: 8, Fill: true}
		bubble(t, cfg, func(t *testing.T, o *Outlet, w *wire) {
			o.Start()
			time.Sleep(time.Second - 1)
			ticks := PCMA.Ticks(ptime)
			got := w.all()
			want := int((time.Second + ptime - 1) / ptime)
			if len(got) != want || len(got[0].payload) != int(ticks) {
				t.Fatalf("ptime %v: %d silence packets of %d bytes, want %d", ptime, len(got), len(got[0].payload), want)
			}
			for range 20 {
				o.SendFrame(&Frame{Payload: make([]byte, ticks), Ticks: ticks})
				time.Sleep(ptime)
			}
			if n := len(w.all()); n != want+20 {
				t.Errorf("ptime %v: %d packets, want %d", ptime, n, want+20)
			}
			checkLine(t, w.all(), 8, ticks)
		})
	}
}

func TestQuietSourceIsFilled(t *testing.T) {
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		for i := range 50 {
			o.SendFrame(opusFrameOf(i))
			time.Sleep(20 * ms)
		}
		w.take()
		quiet := time.Since(w.began)
		time.Sleep(30*time.Second - 1)
		got := w.all()
		first := got[0].at - quiet
		if first < 55*ms || first > 80*ms { // the first silence put the line a little ahead
			t.Errorf("silence began %v after the source fell behind, want 60ms", first)
		}
		if n := len(got); n < 1498 || n > 1502 {
			t.Errorf("%d silence frames in 30 s", n)
		}
		for i := 6; i < len(got); i++ {
			if d := got[i].at - got[i-1].at; d != 20*ms {
				t.Fatalf("silence frame %d after %v", i, d)
			}
		}
		o.SendFrame(opusFrameOf(7))
		checkLine(t, w.all(), 0, 960)
	})
}

func TestSkewedSourceIsNeverFilled(t *testing.T) {
	for _, step := range []time.Duration{20*ms + 10*time.Microsecond, 20*ms - 10*time.Microsecond} { // 500 ppm
		bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
			o.Start()
			for i := range 30000 { // 10 minutes: 300 ms apart without a base that follows
				o.SendFrame(opusFrameOf(i))
				if i%100 == 0 {
					w.take()
				}
				time.Sleep(step)
			}
			var s Stats
			o.FillStats(&s)
			if s.Filler > 1 || s.Sent != 30000+s.Filler {
				t.Errorf("step %v: %d filler, %d sent", step, s.Filler, s.Sent)
			}
			o.mu.Lock()
			if lag := time.Since(o.line.end).Abs(); lag > 25*ms {
				t.Errorf("step %v: line is %v from the clock", step, lag)
			}
			o.mu.Unlock()
		})
	}
}

func TestLossIsPassedOnAsAGap(t *testing.T) {
	bubble(t, OutletConfig{}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendFrame(opusFrameOf(0))
		time.Sleep(60 * ms)
		o.SendFrame(&Frame{Payload: number(1), Ticks: 960, Lost: 2})
		got := w.all()
		if ds, dt := got[1].SequenceNumber-got[0].SequenceNumber, got[1].Timestamp-got[0].Timestamp; ds != 3 || dt != 3*960 {
			t.Errorf("sequence +%d, timestamp +%d, want +3, +2880", ds, dt)
		}
	})
}

func TestSilenceStandsInForLostFramesOnce(t *testing.T) {
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		o.SendFrame(opusFrameOf(0))
		time.Sleep(200 * ms) // 9 frames lost, silence sent for some
		filler := len(w.all()) - 1
		if filler < 7 || filler > 10 {
			t.Fatalf("%d silence frames in 200 ms", filler)
		}
		o.SendFrame(&Frame{Payload: number(1), Ticks: 960, Lost: 9})
		got := w.all()
		skipped := int(got[len(got)-1].SequenceNumber-got[len(got)-2].SequenceNumber) - 1
		if want := max(9-filler, 0); skipped != want {
			t.Errorf("%d numbers left out after %d silence frames, want %d", skipped, filler, want)
		}
	})
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.take()
		o.SendFrame(opusFrameOf(0))
		time.Sleep(100 * ms)
		filler := len(w.all()) - 1
		for i := range 5 {
			o.SendFrame(&Frame{Payload: number(90 + i), Ticks: 960, Concealed: true})
		}
		o.SendFrame(opusFrameOf(1))
		time.Sleep(10 * ms)
		concealed := 0
		for _, p := range w.all() {
			if p.payload[0] >= 90 && p.payload[0] < 95 {
				concealed++
			}
		}
		if filler == 0 || concealed != max(5-filler, 0) {
			t.Errorf("%d made-up frames sent after %d silence frames", concealed, filler)
		}
		checkLine(t, w.all(), 0, 960)
	})
}

func TestQuietWithoutFillShowsInTheTimestamp(t *testing.T) {
	bubble(t, OutletConfig{}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendFrame(opusFrameOf(0))
		time.Sleep(time.Second)
		o.SendFrame(opusFrameOf(1))
		got := w.all()
		if len(got) != 2 || !got[1].Marker || got[1].Timestamp-got[0].Timestamp != 48000 {
			t.Errorf("marker %v, timestamp +%d", got[1].Marker, got[1].Timestamp-got[0].Timestamp)
		}
	})
}

func TestPauseSendsNothingAndTheLineGoesOn(t *testing.T) {
	bubble(t, OutletConfig{Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendFrame(opusFrameOf(0))
		o.Pause(true)
		before := w.take()
		o.SendFrame(opusFrameOf(1))
		time.Sleep(2 * time.Second)
		if n := len(w.all()); n != 0 {
			t.Fatalf("%d packets while paused", n)
		}
		o.Pause(false)
		o.SendFrame(opusFrameOf(2))
		p, q := before[len(before)-1], w.all()[0]
		if q.SSRC != p.SSRC || q.SequenceNumber != p.SequenceNumber+1 || !q.Marker {
			t.Errorf("after the pause: %+v, before: %+v", q.Header, p.Header)
		}
		if gap := Opus.Duration(q.Timestamp - p.Timestamp); gap < 1960*ms || gap > 2040*ms {
			t.Errorf("timestamp moved by %v over 2 s", gap)
		}
	})
}

func TestSetFormatKeepsTheLine(t *testing.T) {
	bubble(t, OutletConfig{PayloadType: 111, Fill: true}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		o.SendFrame(opusFrameOf(0))
		last := w.all()[len(w.all())-1]
		time.Sleep(20 * ms)
		o.SetFormat(Format{PCMA, 30 * ms}, 8, nil)
		if o.Format() != (Format{PCMA, 30 * ms}) {
			t.Error("format not in force")
		}
		w.take()
		for range 3 {
			o.SendFrame(&Frame{Payload: make([]byte, 240), Ticks: 240})
			time.Sleep(30 * ms)
		}
		got := append([]sent{last}, w.all()...)
		if got[1].PayloadType != 8 || got[1].Timestamp != last.Timestamp+960 {
			t.Errorf("payload type %d, timestamp +%d", got[1].PayloadType, got[1].Timestamp-last.Timestamp)
		}
		checkLine(t, got, 8, 240)
	})
}

func TestSendErrorsAreCountedAndTheLineGoesOn(t *testing.T) {
	bubble(t, OutletConfig{}, func(t *testing.T, o *Outlet, w *wire) {
		o.Start()
		w.err = errors.New("no route")
		o.SendFrame(opusFrameOf(0))
		w.err = nil
		o.SendFrame(opusFrameOf(1))
		o.SendFrame(&Frame{Ticks: 960})
		o.SendFrame(&Frame{Payload: make([]byte, MaxPayload+1), Ticks: 960})
		time.Sleep(time.Second)
		var s Stats
		o.FillStats(&s)
		if s.SendErrors != 3 || s.Sent != 1 {
			t.Errorf("%+v", s)
		}
		checkLine(t, w.all(), 0, 960)
	})
}

func TestPanicInATimerEndsTheLineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panicked := make(chan any, 1)
		armed := false
		o := NewOutlet(OutletConfig{Format: opusFormat, Fill: true,
			Write: func(*rtp.Header, []byte) error {
				if armed {
					panic("broken")
				}
				return nil
			},
			Panicked: func(v any) { panicked <- v }})
		o.Start()
		o.mu.Lock()
		armed = true
		o.mu.Unlock()
		if v := <-panicked; v != "broken" {
			t.Errorf("told of %v", v)
		}
		o.SendFrame(opusFrameOf(1)) // must not reach Write
	})
}
