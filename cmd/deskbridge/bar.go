package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	barWidth = 30
	barEvery = 100 * time.Millisecond
)

// bar shows on a terminal how far something is. Elsewhere it shows nothing: what is done is said by a line of its own.
type bar struct {
	w     io.Writer // nil: not a terminal
	label string
	last  time.Time
	drawn bool
}

func newBar(w io.Writer, label string) *bar {
	b := &bar{label: label}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			b.w = w
		}
	}
	return b
}

// at draws the bar, at most ten times a second.
func (b *bar) at(done, of int64) {
	now := time.Now()
	if b.w == nil || of <= 0 || b.drawn && done < of && now.Sub(b.last) < barEvery {
		return
	}
	b.last, b.drawn = now, true
	full := int(min(done, of) * barWidth / of)
	fmt.Fprintf(b.w, "\r[%s%s] %3d %%  %.48s\x1b[K", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), min(done, of)*100/of, b.label)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.drawn {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
