package sip

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	msg "github.com/emiago/sipgo/sip"
	"golang.org/x/time/rate"
)

// sipgo logs whole messages when it cannot parse them, at error level and without a limit, partly through a package-wide
// logger that only init may set safely. libraryLog stands in between: it drops message text, cuts and escapes the rest,
// lowers the level (a stranger's rubbish is nobody's alarm) and lets ten lines a second through.
type libraryLog struct {
	limit *rate.Limiter
}

// libraryOut is where the library's lines go: the logger of the endpoint made last. Two in one process (tests) share it.
var libraryOut atomic.Pointer[slog.Logger]

var libraryLimit = rate.NewLimiter(10, 10)

func init() {
	msg.SetDefaultLogger(newLibraryLogger())
	// Answers to a UDP request must go over UDP whatever their size (RFC 3261 §18.2.2), and sipgo refuses beyond this
	// number. Requests are kept under 1300 bytes, or sent over TCP, by Endpoint.pick.
	msg.UDPMTUSize = 65_000
}

func newLibraryLogger() *slog.Logger { return slog.New(libraryLog{limit: libraryLimit}) }

// Enabled implements slog.Handler. Debug lines of the library are never wanted.
func (libraryLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h libraryLog) Handle(ctx context.Context, r slog.Record) error {
	out := libraryOut.Load()
	if out == nil || !h.limit.Allow() {
		return nil
	}
	attrs := make([]slog.Attr, 0, r.NumAttrs()+1)
	attrs = append(attrs, slog.String("library", cut(r.Message)))
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "error", "laddr", "raddr", "network", "method":
			attrs = append(attrs, slog.String(a.Key, cut(a.Value.String())))
		}
		return len(attrs) < 6
	})
	out.LogAttrs(ctx, slog.LevelDebug, "SIP library", attrs...)
	return nil
}

// cut keeps the beginning: errors of the library quote the line they failed at.
func cut(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	return cleanText(s, 80)
}

// WithAttrs implements slog.Handler.
func (h libraryLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h libraryLog) WithGroup(string) slog.Handler { return h }
