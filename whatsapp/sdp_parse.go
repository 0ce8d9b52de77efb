package whatsapp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// parseSDP reads an offer or answer. It takes every variant of reference/meta-media-sdp.md §8.1 and what browsers write,
// and refuses with an error that names what is wrong.
func parseSDP(text string) (*remoteSDP, error) {
	if len(text) > maxSDPBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSDPTooLarge, len(text), maxSDPBytes)
	}
	var sd sdp.SessionDescription
	if err := sd.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSDPSyntax, err)
	}
	if n := len(sd.MediaDescriptions); n > maxSDPMedia {
		return nil, fmt.Errorf("%w: %d media sections, limit %d", ErrSDPTooLarge, n, maxSDPMedia)
	}
	r := &remoteSDP{audio: -1}
	if err := r.pickAudio(&sd); err != nil {
		return nil, err
	}
	m := sd.MediaDescriptions[r.audio]
	a := sdpAttributes{session: sd.Attributes, media: m.Attributes}
	if !a.has("rtcp-mux") {
		return nil, ErrSDPNoRTCPMux
	}
	r.bundled = inBundle(sd.Attributes, r.sections[r.audio])
	r.direction = a.direction()
	for _, read := range []func(sdpAttributes) error{r.readICE, r.readCandidates, r.readDTLS} {
		if err := read(a); err != nil {
			return nil, err
		}
	}
	if err := r.readCodecs(m.MediaName.Formats, a); err != nil {
		return nil, err
	}
	return r, nil
}

// pickAudio chooses the first audio section that isn't refused (port 0, RFC 3264 §6; a bundle-only section also has
// port 0 but never comes first).
func (r *remoteSDP) pickAudio(sd *sdp.SessionDescription) error {
	for i, m := range sd.MediaDescriptions {
		s := sdpSection{media: m.MediaName.Media, proto: strings.Join(m.MediaName.Protos, "/")}
		if len(m.MediaName.Formats) > 0 {
			s.format = m.MediaName.Formats[0]
		}
		s.mid, s.hasMID = m.Attribute("mid")
		if len(s.mid) > 64 || !isToken(s.mid) {
			return fmt.Errorf("%w: a=mid of section %d", ErrSDPSyntax, i+1)
		}
		r.sections = append(r.sections, s)
		if r.audio < 0 && s.media == "audio" && m.MediaName.Port.Value != 0 {
			r.audio = i
		}
	}
	if r.audio < 0 {
		return ErrSDPNoAudio
	}
	// RFC 8829 §5.1.2: the profile may be written with or without F and TLS, the keys come from DTLS all the same; but
	// RTP/SAVP with a=crypto is SDES, which has no fingerprint.
	switch p := r.sections[r.audio].proto; p {
	case "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP":
		return nil
	default:
		return fmt.Errorf("%w: profile %.40q", ErrSDPProfile, p)
	}
}

// sdpAttributes looks in the media section first, then at session level.
type sdpAttributes struct{ session, media []sdp.Attribute }

func (a sdpAttributes) get(key string) (string, bool) {
	for _, list := range [][]sdp.Attribute{a.media, a.session} {
		for _, at := range list {
			if at.Key == key {
				return at.Value, true
			}
		}
	}
	return "", false
}

func (a sdpAttributes) has(key string) bool {
	_, ok := a.get(key)
	return ok
}

// all returns the values of the media section, or those of the session when the section has none.
func (a sdpAttributes) all(key string) []string {
	for _, list := range [][]sdp.Attribute{a.media, a.session} {
		var values []string
		for _, at := range list {
			if at.Key == key {
				values = append(values, at.Value)
			}
		}
		if values != nil {
			return values
		}
	}
	return nil
}

func (a sdpAttributes) direction() string {
	for _, list := range [][]sdp.Attribute{a.media, a.session} {
		for _, at := range list {
			switch at.Key {
			case "sendrecv", "sendonly", "recvonly", "inactive":
				return at.Key
			}
		}
	}
	return "sendrecv" // RFC 8866 §6.7
}

func inBundle(session []sdp.Attribute, s sdpSection) bool {
	for _, at := range session {
		if at.Key != "group" {
			continue
		}
		f := strings.Fields(at.Value)
		if len(f) > 1 && f[0] == "BUNDLE" && s.hasMID && slices.Contains(f[1:], s.mid) {
			return true
		}
	}
	return false
}

func (r *remoteSDP) readICE(a sdpAttributes) error {
	r.iceLite = a.has("ice-lite")
	r.ufrag, _ = a.get("ice-ufrag")
	r.pwd, _ = a.get("ice-pwd")
	// RFC 8839 §5.4 allows letters, digits, '+' and '/'; we only care that they can stand in a STUN username.
	if len(r.ufrag) < 4 || len(r.ufrag) > 256 || !isToken(r.ufrag) {
		return fmt.Errorf("%w: a=ice-ufrag of %d characters", ErrSDPNoICE, len(r.ufrag))
	}
	if len(r.pwd) < 22 || len(r.pwd) > 256 || !isToken(r.pwd) {
		return fmt.Errorf("%w: a=ice-pwd of %d characters", ErrSDPNoICE, len(r.pwd))
	}
	return nil
}

func (r *remoteSDP) readCandidates(a sdpAttributes) error {
	lines := a.all("candidate")
	if len(lines) > maxSDPCandidates {
		return fmt.Errorf("%w: %d candidates, limit %d", ErrSDPTooLarge, len(lines), maxSDPCandidates)
	}
	for _, l := range lines {
		c, ok := parseCandidate(l)
		if ok && !slices.ContainsFunc(r.candidates, func(o remoteCandidate) bool { return o.addr == c.addr }) {
			r.candidates = append(r.candidates, c)
		}
	}
	// A full ICE peer finds us by its own checks; a lite one never sends any (RFC 8445 §2.5).
	if r.iceLite && len(r.candidates) == 0 {
		return fmt.Errorf("%w: ICE-lite with %d candidates, none with a UDP address", ErrSDPNoICE, len(lines))
	}
	return nil
}

// parseCandidate reads one a=candidate value (RFC 8839 §5.1). TCP candidates, mDNS names (Chromium) and addresses that
// can't be a peer are ignored, not errors; so is whatever follows the type.
func parseCandidate(line string) (c remoteCandidate, ok bool) {
	f := strings.Fields(line)
	if len(f) < 8 || f[1] != "1" || !strings.EqualFold(f[2], "udp") || f[6] != "typ" {
		return c, false
	}
	priority, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil {
		return c, false
	}
	ip, err := netip.ParseAddr(f[4])
	if err != nil || ip.Zone() != "" {
		return c, false
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() || ip.IsMulticast() || ip.Is6() && ip.IsLinkLocalUnicast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return c, false
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil || port == 0 {
		return c, false
	}
	return remoteCandidate{addr: netip.AddrPortFrom(ip, uint16(port)), priority: uint32(priority)}, true
}

func (r *remoteSDP) readDTLS(a sdpAttributes) error {
	s, _ := a.get("setup")
	switch r.setup = setupRole(s); r.setup {
	case "", setupActive, setupPassive, setupActpass:
	default:
		return fmt.Errorf("%w: %.20q", ErrSDPSetup, s)
	}
	lines := a.all("fingerprint")
	for _, l := range lines[:min(len(lines), 8)] {
		f := strings.Fields(l)
		if len(f) != 2 || !strings.EqualFold(f[0], "sha-256") {
			continue // other hashes may stand beside it (RFC 8122 §5.1)
		}
		fp, err := parseFingerprint(f[1])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSDPNoFingerprint, err)
		}
		r.fingerprints = append(r.fingerprints, fp)
	}
	if len(r.fingerprints) == 0 {
		return ErrSDPNoFingerprint
	}
	return nil
}

func parseFingerprint(s string) (fp fingerprint, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != sha256.Size || len(s) != 3*sha256.Size-1 {
		return fp, fmt.Errorf("not %d bytes in hexadecimal with colons", sha256.Size)
	}
	copy(fp[:], b)
	return fp, nil
}

// readCodecs finds Opus and telephone-event/8000 by rtpmap among the payload types of the m= line: Meta's answers echo
// our numbers, its offers have 111 and 126, others differ.
func (r *remoteSDP) readCodecs(formats []string, a sdpAttributes) error {
	maps := a.all("rtpmap")
	if len(maps) > maxSDPCodecs || len(formats) > maxSDPCodecs {
		return fmt.Errorf("%w: %d codecs, limit %d", ErrSDPTooLarge, max(len(maps), len(formats)), maxSDPCodecs)
	}
	var opus bool
	for _, format := range formats {
		pt, err := strconv.ParseUint(format, 10, 7)
		if err != nil || pt >= 64 && pt <= 95 { // would look like RTCP on the shared port (RFC 5761 §4)
			continue
		}
		switch name := rtpmapOf(maps, format); {
		case !opus && (strings.EqualFold(name, "opus/48000/2") || strings.EqualFold(name, "opus/48000")):
			r.opus, opus = uint8(pt), true
		case !r.digit && strings.EqualFold(name, "telephone-event/8000"):
			r.dtmf, r.digit = uint8(pt), true
		}
	}
	if !opus {
		return fmt.Errorf("%w among %d payload types", ErrSDPNoOpus, len(formats))
	}
	return nil
}

func rtpmapOf(maps []string, format string) string {
	for _, m := range maps {
		if f := strings.Fields(m); len(f) == 2 && f[0] == format {
			return f[1]
		}
	}
	return ""
}

// isToken reports that s is printable ASCII without spaces, so that it can be written back as it is.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
