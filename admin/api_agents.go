package admin

import (
	"context"
	"net/http"
	"slices"
)

type agentList struct {
	Agents []AgentState `json:"agents" nullable:"false"`
}

type setAvailability struct {
	Target string `path:"target" maxLength:"64" example:"phone:1001"`
	Body   struct {
		Available bool `json:"available"`
	}
}

func (s *Server) addAgents() {
	add(s, operation{id: "list-agents", method: http.MethodGet, path: "/agents", summary: "The telephones of the agents one sees, and who is available", tag: "agents", role: Agent, scope: "live:read"}, s.listAgents)
	add(s, operation{id: "set-availability", method: http.MethodPut, path: "/agents/{target}/availability", summary: "Let a telephone be rung, or not", tag: "agents", role: Agent, scope: "live:write"}, s.setAvailability)
}

// visibleAgents are those whose calls the asker sees, with the names of the people at the telephones.
func (s *Server) visibleAgents(ctx context.Context) ([]AgentState, error) {
	scope, err := s.scope(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.agents.Agents(ctx)
	if err != nil {
		return nil, err
	}
	list := []AgentState{}
	for _, a := range all {
		if !scope.All && !slices.Contains(scope.Targets, a.Target) {
			continue
		}
		if n := names.agents[a.Target]; n != "" {
			a.Name = n
		}
		a.Since = utc(a.Since)
		list = append(list, a)
	}
	return list, nil
}

func (s *Server) listAgents(ctx context.Context, _ *nothing) (*body[agentList], error) {
	list, err := s.visibleAgents(ctx)
	return answerWith(agentList{list}, err)
}

func (s *Server) setAvailability(ctx context.Context, in *setAvailability) (*body[AgentState], error) {
	find := func() (AgentState, error) {
		list, err := s.visibleAgents(ctx)
		if err != nil {
			return AgentState{}, err
		}
		i := slices.IndexFunc(list, func(a AgentState) bool { return a.Target == in.Target })
		if i < 0 {
			return AgentState{}, ErrNotFound
		}
		return list[i], nil
	}
	before, err := find()
	if err != nil {
		return nil, err
	}
	e := s.accounts.event(actor(ctx), "agent.availability_set", "agent:"+in.Target, map[string]bool{"available": before.Available}, map[string]bool{"available": in.Body.Available})
	if err := s.audit.Record(ctx, e); err != nil {
		return nil, err
	}
	if err := s.agents.SetAvailable(ctx, in.Target, in.Body.Available, s.byUser(ctx)); err != nil {
		return nil, err
	}
	return answerWith(find())
}
