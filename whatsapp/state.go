package whatsapp

// phase is where a customer call stands.
type phase uint8

const (
	phOffered    phase = iota // inbound: the customer waits, nothing was sent to Meta
	phPreparing               // inbound: pre_accept is on its way
	phPrepared                // inbound: pre_accept was answered
	phQueued                  // inbound: to be accepted as soon as pre_accept is answered
	phAccepting               // inbound: accept is on its way
	phConnecting              // outbound: connect is on its way
	phUncertain               // outbound: connect got no answer, a webhook may still name the call
	phDialled                 // outbound: Meta named the call, the customer has not picked up
	phTalking                 // both: audio may flow
	phAbandoning              // outbound: hung up before we know whether there is a call to end
	phEnding                  // reject or terminate is on its way
	phEnded
	phases
)

var phaseNames = [phases]string{"offered", "preparing", "prepared", "queued", "accepting", "connecting", "uncertain",
	"dialled", "talking", "abandoning", "ending", "ended"}

func (p phase) String() string { return phaseNames[p] }

// state is all that decides what an input leads to.
type state struct {
	phase    phase
	outbound bool
	prepared bool // pre_accept or accept was sent, so the call is ended by terminate, not reject (§6.5)
	started  bool // our media began its checks
	mediaUp  bool // DTLS is done
	answered bool // outbound: Meta's SDP answer was applied
	rang     bool
	named    bool // outbound: wacid known
}

// input is what can happen to a leg.
type input uint8

const (
	inPrepare input = iota // commands of the call
	inAccept
	inHangup
	inPreAccepted // answers to our requests
	inPreAcceptFailed
	inPreAcceptRefused
	inAcceptDone
	inAcceptFailed
	inConnectFailed
	inConnectUncertain
	inEndDone
	inNamed // the wacid became known, by answer or webhook, whichever was first
	inSDPAnswer
	inRinging
	inPickedUp
	inDeclined
	inTerminated
	inMediaUp // media
	inMediaDead
	inDigit
	inTimerRing // timers
	inTimerUncertain
	inTimerSecure
	inTimerSilent
	inTimerEnd
	inputs

	inNothing = inputs // not an input: what a request answers that has told the leg by itself
)

var inputNames = [inputs]string{"prepare", "accept", "hangup", "pre-accepted", "pre-accept failed", "pre-accept refused",
	"accept done", "accept failed", "connect failed", "connect uncertain", "end done", "named", "sdp answer", "ringing",
	"picked up", "declined", "terminated", "media up", "media dead", "digit", "ring timer", "uncertain timer", "secure timer",
	"silent timer", "end timer"}

func (in input) String() string { return inputNames[in] }

// action is what the leg does about it.
type action uint8

const (
	actPreAccept action = iota
	actAccept
	actReject
	actTerminate
	actApplyAnswer
	actStartMedia
	actOpenGate
	actTellNamed
	actTellRinging
	actTellAnswered
	actTellAccepted
	actTellDigit
	actArmRing
	actArmUncertain
	actArmSecure
	actArmSilent
	actArmEnd
	actDisown // the hub ends the call at Meta should it turn out to exist
	actFinish // release everything, then EventEnded
	actions
)

var actionNames = [actions]string{"pre_accept", "accept", "reject", "terminate", "apply answer", "start media", "open gate",
	"tell named", "tell ringing", "tell answered", "tell accepted", "tell digit", "arm ring", "arm uncertain", "arm secure",
	"arm silent", "arm end", "disown", "finish"}

func (a action) String() string { return actionNames[a] }

// next is the whole behaviour of a leg. It is pure; a pair it does not name changes nothing.
func next(s state, in input) (state, []action) {
	switch s.phase {
	case phEnded:
		return s, nil
	case phEnding:
		return nextEnding(s, in)
	case phAbandoning:
		return nextAbandoning(s, in)
	}
	switch in {
	case inTerminated:
		return finish(s)
	case inHangup, inMediaDead, inTimerSilent:
		return end(s)
	case inTimerSecure:
		if !s.mediaUp {
			return end(s)
		}
		return s, nil
	case inTimerRing:
		if s.phase != phTalking {
			return end(s)
		}
		return s, nil
	case inMediaUp:
		s.mediaUp = true
		if s.outbound {
			// Outbound nothing sent early counts as an accept: silence flows from here on (media reference §7).
			return s, []action{actOpenGate}
		}
		return s, nil
	case inDigit:
		if s.phase == phTalking {
			return s, []action{actTellDigit}
		}
		return s, nil
	}
	if s.outbound {
		return nextOutbound(s, in)
	}
	return nextInbound(s, in)
}

func nextInbound(s state, in input) (state, []action) {
	switch {
	case s.phase == phOffered && in == inPrepare:
		s.phase, s.prepared = phPreparing, true
		return s, []action{actPreAccept}
	case s.phase == phPreparing && in == inAccept:
		s.phase = phQueued
		return s, nil
	case s.phase == phOffered && in == inAccept, s.phase == phPrepared && in == inAccept,
		s.phase == phQueued && in == inPreAcceptFailed:
		// Straight to accept is allowed too (§6.3).
		s.phase, s.prepared = phAccepting, true
		return s, []action{actAccept}
	case s.phase == phPreparing && in == inPreAccepted:
		// Checks begin after Meta has our SDP: a DTLS hello sent earlier is lost and costs seconds (media reference §4).
		s.phase, s.started = phPrepared, true
		return s, []action{actStartMedia}
	case s.phase == phPreparing && in == inPreAcceptFailed:
		s.phase = phPrepared
		return s, nil
	case s.phase == phQueued && in == inPreAccepted:
		s.phase, s.started = phAccepting, true
		return s, []action{actStartMedia, actAccept}
	case in == inPreAcceptRefused && (s.phase == phPreparing || s.phase == phQueued), in == inAcceptFailed && s.phase == phAccepting:
		return end(s)
	case s.phase == phAccepting && in == inAcceptDone:
		return talk(s, actOpenGate, actTellAccepted)
	}
	return s, nil
}

// talk enters phTalking. Media not yet started (pre_accept failed or was skipped) starts now.
func talk(s state, tell ...action) (state, []action) {
	var do []action
	if !s.outbound && !s.started {
		s.started = true
		do = append(do, actStartMedia)
	}
	s.phase = phTalking
	do = append(do, tell...)
	if !s.mediaUp {
		do = append(do, actArmSecure)
	}
	return s, append(do, actArmSilent)
}

func nextOutbound(s state, in input) (state, []action) {
	switch {
	case (s.phase == phConnecting || s.phase == phUncertain) && in == inNamed:
		s.phase, s.named = phDialled, true
		return s, []action{actTellNamed, actArmRing}
	case s.phase == phConnecting && in == inConnectFailed:
		return finish(s)
	case s.phase == phConnecting && in == inConnectUncertain:
		s.phase = phUncertain
		return s, []action{actArmUncertain}
	case s.phase == phUncertain && in == inTimerUncertain:
		s.phase = phEnded
		return s, []action{actDisown, actFinish}
	case (s.phase == phDialled || s.phase == phTalking) && in == inSDPAnswer && !s.answered:
		s.answered, s.started = true, true
		return s, []action{actApplyAnswer, actStartMedia}
	case s.phase == phDialled && in == inRinging && !s.rang:
		s.rang = true
		return s, []action{actTellRinging}
	case s.phase == phDialled && in == inPickedUp:
		return talk(s, actTellAnswered)
	case s.phase == phDialled && in == inDeclined:
		// Meta's terminate follows by itself (§7.3).
		return finish(s)
	}
	return s, nil
}

// end leaves a live phase because of us.
func end(s state) (state, []action) {
	switch {
	case s.outbound && !s.named:
		s.phase = phAbandoning
		return s, []action{actArmEnd}
	case !s.outbound && !s.prepared:
		s.phase = phEnding
		return s, []action{actArmEnd, actReject}
	}
	s.phase = phEnding
	return s, []action{actArmEnd, actTerminate}
}

func finish(s state) (state, []action) {
	s.phase = phEnded
	return s, []action{actFinish}
}

func nextEnding(s state, in input) (state, []action) {
	switch in {
	case inEndDone, inTerminated, inDeclined:
		return finish(s)
	case inTimerEnd:
		s.phase = phEnded
		return s, []action{actDisown, actFinish}
	}
	return s, nil
}

// nextAbandoning waits to learn whether connect took effect: an answered connect is ended, one that failed never was.
func nextAbandoning(s state, in input) (state, []action) {
	switch in {
	case inNamed:
		s.phase, s.named = phEnding, true
		return s, []action{actTerminate}
	case inConnectFailed, inTerminated:
		return finish(s)
	case inConnectUncertain:
		return s, []action{actArmUncertain}
	case inTimerUncertain, inTimerEnd:
		s.phase = phEnded
		return s, []action{actDisown, actFinish}
	}
	return s, nil
}
