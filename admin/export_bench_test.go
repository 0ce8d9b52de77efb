package admin

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// go test ./admin -run xxx -bench Export/xlsx -rows 1000000 -benchtime 1x
var exportRows = flag.Int("rows", 20_000, "rows of BenchmarkExport")

// endless gives pages of the same call.
type endless struct {
	CallStore
	left int
}

func (e *endless) SearchCalls(_ context.Context, q CallQuery) (p CallPage, _ error) {
	c := endedCall("01hq3v9k7m2n4p6r8s0t1w3x", "phone:1001")
	for range min(q.Limit, e.left) {
		p.Calls = append(p.Calls, c)
	}
	if e.left -= len(p.Calls); e.left > 0 {
		p.Next = "more"
	}
	return p, nil
}

func BenchmarkExport(b *testing.B) {
	r := newRig(b)
	for _, format := range []string{"csv", "json", "xlsx"} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.s.calls = &endless{left: *exportRows}
				out, err := newRowWriter(format, io.Discard)
				r.must(err)
				names, err := r.s.names(b.Context())
				r.must(err)
				for q := (CallQuery{Limit: exportPage}); ; {
					p, err := r.s.calls.SearchCalls(b.Context(), q)
					r.must(err)
					for _, c := range p.Calls {
						r.must(out.row(names.view(c, r.clock.now())))
					}
					if q.After = p.Next; p.Next == "" {
						break
					}
				}
				r.must(out.close())
			}
			text, err := os.ReadFile("/proc/self/status")
			r.must(err)
			_, rest, _ := strings.Cut(string(text), "VmHWM:")
			var kb float64
			_, err = fmt.Sscanf(rest, "%f kB", &kb)
			r.must(err)
			b.ReportMetric(kb/1024, "MB-rss-peak")
		})
	}
}
