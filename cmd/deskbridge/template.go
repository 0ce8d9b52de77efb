package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"deskbridge/appliance"
	"deskbridge/graph"
)

// stringList is a flag that may be given more than once.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, ", ") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }

func templateCommand(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	line := c.flags.String("line", "", "the `line` whose account it belongs to")
	var o appliance.TemplateOrder
	t := &o.Template
	kind := c.flags.String("kind", "permission", "create: permission (asks to be allowed to call) or button (a call button)")
	c.flags.StringVar(&t.Name, "name", "", "`name` at Meta: lower-case letters, digits and _")
	c.flags.StringVar(&t.Language, "language", "en", "language, as en or id")
	c.flags.StringVar(&t.Category, "category", "UTILITY", "UTILITY or MARKETING")
	c.flags.StringVar(&t.Body, "body", "", "the `text`; placeholders are {{1}}, {{2}}")
	c.flags.StringVar(&t.Footer, "footer", "", "small `text` below it")
	c.flags.StringVar(&t.Button, "button", "Call now", "label of the call button, at most 20 characters")
	c.flags.DurationVar(&t.ButtonTTL, "ttl", 0, "how long the call button works, 24h to 720h; 0 is Meta's seven days")
	var examples stringList
	c.flags.Var(&examples, "example", "an example for each placeholder of the body, in order; give it once per placeholder")
	verb := c.verb()
	if err := c.parse(0); err != nil {
		return err
	}
	known := verb == "list" || verb == "create" || verb == "delete"
	if !known || *line == "" || verb != "list" && t.Name == "" || *kind != "permission" && *kind != "button" {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	switch verb {
	case "create":
		o.Line, t.Kind, t.BodyExamples = *line, graph.TemplatePermission, examples
		if *kind == "button" {
			t.Kind = graph.TemplateCallButton
		} else {
			t.Button, t.ButtonTTL = "", 0
		}
		made, err := daemon.CreateTemplate(ctx, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s (%s) is at Meta: %s. It can be sent once it is APPROVED; deskbridge template list shows it.\n", made.Name, made.Language, made.Status)
		return nil
	case "delete":
		if err := daemon.DeleteTemplate(ctx, *line, t.Name); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "%s is deleted at Meta, in every language.\n", t.Name)
		return nil
	}
	list, err := daemon.Templates(ctx, *line)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(c.out, "There are no templates. Create one with: deskbridge template create --line "+*line+" --name ask_to_call --body \"May we call you?\"")
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tLANGUAGE\tKIND\tSTATUS\tCATEGORY\tTEXT\tREJECTED FOR")
	for _, x := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Name, x.Language, x.Kind, x.Status, x.Category, shortText(x.Body), orDash(strings.TrimPrefix(x.Rejected, "NONE")))
	}
	return w.Flush()
}

func shortText(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func callbackCommand(ctx context.Context, c *invocation) error {
	path := c.configFlag()
	verb := c.verb()
	if err := c.parse(0); err != nil {
		return err
	}
	if verb != "list" {
		c.flags.Usage()
		return errUsage
	}
	daemon, err := c.daemon(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	list, err := daemon.Callbacks(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintln(c.out, "Nobody waits to be called back.")
		return nil
	}
	w := tabwriter.NewWriter(c.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "DUE\tLINE\tCUSTOMER\tNUMBER\tSOURCE\tOWNER\tPERMISSION UNTIL")
	for _, cb := range list {
		until := "-"
		if !cb.Expires.IsZero() {
			until = cb.Expires.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cb.Due.Local().Format(time.DateTime), cb.Line, orDash(cb.Name), orDash(cb.Number), cb.Source, orDash(cb.Owner), until)
	}
	return w.Flush()
}
