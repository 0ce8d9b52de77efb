package frontdesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deskbridge/graph"
	"deskbridge/store"
)

// metaWait bounds one look at a line's settings, with the push.
const metaWait = 15 * time.Second

// syncLines brings the settings at Meta to what is wanted, of those lines whose turn it is.
func (d *Desk) syncLines(ctx context.Context) {
	for id, l := range *d.lines.Load() {
		if !l.Enabled || ctx.Err() != nil {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, metaWait)
		if err := d.syncDue(limit, l); err != nil && ctx.Err() == nil {
			d.log.Warn("a line's settings at WhatsApp could not be looked after; it is tried again", "line", id, "err", err)
		}
		cancel()
	}
}

func (d *Desk) syncDue(ctx context.Context, l *LineConfig) error {
	st, err := d.store.LineState(ctx, l.ID)
	if err != nil {
		return err
	}
	now := d.now()
	want := l.wanted(hours(l, st), now)
	if !d.meta.due(l.ID, want, now) {
		return nil
	}
	_, err = d.SyncLine(ctx, l.ID, false)
	d.meta.done(l.ID, want, now, err)
	return err
}

// SyncLine asks Meta for a line's settings and pushes what is wanted: what we changed ourselves, and with apply, or where the
// line says so, also what somebody else changed. It returns the state after it. Meta's own SIP is switched off only with those: it
// may be somebody's.
func (d *Desk) SyncLine(ctx context.Context, line string, apply bool) (MetaState, error) {
	l, ok := d.line(line)
	if !ok {
		return MetaState{}, fmt.Errorf("line %q: %w", line, errNoLine)
	}
	release, err := d.meta.take(ctx, line)
	if err != nil {
		return MetaState{}, err
	}
	defer release()
	st, err := d.sync(ctx, l, apply || l.Wanted.Enforce)
	if err != nil {
		st.Error = err.Error()
	}
	d.showMeta(line, st)
	return st, err
}

func (d *Desk) sync(ctx context.Context, l *LineConfig, all bool) (MetaState, error) {
	before := d.MetaState(l.ID)
	st, err := d.store.LineState(ctx, l.ID)
	if err != nil {
		return before, err
	}
	told, err := l.Number.Settings(ctx)
	if err != nil {
		return before, err
	}
	last := pushedOf(st)
	fields, problem := l.settings(told, hours(l, st), d.now())
	push := choose(fields, last, all)
	if len(push) > 0 {
		if err = d.push(ctx, l, push); err == nil {
			last.At = d.now()
			var again graph.Settings
			if again, err = l.Number.Settings(ctx); err == nil {
				told = again
				fields, problem = l.settings(told, hours(l, st), d.now())
			}
			for _, s := range push {
				last.Fields[s.Field] = s.mark
			}
		}
	}
	out := MetaState{At: d.now(), Actual: told, HoursProblem: problem, Pushed: last.At}
	for _, s := range fields {
		if s.same {
			last.Fields[s.Field] = s.mark
		} else {
			out.Differences = append(out.Differences, s.Difference)
		}
	}
	if keepErr := d.keepTold(ctx, l.ID, last, told); keepErr != nil {
		err = errors.Join(err, fmt.Errorf("keep the settings: %w", keepErr))
	}
	return out, errors.Join(err, d.settle(ctx, l.ID, told.Restrictions))
}

// choose is what is to be pushed: where we have changed our mind since it was last as wanted, or all that differs.
func choose(fields []setting, last pushed, all bool) []setting {
	var out []setting
	for _, s := range fields {
		ours := s.mark != "" && last.Fields[s.Field] != s.mark
		if !s.same && (ours || all) {
			out = append(out, s)
		}
	}
	return out
}

func (d *Desk) push(ctx context.Context, l *LineConfig, fields []setting) error {
	var c graph.SettingsChange
	var names []string
	for _, s := range fields {
		s.set(&c)
		names = append(names, s.Field)
	}
	err := l.Number.WriteSettings(ctx, c)
	if err != nil {
		d.metrics.pushes.WithLabelValues(l.ID, "failed").Inc()
		return fmt.Errorf("change %s: %w", strings.Join(names, ", "), err)
	}
	d.metrics.pushes.WithLabelValues(l.ID, "done").Inc()
	d.log.Info("a line's settings were changed at WhatsApp", "line", l.ID, "fields", strings.Join(names, ", "))
	return nil
}

func (d *Desk) keepTold(ctx context.Context, line string, last pushed, told graph.Settings) error {
	j, err := last.with(told.Raw)
	if err == nil {
		_, err = d.store.SetLineSettings(ctx, line, j, d.now())
	}
	if errors.Is(err, store.ErrInvalid) { // Meta's answer is too much to keep: our own part of it is not
		if j, err = last.with(nil); err == nil {
			_, err = d.store.SetLineSettings(ctx, line, j, d.now())
		}
	}
	return err
}

// showMeta keeps the state for people, and says once that Meta's settings are no longer as wanted.
func (d *Desk) showMeta(line string, st MetaState) {
	if _, ok := d.line(line); !ok {
		return // removed meanwhile
	}
	before := d.MetaState(line)
	d.meta.set(line, st)
	v := 0.0
	if len(st.Differences) > 0 {
		v = 1
	}
	d.metrics.drift.WithLabelValues(line).Set(v)
	if v > 0 && !slices.Equal(before.Differences, st.Differences) {
		var names []string
		for _, x := range st.Differences {
			names = append(names, x.Field)
		}
		d.log.Warn("a line's settings at WhatsApp are not as wanted; apply ours or adopt theirs", "line", line, "fields", strings.Join(names, ", "))
	}
}
