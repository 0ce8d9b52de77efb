package whatsapp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

const testFP = "0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9"

// sdpMetaOffer is the offer of reference/meta-media-sdp.md §8.1, to an address nobody answers at.
var sdpMetaOffer = crlf(`v=0
o=- 7000000000000000001 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
a=msid-semantic: WMS 11111111-2222-4333-8444-555555555555
a=ice-lite
m=audio 3480 UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 127.0.0.99
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1000000001 1 udp 2113937151 127.0.0.99 3480 typ host generation 0 network-cost 50 ufrag Ab/cD1eF2gH3iJ
a=candidate:1000000002 1 udp 2113939711 2a03:2880:f200:1:face:b00c:0:1 3480 typ host generation 0 network-cost 50 ufrag Ab/cD1eF2gH3iJ
a=ice-ufrag:Ab/cD1eF2gH3iJ
a=ice-pwd:abcdefghijklmnopqrstuvwxyz012345
a=fingerprint:sha-256 ` + testFP + `
a=setup:actpass
a=mid:audio
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1
a=rtpmap:126 telephone-event/8000
a=maxptime:20
a=ptime:20
a=ssrc:1000000003 cname:CnAmE1234567890
a=ssrc:1000000003 msid:11111111-2222-4333-8444-555555555555 audio#Ab12Cd34Ef5
a=ssrc:1000000003 mslabel:11111111-2222-4333-8444-555555555555
a=ssrc:1000000003 label:audio#Ab12Cd34Ef5
`)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// without removes the lines that begin with one of the prefixes.
func without(sdp string, prefixes ...string) string {
	var kept []string
lines:
	for _, l := range strings.SplitAfter(sdp, "\r\n") {
		for _, p := range prefixes {
			if strings.HasPrefix(l, p) {
				continue lines
			}
		}
		kept = append(kept, l)
	}
	return strings.Join(kept, "")
}

func TestMetaOfferIsRead(t *testing.T) {
	r, err := parseSDP(sdpMetaOffer)
	if err != nil {
		t.Fatal(err)
	}
	if !r.iceLite || r.ufrag != "Ab/cD1eF2gH3iJ" || r.pwd != "abcdefghijklmnopqrstuvwxyz012345" || r.setup != setupActpass {
		t.Errorf("%+v", r)
	}
	if len(r.candidates) != 2 || r.candidates[0].addr != netip.MustParseAddrPort("127.0.0.99:3480") || r.candidates[1].priority != 2113939711 {
		t.Errorf("candidates %v", r.candidates)
	}
	if r.opus != 111 || !r.digit || r.dtmf != 126 || !r.bundled || len(r.fingerprints) != 1 || r.fingerprints[0].String() != testFP {
		t.Errorf("%+v", r)
	}
}

func TestVariantsOfMetaOfferAreRead(t *testing.T) {
	rep := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sdpMetaOffer) }
	for name, sdp := range map[string]string{
		"no extmap":               without(sdpMetaOffer, "a=extmap"),
		"msid line":               without(sdpMetaOffer, "a=ssrc") + "a=msid:stream WhatsAppTrack1\r\na=ssrc:1 cname:WhatsAppAudioStream1\r\n",
		"short fmtp":              rep("maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1", "minptime=10;useinbandfec=1"),
		"no ptime":                without(sdpMetaOffer, "a=ptime", "a=maxptime"),
		"extmap-allow-mixed":      rep("a=ice-lite", "a=extmap-allow-mixed\r\na=ice-lite"),
		"candidate without ufrag": rep(" generation 0 network-cost 50 ufrag Ab/cD1eF2gH3iJ", ""),
		"mid 0":                   rep("BUNDLE audio", "BUNDLE 0", "mid:audio", "mid:0"),
		"other payload types":     rep("SAVPF 111 126", "SAVPF 9 107 101", "rtpmap:111", "rtpmap:107", "rtpmap:126", "rtpmap:101"),
		"more hashes":             rep("a=setup", "a=fingerprint:sha-512 00\r\na=setup"),
		"session-level ICE":       rep("a=ice-lite", "a=ice-lite\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901", "a=ice-ufrag:Ab/cD1eF2gH3iJ\r\n", "", "a=ice-pwd:abcdefghijklmnopqrstuvwxyz012345\r\n", ""),
		"trickle option":          rep("a=setup", "a=ice-options:trickle\r\na=setup"),
		"upper case":              rep("opus/48000/2", "OPUS/48000/2", "sha-256", "SHA-256"),
		"LF only":                 strings.ReplaceAll(sdpMetaOffer, "\r\n", "\n"),
		"no telephone-event":      without(rep("SAVPF 111 126", "SAVPF 111"), "a=rtpmap:126"),
		"telephone-event/48000":   rep("telephone-event/8000", "telephone-event/48000"),
		"tcp and mDNS candidates": rep("a=ice-ufrag", "a=candidate:3 1 tcp 1 127.0.0.1 9 typ host tcptype active\r\na=candidate:4 1 udp 1 f00.local 5000 typ host\r\na=ice-ufrag"),
		"old codecs beside":       rep("SAVPF 111 126", "SAVPF 111 9 0 8 110 126", "a=ptime", "a=rtpmap:110 telephone-event/48000\r\na=ptime"),
	} {
		r, err := parseSDP(sdp)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if wantDigit := name != "no telephone-event" && name != "telephone-event/48000"; r.digit != wantDigit {
			t.Errorf("%s: telephone-event %v", name, r.digit)
		}
		if len(r.candidates) != 2 {
			t.Errorf("%s: candidates %v", name, r.candidates)
		}
		if name == "other payload types" && (r.opus != 107 || r.dtmf != 101) {
			t.Errorf("%s: %d %d", name, r.opus, r.dtmf)
		}
	}
}

func TestBadSDPIsRefusedByName(t *testing.T) {
	rep := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sdpMetaOffer) }
	for name, c := range map[string]struct {
		sdp  string
		want error
	}{
		"empty":            {"", ErrSDPNoAudio},
		"not SDP":          {"hello", ErrSDPSyntax},
		"too long":         {sdpMetaOffer + strings.Repeat("a=x\r\n", 4000), ErrSDPTooLarge},
		"five sections":    {sdpMetaOffer + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 4), ErrSDPTooLarge},
		"65 candidates":    {sdpMetaOffer + strings.Repeat("a=candidate:1 1 udp 1 1.1.1.1 1 typ host\r\n", 63), ErrSDPTooLarge},
		"33 codecs":        {sdpMetaOffer + strings.Repeat("a=rtpmap:96 x/8000\r\n", 31), ErrSDPTooLarge},
		"no audio":         {rep("m=audio", "m=video"), ErrSDPNoAudio},
		"refused":          {rep("m=audio 3480", "m=audio 0"), ErrSDPNoAudio},
		"SDES":             {rep("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), ErrSDPProfile},
		"no Opus":          {rep("opus/48000/2", "PCMU/8000"), ErrSDPNoOpus},
		"Opus not in m=":   {rep("SAVPF 111 126", "SAVPF 126"), ErrSDPNoOpus},
		"Opus looks RTCP":  {rep("SAVPF 111", "SAVPF 72", "rtpmap:111", "rtpmap:72"), ErrSDPNoOpus},
		"no fingerprint":   {without(sdpMetaOffer, "a=fingerprint"), ErrSDPNoFingerprint},
		"sha-1 only":       {rep("sha-256", "sha-1"), ErrSDPNoFingerprint},
		"short hash":       {rep(testFP, testFP[3:]), ErrSDPNoFingerprint},
		"no rtcp-mux":      {without(sdpMetaOffer, "a=rtcp-mux"), ErrSDPNoRTCPMux},
		"no ufrag":         {without(sdpMetaOffer, "a=ice-ufrag"), ErrSDPNoICE},
		"short password":   {rep("abcdefghijklmnopqrstuvwxyz012345", "abc"), ErrSDPNoICE},
		"lite, no address": {without(sdpMetaOffer, "a=candidate"), ErrSDPNoICE},
		"lite, multicast":  {without(rep("127.0.0.99 3480 typ", "224.0.0.1 3480 typ"), "a=candidate:1000000002"), ErrSDPNoICE},
		"holdconn":         {rep("actpass", "holdconn"), ErrSDPSetup},
	} {
		if _, err := parseSDP(c.sdp); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestOurAnswerToMetaIsTheAgreedText(t *testing.T) {
	l := openLeg(t, newTestFactory(t, func(c *MediaConfig) { c.PublicIP = netip.MustParseAddr("203.0.113.20") }))
	l.id, l.ufrag, l.pwd, l.ssrc = 42, "uFr4", "0123456789abcdefghijklmn", 3000000001
	got, err := l.Answer(sdpMetaOffer)
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Answer("anything")
	if err != nil || again != got {
		t.Error("the second answer differs")
	}
	want := crlf(strings.NewReplacer("PORT", portOf(l), "FP32", l.print.String()).Replace(`v=0
o=- 42 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE audio
a=msid-semantic: WMS deskbridge
m=audio PORT UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 203.0.113.20
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2130706431 203.0.113.20 PORT typ host
a=ice-ufrag:uFr4
a=ice-pwd:0123456789abcdefghijklmn
a=fingerprint:sha-256 FP32
a=setup:active
a=mid:audio
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=20;useinbandfec=1;maxaveragebitrate=20000;maxplaybackrate=16000;sprop-maxcapturerate=16000
a=rtpmap:126 telephone-event/8000
a=fmtp:126 0-15
a=ptime:20
a=maxptime:20
a=ssrc:3000000001 cname:deskbridge
a=ssrc:3000000001 msid:deskbridge deskbridge0
`))
	if got != want {
		t.Errorf("answer:\n%s\nwant:\n%s", got, want)
	}
	if !l.dtlsClient || !l.controlling {
		t.Error("not DTLS client and ICE controlling towards Meta")
	}
}

func portOf(l *testLeg) string { return l.addrs[0].String()[len("127.0.0.1:"):] }

func TestAnswerMirrorsWhatWasOffered(t *testing.T) {
	rep := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sdpMetaOffer) }
	f := newTestFactory(t)
	for name, c := range map[string]struct{ offer, has, hasNot string }{
		"mid":           {rep("BUNDLE audio", "BUNDLE 0", "mid:audio", "mid:0"), "a=group:BUNDLE 0\r\n", "audio\r\n"},
		"no bundle":     {without(sdpMetaOffer, "a=group", "a=mid"), "a=setup:active", "a=mid"},
		"payload types": {rep("SAVPF 111 126", "SAVPF 107 101", "rtpmap:111", "rtpmap:107", "rtpmap:126", "rtpmap:101"), "SAVPF 107 101\r\n", ":111 "},
		"active":        {rep("actpass", "active"), "a=setup:passive", "a=setup:active"},
		"no digits":     {without(sdpMetaOffer, "a=rtpmap:126"), "SAVPF 111\r\n", "telephone-event"},
		"sendonly":      {rep("a=sendrecv", "a=sendonly"), "a=recvonly", "a=sendrecv"},
		"video beside":  {sdpMetaOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:v\r\n", "m=video 0 UDP/TLS/RTP/SAVPF 96\r\n", "ice-lite"},
	} {
		got, err := openLeg(t, f).Answer(c.offer)
		if err != nil || !strings.Contains(got, c.has) || strings.Contains(got, c.hasNot) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}

func TestOfferAndAnswerRoles(t *testing.T) {
	for _, c := range []struct {
		ours, answer string
		client       bool
		err          error
	}{
		{"", "active", false, nil},
		{"", "passive", true, nil},
		{"", "actpass", false, nil}, // leaked: Meta's normal answer is meant
		{"active", "passive", true, nil},
		{"active", "actpass", true, nil},
		{"active", "active", false, ErrSDPSetup},
	} {
		l := openLeg(t, newTestFactory(t, func(m *MediaConfig) { m.OutboundSetup = c.ours }))
		offer, err := l.Offer()
		must(t, err)
		want := "a=setup:actpass\r\n"
		if c.ours == "active" {
			want = "a=setup:active\r\n"
		}
		if !strings.Contains(offer, want) || !strings.Contains(offer, "a=group:BUNDLE 0\r\n") || !strings.Contains(offer, "SAVPF 111 126\r\n") ||
			strings.Contains(offer, "ice-lite") || strings.Count(offer, "a=fingerprint:") != 1 {
			t.Errorf("offer\n%s", offer)
		}
		err = l.ApplyAnswer(strings.Replace(sdpMetaOffer, "a=setup:actpass", "a=setup:"+c.answer, 1))
		if !errors.Is(err, c.err) || l.dtlsClient != c.client {
			t.Errorf("offer %q, answer %q: client %v, %v", c.ours, c.answer, l.dtlsClient, err)
		}
		if err == nil && l.ApplyAnswer(sdpMetaOffer) == nil {
			t.Error("a second answer was taken")
		}
	}
}

func TestSDPOutOfTurnIsRefused(t *testing.T) {
	f := newTestFactory(t)
	l := openLeg(t, f)
	if err := l.ApplyAnswer(sdpMetaOffer); !errors.Is(err, errMediaState) {
		t.Errorf("answer without an offer: %v", err)
	}
	if _, err := l.Answer(sdpMetaOffer); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Offer(); !errors.Is(err, errMediaState) {
		t.Errorf("offer after an answer: %v", err)
	}
}
