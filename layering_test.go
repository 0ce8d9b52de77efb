// Package deskbridge holds only the test of the house's layout.
package deskbridge

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers is the import table: package → our packages its non-test code may import. A package that is not here must not
// exist.
var layers = map[string][]string{
	"media":          {},
	"policy":         {},
	"graph":          {},
	"bridge":         {"media", "policy"},
	"bridge/legtest": {"bridge", "media"},
	"sip":            {"bridge", "media"},
	"whatsapp":       {"bridge", "graph", "media", "policy"},
	"ivr":            {"bridge", "media", "policy"},
	"store":          {"bridge", "policy"},
	"recorder":       {"bridge", "media"},
	"admin":          {"bridge", "policy"},
	"frontdesk":      {"bridge", "graph", "ivr", "policy", "store"},
	"appliance":      {"admin", "bridge", "frontdesk", "graph", "ivr", "media", "policy", "recorder", "sip", "store", "whatsapp"},
	"simulator":      {"media"},
	"cmd/deskbridge": {"appliance", "bridge", "frontdesk", "graph", "media", "simulator"},
}

// owners names the outside modules that only some packages may use.
var owners = map[string][]string{
	"github.com/emiago/sipgo":         {"sip", "simulator"},
	"github.com/icholy/digest":        {"sip", "simulator"},
	"github.com/pion/webrtc/v4":       {"whatsapp", "simulator"},
	"github.com/pion/ice/v4":          {"whatsapp", "simulator"},
	"github.com/pion/dtls/v3":         {"whatsapp", "simulator"},
	"github.com/pion/srtp/v3":         {"sip", "whatsapp", "simulator", "recorder"},
	"filippo.io/age":                  {"recorder"},
	"github.com/minio/minio-go/v7":    {"recorder"},
	"github.com/dgraph-io/badger":     {"store"},
	"github.com/gin-gonic/gin":        {"admin"},
	"github.com/hraban/opus":          {"media", "simulator"},
	"github.com/nyaruka/phonenumbers": {"appliance"},
}

// TestImportsFollowTheTable parses the files itself: asking `go list` would let the test cache hide a violation.
func TestImportsFollowTheTable(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if strings.HasPrefix(dir, "tools") || strings.HasPrefix(dir, "e2e") {
			return nil
		}
		allowed, listed := layers[dir]
		if !listed {
			t.Errorf("%s: package %q is not in the import table", path, dir)
			return nil
		}
		seen[dir] = true
		checkImports(t, path, dir, allowed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range layers {
		if _, err := os.Stat(dir); err == nil && !seen[dir] {
			t.Errorf("package %q is in the table but has no code", dir)
		}
	}
}

func checkImports(t *testing.T, path, dir string, allowed []string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	for _, spec := range f.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if ours, ok := strings.CutPrefix(p, "deskbridge/"); ok {
			if !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s: %s may import only %v", path, p, dir, allowed)
			}
			continue
		}
		for module, by := range owners {
			if (p == module || strings.HasPrefix(p, module+"/")) && !slices.Contains(by, dir) {
				t.Errorf("%s imports %s: only %v may", path, p, by)
			}
		}
	}
}
