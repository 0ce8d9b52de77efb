package appliance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// Export writes the settings as the document that ParseSettings reads. Secrets appear as their reference or as "(set)",
// which stands for "keep what you have": applying an export changes nothing. Options at their default are left out.
func (s *Settings) Export(w io.Writer) error {
	var b bytes.Buffer
	writeYAML(&b, reflect.ValueOf(s).Elem(), "")
	if b.Len() == 0 {
		b.WriteString("lines: []\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeYAML writes the fields of a struct at this indentation.
func writeYAML(b *bytes.Buffer, v reflect.Value, indent string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, field := f.Tag.Get("yaml"), v.Field(i)
		switch {
		case key == "":
		case isSection(f.Type):
			var section bytes.Buffer
			writeYAML(&section, field, indent+"  ")
			if section.Len() > 0 {
				fmt.Fprintf(b, "%s%s:\n%s", indent, key, section.Bytes())
			}
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			if field.Len() > 0 {
				fmt.Fprintf(b, "%s%s:\n", indent, key)
			}
			for j := range field.Len() {
				var item bytes.Buffer
				writeYAML(&item, field.Index(j), indent+"    ")
				// The first line of an item carries the dash in place of its indentation.
				fmt.Fprintf(b, "%s  - %s", indent, strings.TrimPrefix(item.String(), indent+"    "))
			}
		case !isDefault(f.Tag, field):
			fmt.Fprintf(b, "%s%s: %s\n", indent, key, yamlScalar(field))
		}
	}
}

func isDefault(tag reflect.StructTag, v reflect.Value) bool {
	def, ok := tag.Lookup("default")
	if !ok {
		return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
	}
	want := reflect.New(v.Type()).Elem()
	_, _ = setScalar(want, def)
	return v.Equal(want)
}

func yamlScalar(v reflect.Value) string {
	if v.Kind() == reflect.String || v.Type() == reflect.TypeFor[Secret]() {
		return quoteYAML(show(v))
	}
	return show(v)
}

func flowList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quoteYAML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var (
	plainYAML    = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9 ._/+:-]*[A-Za-z0-9/])?$`)
	reservedYAML = regexp.MustCompile(`^(?i:true|false|yes|no|on|off|null|y|n|nan|inf|.*: .*)$`)
)

// quoteYAML quotes whatever a YAML reader could take for something else than this string. Go's escapes are YAML's too.
func quoteYAML(s string) string {
	if plainYAML.MatchString(s) && !reservedYAML.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// frozen is how settings rest in the store. The store seals it as a whole: it holds secrets in clear.
type frozen struct {
	Version  int               `json:"version"`
	Document string            `json:"document"`
	Secrets  map[string]string `json:"secrets,omitempty"`
}

// Freeze gives the settings with their secrets as bytes that must be sealed before they reach a disk.
func (s *Settings) Freeze() ([]byte, error) {
	var doc bytes.Buffer
	if err := s.Export(&doc); err != nil {
		return nil, err
	}
	f := frozen{Version: 1, Document: doc.String(), Secrets: map[string]string{}}
	s.eachSecret(func(_, named string, secret *Secret) {
		if secret.value != "" {
			f.Secrets[named] = secret.value
		}
	})
	return json.Marshal(f)
}

// ThawSettings is the inverse of Freeze. Referenced secrets have the value they had; Resolve looks for newer ones.
func ThawSettings(data []byte) (*Settings, error) {
	var f frozen
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("read stored settings: %w", err)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("stored settings have version %d, this program knows 1: install the newer version again", f.Version)
	}
	s, err := ParseSettings(strings.NewReader(f.Document), "stored settings")
	if err != nil {
		return nil, err
	}
	s.eachSecret(func(_, named string, secret *Secret) {
		secret.kept = false
		secret.value = f.Secrets[named]
	})
	return s, nil
}

// Resolve follows the references to secrets. The error joins every problem; a secret that could not be read keeps the
// value it had.
func (s *Settings) Resolve() error {
	p := &problems{file: s.origin.file, lines: s.origin.lines}
	s.eachSecret(func(index, _ string, secret *Secret) {
		if err := secret.Resolve(); err != nil {
			p.add(index, err.Error(), "make it readable for the service user")
		}
	})
	return p.err()
}

// keep fills the secrets given as "(set)" from the settings in force.
func (s *Settings) keep(current *Settings) error {
	have := map[string]Secret{}
	if current != nil {
		current.eachSecret(func(_, named string, secret *Secret) { have[named] = *secret })
	}
	p := &problems{file: s.origin.file, lines: s.origin.lines}
	s.eachSecret(func(index, named string, secret *Secret) {
		if !secret.kept {
			return
		}
		old, ok := have[named]
		if !ok || old.IsZero() {
			p.add(index, "\"(set)\" keeps a secret that is stored, and none is", "write the value, file:/path or credential:NAME")
			return
		}
		*secret = old
	})
	return p.err()
}

// PrepareSettings does everything that can go wrong with a new document before it is put in force: parse, validate, keep
// the secrets given as "(set)", read the referenced ones, validate again. It changes nothing; current may be nil.
func PrepareSettings(r io.Reader, name string, current *Settings) (*Settings, error) {
	s, err := ParseSettings(r, name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.keep(current), s.Resolve()); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err // a password read from a file is too short
	}
	return s, nil
}
