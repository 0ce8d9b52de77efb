package policy

import (
	"encoding/json"
	"fmt"
	"time"
)

// Decision is the answer, the same value for SIP, prompt, panel, API and ledger.
type Decision struct {
	Allowed  bool   `json:"allowed"`
	Rule     string `json:"rule"`
	Sentence string `json:"sentence"` // for people, English; Render gives other languages and zones
	// Key and Params are the sentence before it was put into words: times in RFC 3339 UTC, numbers in decimal.
	Key    string            `json:"key"`
	Params map[string]string `json:"params,omitempty"`
	// NextAllowed is the earliest time at which the rule stops denying by itself; zero: not known, or never by itself.
	NextAllowed time.Time `json:"next_allowed,omitzero"`
	Counters    []Counter `json:"counters,omitempty"`
	// Possible is what could be done instead, or next.
	Possible []Action `json:"possible,omitempty"`
	// Template: an allowed permission request must be a template, because the message window is closed.
	Template bool `json:"template,omitempty"`
	// Warning: this call is allowed, but the customer left the last ones unanswered (Rules.Warn in a row).
	Warning bool `json:"warning,omitempty"`
	// Override: a profile limit stood against it, and a supervisor lifted it.
	Override bool `json:"override,omitempty"`
	// Facts is the question, from which Replay makes the same decision again.
	Facts *Question `json:"facts,omitempty"`
}

// Counter is one limit and its usage.
type Counter struct {
	Name   string        `json:"name"`   // "requests", "attempts", "connected", "unanswered", "concurrency"
	Scope  string        `json:"scope"`  // "line": this line and customer; "all": over all lines; "meta": as Meta counts
	Window time.Duration `json:"window"` // nanoseconds; 0: in a row, or at the same time
	Used   int           `json:"used"`
	Max    int           `json:"max"`
}

// Replay decides a stored question again.
func Replay(question []byte) (Decision, error) {
	var q Question
	if err := json.Unmarshal(question, &q); err != nil {
		return Decision{}, fmt.Errorf("replay decision: %w", err)
	}
	return Decide(q), nil
}
