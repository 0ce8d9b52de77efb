package legtest

import (
	"sync"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

// Menu makes a menu's leg that speaks for at least some seconds, unless the caller's key (any) or a hang-up ends it.
type Menu func(t *testing.T, n bridge.Notify) bridge.Leg

// RunMenu runs what of the suite holds for a leg that is nobody: it is leg B only, answers at once, and has no far end.
func RunMenu(t *testing.T, dial Menu) {
	begin := func(t *testing.T) (bridge.Leg, *events) {
		t.Helper()
		ev := newEvents()
		l := dial(t, ev.notify)
		ev.own(t, l)
		return l, ev
	}
	t.Run("answers at once, without ringing", func(t *testing.T) {
		l, ev := begin(t)
		ev.wait(t, bridge.EventAnswered)
		if k := l.Kind(); k != bridge.KindMenu || l.Record().Kind != k {
			t.Errorf("kind %s, in the record %s", k, l.Record().Kind)
		}
		if l.Stream().Format().Codec == media.CodecNone {
			t.Error("no format after the answer")
		}
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		ev.ended(t, bridge.ReasonHangup)
		ev.never(t, bridge.EventRinging)
		ev.never(t, bridge.EventAccepted)
	})
	t.Run("we hang up twice", func(t *testing.T) {
		l, ev := begin(t)
		ev.wait(t, bridge.EventAnswered)
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		l.Hangup(bridge.Cause{Reason: bridge.ReasonInternal})
		ev.ended(t, bridge.ReasonHangup)
	})
	t.Run("cancelled at once", func(t *testing.T) {
		l, ev := begin(t)
		l.Hangup(bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled})
		ev.ended(t, bridge.ReasonCancelled)
	})
	t.Run("it ends by itself while we hang up", func(t *testing.T) {
		l, ev := begin(t)
		l.Stream().SetSink(&countingSink{})
		var both sync.WaitGroup
		both.Go(func() { l.Stream().SendDigit('1') })
		both.Go(func() { l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup}) })
		both.Wait()
		ev.ended(t, "")
	})
	t.Run("an ended leg takes anything", func(t *testing.T) {
		l, ev := begin(t)
		takesAnything(t, l, ev)
	})
	t.Run("it is heard, and counts what passes", func(t *testing.T) {
		l, ev := begin(t)
		ev.wait(t, bridge.EventAnswered)
		f := l.Stream().Format()
		rate := media.EncodeRate(f.Codec)
		dec, err := media.NewDecoder(f.Codec, rate)
		if err != nil {
			t.Fatal(err)
		}
		sink := &decodingSink{dec: dec, buf: make([]int16, rate)}
		l.Stream().SetSink(sink)
		l.Stream().SendFrame(&media.Frame{Payload: media.SilenceFrame(f.Codec, 960), Ticks: f.Codec.Ticks(20 * time.Millisecond)})
		until(t, "a second of speech", func() bool {
			pcm := sink.pcm()
			return len(pcm) > rate && media.Level(pcm) > -40
		})
		l.Stream().SetSink(nil)
		l.Hangup(bridge.Cause{Reason: bridge.ReasonHangup})
		ev.ended(t, "")
		if s := l.Stream().Stats(); s.Received < 50 || s.FirstReceived.IsZero() || s.Sent != 1 {
			t.Errorf("counters %+v", s)
		}
	})
	t.Run("a sink that was taken away gets nothing more", func(t *testing.T) {
		l, ev := begin(t)
		ev.wait(t, bridge.EventAnswered)
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
}
