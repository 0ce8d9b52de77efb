package sip

import (
	"fmt"
	"strconv"
	"time"

	msg "github.com/emiago/sipgo/sip"

	"deskbridge/bridge"
)

// reply is a SIP answer to an INVITE, or the reason of a BYE or CANCEL.
type reply struct {
	status     int
	phrase     string
	reason     string // Reason header (RFC 3326), empty for none
	warning    string // Warning header (RFC 3261 §20.43), empty for none
	retryAfter int    // seconds, 0 for none
}

// answerFor translates why we refuse an INVITE, once, for every INVITE (design §6).
func answerFor(c bridge.Cause) reply {
	switch c.Reason {
	case bridge.ReasonRefused:
		r := reply{status: 403, phrase: "Forbidden"}
		if c.Rule != "" {
			r.reason = fmt.Sprintf(`SIP;cause=403;text="%s"`, quoteText(headerText(c.Rule)))
		}
		if c.Text != "" {
			// The phrase is all that many telephones show (RFC 3261 §7.2 leaves its wording to us).
			r.phrase = headerText(c.Text)
			r.warning = fmt.Sprintf(`399 deskbridge "%s"`, quoteText(headerText(c.Text)))
		}
		return r
	case bridge.ReasonDeclined:
		return reply{status: 603, phrase: "Decline"}
	case bridge.ReasonNoAnswer, bridge.ReasonNoRoute, bridge.ReasonUnreachable, bridge.ReasonStale, bridge.ReasonHangup:
		return reply{status: 480, phrase: "Temporarily Unavailable"}
	case bridge.ReasonBusy:
		return reply{status: 486, phrase: "Busy Here"}
	case bridge.ReasonNotOnWhatsApp:
		return reply{status: 404, phrase: "Not Found"}
	case bridge.ReasonBadNumber:
		return reply{status: 484, phrase: "Address Incomplete"}
	case bridge.ReasonMedia:
		return mediaAnswer(c)
	case bridge.ReasonCancelled:
		return reply{status: 487, phrase: "Request Terminated"}
	case bridge.ReasonUpstream, bridge.ReasonDrain, bridge.ReasonOverload:
		return reply{status: 503, phrase: "Service Unavailable", retryAfter: retrySeconds(c)}
	default:
		if c.RetryAfter > 0 { // trouble of ours that passes: a full disk, a slow one
			return reply{status: 503, phrase: "Service Unavailable", retryAfter: retrySeconds(c)}
		}
		return reply{status: 500, phrase: "Server Internal Error"}
	}
}

// mediaAnswer keeps 488 for what the phone's own description is at fault for: a phone that reads it will not try again.
func mediaAnswer(c bridge.Cause) reply {
	switch c.Fault {
	case bridge.FaultUs, bridge.FaultUpstream:
		return reply{status: 503, phrase: "Service Unavailable", retryAfter: retrySeconds(c)}
	case bridge.FaultCallee: // the customer's app could not set the call up
		return reply{status: 480, phrase: "Temporarily Unavailable"}
	}
	return reply{status: 488, phrase: "Not Acceptable Here"}
}

func retrySeconds(c bridge.Cause) int {
	if s := int((c.RetryAfter + time.Second - 1) / time.Second); s > 0 {
		return min(s, 3600)
	}
	return 30
}

// endReason is the Reason header of a BYE or CANCEL we send for a cause (RFC 3326).
func endReason(c bridge.Cause) string {
	switch c.Reason {
	case bridge.ReasonAnsweredElsewhere:
		// The text is what phones look for to keep the call out of their missed list (design §6).
		return `SIP;cause=200;text="Call completed elsewhere"`
	case bridge.ReasonHangup, bridge.ReasonCancelled, "":
		return "Q.850;cause=16"
	case bridge.ReasonNoAnswer:
		return "Q.850;cause=19"
	case bridge.ReasonMediaTimeout, bridge.ReasonMedia:
		return `Q.850;cause=102;text="media"`
	default:
		a := answerFor(c)
		return fmt.Sprintf(`SIP;cause=%d;text="%s"`, a.status, quoteText(headerText(string(c.Reason))))
	}
}

// causeOf translates the final answer to an INVITE of ours, once, for every INVITE.
func causeOf(status int, phrase string, retryAfter time.Duration) bridge.Cause {
	c := bridge.Cause{Fault: bridge.FaultCallee, Code: status, Text: headerText(phrase), RetryAfter: retryAfter}
	switch status {
	case 486, 600:
		c.Reason = bridge.ReasonBusy
	case 603, 403, 607, 608:
		c.Reason = bridge.ReasonDeclined
	case 480, 408:
		c.Reason = bridge.ReasonNoAnswer
	case 404, 604, 410:
		c.Reason = bridge.ReasonNoRoute
	case 484, 485, 416:
		c.Reason = bridge.ReasonBadNumber
	case 488, 606, 415:
		c.Reason = bridge.ReasonMedia
	case 487:
		c.Reason = bridge.ReasonCancelled
	case 401, 407:
		c.Reason, c.Fault = bridge.ReasonUpstream, bridge.FaultUs // our credentials are wrong
	default:
		c.Reason, c.Fault = bridge.ReasonUpstream, bridge.FaultUpstream
	}
	return c
}

// rank orders final answers of several contacts: the highest is the one to report (after RFC 3261 §16.7.6).
func rank(c bridge.Cause) int {
	switch {
	case c.Code >= 600:
		return 5
	case c.Reason == bridge.ReasonBusy || c.Reason == bridge.ReasonDeclined:
		return 4
	case c.Code >= 400 && c.Code < 500 && c.Code != 408:
		return 3
	case c.Code == 0:
		return 1
	}
	return 2
}

// byeCause is why the far end ended the leg, from its Reason header (RFC 3326). A plain BYE is a normal hang-up.
func byeCause(req *msg.Request, fault bridge.Fault) bridge.Cause {
	return bridge.Cause{Fault: fault, Reason: bridge.ReasonHangup, Text: reasonText(req)}
}

func reasonText(m interface{ GetHeader(string) msg.Header }) string {
	if h := m.GetHeader("reason"); h != nil {
		return headerText(h.Value())
	}
	return ""
}

// retryAfterOf reads Retry-After (RFC 3261 §20.33), at most an hour.
func retryAfterOf(res *msg.Response) time.Duration {
	h := res.GetHeader("retry-after")
	if h == nil {
		return 0
	}
	v, n := h.Value(), 0
	for n < len(v) && n < 6 && v[n] >= '0' && v[n] <= '9' {
		n++
	}
	s, err := strconv.Atoi(v[:n])
	if err != nil {
		return 0
	}
	return time.Duration(min(s, 3600)) * time.Second
}
