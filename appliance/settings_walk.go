package appliance

import (
	"fmt"
	"reflect"
	"time"
)

// node is one option of the settings as walk meets it.
type node struct {
	index string // where it stands in the document: lines[0].app_secret
	named string // what it belongs to, whatever the order: lines[sales].app_secret
	tag   reflect.StructTag
	value reflect.Value
}

// walk visits every option below v, a struct or a list of structs, in the order of the document.
func walk(v reflect.Value, index, named string, visit func(node)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		n := node{join(index, key), join(named, key), f.Tag, v.Field(i)}
		switch {
		case isSection(f.Type):
			walk(n.value, n.index, n.named, visit)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			for j := range n.value.Len() {
				item := n.value.Index(j)
				walk(item, fmt.Sprintf("%s[%d]", n.index, j), fmt.Sprintf("%s[%s]", n.named, identity(item)), visit)
			}
		default:
			visit(n)
		}
	}
}

func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

// identity is what names a list entry: its first option.
func identity(item reflect.Value) string { return item.Field(0).String() }

// eachSecret visits every secret of the settings, to read or to replace it.
func (s *Settings) eachSecret(visit func(index, named string, secret *Secret)) {
	walk(reflect.ValueOf(s).Elem(), "", "", func(n node) {
		if secret, ok := n.value.Addr().Interface().(*Secret); ok {
			visit(n.index, n.named, secret)
		}
	})
}

// complete gives every word that was left out its default, as a document would: settings that a program made are then the same
// as their export read back.
func (s *Settings) complete() {
	walk(reflect.ValueOf(s).Elem(), "", "", func(n node) {
		if word := n.tag.Get("default"); word != "" && n.value.Kind() == reflect.String && n.value.String() == "" {
			n.value.SetString(word)
		}
	})
}

// show writes a value the way an export and a diff show it.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return short(x)
	case Secret:
		return x.String()
	case []string:
		return flowList(x)
	}
	return fmt.Sprint(v.Interface())
}
