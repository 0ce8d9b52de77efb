package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"deskbridge/appliance"
	"deskbridge/frontdesk"
)

func lineCommand(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	file := c.flags.String("f", "", "holidays: calendar `file` (ICS); - reads standard input")
	verb := c.verb()
	name := c.verb()
	if err := c.parse(1); err != nil {
		return err
	}
	if name == "" {
		name = c.flags.Arg(0)
	}
	if name == "" || verb != "status" && verb != "apply" && verb != "adopt" && (verb != "holidays" || *file == "") {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if verb == "adopt" || verb == "holidays" {
		changes, err := adoptOrImport(ctx, daemon, verb, name, *file)
		if err != nil {
			return err
		}
		for _, ch := range changes {
			fmt.Fprintln(c.out, ch)
		}
		if len(changes) == 0 {
			fmt.Fprintln(c.out, "Nothing changes.")
		}
		return nil
	}
	st, err := daemon.LineAtMeta(ctx, name, verb == "apply")
	if err != nil {
		return err
	}
	printLine(c.out, name, st)
	if len(st.Differences) > 0 {
		return errProblems
	}
	return nil
}

func adoptOrImport(ctx context.Context, d *appliance.ControlClient, verb, name, file string) ([]appliance.Change, error) {
	if verb == "adopt" {
		return d.AdoptFromMeta(ctx, name)
	}
	calendar, err := openDocument(file)
	if err != nil {
		return nil, err
	}
	defer calendar.Close()
	return d.ImportHolidays(ctx, name, calendar)
}

func printLine(w io.Writer, name string, st frontdesk.MetaState) {
	a := st.Actual
	fmt.Fprintf(w, "line %s at WhatsApp, as of %s\n", name, st.At.Local().Format("2006-01-02 15:04:05"))
	for _, row := range [][2]string{
		{"calling", a.Status}, {"icons", a.Icons}, {"callback permission", a.Callback}, {"SIP at Meta", a.SIP}, {"voicemail at Meta", a.Voicemail},
	} {
		fmt.Fprintf(w, "  %-20s %s\n", row[0], orDash(row[1]))
	}
	for _, r := range a.Restrictions {
		until := "until an admin at Meta lifts it"
		if !r.Expires.IsZero() {
			until = "until " + r.Expires.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "  RESTRICTED           %s %s\n", r.Type, until)
	}
	if st.HoursProblem != "" {
		fmt.Fprintf(w, "  hours                cannot be held by Meta, they are enforced here: %s\n", st.HoursProblem)
	}
	if len(st.Differences) == 0 {
		fmt.Fprintln(w, "Everything there is as the settings want it.")
		return
	}
	fmt.Fprintln(w, "not as the settings want it:")
	for _, d := range st.Differences {
		fmt.Fprintf(w, "  %-28s wanted %s, there %s\n", d.Field, d.Wanted, d.Actual)
		if d.Fix != "" {
			fmt.Fprintf(w, "    %s\n", d.Fix)
		}
	}
	fmt.Fprintf(w, "Put ours in force there: deskbridge line apply %[1]s. Take theirs over: deskbridge line adopt %[1]s.\n", name)
}
