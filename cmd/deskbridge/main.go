// Command deskbridge bridges WhatsApp Business calls to the company's SIP phones. This package reads flags, handles
// signals and sets the exit code; everything else is elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"deskbridge/media"
)

// version and revision are set by the linker (make build).
var (
	version  = "dev"
	revision = "unknown"
)

// Exit codes (design §3).
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitProblems = 3
)

// errUsage says that the command line was wrong; the message is already printed.
var errUsage = errors.New("usage")

// errProblems says that a check found problems; they are already printed.
var errProblems = errors.New("problems found")

// command is one sub-command.
type command struct {
	name, args, help string
	run              func(ctx context.Context, c *invocation) error
}

// invocation is one run of a command.
type invocation struct {
	flags *flag.FlagSet
	args  []string
	out   io.Writer
	err   io.Writer
}

var commands = []command{
	{"serve", "--config FILE", "run the daemon", serve},
	{"demo", "[flags]", "run everything on this machine with a simulated WhatsApp: no account, no root, no second program", demo},
	{"selftest", "[flags]", "place one call each way through the real path and check the audio", selftest},
	{"check", "--config FILE", "validate the configuration file and preflight this machine", check},
	{"settings", "export | apply -f FILE | diff -f FILE", "show or change lines, trunks and phones of the running daemon", settings},
	{"line", "status | apply | adopt | holidays -f FILE.ics LINE", "compare a line's settings at WhatsApp with ours, put ours in force there or take theirs over; import holidays from a calendar file", lineCommand},
	{"policy", "explain --line LINE --customer C [--at TIME] | explain --call ID", "tell whether a customer may be called, by which rule, on which facts, and when next", policyCommand},
	{"template", "list | create | delete --line LINE [flags]", "list, create and delete the message templates that calls need", templateCommand},
	{"callback", "list", "list the customers who wait to be called back, the one due first first", callbackCommand},
	{"user", "add [flags] LOGIN | passwd [flags] LOGIN | list", "manage who may sign in to the panel of the running daemon", user},
	{"token", "create --user LOGIN --name NAME --scopes LIST", "make an API token", token},
	{"recording", "list | export | verify | hold | release | erase | link | claim | confirm-clock | rotate-key", "list, export and check recordings; legal holds, erasure, keys", recording},
	{"status", "[--config FILE]", "show what the running daemon is doing", status},
	{"version", "", "show version, commit, Go and libopus", showVersion},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(out)
		if len(args) == 0 {
			return exitUsage
		}
		return exitOK
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		inv := &invocation{flags: flag.NewFlagSet("deskbridge "+c.name, flag.ContinueOnError), args: args[1:], out: out, err: errOut}
		inv.flags.SetOutput(errOut)
		inv.flags.Usage = func() {
			fmt.Fprintf(errOut, "Usage: deskbridge %s %s\n%s\n\n", c.name, c.args, strings.ToUpper(c.help[:1])+c.help[1:]+".")
			inv.flags.PrintDefaults()
		}
		return exitCode(c.run(ctx, inv), errOut)
	}
	fmt.Fprintf(errOut, "deskbridge: there is no command %q; see deskbridge help\n", args[0])
	return exitUsage
}

func exitCode(err error, errOut io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errProblems):
		return exitProblems
	}
	fmt.Fprintf(errOut, "deskbridge: %v\n", err)
	return exitFailed
}

// parse reads the flags. rest is how many plain arguments may follow.
func (c *invocation) parse(rest int) error {
	if err := c.flags.Parse(c.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage // the flag package has said what is wrong
	}
	if c.flags.NArg() > rest {
		fmt.Fprintf(c.err, "deskbridge: unexpected argument %q\n", c.flags.Arg(rest))
		c.flags.Usage()
		return errUsage
	}
	return nil
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "deskbridge bridges WhatsApp Business calls to the company's SIP phones.")
	fmt.Fprintln(w, "\nUsage: deskbridge COMMAND [flags]")
	fmt.Fprintln(w)
	for _, c := range commands {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.help)
	}
	fmt.Fprintln(w, "\nExit codes: 0 ok, 1 failed, 2 usage, 3 check found problems.")
	fmt.Fprintln(w, "deskbridge COMMAND --help explains a command's flags.")
}

func showVersion(_ context.Context, c *invocation) error {
	if err := c.parse(0); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "deskbridge %s\ncommit %s\n%s %s/%s\n%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH, media.OpusVersion())
	return nil
}
