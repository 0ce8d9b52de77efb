package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"deskbridge/appliance"
)

// user manages the accounts of the panel through the running daemon. Passwords come from standard input or are made up:
// a flag would show them to everybody on the machine.
func user(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	admin := c.flags.Bool("admin", false, "make an admin; without it an agent, or what --role says")
	role := c.flags.String("role", "agent", "agent, supervisor, super_agent or admin")
	name := c.flags.String("name", "", "what people read; empty: the login")
	teams := c.flags.String("teams", "", "teams, separated by commas")
	targets := c.flags.String("targets", "", "telephones that are theirs, separated by commas: phone:1001, trunk:pbx/200")
	stdin := c.flags.Bool("password-stdin", false, "read the password from the first line of standard input; without it one is made up and printed")
	verb := c.verb()
	login, err := c.loginArgument(verb != "list")
	if err != nil {
		return err
	}
	if verb != "add" && verb != "passwd" && verb != "list" || verb != "list" && login == "" {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	if verb == "list" {
		return listUsers(ctx, c.out, daemon)
	}
	password, made, err := newOrRead(*stdin)
	if err != nil {
		return err
	}
	if *admin {
		*role = "admin"
	}
	if verb == "add" {
		_, err = daemon.AddUser(ctx, appliance.AddUserRequest{Login: login, Name: *name, Role: appliance.Role(*role),
			Teams: words(*teams), Targets: words(*targets), Password: password})
	} else {
		err = daemon.SetPassword(ctx, login, password)
	}
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(c.out, "user      %s\npassword  %s\n", login, password)
	} else {
		fmt.Fprintf(c.out, "Done: %s.\n", login)
	}
	return nil
}

// verb takes the word in front of the flags.
func (c *invocation) verb() string {
	if len(c.args) == 0 || strings.HasPrefix(c.args[0], "-") {
		return ""
	}
	verb := c.args[0]
	c.args = c.args[1:]
	return verb
}

// loginArgument takes the plain argument, which may stand in front of the flags or behind them.
func (c *invocation) loginArgument(wanted bool) (string, error) {
	login := ""
	if wanted {
		login = c.verb()
	}
	rest := 0
	if wanted && login == "" {
		rest = 1
	}
	if err := c.parse(rest); err != nil {
		return "", err
	}
	if login == "" {
		login = c.flags.Arg(0)
	}
	return login, nil
}

func listUsers(ctx context.Context, w io.Writer, daemon *appliance.ControlClient) error {
	users, err := daemon.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		off := ""
		if u.Disabled {
			off = "  off"
		}
		fmt.Fprintf(w, "%-24s %-12s %s%s\n", u.Login, u.Role, orDash(strings.Join(append(append([]string{}, u.Teams...), u.Targets...), " ")), off)
	}
	if len(users) == 0 {
		fmt.Fprintln(w, "No user yet: deskbridge user add --admin LOGIN")
	}
	return nil
}

func newOrRead(stdin bool) (password string, made bool, err error) {
	if !stdin {
		return rand.Text()[:16], true, nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, fmt.Errorf("read password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), false, nil
}

func words(list string) (out []string) {
	for _, w := range strings.Split(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}
