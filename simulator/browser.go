package simulator

import "net/http"

// LiveCall is one row of the browser page's list of calls.
type LiveCall struct {
	ID string `json:"id"`
}

type browser struct{}

func (m *Meta) browserRoutes(mux *http.ServeMux) {}

func (m *Meta) servePage(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
