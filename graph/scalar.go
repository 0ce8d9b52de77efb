package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The scalars of Meta's JSON, read generously (§0): none of them ever fails, a value of the wrong kind reads as zero.

// text accepts a string or a number.
type text string

func (t *text) UnmarshalJSON(b []byte) error { *t = text(scalar(b)); return nil }

// num accepts a number or a numeric string, fractions cut off.
type num int64

func (n *num) UnmarshalJSON(b []byte) error {
	s := scalar(b)
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = num(i)
	} else if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e18 && f < 1e18 {
		*n = num(f)
	}
	return nil
}

// time reads n as seconds since 1970; zero, negative and anything after 2286 (milliseconds, most likely) is no time.
func (n num) time() time.Time {
	if n <= 0 || n > 9_999_999_999 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

// flag accepts true, "true", 1 and "1".
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	s := strings.ToLower(scalar(b))
	*f = s == "true" || s == "1"
	return nil
}

// enum accepts a string or a list of one, in any case, and holds it in upper case.
type enum string

func (e *enum) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		var list []json.RawMessage
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		if len(list) == 0 {
			return nil
		}
		b = list[0]
	}
	*e = enum(strings.ToUpper(clip(scalar(b), 128)))
	return nil
}

// scalar returns a JSON string's text or a literal as written; "" for null, objects and lists.
func scalar(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == '{' || b[0] == '[' || bytes.Equal(b, []byte("null")) {
		return ""
	}
	if b[0] != '"' {
		return string(b)
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}

// isTypeError: a field had another type than ours. Decoding went on past it and the rest is good, so it is no failure.
func isTypeError(err error) bool {
	_, ok := errors.AsType[*json.UnmarshalTypeError](err)
	return ok
}

// clip cuts s to n bytes at a character boundary and makes it valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// digits keeps the digits of a phone number, "" when what is left cannot be one (E.164: at most 15).
func digits(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && i < 64; i++ {
		if s[i] >= '0' && s[i] <= '9' {
			b.WriteByte(s[i])
		}
	}
	if b.Len() == 0 || b.Len() > 15 {
		return ""
	}
	return b.String()
}

// segment makes an ID safe as one path segment.
func segment(id string) string { return url.PathEscape(id) }
