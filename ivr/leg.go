package ivr

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/media"
)

const (
	// settle is how long we wait before the first word once the caller's audio is joined and heard; unheard, a caller gets
	// patience: a customer's audio comes when Meta has taken our accept, and words said before that would be lost.
	settle   = 200 * time.Millisecond
	patience = time.Second
	// tail is the silence after the last word: what a phone still has in its jitter buffer is lost when the call ends.
	tail       = 400 * time.Millisecond
	keyTimeout = 5 * time.Second
	slowAction = time.Second
	// joinTimeout is how long a menu waits for its audio, maxLife how long it may take in all.
	joinTimeout = time.Minute
	maxLife     = 10 * time.Minute
	maxKeys     = 16
)

// leg is a menu in a call. Its goroutine owns everything below voice; mu guards what others bring.
type leg struct {
	m      *Menus
	menu   Menu
	script script
	inv    bridge.Invite
	notify bridge.Notify
	log    *slog.Logger
	stream *stream
	wake   chan struct{}

	mu     sync.Mutex
	keys   []media.Digit
	hangup *bridge.Cause
	ended  bridge.Cause

	voice     *voice
	state     state
	pending   Speech // to be put together next
	rendering bool
	owed      bool // inSpoken comes when all is said
	version   int  // of the speech: what was being put together before a hush is thrown away
	rendered  chan rendered
	renderer  sync.WaitGroup
	unrender  context.CancelFunc // nobody wants to hear any more what is being put together

	deed     int // counts actions: the outcome of one that was given up means nothing
	outcomes chan outcome
	outcome  Outcome

	timer   *time.Timer // the state machine's
	lead    *time.Timer // until the first word
	life    *time.Timer
	joined  time.Time // when there was a sink first
	started bool
	ending  bool // only the tail is left
	cause   bridge.Cause
}

type rendered struct {
	version int
	pcm     []int16
}

type outcome struct {
	deed int
	Outcome
}

var _ bridge.Leg = (*leg)(nil)

func newLeg(m *Menus, menu Menu, inv bridge.Invite, notify bridge.Notify) (*leg, error) {
	if menu.Zone == nil {
		menu.Zone = time.UTC
	}
	l := &leg{
		m: m, menu: menu, script: menu.script(), inv: inv, notify: notify,
		log:  m.log.With("call", inv.Call, "menu", menu.Name),
		wake: make(chan struct{}, 1), rendered: make(chan rendered, 1), outcomes: make(chan outcome, maxChoices),
	}
	l.stream = &stream{wake: l.rouse, key: l.press}
	var err error
	if l.voice, err = newVoice(l.stream); err != nil {
		return nil, err
	}
	l.unrender = func() {}
	l.timer, l.lead, l.life = stopped(), stopped(), time.NewTimer(joinTimeout)
	return l, nil
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Kind implements bridge.Leg.
func (l *leg) Kind() bridge.Kind { return bridge.KindMenu }

// Stream implements bridge.Leg.
func (l *leg) Stream() media.Stream { return l.stream }

// Prepare, Alert and Accept are for leg A, which a menu never is.
func (l *leg) Prepare() {}

// Alert does nothing: see Prepare.
func (l *leg) Alert() {}

// Accept does nothing: see Prepare.
func (l *leg) Accept() {}

// Hangup implements bridge.Leg.
func (l *leg) Hangup(c bridge.Cause) {
	l.mu.Lock()
	if l.hangup == nil {
		l.hangup = &c
	}
	l.mu.Unlock()
	l.rouse()
}

// Record implements bridge.Leg.
func (l *leg) Record() bridge.LegRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bridge.LegRecord{Kind: bridge.KindMenu, Peer: "menu:" + l.menu.Name, Codec: media.Opus.String(), Cause: l.ended, Stats: l.stream.Stats()}
}

func (l *leg) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *leg) press(d media.Digit) {
	l.mu.Lock()
	full := len(l.keys) >= maxKeys
	if !full {
		l.keys = append(l.keys, d)
	}
	l.mu.Unlock()
	if full {
		l.m.metrics.dropped.Inc()
	}
	l.rouse()
}

// run is the leg's goroutine.
func (l *leg) run() {
	l.live()
	l.unrender()
	for _, t := range []*time.Timer{l.timer, l.lead, l.life} {
		t.Stop()
	}
	l.voice.stop()
	l.stream.SetSink(nil)
	l.renderer.Wait()
	l.mu.Lock()
	l.ended = l.cause
	l.mu.Unlock()
	l.m.metrics.active.Dec()
	l.notify(bridge.Event{Kind: bridge.EventEnded, Cause: l.cause, At: time.Now()})
}

// live runs the menu until it has a cause to end. A bug is one.
func (l *leg) live() {
	defer func() {
		if r := recover(); r != nil {
			l.m.fence(l.log, r)
			l.cause = bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal}
		}
	}()
	if l.takeHangup() {
		return
	}
	l.notify(bridge.Event{Kind: bridge.EventAnswered, At: time.Now()})
	to, do := begin(l.script)
	l.become(to, do)
	for l.cause.IsZero() {
		select {
		case <-l.wake:
			l.listen()
		case <-l.voice.clock.C:
			l.speak()
		case <-l.timer.C:
			l.timeout()
		case <-l.lead.C:
			l.start()
		case r := <-l.rendered:
			l.say(r)
		case o := <-l.outcomes:
			l.finish(o)
		case <-l.life.C:
			l.tooLong()
		}
	}
}

// listen takes what others brought: a hang-up, the sink, keys.
func (l *leg) listen() {
	if l.takeHangup() {
		return
	}
	l.awaitAudience()
	l.mu.Lock()
	keys := l.keys
	l.keys = nil
	l.mu.Unlock()
	for _, d := range keys {
		if l.ending {
			return
		}
		l.start() // who presses keys is there
		l.step(input{kind: inKey, n: l.choice(d)})
	}
}

func (l *leg) takeHangup() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hangup == nil {
		return false
	}
	l.cause = *l.hangup
	if l.cause.IsZero() {
		l.cause = bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}
	}
	return true
}

// awaitAudience sets the moment of the first word.
func (l *leg) awaitAudience() {
	if l.started || !l.stream.joined() {
		return
	}
	now := time.Now()
	if l.joined.IsZero() {
		l.joined = now
	}
	wait := patience
	if l.stream.heard.Load() > 0 {
		wait = settle
	}
	l.lead.Reset(max(l.joined.Add(wait).Sub(now), 0))
}

func (l *leg) start() {
	if l.started {
		return
	}
	l.started = true
	l.lead.Stop()
	l.life.Reset(maxLife)
	l.voice.start()
}

func (l *leg) choice(d media.Digit) uint8 {
	for n, c := range l.menu.Choices[:len(l.script.deeds)] {
		if c.Key == d {
			return uint8(n)
		}
	}
	return noChoice
}

// speak says the next 20 ms, and notices when all is said.
func (l *leg) speak() {
	if err := l.voice.frame(); err != nil {
		panic(err) // libopus refuses 20 ms of samples: a bug
	}
	l.settleSpeech()
}

// settleSpeech goes on with what is to be said next, or reports that all is said.
func (l *leg) settleSpeech() {
	switch {
	case l.voice.speaking() || l.rendering:
	case len(l.pending) > 0:
		l.render()
	case l.owed && l.started:
		l.owed = false
		l.step(input{kind: inSpoken})
	}
}

// render puts the pending speech together on a goroutine of its own: a name may take a second.
func (l *leg) render() {
	parts, version := l.pending, l.version
	l.pending, l.rendering = nil, true
	ctx, cancel := context.WithCancel(context.Background())
	l.unrender = cancel
	l.renderer.Go(func() { // run waits for it
		r := rendered{version: version}
		defer func() {
			if v := recover(); v != nil {
				l.m.fence(l.log, v)
			}
			l.rendered <- r // has room: one renders at a time
		}()
		defer cancel()
		r.pcm = l.m.library.Say(ctx, l.menu.Lang, parts...)
	})
}

func (l *leg) say(r rendered) {
	l.rendering = false
	if r.version == l.version {
		l.voice.say(r.pcm)
	}
	l.settleSpeech()
}

func (l *leg) timeout() {
	if l.ending {
		l.cause = bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}
		return
	}
	l.step(input{kind: inTimeout})
}

func (l *leg) tooLong() {
	if l.started {
		l.log.Warn("a menu was ended because it went on for too long", "limit", maxLife)
		l.cause = bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}
		return
	}
	l.log.Error("a menu was ended because its audio was never joined", "limit", joinTimeout)
	l.cause = bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia}
}

// finish takes the outcome of the action under way.
func (l *leg) finish(o outcome) {
	if o.deed != l.deed || l.state.phase != phaseActing {
		return
	}
	l.outcome = o.Outcome
	kind := inFailed
	if o.Done {
		kind = inDone
	}
	l.step(input{kind: kind})
}

func (l *leg) step(in input) {
	to, do := next(l.script, l.state, in)
	l.become(to, do)
}

func (l *leg) become(to state, do []action) {
	l.state = to
	for _, a := range do {
		l.perform(a)
	}
	l.settleSpeech()
}
