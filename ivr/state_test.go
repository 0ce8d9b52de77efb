package ivr

import (
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	threeDo = script{deeds: []deed{deedDo, deedDo, deedDo}}
	ringMe  = script{deeds: []deed{deedHandOver, deedSay}}
	nothing = script{}
)

func kindsOf(do []action) []actionKind {
	var k []actionKind
	for _, a := range do {
		k = append(k, a.kind)
	}
	return k
}

func TestMenuDoesWhatItsTableSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script
		from   state
		in     input
		to     state
		do     []actionKind
	}{
		{"all offers are said", threeDo, state{}, input{kind: inSpoken}, state{phase: phaseListening}, []actionKind{actListen}},
		{"a key while speaking stops the speech", threeDo, state{}, input{inKey, 1}, state{phase: phaseActing, choice: 1}, []actionKind{actHush, actNoTimer, actDo, actSlow}},
		{"a key while listening", threeDo, state{phase: phaseListening}, input{inKey, 2}, state{phase: phaseActing, choice: 2}, []actionKind{actHush, actNoTimer, actDo, actSlow}},
		{"a wrong key", threeDo, state{phase: phaseListening}, input{inKey, noChoice}, state{wrong: 1}, []actionKind{actHush, actNoTimer, actSayInvalid, actSayOffers}},
		{"the third wrong key", threeDo, state{wrong: 2}, input{inKey, noChoice}, state{phase: phaseLeaving, wrong: 3}, []actionKind{actHush, actNoTimer, actSayInvalid, actSayGoodbye}},
		{"a choice that failed before is a wrong key", threeDo, state{spent: 1}, input{inKey, 0}, state{spent: 1, wrong: 1}, []actionKind{actHush, actNoTimer, actSayInvalid, actSayOffers}},
		{"nobody presses a key", threeDo, state{phase: phaseListening}, input{kind: inTimeout}, state{silent: 1}, []actionKind{actSayOffers}},
		{"nobody presses a key again", threeDo, state{phase: phaseListening, silent: 1}, input{kind: inTimeout}, state{phase: phaseLeaving, silent: 2}, []actionKind{actNoTimer, actSayGoodbye}},
		{"the action is slow", threeDo, state{phase: phaseActing}, input{kind: inTimeout}, state{phase: phaseActing, waited: true}, []actionKind{actSayWait, actPatience}},
		{"the action never ends", threeDo, state{phase: phaseActing, waited: true}, input{kind: inTimeout}, state{phase: phaseActing, waited: true}, []actionKind{actGiveUp}},
		{"one moment is said", threeDo, state{phase: phaseActing, waited: true}, input{kind: inSpoken}, state{phase: phaseActing, waited: true}, nil},
		{"a second key while acting", threeDo, state{phase: phaseActing}, input{inKey, 1}, state{phase: phaseActing}, nil},
		{"the action is done", threeDo, state{phase: phaseActing, choice: 1}, input{kind: inDone}, state{phase: phaseLeaving, choice: 1}, []actionKind{actNoTimer, actSayOutcome, actSayGoodbye}},
		{"the action failed: the others are left", threeDo, state{phase: phaseActing, choice: 1, silent: 1}, input{kind: inFailed}, state{choice: 1, spent: 2}, []actionKind{actNoTimer, actSayOutcome, actSayOffers}},
		{"the last action failed", threeDo, state{phase: phaseActing, choice: 1, spent: 5}, input{kind: inFailed}, state{phase: phaseLeaving, choice: 1, spent: 7}, []actionKind{actNoTimer, actSayOutcome, actSayGoodbye}},
		{"an outcome is heard to its end", threeDo, state{phase: phaseLeaving}, input{inKey, 0}, state{phase: phaseLeaving}, nil},
		{"the last word is said", threeDo, state{phase: phaseLeaving}, input{kind: inSpoken}, state{phase: phaseOver}, []actionKind{actHush, actEnd}},
		{"a key ends an announcement", nothing, state{phase: phaseLeaving}, input{inKey, noChoice}, state{phase: phaseOver}, []actionKind{actHush, actEnd}},
		{"call now", ringMe, state{}, input{inKey, 0}, state{phase: phaseHanding}, []actionKind{actHush, actNoTimer, actHandOver, actListen}},
		{"keys after call now", ringMe, state{phase: phaseHanding}, input{inKey, 0}, state{phase: phaseHanding}, nil},
		{"nobody takes our place", ringMe, state{phase: phaseHanding}, input{kind: inTimeout}, state{phase: phaseOver}, []actionKind{actEnd}},
		{"not now", ringMe, state{}, input{inKey, 1}, state{phase: phaseLeaving, choice: 1}, []actionKind{actHush, actNoTimer, actSpeakAlone, actSayGoodbye}},
	} {
		to, do := next(c.script, c.from, c.in)
		if to != c.to || !slices.Equal(kindsOf(do), c.do) {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, to, kindsOf(do), c.to, c.do)
		}
	}
}

func TestMenuBegins(t *testing.T) {
	for _, c := range []struct {
		name   string
		script script
		to     phase
		do     []actionKind
	}{
		{"with choices", threeDo, phaseSpeaking, []actionKind{actSayOpen, actSayOffers}},
		{"announcement", nothing, phaseLeaving, []actionKind{actSayOpen}},
		{"feature code", script{deeds: []deed{deedDo}, immediate: true}, phaseActing, []actionKind{actDo, actSlow}},
	} {
		if to, do := begin(c.script); to.phase != c.to || !slices.Equal(kindsOf(do), c.do) {
			t.Errorf("%s: %v %v", c.name, to, kindsOf(do))
		}
	}
}

// Whatever happens in whatever order, a menu whose words are said and whose times pass comes to its end, and each choice is
// carried out at most once.
func TestEveryMenuEnds(t *testing.T) {
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := script{immediate: seed%7 == 0}
		for range r.IntN(5) {
			m.deeds = append(m.deeds, deed(r.IntN(3)))
		}
		s, do := begin(m)
		done := map[uint8]int{}
		for step := 0; s.phase != phaseOver; step++ {
			for _, a := range do {
				if a.kind == actDo {
					done[a.n]++
				}
			}
			if step > 300 {
				t.Fatalf("seed %d: still %+v", seed, s)
			}
			in := input{kind: inputKind(r.IntN(int(inputCount))), n: uint8(r.IntN(6))}
			if in.n == 5 {
				in.n = noChoice
			}
			// Only what can come: no outcome but of an action, and after 100 steps no keys any more.
			if (in.kind == inDone || in.kind == inFailed) && s.phase != phaseActing || in.kind == inKey && step > 100 {
				in.kind = inSpoken
				if s.phase == phaseListening || s.phase == phaseActing || s.phase == phaseHanding {
					in.kind = inTimeout
				}
			}
			before := s
			s, do = next(m, s, in)
			if slices.ContainsFunc(do, func(a action) bool { return a.kind == actGiveUp }) {
				if s != before {
					t.Fatalf("seed %d: giving up changed %+v to %+v", seed, before, s)
				}
				s, do = next(m, s, input{kind: inFailed})
			}
		}
		for n, times := range done {
			if times > 1 {
				t.Fatalf("seed %d: choice %d was carried out %d times", seed, n, times)
			}
		}
	}
}

// Every pair of phase and input has an answer that leaves the menu in a phase there is.
func TestEveryPairHasAnAnswer(t *testing.T) {
	for _, m := range []script{threeDo, ringMe, nothing} {
		for p := range phaseCount {
			for k := range inputCount {
				for _, n := range []uint8{0, 1, 11, noChoice} {
					to, do := next(m, state{phase: p}, input{kind: k, n: n})
					if to.phase >= phaseCount || to.phase.String() == "" {
						t.Errorf("%v and %d: %+v", p, k, to)
					}
					if p == phaseOver && (to.phase != p || len(do) > 0) {
						t.Errorf("a menu that is over did %v", do)
					}
				}
			}
		}
	}
}
