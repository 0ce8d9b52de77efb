package simulator

import (
	"fmt"
	"net/netip"
	"strings"
)

// sdpText is an SDP split into lines: what the validator and the browser's SDP surgery need, no more.
type sdpText struct {
	session []string
	media   []sdpMedia
}

type sdpMedia struct {
	line  string // without "m="
	lines []string
}

// splitSDP cuts an SDP into its sections. It accepts LF alone; the validator judges line ends.
func splitSDP(s string) sdpText {
	var t sdpText
	for raw := range strings.SplitSeq(s, "\n") {
		line := strings.TrimSuffix(raw, "\r")
		if line == "" {
			continue
		}
		if m, ok := strings.CutPrefix(line, "m="); ok {
			t.media = append(t.media, sdpMedia{line: m})
			continue
		}
		if n := len(t.media); n > 0 {
			t.media[n-1].lines = append(t.media[n-1].lines, line)
		} else {
			t.session = append(t.session, line)
		}
	}
	return t
}

func (t sdpText) String() string {
	var b strings.Builder
	for _, l := range t.session {
		b.WriteString(l + "\r\n")
	}
	for _, m := range t.media {
		b.WriteString("m=" + m.line + "\r\n")
		for _, l := range m.lines {
			b.WriteString(l + "\r\n")
		}
	}
	return b.String()
}

// values returns what follows "a=name:" in lines.
func values(lines []string, name string) []string {
	var out []string
	for _, l := range lines {
		if v, ok := strings.CutPrefix(l, "a="+name+":"); ok {
			out = append(out, v)
		}
	}
	return out
}

// anywhere returns the attribute's values of the media section, or else of the session.
func (t sdpText) anywhere(name string) []string {
	if len(t.media) > 0 {
		if v := values(t.media[0].lines, name); len(v) > 0 {
			return v
		}
	}
	return values(t.session, name)
}

// all returns the attribute's values at both levels.
func (t sdpText) all(name string) []string {
	v := values(t.session, name)
	for _, m := range t.media {
		v = append(v, values(m.lines, name)...)
	}
	return v
}

func (t sdpText) flag(name string) bool {
	for _, l := range t.session {
		if l == "a="+name {
			return true
		}
	}
	for _, m := range t.media {
		for _, l := range m.lines {
			if l == "a="+name {
				return true
			}
		}
	}
	return false
}

// rtpmaps maps payload types to "opus/48000/2" in lower case.
func (m sdpMedia) rtpmaps() map[string]string {
	out := map[string]string{"0": "pcmu/8000", "8": "pcma/8000", "9": "g722/8000"}
	for _, v := range values(m.lines, "rtpmap") {
		if pt, enc, ok := strings.Cut(v, " "); ok {
			out[pt] = strings.ToLower(enc)
		}
	}
	return out
}

// formats are the payload types of the m= line.
func (m sdpMedia) formats() []string {
	f := strings.Fields(m.line)
	if len(f) < 3 {
		return nil
	}
	return f[3:]
}

// sdpParts is what of a customer's SDP is particular to one call.
type sdpParts struct {
	answer      bool
	addr        netip.AddrPort
	ufrag, pwd  string
	fingerprint string // "sha-256 AA:BB…"
	setup       string
	mid         string
	bundle      string // the BUNDLE value; empty leaves the group out
	ssrc        uint32
	opusPT      string
	dtmfPT      string // empty: not negotiated
	codecs      []string
	session     uint64
	plainFmtp   bool // the older of Meta's two fmtp styles, without ptime lines
}

const metaFmtp = "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1"

// metaSDP writes an SDP exactly as Meta's look (media reference §8.1 and §8.4).
func metaSDP(p sdpParts) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	ip, port, family := p.addr.Addr(), p.addr.Port(), "IP4"
	if ip.Is6() {
		family = "IP6"
	}
	pts := []string{p.opusPT}
	extra := map[string]string{"PCMU": "0", "PCMA": "8"}
	for _, c := range p.codecs {
		pts = append(pts, extra[c])
	}
	if p.dtmfPT != "" {
		pts = append(pts, p.dtmfPT)
	}
	stream := fmt.Sprintf("%08x-2222-4333-8444-555555555555", p.ssrc)
	line("v=0")
	line("o=- %d 2 IN IP4 127.0.0.1", p.session)
	line("s=-")
	line("t=0 0")
	if p.bundle != "" {
		line("a=group:BUNDLE %s", p.bundle)
	}
	line("a=msid-semantic: WMS %s", stream)
	line("a=ice-lite")
	line("m=audio %d UDP/TLS/RTP/SAVPF %s", port, strings.Join(pts, " "))
	line("c=IN %s %s", family, ip)
	line("a=rtcp:9 IN IP4 0.0.0.0")
	line("a=candidate:1000000001 1 udp 2113937151 %s %d typ host generation 0 network-cost 50 ufrag %s", ip, port, p.ufrag)
	line("a=ice-ufrag:%s", p.ufrag)
	line("a=ice-pwd:%s", p.pwd)
	line("a=fingerprint:%s", p.fingerprint)
	line("a=setup:%s", p.setup)
	line("a=mid:%s", p.mid)
	line("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level")
	line("a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time")
	line("a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01")
	line("a=sendrecv")
	line("a=rtcp-mux")
	line("a=rtpmap:%s opus/48000/2", p.opusPT)
	line("a=rtcp-fb:%s transport-cc", p.opusPT)
	if p.plainFmtp {
		line("a=fmtp:%s minptime=10;useinbandfec=1", p.opusPT)
	} else {
		line("a=fmtp:%s %s", p.opusPT, metaFmtp)
	}
	for _, c := range p.codecs {
		line("a=rtpmap:%s %s/8000", extra[c], c)
	}
	if p.dtmfPT != "" {
		line("a=rtpmap:%s telephone-event/8000", p.dtmfPT)
	}
	if !p.plainFmtp {
		line("a=maxptime:20")
		line("a=ptime:20")
	}
	line("a=ssrc:%d cname:CnAmE1234567890", p.ssrc)
	line("a=ssrc:%d msid:%s audio#Ab12Cd34Ef5", p.ssrc, stream)
	line("a=ssrc:%d mslabel:%s", p.ssrc, stream)
	line("a=ssrc:%d label:audio#Ab12Cd34Ef5", p.ssrc)
	return b.String()
}
