package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"deskbridge/appliance"
)

// recordingFlags are the flags of every verb of the recording command; each verb looks at those that concern it.
type recordingFlags struct {
	config, line, agent, customer, call, since, before *string
	held, everything, force                            *bool
	format, output, file, identity, reason             *string
	ttl                                                *time.Duration
}

// verbs of the recording command.
var recordingVerbs = map[string]func(context.Context, *invocation, *recordingFlags, []string) error{
	"list": recordingList, "export": recordingExport, "verify": recordingVerify, "hold": recordingHold, "release": recordingRelease,
	"erase": recordingErase, "link": recordingLink, "claim": recordingClaim, "confirm-clock": recordingClock, "rotate-key": recordingRotate,
}

// recording runs one verb. Flags may stand before and after IDs.
func recording(ctx context.Context, c *invocation) error {
	f := &recordingFlags{
		config: c.configFlag(), line: c.flags.String("line", "", "only recordings of this `line`"),
		agent:    c.flags.String("agent", "", "only recordings of this `agent`, such as phone:1001"),
		customer: c.flags.String("customer", "", "only recordings of this customer: `ID`, number or alias"),
		call:     c.flags.String("call", "", "only recordings of this `call`, also those whose file is gone"),
		since:    c.flags.String("since", "", "only recordings begun on or after this `day` (2026-11-28) or time"),
		before:   c.flags.String("before", "", "only recordings begun before this `day` or time"),
		held:     c.flags.Bool("held", false, "only recordings under a legal hold"),
		format:   c.flags.String("format", "ogg", "export: ogg (stereo Opus), wav, wav48, customer, agent"),
		output:   c.flags.String("o", "", "export: output `file`, folder, or - for standard output; default: this folder"),
		file:     c.flags.String("file", "", "export: a sealed `file` instead of the daemon's recordings"),
		identity: c.flags.String("identity", "", "export: age key `file` that opens --file; default: the appliance's own keys"),
		reason:   c.flags.String("reason", "", "hold: why, such as a case number"),
		ttl:      c.flags.Duration("for", time.Hour, "link: how long it works, at most 168h"),

		everything: c.flags.Bool("everything", false, "erase: also the customer's number, name and texts"),
		force:      c.flags.Bool("yes", false, "erase: do not ask"),
	}
	if len(c.args) == 0 || recordingVerbs[c.args[0]] == nil {
		if len(c.args) > 0 && (c.args[0] == "-h" || c.args[0] == "--help") {
			c.flags.Usage()
			return flag.ErrHelp
		}
		c.flags.Usage()
		return errUsage
	}
	verb, rest := c.args[0], c.args[1:]
	var ids []string
	for {
		c.args = rest
		if err := c.parse(len(rest)); err != nil {
			return err
		}
		if c.flags.NArg() == 0 {
			break
		}
		ids, rest = append(ids, c.flags.Arg(0)), c.flags.Args()[1:]
	}
	return recordingVerbs[verb](ctx, c, f, ids)
}

// query is what the filter flags say.
func (f *recordingFlags) query(c *invocation) (q appliance.RecordingQuery, err error) {
	q = appliance.RecordingQuery{Line: *f.line, Agent: *f.agent, Customer: *f.customer, Call: *f.call, Held: *f.held}
	for _, t := range []struct {
		name, text string
		at         *time.Time
	}{{"since", *f.since, &q.Since}, {"before", *f.before, &q.Before}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = parseDay(t.text); err != nil {
			fmt.Fprintf(c.err, "deskbridge: --%s %q is neither a day such as 2026-11-28 nor a time such as 2026-11-28T15:04:05+07:00\n", t.name, t.text)
			return q, errUsage
		}
	}
	return q, nil
}

// parseDay reads a day in this machine's zone, or a time.
func parseDay(text string) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

// each visits every recording the filters select, newest first.
func (f *recordingFlags) each(ctx context.Context, c *invocation, daemon *appliance.ControlClient, visit func(appliance.Recording) error) error {
	q, err := f.query(c)
	if err != nil {
		return err
	}
	for {
		page, err := daemon.Recordings(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range page.Recordings {
			if err := visit(r); err != nil {
				return err
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

func recordingList(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if err := c.noArguments(ids); err != nil {
		return err
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	n := 0
	err = f.each(ctx, c, daemon, func(r appliance.Recording) error {
		if n == 0 {
			fmt.Fprintf(c.out, "%-32s  %-19s  %8s  %8s  %-9s  %-12s  %-16s  %s\n", "RECORDING", "STARTED", "SECONDS", "KIB", "STATE", "LINE", "AGENT", "CALL")
		}
		n++
		fmt.Fprintf(c.out, "%-32s  %-19s  %8.1f  %8d  %-9s  %-12s  %-16s  %s\n", r.ID, r.StartedAt.Local().Format(time.DateTime), r.Duration.Seconds(),
			(r.Bytes+1023)>>10, stateWord(r), r.Line, orDash(r.Agent), r.Call)
		return nil
	})
	if err == nil && n == 0 {
		fmt.Fprintln(c.out, "No recordings.")
	}
	return err
}

func stateWord(r appliance.Recording) string {
	switch {
	case r.Held:
		return "held"
	case r.State == appliance.RecordingFinished && r.CopiedTo != "":
		return "copied"
	}
	return string(r.State)
}

func (c *invocation) noArguments(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	fmt.Fprintf(c.err, "deskbridge: unexpected argument %q\n", ids[0])
	return errUsage
}

// oneEach does something with each recording named.
func oneEach(c *invocation, f *recordingFlags, ids []string, word string, do func(*appliance.ControlClient, string) error) error {
	if len(ids) == 0 {
		fmt.Fprintln(c.err, "deskbridge: name at least one recording; deskbridge recording list shows them")
		return errUsage
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := do(daemon, id); err != nil {
			return fmt.Errorf("recording %s: %w", id, err)
		}
		fmt.Fprintf(c.out, "%s %s\n", id, word)
	}
	return nil
}

func recordingHold(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	return oneEach(c, f, ids, "held", func(d *appliance.ControlClient, id string) error { return d.HoldRecording(ctx, id, *f.reason) })
}

func recordingRelease(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	return oneEach(c, f, ids, "released", func(d *appliance.ControlClient, id string) error { return d.ReleaseRecording(ctx, id) })
}

func recordingVerify(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		err = f.each(ctx, c, daemon, func(r appliance.Recording) error {
			if r.State == appliance.RecordingFinished {
				ids = append(ids, r.ID)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	bad := 0
	for _, id := range ids {
		bar := newBar(c.err, id)
		rep, err := daemon.VerifyRecording(ctx, id, bar.at)
		bar.clear()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			bad++
			fmt.Fprintf(c.out, "%s  cannot be verified: %v\n", id, err)
			continue
		case rep.Verdict == "damaged" || !rep.HashOK || !rep.Opened:
			bad++
		}
		fmt.Fprintf(c.out, "%s  %s\n", id, verdictLine(rep))
	}
	if bad > 0 {
		fmt.Fprintf(c.out, "%d of %d recordings are not as they were made.\n", bad, len(ids))
		return errProblems
	}
	fmt.Fprintf(c.out, "%d recordings are as they were made.\n", len(ids))
	return nil
}

func verdictLine(r appliance.RecordingReport) string {
	text := fmt.Sprintf("%s, %.1f s, %d packets, %d lost, ended: %s", r.Verdict, r.Duration.Seconds(), r.Packets, r.Lost, r.Ended)
	if !r.Opened {
		text += "; no key here opens it"
	}
	if !r.HashOK {
		text += "; its SHA-256 is not the ledger's"
	}
	if r.First != "" {
		text += fmt.Sprintf("; %d faults, first: %s", r.Faults, r.First)
	}
	return text
}

func recordingErase(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if err := c.noArguments(ids); err != nil {
		return err
	}
	if *f.customer == "" {
		fmt.Fprintln(c.err, "deskbridge: name the customer with --customer")
		return errUsage
	}
	if !*f.force {
		fmt.Fprintln(c.err, "deskbridge: erasing cannot be undone; add --yes")
		return errUsage
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	bar := newBar(c.err, "erasing")
	done, err := daemon.EraseRecordings(ctx, *f.customer, *f.everything, bar.at)
	bar.clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d recordings erased.\n", done.Erased)
	if done.Kept > 0 {
		fmt.Fprintf(c.out, "%d stay: they are under a legal hold, or their call is still running.\n", done.Kept)
		return errProblems
	}
	return nil
}

func recordingLink(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if len(ids) != 1 {
		fmt.Fprintln(c.err, "deskbridge: name one recording")
		return errUsage
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	link, err := daemon.LinkRecording(ctx, ids[0], *f.format, *f.ttl)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s\nBelow the address of the admin listener; whoever has it may fetch the recording for %v.\n", link, *f.ttl)
	return nil
}

func recordingClaim(_ context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if err := c.noArguments(ids); err != nil {
		return err
	}
	cfg, err := c.loadConfig(*f.config)
	if err != nil {
		return err
	}
	id, err := appliance.ClaimRecordings(cfg.DataDir, cfg.RecordingsDir())
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s is the recording folder, volume %s. Restart deskbridge to use it.\n", cfg.RecordingsDir(), id)
	return nil
}

func recordingClock(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if err := c.noArguments(ids); err != nil {
		return err
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	if err := daemon.ConfirmClock(ctx); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "The clock (%s) is taken as right; recordings are deleted again when their time is over.\n", time.Now().Format(time.RFC3339))
	return nil
}

func recordingRotate(ctx context.Context, c *invocation, f *recordingFlags, ids []string) error {
	if err := c.noArguments(ids); err != nil {
		return err
	}
	daemon, err := c.daemon(*f.config)
	if err != nil {
		return err
	}
	id, err := daemon.RotateRecordingKey(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "New recordings are sealed under key %s. Back up the keys folder now; the older keys stay in it.\n", id)
	return nil
}

// output is where an export goes: a file that appears whole or not at all, or standard output.
type output struct {
	io.Writer
	file *os.File
	name string
}

func openOutput(c *invocation, to, proposed string) (*output, error) {
	if to == "-" {
		return &output{Writer: c.out}, nil
	}
	name := to
	if info, err := os.Stat(to); to == "" || err == nil && info.IsDir() {
		name = filepath.Join(to, proposed)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*") // 0600
	if err != nil {
		return nil, err
	}
	return &output{f, f, name}, nil
}

// finish keeps the file, or drops it when err is set.
func (o *output) finish(err error) error {
	if o.file == nil {
		return err
	}
	err = errors.Join(err, o.file.Close())
	if err == nil {
		err = os.Rename(o.file.Name(), o.name)
	}
	if err != nil {
		_ = os.Remove(o.file.Name())
	}
	return err
}
