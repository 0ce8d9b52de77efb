package frontdesk

import (
	"context"
	"sync"
	"time"

	"deskbridge/graph"
)

// templates is what is known of the templates of each line: read from Meta, kept current by webhooks.
type templates struct {
	mu   sync.Mutex
	list map[string]lineTemplates // by line
}

type lineTemplates struct {
	at   time.Time
	list []graph.Template
	err  error
}

func (t *templates) init() { t.list = map[string]lineTemplates{} }

// templateAge is how long the list is good without a word from Meta.
const templateAge = time.Hour

// Templates are a line's templates as last read, and when. They are read again when they are old or want is set.
func (d *Desk) Templates(ctx context.Context, line string, want bool) ([]graph.Template, time.Time, error) {
	l, ok := d.line(line)
	if !ok {
		return nil, time.Time{}, errNoLine
	}
	d.templates.mu.Lock()
	known, ok := d.templates.list[line]
	d.templates.mu.Unlock()
	if ok && !want && d.now().Sub(known.at) < templateAge {
		return known.list, known.at, known.err
	}
	list, err := l.Number.Templates(ctx)
	next := lineTemplates{at: d.now(), list: list, err: err}
	if err != nil { // what is known is better than nothing
		next.list = known.list
	}
	d.templates.mu.Lock()
	d.templates.list[line] = next
	d.templates.mu.Unlock()
	return next.list, next.at, err
}

// forgetTemplates makes the next look ask Meta.
func (d *Desk) forgetTemplates() {
	d.templates.mu.Lock()
	defer d.templates.mu.Unlock()
	clear(d.templates.list)
}

// templateWait bounds what a message waits for the list.
const templateWait = 4 * time.Second

// pick is the template to send: the one wished for, or the line's own when one is needed, if Meta has approved it as one of
// this kind. nil: free text, or none can be sent.
func (d *Desk) pick(l *LineConfig, wished, own Template, kind graph.TemplateKind, need bool) *Template {
	t := wished
	if t.Name == "" {
		if !need {
			return nil
		}
		t = own
	}
	if t.Name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(d.ctx, templateWait)
	defer cancel()
	list, _, err := d.Templates(ctx, l.ID, false)
	if err != nil {
		d.log.Warn("the templates could not be read", "line", l.ID, "err", err)
	}
	for _, have := range list {
		if have.Name == t.Name && (t.Language == "" || graph.SameLanguage(have.Language, t.Language)) && have.Kind == kind && have.Approved() {
			t.Language = have.Language
			return &t
		}
	}
	d.log.Warn("a message needs a template that is not approved", "line", l.ID, "template", t.Name, "language", t.Language)
	return nil
}

func (t *Template) message() graph.TemplateMessage {
	m := graph.TemplateMessage{Name: t.Name, Language: t.Language}
	for _, p := range t.Parameters {
		m.Body = append(m.Body, graph.Parameter{Text: p})
	}
	return m
}
