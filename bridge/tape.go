package bridge

import (
	"time"

	"deskbridge/media"
)

// toggleWait is how long the keys of a toggle may take. Its first keys are held back so long: the far side must not get half
// of a command.
const toggleWait = 2 * time.Second

// tape is what a call knows about its recording. It belongs to the call's goroutine.
type tape struct {
	rec     Recording
	paused  bool
	refused bool // the customer went on unrecorded
	wanted  bool // the agent asked for it
	told    bool // the announcement was heard

	pressed []media.Digit // of the toggle, so far
	flush   *time.Timer   // passes them on when no more come
	players []*media.Player
}

// customer is the WhatsApp end, nil while there is none that was answered.
func (c *call) customer() *end {
	for _, e := range []*end{c.a, c.winner} {
		if e != nil && e.leg != nil && e.leg.Kind() == KindWhatsApp {
			return e
		}
	}
	return nil
}

// records reports whether the call as it stands is one to be recorded: two people, a plan for it, and nobody against.
func (c *call) records() bool {
	t, p := &c.tape, c.route.Recording
	return c.x.cfg.Recorder != nil && c.winner != nil && c.winner.leg.Kind() != KindMenu && c.customer() != nil && !t.refused && t.rec == nil &&
		(p.Mode == RecordAlways || p.Mode == RecordDemand && t.wanted)
}

// mustAnnounce reports whether the ends must hear that they are recorded before they go on.
func (c *call) mustAnnounce() bool {
	return len(c.route.Recording.Consent) > 0 && !c.tape.told && c.records()
}

// announce plays the announcement to both ends. They are joined when it is over.
func (c *call) announce() {
	c.a.leg.Stream().SetSink(nil)
	c.winner.leg.Stream().SetSink(nil)
	c.joined = [2]media.Format{}
	for _, e := range []*end{c.a, c.winner} {
		p, err := media.NewPlayer(e.leg.Stream(), c.route.Recording.Consent, c.route.Recording.ConsentRate, false)
		if err != nil {
			c.log.Error("the recording announcement cannot be played, so the call is not recorded", "err", err)
			c.tape.refused = true
			c.post(message{in: inAnnounced})
			return
		}
		c.tape.players = append(c.tape.players, p)
	}
	players := c.tape.players
	for _, p := range players {
		p.Start()
	}
	c.deciding.Go(func() { // ends with the players, which end with the call
		for _, p := range players {
			<-p.Done()
		}
		c.post(message{in: inAnnounced})
	})
}

// consentDigit is the customer's no.
func (c *call) consentDigit(from *end, d media.Digit) {
	if r := c.route.Recording.Refuse; r == 0 || d != r || from != c.customer() {
		return
	}
	c.log.Info("the customer goes on unrecorded")
	c.tape.refused = true
	c.tape.stopPlayers()
}

func (t *tape) stopPlayers() {
	for _, p := range t.players {
		p.Stop()
	}
	t.players = nil
}

// startRecording taps the customer's leg.
func (c *call) startRecording() {
	announced := len(c.tape.players) > 0
	c.tape.stopPlayers()
	if !c.records() {
		return
	}
	c.tape.told = true
	tappable, ok := c.customer().leg.Stream().(media.Tappable)
	if !ok {
		return
	}
	cdr := c.snapshot()
	rec, err := c.x.cfg.Recorder.Record(RecordingInfo{Call: c.id, Line: cdr.Line, Direction: cdr.Direction, Agent: cdr.Agent, Customer: cdr.Customer.ID})
	if err != nil {
		c.x.metrics.unrecorded.Inc()
		c.log.Error("the call is not recorded; check the recording disk", "err", err)
		return
	}
	c.tape.rec = rec
	c.update(func(r *CDR) { r.Recording = rec.ID() })
	if announced {
		rec.Mark(MarkConsent, time.Now())
	}
	tappable.SetTap(rec)
}

func (t *tape) mark(k MarkKind) {
	if t.rec != nil {
		t.rec.Mark(k, time.Now())
	}
}

// toggleRecording stops or resumes the recording; it begins one that is made on demand.
func (c *call) toggleRecording() {
	t := &c.tape
	switch {
	case t.rec == nil:
		t.wanted = true
		if c.mustAnnounce() {
			c.step(inAnnounce, nil)
			return
		}
		c.startRecording()
	case t.paused:
		t.paused = false
		t.rec.Resume(time.Now())
	default:
		t.paused = true
		t.rec.Pause(time.Now())
	}
	c.x.changed()
}

// close ends the recording. The tap is removed first: nothing comes after the end.
func (t *tape) close(c *call) {
	t.stopPlayers()
	if t.flush != nil {
		t.flush.Stop()
	}
	if t.rec == nil {
		return
	}
	if e := c.customer(); e != nil {
		if s, ok := e.leg.Stream().(media.Tappable); ok {
			s.SetTap(nil)
		}
	}
	t.rec.Close(time.Now())
	t.rec = nil
}

// keys filters the agent's keys for the toggle and returns what goes on to the other end now.
func (c *call) keys(from *end, d media.Digit) []media.Digit {
	t, toggle := &c.tape, c.route.Recording.Toggle
	if toggle == "" || c.x.cfg.Recorder == nil || from == c.customer() || c.other(from).leg.Kind() == KindMenu {
		return []media.Digit{d}
	}
	if t.flush != nil {
		t.flush.Stop()
	}
	t.pressed = append(t.pressed, d)
	if string(t.pressed) == toggle {
		t.pressed = nil
		c.toggleRecording()
		return nil
	}
	if len(t.pressed) < len(toggle) && toggle[:len(t.pressed)] == string(t.pressed) {
		t.flush = time.AfterFunc(toggleWait, func() { c.post(message{do: func() { c.flushKeys(from) }}) })
		return nil
	}
	return t.take()
}

// flushKeys passes on the keys that began like the toggle and were none.
func (c *call) flushKeys(from *end) {
	if other := c.other(from); other != nil && c.state < stateEnding {
		for _, d := range c.tape.take() {
			other.leg.Stream().SendDigit(d)
		}
	}
}

func (t *tape) take() []media.Digit {
	keys := t.pressed
	t.pressed = nil
	return keys
}
