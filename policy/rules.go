package policy

import "time"

// Day and week are the windows of Meta's limits: rolling, not calendar days.
const (
	Day  = 24 * time.Hour
	Week = 7 * Day
)

// Names of the profiles.
const (
	ProfileStrict = "strict"
	ProfileMeta   = "meta"
	ProfileCustom = "custom"
)

// Limits are numbers of things in rolling windows. 0: not limited here (Meta's own limits hold all the same).
type Limits struct {
	RequestsDay  int `json:"requests_day"`  // permission requests in 24 hours
	RequestsWeek int `json:"requests_week"` // permission requests in 7 days
	// DeclinedDay and DeclinedWeek hold instead of them after the customer declined the newest request.
	DeclinedDay  int `json:"declined_day"`
	DeclinedWeek int `json:"declined_week"`
	// RequestsReset: a connected call in either direction starts the requests' count anew, as it does at Meta.
	RequestsReset bool `json:"requests_reset"`
	Attempts      int  `json:"attempts"`  // calls placed in 24 hours, whatever came of them
	Connected     int  `json:"connected"` // calls picked up in 24 hours
}

// Rules are the numbers a decision holds against the facts.
type Rules struct {
	Profile string `json:"profile"`
	Line    Limits `json:"line"`   // per line and customer
	Global  Limits `json:"global"` // per customer, over all lines
	// Unanswered calls in a row after which no further one is placed; Warn: after which the agent is warned.
	Unanswered int `json:"unanswered"`
	Warn       int `json:"warn"`
	// Permission ends a temporary permission early. Meta's seven days leave it to Meta's timestamp.
	Permission time.Duration `json:"permission"`
	// LiveAge is how old Meta's answer may be.
	LiveAge time.Duration `json:"live_age"`
	// Test: one of Meta's test numbers, whose limits are wider (contract §10.1).
	Test bool `json:"test,omitempty"`
}

// Custom are the numbers of a custom profile; 0 takes Meta's number (Global: no limit).
type Custom struct {
	Line       Limits        `json:"line"`
	Global     Limits        `json:"global"`
	Unanswered int           `json:"unanswered"`
	Warn       int           `json:"warn"`
	Permission time.Duration `json:"permission"`
}

// Strict are the product's own promises.
func Strict() Rules { return Rules{} }

// Meta are Meta's own limits (contract §10.1).
func Meta() Rules { return Rules{} }

// NewRules makes the rules of a profile: "strict" (also ""), "meta" or "custom". custom counts for "custom" only. test says
// that the line is one of Meta's test numbers. The error names every number that is looser than Meta's, with its path.
func NewRules(profile string, custom Custom, test bool) (Rules, error) { return Rules{}, nil }
