package main

import (
	"context"
	"fmt"
	"time"

	"deskbridge/appliance"
)

// token makes API tokens through the running daemon.
func token(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	login := c.flags.String("user", "", "`login` of the user the token belongs to: its role bounds what the token may")
	name := c.flags.String("name", "", "what the token is for")
	scopes := c.flags.String("scopes", "", "what it may, separated by commas: calls:read calls:write calls:export live:read live:write settings:read settings:write users:read users:write audit:read status:read")
	expires := c.flags.Duration("expires", 0, "how long it is good, such as 2160h; 0: until it is deleted")
	verb := c.verb()
	if err := c.parse(0); err != nil {
		return err
	}
	if verb != "create" || *login == "" || *name == "" || *scopes == "" || *expires < 0 {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	in := appliance.AddTokenRequest{Login: *login, Name: *name, Scopes: words(*scopes)}
	if *expires > 0 {
		in.Expires = time.Now().Add(*expires)
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	secret, _, err := daemon.AddToken(ctx, in)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s\n", secret)
	fmt.Fprintln(c.err, "Keep it now: it is not shown again. Send it as the header  Authorization: Bearer TOKEN")
	return nil
}
