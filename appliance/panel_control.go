package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"deskbridge/admin"
)

// maxAccountRequest bounds what the command line sends about an account.
const maxAccountRequest = 16 << 10

// Role is what a user of the panel may do.
type Role = admin.Role

// AddUserRequest is a user to make over the control socket.
type AddUserRequest struct {
	Login    string   `json:"login"`
	Name     string   `json:"name,omitempty"`
	Role     Role     `json:"role"`
	Teams    []string `json:"teams,omitempty"`
	Targets  []string `json:"targets,omitempty"`
	Password string   `json:"password"`
}

type passwordRequest struct {
	Password string `json:"password"`
}

// AddTokenRequest is an API token to make over the control socket.
type AddTokenRequest struct {
	Login   string    `json:"login"`
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires,omitzero"`
}

type tokenAnswer struct {
	Secret string      `json:"secret"`
	Token  admin.Token `json:"token"`
}

// addAccounts serves what the command line does with users and tokens.
func (c *Control) addAccounts(mux *http.ServeMux) {
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		users, err := c.accounts.Users(r.Context())
		answerOr(w, users, err)
	})
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var in AddUserRequest
		if readRequest(w, r, &in) {
			u, err := c.accounts.Create(r.Context(), admin.ControlSocket, admin.NewUser{
				User: admin.User{Login: in.Login, Name: in.Name, Role: in.Role, Teams: in.Teams, Targets: in.Targets}, Password: in.Password})
			answerOr(w, u, err)
		}
	})
	mux.HandleFunc("PUT /users/{login}/password", func(w http.ResponseWriter, r *http.Request) {
		var in passwordRequest
		if readRequest(w, r, &in) {
			answerOr(w, struct{}{}, c.accounts.SetPasswordOf(r.Context(), admin.ControlSocket, r.PathValue("login"), in.Password))
		}
	})
	mux.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var in AddTokenRequest
		if readRequest(w, r, &in) {
			secret, t, err := c.accounts.CreateTokenOf(r.Context(), admin.ControlSocket, in.Login, in.Name, in.Scopes, in.Expires)
			answerOr(w, tokenAnswer{secret, t}, err)
		}
	})
}

func readRequest(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAccountRequest)).Decode(into); err != nil {
		answer(w, http.StatusBadRequest, controlError{Code: "bad_request", Message: err.Error()})
		return false
	}
	return true
}

func answerOr(w http.ResponseWriter, body any, err error) {
	switch {
	case err == nil:
		answer(w, http.StatusOK, body)
	case errors.Is(err, admin.ErrTaken):
		answer(w, http.StatusConflict, controlError{Code: "taken", Message: "there is a user with this login already"})
	default:
		answer(w, http.StatusUnprocessableEntity, controlError{Code: "refused", Message: err.Error()})
	}
}

// Users lists the users of the panel.
func (c *ControlClient) Users(ctx context.Context) ([]admin.User, error) {
	var list []admin.User
	err := c.get(ctx, "/users", &list)
	return list, err
}

// AddUser makes a user of the panel.
func (c *ControlClient) AddUser(ctx context.Context, in AddUserRequest) (admin.User, error) {
	var u admin.User
	err := c.send(ctx, http.MethodPost, "/users", in, &u)
	return u, err
}

// SetPassword sets a user's password and ends their sessions.
func (c *ControlClient) SetPassword(ctx context.Context, login, password string) error {
	return c.send(ctx, http.MethodPut, "/users/"+url.PathEscape(login)+"/password", passwordRequest{password}, &struct{}{})
}

// AddToken makes an API token and returns its secret.
func (c *ControlClient) AddToken(ctx context.Context, in AddTokenRequest) (secret string, t admin.Token, err error) {
	var a tokenAnswer
	err = c.send(ctx, http.MethodPost, "/tokens", in, &a)
	return a.Secret, a.Token, err
}

func (c *ControlClient) send(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	text, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(out)
}
