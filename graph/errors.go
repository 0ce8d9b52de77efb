package graph

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrUncertain says that a connect may or may not have started a call, or a message may or may not have been taken: the
	// request went out and no usable answer came back. It is never resent. A connect's caller waits about 3 s for a webhook
	// that echoes its callback data (§3.4); a message with callback data shows itself by its first status webhook.
	ErrUncertain = errors.New("outcome of the request is unknown")
	// ErrContent says that what was to be sent breaks a limit of Meta's, so nothing was sent.
	ErrContent = errors.New("content is not as Meta takes it")
	// ErrMore says that Meta holds more templates than are read.
	ErrMore = errors.New("there are more than are read")
	// ErrAnswer says that what answered did not speak Graph: an HTML page, a redirect, cut-off or oversized JSON.
	ErrAnswer = errors.New("answer is not Graph's")
	// ErrRecipient says that neither phone number nor business-scoped ID was given.
	ErrRecipient = errors.New("recipient has neither phone nor user id")
)

// Error is Graph's error envelope (§3.3). What it means is decided by Code alone: business errors such as 138006 arrive
// with HTTP 401, so Status never takes part in a decision.
type Error struct {
	Status      int
	Code        int
	Subcode     int // deprecated by Meta; kept for support cases only
	Type        string
	Message     string
	Details     string // error_data.details, where the useful part is
	UserMessage string
	TraceID     string
	Transient   bool
	RetryAfter  time.Duration // from the Retry-After header, 0 when absent
}

func (e *Error) Error() string {
	s := fmt.Sprintf("graph error %d: %s", e.Code, e.Message)
	if e.Details != "" {
		s += " (" + e.Details + ")"
	}
	return s
}

// AsError returns the Graph error in err's chain, or nil.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// TokenInvalid: the access token is bad or expired. Only these codes say so, whatever the HTTP status.
func (e *Error) TokenInvalid() bool { return e.Code == 190 || e.Code == 102 }

// MissingScope: the token is good but lacks a permission (§18.2: 3, 10, 200–299; 131005 access denied).
func (e *Error) MissingScope() bool {
	return e.Code == 3 || e.Code == 10 || (e.Code >= 200 && e.Code <= 299) || e.Code == 131005
}

// CallingDisabled: calling is not switched on for the number.
func (e *Error) CallingDisabled() bool { return e.Code == 138000 }

// Uncallable: the customer is not on WhatsApp, has too old an app or has not accepted the terms.
func (e *Error) Uncallable() bool { return e.Code == 138001 || e.Code == 131026 }

// ConcurrentLimit: too many calls at once on the number.
func (e *Error) ConcurrentLimit() bool { return e.Code == 138002 }

// Duplicate: a call with this customer is already active.
func (e *Error) Duplicate() bool { return e.Code == 138003 }

// NoPermission: the customer has not allowed calls. Not a token error, though its HTTP status is 401.
func (e *Error) NoPermission() bool { return e.Code == 138006 }

// RequestLimit: no further permission request may be sent to this customer now.
func (e *Error) RequestLimit() bool { return e.Code == 138009 }

// PermanentPermission: the customer has allowed calls for good, so there is nothing to ask for: call.
func (e *Error) PermanentPermission() bool { return e.Code == 138017 }

// WindowClosed: more than 24 h since the customer's last message or call, so only a template may be sent.
func (e *Error) WindowClosed() bool { return e.Code == 131047 }

// TemplateProblem: the template does not exist in the language, is paused or disabled, or its parameters do not fit it.
func (e *Error) TemplateProblem() bool { return e.Code >= 132000 && e.Code <= 132099 }

// Unsupported: this kind of message cannot go from this number or to this recipient.
func (e *Error) Unsupported() bool { return e.Code == 131009 || e.Code == 131051 || e.Code == 131062 }

// MarketingRefused: the customer wants, or by Meta's measure gets, no more marketing messages. Not before 24 h again.
func (e *Error) MarketingRefused() bool { return e.Code == 131049 || e.Code == 131050 }

// ConnectedLimit: the 24 h limit of connected calls with this customer is reached; NextAllowed may know until when.
func (e *Error) ConnectedLimit() bool { return e.Code == 138012 }

// CountryExcluded: numbers of the business number's country cannot call out at all (§20). Restricted is true as well.
func (e *Error) CountryExcluded() bool { return e.Code == 138013 }

// Restricted: Meta forbids the number to make calls: its country, its quality, its policy record.
func (e *Error) Restricted() bool {
	switch e.Code {
	case 138013, 138014, 130497, 131031, 368:
		return true
	}
	return false
}

// LimitTooLow: calling cannot be switched on while the number's messaging limit is below 2,000.
func (e *Error) LimitTooLow() bool { return e.Code == 138015 }

// NotSubscribed: calling cannot be switched on before an app is subscribed to the field calls (or SIP is configured).
func (e *Error) NotSubscribed() bool { return e.Code == 138018 }

// Payment: no working payment method.
func (e *Error) Payment() bool { return e.Code == 131044 || e.Code == 131042 }

// SIPMode: the number is in SIP mode, so Graph calling is refused.
func (e *Error) SIPMode() bool { return e.Code == 131055 }

// NotAllowListed: a test number may only call allow-listed customers.
func (e *Error) NotAllowListed() bool { return e.Code == 131030 }

// RateLimited: slow down.
func (e *Error) RateLimited() bool {
	switch e.Code {
	case 4, 613, 80007, 130429, 131048, 131056, 138005:
		return true
	}
	return false
}

// SDPInvalid: our SDP was refused. 138008 is undocumented but seen in the field; 100 says so only in its details.
func (e *Error) SDPInvalid() bool {
	return e.Code == 138008 || (e.Code == 100 && e.says("sdp", "fingerprint"))
}

// BadRecipient: the customer's number or ID is malformed, or our own. Code 100 says so only in its words.
func (e *Error) BadRecipient() bool {
	return e.Code == 131021 || (e.Code == 100 && e.says("recipient", "phone number", "parameter 'to'", "parameter to"))
}

// CallGone: the call is unknown or over, so nothing more can be done with it. Meta documents no code for this (§6.6): it
// is code 100 and known by its words.
func (e *Error) CallGone() bool {
	return e.Code == 100 && e.says("invalid call id", "valid state", "already", "call ended", "has ended", "terminated", "hung up", "completed")
}

// Unavailable: Meta's own trouble, worth another try soon.
func (e *Error) Unavailable() bool {
	switch e.Code {
	case 1, 2, 131000, 131016, 131057, 138004:
		return true
	}
	return e.Transient
}

func (e *Error) says(words ...string) bool {
	text := strings.ToLower(e.Message + " " + e.Details)
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

var (
	unixInText = regexp.MustCompile(`\b1[0-9]{9}\b`)
	isoInText  = regexp.MustCompile(`\b20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(?:Z|[+-][0-9]{2}:?[0-9]{2})`)
)

// NextAllowed is when the refused thing becomes possible, if the details name a time: 138012 does, in free text (§3.3).
func (e *Error) NextAllowed() time.Time {
	if len(e.Details) > 1024 {
		return time.Time{}
	}
	if s := isoInText.FindString(e.Details); s != "" {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700"} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC()
			}
		}
	}
	if s := unixInText.FindString(e.Details); s != "" {
		sec, _ := strconv.ParseInt(s, 10, 64)
		return time.Unix(sec, 0).UTC()
	}
	return time.Time{}
}

// class is the bounded metric label of an outcome.
func class(err error) string {
	if err == nil {
		return "ok"
	}
	e := AsError(err)
	switch {
	case e == nil && errors.Is(err, ErrAnswer):
		return "garbage"
	case e == nil:
		return "transport"
	case e.TokenInvalid(), e.MissingScope():
		return "token"
	case e.NoPermission():
		return "permission"
	case e.RateLimited(), e.ConcurrentLimit():
		return "rate"
	case e.ConnectedLimit(), e.RequestLimit(), e.MarketingRefused():
		return "limit"
	case e.Duplicate(), e.CallGone(), e.PermanentPermission(), e.WindowClosed():
		return "state"
	case e.TemplateProblem():
		return "template"
	case e.Restricted(), e.Payment(), e.SIPMode(), e.CallingDisabled(), e.LimitTooLow(), e.NotSubscribed():
		return "account"
	case e.Uncallable(), e.NotAllowListed():
		return "uncallable"
	case e.Unavailable():
		return "unavailable"
	case e.Code == 100, e.Code == 138008, e.Code == 131008, e.Unsupported():
		return "invalid"
	}
	return "other"
}
