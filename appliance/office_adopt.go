package appliance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deskbridge/frontdesk"
	"deskbridge/policy"
)

// AdoptFromMeta implements Office. Only what our settings manage is taken over.
func (a *App) AdoptFromMeta(ctx context.Context, line string) ([]Change, error) {
	theirs, err := a.desk.Adopt(ctx, line)
	if err != nil {
		return nil, err
	}
	current := a.keeper.Settings()
	next, err := current.copy()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(next.Lines, func(l Line) bool { return l.ID == line })
	if i < 0 {
		return nil, fmt.Errorf("there is no line %q", line)
	}
	next.Lines[i].adopt(theirs)
	changes := Diff(current, next)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, a.keeper.Apply(ctx, next)
}

// adopt makes the line want what Meta has.
func (l *Line) adopt(t frontdesk.Adopted) {
	m := &l.Meta
	m.Calling, m.Icons, m.CallbackPermission = strings.ToLower(t.Wanted.Calling), strings.ToLower(t.Wanted.Icons), strings.ToLower(t.Wanted.Callback)
	m.Codecs = t.Wanted.Codecs
	if m.Hours {
		l.Hours.adopt(t.Hours)
	}
}

// adopt writes hours the way people do. Holidays of a pack that are as the pack has them stay with the pack.
func (h *HoursSettings) adopt(p policy.Hours) {
	packed := map[string]bool{}
	for _, name := range h.Packs {
		days, _ := packDays(name)
		for _, d := range days {
			packed[d.Date] = true
		}
	}
	h.TimeZone, h.Weekly, h.Holidays = p.Zone, nil, nil
	if p.Zone == "" {
		h.Packs = nil
	}
	for _, w := range p.Weekly {
		h.Weekly = append(h.Weekly, fmt.Sprintf("%s %s-%s", dayNames[w.Day], w.From, w.To))
	}
	for _, d := range p.Holidays {
		day := Holiday{Date: d.Date, Name: d.Name}
		for _, o := range d.Open {
			day.Open = append(day.Open, fmt.Sprintf("%s-%s", o.From, o.To))
		}
		if len(day.Open) > 0 || !packed[d.Date] {
			h.Holidays = append(h.Holidays, day)
		}
	}
}

// copy is the settings as a value of their own, secrets included.
func (s *Settings) copy() (*Settings, error) {
	data, err := s.Freeze()
	if err != nil {
		return nil, err
	}
	return ThawSettings(data)
}
