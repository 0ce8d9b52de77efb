package bridge

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"deskbridge/media"
)

// tapStream is a stream that can be listened to.
type tapStream struct {
	*fakeStream
	mu  sync.Mutex
	tap media.Tap
}

func (s *tapStream) SetTap(t media.Tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tap = t
}

func (s *tapStream) tapped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tap != nil
}

// tapLeg is a fake customer whose audio can be recorded.
type tapLeg struct {
	*fakeLeg
	tape *tapStream
}

func (l tapLeg) Stream() media.Stream { return l.tape }

// memRecorder notes what a call does with its recording.
type memRecorder struct {
	mu  sync.Mutex
	did []string
}

func (r *memRecorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, s)
}

func (r *memRecorder) Record(RecordingInfo) (Recording, error) { r.note("record"); return r, nil }
func (r *memRecorder) ID() string                              { return "rec1" }
func (r *memRecorder) Mark(k MarkKind, _ time.Time)            { r.note("mark " + string(k)) }
func (r *memRecorder) Pause(time.Time)                         { r.note("pause") }
func (r *memRecorder) Resume(time.Time)                        { r.note("resume") }
func (r *memRecorder) Close(time.Time)                         { r.note("close") }
func (r *memRecorder) Received(*media.Packet, media.Codec)     {}
func (r *memRecorder) Sent([]byte, media.Codec, uint32, uint16, bool, time.Time) {
}

// recorded makes an inbound call with this plan that a phone has answered.
func recorded(t *testing.T, plan RecordingPlan) (w *world, phone *fakePhone, tape *tapStream, rec *memRecorder) {
	phone, rec = sip(), &memRecorder{}
	w = newWorld(t, phone)
	w.cfg.Recorder = rec
	w.cfg.Router = routerFunc(func(context.Context, Offer) (Route, Cause) {
		return Route{Line: "main", Stage: Stage{Targets: []Target{{Dialer: phone, Name: "phone:1001"}}}, Recording: plan}, Cause{}
	})
	w.Offer(Offer{Direction: Inbound, Line: "main", Wacid: "wacid.in", Open: func(_ string, n Notify) Leg {
		w.a = newFakeLeg(KindWhatsApp, n)
		tape = &tapStream{fakeStream: w.a.stream}
		return tapLeg{w.a, tape}
	}})
	synctest.Wait()
	phone.leg.emit(EventAnswered)
	synctest.Wait()
	return w, phone, tape, rec
}

func press(l *fakeLeg, keys string) {
	for _, k := range keys {
		l.notify(Event{Kind: EventDigit, Digit: media.Digit(k)})
	}
	synctest.Wait()
}

func (r *memRecorder) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.did, want) {
		t.Errorf("recorder: %q, want %q", r.did, want)
	}
}

func TestTheAnnouncementComesBeforeTheFirstRecordedPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, phone, tape, rec := recorded(t, RecordingPlan{Mode: RecordAlways, Consent: media.Tone(440, 16000, 2*time.Second), ConsentRate: 16000})
		phone.leg.stream.receive(1)
		if tape.tapped() || phone.leg.stream.joined() {
			t.Error("recorded or joined before the announcement was over")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := w.a.stream.sentFrames(); n < 95 || n > 105 {
			t.Errorf("the customer heard %d frames of the 100 of the announcement", n)
		}
		if n := phone.leg.stream.sentFrames(); n < 95 {
			t.Errorf("the agent heard %d frames of it", n)
		}
		if !tape.tapped() {
			t.Error("not recorded after it")
		}
		n := w.a.stream.sentFrames()
		phone.leg.stream.receive(2)
		if w.a.stream.sentFrames() == n {
			t.Error("not joined after it")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		rec.want(t, "record", "mark consent", "close")
		if tape.tapped() || w.ledger.last().CDR.Recording != "rec1" {
			t.Error("the tap stays, or the record does not name the recording")
		}
	})
}

func TestTheCustomersKeyGoesOnUnrecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, phone, tape, rec := recorded(t, RecordingPlan{Mode: RecordAlways, Consent: media.Tone(440, 16000, 5*time.Second), ConsentRate: 16000, Refuse: '9', Toggle: "*1"})
		time.Sleep(time.Second)
		press(phone.leg, "9") // the agent cannot refuse for the customer
		if phone.leg.stream.joined() {
			t.Fatal("joined too early")
		}
		press(w.a, "9")
		if !phone.leg.stream.joined() {
			t.Error("the refusal does not end the announcement")
		}
		press(phone.leg, "*1")
		if tape.tapped() {
			t.Error("recorded against the customer's will")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		rec.want(t)
	})
}

func TestKeysBeginPauseAndResumeARecordingOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, phone, tape, rec := recorded(t, RecordingPlan{Mode: RecordDemand, Toggle: "*1"})
		if tape.tapped() {
			t.Fatal("recorded without demand")
		}
		press(w.a, "*1") // the customer's keys mean nothing here
		press(phone.leg, "*1")
		if !tape.tapped() {
			t.Fatal("not recorded on demand")
		}
		press(phone.leg, "*1")
		press(phone.leg, "*1")
		if got := w.a.stream.keys(); got != "" {
			t.Errorf("the customer heard the keys %q of the toggle", got)
		}
		press(phone.leg, "*")
		press(phone.leg, "7")
		press(phone.leg, "*")
		time.Sleep(toggleWait + time.Second)
		synctest.Wait()
		if got := w.a.stream.keys(); got != "*7*" {
			t.Errorf("keys that are no toggle reach the customer as %q", got)
		}
		phone.leg.emit(EventHold)
		phone.leg.emit(EventResume)
		synctest.Wait()
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		rec.want(t, "record", "pause", "resume", "mark hold", "mark resumed", "close")
	})
}

func TestOnDemandTheAnnouncementInterruptsTheTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, phone, tape, rec := recorded(t, RecordingPlan{Mode: RecordDemand, Toggle: "*1", Consent: media.Tone(440, 16000, time.Second), ConsentRate: 16000})
		press(phone.leg, "*1")
		if tape.tapped() || phone.leg.stream.joined() {
			t.Error("recorded or joined while the announcement plays")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !tape.tapped() || !phone.leg.stream.joined() {
			t.Error("not recorded or not joined after it")
		}
		w.a.end(Cause{Fault: FaultNobody, Reason: ReasonHangup})
		w.stop(t)
		rec.want(t, "record", "mark consent", "close")
	})
}

func (s *fakeStream) joined() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sink != nil
}

func (s *fakeStream) keys() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.digits)
}
