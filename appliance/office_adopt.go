package appliance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"deskbridge/graph"
)

// AdoptFromMeta implements Office. Only what our settings manage is taken over.
func (a *App) AdoptFromMeta(ctx context.Context, line string) ([]Change, error) {
	st, err := a.desk.SyncLine(ctx, line, false)
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
	next.Lines[i].adopt(st.Actual)
	changes := Diff(current, next)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, a.keeper.Apply(ctx, next)
}

// adopt makes the line want what Meta has.
func (l *Line) adopt(s graph.Settings) {
	m := &l.Meta
	take := func(want *string, have string) {
		if *want != "" && have != "" {
			*want = strings.ToLower(have)
		}
	}
	take(&m.Calling, s.Status)
	take(&m.Icons, s.Icons)
	take(&m.CallbackPermission, s.Callback)
	if m.Codecs != nil {
		m.Codecs = s.ExtraCodecs
	}
	if m.Hours {
		l.Hours.adopt(s.Hours)
	}
}

// adopt takes over Meta's hours. Holidays that came from packs become dates of their own: Meta knows no packs, and only the
// next twenty.
func (h *HoursSettings) adopt(m *graph.CallHours) {
	if m == nil || !m.Enabled {
		h.TimeZone, h.Weekly = "", nil
		return
	}
	h.TimeZone, h.Weekly = m.TimeZone, nil
	for _, w := range m.Weekly {
		h.Weekly = append(h.Weekly, fmt.Sprintf("%s %s-%s", dayNames[w.Day], clock(w.Open), clock(w.Close)))
	}
	closed := map[string][][2]int{}
	var dates []string
	for _, x := range m.Holidays {
		if closed[x.Date] == nil {
			dates = append(dates, x.Date)
		}
		closed[x.Date] = append(closed[x.Date], [2]int{x.Start, x.End})
	}
	keep := slices.DeleteFunc(slices.Clone(h.Holidays), func(d Holiday) bool { return closed[d.Date] != nil })
	for _, date := range dates {
		keep = append(keep, Holiday{Date: date, Name: h.nameOf(date), Open: openBetween(closed[date])})
	}
	slices.SortFunc(keep, func(a, b Holiday) int { return strings.Compare(a.Date, b.Date) })
	h.Holidays, h.Packs = keep, nil
}

func (h *HoursSettings) nameOf(date string) string {
	for _, d := range h.hours(func(string, string, string) {}).Holidays {
		if d.Date == date {
			return d.Name
		}
	}
	return ""
}

// openBetween is what is open on a date that is closed in these spans of minutes.
func openBetween(closed [][2]int) []string {
	slices.SortFunc(closed, func(a, b [2]int) int { return a[0] - b[0] })
	var open []string
	at := 0
	for _, c := range closed {
		if c[0] > at {
			open = append(open, clock(at)+"-"+clock(c[0]))
		}
		at = max(at, c[1])
	}
	if at < 24*60-1 {
		open = append(open, clock(at)+"-24:00")
	}
	return open
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// copy is the settings as a value of their own, secrets included.
func (s *Settings) copy() (*Settings, error) {
	data, err := s.Freeze()
	if err != nil {
		return nil, err
	}
	return ThawSettings(data)
}
