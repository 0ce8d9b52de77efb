package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/media"
	"deskbridge/simulator"
)

// demoCustomer answers when the softphone calls, and says back what it hears.
const demoCustomer = "6281200001001"

// deskPhoneWait is how long a customer's call rings before the built-in phone takes it, so that a softphone can.
const deskPhoneWait = 8 * time.Second

func demo(ctx context.Context, c *invocation) error {
	address := c.flags.String("address", "127.0.0.1", "this machine's `IP` on which phones reach the demo; give its address in your network to use a phone on another machine")
	port := c.flags.Uint("sip-port", 5060, "SIP `port`, UDP and TCP; another one is taken when it is busy")
	page := c.flags.String("page", "127.0.0.1:8090", "`address` of the page on which you are the WhatsApp customer")
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
	level := "error"
	if *verbose {
		level = "info"
	}
	s, err := newStage(ctx, stageOptions{
		address: ip, sipPort: sipPort, page: *page, timing: simulator.DefaultTiming(),
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
	if _, err := s.meta.Customer(simulator.CustomerConfig{
		Phone: demoCustomer, Name: "Sari", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{Play: simulator.Playback{Echo: true}},
	}); err != nil {
		return err
	}
	printDemo(c, s, sipPort, ip)
	s.watchCalls(ctx, c)
	fmt.Fprintln(c.out, "Stopping.")
	return nil
}

func printDemo(c *invocation, s *stage, port uint16, ip netip.Addr) {
	fmt.Fprintf(c.out, `
deskbridge demo: everything runs on this machine, WhatsApp is simulated. Ctrl-C ends it.

1. Be the WhatsApp customer. Open in Chrome, Chromium or Edge, and allow the microphone:

       %s/

   "Call the company": the phones ring. After %s the built-in desk phone answers and sends back what you say.

2. Be the agent. Register a softphone (Linphone, MicroSIP, baresip, …) within those seconds or before:

       server      %s:%d   (UDP or TCP)
       user        %s
       password    %s

   It rings when a customer calls. Whoever answers first has the call.

3. Call a customer from the softphone:

       +%s   Sari: answers and sends back what you say
       the number shown on the page: your browser rings (choose there whether calls are allowed)

Live calls:
`, s.meta.URL(), deskPhoneWait, ip, port, softphone, s.password, demoCustomer)
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
				fmt.Fprintf(c.out, "  %s  %-8s  %-9s  customer %s  agent %s\n", time.Now().Format("15:04:05"), call.CDR.Direction, call.State,
					customerLabel(call.CDR.Customer), orDash(call.CDR.Agent))
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

func (s *stage) printEnd(ctx context.Context, c *invocation, id string) {
	cdr, err := s.app.Store().Call(ctx, id)
	if err != nil {
		fmt.Fprintf(c.out, "  %s  ended\n", time.Now().Format("15:04:05"))
		return
	}
	talk := "nobody talked"
	if !cdr.AnsweredAt.IsZero() && !cdr.EndedAt.IsZero() {
		talk = "talked " + cdr.EndedAt.Sub(cdr.AnsweredAt).Round(100*time.Millisecond).String()
	}
	fmt.Fprintf(c.out, "  %s  %-8s  ended      %s, %s\n", time.Now().Format("15:04:05"), cdr.Direction, cdr.Cause.Reason, talk)
}

func customerLabel(c bridge.Customer) string {
	if c.Name != "" {
		return c.Name
	}
	return orDash(c.Dialable())
}
