package frontdesk

import (
	"time"

	"deskbridge/policy"
)

// HoursMode is what becomes of a customer's call outside call hours.
type HoursMode string

// The modes.
const (
	// ModePopup: Meta holds the hours and shows its popup; what arrives all the same is refused.
	ModePopup HoursMode = "meta_popup"
	// ModePrompt: the call is answered by a menu, which says when the line opens and takes a callback request.
	ModePrompt HoursMode = "answer_and_prompt"
)

// Template names an approved template and what fills its placeholders.
type Template struct {
	Name       string
	Language   string
	Parameters []string // of the body

	button int // which of its buttons calls
}

// Texts are the words a line sends. Each is in the language of the line's customers.
type Texts struct {
	Ask         string // in a free-form permission request
	Closed      string // in chat, to a customer who calls outside call hours; empty: nothing is sent
	Button      string // above a call button
	ButtonLabel string
}

// LineConfig is one line with what the company wants of it.
type LineConfig struct {
	ID       string
	Name     string
	Number   Number
	Language string // of its customers: "en", "id"

	Enabled, Inbound, Outbound bool
	MaxCalls                   int // 0: not limited

	Hours policy.Hours // without the one-off override, which is the store's
	Mode  HoursMode
	Rules policy.Rules

	Texts          Texts
	AskTemplate    Template
	ButtonTemplate Template
	ButtonTTL      time.Duration
	// CallbackWithin is how soon, in call hours, a customer who asked is to be called back.
	CallbackWithin time.Duration

	Wanted Wanted
}

// Wanted is how the line's settings at Meta are to be. Empty fields are left alone.
type Wanted struct {
	Calling  string // ENABLED, DISABLED
	Icons    string // DEFAULT, DISABLE_ALL
	Callback string // ENABLED, DISABLED: a customer who calls us allows calls back
	Codecs   []string
	Hours    bool // push the call hours
	Enforce  bool // what somebody else changed is set back; else it is only reported
}
