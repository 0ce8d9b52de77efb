package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"

	"deskbridge/admin"
)

// panelSettings are the settings in force as admin wants them.
type panelSettings struct{ k *keeper }

var _ admin.SettingsStore = panelSettings{}

// Settings implements admin.SettingsStore.
func (p panelSettings) Settings() (json.RawMessage, uint64, error) {
	s, version := p.k.versioned()
	doc, err := json.Marshal(plain(reflect.ValueOf(s).Elem()))
	if err != nil {
		return nil, 0, fmt.Errorf("export settings: %w", err)
	}
	return doc, version, nil
}

// Diff implements admin.SettingsStore.
func (p panelSettings) Diff(_ context.Context, document json.RawMessage) ([]admin.Change, error) {
	current := p.k.Settings()
	next, err := prepareJSON(document, current)
	if err != nil {
		return nil, err
	}
	return adminChanges(Diff(current, next)), nil
}

// Replace implements admin.SettingsStore.
func (p panelSettings) Replace(ctx context.Context, document json.RawMessage, version uint64) ([]admin.Change, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, controlApplyTimeout)
	defer cancel()
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return nil, 0, fmt.Errorf("%w: the settings are at version %d", admin.ErrConflict, k.version)
	}
	next, err := prepareJSON(document, k.settings)
	if err != nil {
		return nil, 0, err
	}
	changes := adminChanges(Diff(k.settings, next))
	if len(changes) == 0 {
		return nil, k.version, nil
	}
	if err := k.apply(ctx, next); err != nil {
		return nil, 0, panelError(settingsError(err))
	}
	return changes, k.version, nil
}

func (k *keeper) versioned() (*Settings, uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settings, k.version
}

func adminChanges(list []Change) []admin.Change {
	out := make([]admin.Change, 0, len(list))
	for _, c := range list {
		out = append(out, admin.Change{Path: c.Path, Old: c.Old, New: c.New})
	}
	return out
}

// prepareJSON checks a JSON document the way a YAML one is checked. References to files are for those who may write on
// the machine: over the network only the ones already in force may stay, or a guess at a path would be a question about
// the machine's files.
func prepareJSON(document json.RawMessage, current *Settings) (*Settings, error) {
	text, err := yamlOf(document)
	if err != nil {
		return nil, err
	}
	s, err := ParseSettings(bytes.NewReader(text), "settings")
	if err == nil {
		err = onlyKnownReferences(s, current)
	}
	if err == nil {
		s, err = PrepareSettings(bytes.NewReader(text), "settings", current)
	}
	if err != nil {
		return nil, settingsError(err)
	}
	return s, nil
}

func onlyKnownReferences(s, current *Settings) error {
	known := map[string]string{}
	if current != nil {
		current.eachSecret(func(_, named string, secret *Secret) { known[named] = secret.ref })
	}
	p := &problems{file: "settings"}
	s.eachSecret(func(index, named string, secret *Secret) {
		if secret.ref != "" && secret.ref != known[named] {
			p.add(index, "a reference to a file or credential cannot be made here", "write the secret itself, or use deskbridge settings apply on the machine")
		}
	})
	return p.err()
}

func settingsError(err error) error {
	list := ConfigErrors(err)
	if len(list) == 0 {
		return err
	}
	out := &admin.SettingsError{}
	for _, c := range list {
		out.Problems = append(out.Problems, admin.SettingsProblem{Path: c.Path, Problem: c.Problem, Fix: c.Fix})
	}
	return out
}

// plain is a part of the settings as values JSON knows: durations as text, secrets as what may be seen of them.
func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return short(x)
	case Secret:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			if key := v.Type().Field(i).Tag.Get("yaml"); key != "" {
				m[key] = plain(v.Field(i))
			}
		}
		return m
	case reflect.Slice:
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			list = append(list, plain(v.Index(i)))
		}
		return list
	}
	return v.Interface()
}

// yamlOf writes a JSON document as the YAML our reader takes: the same in flow style, with every text quoted the YAML
// way. JSON's null and empty text mean "not given".
func yamlOf(document json.RawMessage) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: not a JSON document: %w", admin.ErrInvalid, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one JSON document", admin.ErrInvalid)
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, fmt.Errorf("%w: the settings are a JSON object", admin.ErrInvalid)
	}
	var b bytes.Buffer
	writeFlow(&b, v)
	return b.Bytes(), nil
}

func writeFlow(b *bytes.Buffer, v any) {
	switch x := v.(type) {
	case map[string]any:
		b.WriteString("{")
		first := true
		for key, value := range x {
			if value == nil || value == "" {
				continue
			}
			if !first {
				b.WriteString(", ")
			}
			first = false
			b.WriteString(strconv.Quote(key) + ": ")
			writeFlow(b, value)
		}
		b.WriteString("}")
	case []any:
		b.WriteString("[")
		for i, value := range x {
			if i > 0 {
				b.WriteString(", ")
			}
			writeFlow(b, value)
		}
		b.WriteString("]")
	case string:
		b.WriteString(strconv.Quote(x))
	case json.Number:
		b.WriteString(strconv.Quote(x.String()))
	case nil:
		b.WriteString(`""`)
	default:
		fmt.Fprint(b, x)
	}
}
