package appliance

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"deskbridge/ivr"
	"deskbridge/media"
	"deskbridge/policy"
)

var templateForm = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)

// Limits of what a line sends (Meta's document, §11).
const (
	maxMessage     = 1024 // characters of an interactive message's body
	maxButtonLabel = 20
	maxButtonTTL   = 720 * time.Hour
)

// joined splits an error of several problems, each "path: problem".
func joined(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func (v settingsValidator) hours(at string, h HoursSettings) {
	clean := true
	hours := h.hours(func(path, problem, fix string) {
		clean = false
		v.p.add(at+"."+path, problem, fix)
	})
	if !clean {
		return
	}
	err := hours.Validate()
	if err == nil {
		return
	}
	fix := "correct it, or remove time_zone to be open always"
	for _, text := range joined(err) {
		path, problem, ok := strings.Cut(text, ": ")
		if !ok {
			path, problem = "", text
		}
		path = strings.Replace(path, "zone", "time_zone", 1)
		if i := weeklyIndex(h, path); i >= 0 { // our entries hold several spans each
			path = fmt.Sprintf("weekly[%d]", i)
		}
		v.p.add(strings.TrimSuffix(at+"."+path, "."), problem, fix)
	}
}

// weeklyIndex is the entry of weekly that a span of the parsed hours came from; -1 for another path.
func weeklyIndex(h HoursSettings, path string) int {
	var n int
	if _, err := fmt.Sscanf(path, "weekly[%d]", &n); err != nil {
		return -1
	}
	for i, text := range h.Weekly {
		days, periods, err := parseWeekly(text)
		if err != nil {
			continue
		}
		if n -= len(days) * len(periods); n < 0 {
			return i
		}
	}
	return -1
}

func (v settingsValidator) policy(at, profile string, c CustomSettings, test bool) {
	_, err := policy.NewRules(profile, c.policy(), test)
	for _, text := range joined(err) {
		path, problem, _ := strings.Cut(text, ": ")
		path = strings.NewReplacer("custom.line.", "custom.", "custom.global.", "custom.all_").Replace(path)
		v.p.add(at+"."+path, problem, "a custom profile may only be stricter than Meta")
	}
	if profile != policy.ProfileCustom && c != (CustomSettings{}) {
		v.p.add(at+".custom", "has numbers, though the profile is not custom", "set profile: custom, or remove them")
	}
}

func (v settingsValidator) messages(at string, m MessageSettings) {
	for _, t := range []struct {
		key, text string
		most      int
	}{{"ask", m.Ask, maxMessage}, {"closed", m.Closed, maxMessage}, {"button", m.Button, maxMessage}, {"button_label", m.ButtonLabel, maxButtonLabel}} {
		if n := utf8.RuneCountInString(t.text); n > t.most {
			v.p.add(at+"."+t.key, fmt.Sprintf("%d characters", n), fmt.Sprintf("at most %d", t.most))
		}
	}
	if m.ButtonTTL != 0 {
		checkRange(v.p, at+".button_ttl", m.ButtonTTL, time.Minute, maxButtonTTL)
	}
	for _, t := range []struct {
		key string
		t   TemplateSettings
	}{{"ask_template", m.AskTemplate}, {"button_template", m.ButtonTemplate}} {
		if t.t.Name == "" && (t.t.Language != "" || len(t.t.Parameters) > 0) {
			v.p.add(at+"."+t.key+".name", "missing", "write the template's name at Meta")
		}
		if t.t.Name != "" && !templateForm.MatchString(t.t.Name) {
			v.p.add(at+"."+t.key+".name", fmt.Sprintf("%q is not a template's name", t.t.Name), "use lower-case letters, digits and _")
		}
	}
}

func (v settingsValidator) meta(at string, l Line) {
	for i, c := range l.Meta.Codecs {
		if m := media.ParseCodec(c); m != media.PCMA && m != media.PCMU {
			v.p.add(fmt.Sprintf("%s.codecs[%d]", at, i), fmt.Sprintf("%q is no codec that WhatsApp speaks besides Opus", c), "use PCMA or PCMU")
		}
	}
	if l.Hours.Outside == "meta_popup" && l.Hours.TimeZone != "" && !l.Meta.Hours {
		v.p.add(at+".hours", "off, though hours.outside is meta_popup: callers outside the hours would just be refused", "set meta.hours: true, or hours.outside: answer_and_prompt")
	}
}

func (v settingsValidator) codes() {
	if len(v.s.Codes) == 0 {
		return
	}
	for _, text := range joined(v.s.featureCodes().Validate(v.s.prefixes())) {
		path, problem, _ := strings.Cut(strings.TrimSuffix(text, ": "+ivr.ErrCodes.Error()), " ")
		v.p.add(path, problem, "choose codes of which none begins with another, or with a line's prefix")
	}
}

// targets checks a list of whom to ring.
func (v settingsValidator) targets(at string, list []string) {
	checkCount(v.p, at, len(list), maxRings)
	seen := map[string]bool{}
	for i, text := range list {
		path := fmt.Sprintf("%s[%d]", at, i)
		if seen[text] {
			v.p.add(path, fmt.Sprintf("%q stands here twice", text), "remove one")
		}
		seen[text] = true
		v.target(path, text)
	}
}
