package sip

import "errors"

// sdpError is why a session description cannot be used, with the SIP answer that says so: 488 with a Warning
// (RFC 3261 §21.4.26, §20.43), 400 for text that is no SDP, 413 for too much of it.
type sdpError struct {
	status  int // SIP status
	warning int // Warning code of RFC 3261 §27.2, 0 for none
	text    string
}

func (e *sdpError) Error() string { return e.text }

// Why SDP is refused. Compare with errors.Is; sdpStatus turns them into a SIP answer.
var (
	errSDPTooLarge    = &sdpError{413, 0, "session description too large"}
	errSDPSyntax      = &sdpError{400, 0, "malformed session description"}
	errNoAudio        = &sdpError{488, 304, "no usable audio stream"}
	errNoCommonCodec  = &sdpError{488, 305, "no common codec"}
	errSRTPRequired   = &sdpError{488, 302, "encrypted media (RTP/SAVP) is not supported"}
	errAddressFamily  = &sdpError{488, 301, "no common address family"}
	errMediaAddress   = &sdpError{488, 399, "media address is not acceptable"}
	errAnswerMismatch = &sdpError{488, 399, "answer does not match the offer"}
)

// Errors of the engine itself.
var (
	errPortsExhausted = errors.New("no free RTP port pair")
	errMediaClosed    = errors.New("media closed")
)

// sdpStatus is the SIP status, Warning code (0 for none) and sentence for an error of Answer or ApplyAnswer.
func sdpStatus(err error) (status, warning int, text string) {
	var e *sdpError
	if errors.As(err, &e) {
		return e.status, e.warning, e.text
	}
	if errors.Is(err, errPortsExhausted) {
		return 503, 0, errPortsExhausted.Error()
	}
	return 500, 0, "media failed"
}
