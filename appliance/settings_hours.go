package appliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"deskbridge/policy"
)

// HoursSettings are a line's call hours.
type HoursSettings struct {
	TimeZone string    `yaml:"time_zone" json:"time_zone,omitempty" example:"Asia/Jakarta" doc:"Zone of everything below. Empty: customers may call at any time."`
	Weekly   []string  `yaml:"weekly" json:"weekly,omitempty" example:"[\"mon-fri 08:00-12:00 13:00-17:00\", \"sat 09:00-12:00\"]" doc:"Open times of the week: days, then one or more spans. A span may end on the next day (22:00-06:00)."`
	Holidays []Holiday `yaml:"holidays" json:"holidays,omitempty" doc:"Dates with other hours."`
	Packs    []string  `yaml:"packs" json:"packs,omitempty" example:"[id-2026]" doc:"Public holidays that come with the program: id-2026, id-2027; with +joint also the days of collective leave. A date under holidays goes before."`
	Outside  string    `yaml:"outside" json:"outside,omitempty" default:"answer_and_prompt" oneof:"answer_and_prompt meta_popup" doc:"A call outside these hours is answered by a voice that says when the line opens and takes a callback request; or Meta shows its popup (needs meta.hours) and what comes all the same is refused."`
}

// Holiday is a date with other hours.
type Holiday struct {
	Date string   `yaml:"date" json:"date" example:"\"2026-12-25\"" doc:"The date."`
	Name string   `yaml:"name" json:"name,omitempty" doc:"What it is."`
	Open []string `yaml:"open" json:"open,omitempty" example:"[\"09:00-12:00\"]" doc:"Spans in which the line is open. Empty: closed all day."`
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// hours reads the section. bad is told of every problem with its path below the section.
func (h HoursSettings) hours(bad func(path, problem, fix string)) policy.Hours {
	out := policy.Hours{Zone: h.TimeZone}
	for i, text := range h.Weekly {
		days, periods, err := parseWeekly(text)
		if err != nil {
			bad(fmt.Sprintf("weekly[%d]", i), err.Error(), `write days and spans, such as "mon-fri 08:00-12:00 13:00-17:00"`)
			continue
		}
		for _, d := range days {
			for _, p := range periods {
				out.Weekly = append(out.Weekly, policy.Span{Day: policy.Weekday(d), From: p.From, To: p.To})
			}
		}
	}
	dates := map[string]bool{}
	for i, x := range h.Holidays {
		day := policy.Holiday{Date: x.Date, Name: x.Name}
		for j, text := range x.Open {
			p, err := parsePeriod(text)
			if err != nil {
				bad(fmt.Sprintf("holidays[%d].open[%d]", i, j), err.Error(), `write a span such as "09:00-12:00"`)
				continue
			}
			day.Open = append(day.Open, p)
		}
		dates[x.Date] = true
		out.Holidays = append(out.Holidays, day)
	}
	for i, name := range h.Packs {
		days, ok := packDays(name)
		if !ok {
			bad(fmt.Sprintf("packs[%d]", i), fmt.Sprintf("there is no pack %q", name), "use one of "+strings.Join(packNames(), ", ")+", with +joint for collective leave")
		}
		for _, d := range days {
			if !dates[d.Date] {
				dates[d.Date] = true
				out.Holidays = append(out.Holidays, d)
			}
		}
	}
	return out
}

func packNames() []string {
	var out []string
	for _, p := range policy.Packs() {
		out = append(out, p.ID)
	}
	return out
}

func packDays(name string) ([]policy.Holiday, bool) {
	id, joint := strings.CutSuffix(name, "+joint")
	for _, p := range policy.Packs() {
		if p.ID == id {
			return p.Holidays(joint), true
		}
	}
	return nil, false
}

// parseWeekly reads "mon-fri 08:00-12:00 13:00-17:00".
func parseWeekly(text string) ([]time.Weekday, []policy.Period, error) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, nil, fmt.Errorf("%q needs days and at least one span", text)
	}
	days, err := parseDays(fields[0])
	if err != nil {
		return nil, nil, err
	}
	var periods []policy.Period
	for _, f := range fields[1:] {
		p, err := parsePeriod(f)
		if err != nil {
			return nil, nil, err
		}
		periods = append(periods, p)
	}
	return days, periods, nil
}

// parseDays reads "mon", "mon-fri", "sat,sun"; a range may go over the end of the week.
func parseDays(text string) ([]time.Weekday, error) {
	var days []time.Weekday
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		i, j := slices.Index(dayNames, first), slices.Index(dayNames, last)
		if i < 0 || j < 0 {
			return nil, fmt.Errorf("%q names no days; they are %s", text, strings.Join(dayNames, " "))
		}
		for d := i; ; d = (d + 1) % 7 {
			if slices.Contains(days, time.Weekday(d)) {
				return nil, fmt.Errorf("%q names %s twice", text, dayNames[d])
			}
			days = append(days, time.Weekday(d))
			if d == j {
				break
			}
		}
	}
	return days, nil
}

func parsePeriod(text string) (p policy.Period, err error) {
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return p, fmt.Errorf("%q is no span", text)
	}
	if err = p.From.UnmarshalText([]byte(from)); err == nil {
		err = p.To.UnmarshalText([]byte(to))
	}
	return p, err
}
