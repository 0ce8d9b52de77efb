package ivr

import (
	"errors"
	"fmt"
	"strings"
)

// Feature is what a feature code is for.
type Feature string

// The features. Those of FeatureRecording are pressed during a call, all others dialled.
const (
	FeatureAsk         Feature = "ask"         // + number: ask the customer for permission
	FeatureButton      Feature = "button"      // + number: send a call button
	FeatureStatus      Feature = "status"      // + number: may the customer be called?
	FeatureNextCall    Feature = "next"        // call the customer who waits longest to be called back
	FeatureReturn      Feature = "return"      // call the last missed caller
	FeatureAvailable   Feature = "available"   // ring me
	FeatureUnavailable Feature = "unavailable" // don't
	FeatureHours       Feature = "hours"       // + 1 open, 0 close, 2 back to normal
	FeatureRecording   Feature = "recording"   // pause or resume the recording
)

// The arguments of FeatureHours.
const (
	HoursOpen   = "1"
	HoursClose  = "0"
	HoursNormal = "2"
)

// Argument is what is dialled after a code.
type Argument uint8

// The arguments.
const (
	ArgumentNone Argument = iota
	ArgumentNumber
	ArgumentHours
)

type featureInfo struct {
	argument Argument
	inCall   bool
}

var features = map[Feature]featureInfo{
	FeatureAsk: {argument: ArgumentNumber}, FeatureButton: {argument: ArgumentNumber}, FeatureStatus: {argument: ArgumentNumber},
	FeatureNextCall: {}, FeatureReturn: {}, FeatureAvailable: {}, FeatureUnavailable: {},
	FeatureHours:     {argument: ArgumentHours},
	FeatureRecording: {inCall: true},
}

// Argument is what the feature's code is followed by.
func (f Feature) Argument() Argument { return features[f].argument }

// InCall reports whether the feature's code is pressed during a call instead of dialled.
func (f Feature) InCall() bool { return features[f].inCall }

// Code is one feature code: "*40" and what it is for.
type Code struct {
	Digits  string  `json:"digits"`
	Feature Feature `json:"feature"`
}

// Codes are the feature codes in force. A feature without one cannot be dialled.
type Codes []Code

// DefaultCodes are the codes of a new appliance.
var DefaultCodes = Codes{
	{"*40", FeatureAsk}, {"*41", FeatureButton}, {"*42", FeatureStatus}, {"*43", FeatureNextCall}, {"*44", FeatureReturn},
	{"*45", FeatureAvailable}, {"*46", FeatureUnavailable}, {"*47", FeatureHours}, {"*1", FeatureRecording},
}

// maxArgument bounds a dialled number: E.164 has 15 digits, 00 or a line's prefix before it a few more.
const maxArgument = 24

// Parse reads what was dialled. ok says that it begins with a feature code, and so is no customer's number. The argument is
// empty when the feature takes none, and also when it is missing or not of its kind: "*40" alone, "*473". A trailing # is
// how many phones end dialling.
func (c Codes) Parse(dialled string) (code Code, argument string, ok bool) {
	for _, code := range c {
		if code.Feature.InCall() {
			continue
		}
		rest, ok := strings.CutPrefix(dialled, code.Digits)
		if !ok {
			continue
		}
		rest = strings.TrimSuffix(rest, "#")
		switch code.Feature.Argument() {
		case ArgumentNone:
			if rest != "" {
				continue // "*4512": no code of ours, and no number either
			}
		case ArgumentNumber:
			if !isNumber(rest) {
				rest = ""
			}
		case ArgumentHours:
			if rest != HoursOpen && rest != HoursClose && rest != HoursNormal {
				rest = ""
			}
		}
		return code, rest, true
	}
	return Code{}, "", false
}

func isNumber(s string) bool {
	d := strings.TrimPrefix(s, "+")
	return len(d) >= 3 && len(s) <= maxArgument && allOf(d, "0123456789")
}

func allOf(s, set string) bool { return strings.Trim(s, set) == "" }

// Pressed looks at the keys pressed during a call since the last pause. code is the feature they ask for; more says that
// they may yet become one.
func (c Codes) Pressed(keys string) (code Code, ok, more bool) {
	for _, code := range c {
		switch {
		case !code.Feature.InCall():
		case code.Digits == keys:
			return code, true, false
		case strings.HasPrefix(code.Digits, keys):
			more = true
		}
	}
	return Code{}, false, more
}

// ErrCodes says that feature codes cannot be told apart, from each other or from numbers.
var ErrCodes = errors.New("feature codes are not usable")

// Validate checks the codes against each other and against the prefixes by which lines are dialled. It names every problem.
func (c Codes) Validate(prefixes []string) error {
	var bad []error
	problem := func(i int, format string, args ...any) {
		bad = append(bad, fmt.Errorf("codes[%d] %q: %s: %w", i, c[i].Digits, fmt.Sprintf(format, args...), ErrCodes))
	}
	seen := map[Feature]int{}
	for i, code := range c {
		if _, ok := features[code.Feature]; !ok {
			problem(i, "there is no feature %q; use one of %s", code.Feature, featureNames)
		} else if first, twice := seen[code.Feature]; twice {
			problem(i, "feature %q has the code %q already; remove one", code.Feature, c[first].Digits)
		} else {
			seen[code.Feature] = i
		}
		if d := code.Digits; len(d) < 2 || len(d) > 6 || !strings.ContainsAny(d[:1], "*#") || !allOf(d[1:], "0123456789*") {
			problem(i, "a code is * or # and one to five digits, so that it is never a number; write it like *40")
			continue
		}
		for j, other := range c[:i] {
			switch {
			case code.Digits == other.Digits:
				problem(i, "codes[%d] is the same; change one", j)
			case strings.HasPrefix(code.Digits, other.Digits):
				problem(i, "it begins with codes[%d] %q, which would always be taken first; change one", j, other.Digits)
			case strings.HasPrefix(other.Digits, code.Digits):
				problem(i, "codes[%d] %q begins with it, and would never be taken; change one", j, other.Digits)
			}
		}
		for _, p := range prefixes {
			if p != "" && (strings.HasPrefix(code.Digits, p) || strings.HasPrefix(p, code.Digits)) {
				problem(i, "a line is dialled by the prefix %q, so the two cannot be told apart; change the code or the line's prefix", p)
			}
		}
	}
	return errors.Join(bad...)
}

const featureNames = "ask, button, status, next, return, available, unavailable, hours, recording"
