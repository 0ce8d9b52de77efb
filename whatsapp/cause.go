package whatsapp

import (
	"errors"
	"time"

	"deskbridge/bridge"
	"deskbridge/graph"
	"deskbridge/policy"
)

// retryLater is offered where Meta did not say when to try again.
const retryLater = 30 * time.Second

func upstream(code int, text string, after time.Duration) bridge.Cause {
	if after <= 0 {
		after = retryLater
	}
	return bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream, Code: code, Text: text, RetryAfter: after}
}

// causeOf is the one table from Graph errors to causes.
func causeOf(err error, now time.Time) bridge.Cause {
	e := graph.AsError(err)
	if e == nil {
		if errors.Is(err, graph.ErrRecipient) {
			return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber}
		}
		return upstream(0, "WhatsApp could not be reached.", 0)
	}
	return graphCause(e, now)
}

func graphCause(e *graph.Error, now time.Time) bridge.Cause {
	refused := func(rule string) bridge.Cause {
		return bridge.Cause{Fault: bridge.FaultPolicy, Reason: bridge.ReasonRefused, Rule: rule, Text: e.Message, Code: e.Code}
	}
	switch {
	case e.NoPermission():
		return refused(policy.RulePermissionNone)
	case e.ConnectedLimit():
		c := refused(policy.RuleCallLimit)
		if t := e.NextAllowed(); t.After(now) {
			c.RetryAfter = t.Sub(now)
		}
		return c
	case e.Restricted():
		return refused(policy.RuleRestricted)
	case e.NotAllowListed():
		return refused(policy.RuleNotAllowed)
	case e.Duplicate():
		return bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonBusy, Text: e.Message, Code: e.Code}
	case e.Uncallable():
		return bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNotOnWhatsApp, Text: e.Message, Code: e.Code}
	case e.BadRecipient():
		return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonBadNumber, Text: e.Message, Code: e.Code}
	case e.SDPInvalid():
		return bridge.Cause{Fault: bridge.FaultUs, Reason: bridge.ReasonMedia, Text: e.Message, Code: e.Code}
	case e.CallGone():
		return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled, Code: e.Code}
	}
	// Token, scope, payment, SIP mode, calling off, rates, Meta's own trouble: nothing the agent can do about it.
	return upstream(e.Code, e.Message, e.RetryAfter)
}

// terminateCause reads a terminate webhook. Unanswered calls are COMPLETED too: only a start or duration, or that we saw
// the call answered, says that it was picked up (§7.4).
func terminateCause(ev *graph.Event, outbound, talked bool, now time.Time) bridge.Cause {
	if len(ev.Errors) > 0 {
		return errorCause(ev.Errors[0], outbound, now)
	}
	switch {
	case ev.Call != nil && ev.Call.Outcome == "FAILED":
		return bridge.Cause{Fault: bridge.FaultUpstream, Reason: bridge.ReasonUpstream, Text: "WhatsApp reports that the call failed."}
	case talked, ev.Call != nil && ev.Call.Answered():
		return bridge.Cause{Fault: bridge.FaultNobody, Reason: bridge.ReasonHangup}
	case outbound:
		return bridge.Cause{Fault: bridge.FaultCallee, Reason: bridge.ReasonNoAnswer}
	}
	return bridge.Cause{Fault: bridge.FaultCaller, Reason: bridge.ReasonCancelled}
}

// errorCause reads the codes seen only in webhooks (§18.1 "wh"); the others mean what they mean in answers.
func errorCause(we graph.WebhookError, outbound bool, now time.Time) bridge.Cause {
	customer := bridge.FaultCaller
	if outbound {
		customer = bridge.FaultCallee
	}
	c := bridge.Cause{Text: we.Message, Code: we.Code}
	switch we.Code {
	case 138019, 138022: // the customer's app could not set the call up, or sent nothing
		c.Fault, c.Reason = customer, bridge.ReasonMedia
	case 138020: // app to relay
		c.Fault, c.Reason = bridge.FaultUpstream, bridge.ReasonMedia
	case 138007, 138023: // our SDP came too late, or our media never connected
		c.Fault, c.Reason = bridge.FaultUs, bridge.ReasonMedia
	case 138021: // the app heard nothing from us
		c.Fault, c.Reason = bridge.FaultUs, bridge.ReasonMediaTimeout
	default:
		return graphCause(&graph.Error{Code: we.Code, Message: we.Message, Details: we.Details}, now)
	}
	return c
}
