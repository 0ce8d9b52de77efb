package admin

import (
	"context"
	"time"
)

type getTimeline struct {
	ID     string    `path:"id" maxLength:"64"`
	Line   string    `query:"line" maxLength:"64"`
	Before time.Time `query:"before" doc:"next of the page before."`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type timelinePage struct {
	Entries []timelineEntry `json:"entries" nullable:"false"`
	Next    time.Time       `json:"next,omitzero" doc:"Pass it as before for the next page; absent: this is the last one."`
}

type timelineEntry struct {
	At         time.Time        `json:"at"`
	Kind       string           `json:"kind" enum:"call,message,permission,callback"`
	Call       *callView        `json:"call,omitempty"`
	Message    *messageView     `json:"message,omitempty"`
	Permission *PermissionEvent `json:"permission,omitempty"`
	Callback   *callbackView    `json:"callback,omitempty"`
}

func (s *Server) getTimeline(ctx context.Context, in *getTimeline) (*body[timelinePage], error) {
	c, scope, err := s.customer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list, next, err := s.customers.CustomerTimeline(ctx, TimelineQuery{Customer: c.ID, Scope: scope, Line: in.Line, Before: in.Before, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	p := timelinePage{Entries: []timelineEntry{}, Next: utc(next)}
	for _, e := range list {
		p.Entries = append(p.Entries, s.entry(e, names))
	}
	return answerWith(p, nil)
}

func (s *Server) entry(e TimelineEntry, names nameBook) timelineEntry {
	v := timelineEntry{At: e.At.UTC()}
	switch {
	case e.Call != nil:
		c := names.view(*e.Call, s.now())
		v.Kind, v.Call = "call", &c
	case e.Message != nil:
		m := messageOf(*e.Message)
		v.Kind, v.Message = "message", &m
	case e.Permission != nil:
		p := *e.Permission
		p.Expires, p.Reason = utc(p.Expires), clean(p.Reason)
		v.Kind, v.Permission = "permission", &p
	case e.Callback != nil:
		b := callbackOf(*e.Callback)
		v.Kind, v.Callback = "callback", &b
	}
	return v
}
