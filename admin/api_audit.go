package admin

import (
	"context"
	"net/http"
	"strconv"
)

type auditQuery struct {
	After string `query:"after" maxLength:"20" pattern:"^[0-9]+$" doc:"next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type auditPage struct {
	Events []Event `json:"events" nullable:"false"`
	Next   string  `json:"next,omitempty"`
}

func (s *Server) addAudit() {
	add(s, operation{id: "audit-log", method: http.MethodGet, path: "/audit", summary: "What was done, newest first", tag: "audit", role: Admin, scope: "audit:read"},
		func(ctx context.Context, in *auditQuery) (*body[auditPage], error) {
			var before uint64
			if in.After != "" {
				n, err := strconv.ParseUint(in.After, 10, 64)
				if err != nil || n == 0 {
					return nil, problem(http.StatusBadRequest, "The cursor does not belong to this list.")
				}
				before = n
			}
			events, next, err := s.audit.Events(ctx, before, in.Limit)
			if err != nil {
				return nil, err
			}
			p := auditPage{Events: append([]Event{}, events...)}
			if next > 0 {
				p.Next = strconv.FormatUint(next, 10)
			}
			return answerWith(p, nil)
		})
}
