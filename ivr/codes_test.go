package ivr

import (
	"errors"
	"strings"
	"testing"
)

func TestFeatureCodesAreRead(t *testing.T) {
	for _, c := range []struct {
		dialled  string
		feature  Feature
		argument string
		ok       bool
	}{
		{"*4008123456789", FeatureAsk, "08123456789", true},
		{"*40+628123456789", FeatureAsk, "+628123456789", true},
		{"*4008123456789#", FeatureAsk, "08123456789", true},
		{"*41628123456789", FeatureButton, "628123456789", true},
		{"*42999123", FeatureStatus, "999123", true},
		{"*43", FeatureNextCall, "", true},
		{"*44#", FeatureReturn, "", true},
		{"*45", FeatureAvailable, "", true},
		{"*46", FeatureUnavailable, "", true},
		{"*471", FeatureHours, HoursOpen, true},
		{"*470", FeatureHours, HoursClose, true},
		{"*472", FeatureHours, HoursNormal, true},
		// The code is there and its argument is not: the phone is told so.
		{"*40", FeatureAsk, "", true},
		{"*40*41", FeatureAsk, "", true},
		{"*4012", FeatureAsk, "", true},
		{"*40" + strings.Repeat("1", 30), FeatureAsk, "", true},
		{"*47", FeatureHours, "", true},
		{"*473", FeatureHours, "", true},
		{"*4711", FeatureHours, "", true},
		// No code.
		{"*451", "", "", false},
		{"*99", "", "", false},
		{"*1", "", "", false}, // only during a call
		{"08123456789", "", "", false},
		{"+4940", "", "", false},
		{"", "", "", false},
	} {
		code, argument, ok := DefaultCodes.Parse(c.dialled)
		if code.Feature != c.feature || argument != c.argument || ok != c.ok {
			t.Errorf("%q: %q %q %v", c.dialled, code.Feature, argument, ok)
		}
	}
}

func TestKeysDuringACallAreMatched(t *testing.T) {
	codes := append(Codes{}, DefaultCodes...)
	codes[len(codes)-1].Digits = "*19"
	for keys, want := range map[string][2]bool{"*": {false, true}, "*1": {false, true}, "*19": {true, false}, "*2": {}, "*40": {}, "5": {}} {
		code, ok, more := codes.Pressed(keys)
		if ok != want[0] || more != want[1] || ok && code.Feature != FeatureRecording {
			t.Errorf("%q: %v %v %v", keys, code, ok, more)
		}
	}
}

func TestDefaultCodesAreUsable(t *testing.T) {
	if err := DefaultCodes.Validate([]string{"", "8", "#2", "*9"}); err != nil {
		t.Error(err)
	}
	for f := range features {
		found := false
		for _, c := range DefaultCodes {
			found = found || c.Feature == f
		}
		if !found || !strings.Contains(featureNames, string(f)) {
			t.Errorf("feature %q has no code, or no name in the error", f)
		}
	}
}

func TestUnusableCodesAreNamedWithTheirFix(t *testing.T) {
	for _, c := range []struct {
		codes    Codes
		prefixes []string
		want     []string
	}{
		{Codes{{"*40", "dance"}}, nil, []string{`codes[0] "*40"`, `no feature "dance"`, "use one of ask"}},
		{Codes{{"40", FeatureAsk}}, nil, []string{"write it like *40"}},
		{Codes{{"*", FeatureAsk}}, nil, []string{"write it like *40"}},
		{Codes{{"*4a", FeatureAsk}}, nil, []string{"write it like *40"}},
		{Codes{{"*1234567", FeatureAsk}}, nil, []string{"write it like *40"}},
		{Codes{{"", FeatureAsk}}, nil, []string{"write it like *40"}},
		{Codes{{"*40", FeatureAsk}, {"*40", FeatureButton}}, nil, []string{`codes[1] "*40"`, "codes[0] is the same"}},
		{Codes{{"*4", FeatureAsk}, {"*40", FeatureButton}}, nil, []string{`it begins with codes[0] "*4"`}},
		{Codes{{"*40", FeatureAsk}, {"*4", FeatureButton}}, nil, []string{`codes[0] "*40" begins with it`}},
		{Codes{{"*40", FeatureAsk}, {"*41", FeatureAsk}}, nil, []string{`has the code "*40" already`}},
		{Codes{{"*40", FeatureAsk}}, []string{"*4"}, []string{`prefix "*4"`, "change the code or the line's prefix"}},
		{Codes{{"*4", FeatureAsk}}, []string{"*40"}, []string{`prefix "*40"`}},
		// Every problem at once.
		{Codes{{"*4", "dance"}, {"40", FeatureAsk}, {"*4", FeatureButton}}, []string{"*"}, []string{"dance", "like *40", "the same", `prefix "*"`}},
	} {
		err := c.codes.Validate(c.prefixes)
		if !errors.Is(err, ErrCodes) {
			t.Errorf("%v: %v", c.codes, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: %v does not say %q", c.codes, err, w)
			}
		}
	}
}
