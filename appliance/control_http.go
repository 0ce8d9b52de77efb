package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
)

// controlError is the body of every answer that is not 2xx.
type controlError struct {
	Code     string           `json:"code"`
	Message  string           `json:"message"`
	Problems []controlProblem `json:"problems,omitempty"`
}

type controlProblem struct {
	File    string `json:"file,omitempty"`
	Path    string `json:"path,omitempty"`
	Line    int    `json:"line,omitempty"`
	Problem string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
}

type changesAnswer struct {
	Changes []Change `json:"changes"`
}

func (c *Control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settings", c.exportSettings)
	mux.HandleFunc("PUT /settings", func(w http.ResponseWriter, r *http.Request) { c.changeSettings(w, r, true) })
	mux.HandleFunc("POST /settings/diff", func(w http.ResponseWriter, r *http.Request) { c.changeSettings(w, r, false) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.reporter.Status()) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.reporter.Calls()) })
	c.officeRoutes(mux)
	c.addAccounts(mux)
	c.addRecordings(mux)
	return c.fence(mux)
}

// fence keeps a bug in one request from being more than that.
func (c *Control) fence(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if bug := recover(); bug != nil {
				c.log.Error("control request panicked; please report this", "path", r.URL.Path, "panic", bug, "stack", string(debug.Stack()))
				answer(w, http.StatusInternalServerError, controlError{Code: "internal", Message: "internal error, see the log"})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func (c *Control) exportSettings(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := c.keeper.Settings().Export(&b); err != nil {
		answer(w, http.StatusInternalServerError, controlError{Code: "internal", Message: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(b.Bytes())
}

// changeSettings answers with what the document changes, and puts it in force when apply is set.
func (c *Control) changeSettings(w http.ResponseWriter, r *http.Request, apply bool) {
	c.applying.Lock()
	defer c.applying.Unlock()
	current := c.keeper.Settings()
	next, err := PrepareSettings(http.MaxBytesReader(w, r.Body, maxDocument+1), r.URL.Query().Get("name"), current)
	if err != nil {
		answer(w, http.StatusUnprocessableEntity, problemsOf(err))
		return
	}
	changes := Diff(current, next)
	if apply && len(changes) > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), controlApplyTimeout)
		defer cancel()
		if err := c.keeper.Apply(ctx, next); err != nil {
			answer(w, http.StatusConflict, problemsOf(err))
			return
		}
		c.log.Info("settings applied", "changes", len(changes))
	}
	answer(w, http.StatusOK, changesAnswer{Changes: changes})
}

func problemsOf(err error) controlError {
	e := controlError{Code: "refused", Message: err.Error()}
	for _, p := range ConfigErrors(err) {
		e.Code, e.Message = "invalid", "the document has problems"
		e.Problems = append(e.Problems, controlProblem{p.File, p.Path, p.Line, p.Problem, p.Fix})
	}
	return e
}

func (e controlError) err() error {
	if len(e.Problems) == 0 {
		return errors.New(e.Message)
	}
	var list []error
	for _, p := range e.Problems {
		list = append(list, &ConfigError{File: p.File, Path: p.Path, Line: p.Line, Problem: p.Problem, Fix: p.Fix})
	}
	return errors.Join(list...)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
