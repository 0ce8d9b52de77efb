package graph

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// golden reads a sample of the contract.
func golden(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", path+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// graphServer is a Graph that listens: it plays answers in turn, the last one for ever, and keeps what it was asked as
// "METHOD /path?query" and the body.
type graphServer struct {
	mu     sync.Mutex
	asked  []string
	bodies []string
}

func serve(t *testing.T, answers ...string) (*Client, *graphServer) {
	t.Helper()
	g := &graphServer{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.mu.Lock()
		n := min(len(g.asked), len(answers)-1)
		g.asked = append(g.asked, fmt.Sprintf("%s %s", r.Method, r.URL.RequestURI()))
		g.bodies = append(g.bodies, string(body))
		g.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answers[n])
	}))
	c := NewClient(ClientConfig{BaseURL: srv.URL, Token: NewSecret("EAAtoken")})
	t.Cleanup(func() {
		c.Close()
		srv.Close()
	})
	return c, g
}

// was checks the one request asked so far.
func (g *graphServer) was(t *testing.T, asked, body string) {
	t.Helper()
	if len(g.asked) != 1 || g.asked[0] != asked {
		t.Fatalf("asked %q, want %q", g.asked, asked)
	}
	if body != "" {
		sameJSON(t, g.bodies[0], body)
	}
}
