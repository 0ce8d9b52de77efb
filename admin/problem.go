package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is the body of every answer that is an error: problem details (RFC 9457) with a stable code.
type Problem struct { //nolint:errname // the word of RFC 9457, and the name of its schema in openapi.json
	Title  string          `json:"title" example:"Not Found"`
	Status int             `json:"status" example:"404"`
	Code   string          `json:"code" example:"not_found" doc:"Stable, for programs."`
	Detail string          `json:"detail" doc:"What happened and what to do, for people."`
	Errors []ProblemDetail `json:"errors,omitempty" doc:"What exactly is wrong with the request."`
	wait   int
}

// ProblemDetail is one thing that is wrong. What was sent is not repeated: it may be a password.
type ProblemDetail struct {
	Location string `json:"location,omitempty" example:"body.login"`
	Message  string `json:"message"`
	Fix      string `json:"fix,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(p.wait))
	}
	return h
}

// ContentType implements huma.ContentTypeFilter (RFC 9457 §3).
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var codes = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusUnauthorized: "not_signed_in", http.StatusForbidden: "forbidden",
	http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed", http.StatusNotAcceptable: "not_acceptable",
	http.StatusRequestTimeout: "timeout", http.StatusConflict: "conflict", http.StatusPreconditionFailed: "changed_meanwhile",
	http.StatusRequestEntityTooLarge: "too_large", http.StatusUnsupportedMediaType: "media_type", http.StatusUnprocessableEntity: "invalid",
	http.StatusPreconditionRequired: "if_match_needed", http.StatusTooManyRequests: "too_many", http.StatusInternalServerError: "internal",
	http.StatusServiceUnavailable: "unavailable", http.StatusGone: "gone", http.StatusBadGateway: "upstream",
}

func problem(status int, detail string) *Problem {
	code := codes[status]
	if code == "" {
		code = "error"
	}
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func (p *Problem) as(code string) *Problem {
	p.Code = code
	return p
}

// huma makes its own errors (validation, unknown parameters, broken JSON) by this variable: it is how the library is
// told to use another type, and nobody else in the process uses huma.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		p := problem(status, msg)
		for _, err := range errs {
			var d huma.ErrorDetailer
			switch {
			case err == nil:
			case errors.As(err, &d):
				p.Errors = append(p.Errors, ProblemDetail{Location: d.ErrorDetail().Location, Message: d.ErrorDetail().Message})
			default:
				p.Errors = append(p.Errors, ProblemDetail{Message: err.Error()})
			}
		}
		return p
	}
}

// problemOf is the one place where errors become answers. An error without a meaning here is logged and told to nobody.
func (s *Server) problemOf(ctx context.Context, err error) error {
	var locked *LockedError
	var settings *SettingsError
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.As(err, &locked):
		p := problem(http.StatusTooManyRequests, locked.Error()).as("locked")
		p.wait = int(locked.Wait.Seconds()) + 1
		return p
	case errors.As(err, &settings):
		p := problem(http.StatusUnprocessableEntity, settings.Error())
		for _, x := range settings.Problems {
			p.Errors = append(p.Errors, ProblemDetail{x.Path, x.Problem, x.Fix})
		}
		return p
	case errors.Is(err, ErrCodeNeeded):
		return problem(http.StatusUnauthorized, "The code of the second factor is needed.").as("code_needed")
	case errors.Is(err, ErrDenied):
		return problem(http.StatusUnauthorized, "Wrong login, password or code.").as("denied")
	case errors.Is(err, ErrNotFound):
		return problem(http.StatusNotFound, "There is no such thing.")
	case errors.Is(err, ErrConflict):
		return problem(http.StatusPreconditionFailed, "It changed meanwhile: read it again, then decide again.")
	case errors.Is(err, ErrTaken):
		return problem(http.StatusConflict, "There is one already.").as("taken")
	case errors.Is(err, ErrInvalid):
		return problem(http.StatusUnprocessableEntity, wrong(err))
	case errors.Is(err, ErrTooMany):
		p := problem(http.StatusTooManyRequests, err.Error())
		p.wait = 1
		return p
	case errors.Is(err, ErrGone):
		return problem(http.StatusGone, behind(err, ErrGone))
	case errors.Is(err, ErrUpstream):
		return problem(http.StatusBadGateway, behind(err, ErrUpstream))
	case errors.Is(err, ErrUnavailable):
		return problem(http.StatusServiceUnavailable, "The data disk does not take it now: look at the system page, free space.")
	case ctx.Err() != nil:
		return problem(http.StatusRequestTimeout, "The request ended before its answer.")
	}
	s.log.Error("admin request failed", "err", err)
	return problem(http.StatusInternalServerError, "Internal error, see the log.")
}

// wrong is what people need of an ErrInvalid.
func wrong(err error) string { return behind(err, ErrInvalid) }

// behind is the sentence behind the mark of an error.
func behind(err, mark error) string {
	text := err.Error()
	if i := strings.LastIndex(text, mark.Error()+": "); i >= 0 {
		text = text[i+len(mark.Error())+2:]
	}
	return text
}

// refuse writes a problem where huma is not in charge.
func refuse(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	for k, v := range p.GetHeaders() {
		h[k] = v
	}
	h.Set("Content-Type", p.ContentType(""))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}
