package admin

import (
	"context"
	"net/http"
	"time"
)

type tokenList struct {
	Tokens []Token `json:"tokens" nullable:"false"`
}

type listTokens struct {
	All bool `query:"all" doc:"Everybody's; admins only."`
}

type createToken struct {
	Body struct {
		Name    string    `json:"name" maxLength:"64"`
		Scopes  []string  `json:"scopes" maxItems:"16" doc:"calls:read calls:write calls:export live:read live:write settings:read settings:write users:read users:write audit:read status:read"`
		Expires time.Time `json:"expires,omitzero" doc:"Absent: never."`
	}
}

type tokenMade struct {
	Secret string `json:"secret" doc:"For the Authorization header. Shown this once."`
	Token  Token  `json:"token"`
}

// addTokens: everybody makes tokens for themselves; a token does never more than its owner may.
func (s *Server) addTokens() {
	own := operation{tag: "tokens", role: Agent}
	add(s, own.at("list-tokens", http.MethodGet, "/tokens", "My API tokens"),
		func(ctx context.Context, in *listTokens) (*body[tokenList], error) {
			u := principalOf(ctx).user
			owner := u.ID
			if in.All {
				if u.Role != Admin {
					return nil, problem(http.StatusForbidden, "Only admins see everybody's tokens.")
				}
				owner = ""
			}
			list, err := s.accounts.Tokens(ctx, owner)
			return answerWith(tokenList{list}, err)
		})
	add(s, own.at("create-token", http.MethodPost, "/tokens", "Make an API token").answering(http.StatusCreated),
		func(ctx context.Context, in *createToken) (*body[tokenMade], error) {
			secret, t, err := s.accounts.CreateToken(ctx, actor(ctx), principalOf(ctx).user.ID, in.Body.Name, in.Body.Scopes, in.Body.Expires)
			return answerWith(tokenMade{secret, t}, err)
		})
	add(s, own.at("delete-token", http.MethodDelete, "/tokens/{id}", "Delete an API token: mine, or as an admin anybody's"),
		func(ctx context.Context, in *byID) (*nothing, error) {
			u := principalOf(ctx).user
			owner := u.ID
			if u.Role == Admin {
				owner = ""
			}
			return nil, s.accounts.DropToken(ctx, actor(ctx), owner, in.ID)
		})
}
