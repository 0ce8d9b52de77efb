package ivr

import (
	"fmt"
	"strings"
	"time"
)

// A word is one prompt to play and the pause after it; a pause of -1 is what the prompt's own text asks for.
type word struct {
	id    string
	pause time.Duration
}

// The pauses, by the sign a text ends with.
const (
	pauseWord  = 30 * time.Millisecond // none: words of one phrase
	pauseComma = 180 * time.Millisecond
	pauseStop  = 350 * time.Millisecond
	own        = -1
)

// grammar is how a language puts prompts together. The functions are pure.
type grammar struct {
	hundredAnd bool // "two hundred and five"
	plural     bool
	time       func(at time.Time) []string
	in         func(count []string) []string
}

// Languages are the languages there are built-in prompts in. The first is spoken when another is asked for.
var Languages = []string{"en", "id"}

var grammars = map[string]grammar{
	"en": {hundredAnd: true, plural: true, time: englishTime, in: func(count []string) []string { return append([]string{"time.in"}, count...) }},
	"id": {time: indonesianTime, in: func(count []string) []string { return append(count, "time.later") }},
}

// words puts one part together. Names are not of its making: the library knows whether there is a recording.
func (g grammar) words(p Part) []word {
	switch p.kind {
	case partPrompt:
		return []word{{p.id, own}}
	case partNumber:
		return phrase(g.number(p.n))
	case partPhone:
		return phone(p.id)
	case partDate:
		return phrase(g.date(p.at))
	case partTime:
		return phrase(g.time(p.at))
	case partWhen:
		return phrase(g.when(p.at, p.now))
	case partCount:
		return phrase(g.count(p.n, Unit(p.id)))
	case partIn:
		n, u := span(p.length)
		return phrase(g.in(g.count(n, u)))
	case partStop:
		return []word{{"", pauseStop}}
	}
	return nil
}

func phrase(ids []string) []word {
	w := make([]word, len(ids))
	for i, id := range ids {
		w[i] = word{id, own}
	}
	return w
}

// number says a cardinal. Both languages count alike, but for the "and" and for the one hundred and one thousand that have
// words of their own in Indonesian (seratus, seribu).
func (g grammar) number(n int) []string {
	if n < 0 || n > 9999 {
		return digits(fmt.Sprint(n))
	}
	var ids []string
	if t := n / 1000; t == 1 {
		ids = append(ids, "n.1000")
	} else if t > 1 {
		ids = append(ids, atom(t), "thousand")
	}
	if h := n / 100 % 10; h == 1 {
		ids = append(ids, "n.100")
	} else if h > 1 {
		ids = append(ids, atom(h), "hundred")
	}
	rest := n % 100
	if rest == 0 && n > 0 {
		return ids
	}
	if len(ids) > 0 && g.hundredAnd {
		ids = append(ids, "n.and")
	}
	if rest <= 20 || rest%10 == 0 {
		return append(ids, atom(rest))
	}
	return append(ids, atom(rest-rest%10), atom(rest%10))
}

func atom(n int) string { return fmt.Sprintf("n.%d", n) }

func digits(s string) []string {
	var ids []string
	for _, c := range s {
		if c >= '0' && c <= '9' {
			ids = append(ids, atom(int(c-'0')))
		}
	}
	return ids
}

func (g grammar) count(n int, u Unit) []string {
	unit := "unit." + string(u)
	if g.plural && n != 1 {
		unit += "s"
	}
	return append(g.number(n), unit)
}

// span rounds a wait up to what people say.
func span(d time.Duration) (n int, u Unit) {
	up := func(unit time.Duration) int { return max(int((d+unit-1)/unit), 1) }
	switch {
	case d >= 36*time.Hour:
		return up(24 * time.Hour), Days
	case d >= 90*time.Minute:
		return up(time.Hour), Hours
	}
	return up(time.Minute), Minutes
}

func (g grammar) date(at time.Time) []string {
	return []string{fmt.Sprintf("day.%d", at.Weekday()), fmt.Sprintf("date.%d", at.Day()), fmt.Sprintf("month.%d", at.Month())}
}

func (g grammar) when(at, now time.Time) []string {
	at = at.In(now.Location())
	y, m, d := now.Date()
	switch ay, am, ad := at.Date(); {
	case ay == y && am == m && ad == d:
		return append([]string{"today"}, g.time(at)...)
	// The calendar's next day, whether it is 23, 24 or 25 hours long.
	case time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).Equal(time.Date(ay, am, ad, 0, 0, 0, 0, time.UTC)):
		return append([]string{"tomorrow"}, g.time(at)...)
	}
	return append(g.date(at), g.time(at)...)
}

// englishTime: "at eight a.m.", "at two thirty p.m.", "at nine oh five a.m.", "at noon".
func englishTime(at time.Time) []string {
	h, m := at.Hour(), at.Minute()
	switch {
	case h == 0 && m == 0:
		return []string{"time.at", "time.midnight"}
	case h == 12 && m == 0:
		return []string{"time.at", "time.noon"}
	}
	ids := []string{"time.at", atom((h+11)%12 + 1)}
	if m > 0 && m < 10 {
		ids = append(ids, "time.oh")
	}
	if m > 0 {
		ids = append(ids, grammar{}.number(m)...)
	}
	if h < 12 {
		return append(ids, "time.am")
	}
	return append(ids, "time.pm")
}

// indonesianTime: "pukul delapan", "pukul empat belas lewat tiga puluh menit".
func indonesianTime(at time.Time) []string {
	h, m := at.Hour(), at.Minute()
	if h == 0 && m == 0 {
		return []string{"time.midnight"}
	}
	ids := append([]string{"time.at"}, grammar{}.number(h)...)
	if m > 0 {
		ids = append(ids, "time.past")
		ids = append(ids, grammar{}.number(m)...)
		ids = append(ids, "time.minutes")
	}
	return ids
}

// maxPhoneDigits bounds how long a number is recited: E.164 has at most 15 digits, an alias 20.
const maxPhoneDigits = 20

// phone says a number in groups with a pause between them.
func phone(number string) []word {
	var w []word
	if strings.HasPrefix(number, "+") {
		w = append(w, word{"plus", own})
	}
	for _, group := range groups(number) {
		for _, id := range digits(group) {
			w = append(w, word{id, pauseWord})
		}
		w[len(w)-1].pause = pauseComma
	}
	return w
}

// twoDigitCodes are the country codes of two digits (ITU-T E.164); 1 and 7 have one, all others three.
const twoDigitCodes = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"

// groups cuts a number into what is said in one breath: the country code of an international number, then groups of three
// and four with the longer ones last.
func groups(number string) []string {
	d := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	d = d[:min(len(d), maxPhoneDigits)]
	var out []string
	if strings.HasPrefix(number, "+") && len(d) > 6 {
		n := 3
		switch {
		case d[0] == '1' || d[0] == '7':
			n = 1
		case strings.Contains(twoDigitCodes, d[:2]):
			n = 2
		}
		out, d = append(out, d[:n]), d[n:]
	}
	for k := (len(d) + 3) / 4; k > 0; k-- {
		n := len(d) / k
		out, d = append(out, d[:n]), d[n:]
	}
	return out
}
