package whatsapp

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/media"
)

// The times of a leg. Meta ends what we don't: ours must not cut off what Meta still allows.
const (
	// ringLimit: outbound the customer has this long to pick up (design §6). Inbound the call's own ring budget is much
	// shorter; this only catches a call whose terminate webhook was lost.
	ringLimit      = 60 * time.Second
	uncertainLimit = 3 * time.Second  // for the webhook of a connect that was never answered (§3.4)
	secureLimit    = 10 * time.Second // DTLS after the answer (media reference §7)
	firstSilence   = 20 * time.Second // no RTP or RTCP at all after the answer (§8.1)
	laterSilence   = 30 * time.Second // and later on
	endLimit       = 9 * time.Second  // bridge.Leg promises the end within 10 s
)

type timerID uint8

const (
	tmRing timerID = iota
	tmUncertain
	tmSecure
	tmSilent
	tmEnd
	timers
)

var timerInputs = [timers]input{inTimerRing, inTimerUncertain, inTimerSecure, inTimerSilent, inTimerEnd}

// Leg is one customer call. Its loop owns the state; everything else sends it messages.
type Leg struct {
	hub      *Hub
	line     *Line
	call     string
	outbound bool
	to       graph.Recipient // outbound
	decideBy time.Time       // outbound: bridge.Invite.Deadline
	offer    string          // inbound: Meta's SDP
	notify   bridge.Notify
	log      *slog.Logger

	media  session
	stream media.Stream
	box    *mailbox
	worker *worker
	asked  [inputs]atomic.Bool // commands already given

	// Owned by the loop.
	state    state
	deadline [timers]time.Time
	timer    *time.Timer
	at       stageTimes

	mu    sync.Mutex // guards what Record shows
	wacid string
	cause bridge.Cause
	final *media.Stats
}

// stageTimes are when things happened, for the histograms.
type stageTimes struct{ begun, accept, answered time.Time }

var _ bridge.Leg = (*Leg)(nil)

// newLeg makes a leg with its media but does not start it. A leg without a socket is made too: it ends at once, with a cause.
func newLeg(line *Line, call string, notify bridge.Notify) *Leg {
	l := &Leg{hub: line.hub, line: line, call: call, notify: notify, box: newMailbox(), stream: noStream{},
		log: line.log.With("call", call)}
	l.at.begun = time.Now()
	s, err := line.hub.open(mediaHandlers{
		Up:    func() { l.box.post(message{in: inMediaUp}) },
		Digit: func(d media.Digit) { l.box.post(message{in: inDigit, digit: d}) },
		Dead:  func(err error) { l.mediaDead(err) },

		Logger: l.log,
	})
	if err != nil {
		l.log.Error("no media socket for a call; check the WebRTC port range", "err", err)
		l.box.post(message{in: inMediaDead, cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonOverload, Text: "No media port is free."}})
		return l
	}
	l.media, l.stream = s, s.Stream()
	return l
}

func (l *Leg) mediaDead(err error) {
	l.log.Warn("media of a customer call failed", "err", err)
	l.box.post(message{in: inMediaDead, cause: bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia}})
}

// start runs the leg. The hub counts it until it is gone.
func (l *Leg) start(first phase) {
	l.state = state{phase: first, outbound: l.outbound}
	l.timer = time.NewTimer(time.Hour)
	l.worker = newWorker(l)
	if !l.outbound {
		l.arm(tmRing, ringLimit)
	}
	l.hub.enter(l)
	go l.run()
}

// Kind is WhatsApp.
func (l *Leg) Kind() bridge.Kind { return bridge.KindWhatsApp }

// Stream is the audio with Meta.
func (l *Leg) Stream() media.Stream { return l.stream }

// Prepare brings media up before the answer, by pre_accept.
func (l *Leg) Prepare() { l.command(message{in: inPrepare}) }

// Alert does nothing: WhatsApp shows the customer "Ringing" by itself and knows no provisional answer (§8.1).
func (l *Leg) Alert() {}

// Accept answers the customer.
func (l *Leg) Accept() { l.command(message{in: inAccept}) }

// Hangup ends the leg: reject before anything was answered, else terminate.
func (l *Leg) Hangup(c bridge.Cause) { l.command(message{in: inHangup, cause: c}) }

// command passes each command on once, so that a caller who repeats himself cannot fill the mailbox.
func (l *Leg) command(m message) {
	if !l.asked[m.in].Swap(true) {
		l.box.post(m)
	}
}

// Record describes the leg as it is now.
func (l *Leg) Record() bridge.LegRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := bridge.LegRecord{Kind: bridge.KindWhatsApp, Peer: l.line.id, CallID: l.wacid, Cause: l.cause}
	if c := l.stream.Format().Codec; c != media.CodecNone {
		r.Codec = c.String()
	}
	if l.final != nil {
		r.Stats = *l.final
	} else {
		r.Stats = l.stream.Stats()
	}
	return r
}

func (l *Leg) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wacid
}

// named tells the leg its wacid, whether the answer to connect or a webhook was first.
func (l *Leg) named(wacid string) {
	l.mu.Lock()
	known := l.wacid
	if known == "" {
		l.wacid = wacid
	}
	l.mu.Unlock()
	switch known {
	case "":
		l.box.post(message{in: inNamed})
	case wacid:
	default:
		l.log.Warn("WhatsApp gave one call two ids", "wacid", known, "other", wacid)
	}
}

// webhook gives the leg an event of its call. It reports false when the leg could not take it.
func (l *Leg) webhook(ev *graph.Event) bool {
	m := message{event: ev}
	switch {
	case ev.Kind == graph.KindConnect && !ev.Call.Inbound:
		m.in = inSDPAnswer
	case ev.Kind == graph.KindTerminate:
		m.in = inTerminated
	case ev.Kind == graph.KindCallStatus && ev.Name == "RINGING":
		m.in = inRinging
	case ev.Kind == graph.KindCallStatus && ev.Name == "ACCEPTED":
		m.in = inPickedUp
	case ev.Kind == graph.KindCallStatus && ev.Name == "REJECTED":
		m.in, m.cause = inDeclined, bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonDeclined}
	default:
		return true
	}
	return l.box.post(m)
}

// abandonBug ends the leg after a panic in its own code: nothing of its state is trusted any more.
func (l *Leg) abandonBug() {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("bug while ending a customer call after a bug", "panic", p)
		}
	}()
	l.setCause(bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal})
	l.hub.disown(l)
	l.finish()
}

func (l *Leg) setCause(c bridge.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause.IsZero() {
		l.cause = c
	}
}
