package appliance

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is one option that differs between two settings documents. Old or New is empty when the option (or the line,
// trunk or phone it belongs to) is absent there. Secrets are never shown.
type Change struct {
	Path string `json:"path"` // such as lines[sales].inbound.ring
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// String writes the change for people.
func (c Change) String() string {
	switch {
	case c.Old == "":
		return fmt.Sprintf("+ %s: %s", c.Path, c.New)
	case c.New == "":
		return fmt.Sprintf("- %s: %s", c.Path, c.Old)
	}
	return fmt.Sprintf("~ %s: %s -> %s", c.Path, c.Old, c.New)
}

// Diff lists what differs, sorted by path. The order of lines, trunks and phones in the document means nothing.
func Diff(old, new *Settings) []Change {
	a, b := flatten(old), flatten(new)
	var changes []Change
	for path, o := range a {
		n, ok := b[path]
		switch {
		case !ok:
			changes = append(changes, Change{Path: path, Old: o.text})
		case o.compare != n.compare:
			c := Change{Path: path, Old: o.text, New: n.text}
			if o.text == n.text {
				c.New += " (changed)" // both are a secret that is set
			}
			changes = append(changes, c)
		}
	}
	for path, n := range b {
		if _, ok := a[path]; !ok {
			changes = append(changes, Change{Path: path, New: n.text})
		}
	}
	slices.SortFunc(changes, func(x, y Change) int { return strings.Compare(x.Path, y.Path) })
	return changes
}

type flatValue struct{ text, compare string }

// flatten maps each option that is set to its value. Empty options are absent, so that adding one shows as an addition.
func flatten(s *Settings) map[string]flatValue {
	flat := make(map[string]flatValue)
	if s == nil {
		return flat
	}
	walk(reflect.ValueOf(s).Elem(), "", "", func(n node) {
		text := show(n.value)
		if text == "" || text == "[]" {
			return
		}
		v := flatValue{text: text, compare: text}
		if secret, ok := n.value.Interface().(Secret); ok {
			v.compare = secret.ref + "\x00" + secret.value
		}
		flat[n.named] = v
	})
	return flat
}
