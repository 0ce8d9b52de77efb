package sip

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
	"deskbridge/media"
)

// party is the trunk or phone a leg talks to.
type party struct {
	name     string // trunk name or phone user
	codecs   []media.Codec
	ptime    time.Duration
	networks []netip.Prefix // where media may come from; nil: the negotiated address
	creds    *credentials   // trunks only
	isTrunk  bool
}

// Leg is one SIP dialog as an end of a call: from a phone or trunk that called us (server), or to one we ring. Its loop
// owns the state; everybody else sends it inputs.
type Leg struct {
	e      *Endpoint
	party  party
	server bool
	remote string // extension at the far end
	log    *slog.Logger
	notify bridge.Notify
	media  *mediaSession

	in       chan happening
	alert    chan struct{} // closed by Alert
	announce chan struct{} // closed by Announce
	accept   chan struct{}
	hangup   chan struct{}
	onAlert  sync.Once
	onSpeak  sync.Once
	onAccept sync.Once
	onHangup sync.Once
	why      bridge.Cause  // set before hangup is closed
	done     chan struct{} // closed when the leg ended

	// Loop's own.
	state  state
	cause  bridge.Cause
	held   bool
	format media.Format
	offer  []byte // the far end's offer: nil means late offer
	answer []byte // what our 200 carries
	lateRe bool   // our offer in the 200 to a re-INVITE waits for the ACK's answer

	invite     *inbound // server
	tag        string
	final      chan struct{} // server: closed when the final answer to the INVITE left
	accepted   bool          // final was 2xx
	okResponse *msg.Response
	refusal    string // server: what a later process tells a far end that we left without an answer

	mu       sync.Mutex
	dialog   *dialog // server: from the start; client: the winner's
	winner   *branch
	over     bool
	branches []*branch
	left     int // branches that have not failed
	worst    bridge.Cause
	acks     map[uint32]chan *msg.Request
	byeLater bool // the BYE waits for the ACK
	codec    string
}

var (
	_ bridge.Leg       = (*Leg)(nil)
	_ bridge.Announcer = (*Leg)(nil)
)

// happening is one input to the loop.
type happening struct {
	kind   hapKind
	req    *dialogRequest
	branch *branch
	res    *msg.Response
	ack    *msg.Request
	digit  media.Digit
	cause  bridge.Cause
}

type hapKind uint8

const (
	hapRequest   hapKind = iota // inside the dialog
	hapAck                      // ACK to our 200 or to a re-INVITE's
	hapNoAck                    // none came
	hapCancelled                // CANCEL
	hapProvisional
	hapAnswer // a branch answered and won
	hapFailed // a branch failed
	hapDigit
	hapFormat
	hapDead
)

// mailbox bounds what waits for a leg's loop.
const mailbox = 64

func (e *Endpoint) newLeg(p party, server bool) *Leg {
	return &Leg{
		e: e, party: p, server: server, log: e.log.With("peer", p.name),
		in: make(chan happening, mailbox), alert: make(chan struct{}), announce: make(chan struct{}), accept: make(chan struct{}),
		hangup: make(chan struct{}), done: make(chan struct{}), final: make(chan struct{}),
		acks: map[uint32]chan *msg.Request{},
	}
}

// openMedia allocates the leg's ports.
func (l *Leg) openMedia(peer netip.Addr) error {
	s, err := l.e.media.open(mediaSessionConfig{
		Codecs: l.party.codecs, PTime: l.party.ptime,
		AdvertisedIP: l.e.mediaAddress(peer), RemoteAllowed: l.party.networks, SignallingPeer: peer,
	}, mediaHandlers{
		Digit:  func(d media.Digit) { l.post(happening{kind: hapDigit, digit: d}) },
		Format: func() { l.post(happening{kind: hapFormat}) },
		Timeout: func() {
			l.post(happening{kind: hapDead, cause: bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonMediaTimeout}})
		},
	})
	l.media = s
	return err
}

// mediaAddress is what our SDP advertises: the public address only where the SIP side uses it too.
func (e *Endpoint) mediaAddress(peer netip.Addr) netip.Addr {
	if e.cfg.Media.AdvertisedIP.IsValid() || !e.cfg.PublicAddress.IsValid() {
		return netip.Addr{}
	}
	if h := e.host(netip.AddrPortFrom(peer, 0)); h == e.cfg.PublicAddress {
		return h
	}
	return netip.Addr{}
}

// Kind implements bridge.Leg.
func (*Leg) Kind() bridge.Kind { return bridge.KindSIP }

// Stream implements bridge.Leg.
func (l *Leg) Stream() media.Stream { return l.media.Stream() }

// Prepare implements bridge.Leg: there is nothing to bring up before the answer.
func (*Leg) Prepare() {}

// Alert implements bridge.Leg.
func (l *Leg) Alert() { l.onAlert.Do(func() { close(l.alert) }) }

// Announce implements bridge.Announcer.
func (l *Leg) Announce() { l.onSpeak.Do(func() { close(l.announce) }) }

// Accept implements bridge.Leg.
func (l *Leg) Accept() { l.onAccept.Do(func() { close(l.accept) }) }

// Hangup implements bridge.Leg.
func (l *Leg) Hangup(c bridge.Cause) {
	l.onHangup.Do(func() {
		l.why = c
		close(l.hangup)
	})
}

// post gives the loop an input. False: its mailbox is full or it has ended.
func (l *Leg) post(h happening) bool {
	select {
	case <-l.done:
		return false
	default:
	}
	select {
	case l.in <- h:
		return true
	default:
		l.e.metrics.refused.WithLabelValues("leg_busy").Inc()
		return false
	}
}

// tell emits an event. Only the loop calls it, so events keep their order.
func (l *Leg) tell(ev bridge.Event) {
	ev.At = time.Now()
	l.notify(ev)
}

// run is the loop. It is started once notify is set.
func (l *Leg) run() {
	defer l.e.legWG.Done()
	defer l.broken() // a panic in the loop ends this leg only
	alert, announce, accept := l.alert, l.announce, l.accept
	for l.state != stEnded {
		select {
		case <-l.hangup:
			l.step(inHangup, l.why)
			continue
		default:
		}
		select {
		case <-l.hangup:
			l.step(inHangup, l.why)
		case <-alert:
			alert = nil
			l.step(inAlert, bridge.Cause{})
		case <-announce:
			announce = nil
			l.step(inAnnounce, bridge.Cause{})
		case <-accept:
			accept = nil
			l.step(inAccept, bridge.Cause{})
		case h := <-l.in:
			l.happen(h)
		}
	}
}

func (l *Leg) broken() {
	r := recover()
	if r == nil {
		return
	}
	func() {
		defer l.e.fence("leg")
		panic(r)
	}()
	select {
	case <-l.done:
	default:
		defer l.e.fence("leg end")
		l.cause = bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonInternal}
		if !l.server {
			l.cancelBranches(l.cause)
		}
		l.end()
	}
}

// step feeds the state machine and performs its actions.
func (l *Leg) step(in input, c bridge.Cause) {
	was := l.state
	var todo []action
	l.state, todo = next(was, in)
	if l.state == stEnded && was != stEnded {
		l.cause = c
	}
	for _, a := range todo {
		l.perform(a, was)
	}
}

func (l *Leg) perform(a action, was state) {
	switch a {
	case doRing:
		l.sendRinging()
	case doAnnounce:
		l.sendProgress()
	case doOK:
		l.sendOK()
	case doRefuse:
		l.sendRefusal()
	case doBye:
		l.sendBye()
	case doByeOnAck:
		l.sendByeAfterAck()
	case doCancel:
		l.cancelBranches(l.cause)
	case tellAccepted:
		if l.offer == nil { // late offer: only now do we know where audio goes; else it was told with the 200
			l.tell(bridge.Event{Kind: bridge.EventAccepted})
		}
	case tellRinging:
		l.tell(bridge.Event{Kind: bridge.EventRinging})
	case tellAnswered:
		l.noteFormat(false)
		l.tell(bridge.Event{Kind: bridge.EventAnswered})
	case doEnd:
		l.log.Debug("leg ends", "state", was.String(), "cause", l.cause.String())
		l.end()
	}
}

// happen handles one input from outside.
func (l *Leg) happen(h happening) {
	switch h.kind {
	case hapRequest:
		l.request(h.req)
	case hapAck:
		l.acked(h.ack)
	case hapNoAck:
		l.step(inNoAck, bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonUnreachable, Text: "no ACK"})
	case hapCancelled:
		l.step(inCancelled, h.cause)
	case hapProvisional:
		l.step(inRinging, bridge.Cause{})
	case hapAnswer:
		l.answered(h.branch, h.res)
	case hapFailed:
		l.branchFailed(h)
	case hapDigit:
		if l.state == stUp || l.state == stAnswered {
			l.tell(bridge.Event{Kind: bridge.EventDigit, Digit: h.digit})
		}
	case hapFormat:
		l.noteFormat(true)
	case hapDead:
		l.step(inDead, h.cause)
	}
}

// noteFormat keeps what was negotiated and tells when it changed during the call.
func (l *Leg) noteFormat(tell bool) {
	f := l.media.Stream().Format()
	if f == l.format {
		return
	}
	l.format = f
	l.mu.Lock()
	l.codec = f.Codec.String()
	l.mu.Unlock()
	if tell && (l.state == stUp || l.state == stAnswered) {
		l.tell(bridge.Event{Kind: bridge.EventFormat})
	}
}

// noteHold tells of hold and resume by the far end.
func (l *Leg) noteHold() {
	h := l.media.Held()
	if h == l.held {
		return
	}
	l.held = h
	if h {
		l.tell(bridge.Event{Kind: bridge.EventHold})
	} else {
		l.tell(bridge.Event{Kind: bridge.EventResume})
	}
}

// end releases everything and emits the last event.
func (l *Leg) end() {
	l.state = stEnded
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	if l.media != nil {
		l.media.Close()
	}
	l.mu.Lock()
	unbind := l.server && len(l.acks) == 0 // else whoever waits for the ACK does it
	l.mu.Unlock()
	if unbind {
		l.e.legs.unbind(l.dialog, false)
	}
	close(l.done)
	for { // whoever waits for the loop's answer sees done; drop what is queued
		select {
		case <-l.in:
			continue
		default:
		}
		break
	}
	l.e.metrics.dialogs.Set(float64(l.e.legs.remove(l)))
	l.tell(bridge.Event{Kind: bridge.EventEnded, Cause: l.cause})
}
