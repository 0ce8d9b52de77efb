package frontdesk

import (
	"context"
	"slices"

	"deskbridge/graph"
)

// settingsNews is that somebody changed a line's settings at Meta, perhaps we. The webhook tells only parts of them (contract
// §9.3), so Meta is asked.
func (d *Desk) settingsNews(ctx context.Context, line string, _ *graph.Event) error {
	if line == "" {
		return nil
	}
	d.background("settings news", metaWait, func(ctx context.Context) {
		if _, err := d.SyncLine(ctx, line, false); err != nil {
			d.log.Warn("a line's settings at WhatsApp could not be read", "line", line, "err", err)
		}
	})
	return nil
}

// accountNews is a restriction, a warning of one, or a word about quality.
func (d *Desk) accountNews(ctx context.Context, line string, ev *graph.Event) error {
	if line == "" {
		d.log.Warn("WhatsApp has news about a number that is no line's", "kind", ev.Kind.String(), "event", ev.Name)
		return nil
	}
	at := d.at(ev)
	switch ev.Kind {
	case graph.KindQuality:
		_, err := d.store.SetLineQuality(ctx, line, ev.Name, at)
		if err == nil {
			d.log.Warn("WhatsApp changed a line's quality or limit", "line", line, "event", ev.Name, "limit", ev.Quality.Limit)
		}
		return err
	case graph.KindViolation:
		d.log.Error("WhatsApp warns about a line before it restricts it; see the runbook", "line", line, "violation", ev.News.Violation, "advice", ev.News.Remediation)
		_, err := d.store.SetLineQuality(ctx, line, ev.News.Violation, at)
		return err
	}
	// The webhook names only what is new; what was in force stays.
	old, err := d.store.LineState(ctx, line)
	if err != nil {
		return err
	}
	list := slices.Clone(ev.News.Restrictions)
	for _, r := range old.Restrictions {
		known := slices.ContainsFunc(list, func(n graph.Restriction) bool { return n.Type == r.Kind })
		if !known && (r.Until.IsZero() || d.now().Before(r.Until)) {
			list = append(list, graph.Restriction{Type: r.Kind, Expires: r.Until})
		}
	}
	return d.setRestrictions(ctx, line, list, at)
}
