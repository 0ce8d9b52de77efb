package frontdesk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"deskbridge/graph"
)

// templates is what is known of the templates of each line: read from Meta, kept current by webhooks.
type templates struct {
	mu   sync.Mutex
	by   map[string]lineTemplates
	news int // counts what made the lists old: a list asked for before is not kept
}

type lineTemplates struct {
	list  []graph.Template
	at    time.Time // when Meta gave it
	tried time.Time // when Meta was asked last
	err   error     // what came of that
}

// templateAge is how long a list is good without a word from Meta, templateRetry how soon Meta is asked again after it failed.
const (
	templateAge   = time.Hour
	templateRetry = 30 * time.Second
)

// Templates are a line's templates as Meta last gave them, and when. They are read again when they are old, or afresh is set. The
// error says why that failed; what was known before is returned with it.
func (d *Desk) Templates(ctx context.Context, line string, afresh bool) ([]graph.Template, time.Time, error) {
	l, ok := d.line(line)
	if !ok {
		return nil, time.Time{}, fmt.Errorf("templates: line %q: %w", line, errNoLine)
	}
	t, now := &d.templates, d.now()
	t.mu.Lock()
	known, news := t.by[line], t.news
	t.mu.Unlock()
	young := func(at time.Time, age time.Duration) bool {
		return !at.IsZero() && now.Sub(at) < age && !now.Before(at)
	}
	if !afresh && (known.err == nil && young(known.at, templateAge) || known.err != nil && young(known.tried, templateRetry)) {
		return known.list, known.at, known.err
	}
	list, err := l.Number.Templates(ctx)
	known.tried, known.err = now, err
	if err == nil {
		known.list, known.at = list, now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.news == news {
		if t.by == nil {
			t.by = map[string]lineTemplates{}
		}
		t.by[line] = known
	}
	return known.list, known.at, err
}

// CreateTemplate hands a template to Meta for approval, which a webhook tells of.
func (d *Desk) CreateTemplate(ctx context.Context, line string, spec graph.TemplateSpec) (graph.Template, error) {
	l, ok := d.line(line)
	if !ok {
		return graph.Template{}, fmt.Errorf("create template: line %q: %w", line, errNoLine)
	}
	defer d.templates.forget()
	return l.Number.CreateTemplate(ctx, spec)
}

// forget makes the next look ask Meta: a template that may have lost its approval must not be sent.
func (t *templates) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.news++
	clear(t.by)
}

// keep forgets the lines that are gone.
func (t *templates) keep(lines map[string]*LineConfig) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.by {
		if lines[id] == nil {
			delete(t.by, id)
		}
	}
}

// templateWait bounds what a message waits for the list.
const templateWait = 4 * time.Second

// pick is the template to send: the one wished for, or the line's own when one is needed. nil: free text. ErrTemplate: Meta has not
// approved one of that name and kind, or it has other placeholders than the settings fill.
func (d *Desk) pick(ctx context.Context, l *LineConfig, wished, own Template, kind graph.TemplateKind, need bool) (*Template, error) {
	t := wished
	switch {
	case t.Name != "":
	case !need:
		return nil, nil
	case own.Name == "":
		return nil, fmt.Errorf("%w: line %q has none for this, set one in its messages", ErrTemplate, l.ID)
	default:
		t = own
	}
	ctx, cancel := context.WithTimeout(ctx, templateWait)
	defer cancel()
	list, _, err := d.Templates(ctx, l.ID, false)
	if err != nil {
		d.log.Warn("the templates could not be read", "line", l.ID, "err", err)
	}
	why := "WhatsApp has none of this name, language and kind"
	for _, have := range list {
		if have.Name != t.Name || have.Kind != kind || t.Language != "" && !graph.SameLanguage(have.Language, t.Language) {
			continue
		}
		switch {
		case !have.Approved():
			why = "it is " + have.Status
		case have.Named || len(have.HeaderParameters) > 0 || len(have.BodyParameters) != len(t.Parameters):
			why = fmt.Sprintf("its body has %d placeholders, its header %d, and the settings fill %d of the body's by number", len(have.BodyParameters), len(have.HeaderParameters), len(t.Parameters))
		default:
			t.Language, t.button = have.Language, have.ButtonIndex
			return &t, nil
		}
	}
	return nil, fmt.Errorf("%w: template %q in %q: %s", ErrTemplate, t.Name, t.Language, why)
}

func (t *Template) message() graph.TemplateMessage {
	return graph.TemplateMessage{Name: t.Name, Language: t.Language, Body: graph.Positional(t.Parameters...)}
}
