// Package legtest is the conformance suite of bridge.Leg. An adapter runs it with a Harness that puts a real far end
// behind its legs, over real sockets: Run(t, harness). It starts no goroutines that outlive a test.
package legtest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// Far is the person or phone at the other end of a leg. Its methods return when the far end has done its part, not when
// the leg has noticed.
type Far interface {
	Ring()               // a dialled far end begins to ring
	Answer()             // and answers
	Decline()            // or declines
	Hangup()             // ends or gives up, in any state
	Press(d media.Digit) // presses a key
	Pressed() []media.Digit
	// Play sends a tone from now on.
	Play(freq float64)
	// Heard returns the audio that arrived at the far end so far, at this sample rate.
	Heard() (pcm []int16, rate int)
}

// Harness makes legs with a far end. Legs are closed by the suite; far ends by t.Cleanup.
type Harness struct {
	// Incoming makes leg A: the far end calls us.
	Incoming func(t *testing.T, n bridge.Notify) (bridge.Leg, Far)
	// Dial makes leg B: we call the far end.
	Dial func(t *testing.T, n bridge.Notify) (bridge.Leg, Far)
	// NoDigitsOut is set when the far end cannot be sent digits.
	NoDigitsOut bool
}

// deadline bounds every wait of the suite. It is generous: nothing here measures speed.
const deadline = 20 * time.Second

// Run runs every test of the suite as a subtest.
func Run(t *testing.T, h Harness) {
	t.Run("incoming, answered, far end hangs up", func(t *testing.T) {
		l, far, ev := incoming(t, h)
		accept(t, l, ev)
		far.Hangup()
		ev.ended(t, bridge.ReasonHangup)
	})
	t.Run("incoming, answered, we hang up", func(t *testing.T) {
		l, _, ev := incoming(t, h)
		accept(t, l, ev)
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		ev.ended(t, "")
	})
	t.Run("incoming, we refuse at once", func(t *testing.T) {
		l, _, ev := incoming(t, h)
		l.Hangup(bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: "test"})
		ev.ended(t, "")
		ev.never(t, bridge.EventAccepted)
	})
	t.Run("incoming, nobody answers", func(t *testing.T) {
		l, _, ev := incoming(t, h)
		l.Prepare()
		l.Alert()
		l.Hangup(bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNoAnswer})
		ev.ended(t, "")
	})
	t.Run("incoming, far end gives up while it rings", func(t *testing.T) {
		l, far, ev := incoming(t, h)
		l.Prepare()
		l.Alert()
		far.Hangup()
		ev.ended(t, "")
		ev.never(t, bridge.EventAccepted)
	})
	t.Run("incoming, accepted without being prepared", func(t *testing.T) {
		l, far, ev := incoming(t, h)
		l.Accept()
		ev.wait(t, bridge.EventAccepted)
		far.Hangup()
		ev.ended(t, bridge.ReasonHangup)
	})
	t.Run("dialled, rings, answers, far end hangs up", func(t *testing.T) {
		_, far, ev := dial(t, h)
		far.Ring()
		ev.wait(t, bridge.EventRinging)
		far.Answer()
		ev.wait(t, bridge.EventAnswered)
		far.Hangup()
		ev.ended(t, bridge.ReasonHangup)
	})
	t.Run("dialled, answered, we hang up twice", func(t *testing.T) {
		l, far, ev := dial(t, h)
		far.Answer()
		ev.wait(t, bridge.EventAnswered)
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		l.Hangup(bridge.Cause{Reason: bridge.ReasonInternal})
		ev.ended(t, "")
	})
	t.Run("dialled and declined", func(t *testing.T) {
		_, far, ev := dial(t, h)
		far.Decline()
		ev.ended(t, bridge.ReasonDeclined)
		ev.never(t, bridge.EventAnswered)
	})
	t.Run("dialled, cancelled at once", func(t *testing.T) {
		l, _, ev := dial(t, h)
		l.Hangup(bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
		ev.ended(t, "")
	})
	t.Run("dialled, cancelled while it rings", func(t *testing.T) {
		l, far, ev := dial(t, h)
		far.Ring()
		ev.wait(t, bridge.EventRinging)
		l.Hangup(bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonAnsweredElsewhere})
		ev.ended(t, "")
		ev.never(t, bridge.EventAnswered)
	})
	t.Run("both sides hang up at the same moment", func(t *testing.T) {
		l, far, ev := dial(t, h)
		far.Answer()
		ev.wait(t, bridge.EventAnswered)
		var both sync.WaitGroup
		both.Go(far.Hangup)
		both.Go(func() { l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup}) })
		both.Wait()
		ev.ended(t, "")
	})
	t.Run("an ended leg takes anything", func(t *testing.T) {
		l, _, ev := incoming(t, h)
		takesAnything(t, l, ev)
	})
	t.Run("audio both ways, incoming", func(t *testing.T) {
		l, far, ev := incoming(t, h)
		accept(t, l, ev)
		audio(t, l, far)
		far.Hangup()
		ev.ended(t, bridge.ReasonHangup)
	})
	t.Run("audio both ways, dialled", func(t *testing.T) {
		l, far, ev := dial(t, h)
		far.Answer()
		ev.wait(t, bridge.EventAnswered)
		audio(t, l, far)
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		ev.ended(t, "")
		if s := l.Stream().Stats(); s.Received == 0 || s.Sent == 0 || s.FirstSent.IsZero() {
			t.Errorf("counters %+v", s)
		}
	})
	t.Run("a sink that was taken away gets nothing more", func(t *testing.T) {
		l, far, ev := dial(t, h)
		far.Answer()
		ev.wait(t, bridge.EventAnswered)
		far.Play(440)
		for range 20 {
			s := &countingSink{}
			l.Stream().SetSink(s)
			s.waitFirst(t)
			l.Stream().SetSink(nil)
			s.close()
		}
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		ev.ended(t, "")
	})
	t.Run("digits both ways", func(t *testing.T) {
		l, far, ev := incoming(t, h)
		accept(t, l, ev)
		far.Press('5')
		if d := ev.wait(t, bridge.EventDigit).Digit; d != '5' {
			t.Errorf("got digit %q", d)
		}
		if !h.NoDigitsOut {
			l.Stream().SendDigit('#')
			l.Stream().SendDigit('1')
			until(t, "the far end to get #1", func() bool { return slices.Equal(far.Pressed(), []media.Digit{'#', '1'}) })
		}
		far.Hangup()
		ev.ended(t, bridge.ReasonHangup)
	})
}

// audio checks by frequency that 440 Hz gets from the far end to us and 1000 Hz from us to the far end.
func audio(t *testing.T, l bridge.Leg, far Far) {
	t.Helper()
	f := l.Stream().Format()
	if f.Codec == media.CodecNone {
		t.Fatal("no format after the answer")
	}
	rate := media.EncodeRate(f.Codec)
	dec, err := media.NewDecoder(f.Codec, rate)
	if err != nil {
		t.Fatal(err)
	}
	sink := &decodingSink{dec: dec, buf: make([]int16, rate)}
	l.Stream().SetSink(sink)
	defer l.Stream().SetSink(nil)
	player, err := media.NewPlayer(l.Stream(), media.Tone(1000, 16000, time.Second), 16000, true)
	if err != nil {
		t.Fatal(err)
	}
	player.Start()
	defer player.Stop()
	far.Play(440)
	until(t, "440 Hz from the far end", func() bool { return lastHas(sink.pcm(), rate, 440) })
	until(t, "1000 Hz at the far end", func() bool {
		pcm, r := far.Heard()
		return lastHas(pcm, r, 1000)
	})
}

// lastHas reports whether the last half second is this tone.
func lastHas(pcm []int16, rate int, freq float64) bool {
	n := rate / 2
	return len(pcm) >= n && media.ToneLevel(pcm[len(pcm)-n:], rate, freq) > 0.8
}

func incoming(t *testing.T, h Harness) (bridge.Leg, Far, *events) {
	t.Helper()
	ev := newEvents()
	l, far := h.Incoming(t, ev.notify)
	ev.own(t, l)
	return l, far, ev
}

func dial(t *testing.T, h Harness) (bridge.Leg, Far, *events) {
	t.Helper()
	ev := newEvents()
	l, far := h.Dial(t, ev.notify)
	ev.own(t, l)
	return l, far, ev
}

func accept(t *testing.T, l bridge.Leg, ev *events) {
	t.Helper()
	l.Prepare()
	l.Alert()
	l.Accept()
	ev.wait(t, bridge.EventAccepted)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", deadline, what)
		}
		<-tick.C
	}
}

// takesAnything ends a leg, and then asks of it what it can no longer do.
func takesAnything(t *testing.T, l bridge.Leg, ev *events) {
	t.Helper()
	l.Hangup(bridge.Cause{Reason: bridge.ReasonCancelled})
	ev.ended(t, "")
	l.Prepare()
	l.Alert()
	l.Accept()
	l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
	l.Stream().SendDigit('1')
	l.Stream().SendFrame(&media.Frame{Payload: []byte{1}, Ticks: 160})
	l.Stream().SetSink(nil)
	_ = l.Record()
	ev.quiet(t)
}
