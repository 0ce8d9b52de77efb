package ivr

// phase is where a menu stands.
type phase uint8

const (
	phaseSpeaking  phase = iota // what it is and what it offers; a key is taken
	phaseListening              // all is said: a key or the time is waited for
	phaseActing                 // a choice is being carried out
	phaseLeaving                // the last words
	phaseHanding                // somebody else takes our place; we wait to be hung up
	phaseOver
	phaseCount
)

var phaseNames = [...]string{"speaking", "listening", "acting", "leaving", "handing", "over"}

func (p phase) String() string { return phaseNames[p] }

// state is all that a menu remembers. The zero state with begin's actions is a menu that has just been dialled.
type state struct {
	phase  phase
	choice uint8  // phaseActing: the choice carried out
	spent  uint16 // choices that were tried and failed: not offered again
	silent uint8  // times that nobody pressed a key
	wrong  uint8  // wrong keys
	waited bool   // phaseActing: the caller was asked to wait
}

const (
	maxSilent = 2 // the offers are said twice
	maxWrong  = 3
)

// inputKind is something that happened to a menu.
type inputKind uint8

const (
	inSpoken  inputKind = iota // everything that was to be said is said
	inKey                      // a key: n is its choice, noChoice when it has none
	inTimeout                  // the time set by the last actTimer is over
	inDone                     // the action is done
	inFailed                   // the action failed
	inputCount
)

// noChoice is a key that belongs to no choice.
const noChoice = 0xff

type input struct {
	kind inputKind
	n    uint8
}

// actionKind is what the leg does about an input, in order.
type actionKind uint8

const (
	actSayOpen    actionKind = iota
	actSayOffers             // of the choices that are left
	actSayInvalid            // this key does nothing
	actSayWait               // one moment
	actSayOutcome            // of the action
	actSayGoodbye
	actHush       // stop speaking, forget what was still to be said
	actListen     // inTimeout comes after keyTimeout
	actSlow       // inTimeout comes after slowAction
	actPatience   // inTimeout comes after ActionTimeout
	actGiveUp     // inFailed comes, whatever the action comes to
	actNoTimer    // no inTimeout comes
	actDo         // carry out choice n: inDone or inFailed comes
	actHandOver   // ask for choice n's target in our place
	actEnd        // the leg ends
	actSpeakAlone // say choice n's Done: it does nothing else
)

type action struct {
	kind actionKind
	n    uint8
}

// deed is what a choice is for.
type deed uint8

const (
	deedSay deed = iota // say Done
	deedDo
	deedHandOver
)

// script is what the state machine needs to know of a menu.
type script struct {
	deeds     []deed // of each choice
	immediate bool
}

func (m Menu) script() script {
	s := script{immediate: m.Immediate}
	for _, c := range m.Choices[:min(len(m.Choices), maxChoices)] {
		d := deedSay
		switch {
		case c.To != "":
			d = deedHandOver
		case c.Do != nil:
			d = deedDo
		}
		s.deeds = append(s.deeds, d)
	}
	return s
}

// begin is a menu's first state.
func begin(m script) (state, []action) {
	switch {
	case len(m.deeds) == 0:
		return state{phase: phaseLeaving}, []action{{kind: actSayOpen}}
	case m.immediate:
		to, do := take(m, state{}, 0)
		return to, do[2:] // there is nothing to hush yet and no timer
	}
	return state{phase: phaseSpeaking}, []action{{kind: actSayOpen}, {kind: actSayOffers}}
}

// next is the whole behaviour of a menu. A pair of phase and input that it does not name changes nothing.
func next(m script, s state, in input) (state, []action) {
	switch s.phase {
	case phaseSpeaking:
		switch in.kind {
		case inSpoken:
			s.phase = phaseListening
			return s, []action{{kind: actListen}}
		case inKey:
			return key(m, s, in.n)
		}
	case phaseListening:
		switch in.kind {
		case inKey:
			return key(m, s, in.n)
		case inTimeout:
			if s.silent++; s.silent >= maxSilent {
				return leave(s, action{kind: actSayGoodbye})
			}
			s.phase = phaseSpeaking
			return s, []action{{kind: actSayOffers}}
		}
	case phaseActing:
		switch in.kind { // a key means nothing: the first one is being obeyed
		case inTimeout:
			if s.waited { // the Desk does not keep to its time
				return s, []action{{kind: actGiveUp}}
			}
			s.waited = true
			return s, []action{{kind: actSayWait}, {kind: actPatience}}
		case inDone:
			return leave(s, action{kind: actSayOutcome}, action{kind: actSayGoodbye})
		case inFailed:
			s.spent |= 1 << s.choice
			if !m.left(s.spent) {
				return leave(s, action{kind: actSayOutcome}, action{kind: actSayGoodbye})
			}
			s.phase, s.silent = phaseSpeaking, 0
			return s, []action{{kind: actNoTimer}, {kind: actSayOutcome}, {kind: actSayOffers}}
		}
	case phaseLeaving:
		switch {
		// An outcome is heard to its end even by who presses the key twice; an announcement may be cut short.
		case in.kind == inSpoken, in.kind == inKey && len(m.deeds) == 0:
			s.phase = phaseOver
			return s, []action{{kind: actHush}, {kind: actEnd}}
		}
	case phaseHanding:
		if in.kind == inTimeout { // the call did not want to
			s.phase = phaseOver
			return s, []action{{kind: actEnd}}
		}
	}
	return s, nil
}

// key obeys a key in the phases that listen to one.
func key(m script, s state, n uint8) (state, []action) {
	if int(n) < len(m.deeds) && s.spent&(1<<n) == 0 {
		return take(m, s, n)
	}
	if s.wrong++; s.wrong >= maxWrong {
		to, do := leave(s, action{kind: actSayInvalid}, action{kind: actSayGoodbye})
		return to, append([]action{{kind: actHush}}, do...)
	}
	s.phase = phaseSpeaking
	return s, []action{{kind: actHush}, {kind: actNoTimer}, {kind: actSayInvalid}, {kind: actSayOffers}}
}

func take(m script, s state, n uint8) (state, []action) {
	s.choice, s.waited = n, false
	do := []action{{kind: actHush}, {kind: actNoTimer}}
	switch m.deeds[n] {
	case deedHandOver:
		s.phase = phaseHanding
		return s, append(do, action{kind: actHandOver, n: n}, action{kind: actListen})
	case deedDo:
		s.phase = phaseActing
		return s, append(do, action{kind: actDo, n: n}, action{kind: actSlow})
	}
	s.phase = phaseLeaving
	return s, append(do, action{kind: actSpeakAlone, n: n}, action{kind: actSayGoodbye})
}

func leave(s state, last ...action) (state, []action) {
	s.phase = phaseLeaving
	return s, append([]action{{kind: actNoTimer}}, last...)
}

func (m script) left(spent uint16) bool {
	for n := range m.deeds {
		if spent&(1<<n) == 0 {
			return true
		}
	}
	return false
}
