package frontdesk

import (
	"context"

	"deskbridge/graph"
)

// accountNews is a restriction, a warning of one, or a word about quality.
func (d *Desk) accountNews(ctx context.Context, line string, ev *graph.Event) error {
	if _, ok := d.line(line); !ok {
		d.log.Warn("WhatsApp has news about a number that is no line's", "kind", ev.Kind.String(), "event", ev.Name)
		return nil
	}
	at := d.at(ev)
	switch ev.Kind {
	case graph.KindQuality:
		if _, err := d.store.SetLineQuality(ctx, line, ev.Name, at); err != nil {
			return err
		}
		d.log.Warn("WhatsApp changed a line's quality or limit", "line", line, "event", ev.Name, "limit", ev.Quality.Limit)
	case graph.KindViolation:
		if _, err := d.store.SetLineQuality(ctx, line, ev.News.Violation, at); err != nil {
			return err
		}
		d.log.Error("WhatsApp warns about a line before it restricts it; see the runbook", "line", line, "violation", ev.News.Violation, "advice", ev.News.Remediation)
	default:
		if err := d.restrict(ctx, line, ev.News.Restrictions, at); err != nil {
			return err
		}
		d.Look()
	}
	d.metrics.warnings.WithLabelValues(line, ev.Kind.String()).Inc()
	return nil
}

// settingsNews is that somebody changed a line's settings at Meta, perhaps we. The webhook tells only parts of them (contract
// §9.3), and several come of one change, so Meta is asked soon, once.
func (d *Desk) settingsNews(line string) {
	if _, ok := d.line(line); ok {
		d.meta.soon(line)
		d.Look()
	}
}

// templateNews is a template's new status.
func (d *Desk) templateNews(ev *graph.Event) {
	d.templates.forget()
	t := ev.Template
	log := d.log.Info
	if t.Reason != "" {
		log = d.log.Warn
	}
	log("a template's status changed at WhatsApp", "template", t.Name, "language", t.Language, "status", ev.Name, "reason", t.Reason)
}
