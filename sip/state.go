package sip

// state of a leg. Where the far end called us: incoming → alerting → answered → up. Where we called: calling → ringing →
// up. Everything ends in ended.
type state uint8

const (
	stIncoming state = iota // INVITE received, nothing said yet
	stAlerting              // 180 sent
	stAnswered              // 200 sent, no ACK yet
	stUp                    // confirmed, both ways
	stCalling               // INVITE sent
	stRinging               // 18x received
	stEnded
	numStates
)

func (s state) String() string {
	return [...]string{"incoming", "alerting", "answered", "up", "calling", "ringing", "ended"}[s]
}

// input is what can happen to a leg.
type input uint8

const (
	inAlert     input = iota // bridge: Alert
	inAnnounce               // bridge: Announce
	inAccept                 // bridge: Accept
	inHangup                 // bridge: Hangup
	inCancelled              // far end: CANCEL (sipgo answered it and the INVITE)
	inAcked                  // far end: ACK to our 200
	inNoAck                  // 64·T1 without that ACK
	inBye                    // far end: BYE (answered already)
	inRinging                // far end: 18x
	inAnswer                 // far end: 2xx, ACKed, its SDP taken
	inFailed                 // every branch of our INVITE failed
	inDead                   // media silent, media unusable, or transport gone
	numInputs
)

func (i input) String() string {
	return [...]string{
		"alert", "announce", "accept", "hangup", "cancelled", "acked", "no_ack", "bye", "ringing", "answer", "failed", "dead",
	}[i]
}

// action is what the leg's loop does.
type action uint8

const (
	doRing       action = iota // send 180
	doAnnounce                 // send 183 with our answer, and start the audio
	doOK                       // send 200
	doRefuse                   // send the final answer for the cause
	doBye                      // send BYE
	doByeOnAck                 // send BYE once the ACK came or will not come (RFC 3261 §15: not before)
	doCancel                   // CANCEL the branches of our INVITE; one that answers all the same gets ACK and BYE
	tellAccepted               // EventAccepted
	tellRinging                // EventRinging
	tellAnswered               // EventAnswered
	doEnd                      // release everything, EventEnded
)

// next is the state machine of a leg: every pair has an answer, an input that means nothing in a state changes nothing.
// Retransmissions, authentication and requests inside the dialog that change no state are below or beside it.
func next(s state, in input) (state, []action) {
	switch s {
	case stIncoming, stAlerting:
		return nextUnanswered(s, in)
	case stAnswered:
		return nextAnswered(in)
	case stUp:
		return nextUp(in)
	case stCalling, stRinging:
		return nextCalling(s, in)
	}
	return s, nil
}

func nextUnanswered(s state, in input) (state, []action) {
	switch in {
	case inAlert:
		if s == stIncoming {
			return stAlerting, []action{doRing}
		}
	case inAnnounce:
		return stAlerting, []action{doAnnounce}
	case inAccept:
		return stAnswered, []action{doOK}
	case inHangup, inDead:
		return stEnded, []action{doRefuse, doEnd}
	case inCancelled:
		return stEnded, []action{doEnd}
	case inBye: // allowed in an early dialog (RFC 3261 §15); the INVITE still needs its answer
		return stEnded, []action{doRefuse, doEnd}
	}
	return s, nil
}

func nextAnswered(in input) (state, []action) {
	switch in {
	case inAcked:
		return stUp, []action{tellAccepted}
	case inNoAck: // the far end never confirmed: RFC 3261 §13.3.1.4 wants a BYE
		return stEnded, []action{doBye, doEnd}
	case inHangup, inDead:
		return stEnded, []action{doByeOnAck, doEnd}
	case inBye:
		return stEnded, []action{doEnd}
	}
	return stAnswered, nil
}

func nextUp(in input) (state, []action) {
	switch in {
	case inHangup, inDead, inNoAck:
		return stEnded, []action{doBye, doEnd}
	case inBye:
		return stEnded, []action{doEnd}
	}
	return stUp, nil
}

func nextCalling(s state, in input) (state, []action) {
	switch in {
	case inRinging:
		if s == stCalling {
			return stRinging, []action{tellRinging}
		}
	case inAnswer:
		return stUp, []action{tellAnswered}
	case inFailed:
		return stEnded, []action{doEnd}
	case inHangup, inDead, inBye:
		return stEnded, []action{doCancel, doEnd}
	}
	return s, nil
}
