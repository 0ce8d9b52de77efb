package whatsapp

import (
	"errors"
	"net/netip"
)

// What the other side's SDP may hold before we look at it. Meta's own offers are under 2 KiB with one media section, two
// candidates and two codecs; a browser's with every codec it knows stays under 8 KiB.
const (
	maxSDPBytes      = 16 << 10
	maxSDPMedia      = 4
	maxSDPCandidates = 64
	maxSDPCodecs     = 32
)

// Errors of the SDP of the other side, wrapped with what exactly was found.
var (
	// ErrSDPTooLarge: more bytes, media sections, candidates or codecs than the limits above.
	ErrSDPTooLarge = errors.New("sdp: too large")
	// ErrSDPSyntax: not SDP (RFC 8866), or a value of an attribute we need is malformed.
	ErrSDPSyntax = errors.New("sdp: malformed")
	// ErrSDPNoAudio: no audio section that is offered or accepted.
	ErrSDPNoAudio = errors.New("sdp: no audio section")
	// ErrSDPProfile: the audio section isn't DTLS-SRTP (a number set to SDES sends RTP/SAVP).
	ErrSDPProfile = errors.New("sdp: not DTLS-SRTP")
	// ErrSDPNoOpus: no opus/48000 among the payload types of the audio section.
	ErrSDPNoOpus = errors.New("sdp: no Opus")
	// ErrSDPNoFingerprint: no sha-256 certificate fingerprint.
	ErrSDPNoFingerprint = errors.New("sdp: no sha-256 fingerprint")
	// ErrSDPNoICE: no ICE credentials, or an ICE-lite peer without an address we could check.
	ErrSDPNoICE = errors.New("sdp: no usable ICE parameters")
	// ErrSDPNoRTCPMux: RTP and RTCP on one port is the only way we know.
	ErrSDPNoRTCPMux = errors.New("sdp: no rtcp-mux")
	// ErrSDPSetup: the DTLS roles don't fit together.
	ErrSDPSetup = errors.New("sdp: impossible a=setup")
)

// setupRole is a value of a=setup (RFC 4145 §4, RFC 8842 §5).
type setupRole string

const (
	setupActpass setupRole = "actpass"
	setupActive  setupRole = "active"
	setupPassive setupRole = "passive"
)

// fingerprint is the SHA-256 of a certificate in DER (RFC 8122 §5).
type fingerprint [32]byte

// remoteSDP is what we use of the other side's offer or answer, and nothing else of it.
type remoteSDP struct {
	sections  []sdpSection // all media sections in order; an answer must mention each (RFC 3264 §6)
	audio     int          // index of ours in sections
	bundled   bool         // our section is in a BUNDLE group (RFC 9143)
	direction string

	iceLite    bool
	ufrag, pwd string
	candidates []remoteCandidate

	setup        setupRole // empty when absent
	fingerprints []fingerprint

	opus  uint8
	dtmf  uint8 // valid when digit is set
	digit bool  // telephone-event/8000 is there
}

// sdpSection is the m= line and the mid of one section.
type sdpSection struct {
	media, proto, mid string
	format            string // first payload type or format, to name it again in a refusal
	hasMID            bool
}

// remoteCandidate is a UDP candidate with a literal address, whatever its type.
type remoteCandidate struct {
	addr     netip.AddrPort
	priority uint32
}
