package ivr

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// read gives the text of what is said: pauses of a comma and more show as one.
func read(t *testing.T, l *Library, lang string, p Part) string {
	t.Helper()
	var b strings.Builder
	for _, w := range grammars[lang].words(p) {
		text := ""
		for _, x := range l.texts[lang] {
			if x.ID == w.id {
				text = x.Text
			}
		}
		if text == "" && w.id != "" {
			t.Errorf("%s: there is no prompt %q", lang, w.id)
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		if w.pause == pauseComma {
			b.WriteByte(',')
		}
	}
	return b.String()
}

func TestNumbersDatesAndTimesAreSaidAsPeopleSayThem(t *testing.T) {
	l := newLibrary(t)
	wib, err := time.LoadLocation("Asia/Jakarta")
	if err != nil {
		t.Fatal(err)
	}
	at := func(day, h, m int) time.Time { return time.Date(2026, 11, day, h, m, 0, 0, wib) }
	now := at(28, 20, 0)
	for _, c := range []struct {
		part   Part
		en, id string
	}{
		{Number(0), "zero", "nol"},
		{Number(11), "eleven", "sebelas"},
		{Number(19), "nineteen", "sembilan belas"},
		{Number(20), "twenty", "dua puluh"},
		{Number(21), "twenty one", "dua puluh satu"},
		{Number(100), "one hundred", "seratus"},
		{Number(101), "one hundred and one", "seratus satu"},
		{Number(118), "one hundred and eighteen", "seratus delapan belas"},
		{Number(250), "two hundred and fifty", "dua ratus lima puluh"},
		{Number(1000), "one thousand", "seribu"},
		{Number(1001), "one thousand and one", "seribu satu"},
		{Number(1945), "one thousand nine hundred and forty five", "seribu sembilan ratus empat puluh lima"},
		{Number(2100), "two thousand one hundred", "dua ribu seratus"},
		{Number(9999), "nine thousand nine hundred and ninety nine", "sembilan ribu sembilan ratus sembilan puluh sembilan"},
		{Number(10203), "one zero two zero three", "satu nol dua nol tiga"},
		{Phone("+6281234567890"), "plus six two, eight one two, three four five six, seven eight nine zero,", "plus enam dua, delapan satu dua, tiga empat lima enam, tujuh delapan sembilan nol,"},
		{Phone("+15551234567"), "plus one, five five five, one two three, four five six seven,", "plus satu, lima lima lima, satu dua tiga, empat lima enam tujuh,"},
		{Phone("081234"), "zero eight one, two three four,", "nol delapan satu, dua tiga empat,"},
		{Phone("112"), "one one two,", "satu satu dua,"},
		{Phone(""), "", ""},
		{Date(at(30, 8, 0)), "Monday, the thirtieth of November", "Senin, tanggal tiga puluh November"},
		{TimeOfDay(at(30, 8, 0)), "at eight a.m.", "pukul delapan"},
		{TimeOfDay(at(30, 14, 30)), "at two thirty p.m.", "pukul empat belas lewat tiga puluh menit"},
		{TimeOfDay(at(30, 9, 5)), "at nine oh five a.m.", "pukul sembilan lewat lima menit"},
		{TimeOfDay(at(30, 12, 0)), "at noon", "pukul dua belas"},
		{TimeOfDay(at(30, 12, 45)), "at twelve forty five p.m.", "pukul dua belas lewat empat puluh lima menit"},
		{TimeOfDay(at(30, 0, 0)), "at midnight", "tengah malam"},
		{TimeOfDay(at(30, 0, 20)), "at twelve twenty a.m.", "pukul nol lewat dua puluh menit"},
		{When(at(28, 23, 0), now), "today at eleven p.m.", "hari ini pukul dua puluh tiga"},
		{When(at(29, 8, 0), now), "tomorrow at eight a.m.", "besok pukul delapan"},
		{When(at(30, 8, 0), now), "Monday, the thirtieth of November at eight a.m.", "Senin, tanggal tiga puluh November pukul delapan"},
		{When(at(29, 8, 0).UTC(), now), "tomorrow at eight a.m.", "besok pukul delapan"},
		{Count(1, Days), "one day", "satu hari"},
		{Count(3, Days), "three days", "tiga hari"},
		{Count(0, Calls), "zero calls", "nol panggilan"},
		{In(50 * time.Second), "in one minute", "satu menit lagi"},
		{In(89 * time.Minute), "in eighty nine minutes", "delapan puluh sembilan menit lagi"},
		{In(90 * time.Minute), "in two hours", "dua jam lagi"},
		{In(36 * time.Hour), "in two days", "dua hari lagi"},
		{In(-time.Hour), "in one minute", "satu menit lagi"},
	} {
		if got := read(t, l, "en", c.part); got != c.en {
			t.Errorf("en: %q, want %q", got, c.en)
		}
		if got := read(t, l, "id", c.part); got != c.id {
			t.Errorf("id: %q, want %q", got, c.id)
		}
	}
}

// The day on which clocks go forward has 23 hours; the day after it is still tomorrow, and no other is.
func TestTomorrowIsTheCalendarsNextDayWhenClocksChange(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 28, 23, 30, 0, 0, berlin)
	g := grammars["en"]
	if ids := g.when(time.Date(2026, 3, 29, 3, 0, 0, 0, berlin), now); ids[0] != "tomorrow" {
		t.Errorf("%v", ids)
	}
	if ids := g.when(time.Date(2026, 3, 30, 0, 0, 0, 0, berlin), now); ids[0] != "day.1" {
		t.Errorf("%v", ids)
	}
	if ids := g.when(time.Date(2027, 1, 1, 8, 0, 0, 0, berlin), time.Date(2026, 12, 31, 8, 0, 0, 0, berlin)); ids[0] != "tomorrow" {
		t.Errorf("%v", ids)
	}
}

// usedIDs are all prompts that put-together parts are made of.
func usedIDs(lang string) map[string]bool {
	used := map[string]bool{}
	note := func(p Part) {
		for _, w := range grammars[lang].words(p) {
			used[w.id] = true
		}
	}
	for n := range 10000 {
		note(Number(n))
	}
	for d := range 366 {
		note(Date(time.Date(2028, 1, 1+d, 0, 0, 0, 0, time.UTC)))
	}
	day := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for m := range 24 * 60 {
		note(TimeOfDay(day.Add(time.Duration(m) * time.Minute)))
	}
	for _, n := range []int{1, 2} {
		for _, u := range []Unit{Minutes, Hours, Days, Calls} {
			note(Count(n, u))
		}
	}
	note(In(time.Hour))
	note(When(day, day))
	note(When(day.AddDate(0, 0, 1), day))
	note(Phone("+6281234567890"))
	delete(used, "")
	return used
}

func TestGroupsHaveTwoToFourDigitsAndLoseNone(t *testing.T) {
	for n := range maxPhoneDigits + 5 {
		number := strings.Repeat("6", n)
		for _, s := range []string{number, "+" + number} {
			got := groups(s)
			if joined := strings.Join(got, ""); joined != number[:min(n, maxPhoneDigits)] {
				t.Errorf("%q became %v", s, got)
			}
			for i, g := range got {
				if len(g) > 4 || len(g) < 2 && n > 5 && i > 0 {
					t.Errorf("%q: %v", s, fmt.Sprint(got))
				}
			}
		}
	}
}
