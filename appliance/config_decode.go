package appliance

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	yaml "github.com/goccy/go-yaml"
)

// Limits of a document, checked before it is parsed.
const (
	maxDocument = 1 << 20 // bytes
	maxDepth    = 16      // collections inside each other; ours need four
	maxItems    = 10_000  // entries of one list
)

// source remembers where values came from, so that a problem found later can name its line.
type source struct {
	file  string
	lines map[string]int
}

// decodeYAML reads one YAML document into the struct dst points to. The decoder of go-yaml stops at the first problem, so
// we walk its syntax tree ourselves: every unknown key and every bad value is reported, and the good ones are set.
func decodeYAML(r io.Reader, dst any, p *problems) source {
	p.lines = make(map[string]int)
	src := source{file: p.file, lines: p.lines}
	text, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	switch {
	case err != nil:
		p.add("", err.Error(), "make the file readable for the service user")
		return src
	case len(text) > maxDocument:
		p.add("", "the document is larger than 1 MiB", "this is not a deskbridge document; check the file name")
		return src
	case !utf8.Valid(text):
		p.add("", "the document is not UTF-8 text", "save it as UTF-8")
		return src
	}
	body := parseYAML(string(text), p)
	if body == nil {
		return src
	}
	d := decoder{p: p}
	d.value(body, reflect.ValueOf(dst).Elem(), "")
	return src
}

// parseYAML returns the body of the single document in text, or nil when it is empty or cannot be parsed.
func parseYAML(text string, p *problems) (body ast.Node) {
	// The parser is not ours and a stranger's text must not end the process.
	defer func() {
		if r := recover(); r != nil {
			body = nil
			p.add("", "the text confuses the YAML parser", "simplify the document; quote strings with special characters")
		}
	}()
	tokens := lexer.Tokenize(text)
	if line := tooDeep(tokens); line > 0 {
		p.addAt(line, "", "collections are nested too deeply", fmt.Sprintf("use at most %d levels", maxDepth))
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		line, msg := 0, err.Error()
		if se, ok := errors.AsType[yaml.Error](err); ok {
			msg = se.GetMessage()
			if t := se.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
		}
		p.addAt(line, "", "not valid YAML: "+msg, "correct the syntax here or just above")
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentGroupType && doc.Body.Type() != ast.NullType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil
	case 1:
		return bodies[0]
	}
	p.addAt(bodies[1].GetToken().Position.Line, "", "there is a second YAML document", "keep one document per file and remove the --- line")
	return nil
}

// tooDeep returns the line on which nesting passes maxDepth, else 0. The parser recurses once per level and a Go stack
// that overflows cannot be recovered from.
func tooDeep(tokens token.Tokens) int {
	flow, entries, line := 0, 0, 0
	var columns []int // indentation of the block collections open here
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			entries++ // "- - - -" nests on a single line
		case token.CommentType:
			continue
		}
		for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
			columns = columns[:len(columns)-1]
		}
		if flow == 0 && (len(columns) == 0 || columns[len(columns)-1] < t.Position.Column) && entries <= 1 {
			columns = append(columns, t.Position.Column)
		}
		if flow > maxDepth || entries > maxDepth || len(columns) > 4*maxDepth {
			return t.Position.Line
		}
	}
	return 0
}

// decoder walks a syntax tree and a Go value together.
type decoder struct{ p *problems }

func (d decoder) value(n ast.Node, v reflect.Value, path string) {
	if t := n.GetToken(); t != nil && t.Position != nil && path != "" && d.p.lines[path] == 0 {
		d.p.lines[path] = t.Position.Line
	}
	switch n.Type() {
	case ast.NullType:
		return // "key:" with nothing behind it keeps the default
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		d.p.add(path, "YAML anchors, aliases and tags are not supported", "write the value out")
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[Secret](), v.Type() == reflect.TypeFor[time.Duration]():
		d.scalar(n, v, path)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

func (d decoder) mapping(n ast.Node, v reflect.Value, path string) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		d.p.add(path, "a group of keys is expected here, found "+describe(n), "indent the keys under this one")
		return
	}
	for _, kv := range pairs {
		if kv.Key.IsMergeKey() || kv.Key.Type() == ast.AnchorType || kv.Key.Type() == ast.AliasType || kv.Key.Type() == ast.TagType {
			d.p.addAt(kv.Key.GetToken().Position.Line, path, "YAML anchors, aliases and tags are not supported", "write the keys out")
			continue
		}
		key := kv.Key.GetToken().Value
		full := join(path, key)
		line := kv.Key.GetToken().Position.Line
		field, ok := fieldByKey(v, key)
		if !ok {
			d.p.addAt(line, full, "unknown key", nearest(key, keysOf(v)))
			continue
		}
		d.p.lines[full] = line
		d.value(kv.Value, field, full)
	}
}

func (d decoder) sequence(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.p.add(path, "a list is expected here, found "+describe(n), "write [a, b] or one line per item, each beginning with -")
		return
	}
	if len(s.Values) > maxItems {
		d.p.add(path, fmt.Sprintf("%d items", len(s.Values)), fmt.Sprintf("at most %d", maxItems))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if t := item.GetToken(); t != nil && t.Position != nil {
			d.p.lines[at] = t.Position.Line
		}
		if out.Index(i).Kind() == reflect.Struct {
			setDefaults(out.Index(i).Addr().Interface())
		}
		d.value(item, out.Index(i), at)
	}
	v.Set(out)
}

func (d decoder) scalar(n ast.Node, v reflect.Value, path string) {
	var text string
	switch s := n.(type) {
	case *ast.StringNode:
		text = s.Value
	case *ast.LiteralNode:
		text = s.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value // as written: an extension 0123 is not a number
	default:
		d.p.add(path, "a single value is expected here, found "+describe(n), "")
		return
	}
	if problem, fix := setScalar(v, text); problem != "" {
		d.p.add(path, problem, fix)
	}
}

// setScalar puts text into v, or says what is wrong with it. Defaults in struct tags go the same way.
func setScalar(v reflect.Value, text string) (problem, fix string) {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Sprintf("%q is not a duration", text), "write it with its unit, such as 25s or 10m"
		}
		v.SetInt(int64(d))
		return "", ""
	case Secret:
		s, err := ParseSecret(text)
		if err != nil {
			return err.Error(), "use the value itself, file:/path or credential:NAME"
		}
		v.Set(reflect.ValueOf(s))
		return "", ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Sprintf("%q is not a yes-or-no value", text), "use true or false"
		}
		v.SetBool(text == "true")
	case reflect.Int:
		i, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Sprintf("%q is not a whole number", text), "use digits only"
		}
		v.SetInt(int64(i))
	default:
		panic("appliance: option of unsupported type " + v.Type().String())
	}
	return "", ""
}

// setDefaults fills the struct dst points to from its default tags, sections included.
func setDefaults(dst any) {
	v := reflect.ValueOf(dst).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("yaml") == "" {
			continue
		}
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Secret]() {
			setDefaults(v.Field(i).Addr().Interface())
		} else if text, ok := f.Tag.Lookup("default"); ok {
			if problem, _ := setScalar(v.Field(i), text); problem != "" {
				panic("appliance: default of " + f.Name + ": " + problem)
			}
		}
	}
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(v reflect.Value) []string {
	var keys []string
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" {
			keys = append(keys, tag)
		}
	}
	return keys
}

// nearest proposes the key that was probably meant, or lists all there are.
func nearest(key string, keys []string) string {
	squash := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	for _, k := range keys {
		a, b := squash(k), squash(key)
		if a == b || len(b) > 2 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
			return "did you mean " + k + "?"
		}
	}
	sorted := slices.Sorted(slices.Values(keys))
	return "known here: " + strings.Join(sorted, ", ")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func describe(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a group of keys"
	case ast.SequenceType:
		return "a list"
	default:
		return "a single value"
	}
}
