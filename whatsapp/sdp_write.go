package whatsapp

import (
	"fmt"
	"net/netip"
	"strings"
)

// Our payload types in an offer, the numbers Meta uses itself.
const (
	offerOpus uint8 = 111
	offerDTMF uint8 = 126
)

// opusFmtp asks for what design §7 sends: mono speech up to 16 kHz at 20 kbit/s with FEC (RFC 7587 §6.1). The same line
// Meta writes, so that either side may encode by it.
const opusFmtp = "minptime=20;useinbandfec=1;maxaveragebitrate=20000;maxplaybackrate=16000;sprop-maxcapturerate=16000"

// sdpLabel is the cname, the media stream and, with a suffix, the track of the only source we have.
const sdpLabel = "deskbridge"

// localSDP is everything that varies in what we write.
type localSDP struct {
	session     uint64 // o= session id
	addr        netip.AddrPort
	extra       []netip.AddrPort // further candidates: IPv6
	ufrag, pwd  string
	fingerprint fingerprint
	setup       setupRole
	ssrc        uint32
	opus        uint8
	dtmf        uint8
	digit       bool

	sections  []sdpSection // of the offer we answer; one without a counterpart when we offer
	audio     int
	bundled   bool
	direction string
}

// String writes the description of reference/meta-media-sdp.md §8.2 and §8.3: CRLF, one sha-256 fingerprint, no ice-lite,
// no trickle, one source.
func (l *localSDP) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0")
	line("o=- %d 1 IN IP4 0.0.0.0", l.session)
	line("s=-")
	line("t=0 0")
	if l.bundled {
		line("a=group:BUNDLE %s", l.sections[l.audio].mid)
	}
	line("a=msid-semantic: WMS %s", sdpLabel)
	for i, s := range l.sections {
		if i == l.audio {
			l.writeAudio(line, s)
			continue
		}
		// RFC 3264 §6: a section we don't take is named again with port 0.
		line("m=%s 0 %s %s", s.media, s.proto, s.format)
		line("c=IN IP4 0.0.0.0")
		if s.hasMID {
			line("a=mid:%s", s.mid)
		}
		line("a=inactive")
	}
	return b.String()
}

func (l *localSDP) writeAudio(line func(string, ...any), s sdpSection) {
	formats := fmt.Sprint(l.opus)
	if l.digit {
		formats += fmt.Sprintf(" %d", l.dtmf)
	}
	line("m=audio %d %s %s", l.addr.Port(), s.proto, formats)
	line("c=IN %s %s", addrType(l.addr.Addr()), l.addr.Addr())
	line("a=rtcp:9 IN IP4 0.0.0.0")
	// RFC 8445 §5.1.2: host candidates, the first address preferred.
	for i, c := range append([]netip.AddrPort{l.addr}, l.extra...) {
		line("a=candidate:%d 1 udp %d %s %d typ host", i+1, hostPriority(i), c.Addr(), c.Port())
	}
	line("a=ice-ufrag:%s", l.ufrag)
	line("a=ice-pwd:%s", l.pwd)
	line("a=fingerprint:sha-256 %s", l.fingerprint)
	line("a=setup:%s", l.setup)
	if s.hasMID {
		line("a=mid:%s", s.mid)
	}
	line("a=%s", l.direction)
	line("a=rtcp-mux")
	line("a=rtpmap:%d opus/48000/2", l.opus)
	line("a=fmtp:%d %s", l.opus, opusFmtp)
	if l.digit {
		line("a=rtpmap:%d telephone-event/8000", l.dtmf)
		line("a=fmtp:%d 0-15", l.dtmf)
	}
	line("a=ptime:20")
	line("a=maxptime:20")
	line("a=ssrc:%d cname:%s", l.ssrc, sdpLabel)
	line("a=ssrc:%d msid:%s %s0", l.ssrc, sdpLabel, sdpLabel)
}

func hostPriority(i int) uint32 { return 126<<24 | uint32(65535-i)<<8 | 255 }

func addrType(a netip.Addr) string {
	if a.Is4() {
		return "IP4"
	}
	return "IP6"
}

// String writes the hexadecimal form of RFC 8122 §5.
func (f fingerprint) String() string {
	var b strings.Builder
	for i, c := range f {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", c)
	}
	return b.String()
}

// answerDirection is the direction we answer to one offered (RFC 3264 §6.1).
func answerDirection(offered string) string {
	switch offered {
	case "sendonly":
		return "recvonly"
	case "recvonly":
		return "sendonly"
	}
	return offered
}
