package appliance

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the generated files")

func TestGeneratedFilesAreCurrent(t *testing.T) {
	for path, want := range map[string][]byte{"../docs/config.md": ReferencePage(), "../packaging/deskbridge.yaml": ExampleFile()} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale; run go test ./appliance -run %s -update\n%s", path, t.Name(), cmp.Diff(string(got), string(want)))
		}
	}
}

func TestEveryOptionIsDocumented(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.IsExported() && (f.Tag.Get("yaml") == "" || f.Tag.Get("doc") == "") {
				t.Errorf("%s.%s lacks a yaml or doc tag", typ.Name(), f.Name)
			}
			if isSection(f.Type) && f.IsExported() {
				visit(f.Type)
			}
			if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
				visit(f.Type.Elem())
			}
		}
	}
	visit(reflect.TypeFor[Config]())
	visit(reflect.TypeFor[Settings]())
}

func TestInstalledFileIsTheDefaults(t *testing.T) {
	c, err := ParseConfig(bytes.NewReader(ExampleFile()), "deskbridge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	c.origin, want.origin = source{}, source{}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v\n%+v", c, want)
	}
}

var commentedOption = regexp.MustCompile(`(?m)^( *)#([a-z_]+: .*)$`)

func TestEveryExampleInTheInstalledFileIsValid(t *testing.T) {
	text := commentedOption.ReplaceAllString(string(ExampleFile()), "$1$2")
	if _, err := ParseConfig(strings.NewReader(text), "deskbridge.yaml"); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
