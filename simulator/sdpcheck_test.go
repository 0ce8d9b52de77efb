package simulator

import (
	"net/netip"
	"strings"
	"testing"
)

var testFingerprint = "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":")

func metaOffer() string {
	return metaSDP(sdpParts{addr: netip.MustParseAddrPort("157.240.0.10:3480"), ufrag: "Ab/cD1eF2gH3iJ", pwd: "abcdefghijklmnopqrstuvwxyz012345",
		fingerprint: testFingerprint, setup: "actpass", mid: "audio", bundle: "audio", ssrc: 1000000003, opusPT: "111", dtmfPT: "126", session: 7})
}

// goodAnswer is the answer of the media reference §8.2.
func goodAnswer() string {
	return strings.Join([]string{"v=0", "o=- 42 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE audio", "a=msid-semantic: WMS appliance",
		"m=audio 20000 UDP/TLS/RTP/SAVPF 111 126", "c=IN IP4 203.0.113.20", "a=rtcp:9 IN IP4 0.0.0.0",
		"a=candidate:1 1 udp 2130706431 203.0.113.20 20000 typ host", "a=ice-ufrag:uFr4", "a=ice-pwd:0123456789abcdefghijklmn",
		"a=fingerprint:" + testFingerprint, "a=setup:active", "a=mid:audio", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
		"a=fmtp:111 minptime=20;useinbandfec=1", "a=rtpmap:126 telephone-event/8000", "a=fmtp:126 0-15", "a=ptime:20", "a=maxptime:20",
		"a=ssrc:3000000001 cname:appliance", "a=ssrc:3000000001 msid:appliance audio0", ""}, "\r\n")
}

func TestSDPValidatorRules(t *testing.T) {
	t.Parallel()
	repl := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	cases := []struct {
		name   string
		change func(string) string
		rule   SDPRule // empty: fine
		code   int
	}{
		{"as documented", func(s string) string { return s }, "", 0},
		{"no candidates", repl("a=candidate:1 1 udp 2130706431 203.0.113.20 20000 typ host\r\n", ""), "", 0},
		{"passive", repl("setup:active", "setup:passive"), "", 0},
		{"no ptime", repl("a=ptime:20\r\n", ""), "", 0},
		{"does not start with v=0", repl("v=0", "x=0"), RuleVersion, 100},
		{"bare LF", func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }, RuleCRLF, 100},
		{"oversized", func(s string) string { return s + strings.Repeat("a=x\r\n", 5000) }, RuleSize, 100},
		{"two media", func(s string) string { return s + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" }, RuleOneMedia, 138008},
		{"no media", func(s string) string { return s[:strings.Index(s, "m=")] }, RuleOneMedia, 138008},
		{"plain RTP", repl("UDP/TLS/RTP/SAVPF", "RTP/AVP"), RuleProtocol, 138008},
		{"short ufrag", repl("ufrag:uFr4", "ufrag:uF4"), RuleICE, 138008},
		{"short pwd", repl("pwd:0123456789abcdefghijklmn", "pwd:0123456789abcdefghijk"), RuleICE, 138008},
		{"no fingerprint", repl("a=fingerprint:"+testFingerprint+"\r\n", ""), RuleFingerprint, 138008},
		{"two fingerprints", repl("a=setup", "a=fingerprint:"+testFingerprint+"\r\na=setup"), RuleFingerprint, 138008},
		{"sha-384", repl("sha-256", "sha-384"), RuleFingerprint, 138008},
		{"actpass in an answer", repl("setup:active", "setup:actpass"), RuleSetup, 138008},
		{"no rtcp-mux", repl("a=rtcp-mux\r\n", ""), RuleRTCPMux, 138008},
		{"ice-lite", repl("a=mid", "a=ice-lite\r\na=mid"), RuleNotLite, 138008},
		{"no Opus", repl("opus/48000/2", "G722/8000"), RuleOpus, 138008},
		{"Opus on another number", func(s string) string {
			return strings.NewReplacer("SAVPF 111", "SAVPF 107", ":111 ", ":107 ").Replace(s)
		}, RuleOpus, 138008},
		{"PCMA without the setting", repl("SAVPF 111 126", "SAVPF 111 8 126"), RuleCodecs, 138008},
		{"telephone-event 48000", repl("telephone-event/8000", "telephone-event/48000"), RuleDTMF, 138008},
		{"two SSRCs", func(s string) string { return s + "a=ssrc:5 cname:x\r\n" }, RuleOneSSRC, 138008},
		{"ptime 40", repl("a=ptime:20", "a=ptime:40"), RulePtime, 138008},
		{"mid not mirrored", repl("a=mid:audio", "a=mid:0"), RuleMid, 138008},
		{"BUNDLE not mirrored", repl("BUNDLE audio", "BUNDLE 0"), RuleMid, 138008},
		{"recvonly", repl("a=sendrecv", "a=recvonly"), RuleDirection, 138008},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sdp := c.change(goodAnswer())
			ps := CheckSDP(sdp, SDPContext{Answer: true, Offer: metaOffer()})
			if c.rule == "" {
				if len(ps) > 0 {
					t.Fatalf("refused: %v", ps)
				}
				return
			}
			if len(ps) == 0 || ps[0].Rule != c.rule || ps[0].Code != c.code {
				t.Fatalf("problems %v, want %s with %d first", ps, c.rule, c.code)
			}
			for _, p := range CheckSDP(sdp, SDPContext{Answer: true, Offer: metaOffer()}, c.rule) {
				if p.Rule == c.rule {
					t.Error("the rule can not be switched off")
				}
			}
		})
	}
	if ps := CheckSDP(strings.Replace(goodAnswer(), "SAVPF 111 126", "SAVPF 111 8 126", 1),
		SDPContext{Answer: true, Offer: metaOffer(), Codecs: []string{"PCMA"}}); len(ps) > 0 {
		t.Errorf("PCMA with the setting: %v", ps)
	}
	offer := strings.NewReplacer("setup:active", "setup:actpass").Replace(goodAnswer())
	if ps := CheckSDP(offer, SDPContext{}); len(ps) > 0 {
		t.Errorf("actpass in an offer: %v", ps)
	}
}

func TestMetaOfferLooksLikeTheReference(t *testing.T) {
	t.Parallel()
	want := []string{"v=0", "a=group:BUNDLE audio", "a=ice-lite", "m=audio 3480 UDP/TLS/RTP/SAVPF 111 126", "c=IN IP4 157.240.0.10",
		"a=rtcp:9 IN IP4 0.0.0.0", "a=candidate:1000000001 1 udp 2113937151 157.240.0.10 3480 typ host generation 0 network-cost 50 ufrag Ab/cD1eF2gH3iJ",
		"a=setup:actpass", "a=mid:audio", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc",
		"a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1",
		"a=rtpmap:126 telephone-event/8000", "a=maxptime:20", "a=ptime:20", "a=ssrc:1000000003 cname:CnAmE1234567890"}
	got := strings.Split(metaOffer(), "\r\n")
	i := 0
	for _, l := range got {
		if i < len(want) && l == want[i] {
			i++
		}
	}
	if i != len(want) {
		t.Errorf("line %q missing or out of order in\n%s", want[i], metaOffer())
	}
}

func FuzzCheckSDP(f *testing.F) {
	for _, s := range []string{goodAnswer(), metaOffer(), "", "v=0\r\nm=audio\r\n", "m=audio 9 x 1\na=rtpmap:", "a=group:\r\nm=\r\na=candidate:\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		CheckSDP(s, SDPContext{Answer: true, Offer: metaOffer()})
		CheckSDP(metaOffer(), SDPContext{Answer: true, Offer: s})
		out, err := relaySDP(s, netip.MustParseAddr("192.0.2.7"))
		if err == nil && !strings.Contains(out, "opus/48000/2") {
			t.Errorf("passed on without Opus:\n%s", out)
		}
	})
}

func TestBrowserSDPIsCutToWhatMetaPassesOn(t *testing.T) {
	t.Parallel()
	in := strings.Join([]string{"v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=extmap-allow-mixed", "a=msid-semantic: WMS",
		"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
		"a=candidate:1 1 udp 2113937151 0f3c6e3e-8a3d-4d6a-9a51-0b8c4f1d2e3f.local 50000 typ host generation 0 network-cost 999",
		"a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0",
		"a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdefghijklmn", "a=ice-options:trickle", "a=fingerprint:" + testFingerprint, "a=setup:actpass",
		"a=mid:0", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=sendrecv", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
		"a=rtcp-fb:111 transport-cc", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111",
		"a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000", ""}, "\r\n")
	out, err := relaySDP(in, netip.MustParseAddr("192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"m=audio 50000 UDP/TLS/RTP/SAVPF 111 126\r\n", "c=IN IP4 192.0.2.7\r\n", " 192.0.2.7 50000 typ host", "a=group:BUNDLE 0\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, bad := range []string{".local", " tcp ", "red/48000", "48000\r\n", "extmap", "trickle"} {
		if strings.Contains(out, bad) {
			t.Errorf("%q left in\n%s", bad, out)
		}
	}
	if ps := CheckSDP(out, SDPContext{}); len(ps) > 0 {
		t.Errorf("own validator refuses it: %v", ps)
	}
}
