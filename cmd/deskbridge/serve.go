package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"deskbridge/appliance"
)

const defaultConfig = "/etc/deskbridge/deskbridge.yaml"

func (c *invocation) configFlag() *string {
	return c.flags.String("config", defaultConfig, "static configuration `file`")
}

// loadConfig reads the static file and prints every problem it has.
func (c *invocation) loadConfig(path string) (*appliance.Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w; name another file with --config", err)
	}
	defer f.Close()
	cfg, err := appliance.ParseConfig(f, path)
	if err != nil {
		fmt.Fprintln(c.err, err)
		return nil, errProblems
	}
	return cfg, nil
}

func serve(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	if err := c.parse(0); err != nil {
		return err
	}
	cfg, err := c.loadConfig(*path)
	if err != nil {
		return err
	}
	log := appliance.NewLogger(c.err, cfg.Log)
	app, err := appliance.New(cfg, appliance.Options{Version: version, Logger: log})
	if err != nil {
		return err
	}
	if err := app.Start(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return errors.Join(err, app.Stop(stop))
	}
	notify := appliance.NewNotifier()
	if err := notify.Ready(); err != nil {
		log.Warn("systemd could not be told that the service is ready", "err", err)
	}
	watch, endWatch := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := notify.Watch(watch, app.Alive); err != nil {
			log.Warn("systemd watchdog", "err", err)
		}
	}()
	<-ctx.Done()
	log.Info("stopping: no new calls, running ones may finish", "limit", cfg.DrainLimit)
	_ = notify.Stopping()
	err = app.Stop(context.Background())
	endWatch()
	<-watched
	return err
}

func check(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	if err := c.parse(0); err != nil {
		return err
	}
	cfg, err := c.loadConfig(*path)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s is valid.\n", *path)
	if n := appliance.RunChecks(ctx, appliance.Preflight(cfg), c.out); n > 0 {
		return errProblems
	}
	return nil
}

// requestLimit bounds one question to the running daemon.
const requestLimit = 30 * time.Second

// daemon is how to talk to the daemon that runs with this configuration file.
func (c *invocation) daemon(path string) (*appliance.ControlClient, error) {
	cfg, err := c.loadConfig(path)
	if err != nil {
		return nil, err
	}
	return appliance.NewControlClient(cfg.DataDir), nil
}

func settings(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	file := c.flags.String("f", "", "settings document; - reads standard input")
	var verb string
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		verb, c.args = c.args[0], c.args[1:]
	}
	if err := c.parse(0); err != nil {
		return err
	}
	needsFile := verb == "apply" || verb == "diff"
	if verb != "export" && !needsFile || needsFile && *file == "" {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if verb == "export" {
		return daemon.Export(ctx, c.out)
	}
	doc, err := openDocument(*file)
	if err != nil {
		return err
	}
	defer doc.Close()
	do := daemon.Diff
	if verb == "apply" {
		do = daemon.Apply
	}
	changes, err := do(ctx, *file, doc)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		fmt.Fprintln(c.out, ch)
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(c.out, "Nothing changes.")
	case verb == "apply":
		fmt.Fprintf(c.out, "%d changes are in force.\n", len(changes))
	default:
		fmt.Fprintf(c.out, "%d changes would be made.\n", len(changes))
	}
	return nil
}

func openDocument(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	return os.Open(name)
}

func status(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	if err := c.parse(0); err != nil {
		return err
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	s, err := daemon.Status(ctx)
	if err != nil {
		return err
	}
	calls, err := daemon.Calls(ctx)
	if err != nil {
		return err
	}
	printStatus(c.out, s, calls)
	return nil
}

func printStatus(w io.Writer, s appliance.Status, calls []appliance.CallStatus) {
	fmt.Fprintf(w, "deskbridge %s, %s, up since %s\n", s.Version, s.Ready, s.Started.Local().Format("2006-01-02 15:04:05"))
	for _, group := range []struct {
		title   string
		members []appliance.MemberStatus
	}{{"lines", s.Lines}, {"trunks", s.Trunks}, {"phones", s.Phones}} {
		if len(group.members) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", group.title)
		for _, m := range group.members {
			fmt.Fprintf(w, "  %-16s %s\n", m.Name, m.State)
		}
	}
	fmt.Fprintf(w, "\ncalls: %d\n", len(calls))
	for _, call := range calls {
		fmt.Fprintf(w, "  %s  %-8s  %-10s  line %s  agent %s  customer %s  since %s\n", call.ID, call.Direction, call.State, call.Line,
			orDash(call.Agent), orDash(call.Customer), call.Since.Local().Format("15:04:05"))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
