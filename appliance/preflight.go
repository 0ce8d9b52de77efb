package appliance

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Result is what a preflight check found.
type Result string

// The results. A warning does not fail the preflight; skipped says that the check could not prove anything here.
const (
	ResultOK      Result = "ok"
	ResultWarning Result = "warning"
	ResultProblem Result = "PROBLEM"
	ResultSkipped Result = "skipped"
)

// Finding is what one check says: what was found, and what to do about it.
type Finding struct {
	Result Result
	Detail string
	Fix    string
}

// Check is one thing that must be so before the daemon can do its work. Run proves it, by doing it where it can.
type Check struct {
	Name string
	Run  func(ctx context.Context) Finding
}

// checkTimeout bounds each check: a dead DNS server must not make the whole report wait.
const checkTimeout = 8 * time.Second

func ok(format string, args ...any) Finding {
	return Finding{Result: ResultOK, Detail: fmt.Sprintf(format, args...)}
}

func warning(fix, format string, args ...any) Finding {
	return Finding{Result: ResultWarning, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func problem(fix, format string, args ...any) Finding {
	return Finding{Result: ResultProblem, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func skipped(format string, args ...any) Finding {
	return Finding{Result: ResultSkipped, Detail: fmt.Sprintf(format, args...)}
}

// Preflight returns the checks for a configuration, in the order they are best read.
func Preflight(c *Config) []Check {
	return []Check{
		{"libopus", checkOpus},
		{"data folder", func(context.Context) Finding { return checkDataDir(c.DataDir) }},
		{"disk space", func(context.Context) Finding { return checkDisk(c.DataDir) }},
		{"listeners", func(ctx context.Context) Finding { return checkListeners(ctx, c) }},
		{"media ports", func(ctx context.Context) Finding { return checkMediaPorts(ctx, c) }},
		{"addresses", func(context.Context) Finding { return checkAddresses(c) }},
		{"open files", func(context.Context) Finding { return checkFiles(c.Calls.Max) }},
		{"clock", func(context.Context) Finding { return checkClock(time.Now()) }},
		{"webhook certificate", func(context.Context) Finding { return checkCertificate(c.Webhook.TLS, time.Now()) }},
		{"hold music", func(context.Context) Finding { return checkMusic(c.Media.HoldMusic) }},
		{"Graph API", func(ctx context.Context) Finding { return checkGraph(ctx, c.Graph.BaseURL) }},
	}
}

// RunChecks runs the checks in order, writes a line about each to w, and returns how many found a problem.
func RunChecks(ctx context.Context, checks []Check, w io.Writer) (problems int) {
	for _, c := range checks {
		checkCtx, cancel := context.WithTimeout(ctx, checkTimeout)
		f := c.Run(checkCtx)
		cancel()
		if f.Result == ResultProblem {
			problems++
		}
		_, _ = fmt.Fprintf(w, "%-8s %s: %s\n", f.Result, c.Name, f.Detail)
		if f.Fix != "" && f.Result != ResultOK {
			_, _ = fmt.Fprintf(w, "         fix: %s\n", f.Fix)
		}
	}
	return problems
}
