package sip

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on text that came from people or peers (reliability.md, input limits).
const (
	maxDisplay = 128 // runes of a display name
	maxText    = 256 // bytes of header text kept
	maxID      = 128 // bytes of a Call-ID or tag
)

// cleanText makes text safe for a header value: valid UTF-8, no control characters (so no CR or LF), no bidi overrides,
// at most n runes. Everything people can choose passes here before it enters a message.
func cleanText(s string, n int) string {
	var b strings.Builder
	count := 0
	for _, r := range strings.ToValidUTF8(s, "") {
		if unicode.IsControl(r) || isBidi(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			continue
		}
		if count++; count > n {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

func isBidi(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f'
}

// quoteText escapes for the inside of a quoted-string (RFC 3261 §25.1).
func quoteText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
}

// displayName is a profile name as it may stand between the quotes of a From header.
func displayName(s string) string { return quoteText(cleanText(s, maxDisplay)) }

// headerText is user-made text as it may stand as a whole header value.
func headerText(s string) string {
	s = cleanText(s, maxText)
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// userPart escapes text for the user part of a SIP URI (RFC 3261 §25.1 user).
func userPart(s string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	s = headerText(s)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', strings.IndexByte("-_.!~*'()+$", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// dialled is the user part of a Request-URI as the dial plan sees it: %-escapes decoded, parameters of a telephone
// subscriber ("+49301;phone-context=…") and visual separators removed.
func dialled(user string) string {
	user, _, _ = strings.Cut(user, ";")
	var b strings.Builder
	for i := 0; i < len(user) && b.Len() < maxID; i++ {
		c := user[i]
		if c == '%' && i+2 < len(user) {
			hi, lo := unhex(user[i+1]), unhex(user[i+2])
			if hi < 16 && lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		b.WriteByte(c)
	}
	s := cleanText(b.String(), maxID)
	if strings.Trim(s, "+0123456789-.() ") == "" {
		s = strings.NewReplacer("-", "", ".", "", "(", "", ")", "", " ", "").Replace(s)
	}
	return s
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
