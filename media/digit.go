package media

import "strings"

const digitNames = "0123456789*#ABCD" // RFC 4733 §3.2, by event code

// event returns the RFC 4733 event code.
func (d Digit) event() (byte, bool) {
	i := strings.IndexByte(digitNames, byte(d))
	return byte(i), i >= 0
}

// ParseDigit reads one character as a digit; a–d count as A–D.
func ParseDigit(c byte) (Digit, bool) {
	if c >= 'a' && c <= 'd' {
		c -= 'a' - 'A'
	}
	_, ok := Digit(c).event()
	return Digit(c), ok
}

// String returns the digit's character.
func (d Digit) String() string { return string(rune(d)) }
