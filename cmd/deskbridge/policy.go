package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"deskbridge/appliance"
)

func policyCommand(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	line := c.flags.String("line", "", "the `line` that would call")
	customer := c.flags.String("customer", "", "the customer: `number` with country code, alias, or the customer ID of a record")
	at := c.flags.String("at", "", "decide for this `time` instead of now, as 2026-11-30T09:00:00+07:00")
	call := c.flags.String("call", "", "tell why the call with this `ID` was allowed or refused, from the ledger alone")
	live := c.flags.Bool("live", false, "ask WhatsApp, as a call would")
	asJSON := c.flags.Bool("json", false, "print everything as JSON")
	verb := c.verb()
	if err := c.parse(0); err != nil {
		return err
	}
	if verb != "explain" || *call == "" && (*line == "" || *customer == "") {
		c.flags.Usage()
		return errUsage
	}
	q := appliance.ExplainQuery{Line: *line, Customer: *customer, Live: *live}
	if *at != "" {
		var err error
		if q.At, err = time.Parse(time.RFC3339, *at); err != nil {
			fmt.Fprintf(c.err, "deskbridge: --at %q is no time: write it as 2026-11-30T09:00:00+07:00\n", *at)
			return errUsage
		}
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	var e appliance.Explanation
	if *call != "" {
		e, err = daemon.ExplainCall(ctx, *call)
	} else {
		e, err = daemon.Explain(ctx, q)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	}
	printExplanation(c.out, e)
	return nil
}

func printExplanation(w io.Writer, e appliance.Explanation) {
	zone, err := time.LoadLocation(e.Zone)
	if err != nil {
		zone = time.UTC
	}
	show := func(t time.Time) string { return t.In(zone).Format("Mon 2006-01-02 15:04:05 MST") }
	d := e.Decision
	answer := "no"
	if d.Allowed {
		answer = "yes"
	}
	fmt.Fprintf(w, "may line %s call customer %s (%s)?  %s\n", orDash(e.Line), orDash(e.Customer), orDash(e.Number), answer)
	fmt.Fprintf(w, "at          %s\nrule        %s\n", show(e.At), d.Rule)
	if d.Sentence != "" {
		fmt.Fprintf(w, "because     %s\n", d.Sentence)
	}
	if !d.NextAllowed.IsZero() {
		fmt.Fprintf(w, "next        %s\n", show(d.NextAllowed))
	}
	var can []string
	for _, a := range d.Possible {
		can = append(can, strings.ReplaceAll(string(a), "_", " "))
	}
	if len(can) > 0 {
		fmt.Fprintf(w, "possible    %s\n", strings.Join(can, ", "))
	}
	fmt.Fprintf(w, "permission  %s", e.Permission.Standing)
	if !e.Permission.Expires.IsZero() {
		fmt.Fprintf(w, ", until %s", show(e.Permission.Expires))
	}
	fmt.Fprintln(w)
	if !e.Window.IsZero() {
		fmt.Fprintf(w, "messages    free text until %s\n", show(e.Window))
	}
	for _, n := range d.Counters {
		window := "in a row"
		if n.Window > 0 {
			window = "in " + days(n.Window)
		}
		fmt.Fprintf(w, "counted     %s (%s): %d of %d %s\n", n.Name, n.Scope, n.Used, n.Max, window)
	}
	if e.Replayed != nil {
		fmt.Fprintf(w, "replayed    the stored facts give the same decision: %t\n", *e.Replayed)
	}
	if len(e.History) > 0 {
		fmt.Fprintln(w, "\nfacts, newest last")
	}
	for _, h := range e.History {
		fmt.Fprintf(w, "  %8d  %s  %s %s\n", h.Seq, show(h.At), h.Kind, h.Outcome)
	}
}

func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 && d > 24*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}
