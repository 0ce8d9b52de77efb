package graph

import "errors"

// The limits of a webhook body.
const (
	maxDepth   = 32
	maxUpdates = 1000 // Meta's own limit per POST (§5.3)
	maxErrors  = 8    // errors kept of one event
	// maxRestrictions are kept of one event or answer; Meta knows three kinds.
	maxRestrictions = 8
	maxID           = 512
	maxSDP          = 16 << 10
)

var (
	// ErrBody says that a webhook body is not the JSON object a webhook is.
	ErrBody = errors.New("webhook body is not a webhook")
	// ErrDepth says that it nests too deeply.
	ErrDepth = errors.New("webhook body nests too deeply")
	// ErrUpdates says that it holds more updates than Meta ever sends.
	ErrUpdates = errors.New("webhook body holds too many updates")
)

// tooDeep looks at nesting before anything is decoded, so that no decoder recurses where a stranger leads it.
func tooDeep(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
