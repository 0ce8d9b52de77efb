package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// demoCustomer answers when the softphone calls, and says back what it hears.
const demoCustomer = "6281200001001"

// demoAdmin signs in to the panel, with the softphone's password.
const demoAdmin = "admin"

// deskPhoneWait is how long a customer's call rings before the built-in phone takes it, so that a softphone can.
const deskPhoneWait = 8 * time.Second

func demo(ctx context.Context, c *invocation) error {
	address := c.flags.String("address", "127.0.0.1", "this machine's `IP` on which phones reach the demo; give its address in your network to use a phone on another machine")
	port := c.flags.Uint("sip-port", 5060, "SIP `port`, UDP and TCP; another one is taken when it is busy")
	page := c.flags.String("page", "127.0.0.1:8090", "`address` of the page on which you are the WhatsApp customer")
	panel := c.flags.String("panel", "127.0.0.1:8080", "`address` of the panel's API; another port is taken when it is busy")
	verbose := c.flags.Bool("v", false, "log what the appliance does")
	if err := c.parse(0); err != nil {
		return err
	}
	ip, err := netip.ParseAddr(*address)
	if err != nil || ip.IsUnspecified() || *port > 65535 {
		fmt.Fprintf(c.err, "deskbridge: --address needs one IP address of this machine, --sip-port a port\n")
		return errUsage
	}
	sipPort, err := freeSIPPort(ip, uint16(*port))
	if err != nil {
		return err
	}
	if l, err := net.Listen("tcp", *page); err != nil {
		return fmt.Errorf("the page's address is taken: %w; choose another with --page 127.0.0.1:PORT", err)
	} else {
		_ = l.Close()
	}
	if l, err := net.Listen("tcp", *panel); err == nil {
		_ = l.Close()
	} else {
		*panel = ""
	}
	level := "error"
	if *verbose {
		level = "info"
	}
	s, err := newStage(ctx, stageOptions{
		address: ip, sipPort: sipPort, page: *page, panel: *panel, timing: simulator.DefaultTiming(), password: demoPassword(),
		phone:  simulator.PhoneConfig{Answer: simulator.PhoneAnswer{After: deskPhoneWait}, Source: simulator.PhoneSource{Echo: true}, Codecs: []media.Codec{media.Opus, media.PCMA}},
		logger: appliance.NewLogger(c.err, appliance.LogConfig{Level: level, Format: "text"}),
	})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.close(stop); err != nil {
			fmt.Fprintf(c.err, "deskbridge: stopping: %v\n", err)
		}
	}()
	if err := s.addAdmin(ctx, demoAdmin, s.password); err != nil {
		return err
	}
	if _, err := s.meta.Customer(simulator.CustomerConfig{
		Phone: demoCustomer, Name: "Sari", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{Play: simulator.Playback{Echo: true}},
	}); err != nil {
		return err
	}
	printDemo(c, s, sipPort, uint16(*port), ip)
	s.watchCalls(ctx, c)
	fmt.Fprintln(c.out, "Stopping.")
	return nil
}

// demoPassword is the softphone's password, kept in the user's cache so that a softphone set up once works with the next demo
// as well. Without a cache it is new each time.
func demoPassword() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return newPassword()
	}
	file := filepath.Join(cache, "deskbridge", "demo-password")
	if b, err := os.ReadFile(file); err == nil && len(b) == len(newPassword()) {
		return string(b)
	}
	password := newPassword()
	if os.MkdirAll(filepath.Dir(file), 0o700) == nil {
		_ = os.WriteFile(file, []byte(password), 0o600) // not kept: new the next time
	}
	return password
}

func printDemo(c *invocation, s *stage, port, wanted uint16, ip netip.Addr) {
	busy := ""
	if port != wanted {
		busy = fmt.Sprintf("   (%d is taken on this machine)", wanted)
	}
	fmt.Fprintf(c.out, `
deskbridge demo: everything runs on this machine, WhatsApp is simulated. Ctrl-C ends it.

1. Be the WhatsApp customer. Open this in Chrome, Chromium or Edge, press Start, then "Call the company":

       %s/

   The browser asks for the microphone: allow it. The phones ring; after %d seconds the built-in desk phone
   answers and sends back what you say.

2. Be the agent. Register a softphone (Linphone, MicroSIP, baresip, …):

       server      %s:%d   UDP or TCP%s
       user        %s
       password    %s

   Call from the page again and answer on the softphone within %[2]d seconds, before the
   built-in phone does. Talk, press digits, hang up on either side.

3. Call a customer. Dial on the softphone:

       +%[8]s   Sari answers and sends back what you say
       your number      The page shows it after Start. It rings: answer or decline.

4. Ask first. Forbid calls on the page, then dial your number: a voice says why you may not call. Press 1, and the page
   shows a permission request: allow it there. Your softphone rings; press 1 on it, and the page rings.

4. Be the admin. The API of the panel, with its description at /api/v1/openapi.json:

       %[9]s/
       login       %[10]s
       password    %[7]s

Calls, as they happen:
`, s.meta.URL(), int(deskPhoneWait.Seconds()), ip, port, busy, softphone, s.password, demoCustomer, s.app.AdminURL(), demoAdmin)
}

// watchCalls prints each change of a call until ctx ends.
func (s *stage) watchCalls(ctx context.Context, c *invocation) {
	changes, stop := s.app.Exchange().Watch()
	defer stop()
	shown := map[string]string{}
	for {
		select {
		case <-changes:
		case <-ctx.Done():
			return
		}
		running := map[string]bool{}
		for _, call := range s.app.Exchange().Calls() {
			running[call.CDR.ID] = true
			if shown[call.CDR.ID] != call.State {
				shown[call.CDR.ID] = call.State
				printCall(c, call.CDR, call.State)
			}
		}
		for id := range shown {
			if !running[id] {
				delete(shown, id)
				s.printEnd(ctx, c, id)
			}
		}
	}
}

func printCall(c *invocation, r bridge.CDR, what string) {
	from, to := customerLabel(r.Customer), agentLabel(r.Agent)
	if r.Direction == bridge.Outbound {
		from, to = to, from
	}
	fmt.Fprintf(c.out, "  %s  %s -> %s  %s\n", time.Now().Format("15:04:05"), from, to, what)
}

// recordWait is how long after its end a call's record may take to reach the disk.
const recordWait = 2 * time.Second

// printEnd waits for the record, which is written beside the call, and prints how the call ended.
func (s *stage) printEnd(ctx context.Context, c *invocation, id string) {
	ctx, cancel := context.WithTimeout(ctx, recordWait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if cdr, err := s.app.Store().Call(ctx, id); err == nil && !cdr.EndedAt.IsZero() {
			printCall(c, cdr, "ended: "+endLabel(cdr))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// endLabel is the end of a call in words.
func endLabel(r bridge.CDR) string {
	end := strings.ReplaceAll(string(r.Cause.Reason), "_", " ")
	if r.Cause.Reason == bridge.ReasonHangup {
		end = "hung up"
	}
	if r.Cause.Text != "" {
		end += " (" + r.Cause.Text + ")"
	}
	if !r.AnsweredAt.IsZero() {
		end += ", talked " + r.EndedAt.Sub(r.AnsweredAt).Round(100*time.Millisecond).String()
	}
	return end
}

// agentLabel is the phone without the kind of thing it is: the demo has only phones.
func agentLabel(agent string) string {
	if agent == "" {
		return "phones"
	}
	return "phone " + strings.TrimPrefix(agent, "phone:")
}

func customerLabel(c bridge.Customer) string {
	if c.Name != "" {
		return c.Name
	}
	return orDash(c.Dialable())
}
