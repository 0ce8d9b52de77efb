package admin

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// built is the panel as Vite writes it (admin/ui, make ui). The files are committed, so building needs no Node.
//
//go:embed all:ui/dist
var built embed.FS

// noncePlace is where index.html wants the nonce of its inline styles.
const noncePlace = "__NONCE__"

// panelPages are the first segments of the panel's own addresses (ui/src/app/router.tsx): each loads by itself, as a link in a mail must.
var panelPages = []string{"sign-in", "setup", "calls", "live", "customers", "callbacks", "lines", "connections", "settings", "users", "teams", "tokens", "audit", "system", "profile"}

// assets is the panel in memory.
type assets struct {
	before, after []byte // of index.html, around the nonce
	files         map[string]asset
}

type asset struct {
	kind    string // Content-Type
	etag    string
	plain   []byte
	gzipped []byte // nil where it would not be smaller
	hashed  bool   // its name changes with its contents
}

// panel is read and compressed once, however many servers there are.
var panel = sync.OnceValues(func() (*assets, error) {
	root, err := fs.Sub(built, "ui/dist")
	if err != nil {
		return nil, fmt.Errorf("panel's files: %w", err)
	}
	return newAssets(root)
})

// newAssets reads and compresses the panel's files. It fails when there is no index.html with one place for the nonce.
func newAssets(root fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if name == "index.html" {
			var found bool
			if a.before, a.after, found = bytes.Cut(text, []byte(noncePlace)); !found || bytes.Contains(a.after, []byte(noncePlace)) {
				return fmt.Errorf("index.html needs the place %s once", noncePlace)
			}
			return nil
		}
		a.files["/"+name], err = newAsset(name, text)
		return err
	})
	if err == nil && a.before == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("panel's files: %w", err)
	}
	return a, nil
}

func newAsset(name string, text []byte) (asset, error) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // not what the machine's mime.types says: a script of another type does not run
	case ".js":
		kind = "text/javascript; charset=utf-8"
	case ".css":
		kind = "text/css; charset=utf-8"
	case ".svg":
		kind = "image/svg+xml"
	}
	sum := sha256.Sum256(text)
	f := asset{kind: kind, plain: text, hashed: strings.HasPrefix(name, "assets/"), etag: strconv.Quote(base64.RawURLEncoding.EncodeToString(sum[:12]))}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := z.Write(text); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	if b.Len() < len(text) {
		f.gzipped = b.Bytes()
	}
	return f, nil
}

// serve answers whatever no other route does: a file of the panel, or the panel itself, which knows its pages. A page nobody knows is
// told by the panel to people and as a problem to programs; both as 404.
func (a *assets) serve(c *gin.Context) {
	w, r := c.Writer, c.Request
	if r.Method != http.MethodGet && r.Method != http.MethodHead || strings.HasPrefix(r.URL.Path, "/api/") {
		refuse(w, problem(http.StatusNotFound, "There is no such page."))
		return
	}
	if f, ok := a.files[r.URL.Path]; ok {
		f.serve(w, r)
		return
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	known := r.URL.Path == "/" || slices.Contains(panelPages, first)
	switch {
	case known:
		a.index(w, r, http.StatusOK)
	case strings.Contains(r.Header.Get("Accept"), "text/html"):
		a.index(w, r, http.StatusNotFound)
	default:
		refuse(w, problem(http.StatusNotFound, "There is no such page."))
	}
}

// index is the panel's page with the nonce of this request's policy. It is never kept: with it, the names of all other files change.
func (a *assets) index(w http.ResponseWriter, r *http.Request, status int) {
	nonce, _ := r.Context().Value(nonceKey).(string)
	page := slices.Concat(a.before, []byte(nonce), a.after)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(page)
	}
}

func (f asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if f.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := f.plain
	if f.gzipped != nil && takesGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		text = f.gzipped
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text)
	}
}

// takesGzip reads an Accept-Encoding (RFC 9110 §12.5.3) as far as it is about gzip.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, given := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			return !given || strings.Trim(q, "0.") != ""
		}
	}
	return false
}
