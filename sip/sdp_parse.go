package sip

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pion/sdp/v3"
)

// Limits before parsing. Beyond them a description is refused, not cut.
const (
	maxSDPBytes      = 16 << 10
	maxSDPMedia      = 4
	maxSDPCodecs     = 32
	maxSDPCandidates = 64
)

// remoteSDP is what we read of the far end's description: the m-lines in their order, and the one audio stream we use.
type remoteSDP struct {
	lines []remoteLine
	audio *remoteAudio
}

// remoteLine is one m-line as it was written, to refuse it in our answer (RFC 3264 §6: same number, same order, port 0).
type remoteLine struct {
	media   string
	proto   string
	formats []string
}

// remoteAudio is the audio stream of the far end.
type remoteAudio struct {
	line     int        // index of its m-line
	addr     netip.Addr // invalid when the c= line names a host, which we never resolve
	zero     bool       // c=0.0.0.0 or ::, the hold of RFC 2543
	port     uint16
	rtcp     netip.AddrPort // a=rtcp (RFC 3605); its address is invalid when only the port was given
	mux      bool           // a=rtcp-mux (RFC 5761)
	feedback bool           // RTP/AVPF
	dir      direction
	ptime    time.Duration // 0 when absent
	maxPTime time.Duration // 0 when absent
	formats  []remoteFormat
}

// remoteFormat is one payload type with its rtpmap, or what RFC 3551 assigns when there is none.
type remoteFormat struct {
	pt    uint8
	name  string
	clock int
	fmtp  string
}

// parseSDP reads a description a stranger wrote. Lines we have no use for are dropped before the parser sees them: it is
// strict about things that real phones get wrong and that change nothing for us (T.38 m-lines, b=, o= with odd numbers).
func parseSDP(body []byte) (*remoteSDP, error) {
	text, lines, err := filterSDP(body)
	if err != nil {
		return nil, err
	}
	r := &remoteSDP{lines: lines}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", errSDPSyntax, err)
	}
	kept := d.MediaDescriptions
	srtp := false
	for i, l := range lines {
		if !l.usable() {
			srtp = srtp || l.media == "audio" && strings.Contains(l.proto, "SAVP")
			continue
		}
		if len(kept) == 0 {
			return nil, errSDPSyntax
		}
		m := kept[0]
		kept = kept[1:]
		if r.audio != nil || m.MediaName.Port.Value == 0 {
			continue
		}
		if r.audio, err = readAudio(&d, m); err != nil {
			return nil, err
		}
		r.audio.line, r.audio.feedback = i, l.proto == feedbackProfile
	}
	if r.audio == nil {
		if srtp {
			return nil, errSRTPRequired
		}
		return nil, errNoAudio
	}
	return r, nil
}

// feedbackProfile is plain RTP with RTCP feedback (RFC 4585). What it adds is optional, and none of it is for audio of ours.
const feedbackProfile = "RTP/AVPF"

// usable tells the streams we parse: plain RTP audio.
func (l remoteLine) usable() bool {
	return l.media == "audio" && (l.proto == "RTP/AVP" || l.proto == feedbackProfile)
}

func readAudio(d *sdp.SessionDescription, m *sdp.MediaDescription) (*remoteAudio, error) {
	a := &remoteAudio{port: uint16(m.MediaName.Port.Value), dir: dirSendRecv}
	if len(m.MediaName.Formats) > maxSDPCodecs {
		return nil, errSDPTooLarge
	}
	c := m.ConnectionInformation
	if c == nil {
		c = d.ConnectionInformation
	}
	if c == nil || c.Address == nil {
		return nil, fmt.Errorf("%w: no c= line", errSDPSyntax)
	}
	a.addr = parseMediaAddr(c.Address.Address)
	a.zero = a.addr.IsUnspecified()
	if a.addr.IsMulticast() || a.addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return nil, errMediaAddress
	}
	for _, at := range d.Attributes {
		readDirection(at.Key, &a.dir)
	}
	maps, fmtps := map[uint8]string{}, map[uint8]string{}
	for _, at := range m.Attributes {
		switch at.Key {
		case "rtpmap":
			putFormat(maps, at.Value)
		case "fmtp":
			putFormat(fmtps, at.Value)
		case "ptime":
			a.ptime = parseMillis(at.Value)
		case "maxptime":
			a.maxPTime = parseMillis(at.Value)
		case "rtcp":
			a.rtcp = parseRTCP(at.Value)
		case "rtcp-mux":
			a.mux = true
		default:
			readDirection(at.Key, &a.dir)
		}
	}
	for _, f := range m.MediaName.Formats {
		if rf, ok := readFormat(f, maps, fmtps); ok {
			a.formats = append(a.formats, rf)
		}
	}
	return a, nil
}

// readFormat finds what a payload type means. A static type needs no rtpmap, but one that is there counts.
func readFormat(f string, maps, fmtps map[uint8]string) (remoteFormat, bool) {
	n, err := strconv.ParseUint(f, 10, 8)
	if err != nil || n > 127 {
		return remoteFormat{}, false
	}
	rf := remoteFormat{pt: uint8(n), fmtp: fmtps[uint8(n)]}
	m, ok := maps[rf.pt]
	if !ok {
		m, ok = staticFormats[rf.pt]
	}
	if !ok {
		return remoteFormat{}, false
	}
	name, rest, _ := strings.Cut(strings.TrimSpace(m), "/")
	clock, _, _ := strings.Cut(rest, "/")
	rf.name = name
	if rf.clock, err = strconv.Atoi(strings.TrimSpace(clock)); err != nil {
		return remoteFormat{}, false
	}
	return rf, true
}

// staticFormats are the payload types of RFC 3551 table 4 we can use.
var staticFormats = map[uint8]string{0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}

// putFormat files "<pt> <value>" under its payload type. The first one counts.
func putFormat(to map[uint8]string, v string) {
	pt, val, ok := strings.Cut(strings.TrimSpace(v), " ")
	n, err := strconv.ParseUint(pt, 10, 8)
	if !ok || err != nil || n > 127 {
		return
	}
	if _, dup := to[uint8(n)]; !dup {
		to[uint8(n)] = val
	}
}

func readDirection(key string, d *direction) {
	switch key {
	case "sendrecv":
		*d = dirSendRecv
	case "sendonly":
		*d = dirSend
	case "recvonly":
		*d = dirRecv
	case "inactive":
		*d = dirInactive
	}
}

// parseMediaAddr reads the address of a c= line. Anything but a literal address is the invalid Addr.
func parseMediaAddr(s string) netip.Addr {
	s, _, _ = strings.Cut(s, "/") // multicast TTL or range
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}

// parseRTCP reads "53020" or "53020 IN IP4 126.16.64.4" (RFC 3605 §2.1).
func parseRTCP(v string) netip.AddrPort {
	f := strings.Fields(v)
	if len(f) == 0 {
		return netip.AddrPort{}
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}
	}
	var addr netip.Addr
	if len(f) >= 4 {
		addr = parseMediaAddr(f[3])
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

// parseMillis reads a=ptime, which some phones write with a fraction ("20.0"). Nonsense is as good as absent.
func parseMillis(v string) time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !(f > 0 && f <= 1000) {
		return 0
	}
	return time.Duration(f * float64(time.Millisecond))
}
