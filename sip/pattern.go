package sip

import "strings"

// pattern is a TrunkConfig.DialPattern. There is no way to a number outside the company (design §6): what no pattern
// names cannot be dialled.
type pattern []string

const defaultPattern = "X,XX,XXX,XXXX,XXXXX,XXXXXX"

func parsePattern(s string) pattern {
	if strings.TrimSpace(s) == "" {
		s = defaultPattern
	}
	var p pattern
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			p = append(p, part)
		}
	}
	return p
}

func (p pattern) match(s string) bool {
	for _, one := range p {
		if one == s || matchDigits(one, s) {
			return true
		}
	}
	return false
}

func matchDigits(p, s string) bool {
	for i := 0; i < len(p); i++ {
		if p[i] == '.' && i == len(p)-1 {
			return s != "" && strings.Trim(s, "0123456789") == ""
		}
		if s == "" || !matchOne(p[i], s[0]) {
			return false
		}
		s = s[1:]
	}
	return s == ""
}

func matchOne(p, c byte) bool {
	switch p {
	case 'X':
		return c >= '0' && c <= '9'
	case 'Z':
		return c >= '1' && c <= '9'
	case 'N':
		return c >= '2' && c <= '9'
	}
	return p == c && (c >= '0' && c <= '9' || c == '+' || c == '*' || c == '#')
}
