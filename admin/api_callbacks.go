package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

type callbackView struct {
	ID          string       `json:"id"`
	Line        string       `json:"line"`
	Customer    customerView `json:"customer" doc:"Only the ID for who may not see the customer yet: take the request to see whom to call."`
	Call        string       `json:"call,omitempty" doc:"The call it came from."`
	Source      string       `json:"source" enum:"meta,menu,panel,agent"`
	RequestedAt time.Time    `json:"requested_at"`
	Due         time.Time    `json:"due"`
	Expires     time.Time    `json:"expires,omitzero" doc:"Of the permission it came with."`
	Owner       string       `json:"owner,omitempty" example:"phone:1001"`
	State       string       `json:"state" enum:"open,assigned,done,cancelled,expired"`
	Note        string       `json:"note,omitempty"`
	Version     uint64       `json:"version"`
}

func callbackOf(c CallbackRecord) callbackView {
	return callbackView{ID: c.ID, Line: c.Line, Customer: customerOf(c.Customer), Call: c.Call, Source: c.Source, RequestedAt: c.RequestedAt.UTC(), Due: c.Due.UTC(),
		Expires: utc(c.Expires), Owner: c.Owner, State: c.State, Note: cleanText(c.Note), Version: c.Version}
}

type listCallbacks struct {
	State string `query:"state" enum:"live,all" default:"live" doc:"live: somebody still has to call, the one due first first; all: the newest first."`
	After string `query:"after" maxLength:"256" doc:"next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type callbackPage struct {
	Callbacks []callbackView `json:"callbacks" nullable:"false"`
	Next      string         `json:"next,omitempty" doc:"A page may hold fewer than asked for and still have a next."`
}

type putCallback struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Owner   *string    `json:"owner,omitempty" maxLength:"64" doc:"A telephone; empty text: nobody. An agent takes it for the own telephone, or gives it back."`
		Due     *time.Time `json:"due,omitempty"`
		Note    *string    `json:"note,omitempty" maxLength:"4000"`
		State   string     `json:"state,omitempty" enum:"cancelled"`
		Version uint64     `json:"version"`
	}
}

func (s *Server) addCallbacks() {
	add(s, operation{id: "list-callbacks", method: http.MethodGet, path: "/callbacks", summary: "Customers who want to be called back", tag: "callbacks", role: Agent, scope: "callbacks:read"}, s.listCallbacks)
	add(s, operation{id: "put-callback", method: http.MethodPut, path: "/callbacks/{id}", summary: "Take, give out, put off or cancel a callback", tag: "callbacks", role: Agent, scope: "callbacks:write"}, s.putCallback)
}

func (s *Server) listCallbacks(ctx context.Context, in *listCallbacks) (*body[callbackPage], error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	list, next, err := s.callbacks.Callbacks(ctx, in.State == "live", in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	p := callbackPage{Callbacks: []callbackView{}, Next: next}
	for _, c := range list {
		v, sees, err := s.callbackFor(ctx, c, scope)
		if err != nil {
			return nil, err
		}
		if sees {
			p.Callbacks = append(p.Callbacks, v)
		}
	}
	return answerWith(p, nil)
}

// callbackFor is a callback as the scope may see it: all of it with the customer, and the bare request while it is nobody's, for
// somebody has to take it.
func (s *Server) callbackFor(ctx context.Context, c CallbackRecord, scope Scope) (v callbackView, sees bool, err error) {
	own := scope.All || slices.Contains(scope.Targets, c.Owner)
	if !own {
		_, err := s.customers.Customer(ctx, c.Customer.ID, scope)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return v, false, err
		}
		own = err == nil
	}
	switch {
	case own:
		return callbackOf(c), true, nil
	case c.Owner == "" && c.State == "open":
		v = callbackOf(c)
		v.Customer, v.Call, v.Note = customerView{ID: c.Customer.ID}, "", ""
		return v, true, nil
	}
	return v, false, nil
}

func (s *Server) putCallback(ctx context.Context, in *putCallback) (*body[callbackView], error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	old, err := s.callbacks.Callback(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	_, sees, err := s.callbackFor(ctx, old, scope)
	if err != nil {
		return nil, err
	}
	if !sees {
		return nil, ErrNotFound
	}
	next := old
	next.Version = in.Body.Version
	changed := map[string]string{}
	if in.Body.Owner != nil {
		next.Owner = strings.TrimSpace(*in.Body.Owner)
		if err := mayGive(next.Owner, scope); err != nil {
			return nil, err
		}
		changed["owner"] = next.Owner
	}
	if in.Body.Due != nil {
		next.Due = *in.Body.Due
		changed["due"] = stamp(next.Due)
	}
	if in.Body.Note != nil {
		next.Note = strings.ToValidUTF8(*in.Body.Note, "")
		changed["note"] = "(set)"
	}
	if in.Body.State != "" {
		next.State = in.Body.State
		changed["state"] = next.State
	}
	if len(changed) == 0 {
		return nil, problem(http.StatusUnprocessableEntity, "Nothing is to be changed: send owner, due, note or state.")
	}
	if err := s.audit.Record(ctx, s.accounts.event(actor(ctx), "callback.changed", "callback:"+in.ID, nil, changed)); err != nil {
		return nil, err
	}
	if next, err = s.callbacks.UpdateCallback(ctx, next); err != nil {
		return nil, err
	}
	v, sees, err := s.callbackFor(ctx, next, scope)
	if err == nil && !sees { // given back: what is left to see of it
		v = callbackView{ID: next.ID, Line: next.Line, Customer: customerView{ID: next.Customer.ID}, Source: next.Source, RequestedAt: next.RequestedAt.UTC(), Due: next.Due.UTC(),
			Owner: next.Owner, State: next.State, Version: next.Version}
	}
	return answerWith(v, err)
}

// mayGive: a callback is given to telephones whose calls one sees.
func mayGive(owner string, scope Scope) error {
	switch {
	case owner == "" || scope.All && targetForm.MatchString(owner) || slices.Contains(scope.Targets, owner):
		return nil
	case scope.All:
		return problem(http.StatusUnprocessableEntity, "The owner is a telephone, such as phone:1001.")
	}
	return problem(http.StatusUnprocessableEntity, "You can give it to your own telephones and those of your team.")
}
