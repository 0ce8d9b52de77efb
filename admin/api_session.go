package admin

import (
	"context"
	"net/http"
)

type setupState struct {
	Needed bool `json:"needed" doc:"There is no account yet: make the first admin with the code from the log."`
}

type setupRequest struct {
	Body struct {
		Code     string `json:"code" maxLength:"64" doc:"The one-time code from the log."`
		Login    string `json:"login" maxLength:"64"`
		Name     string `json:"name,omitempty" maxLength:"64"`
		Password string `json:"password" maxLength:"256"`
		Language string `json:"language,omitempty" enum:"id,en"`
	}
}

type signInRequest struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Login    string `json:"login" maxLength:"64"`
		Password string `json:"password" maxLength:"256"`
		Code     string `json:"code,omitempty" maxLength:"64" doc:"Of the second factor, or a recovery code; when the answer was code_needed."`
	}
}

// me is who is signed in and what they may.
type me struct {
	User    User   `json:"user"`
	Scope   string `json:"scope" enum:"own,team,all" doc:"Whose calls they see."`
	Session string `json:"session,omitempty"`
}

type signedIn struct {
	SetCookie string `header:"Set-Cookie"`
	Body      me
}

type signedOut struct {
	SetCookie string `header:"Set-Cookie"`
}

func meOf(u User, session string) me {
	scope := map[Role]string{Agent: "own", Supervisor: "team", SuperAgent: "all", Admin: "all"}[u.Role]
	return me{User: u, Scope: scope, Session: session}
}

func (s *Server) addSession() {
	add(s, operation{id: "setup-state", method: http.MethodGet, path: "/setup", summary: "Is there an account yet?", tag: "session"},
		func(ctx context.Context, _ *nothing) (*body[setupState], error) {
			needed, err := s.accounts.SetupNeeded(ctx, s.announce)
			return answerWith(setupState{needed}, err)
		})
	add(s, operation{id: "setup", method: http.MethodPost, path: "/setup", summary: "Make the first admin", tag: "session"}, s.setup)
	add(s, operation{id: "sign-in", method: http.MethodPost, path: "/session", summary: "Sign in", tag: "session", status: http.StatusOK}, s.signIn)
	add(s, operation{id: "me", method: http.MethodGet, path: "/session", summary: "Who is signed in", tag: "session", role: Agent, scope: anyScope},
		func(ctx context.Context, _ *nothing) (*body[me], error) {
			p := principalOf(ctx)
			return answerWith(meOf(p.user, p.session), nil)
		})
	add(s, operation{id: "sign-out", method: http.MethodDelete, path: "/session", summary: "Sign out", tag: "session", role: Agent},
		func(ctx context.Context, _ *nothing) (*signedOut, error) {
			p := principalOf(ctx)
			err := s.accounts.EndSession(ctx, actor(ctx), p.user.ID, p.session)
			return &signedOut{sessionCookie(clientOf(ctx), "")}, err
		})
	s.addOwnSessions()
	s.addMe()
}

func (s *Server) setup(ctx context.Context, in *setupRequest) (*body[User], error) {
	b := in.Body
	u, err := s.accounts.Setup(ctx, b.Code, NewUser{User{Login: b.Login, Name: b.Name, Language: b.Language}, b.Password}, clientOf(ctx).address)
	return answerWith(u, err)
}

func (s *Server) signIn(ctx context.Context, in *signInRequest) (*signedIn, error) {
	c := clientOf(ctx)
	old := ""
	if p := principalOf(ctx); p != nil {
		old = p.secret
	}
	secret, u, err := s.accounts.SignIn(ctx, SignIn{Login: in.Body.Login, Password: in.Body.Password, Code: in.Body.Code,
		Address: c.address, Browser: in.UserAgent, Replaces: old})
	if err != nil {
		return nil, err
	}
	return &signedIn{sessionCookie(c, secret), meOf(u, "")}, nil
}

type sessionList struct {
	Sessions []Session `json:"sessions" nullable:"false"`
}

type byID struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Server) addOwnSessions() {
	add(s, operation{id: "list-sessions", method: http.MethodGet, path: "/sessions", summary: "Where I am signed in", tag: "session", role: Agent},
		func(ctx context.Context, _ *nothing) (*body[sessionList], error) {
			p := principalOf(ctx)
			list, err := s.accounts.Sessions(ctx, p.user.ID, p.session)
			return answerWith(sessionList{list}, err)
		})
	add(s, operation{id: "end-session", method: http.MethodDelete, path: "/sessions/{id}", summary: "End one of my sessions", tag: "session", role: Agent},
		func(ctx context.Context, in *byID) (*nothing, error) {
			return nil, s.accounts.EndSession(ctx, actor(ctx), principalOf(ctx).user.ID, in.ID)
		})
	add(s, operation{id: "end-other-sessions", method: http.MethodDelete, path: "/sessions", summary: "End all my sessions but this one", tag: "session", role: Agent},
		func(ctx context.Context, _ *nothing) (*nothing, error) {
			p := principalOf(ctx)
			return nil, s.accounts.EndSessions(ctx, actor(ctx), p.user.ID, p.session)
		})
}

type preferences struct {
	Body struct {
		Language string `json:"language,omitempty" enum:"id,en"`
		Theme    string `json:"theme,omitempty" enum:"light,dark,auto"`
	}
}

type passwordChange struct {
	UserAgent string `header:"User-Agent"`
	Body      struct {
		Old string `json:"old" maxLength:"256"`
		New string `json:"new" maxLength:"256"`
	}
}

type passwordAgain struct {
	Body struct {
		Password string `json:"password" maxLength:"256"`
	}
}

type factorCode struct {
	Body struct {
		Code string `json:"code" maxLength:"16"`
	}
}

type recoveryList struct {
	Recovery []string `json:"recovery" nullable:"false" doc:"Each is good once, instead of a code. Shown this once."`
}

func (s *Server) addMe() {
	add(s, operation{id: "prefer", method: http.MethodPatch, path: "/me", summary: "Change my language and theme", tag: "me", role: Agent},
		func(ctx context.Context, in *preferences) (*body[User], error) {
			u, err := s.accounts.Prefer(ctx, actor(ctx), in.Body.Language, in.Body.Theme)
			return answerWith(u, err)
		})
	add(s, operation{id: "change-password", method: http.MethodPut, path: "/me/password", summary: "Change my password; all my sessions end and a new one begins", tag: "me", role: Agent, status: http.StatusNoContent},
		func(ctx context.Context, in *passwordChange) (*signedOut, error) {
			secret, err := s.accounts.ChangePassword(ctx, actor(ctx), in.Body.Old, in.Body.New, in.UserAgent)
			if err != nil {
				return nil, err
			}
			return &signedOut{sessionCookie(clientOf(ctx), secret)}, nil
		})
	add(s, operation{id: "enrol-totp", method: http.MethodPost, path: "/me/totp", summary: "Begin with a second factor", tag: "me", role: Agent, status: http.StatusOK},
		func(ctx context.Context, in *passwordAgain) (*body[enrolment], error) {
			e, err := s.accounts.EnrolFactor(ctx, actor(ctx), in.Body.Password)
			return answerWith(e, err)
		})
	add(s, operation{id: "confirm-totp", method: http.MethodPost, path: "/me/totp/confirm", summary: "Put the second factor in use", tag: "me", role: Agent, status: http.StatusOK},
		func(ctx context.Context, in *factorCode) (*body[recoveryList], error) {
			codes, err := s.accounts.ConfirmFactor(ctx, actor(ctx), in.Body.Code)
			return answerWith(recoveryList{codes}, err)
		})
	add(s, operation{id: "disable-totp", method: http.MethodPost, path: "/me/totp/disable", summary: "Switch my second factor off", tag: "me", role: Agent, status: http.StatusNoContent},
		func(ctx context.Context, in *passwordAgain) (*nothing, error) {
			return nil, s.accounts.DropFactor(ctx, actor(ctx), in.Body.Password)
		})
}
