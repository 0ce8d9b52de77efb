package frontdesk

import (
	"context"
	"slices"
	"strings"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// restrictionKinds are Meta's names (contract §9.2, §14).
var restrictionKinds = map[string]policy.RestrictionKind{
	graph.RestrictedOutbound:     policy.RestrictedOutbound,
	graph.RestrictedInbound:      policy.RestrictedInbound,
	graph.RestrictedButtonHidden: policy.RestrictedButton,
}

// restrictions are what Meta forbids the line, as a decision sees it. Those that have ended do no harm there.
func restrictions(st store.LineState) []policy.Restriction {
	var out []policy.Restriction
	for _, r := range st.Restrictions {
		if k, ok := restrictionKinds[r.Kind]; ok {
			out = append(out, policy.Restriction{Kind: k, Until: r.Until})
		}
	}
	return out
}

// liftAfter is how long a restriction that a webhook told of stands against settings that do not name it: Meta's parts do not
// learn of it at the same moment, and the no counts.
const liftAfter = 10 * time.Minute

// settle replaces what Meta forbids a line by what its settings say.
func (d *Desk) settle(ctx context.Context, line string, told []graph.Restriction) error {
	d.restricting.Lock()
	defer d.restricting.Unlock()
	st, err := d.store.LineState(ctx, line)
	if err != nil {
		return err
	}
	now := d.now()
	list := slices.Clone(told)
	for _, r := range st.Restrictions {
		if now.Sub(r.Since) < liftAfter {
			list = add(list, r)
		}
	}
	return d.setRestrictions(ctx, st, list, now)
}

// restrict adds what a webhook tells, which names only what is new.
func (d *Desk) restrict(ctx context.Context, line string, told []graph.Restriction, at time.Time) error {
	d.restricting.Lock()
	defer d.restricting.Unlock()
	st, err := d.store.LineState(ctx, line)
	if err != nil {
		return err
	}
	list := slices.Clone(told)
	for _, r := range st.Restrictions {
		list = add(list, r)
	}
	return d.setRestrictions(ctx, st, list, at)
}

// add keeps an earlier restriction that the news does not speak of.
func add(list []graph.Restriction, r store.Restriction) []graph.Restriction {
	if slices.ContainsFunc(list, func(n graph.Restriction) bool { return n.Type == r.Kind }) {
		return list
	}
	return append(list, graph.Restriction{Type: r.Kind, Expires: r.Until})
}

// setRestrictions stores those in force, the ones already known with the time since when.
func (d *Desk) setRestrictions(ctx context.Context, st store.LineState, list []graph.Restriction, at time.Time) error {
	next := make([]store.Restriction, 0, len(list))
	for _, r := range list {
		if !r.InForce(d.now()) {
			continue
		}
		since := at
		if i := slices.IndexFunc(st.Restrictions, func(o store.Restriction) bool { return o.Kind == r.Type }); i >= 0 {
			since = st.Restrictions[i].Since
		}
		next = append(next, store.Restriction{Kind: r.Type, Since: since, Until: r.Expires})
	}
	slices.SortStableFunc(next, func(a, b store.Restriction) int { return strings.Compare(a.Kind, b.Kind) })
	same := slices.EqualFunc(st.Restrictions, next, func(a, b store.Restriction) bool { return a.Kind == b.Kind && a.Until.Equal(b.Until) })
	if !same {
		if _, err := d.store.SetLineRestrictions(ctx, st.Line, next, at); err != nil {
			return err
		}
		for _, r := range next {
			d.log.Error("WhatsApp restricts a line; see the runbook", "line", st.Line, "kind", r.Kind, "until", r.Until)
		}
		if len(next) == 0 {
			d.log.Info("WhatsApp no longer restricts a line", "line", st.Line)
		}
	}
	d.showRestrictions(st.Line, next)
	return nil
}

func (d *Desk) showRestrictions(line string, list []store.Restriction) {
	now := d.now()
	for name, kind := range restrictionKinds {
		v := 0.0
		if slices.ContainsFunc(list, func(r store.Restriction) bool { return r.Kind == name && (r.Until.IsZero() || now.Before(r.Until)) }) {
			v = 1
		}
		d.metrics.forbidden.WithLabelValues(line, string(kind)).Set(v)
	}
}
