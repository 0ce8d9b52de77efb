package appliance

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// ReferencePage is docs/config.md: every option of the static file and of the settings document, from the struct tags.
func ReferencePage() []byte {
	var b bytes.Buffer
	b.WriteString(`# Configuration reference

Generated from the program; do not edit. Regenerate with
` + "`go test ./appliance -run TestGeneratedFilesAreCurrent -update`" + `.

There are two documents. The **static file** (` + "`/etc/deskbridge/deskbridge.yaml`" + `) holds what the process needs before it
can open its store; it is read once and a change needs a restart. The **settings document** holds lines, trunks and
phones; it lives sealed in the store and is changed while calls run, with ` + "`deskbridge settings apply -f FILE`" + `.
In both, an unknown key is an error and all problems are reported at once.

Durations are written with their unit: ` + "`25s`, `10m`, `20ms`" + `.

## Static file

| option | default | meaning |
|---|---|---|
`)
	table(&b, reflect.TypeFor[Config](), "")
	b.WriteString(`
## Settings document

A secret is written as its value, as ` + "`file:/path`" + ` (one line, readable for the service user) or as
` + "`credential:NAME`" + ` (systemd ` + "`LoadCredential=`" + `). Secrets are never read from the environment. An export shows the reference or
` + "`(set)`" + `; applied again, ` + "`(set)`" + ` keeps the secret that is stored, so applying an export changes nothing.
`)
	for _, section := range []struct {
		key string
		typ reflect.Type
	}{{"lines", reflect.TypeFor[Line]()}, {"trunks", reflect.TypeFor[Trunk]()}, {"phones", reflect.TypeFor[Phone]()}} {
		f, _ := fieldTagged(reflect.TypeFor[Settings](), section.key)
		fmt.Fprintf(&b, "\n### %s\n\n%s A list; each entry has:\n\n| option | default | meaning |\n|---|---|---|\n", section.key, f.Tag.Get("doc"))
		table(&b, section.typ, "")
	}
	b.WriteString("\n### All lines together\n\n| option | default | meaning |\n|---|---|---|\n")
	table(&b, reflect.TypeFor[PolicySettings](), "policy")
	table(&b, reflect.TypeFor[RecordingSettings](), "recording")
	return b.Bytes()
}

func fieldTagged(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == key {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func table(b *bytes.Buffer, t reflect.Type, path string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		full := join(path, key)
		if isSection(f.Type) {
			table(b, f.Type, full)
			continue
		}
		def := f.Tag.Get("default")
		if def != "" {
			def = "`" + def + "`"
		}
		meaning := f.Tag.Get("doc")
		if one := f.Tag.Get("oneof"); one != "" {
			meaning += " One of `" + strings.Join(strings.Fields(one), "`, `") + "`."
		}
		if ex := f.Tag.Get("example"); ex != "" && def == "" {
			meaning += " Example: `" + strings.Trim(ex, `"`) + "`."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", full, def, strings.ReplaceAll(meaning, "|", `\|`))
	}
}

// exampleWidth is where comments in the example file are folded.
const exampleWidth = 100

// ExampleFile is packaging/deskbridge.yaml: the static file as it is installed, every option commented out at its default.
func ExampleFile() []byte {
	var b bytes.Buffer
	b.WriteString(`# deskbridge static configuration. Every option is shown at its default, or with an example when it has none.
# Check a change with "deskbridge check --config /etc/deskbridge/deskbridge.yaml", then restart the service.
# Lines, trunks and phones are not here: see "deskbridge settings".
`)
	example(&b, reflect.TypeFor[Config](), "")
	return b.Bytes()
}

func example(b *bytes.Buffer, t reflect.Type, indent string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		b.WriteByte('\n')
		doc := f.Tag.Get("doc")
		if one := f.Tag.Get("oneof"); one != "" {
			doc += " One of " + strings.Join(strings.Fields(one), ", ") + "."
		}
		for _, line := range fold(doc, exampleWidth-len(indent)) {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
		}
		if isSection(f.Type) {
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			example(b, f.Type, indent+"  ")
			continue
		}
		value := exampleValue(f)
		fmt.Fprintf(b, "%s#%s: %s\n", indent, key, value)
	}
}

func exampleValue(f reflect.StructField) string {
	if def, ok := f.Tag.Lookup("default"); ok {
		if f.Type.Kind() == reflect.String && f.Type != reflect.TypeFor[time.Duration]() {
			return quoteYAML(def)
		}
		return def
	}
	if ex := f.Tag.Get("example"); ex != "" {
		return ex
	}
	return `""`
}

// fold breaks text into lines of at most width characters.
func fold(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
