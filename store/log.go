package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// badgerLog gives Badger's lines to slog, one level down: what an operator must act on, the guards say in their words.
type badgerLog struct{ l *slog.Logger }

func (b badgerLog) say(level slog.Level, format string, args []any) {
	if !b.l.Enabled(context.Background(), level) {
		return
	}
	b.l.Log(context.Background(), level, "badger", "text", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (b badgerLog) Errorf(f string, a ...any)   { b.say(slog.LevelWarn, f, a) }
func (b badgerLog) Warningf(f string, a ...any) { b.say(slog.LevelInfo, f, a) }
func (b badgerLog) Infof(f string, a ...any)    { b.say(slog.LevelDebug, f, a) }
func (b badgerLog) Debugf(string, ...any)       {}
