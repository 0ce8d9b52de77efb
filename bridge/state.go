package bridge

// state is where a call stands. Inbound and outbound calls share one machine: leg A came in, leg B is dialled.
type state uint8

const (
	stateSummoning  state = iota // we ring leg A ourselves: the agent's phone, for a call that we begin
	stateOffered                 // leg A is there; may it happen, and who is rung?
	stateDialling                // at least one leg B was dialled; none rings yet
	stateRinging                 // at least one leg B rings
	stateAnswering               // one leg B answered and won; leg A is being accepted
	stateAnnouncing              // both ends are there; they hear that the call is recorded before they hear each other
	stateTalking                 // both ends talk
	stateHeld                    // a phone holds the other side
	stateEnding                  // every leg was told to hang up
	stateEnded                   // every leg is gone, the CDR is closed
	stateCount
)

var stateNames = [...]string{"summoning", "offered", "dialling", "ringing", "answering", "announcing", "talking", "held", "ending", "ended"}

func (s state) String() string { return stateNames[s] }

// input is something that happened to a call.
type input uint8

const (
	inRouted     input = iota // policy allows it and somebody can be rung
	inRefused                 // policy, the router or the drain says no
	inUnroutable              // none of the targets could be dialled
	inRinging                 // a leg B rings
	inAnswered                // a leg B answered
	inSummoned                // the agent whose phone we rang is there
	inAccepted                // leg A's acceptance took effect
	inAnnounce                // the same, and an announcement comes before the talk
	inAnnounced               // the announcement is over
	inOverflow                // nobody of this stage took the call, and there is another stage
	inTransfer                // leg B wants somebody else in its place
	inHold                    // an end holds
	inResume                  // and resumes
	inDigit                   // an end pressed a key
	inFormat                  // a leg's codec changed
	inAEnded                  // leg A is gone
	inBEnded                  // the winner, or the last leg B that could still answer, is gone
	inTimeout                 // rang too long, or leg A could not be accepted in time
	inHangup                  // operator, drain limit or a bug ends the call
	inAllGone                 // no leg is left
	inputCount
)

var inputNames = [...]string{
	"routed", "refused", "unroutable", "ringing", "answered", "summoned", "accepted", "announce", "announced", "overflow", "transfer",
	"hold", "resume", "digit", "format", "a_ended", "b_ended", "timeout", "hangup", "all_gone",
}

func (i input) String() string { return inputNames[i] }

// action is what the call's loop does about an input, in order.
type action uint8

const (
	actDecide       action = iota // ask who is rung and whether it may happen
	actPrepareA                   // bring leg A's media up (WhatsApp: pre_accept)
	actDial                       // dial every target of the stage
	actNextStage                  // the legs B that still ring are cancelled; the next stage's targets are the ones to dial
	actLeave                      // leg B goes, leg A stays
	actAlertA                     // tell leg A that the far side rings
	actPickWinner                 // the leg that answered wins, the others are cancelled
	actDropSurplus                // this leg answered too late: hang it up, it was answered elsewhere
	actJoin                       // connect the audio of leg A and the winner, both ways
	actAcceptA                    // answer leg A
	actAnswered                   // the call counts as answered from here
	actAnnounce                   // play the announcement to both ends
	actConsent                    // a key pressed during the announcement
	actRecord                     // begin the recording, if there is to be one
	actNoteHold                   // an end holds before the other is there: remember it
	actNoteResume                 // and took it back
	actHold                       // music or silence to the end that waits
	actResume                     // reconnect the audio
	actForwardDigit               // pass the digit to the other end
	actHangup                     // tell every leg that is left to end, with the call's cause
	actFinish                     // close the CDR
)

// next is the whole behaviour of a call: every pair of state and input has an answer. ok is false for pairs that cannot
// happen in a correct program; they change nothing and are counted.
func next(s state, in input) (to state, do []action, ok bool) {
	switch in {
	case inHangup:
		if s < stateEnding {
			return stateEnding, []action{actHangup}, true
		}
		return s, nil, true
	case inAllGone:
		if s == stateEnding {
			return stateEnded, []action{actFinish}, true
		}
		return s, nil, s == stateEnded
	case inDigit:
		switch s {
		case stateTalking, stateHeld:
			return s, []action{actForwardDigit}, true
		case stateAnnouncing:
			return s, []action{actConsent}, true
		}
		return s, nil, true // before the answer and after the end a key means nothing
	}
	switch s {
	case stateSummoning:
		switch in {
		case inSummoned:
			return stateOffered, []action{actDecide}, true
		case inAEnded, inTimeout:
			return stateEnding, []action{actHangup}, true
		case inHold, inResume, inFormat:
			return s, nil, true
		}
	case stateOffered:
		switch in {
		case inRouted:
			// Media towards Meta comes up while the phones ring (design §6); INVITEs go out right behind it.
			return stateDialling, []action{actPrepareA, actDial}, true
		case inRefused, inAEnded, inTimeout:
			return stateEnding, []action{actHangup}, true
		case inHold, inResume, inFormat:
			return s, nil, true // leg A renegotiates early; nothing is joined yet
		case inSummoned, inAnnounced, inBEnded, inTransfer:
			return s, nil, true // of the leg whose place is being filled
		}
	case stateDialling, stateRinging:
		switch in {
		case inRinging:
			if s == stateRinging {
				return s, nil, true
			}
			return stateRinging, []action{actAlertA}, true
		case inAnswered:
			// Joined before leg A is accepted: the phone's first syllable waits in the send gate instead of being lost.
			return stateAnswering, []action{actPickWinner, actJoin, actAcceptA}, true
		case inOverflow:
			return stateDialling, []action{actNextStage, actDial}, true
		case inUnroutable, inAEnded, inBEnded, inTimeout:
			return stateEnding, []action{actHangup}, true
		case inSummoned, inAnnounced, inTransfer:
			return s, nil, true
		case inHold, inResume, inFormat:
			return s, nil, true
		}
	case stateAnswering:
		switch in {
		case inAccepted:
			// A caller without an offer of its own (late offer) has told its codec only now.
			return stateTalking, []action{actAnswered, actRecord, actJoin}, true
		case inAnnounce:
			return stateAnnouncing, []action{actAnswered, actAnnounce}, true
		case inAnswered:
			return s, []action{actDropSurplus}, true
		case inFormat:
			return s, []action{actJoin}, true
		case inHold:
			return s, []action{actNoteHold}, true
		case inResume:
			return s, []action{actNoteResume}, true
		case inRinging, inSummoned, inAnnounced, inTransfer:
			return s, nil, true
		case inAEnded, inBEnded, inTimeout:
			return stateEnding, []action{actHangup}, true
		}
	case stateAnnouncing:
		switch in {
		case inAnnounced:
			return stateTalking, []action{actRecord, actJoin}, true
		case inAnswered:
			return s, []action{actDropSurplus}, true
		case inHold:
			return s, []action{actNoteHold}, true
		case inResume:
			return s, []action{actNoteResume}, true
		case inFormat, inRinging, inSummoned, inTransfer:
			return s, nil, true // what plays follows the format by itself
		case inAEnded, inBEnded:
			return stateEnding, []action{actHangup}, true
		}
	case stateTalking, stateHeld:
		switch in {
		case inHold:
			if s == stateHeld {
				return s, nil, true
			}
			return stateHeld, []action{actHold}, true
		case inResume:
			if s == stateTalking {
				return s, nil, true
			}
			return stateTalking, []action{actResume}, true
		case inAnswered:
			return s, []action{actDropSurplus}, true
		case inFormat:
			if s == stateHeld {
				return s, []action{actHold}, true
			}
			return s, []action{actJoin}, true
		case inTransfer:
			return stateOffered, []action{actLeave, actDecide}, true
		case inAnnounce:
			return stateAnnouncing, []action{actAnnounce}, true
		case inRinging, inSummoned, inAnnounced:
			return s, nil, true // a cancelled phone's late 180
		case inAEnded, inBEnded:
			return stateEnding, []action{actHangup}, true
		}
	case stateEnding:
		switch in {
		case inAnswered:
			return s, []action{actDropSurplus}, true
		case inRouted, inRefused, inUnroutable, inRinging, inSummoned, inAccepted, inAnnounce, inAnnounced, inOverflow, inTransfer, inHold,
			inResume, inFormat, inAEnded, inBEnded, inTimeout:
			return s, nil, true // what was under way when the call ended
		}
	case stateEnded:
		switch in {
		case inRouted, inRefused, inTimeout, inAnnounced:
			return s, nil, true
		}
	}
	return s, nil, false
}
