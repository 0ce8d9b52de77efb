package appliance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ConfigError is one problem of a static file or a settings document: where it is, what it is, what to do about it.
type ConfigError struct {
	File    string
	Path    string // such as trunks[0].port; empty for the document as a whole
	Line    int    // 0 when the problem has no line, such as a missing key
	Problem string
	Fix     string
}

// Error gives "deskbridge.yaml:12: rtp.port_min: 99999 is not a port: use 1 to 65535".
func (e *ConfigError) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	} else if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Problem)
	if e.Fix != "" {
		b.WriteString(": " + e.Fix)
	}
	return b.String()
}

// ConfigErrors lists the problems inside an error of ParseConfig, ParseSettings or Validate, in order of their lines.
func ConfigErrors(err error) []*ConfigError {
	var list []*ConfigError
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) { //nolint:errorlint // this is the unwrapping
		case nil:
		case *ConfigError:
			list = append(list, e)
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	return list
}

// maxProblems bounds the report about one file: a megabyte of nonsense must not become a gigabyte of errors.
const maxProblems = 100

// problems collects what is wrong with one document.
type problems struct {
	file  string
	lines map[string]int // line of each path that stands in the document
	list  []*ConfigError
	more  int
}

func (p *problems) add(path, problem, fix string) { p.addAt(p.line(path), path, problem, fix) }

func (p *problems) addAt(line int, path, problem, fix string) {
	for _, e := range p.list {
		if e.Path == path && path != "" {
			return // one problem per value: the later ones are usually consequences of the first
		}
	}
	if len(p.list) >= maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, &ConfigError{File: p.file, Path: path, Line: line, Problem: problem, Fix: fix})
}

// line finds the line of a path, or of the nearest thing around it.
func (p *problems) line(path string) int {
	for path != "" {
		if n := p.lines[path]; n > 0 {
			return n
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
	return 0
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *ConfigError) int { return a.Line - b.Line })
	errs := make([]error, 0, len(p.list)+1)
	for _, e := range p.list {
		errs = append(errs, e)
	}
	if p.more > 0 {
		errs = append(errs, &ConfigError{File: p.file, Problem: fmt.Sprintf("%d more problems not shown", p.more)})
	}
	return errors.Join(errs...)
}
