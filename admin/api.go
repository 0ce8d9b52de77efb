package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
)

const apiBase = "/api/v1"

// anyScope is for operations every API token may use.
const anyScope = "any"

// operation is what one operation of the API is and who may use it.
type operation struct {
	id, method, path, summary, tag string
	role                           Role   // least role; empty: everybody, signed in or not
	scope                          string // an API token needs it; empty: no token may
	status                         int    // of success, if it is not the usual
}

// addAPI mounts the API.
func (s *Server) addAPI(r *gin.Engine) {
	c := huma.DefaultConfig("deskbridge", "1")
	c.OpenAPIPath = apiBase + "/openapi"
	c.DocsPath, c.SchemasPath = "", ""
	c.CreateHooks = nil // no $schema links in answers
	c.RejectUnknownQueryParameters = true
	c.Info.Description = "The API of a deskbridge appliance. Times are RFC 3339 in UTC. Errors are problem details (RFC 9457) with a stable code. " +
		"Sign in with POST /api/v1/session (a cookie) or send an API token as Authorization: Bearer. With the cookie, every request that changes " +
		"something needs the header " + requestHeader + ". Lists end where next is absent; pass it as after for the next page. " +
		"x-role is the least role an operation needs, x-scope what an API token needs."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: cookieTLS, Description: "Over plain HTTP the name is " + cookiePlain + "."},
		"token":   {Type: "http", Scheme: "bearer"},
	}
	s.api = humagin.New(r, c)
	s.addSession()
	s.addUsers()
	s.addTokens()
	s.addAudit()
	s.addCalls()
	s.addExport()
	s.addLive()
	s.addSettings()
	s.addSystem()
	s.addRecordings()
	s.addDecision()
	s.addCustomers()
	s.addCallbacks()
	s.addAgents()
	s.addLines()
}

// add registers an operation. Its handler's errors become problems.
func add[I, O any](s *Server, o operation, handle func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: apiBase + o.path, Summary: o.summary, Tags: []string{o.tag}, DefaultStatus: o.status,
		MaxBodyBytes: bodyLimit(apiBase + o.path), BodyReadTimeout: readTimeout,
		Middlewares: huma.Middlewares{s.access(o)},
		Extensions:  map[string]any{"x-role": "public", "x-scope": o.scope},
	}
	if o.role != "" {
		op.Extensions["x-role"] = string(o.role)
		op.Security = []map[string][]string{{"session": {}}}
		if o.scope != "" {
			op.Security = append(op.Security, map[string][]string{"token": {}})
		}
	}
	if o.role != "" {
		op.Errors = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}
	}
	if strings.Contains(o.path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problemOf(ctx, err)
		}
		return out, nil
	})
}

// access lets in whom the operation is for.
func (s *Server) access(o operation) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		p := principalOf(ctx.Context())
		switch {
		case o.role == "":
		case p == nil:
			_ = huma.WriteErr(s.api, ctx, http.StatusUnauthorized, "Sign in first.")
			return
		case p.token != nil && o.scope == "":
			_ = huma.WriteErr(s.api, ctx, http.StatusForbidden, "API tokens cannot do this; sign in.")
			return
		case p.token != nil && o.scope != anyScope && !slices.Contains(p.token.Scopes, o.scope):
			_ = huma.WriteErr(s.api, ctx, http.StatusForbidden, "The token lacks the scope "+o.scope+".")
			return
		case !p.user.Role.Covers(o.role):
			_ = huma.WriteErr(s.api, ctx, http.StatusForbidden, "This needs the role "+string(o.role)+".")
			return
		}
		next(ctx)
	}
}

// OpenAPI is the description of the API, as openapi.json holds it.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().MarshalJSON() }

// scope is whose calls the asker sees.
func (s *Server) scope(ctx context.Context) (Scope, error) {
	return s.accounts.scopeOf(ctx, principalOf(ctx).user)
}

// nothing is the input of operations without one, and the output of those that answer 204.
type nothing struct{}

// body is an answer.
type body[T any] struct{ Body T }

func answerWith[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

// tagged is an answer with the version of what it shows.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func etag(version uint64) string { return strconv.Quote(strconv.FormatUint(version, 10)) }

// ifMatch reads the version a change is based on.
func ifMatch(header string) (uint64, error) {
	if header == "" {
		return 0, problem(http.StatusPreconditionRequired, "Send the ETag you read as If-Match, so that nobody's change is lost.")
	}
	text, err := strconv.Unquote(header)
	if err != nil {
		return 0, problem(http.StatusPreconditionFailed, "The If-Match is not an ETag of ours.")
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || etag(n) != header {
		return 0, problem(http.StatusPreconditionFailed, "The If-Match is not an ETag of ours.")
	}
	return n, nil
}

// seconds is a duration as the API shows it.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
