package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// directory are the names the lists are filtered and labelled by, as far as the asker sees them.
type directory struct {
	Lines  []named  `json:"lines" nullable:"false"`
	Agents []seated `json:"agents" nullable:"false"`
	Teams  []string `json:"teams" nullable:"false"`
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type seated struct {
	Target string `json:"target" example:"phone:1001"`
	Name   string `json:"name"`
}

func (s *Server) addSystem() {
	add(s, operation{id: "system", method: http.MethodGet, path: "/system", summary: "How the appliance is", tag: "system", role: Admin, scope: "status:read"},
		func(context.Context, *nothing) (*body[SystemStatus], error) {
			return answerWith(s.system.Status(), nil)
		})
	add(s, operation{id: "connections", method: http.MethodGet, path: "/connections", summary: "Lines, trunks and phones with their states", tag: "system", role: Supervisor, scope: "status:read"},
		func(ctx context.Context, _ *nothing) (*body[Connections], error) {
			c, err := s.connectionsOf(ctx)
			return answerWith(c, err)
		})
	add(s, operation{id: "directory", method: http.MethodGet, path: "/directory", summary: "Names of lines, agents and teams, for filters", tag: "system", role: Agent, scope: "calls:read"},
		func(ctx context.Context, _ *nothing) (*body[directory], error) {
			d, err := s.directory(ctx)
			return answerWith(d, err)
		})
}

// connectionsOf shows a supervisor the phones of their teams and no addresses, everybody above all of it.
func (s *Server) connectionsOf(ctx context.Context) (Connections, error) {
	c := s.system.Connections()
	scope, err := s.scope(ctx)
	if err != nil {
		return Connections{}, err
	}
	if c.Lines == nil {
		c.Lines = []LineState{}
	}
	if c.Trunks == nil {
		c.Trunks = []TrunkState{}
	}
	phones := []PhoneState{}
	for _, p := range c.Phones {
		if !scope.All && !slices.Contains(scope.Targets, p.Target) {
			continue
		}
		places := []Registration{}
		for _, r := range p.Places {
			if principalOf(ctx).user.Role != Admin {
				r.Address, r.Agent = "", ""
			}
			places = append(places, r)
		}
		p.Places = places
		phones = append(phones, p)
	}
	c.Phones = phones
	return c, nil
}

func (s *Server) directory(ctx context.Context) (directory, error) {
	d := directory{Lines: []named{}, Agents: []seated{}, Teams: []string{}}
	scope, err := s.scope(ctx)
	if err != nil {
		return d, err
	}
	names, err := s.names(ctx)
	if err != nil {
		return d, err
	}
	for target, name := range names.agents {
		if scope.All || slices.Contains(scope.Targets, target) {
			d.Agents = append(d.Agents, seated{target, name})
		}
	}
	slices.SortFunc(d.Agents, func(a, b seated) int { return strings.Compare(a.Name+"\x00"+a.Target, b.Name+"\x00"+b.Target) })
	for _, l := range s.system.Connections().Lines {
		d.Lines = append(d.Lines, named{l.ID, l.Name})
	}
	u := principalOf(ctx).user
	if u.Role.Covers(SuperAgent) {
		teams, err := s.accounts.Teams(ctx)
		if err != nil {
			return d, err
		}
		for _, t := range teams {
			d.Teams = append(d.Teams, t.Name)
		}
	} else {
		d.Teams = append(d.Teams, u.Teams...)
	}
	return d, nil
}

// nameBook are the names of lines and of the people at telephones.
type nameBook struct{ lines, agents map[string]string }

func (s *Server) names(ctx context.Context) (nameBook, error) {
	agents, err := s.accounts.targetNames(ctx)
	if err != nil {
		return nameBook{}, err
	}
	n := nameBook{lines: map[string]string{}, agents: agents}
	c := s.system.Connections()
	for _, l := range c.Lines {
		n.lines[l.ID] = l.Name
	}
	for _, p := range c.Phones {
		if n.agents[p.Target] == "" {
			n.agents[p.Target] = p.Name
		}
	}
	return n, nil
}
