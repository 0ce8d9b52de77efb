package appliance

import (
	"strings"
	"testing"
	"time"

	"deskbridge/frontdesk"
	"deskbridge/policy"
)

// lawful is goodSettings with everything of the law of the house in it.
var lawful = strings.Replace(goodSettings, `    outbound:
      prefix: "81"
`, `      overflow: [phone:1001]
      callback_within: 1h
    outbound:
      prefix: "81"
    language: id
    hours:
      time_zone: Asia/Jakarta
      weekly: ["mon-fri 08:00-12:00 13:00-17:00", "sat 22:00-02:00"]
      packs: [id-2026]
      holidays:
        - {date: "2026-12-25", name: "Natal", open: ["09:00-12:00"]}
    policy: {profile: custom, custom: {attempts: 3, unanswered: 2}}
    messages: {ask_template: {name: ask_to_call, language: id, parameters: [x]}, button_label: Telepon}
    meta: {calling: enabled, callback_permission: enabled, hours: true}
`, 1) + `policy: {profile: meta}
codes:
  - {feature: ask, digits: "*70"}
`

func TestTheLawOfTheHouseIsRead(t *testing.T) {
	s := parseSettings(t, lawful)
	l := s.Lines[0]
	c, err := s.desk(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	zone := l.zone()
	at := func(text string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for when, open := range map[string]bool{
		"2026-11-30 08:00": true, "2026-11-30 12:30": false, "2026-11-30 16:59": true, "2026-11-30 17:00": false, // a Monday
		"2026-12-05 23:00": true, "2026-12-06 01:59": true, "2026-12-06 02:00": false, // Saturday night
		"2026-12-25 10:00": true, "2026-12-25 13:00": false, // the document goes before the pack
		"2027-01-01 10:00": true, // the pack of another year
	} {
		if got := c.Hours.Open(at(when)); got != open {
			t.Errorf("%s: open %t, want %t", when, got, open)
		}
	}
	if c.Rules.Line.Attempts != 3 || c.Rules.Unanswered != 2 || c.Mode != frontdesk.ModePrompt || c.Language != "id" || c.CallbackWithin != time.Hour {
		t.Errorf("%+v", c)
	}
	if c.Texts.ButtonLabel != "Telepon" || c.Texts.Ask != builtInTexts["id"].Ask || c.AskTemplate.Name != "ask_to_call" || c.Wanted.Calling != "ENABLED" {
		t.Errorf("%+v %+v %+v", c.Texts, c.AskTemplate, c.Wanted)
	}
	if code, number, ok := s.featureCodes().Parse("*70081234567890"); !ok || code.Feature != "ask" || number != "081234567890" {
		t.Errorf("%v %q %t", code, number, ok)
	}
	for _, c := range Diff(s, parseSettings(t, export(t, s))) {
		if !strings.Contains(c.String(), "(set)") { // secrets are not exported
			t.Errorf("an export reads back with %v", c)
		}
	}
}

func TestEveryBuiltInTextIsThereInBothLanguagesAndFits(t *testing.T) {
	for lang, x := range builtInTexts {
		if x.Ask == "" || x.Closed == "" || x.Button == "" || x.ButtonLabel == "" || len([]rune(x.ButtonLabel)) > maxButtonLabel {
			t.Errorf("%s: %+v", lang, x)
		}
	}
	if len(builtInTexts) != 2 {
		t.Errorf("%d languages", len(builtInTexts))
	}
}

func TestBadLaw(t *testing.T) {
	for _, tt := range []struct{ name, old, new, path, problem string }{
		{"unknown zone", "Asia/Jakarta", "Asia/Jakatra", "lines[0].hours.time_zone", "Jakatra"},
		{"no hours at all", `["mon-fri 08:00-12:00 13:00-17:00", "sat 22:00-02:00"]`, "[]", "lines[0].hours.weekly", "never open"},
		{"unknown day", "mon-fri", "mon-fry", "lines[0].hours.weekly[0]", "names no days"},
		{"a day twice", "mon-fri", "mon-fri,tue", "lines[0].hours.weekly[0]", "twice"},
		{"impossible time", "08:00-12:00", "08:00-25:00", "lines[0].hours.weekly[0]", "25:00"},
		{"no span", "08:00-12:00 13:00-17:00", "", "lines[0].hours.weekly[0]", "at least one span"},
		{"spans that overlap", "13:00-17:00", "11:00-17:00", "lines[0].hours.weekly[0]", "overlap"},
		{"hours without a zone", "      time_zone: Asia/Jakarta\n", "", "lines[0].hours.time_zone", "need a time zone"},
		{"impossible date", "2026-12-25", "2026-02-30", "lines[0].hours.holidays[0].date", "2026-02-30"},
		{"holiday's span", "09:00-12:00", "09:00", "lines[0].hours.holidays[0].open[0]", "no span"},
		{"unknown pack", "[id-2026]", "[xx-2026]", "lines[0].hours.packs[0]", "no pack"},
		{"unknown profile", "profile: meta", "profile: lax", "policy.profile", "not known"},
		{"looser than Meta", "unanswered: 2", "unanswered: 5", "lines[0].policy.custom.unanswered", "looser than Meta's 4"},
		{"more requests than Meta allows", "attempts: 3", "requests_week: 3", "lines[0].policy.custom.requests_week", "looser than Meta's 2"},
		{"numbers without the custom profile", "profile: custom, custom", "profile: strict, custom", "lines[0].policy.custom", "not custom"},
		{"overflow to nobody", "overflow: [phone:1001]", "overflow: [phone:1009]", "lines[0].inbound.overflow[0]", "no phone"},
		{"popup without pushing", "hours: true", "icons: default", "", ""},
		{"template name", "name: ask_to_call", "name: Ask-To-Call", "lines[0].messages.ask_template.name", "not a template's name"},
		{"label too long", "button_label: Telepon", "button_label: Telepon kami sekarang juga", "lines[0].messages.button_label", "characters"},
		{"code in a number's way", `digits: "*70"`, `digits: "81"`, "codes[0]", "81"},
		{"unknown feature", "feature: ask", "feature: coffee", "codes[0]", "coffee"},
		{"unknown language", "language: id\n    hours", "language: fr\n    hours", "lines[0].language", "not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(lawful, tt.old, tt.new, 1)
			if text == lawful {
				t.Fatal("the replacement did nothing")
			}
			_, err := ParseSettings(strings.NewReader(text), "settings.yaml")
			if tt.path == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			for _, e := range ConfigErrors(err) {
				if strings.HasPrefix(e.Path, tt.path) && strings.Contains(e.Problem, tt.problem) && e.Fix != "" {
					return
				}
			}
			t.Errorf("no error at %s with %q: %v", tt.path, tt.problem, err)
		})
	}
}

func TestMetaPopupNeedsTheHoursAtMeta(t *testing.T) {
	text := strings.Replace(strings.Replace(lawful, "packs: [id-2026]", "outside: meta_popup", 1), "hours: true", "icons: default", 1)
	_, err := ParseSettings(strings.NewReader(text), "settings.yaml")
	for _, e := range ConfigErrors(err) {
		if e.Path == "lines[0].meta.hours" {
			return
		}
	}
	t.Errorf("got %v", err)
}

func TestAdoptedHoursSayWhatMetaSays(t *testing.T) {
	s := parseSettings(t, lawful)
	h := s.Lines[0].LineHours()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	m, err := h.ToMeta(now)
	if err != nil {
		t.Fatal(err)
	}
	at := frontdesk.CallHours(m)
	l := s.Lines[0]
	l.Hours.adopt(at)
	adopted := l.LineHours()
	if err := adopted.Validate(); err != nil {
		t.Fatal(err)
	}
	for d := range 60 * 24 { // an hour at a time, as far as Meta's holidays reach
		when := now.Add(time.Duration(d)*time.Hour + time.Minute)
		if h.Open(when) != adopted.Open(when) {
			t.Errorf("at %s: open %t, adopted %t", when.In(l.zone()), h.Open(when), adopted.Open(when))
		}
	}
	if again, err := adopted.ToMeta(now); err != nil || !frontdesk.CallHours(again).Equal(*at) {
		t.Errorf("pushed again it would be %+v, %v", again, err)
	}
}

func TestImportedHolidaysLeaveWhatAPersonWrote(t *testing.T) {
	h := HoursSettings{Holidays: []Holiday{{Date: "2026-12-25", Name: "Natal", Open: []string{"09:00-12:00"}}}}
	h.add([]policy.Holiday{{Date: "2026-12-24", Name: "Eve"}, {Date: "2026-12-25", Name: "Christmas"}})
	if len(h.Holidays) != 2 || h.Holidays[0].Date != "2026-12-24" || h.Holidays[1].Name != "Natal" {
		t.Errorf("%+v", h.Holidays)
	}
}
