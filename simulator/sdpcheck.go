package simulator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// SDPRule is one rule of the validator; each can be switched off in MetaConfig.SDPRulesOff.
type SDPRule string

// The rules of the media reference §9.
const (
	RuleVersion        SDPRule = "version"     // starts with v=0
	RuleCRLF           SDPRule = "crlf"        // every line ends with CR LF
	RuleSize           SDPRule = "size"        // at most 16 KiB
	RuleOneMedia       SDPRule = "one_media"   // exactly one m=, audio
	RuleProtocol       SDPRule = "protocol"    // UDP/TLS/RTP/SAVPF
	RuleICE            SDPRule = "ice"         // ufrag of 4, pwd of 22 characters at least
	RuleFingerprint    SDPRule = "fingerprint" // exactly one, sha-256
	RuleSetup          SDPRule = "setup"       // answer: active or passive
	RuleRTCPMux        SDPRule = "rtcp_mux"    //
	RuleNotLite        SDPRule = "not_lite"    // no a=ice-lite from a business
	RuleOpus           SDPRule = "opus"        // opus/48000/2, in an answer with an offered payload type
	RuleCodecs         SDPRule = "codecs"      // an answer has enabled codecs only
	RuleDTMF           SDPRule = "dtmf"        // telephone-event at 8000 only
	RuleOneSSRC        SDPRule = "one_ssrc"    // at most one distinct SSRC
	RulePtime          SDPRule = "ptime"       // absent or 20
	RuleMid            SDPRule = "mid"         // an answer mirrors mid and BUNDLE
	RuleDirection      SDPRule = "direction"   // sendrecv, or none given
	RuleNoTrickle      SDPRule = "no_trickle"  // candidates, if any, are complete UDP ones
	RuleSameSDP        SDPRule = "same_sdp"    // accept repeats pre_accept byte for byte
	maxSDP                     = 16 << 10
	codeSDP, codeParam         = 138008, 100
)

// SDPContext is what an SDP is judged by.
type SDPContext struct {
	Answer bool
	Offer  string   // what an answer answers
	Codecs []string // additional codecs enabled on the number
}

// SDPProblem is one broken rule.
type SDPProblem struct {
	Rule   SDPRule
	Code   int // 100 or 138008
	Detail string
}

type sdpCheck struct {
	raw string
	sdp sdpText
	ctx SDPContext
}

type sdpRule struct {
	name  SDPRule
	code  int
	check func(c *sdpCheck) string // empty: fine
}

// sdpRules in the order Meta is assumed to look. Rules after one_media rely on there being a media section.
var sdpRules = []sdpRule{
	{RuleSize, codeParam, func(c *sdpCheck) string { return unless(len(c.raw) <= maxSDP, "SDP is larger than 16 KiB") }},
	{RuleVersion, codeParam, func(c *sdpCheck) string { return unless(strings.HasPrefix(c.raw, "v=0"), "SDP must start with v=0") }},
	{RuleCRLF, codeParam, checkCRLF},
	{RuleOneMedia, codeSDP, checkOneMedia},
	{RuleProtocol, codeSDP, checkProtocol},
	{RuleICE, codeSDP, checkICE},
	{RuleFingerprint, codeSDP, checkFingerprint},
	{RuleSetup, codeSDP, checkSetup},
	{RuleRTCPMux, codeSDP, func(c *sdpCheck) string { return unless(c.sdp.flag("rtcp-mux"), "rtcp-mux is required") }},
	{RuleNotLite, codeSDP, func(c *sdpCheck) string { return unless(!c.sdp.flag("ice-lite"), "ice-lite is not allowed") }},
	{RuleOpus, codeSDP, checkOpus},
	{RuleCodecs, codeSDP, checkCodecs},
	{RuleDTMF, codeSDP, checkDTMF},
	{RuleOneSSRC, codeSDP, checkSSRC},
	{RulePtime, codeSDP, checkPtime},
	{RuleMid, codeSDP, checkMid},
	{RuleDirection, codeSDP, checkDirection},
	{RuleNoTrickle, codeSDP, checkCandidates},
}

// CheckSDP returns every broken rule of the business's SDP.
func CheckSDP(raw string, ctx SDPContext, off ...SDPRule) []SDPProblem {
	c := &sdpCheck{raw: raw, ctx: ctx}
	if len(raw) <= maxSDP {
		c.sdp = splitSDP(raw)
	}
	var out []SDPProblem
	for _, r := range sdpRules {
		if slices.Contains(off, r.name) {
			continue
		}
		if len(c.sdp.media) == 0 && len(out) > 0 {
			break
		}
		if len(c.sdp.media) == 0 && r.name != RuleSize && r.name != RuleVersion && r.name != RuleCRLF && r.name != RuleOneMedia {
			break
		}
		if d := r.check(c); d != "" {
			out = append(out, SDPProblem{r.name, r.code, d})
		}
	}
	return out
}

// checkSDP turns the first problem into Meta's error.
func (m *Meta) checkSDP(raw string, ctx SDPContext) *graphError {
	if ps := CheckSDP(raw, ctx, m.cfg.SDPRulesOff...); len(ps) > 0 {
		return refuse(ps[0].Code, "SDP Validation error: %s", ps[0].Detail)
	}
	return nil
}

func (m *Meta) ruleOff(r SDPRule) bool { return slices.Contains(m.cfg.SDPRulesOff, r) }

func unless(ok bool, format string, a ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, a...)
}

func checkCRLF(c *sdpCheck) string {
	return unless(strings.HasSuffix(c.raw, "\r\n") && strings.Count(c.raw, "\n") == strings.Count(c.raw, "\r\n"),
		"lines must end with CR LF")
}

func checkOneMedia(c *sdpCheck) string {
	return unless(len(c.sdp.media) == 1 && strings.HasPrefix(c.sdp.media[0].line, "audio "),
		"exactly one audio media section is required")
}

func checkProtocol(c *sdpCheck) string {
	f := strings.Fields(c.sdp.media[0].line)
	return unless(len(f) > 2 && f[2] == "UDP/TLS/RTP/SAVPF", "media protocol must be UDP/TLS/RTP/SAVPF")
}

func checkICE(c *sdpCheck) string {
	u, p := c.sdp.anywhere("ice-ufrag"), c.sdp.anywhere("ice-pwd")
	return unless(len(u) == 1 && len(u[0]) >= 4 && len(p) == 1 && len(p[0]) >= 22, "ice-ufrag or ice-pwd missing or too short")
}

var fingerprintValue = regexp.MustCompile(`^sha-256 ([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$`)

func checkFingerprint(c *sdpCheck) string {
	f := c.sdp.all("fingerprint")
	switch {
	case len(f) == 0:
		return "no fingerprint"
	case len(f) > 1:
		return "several fingerprints"
	}
	return unless(fingerprintValue.MatchString(f[0]), "fingerprint must be sha-256 with 32 bytes")
}

func checkSetup(c *sdpCheck) string {
	s := c.sdp.anywhere("setup")
	allowed := []string{"actpass", "active", "passive"}
	if c.ctx.Answer {
		allowed = allowed[1:]
	}
	return unless(len(s) == 1 && slices.Contains(allowed, s[0]), "setup must be one of %s", strings.Join(allowed, ", "))
}

func checkOpus(c *sdpCheck) string {
	m := c.sdp.media[0]
	maps, offered := m.rtpmaps(), map[string]string(nil)
	if c.ctx.Answer && c.ctx.Offer != "" {
		if o := splitSDP(c.ctx.Offer); len(o.media) > 0 {
			offered = o.media[0].rtpmaps()
		}
	}
	for _, pt := range m.formats() {
		if maps[pt] == "opus/48000/2" && (offered == nil || offered[pt] == "opus/48000/2") {
			return ""
		}
	}
	return "opus/48000/2 missing, or not on the offered payload type"
}

func checkCodecs(c *sdpCheck) string {
	if !c.ctx.Answer {
		return ""
	}
	m := c.sdp.media[0]
	maps := m.rtpmaps()
	for _, pt := range m.formats() {
		name, _, _ := strings.Cut(maps[pt], "/")
		if name == "opus" || name == "telephone-event" || slices.Contains(c.ctx.Codecs, strings.ToUpper(name)) {
			continue
		}
		return fmt.Sprintf("payload type %s (%s) is not enabled for this number", pt, maps[pt])
	}
	return ""
}

func checkDTMF(c *sdpCheck) string {
	m := c.sdp.media[0]
	maps := m.rtpmaps()
	for _, pt := range m.formats() {
		if enc := maps[pt]; strings.HasPrefix(enc, "telephone-event/") && enc != "telephone-event/8000" {
			return "telephone-event must have a clock rate of 8000"
		}
	}
	return ""
}

func checkSSRC(c *sdpCheck) string {
	seen := map[string]bool{}
	for _, v := range c.sdp.all("ssrc") {
		id, _, _ := strings.Cut(v, " ")
		seen[id] = true
	}
	return unless(len(seen) <= 1, "more than one SSRC")
}

func checkPtime(c *sdpCheck) string {
	for _, v := range c.sdp.all("ptime") {
		if v != "20" {
			return "ptime must be 20"
		}
	}
	return ""
}

func checkMid(c *sdpCheck) string {
	if !c.ctx.Answer || c.ctx.Offer == "" {
		return ""
	}
	o := splitSDP(c.ctx.Offer)
	if len(o.media) == 0 {
		return ""
	}
	if want := values(o.media[0].lines, "mid"); len(want) > 0 && !slices.Equal(want, values(c.sdp.media[0].lines, "mid")) {
		return "mid of the offer is not mirrored"
	}
	want := values(o.session, "group")
	return unless(len(want) == 0 || slices.Equal(want, values(c.sdp.session, "group")), "BUNDLE group of the offer is not mirrored")
}

func checkDirection(c *sdpCheck) string {
	for _, d := range []string{"sendonly", "recvonly", "inactive"} {
		if c.sdp.flag(d) {
			return "direction must be sendrecv, not " + d
		}
	}
	return ""
}

func checkCandidates(c *sdpCheck) string {
	for _, v := range c.sdp.all("candidate") {
		f := strings.Fields(v)
		if len(f) < 8 || f[6] != "typ" {
			return "malformed candidate"
		}
	}
	return unless(len(c.sdp.all("candidate")) <= 64, "too many candidates")
}
