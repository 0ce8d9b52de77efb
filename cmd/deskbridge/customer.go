package main

import (
	"context"
	"fmt"
	osuser "os/user"
	"time"

	"deskbridge/appliance"
)

func customerCommand(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	var o appliance.CustomerOrder
	c.flags.StringVar(&o.Line, "line", "", "the `line`; a block holds on every line")
	c.flags.StringVar(&o.Customer, "customer", "", "the customer: `number` with country code, alias, or the customer ID of a record")
	c.flags.StringVar(&o.Reason, "reason", "", "why, kept in the ledger with your name until the customer is erased")
	lasts := c.flags.Duration("for", time.Hour, "override: how long the limits are lifted, at most 24h")
	ask := c.flags.Bool("ask", false, "override: the limits of permission requests, not of calls")
	o.Verb = c.verb()
	if err := c.parse(0); err != nil {
		return err
	}
	if o.Verb != "block" && o.Verb != "unblock" && o.Verb != "override" || o.Line == "" || o.Customer == "" || o.Verb != "unblock" && o.Reason == "" {
		c.flags.Usage()
		return errUsage
	}
	o.By = "user:" + whoami()
	if o.Verb == "override" {
		o.Until = time.Now().Add(*lasts)
		if *ask {
			o.Action = "ask"
		}
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	d, err := daemon.OrderCustomer(ctx, o)
	switch {
	case err != nil:
		return err
	case o.Verb != "override":
		fmt.Fprintf(c.out, "Done: %s %s.\n", o.Customer, map[string]string{"block": "is blocked on every line", "unblock": "is no longer blocked"}[o.Verb])
	case d.Allowed && d.Override:
		fmt.Fprintf(c.out, "Done: allowed until %s. Meta's own limits still hold.\n", o.Until.Local().Format(time.DateTime))
	case d.Allowed:
		fmt.Fprintln(c.out, "Nothing to lift: it is allowed as it is.")
	default:
		fmt.Fprintf(c.out, "Nothing was lifted: %s\n", d.Sentence)
		return errProblems
	}
	return nil
}

// whoami is the person at this machine, for the ledger.
func whoami() string {
	if u, err := osuser.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
