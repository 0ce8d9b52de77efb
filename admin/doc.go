// Package admin is the listener for people and supervision on the management network. Today it answers the two probes,
// /healthz and /readyz; the API under /api/v1 and the panel will be further groups of the same router. It decides nothing
// about calls and reads nothing but what the interfaces given to it tell. The Server owns the one goroutine that serves
// and those net/http starts for its connections; Stop waits for them.
package admin
