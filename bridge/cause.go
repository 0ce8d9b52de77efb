package bridge

import (
	"fmt"
	"time"
)

// Fault says who ended a call or made it fail.
type Fault string

// Whose fault it was. FaultNobody is a normal end.
const (
	FaultNobody   Fault = "nobody"
	FaultCaller   Fault = "caller"
	FaultCallee   Fault = "callee"
	FaultPolicy   Fault = "policy"
	FaultUpstream Fault = "upstream" // Meta or the PBX
	FaultUs       Fault = "us"
	FaultUnknown  Fault = "unknown"
)

// Reason is a stable code for CDRs, metrics and alerts.
type Reason string

// The reasons a leg or call can end for.
const (
	ReasonHangup            Reason = "hangup"             // normal end by either party after answer
	ReasonCancelled         Reason = "cancelled"          // caller gave up before answer
	ReasonDeclined          Reason = "declined"           // callee refused
	ReasonNoAnswer          Reason = "no_answer"          // rang out
	ReasonBusy              Reason = "busy"               // callee busy, or a call with this customer is active
	ReasonAnsweredElsewhere Reason = "answered_elsewhere" // another phone won
	ReasonRefused           Reason = "refused"            // policy said no; Cause.Rule names the rule
	ReasonNotOnWhatsApp     Reason = "not_on_whatsapp"
	ReasonBadNumber         Reason = "bad_number"
	ReasonNoRoute           Reason = "no_route" // nobody is configured or registered to take it
	ReasonUnreachable       Reason = "unreachable"
	ReasonUpstream          Reason = "upstream_error" // Meta or PBX failed, token bad, rate limited
	ReasonMedia             Reason = "media_failed"   // no common codec, DTLS or ICE failed, SDP unusable
	ReasonMediaTimeout      Reason = "media_timeout"  // the far end's audio stopped
	ReasonStale             Reason = "stale"          // the webhook was too old to ring
	ReasonDrain             Reason = "drain"          // the daemon was stopping
	ReasonInterrupted       Reason = "interrupted"    // the daemon died during the call
	ReasonOverload          Reason = "overload"       // more calls than the appliance is rated for
	ReasonInternal          Reason = "internal_error"
)

// Cause is why a leg or a call ended. It is a value: adapters translate it at their edge, once.
type Cause struct {
	Fault  Fault  `json:"fault"`
	Reason Reason `json:"reason"`
	// Rule is the policy rule ID behind ReasonRefused, else empty.
	Rule string `json:"rule,omitempty"`
	// Text is a sentence for people (refusals) or the far end's own words (upstream errors).
	Text string `json:"text,omitempty"`
	// Code is the far end's own number, if it gave one: a Graph error code or a SIP status.
	Code int `json:"code,omitempty"`
	// RetryAfter is how long to wait before trying again, when known.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
}

// String is for logs: "callee/declined" and the rule or code when there is one.
func (c Cause) String() string {
	s := string(c.Fault) + "/" + string(c.Reason)
	if c.Rule != "" {
		s += " " + c.Rule
	}
	if c.Code != 0 {
		s += fmt.Sprintf(" (%d)", c.Code)
	}
	return s
}

// IsZero reports whether no cause was given.
func (c Cause) IsZero() bool { return c.Reason == "" }
