package appliance

import (
	"time"

	"deskbridge/policy"
)

// PolicySettings are the limits of all lines.
type PolicySettings struct {
	Profile string         `yaml:"profile" json:"profile,omitempty" default:"strict" oneof:"strict meta custom" doc:"strict: one permission request in 7 days, five calls in 24 hours, none after three unanswered ones. meta: Meta's own limits. custom: the numbers below."`
	Custom  CustomSettings `yaml:"custom" json:"custom,omitzero" doc:"Numbers of the custom profile; 0 takes Meta's."`
}

// LinePolicy are the limits of one line.
type LinePolicy struct {
	Profile string         `yaml:"profile" json:"profile,omitempty" oneof:"strict meta custom" doc:"As at the top level. Empty: that of the top level."`
	Custom  CustomSettings `yaml:"custom" json:"custom,omitzero" doc:"As at the top level."`
}

// CustomSettings are the numbers of a custom profile.
type CustomSettings struct {
	RequestsDay  int           `yaml:"requests_day" json:"requests_day,omitempty" default:"0" doc:"Permission requests to a customer in 24 hours."`
	RequestsWeek int           `yaml:"requests_week" json:"requests_week,omitempty" default:"0" doc:"Permission requests in 7 days."`
	DeclinedDay  int           `yaml:"declined_day" json:"declined_day,omitempty" default:"0" doc:"Instead of requests_day after the customer declined."`
	DeclinedWeek int           `yaml:"declined_week" json:"declined_week,omitempty" default:"0" doc:"Instead of requests_week after the customer declined."`
	Attempts     int           `yaml:"attempts" json:"attempts,omitempty" default:"0" doc:"Calls to a customer in 24 hours, whatever comes of them."`
	Connected    int           `yaml:"connected" json:"connected,omitempty" default:"0" doc:"Calls picked up in 24 hours."`
	Unanswered   int           `yaml:"unanswered" json:"unanswered,omitempty" default:"0" doc:"Unanswered calls in a row after which no further one is placed. Meta withdraws the permission at the fourth."`
	Warn         int           `yaml:"warn" json:"warn,omitempty" default:"0" doc:"Unanswered calls in a row after which the agent is warned."`
	Permission   time.Duration `yaml:"permission" json:"permission,omitempty" default:"0s" doc:"How long a permission is used; Meta ends it after 7 days."`
	// Over all lines.
	AllRequestsWeek int `yaml:"all_requests_week" json:"all_requests_week,omitempty" default:"0" doc:"Permission requests to a customer in 7 days over all lines. 0: not limited."`
	AllAttempts     int `yaml:"all_attempts" json:"all_attempts,omitempty" default:"0" doc:"Calls to a customer in 24 hours over all lines. 0: not limited."`
}

func (c CustomSettings) policy() policy.Custom {
	return policy.Custom{
		Line: policy.Limits{RequestsDay: c.RequestsDay, RequestsWeek: c.RequestsWeek, DeclinedDay: c.DeclinedDay, DeclinedWeek: c.DeclinedWeek,
			Attempts: c.Attempts, Connected: c.Connected},
		Global:     policy.Limits{RequestsWeek: c.AllRequestsWeek, Attempts: c.AllAttempts},
		Unanswered: c.Unanswered, Warn: c.Warn, Permission: c.Permission,
	}
}

// Rules are the numbers that hold for a line.
func (s *Settings) Rules(l Line) (policy.Rules, error) {
	if l.Policy.Profile != "" {
		return policy.NewRules(l.Policy.Profile, l.Policy.Custom.policy(), l.TestNumber)
	}
	return policy.NewRules(s.Policy.Profile, s.Policy.Custom.policy(), l.TestNumber)
}
