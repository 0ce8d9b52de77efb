package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deskbridge/admin"
	"deskbridge/frontdesk"
	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// LineDetails implements admin.LineDesk.
func (p panelDesk) LineDetails(ctx context.Context) ([]admin.LineDetail, error) {
	now := p.a.opt.Now()
	var list []admin.LineDetail
	for _, l := range p.a.plan.plant.Load().settings.Lines {
		st, err := p.a.store.LineState(ctx, l.ID)
		if err != nil {
			return nil, panelError(err)
		}
		d := admin.LineDetail{ID: l.ID, Name: l.Label(), Enabled: l.Enabled, Number: l.DisplayNumber, Quality: st.Quality,
			Restrictions: []admin.LineRestriction{}, Meta: lineAtMeta(p.a.desk.MetaState(l.ID))}
		hours := l.LineHours()
		if o := st.Override; o != nil && (o.Until.IsZero() || now.Before(o.Until)) {
			d.Override = &admin.LineOverride{Open: o.Open, Until: o.Until, By: o.By}
			hours.Once = &policy.HoursOnce{Open: o.Open, Until: o.Until}
			if o.Until.IsZero() {
				hours.Once.Until = now.AddDate(1, 0, 0)
			}
		}
		d.OpenNow = hours.Open(now)
		if at, ok := hours.NextChange(now); ok && (d.Override == nil || !d.Override.Until.IsZero()) {
			d.NextChange = at.UTC()
		}
		for _, r := range st.Restrictions {
			if r.Until.IsZero() || now.Before(r.Until) {
				d.Restrictions = append(d.Restrictions, admin.LineRestriction{Kind: r.Kind, Until: r.Until})
			}
		}
		list = append(list, d)
	}
	return list, nil
}

func lineAtMeta(st frontdesk.MetaState) admin.LineAtMeta {
	out := admin.LineAtMeta{At: st.At, Error: st.Error, HoursProblem: st.HoursProblem, Pushed: st.Pushed, Differences: []admin.LineDifference{}}
	for _, d := range st.Differences {
		out.Differences = append(out.Differences, admin.LineDifference(d))
	}
	return out
}

// there is ErrNotFound for a line that the settings do not have.
func (p panelDesk) there(line string) error {
	if _, ok := p.a.plan.plant.Load().line(line); !ok {
		return fmt.Errorf("line %q: %w", line, admin.ErrNotFound)
	}
	return nil
}

// ApplyLine implements admin.LineDesk.
func (p panelDesk) ApplyLine(ctx context.Context, line string) (admin.LineAtMeta, error) {
	if err := p.there(line); err != nil {
		return admin.LineAtMeta{}, err
	}
	st, err := p.a.LineAtMeta(ctx, line, true)
	return lineAtMeta(st), lineError(err)
}

// AdoptLine implements admin.LineDesk.
func (p panelDesk) AdoptLine(ctx context.Context, line string) ([]admin.Change, error) {
	if err := p.there(line); err != nil {
		return nil, err
	}
	p.a.control.applying.Lock()
	defer p.a.control.applying.Unlock()
	changes, err := p.a.AdoptFromMeta(ctx, line)
	if err != nil {
		if problems := settingsError(err); problems != err { //nolint:errorlint // the same value: not a problem of the settings
			return nil, problems
		}
		return nil, lineError(err)
	}
	return adminChanges(changes), nil
}

// lineError tells people what Meta said.
func lineError(err error) error {
	if e := graph.AsError(err); e != nil {
		return fmt.Errorf("%w: WhatsApp refused it: %s (%d)", admin.ErrUpstream, firstOf(e.UserMessage, e.Message), e.Code)
	}
	return deskError(err)
}

// OverrideLine implements admin.LineDesk.
func (p panelDesk) OverrideLine(ctx context.Context, line string, o *admin.LineOverride) error {
	if err := p.there(line); err != nil {
		return err
	}
	now := p.a.opt.Now()
	var over *store.HoursOverride
	if o != nil {
		over = &store.HoursOverride{Open: o.Open, Until: o.Until, By: o.By, At: now}
	}
	if _, err := p.a.store.SetLineOverride(ctx, line, over, now); err != nil {
		return panelError(err)
	}
	p.a.desk.Look()
	return nil
}

var templateKinds = map[graph.TemplateKind]string{graph.TemplatePermission: "permission", graph.TemplateCallButton: "button", graph.TemplateOther: "other"}

func templateView(t graph.Template) admin.Template {
	return admin.Template{Name: t.Name, Language: t.Language, Status: t.Status, Category: t.Category, Kind: templateKinds[t.Kind], Rejected: t.Rejected, Quality: t.Quality,
		Header: t.Header, Body: t.Body, Footer: t.Footer, Button: t.Button, Parameters: append([]string{}, t.BodyParameters...), TTLHours: t.ButtonTTL.Hours()}
}

// Templates implements admin.LineDesk. What was known before is shown when they cannot be read anew.
func (p panelDesk) Templates(ctx context.Context, line string) ([]admin.Template, error) {
	if err := p.there(line); err != nil {
		return nil, err
	}
	list, at, err := p.a.desk.Templates(ctx, line, false)
	if err != nil && at.IsZero() {
		return nil, lineError(err)
	}
	out := make([]admin.Template, 0, len(list))
	for _, t := range list {
		out = append(out, templateView(t))
	}
	return out, nil
}

// CreateTemplate implements admin.LineDesk.
func (p panelDesk) CreateTemplate(ctx context.Context, line string, t admin.Template, examples []string) (admin.Template, error) {
	if err := p.there(line); err != nil {
		return admin.Template{}, err
	}
	spec := graph.TemplateSpec{Name: t.Name, Language: t.Language, Category: t.Category, Kind: graph.TemplatePermission, Body: t.Body, BodyExamples: examples, Footer: t.Footer}
	if t.Kind == "button" {
		spec.Kind, spec.Button = graph.TemplateCallButton, t.Button
		spec.ButtonTTL = time.Duration(t.TTLHours * float64(time.Hour)).Round(time.Minute)
	}
	if err := spec.Validate(); err != nil {
		return admin.Template{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	made, err := p.a.desk.CreateTemplate(ctx, line, spec)
	if err != nil {
		return admin.Template{}, lineError(err)
	}
	out := templateView(made)
	if out.Body == "" { // Meta's answer has the name and the status only
		out.Kind, out.Body, out.Footer, out.Button = t.Kind, t.Body, t.Footer, t.Button
	}
	return out, nil
}

// DeleteTemplate implements admin.LineDesk.
func (p panelDesk) DeleteTemplate(ctx context.Context, line, name string) error {
	if err := p.there(line); err != nil {
		return err
	}
	err := p.a.DeleteTemplate(ctx, line, name)
	if errors.Is(err, graph.ErrContent) {
		return fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	if err != nil {
		return lineError(err)
	}
	_, _, err = p.a.desk.Templates(ctx, line, true)
	if err != nil {
		p.a.log.Warn("the templates could not be read again", "line", line, "err", err)
	}
	return nil
}
