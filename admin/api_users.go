package admin

import (
	"context"
	"net/http"
	"net/url"
)

type userList struct {
	Users []User `json:"users" nullable:"false"`
}

// UserFields are what an admin sets of a user.
type UserFields struct {
	Login    string   `json:"login" maxLength:"64"`
	Name     string   `json:"name,omitempty" maxLength:"64"`
	Role     Role     `json:"role" enum:"agent,supervisor,super_agent,admin"`
	Teams    []string `json:"teams,omitempty" maxItems:"32"`
	Targets  []string `json:"targets,omitempty" maxItems:"32" example:"[\"phone:1001\"]"`
	Disabled bool     `json:"disabled,omitempty"`
	Language string   `json:"language,omitempty" enum:"id,en"`
	Theme    string   `json:"theme,omitempty" enum:"light,dark,auto"`
}

func (f UserFields) user() User {
	return User{Login: f.Login, Name: f.Name, Role: f.Role, Teams: f.Teams, Targets: f.Targets, Disabled: f.Disabled, Language: f.Language, Theme: f.Theme}
}

type newUserFields struct {
	UserFields
	Password string `json:"password" maxLength:"256"`
}

type createUser struct{ Body newUserFields }

type updateUser struct {
	ID      string `path:"id" maxLength:"64"`
	IfMatch string `header:"If-Match"`
	Body    UserFields
}

type setPassword struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Password string `json:"password" maxLength:"256"`
	}
}

func (s *Server) addUsers() {
	read := operation{tag: "users", role: Admin, scope: "users:read"}
	write := operation{tag: "users", role: Admin, scope: "users:write"}
	add(s, read.at("list-users", http.MethodGet, "/users", "All users"),
		func(ctx context.Context, _ *nothing) (*body[userList], error) {
			users, err := s.accounts.Users(ctx)
			return answerWith(userList{users}, err)
		})
	add(s, write.at("create-user", http.MethodPost, "/users", "Make a user").answering(http.StatusCreated),
		func(ctx context.Context, in *createUser) (*tagged[User], error) {
			return taggedUser(s.accounts.Create(ctx, actor(ctx), NewUser{in.Body.user(), in.Body.Password}))
		})
	add(s, read.at("get-user", http.MethodGet, "/users/{id}", "One user"),
		func(ctx context.Context, in *byID) (*tagged[User], error) {
			acc, err := s.accounts.get(ctx, in.ID)
			return taggedUser(acc.User, err)
		})
	add(s, write.at("update-user", http.MethodPut, "/users/{id}", "Change a user"),
		func(ctx context.Context, in *updateUser) (*tagged[User], error) {
			version, err := ifMatch(in.IfMatch)
			if err != nil {
				return nil, err
			}
			return taggedUser(s.accounts.Update(ctx, actor(ctx), in.ID, version, in.Body.user()))
		})
	add(s, write.at("delete-user", http.MethodDelete, "/users/{id}", "Delete a user, with sessions and tokens"),
		func(ctx context.Context, in *byID) (*nothing, error) {
			return nil, s.accounts.Delete(ctx, actor(ctx), in.ID)
		})
	add(s, write.at("set-password", http.MethodPut, "/users/{id}/password", "Set a user's password; their sessions end").answering(http.StatusNoContent),
		func(ctx context.Context, in *setPassword) (*nothing, error) {
			return nil, s.accounts.SetPassword(ctx, actor(ctx), in.ID, in.Body.Password)
		})
	add(s, write.at("reset-totp", http.MethodDelete, "/users/{id}/totp", "Switch a user's second factor off"),
		func(ctx context.Context, in *byID) (*nothing, error) {
			return nil, s.accounts.ResetFactor(ctx, actor(ctx), in.ID)
		})
	s.addTeams()
}

// at and answering complete an operation of a group.
func (o operation) at(id, method, path, summary string) operation {
	o.id, o.method, o.path, o.summary = id, method, path, summary
	return o
}

func (o operation) answering(status int) operation {
	o.status = status
	return o
}

func taggedUser(u User, err error) (*tagged[User], error) {
	if err != nil {
		return nil, err
	}
	return &tagged[User]{etag(u.Version), u}, nil
}

type teamList struct {
	Teams []Team `json:"teams" nullable:"false"`
}

type setTeam struct {
	Name string `path:"name" maxLength:"256"`
	Body struct {
		Members []string `json:"members" maxItems:"10000" doc:"IDs of users: exactly these become the members."`
	}
}

type byName struct {
	Name string `path:"name" maxLength:"256"`
}

// addTeams: a team is a name that users bear; it exists as long as it has members.
func (s *Server) addTeams() {
	add(s, operation{id: "list-teams", method: http.MethodGet, path: "/teams", summary: "Teams and their members; a supervisor's own", tag: "users", role: Supervisor, scope: "users:read"},
		func(ctx context.Context, _ *nothing) (*body[teamList], error) {
			teams, err := s.teamsOf(ctx, principalOf(ctx).user)
			return answerWith(teamList{teams}, err)
		})
	write := operation{tag: "users", role: Admin, scope: "users:write"}
	add(s, write.at("set-team", http.MethodPut, "/teams/{name}", "Set the members of a team").answering(http.StatusNoContent),
		func(ctx context.Context, in *setTeam) (*nothing, error) {
			return nil, s.accounts.SetTeam(ctx, actor(ctx), unescaped(in.Name), in.Body.Members)
		})
	add(s, write.at("delete-team", http.MethodDelete, "/teams/{name}", "Take a team from all its members"),
		func(ctx context.Context, in *byName) (*nothing, error) {
			return nil, s.accounts.SetTeam(ctx, actor(ctx), unescaped(in.Name), nil)
		})
}

// unescaped undoes what a router that was given an escaped path leaves.
func unescaped(name string) string {
	if u, err := url.PathUnescape(name); err == nil {
		return u
	}
	return name
}

func (s *Server) teamsOf(ctx context.Context, u User) ([]Team, error) {
	all, err := s.accounts.Teams(ctx)
	if err != nil || u.Role.Covers(SuperAgent) {
		return all, err
	}
	mine := []Team{}
	for _, t := range all {
		for _, name := range u.Teams {
			if t.Name == name {
				mine = append(mine, t)
			}
		}
	}
	return mine, nil
}
