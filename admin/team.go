package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Team is a group of users.
type Team struct {
	Name    string `json:"name"`
	Members []Mate `json:"members" nullable:"false"`
}

// Mate is a member of a team.
type Mate struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Role    Role     `json:"role"`
	Targets []string `json:"targets" nullable:"false"`
}

// Teams are the teams that have members, by name.
func (a *Accounts) Teams(ctx context.Context) ([]Team, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	members := map[string][]Mate{}
	for _, acc := range all {
		for _, t := range acc.Teams {
			members[t] = append(members[t], Mate{acc.ID, acc.Name, acc.Role, acc.Targets})
		}
	}
	teams := make([]Team, 0, len(members))
	for name, m := range members {
		teams = append(teams, Team{name, m})
	}
	slices.SortFunc(teams, func(x, y Team) int { return strings.Compare(x.Name, y.Name) })
	return teams, nil
}

// SetTeam makes exactly these users the members of a team; none: the team is gone.
func (a *Accounts) SetTeam(ctx context.Context, by Actor, team string, members []string) error {
	team = strings.TrimSpace(team)
	if team == "" || !printable(team, maxUserName) {
		return fmt.Errorf("%w: the name of a team has 1 to %d printable characters", ErrInvalid, maxUserName)
	}
	a.forget()
	all, err := a.all(ctx)
	if err != nil {
		return err
	}
	for _, id := range members {
		if !slices.ContainsFunc(all, func(acc account) bool { return acc.ID == id }) {
			return fmt.Errorf("%w: there is no user %q", ErrInvalid, id)
		}
	}
	for _, acc := range all {
		is, shall := slices.Contains(acc.Teams, team), slices.Contains(members, acc.ID)
		if is == shall {
			continue
		}
		_, err := a.change(ctx, by, acc.ID, 0, "user.changed", func(x *account) error {
			teams := slices.DeleteFunc(slices.Clone(x.Teams), func(t string) bool { return t == team })
			if shall {
				teams = append(teams, team)
			}
			u := x.User
			u.Teams = teams
			u, err := u.normal()
			x.User = u
			return err
		})
		if err != nil && !errors.Is(err, ErrNotFound) { // deleted meanwhile: not a member any more
			return err
		}
	}
	return nil
}

// scopeOf is whose calls a user sees (design §11).
func (a *Accounts) scopeOf(ctx context.Context, u User) (Scope, error) {
	switch u.Role {
	case Admin, SuperAgent:
		return Scope{All: true}, nil
	case Supervisor:
		all, err := a.all(ctx)
		if err != nil {
			return Scope{}, err
		}
		targets := slices.Clone(u.Targets)
		for _, acc := range all {
			if slices.ContainsFunc(acc.Teams, func(t string) bool { return slices.Contains(u.Teams, t) }) {
				targets = append(targets, acc.Targets...)
			}
		}
		return Scope{Targets: tidy(targets), Rang: true}, nil
	case Agent:
		return Scope{Targets: tidy(u.Targets)}, nil
	}
	return Scope{Targets: []string{}}, nil
}

// teamScope is the calls of a team.
func (a *Accounts) teamScope(ctx context.Context, team string) (*Scope, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	s := &Scope{Targets: []string{}, Rang: true}
	for _, acc := range all {
		if slices.Contains(acc.Teams, team) {
			s.Targets = append(s.Targets, acc.Targets...)
		}
	}
	s.Targets = tidy(s.Targets)
	return s, nil
}

// targetNames are the names of the people at the telephones. A target of several people has all their names.
func (a *Accounts) targetNames(ctx context.Context) (map[string]string, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, acc := range all {
		for _, t := range acc.Targets {
			if names[t] != "" {
				names[t] += ", "
			}
			names[t] += acc.Name
		}
	}
	return names, nil
}
