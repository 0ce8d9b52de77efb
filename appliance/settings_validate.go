package appliance

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"deskbridge/media"
)

// Limits of the document: an appliance is one company's.
const (
	maxLines  = 100
	maxTrunks = 100
	maxPhones = 2000
	maxRings  = 32 // phones that ring together
	maxName   = 64
)

var (
	nameForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	extensionForm = regexp.MustCompile(`^[0-9]{2,8}$`)
	patternForm   = regexp.MustCompile(`^[0-9xX*#]{1,16}$`)
	metaIDForm    = regexp.MustCompile(`^[0-9]{1,32}$`)
	prefixForm    = regexp.MustCompile(`^[0-9*#]{1,8}$`)
	targetForm    = regexp.MustCompile(`^[0-9*#]{1,16}$`)
	hostForm      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	userForm      = regexp.MustCompile(`^[A-Za-z0-9._~!$&*+=-]{1,64}$`)
)

func (s *Settings) validate(p *problems) {
	checkCount(p, "lines", len(s.Lines), maxLines)
	checkCount(p, "trunks", len(s.Trunks), maxTrunks)
	checkCount(p, "phones", len(s.Phones), maxPhones)
	v := settingsValidator{p: p, s: s, lines: map[string]int{}, trunks: map[string]int{}, phones: map[string]int{}}
	v.index()
	for i, l := range s.Lines {
		v.line(fmt.Sprintf("lines[%d]", i), l)
	}
	for i, t := range s.Trunks {
		v.trunk(fmt.Sprintf("trunks[%d]", i), t)
	}
	for i, ph := range s.Phones {
		v.phone(fmt.Sprintf("phones[%d]", i), ph)
	}
	checkOneOf(reflect.ValueOf(s.Policy), "policy", p)
	v.policy("policy", s.Policy.Profile, s.Policy.Custom, false)
	v.codes()
	v.recording(s.Recording)
}

func checkCount(p *problems, path string, n, limit int) {
	if n > limit {
		p.add(path, fmt.Sprintf("%d entries", n), fmt.Sprintf("at most %d", limit))
	}
}

// settingsValidator knows what the document names, so that references can be followed.
type settingsValidator struct {
	p      *problems
	s      *Settings
	lines  map[string]int
	trunks map[string]int
	phones map[string]int
}

// index notes every name and reports the ones given twice.
func (v settingsValidator) index() {
	once := func(m map[string]int, path, key, list string, i int) {
		if first, dup := m[key]; dup {
			v.p.add(path, fmt.Sprintf("%q is already used by %s[%d]", key, list, first), "names must be unique")
		} else if key != "" {
			m[key] = i
		}
	}
	numbers, prefixes := map[string]int{}, map[string]int{}
	for i, l := range v.s.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		once(v.lines, at+"id", l.ID, "lines", i)
		once(numbers, at+"phone_number_id", l.PhoneNumberID, "lines", i)
		once(prefixes, at+"outbound.prefix", l.Outbound.Prefix, "lines", i)
	}
	for i, t := range v.s.Trunks {
		once(v.trunks, fmt.Sprintf("trunks[%d].name", i), t.Name, "trunks", i)
	}
	for i, ph := range v.s.Phones {
		once(v.phones, fmt.Sprintf("phones[%d].extension", i), ph.Extension, "phones", i)
	}
	v.prefixes()
	v.networks()
}

// prefixes reports a prefix that hides a longer one: the digits "812" could mean either.
func (v settingsValidator) prefixes() {
	for i, a := range v.s.Lines {
		for j, b := range v.s.Lines {
			lead, full := a.Outbound.Prefix, b.Outbound.Prefix
			if i != j && lead != "" && len(lead) < len(full) && strings.HasPrefix(full, lead) {
				v.p.add(fmt.Sprintf("lines[%d].outbound.prefix", j), fmt.Sprintf("%q begins with the prefix %q of line %q", full, lead, a.ID), "choose prefixes of which none begins with another")
			}
		}
	}
}

// networks reports an address that two trunks claim: a call from it would belong to neither for certain.
func (v settingsValidator) networks() {
	type claim struct {
		net   netip.Prefix
		trunk string
	}
	var claims []claim
	for i, t := range v.s.Trunks {
		for j, n := range t.Networks() {
			path := fmt.Sprintf("trunks[%d].addresses[%d]", i, j)
			if len(t.Addresses) == 0 {
				path = fmt.Sprintf("trunks[%d].host", i)
			}
			for _, c := range claims {
				// Two registered trunks to one PBX differ by the account that is called, not by the address.
				if c.trunk != t.Name && c.net.Overlaps(n) && !t.Register {
					v.p.add(path, fmt.Sprintf("%s overlaps %s of trunk %q", n, c.net, c.trunk), "give each trunk its own addresses")
				}
			}
			claims = append(claims, claim{n, t.Name})
		}
	}
}

func (v settingsValidator) line(at string, l Line) {
	v.name(at+".id", l.ID)
	v.text(at+".name", l.Name)
	if !metaIDForm.MatchString(l.PhoneNumberID) {
		v.p.add(at+".phone_number_id", v.missingOr(l.PhoneNumberID, "is not an ID"), "copy the digits from WhatsApp Manager, API setup")
	}
	for _, id := range []struct{ key, value string }{{"waba_id", l.WABAID}, {"app_id", l.AppID}} {
		if id.value != "" && !metaIDForm.MatchString(id.value) {
			v.p.add(at+"."+id.key, fmt.Sprintf("%q is not an ID", id.value), "copy the digits from Meta's page")
		}
	}
	if l.DisplayNumber != "" {
		if n, err := phonenumbers.Parse(l.DisplayNumber, l.Country); err != nil || !phonenumbers.IsPossibleNumber(n) {
			v.p.add(at+".display_number", fmt.Sprintf("%q is not a telephone number", l.DisplayNumber), "write it with + and country code")
		}
	}
	if l.Country != "" && phonenumbers.GetCountryCodeForRegion(l.Country) == 0 {
		v.p.add(at+".country", fmt.Sprintf("%q is not a region", l.Country), "use two capital letters, such as ID or DE")
	}
	if l.GraphBaseURL != "" {
		checkURL(v.p, at+".graph_base_url", l.GraphBaseURL)
	}
	v.secret(at+".app_secret", l.AppSecret, "webhooks of this line cannot be verified without it")
	v.secret(at+".verify_token", l.VerifyToken, "Meta cannot confirm the webhook address without it")
	v.secret(at+".access_token", l.AccessToken, "no call can be made or taken without it")
	if d := l.Inbound.RingTimeout; d != 0 {
		checkRange(v.p, at+".inbound.ring_timeout", d, minRing, maxRing)
	}
	if pre := l.Outbound.Prefix; pre != "" && !prefixForm.MatchString(pre) {
		v.p.add(at+".outbound.prefix", fmt.Sprintf("%q cannot be dialled", pre), "use 1 to 8 of the keys 0-9 * #")
	}
	if d := l.Inbound.OverflowTimeout; d != 0 {
		checkRange(v.p, at+".inbound.overflow_timeout", d, minRing, maxRing)
	}
	if d := l.Inbound.CallbackWithin; d != 0 {
		checkRange(v.p, at+".inbound.callback_within", d, time.Minute, 7*24*time.Hour)
	}
	v.ring(at+".inbound.ring", l)
	v.targets(at+".inbound.overflow", l.Inbound.Overflow)
	checkOneOf(reflect.ValueOf(l), at, v.p)
	v.hours(at+".hours", l.Hours)
	if l.Policy.Profile != "" {
		v.policy(at+".policy", l.Policy.Profile, l.Policy.Custom, l.TestNumber)
	} else if l.Policy.Custom != (CustomSettings{}) {
		v.p.add(at+".policy.custom", "has numbers, though the profile is not custom", "set profile: custom, or remove them")
	}
	v.messages(at+".messages", l.Messages)
	v.meta(at+".meta", l)
	v.lineRecording(at+".recording", l)
}

func (v settingsValidator) ring(at string, l Line) {
	if l.Enabled && l.Inbound.Enabled && len(l.Inbound.Ring) == 0 {
		v.p.add(at, "nobody would ring", "name at least one phone:EXTENSION or trunk:NAME/NUMBER, or set inbound.enabled: false")
	}
	v.targets(at, l.Inbound.Ring)
}

func (v settingsValidator) target(path, text string) {
	t, err := ParseTarget(text)
	if err != nil {
		v.p.add(path, err.Error(), "write phone:EXTENSION or trunk:NAME/NUMBER")
		return
	}
	if t.Trunk == "" {
		if _, ok := v.phones[t.Number]; !ok {
			v.p.add(path, fmt.Sprintf("there is no phone %q", t.Number), "add it under phones or correct the extension")
		}
		return
	}
	i, ok := v.trunks[t.Trunk]
	switch {
	case !ok:
		v.p.add(path, fmt.Sprintf("there is no trunk %q", t.Trunk), "add it under trunks or correct the name")
	case !v.s.Trunks[i].Internal(t.Number):
		v.p.add(path, fmt.Sprintf("%s is not an internal number of trunk %q", t.Number, t.Trunk), fmt.Sprintf("add a pattern that covers it to trunks[%d].extensions, such as %q", i, t.Number))
	case v.s.Trunks[i].Host == "":
		v.p.add(path, fmt.Sprintf("trunk %q has no host to call", t.Trunk), fmt.Sprintf("set trunks[%d].host", i))
	}
}

func (v settingsValidator) trunk(at string, t Trunk) {
	v.name(at+".name", t.Name)
	checkOneOf(reflect.ValueOf(t), at, v.p)
	if _, err := netip.ParseAddr(t.Host); t.Host != "" && err != nil && !hostForm.MatchString(t.Host) {
		v.p.add(at+".host", fmt.Sprintf("%q is neither a host name nor an address", t.Host), "write it without port or sip:")
	}
	if t.Port < 1 || t.Port > 65535 {
		v.p.add(at+".port", fmt.Sprintf("%d is not a port", t.Port), "use 1 to 65535")
	}
	for i, n := range t.Addresses {
		path := fmt.Sprintf("%s.addresses[%d]", at, i)
		checkNetwork(v.p, path, n)
		if net, err := ParseNetwork(n); err == nil && net.Bits() == 0 {
			v.p.add(path, fmt.Sprintf("%s is everybody: anyone could call through us without a password", n), "name the PBX's own addresses")
		}
	}
	if t.Host == "" && len(t.Addresses) == 0 {
		v.p.add(at+".host", "the trunk has neither host nor addresses", "set host to the address of the PBX")
	}
	v.account(at, t)
	v.codecs(at, t.Codecs, t.PTime)
	for i, e := range t.Extensions {
		if !patternForm.MatchString(e) {
			v.p.add(fmt.Sprintf("%s.extensions[%d]", at, i), fmt.Sprintf("%q is not a pattern", e), "use digits and x for any digit, such as 2xx")
		}
	}
	v.mayUse(at, t.Line, t.Lines)
}

// account checks what a trunk needs to register and to answer challenges.
func (v settingsValidator) account(at string, t Trunk) {
	for _, u := range []struct{ key, value string }{{"username", t.Username}, {"auth_user", t.AuthUser}} {
		if u.value != "" && !userForm.MatchString(u.value) {
			v.p.add(at+"."+u.key, fmt.Sprintf("%q cannot be a user name", u.value), "use letters, digits and . _ - without blanks")
		}
	}
	if t.Domain != "" && !hostForm.MatchString(t.Domain) {
		v.p.add(at+".domain", fmt.Sprintf("%q is not a domain", t.Domain), "write it without sip: or port")
	}
	if !t.Password.IsZero() && t.Username == "" {
		v.p.add(at+".username", "missing, though a password is set", "write the account's name")
	}
	if !t.Register {
		return
	}
	if t.Host == "" {
		v.p.add(at+".host", "missing, though register is on", "write the address of the PBX")
	}
	if t.Username == "" {
		v.p.add(at+".username", "missing, though register is on", "write the account's name")
	}
	v.secret(at+".password", t.Password, "the PBX will ask for it")
	checkRange(v.p, at+".expires", t.Expires, time.Minute, time.Hour)
}

func (v settingsValidator) phone(at string, ph Phone) {
	if !extensionForm.MatchString(ph.Extension) {
		v.p.add(at+".extension", v.missingOr(ph.Extension, "is not an extension"), "use 2 to 8 digits")
	}
	v.text(at+".name", ph.Name)
	v.secret(at+".password", ph.Password, "a phone without password could be anybody's")
	if pw := ph.Password.Reveal(); pw != "" && len(pw) < shortestSecret {
		v.p.add(at+".password", "shorter than 8 characters", "use a longer one: SIP passwords are guessed all day long")
	}
	v.codecs(at, ph.Codecs, ph.PTime)
	v.mayUse(at, ph.Line, ph.Lines)
	checkOneOf(reflect.ValueOf(ph), at, v.p)
}

func (v settingsValidator) codecs(at string, names []string, ptime time.Duration) {
	seen := map[media.Codec]bool{}
	for i, n := range names {
		path, c := fmt.Sprintf("%s.codecs[%d]", at, i), media.ParseCodec(n)
		switch {
		case c == media.CodecNone:
			v.p.add(path, fmt.Sprintf("unknown codec %q", n), "use PCMA, PCMU, G722 or opus")
		case seen[c]:
			v.p.add(path, fmt.Sprintf("%s stands here twice", c), "remove one")
		}
		seen[c] = true
	}
	if ptime < 10*time.Millisecond || ptime > 60*time.Millisecond || ptime%(10*time.Millisecond) != 0 {
		v.p.add(at+".ptime", fmt.Sprintf("%v is not possible", ptime), "use 10ms to 60ms in steps of 10ms; 20ms is usual")
	}
}

func (v settingsValidator) mayUse(at, def string, list []string) {
	if _, ok := v.lines[def]; def != "" && !ok {
		v.p.add(at+".line", fmt.Sprintf("there is no line %q", def), "add it under lines or correct the id")
	}
	for i, id := range list {
		if _, ok := v.lines[id]; !ok {
			v.p.add(fmt.Sprintf("%s.lines[%d]", at, i), fmt.Sprintf("there is no line %q", id), "add it under lines or correct the id")
		}
	}
}

func (v settingsValidator) name(path, s string) {
	if !nameForm.MatchString(s) {
		v.p.add(path, v.missingOr(s, "is not a name"), "use a-z, 0-9 and -, at most 32 characters")
	}
}

func (v settingsValidator) text(path, s string) {
	if len([]rune(s)) > maxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		v.p.add(path, "too long or with control characters", fmt.Sprintf("use at most %d printable characters", maxName))
	}
}

func (v settingsValidator) secret(path string, s Secret, why string) {
	if s.IsZero() {
		v.p.add(path, "missing", why+"; write the value, file:/path or credential:NAME")
	}
}

func (v settingsValidator) missingOr(value, is string) string {
	if value == "" {
		return "missing"
	}
	return fmt.Sprintf("%q %s", value, is)
}
