package appliance

import (
	"io"
	"log/slog"
	"time"
)

// NewLogger returns the process's logger: one line per event, times in UTC, each class of line limited. A class is a
// level and a message, since messages are constants and facts are attributes.
func NewLogger(w io.Writer, c LogConfig) *slog.Logger {
	opts := &slog.HandlerOptions{Level: logLevel(c.Level), ReplaceAttr: utc}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if c.Format == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(newLimiter(h, time.Now))
}

func logLevel(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // Validate has refused it before; never lose lines over it
	}
	return l
}

func utc(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// Number is a telephone number or another stable name of a person. In a log it shows its last three characters only.
type Number string

// LogValue masks the number.
func (n Number) LogValue() slog.Value { return slog.StringValue(n.Mask()) }

// Mask is the number as it may be shown to those who need not know it.
func (n Number) Mask() string {
	if n == "" {
		return ""
	}
	r := []rune(string(n))
	if len(r) <= 5 {
		return "***" // an extension, or too short to hide anything behind three digits
	}
	return "***" + string(r[len(r)-3:])
}
