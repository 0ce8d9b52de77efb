package whatsapp

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// states lists every state worth telling apart: each phase with each combination of what else decides.
func states() []state {
	var out []state
	for p := range phases {
		for bits := range 64 {
			s := state{phase: p, outbound: bits&1 != 0, prepared: bits&2 != 0, mediaUp: bits&4 != 0, answered: bits&8 != 0, rang: bits&16 != 0, named: bits&32 != 0}
			if possible(s) {
				out = append(out, s)
			}
		}
	}
	return out
}

func possible(s state) bool {
	switch s.phase {
	case phOffered:
		return !s.outbound && !s.prepared
	case phPreparing, phPrepared, phQueued, phAccepting:
		return !s.outbound && s.prepared
	case phConnecting, phUncertain:
		return s.outbound && !s.named
	case phDialled:
		return s.outbound && s.named
	case phAbandoning:
		return s.outbound && !s.named
	case phTalking:
		return s.outbound && s.named || !s.outbound && s.prepared
	}
	return true
}

// want is the table of what leads where, for the pairs that change the phase. Every other pair must keep it.
func want(s state, in input) phase {
	live := s.phase < phAbandoning
	over := phEnding
	if s.outbound && !s.named {
		over = phAbandoning
	}
	switch {
	case s.phase == phEnded:
		return phEnded
	case in == inTerminated:
		return phEnded
	case live && (in == inHangup || in == inMediaDead || in == inTimerSilent), live && in == inTimerSecure && !s.mediaUp,
		live && in == inTimerRing && s.phase != phTalking:
		return over
	}
	table := map[phase]map[input]phase{
		phOffered:    {inPrepare: phPreparing, inAccept: phAccepting},
		phPreparing:  {inAccept: phQueued, inPreAccepted: phPrepared, inPreAcceptFailed: phPrepared, inPreAcceptRefused: phEnding},
		phPrepared:   {inAccept: phAccepting},
		phQueued:     {inPreAccepted: phAccepting, inPreAcceptFailed: phAccepting, inPreAcceptRefused: phEnding},
		phAccepting:  {inAcceptDone: phTalking, inAcceptFailed: phEnding},
		phConnecting: {inNamed: phDialled, inConnectFailed: phEnded, inConnectUncertain: phUncertain},
		phUncertain:  {inNamed: phDialled, inTimerUncertain: phEnded},
		phDialled:    {inPickedUp: phTalking, inDeclined: phEnded},
		phAbandoning: {inNamed: phEnding, inConnectFailed: phEnded, inTimerUncertain: phEnded, inTimerEnd: phEnded},
		phEnding:     {inEndDone: phEnded, inDeclined: phEnded, inTimerEnd: phEnded},
	}
	if p, ok := table[s.phase][in]; ok {
		return p
	}
	return s.phase
}

func TestEveryPairOfStateAndInput(t *testing.T) {
	for _, s := range states() {
		for in := range inputs {
			after, do := next(s, in)
			if w := want(s, in); after.phase != w {
				t.Errorf("%v on %v leads to %v, want %v (%+v)", s.phase, in, after.phase, w, s)
			}
			checkActions(t, s, in, after, do)
		}
	}
}

// checkActions holds what must be true of the actions of any step.
func checkActions(t *testing.T, s state, in input, after state, do []action) {
	t.Helper()
	has := func(a action) bool { return slices.Contains(do, a) }
	fail := func(what string) { t.Errorf("%v on %v does %v: %s (%+v)", s.phase, in, do, what, s) }
	if ends := after.phase == phEnded && s.phase != phEnded; has(actFinish) != ends {
		fail("finishes exactly when it ends")
	}
	if has(actFinish) && do[len(do)-1] != actFinish {
		fail("finish is the last action")
	}
	if has(actAccept) && (s.outbound || s.phase == phAccepting || s.phase == phTalking) {
		fail("accept is sent once and only inbound")
	}
	if has(actOpenGate) && !s.outbound && in != inAcceptDone {
		fail("the gate opens only on accept's 200")
	}
	if has(actReject) && (s.prepared || s.outbound) {
		fail("reject only where nothing was answered")
	}
	if has(actTerminate) && s.outbound && !after.named {
		fail("terminate needs a wacid")
	}
	if has(actStartMedia) && (s.started || in != inPreAccepted && in != inAcceptDone && in != inSDPAnswer) {
		fail("media starts once, after Meta has our SDP")
	}
	if (has(actTellRinging) && s.rang) || (has(actApplyAnswer) && s.answered) {
		fail("once only")
	}
	if after.phase == phEnding && s.phase < phAbandoning && !has(actArmEnd) {
		fail("an end needs its deadline")
	}
}

// Whatever comes in whatever order, a leg ends exactly once and, after it ended, does nothing.
func TestRandomInputsEndEveryLegOnce(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := state{phase: phOffered}
		if seed%2 == 1 {
			s = state{phase: phConnecting, outbound: true}
		}
		finished, accepted, answered := 0, 0, 0
		step := func(in input) {
			var do []action
			before := s
			s, do = next(s, in)
			checkActions(t, before, in, s, do)
			for _, a := range do {
				switch a {
				case actFinish:
					finished++
				case actAccept:
					accepted++
				case actTellAnswered, actTellAccepted:
					answered++
				}
			}
		}
		for range 40 {
			step(input(r.IntN(int(inputs))))
		}
		for _, in := range []input{inHangup, inTimerEnd, inTimerUncertain} {
			step(in)
		}
		if finished != 1 || accepted > 1 || answered > 1 || s.phase != phEnded {
			t.Fatalf("seed %d: finished %d, accepted %d, answered %d times, phase %v", seed, finished, accepted, answered, s.phase)
		}
	}
}

func TestMediaThatCouldNotStartEarlyStartsOnAccept(t *testing.T) {
	s := state{phase: phOffered}
	for _, in := range []input{inPrepare, inPreAcceptFailed, inAccept} {
		s, _ = next(s, in)
	}
	_, do := next(s, inAcceptDone)
	if !slices.Equal(do, []action{actStartMedia, actOpenGate, actTellAccepted, actArmSecure, actArmSilent}) {
		t.Errorf("%v", do)
	}
}
