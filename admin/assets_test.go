package admin

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPanelComesWithTheNonceOfItsPolicy(t *testing.T) {
	r := newRig(t).start()
	seen := map[string]bool{}
	for _, path := range []string{"/", "/calls", "/calls/abc?x=1", "/sign-in", "/users"} {
		a := r.do(http.MethodGet, path, "")
		m := regexp.MustCompile(`<style nonce="([^"]+)">`).FindStringSubmatch(a.body)
		if a.StatusCode != 200 || m == nil || a.Header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Fatalf("%s: %d %v\n%s", path, a.StatusCode, a.Header, a.body)
		}
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "style-src 'self' 'nonce-"+m[1]+"'") || strings.Contains(policy, "unsafe") || seen[m[1]] || strings.Contains(a.body, noncePlace) {
			t.Errorf("%s: nonce %s, policy %s", path, m[1], policy)
		}
		seen[m[1]] = true
		if scripts := regexp.MustCompile(`<script[^>]*>[^<]`).FindString(a.body); scripts != "" || strings.Contains(a.body, "style=") {
			t.Errorf("%s has something inline: %s", path, scripts)
		}
	}
}

func TestPanelsFilesAreKeptForEverAndItsPageIsNot(t *testing.T) {
	r := newRig(t).start()
	page := r.do(http.MethodGet, "/", "").body
	files := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(files) < 3 {
		t.Fatalf("the page names %d files:\n%s", len(files), page)
	}
	kinds := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for _, f := range files {
		a := r.do(http.MethodGet, f[1], "", header("Accept-Encoding", "gzip;q=0"))
		want := "public, max-age=31536000, immutable"
		if !strings.HasPrefix(f[1], "/assets/") {
			want = "no-cache"
		}
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != want || a.Header.Get("Content-Type") != kinds[f[1][strings.LastIndex(f[1], "."):]] || a.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", f[1], a.StatusCode, a.Header)
		}
		z := r.do(http.MethodGet, f[1], "", header("Accept-Encoding", "br, gzip"))
		if z.Header.Get("Content-Encoding") == "gzip" {
			zr, err := gzip.NewReader(strings.NewReader(z.body))
			r.must(err)
			text, err := io.ReadAll(zr)
			r.must(err)
			if string(text) != a.body || len(z.body) >= len(a.body) {
				t.Errorf("%s: compressed it is something else", f[1])
			}
		} else if len(a.body) > 1000 {
			t.Errorf("%s of %d bytes is not compressed", f[1], len(a.body))
		}
		r.want(r.do(http.MethodGet, f[1], "", header("If-None-Match", a.Header.Get("ETag"))), 304, "")
		if head := r.do(http.MethodHead, f[1], "", header("Accept-Encoding", "identity")); head.StatusCode != 200 || head.body != "" || head.ContentLength != int64(len(a.body)) {
			t.Errorf("HEAD %s: %d, length %d", f[1], head.StatusCode, head.ContentLength)
		}
	}
}

func TestPanelCarriesTheLicencesOfItsPackages(t *testing.T) {
	r := newRig(t).start()
	a := r.do(http.MethodGet, "/licenses.txt", "")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	for _, name := range []string{"react", "@mantine/core", "@tanstack/react-query", "@tanstack/react-router", "openapi-fetch", "yaml"} {
		if !strings.Contains(a.body, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestWhatThePanelIsNotIsNotThere(t *testing.T) {
	r := newRig(t).start()
	for _, path := range []string{"/index.html", "/assets/", "/assets/gone.js", "/.vite/manifest.json", "/callsx", "/../admin/assets.go", "/assets/%2e%2e/index.html"} {
		if a := r.do(http.MethodGet, path, ""); a.StatusCode != 404 || !strings.Contains(a.body, "not_found") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if a := r.do(http.MethodGet, "/nowhere", "", header("Accept", "text/html,*/*")); a.StatusCode != 404 || !strings.Contains(a.body, `id="root"`) {
		t.Errorf("a person at a wrong address sees %d %s", a.StatusCode, a.body)
	}
	for _, path := range []string{"/api/v1/nothing", "/api/"} {
		if a := r.do(http.MethodGet, path, "", header("Accept", "text/html")); a.StatusCode != 404 || !strings.Contains(a.body, "not_found") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if a := r.do(http.MethodPost, "/calls", ""); a.StatusCode != 404 && a.StatusCode != 405 {
		t.Errorf("POST to a page: %d", a.StatusCode)
	}
}

// The server knows the panel's addresses; the panel's router has the same.
func TestPanelsAddressesAreTheRoutersAddresses(t *testing.T) {
	source, err := os.ReadFile("ui/src/app/router.tsx")
	if err != nil {
		t.Fatal(err)
	}
	var router []string
	for _, m := range regexp.MustCompile(`path: '/([a-z-]+)`).FindAllStringSubmatch(string(source), -1) {
		if !slices.Contains(router, m[1]) {
			router = append(router, m[1])
		}
	}
	ours := slices.Sorted(slices.Values(panelPages))
	slices.Sort(router)
	if !slices.Equal(router, ours) {
		t.Errorf("the router has %v, the server %v", router, ours)
	}
}

func TestAPanelWithoutPlaceForTheNonceIsRefused(t *testing.T) {
	for name, root := range map[string]fstest.MapFS{
		"no page":    {"assets/x.js": {}},
		"no place":   {"index.html": {Data: []byte("<html>")}},
		"two places": {"index.html": {Data: []byte(noncePlace + noncePlace)}},
	} {
		if _, err := newAssets(root); err == nil || !strings.HasPrefix(err.Error(), "panel's files: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTakesGzip(t *testing.T) {
	for accept, want := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=1": true, "x-gzip": false} {
		if takesGzip(accept) != want {
			t.Errorf("%q: %v", accept, !want)
		}
	}
}
