package admin

import (
	"context"
	"net/http"
	"time"

	"deskbridge/policy"
)

// Decision is what the policy says, with why and until when. What it rests on stays here.
type Decision struct {
	Allowed     bool              `json:"allowed"`
	Rule        string            `json:"rule"`
	Sentence    string            `json:"sentence" doc:"For people, in English."`
	Key         string            `json:"key" doc:"Of the sentence, for other languages."`
	Params      map[string]string `json:"params,omitempty" doc:"What the sentence is filled with: times in RFC 3339, numbers in decimal."`
	NextAllowed time.Time         `json:"next_allowed,omitzero" doc:"When the rule stops denying by itself; absent: not known, or never."`
	Counters    []Counter         `json:"counters,omitempty" nullable:"false"`
	Possible    []string          `json:"possible,omitempty" nullable:"false" doc:"What could be done instead: call, ask, button, message."`
	Template    bool              `json:"template,omitempty" doc:"It must be a template: the message window is closed."`
	Warning     bool              `json:"warning,omitempty" doc:"The customer left the last calls unanswered."`
	Override    bool              `json:"override,omitempty" doc:"A supervisor lifted the limit that stood against it."`
}

// Counter is one limit and its usage.
type Counter struct {
	Name          string  `json:"name" doc:"requests, attempts, connected, unanswered, concurrency"`
	Scope         string  `json:"scope" doc:"line: this line and customer; all: over all lines; meta: as Meta counts"`
	WindowSeconds float64 `json:"window_seconds" doc:"0: in a row, or at the same time."`
	Used          int     `json:"used"`
	Max           int     `json:"max"`
}

// Permission is where the permission to call a customer stands.
type Permission struct {
	Standing string             `json:"standing" enum:"none,requested,request_expired,temporary,permanent,declined,expired,revoked,revoked_unanswered"`
	Since    time.Time          `json:"since,omitzero"`
	Expires  time.Time          `json:"expires,omitzero" doc:"Of a temporary permission, also when it has passed."`
	Source   string             `json:"source,omitempty" doc:"request, profile, callback, meta"`
	Pending  *PendingPermission `json:"pending,omitempty" doc:"The request that can still be answered."`
	Missed   bool               `json:"missed,omitempty" doc:"The customer allowed calls and none has reached them."`
}

// PendingPermission is a request that the customer has not answered.
type PendingPermission struct {
	At time.Time `json:"at"`
}

func decisionView(d policy.Decision) Decision {
	v := Decision{Allowed: d.Allowed, Rule: d.Rule, Sentence: d.Sentence, Key: d.Key, Params: d.Params, NextAllowed: utc(d.NextAllowed), Template: d.Template, Warning: d.Warning, Override: d.Override}
	for _, c := range d.Counters {
		v.Counters = append(v.Counters, Counter{c.Name, c.Scope, seconds(c.Window), c.Used, c.Max})
	}
	for _, a := range d.Possible {
		v.Possible = append(v.Possible, string(a))
	}
	return v
}

func permissionView(p policy.PermissionState) Permission {
	v := Permission{Standing: string(p.Standing), Since: utc(p.Since), Expires: utc(p.Expires), Source: string(p.Source), Missed: p.Missed}
	if p.Pending != nil {
		v.Pending = &PendingPermission{At: p.Pending.At.UTC()}
	}
	return v
}

type keptDecision struct {
	Decision   Decision   `json:"decision"`
	Replayed   bool       `json:"replayed" doc:"The facts that are kept with it give the same decision again."`
	Permission Permission `json:"permission"`
}

func (s *Server) addDecision() {
	add(s, operation{id: "get-decision", method: http.MethodGet, path: "/calls/{id}/decision", summary: "What was decided about a call, and why", tag: "calls", role: Agent, scope: "calls:read"},
		func(ctx context.Context, in *byID) (*body[keptDecision], error) {
			if err := s.seesCall(ctx, in.ID); err != nil {
				return nil, err
			}
			d, err := s.customers.Decision(ctx, in.ID)
			return answerWith(keptDecision{decisionView(d.Decision), d.Replayed, permissionView(d.Permission)}, err)
		})
}
