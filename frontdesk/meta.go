package frontdesk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"deskbridge/graph"
	"deskbridge/policy"
	"deskbridge/store"
)

// Difference is one setting that is not at Meta as it is wanted.
type Difference struct {
	Field  string `json:"field"`
	Wanted string `json:"wanted"`
	Actual string `json:"actual"`
	// Fix is set where only a person can put it right.
	Fix string `json:"fix,omitempty"`
}

// MetaState is a line's settings at Meta beside what is wanted of them.
type MetaState struct {
	At          time.Time      `json:"at"`    // when Meta was asked
	Error       string         `json:"error"` // why that failed; what follows is older then
	Actual      graph.Settings `json:"actual"`
	Differences []Difference   `json:"differences"`
	// HoursProblem is why the hours cannot be held by Meta. They are enforced here all the same.
	HoursProblem string    `json:"hours_problem,omitempty"`
	Pushed       time.Time `json:"pushed,omitzero"` // when we last changed them
}

// metaStates is what is known of each line's settings at Meta.
type metaStates struct {
	mu sync.Mutex
	by map[string]MetaState
	// wanted is what was last pushed, by line: a difference from it is our own change and is pushed; if what is wanted has not
	// changed but Meta's has, somebody else did it.
	wanted map[string]string
}

func (m *metaStates) init() { m.by, m.wanted = map[string]MetaState{}, map[string]string{} }

func (m *metaStates) forget(keep map[string]*LineConfig) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.by {
		if keep[id] == nil {
			delete(m.by, id)
			delete(m.wanted, id)
		}
	}
}

// MetaState is what is known of a line's settings at Meta; the zero value before Meta was asked.
func (d *Desk) MetaState(line string) MetaState {
	d.meta.mu.Lock()
	defer d.meta.mu.Unlock()
	return d.meta.by[line]
}

const metaWait = 15 * time.Second

// syncLines brings every line's settings at Meta to what is wanted. refresh asks Meta also where nothing is to be done.
func (d *Desk) syncLines(ctx context.Context, refresh bool) {
	for _, l := range *d.lines.Load() {
		if !l.Enabled || ctx.Err() != nil {
			continue
		}
		d.meta.mu.Lock()
		known, asked := d.meta.by[l.ID]
		same := d.meta.wanted[l.ID] == d.fingerprint(l)
		d.meta.mu.Unlock()
		if asked && same && !refresh && known.Error == "" {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, metaWait)
		if _, err := d.SyncLine(limit, l.ID, false); err != nil && ctx.Err() == nil {
			d.log.Warn("a line's settings at WhatsApp could not be looked after", "line", l.ID, "err", err)
		}
		cancel()
	}
}

// fingerprint is what is wanted of a line at Meta now. The rolling holidays are part of it, so it changes as they pass.
func (d *Desk) fingerprint(l *LineConfig) string {
	h, problem := d.wantedHours(l)
	b, _ := json.Marshal([]any{l.Wanted, h, problem}) // plain values: cannot fail
	return string(b)
}

// wantedHours are the line's hours as Meta can hold them; nil when Meta is not to hold them, or cannot.
func (d *Desk) wantedHours(l *LineConfig) (*graph.CallHours, string) {
	if !l.Wanted.Hours {
		return nil, ""
	}
	m, err := l.Hours.ToMeta(d.now())
	if err != nil {
		return nil, err.Error()
	}
	return CallHours(m), ""
}

// CallHours are the same hours in the words of package graph.
func CallHours(m policy.MetaHours) *graph.CallHours {
	h := &graph.CallHours{Enabled: m.Enabled, TimeZone: m.Zone}
	for _, w := range m.Weekly {
		h.Weekly = append(h.Weekly, graph.WeeklySpan{Day: w.Day, Open: minutes(w.Open), Close: minutes(w.Close)})
	}
	for _, x := range m.Holidays {
		h.Holidays = append(h.Holidays, graph.HolidaySpan{Date: x.Date, Start: minutes(x.Start), End: minutes(x.End)})
	}
	return h
}

// minutes reads "0830"; the end of the day is "2359" at Meta.
func minutes(hhmm string) int {
	if len(hhmm) != 4 {
		return 0
	}
	n := 0
	for _, c := range hhmm {
		n = n*10 + int(c-'0')
	}
	if n == 2359 {
		return 24 * 60
	}
	return n/100*60 + n%100
}

// SyncLine asks Meta for a line's settings and pushes what is wanted: what we changed ourselves, and with apply, or where the
// line says so, also what somebody else changed. It returns the state after it.
func (d *Desk) SyncLine(ctx context.Context, line string, apply bool) (MetaState, error) {
	l, ok := d.line(line)
	if !ok {
		return MetaState{}, fmt.Errorf("line %q: %w", line, errNoLine)
	}
	actual, err := l.Number.Settings(ctx)
	st := MetaState{At: d.now(), Actual: actual, Pushed: d.MetaState(line).Pushed}
	if err != nil {
		old := d.MetaState(line)
		old.Error = err.Error()
		d.setMeta(line, old)
		return old, err
	}
	if err := d.keepSettings(ctx, line, actual); err != nil {
		d.log.Warn("a line's settings could not be kept", "line", line, "err", err)
	}
	want := d.fingerprint(l)
	d.meta.mu.Lock()
	ours := d.meta.wanted[line] != want
	d.meta.mu.Unlock()
	change, differences, problem := d.compare(l, actual)
	st.Differences, st.HoursProblem = differences, problem
	if change == nil || !ours && !apply && !l.Wanted.Enforce {
		if change == nil {
			d.setWanted(line, want)
		}
		d.setMeta(line, st)
		d.warnDrift(line, st)
		return st, nil
	}
	err = l.Number.WriteSettings(ctx, *change)
	result := "done"
	if err != nil {
		result, st.Error = "failed", err.Error()
	} else {
		st.Pushed = d.now()
		d.setWanted(line, want)
		d.log.Info("a line's settings were changed at WhatsApp", "line", line, "fields", fields(differences))
		if st.Actual, err = l.Number.Settings(ctx); err == nil {
			_, st.Differences, _ = d.compare(l, st.Actual)
			err = d.keepSettings(ctx, line, st.Actual)
		}
	}
	d.metrics.pushes.WithLabelValues(line, result).Inc()
	d.setMeta(line, st)
	return st, err
}

func (d *Desk) setWanted(line, want string) {
	d.meta.mu.Lock()
	defer d.meta.mu.Unlock()
	d.meta.wanted[line] = want
}

func (d *Desk) setMeta(line string, st MetaState) {
	d.meta.mu.Lock()
	d.meta.by[line] = st
	d.meta.mu.Unlock()
	v := 0.0
	if len(st.Differences) > 0 {
		v = 1
	}
	d.metrics.drift.WithLabelValues(line).Set(v)
}

func (d *Desk) warnDrift(line string, st MetaState) {
	if len(st.Differences) > 0 {
		d.log.Warn("a line's settings at WhatsApp are not as wanted; apply ours or adopt theirs", "line", line, "fields", fields(st.Differences))
	}
}

func fields(ds []Difference) string {
	var out []string
	for _, x := range ds {
		out = append(out, x.Field)
	}
	return strings.Join(out, ", ")
}

// compare says what is not as wanted, and the change that puts it right; nil when nothing can or has to be changed.
func (d *Desk) compare(l *LineConfig, a graph.Settings) (*graph.SettingsChange, []Difference, string) {
	var c graph.SettingsChange
	var diff []Difference
	is := func(field, want, got string, set *string) {
		if want != "" && !strings.EqualFold(want, got) {
			diff = append(diff, Difference{Field: field, Wanted: want, Actual: firstOf(got, "not set")})
			*set = want
		}
	}
	is("status", l.Wanted.Calling, a.Status, &c.Status)
	is("call_icon_visibility", l.Wanted.Icons, a.Icons, &c.Icons)
	is("callback_permission_status", l.Wanted.Callback, a.Callback, &c.Callback)
	if l.Wanted.Codecs != nil && !sameSet(l.Wanted.Codecs, a.ExtraCodecs) {
		diff = append(diff, Difference{Field: "audio.additional_codecs", Wanted: strings.Join(l.Wanted.Codecs, " "), Actual: strings.Join(a.ExtraCodecs, " ")})
		c.Codecs = l.Wanted.Codecs
	}
	if a.SIP == "ENABLED" {
		diff = append(diff, Difference{Field: "sip.status", Wanted: "DISABLED", Actual: "ENABLED",
			Fix: "WhatsApp refuses calls over the Graph API while its own SIP is on. Switch it off with: deskbridge line apply " + l.ID})
		c.SIPOff = true
	}
	h, problem := d.wantedHours(l)
	if h != nil && !sameHours(h, a.Hours) {
		diff = append(diff, Difference{Field: "call_hours", Wanted: describe(h), Actual: describe(a.Hours)})
		c.Hours, c.Today = h, d.now().In(l.zone()).Format(time.DateOnly)
	}
	if len(diff) == 0 {
		return nil, diff, problem
	}
	return &c, diff, problem
}

// sameHours: hours that Meta never had are hours that are off.
func sameHours(want, got *graph.CallHours) bool {
	if got == nil {
		return !want.Enabled
	}
	if !want.Enabled && !got.Enabled {
		return true
	}
	return want.Equal(*got)
}

func describe(h *graph.CallHours) string {
	if h == nil || !h.Enabled {
		return "open at all hours"
	}
	return fmt.Sprintf("%d weekly spans, %d holidays, %s", len(h.Weekly), len(h.Holidays), h.TimeZone)
}

func sameSet(a, b []string) bool {
	x, y := slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.EqualFunc(x, y, strings.EqualFold)
}

// keepSettings puts what Meta told into the line's state: the settings for display, the restrictions for decisions.
func (d *Desk) keepSettings(ctx context.Context, line string, s graph.Settings) error {
	at := d.now()
	if len(s.Raw) > 0 {
		if _, err := d.store.SetLineSettings(ctx, line, s.Raw, at); err != nil {
			return err
		}
	}
	return d.setRestrictions(ctx, line, s.Restrictions, at)
}

// setRestrictions replaces what Meta forbids the line.
func (d *Desk) setRestrictions(ctx context.Context, line string, list []graph.Restriction, at time.Time) error {
	old, err := d.store.LineState(ctx, line)
	if err != nil {
		return err
	}
	next := make([]store.Restriction, 0, len(list))
	for _, r := range list {
		since := at
		if i := slices.IndexFunc(old.Restrictions, func(o store.Restriction) bool { return o.Kind == r.Type }); i >= 0 {
			since = old.Restrictions[i].Since
		}
		next = append(next, store.Restriction{Kind: r.Type, Since: since, Until: r.Expires})
	}
	if same := slices.EqualFunc(old.Restrictions, next, func(a, b store.Restriction) bool { return a.Kind == b.Kind && a.Until.Equal(b.Until) }); !same {
		if _, err := d.store.SetLineRestrictions(ctx, line, next, at); err != nil {
			return err
		}
		for _, r := range next {
			d.log.Error("WhatsApp restricts a line; see the runbook", "line", line, "kind", r.Kind, "until", r.Until)
		}
		if len(next) == 0 {
			d.log.Info("WhatsApp no longer restricts a line", "line", line)
		}
	}
	d.showRestrictions(line, next)
	return nil
}

func (d *Desk) showRestrictions(line string, list []store.Restriction) {
	for name, kind := range restrictionKinds {
		v := 0.0
		for _, r := range list {
			if r.Kind == name && (r.Until.IsZero() || d.now().Before(r.Until)) {
				v = 1
			}
		}
		d.metrics.forbidden.WithLabelValues(line, string(kind)).Set(v)
	}
}
