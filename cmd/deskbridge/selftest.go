package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"deskbridge/appliance"
	"deskbridge/media"
	"deskbridge/simulator"
)

// selftestLimit bounds the whole run, selftestListen what each side may take to hear the other.
const (
	selftestLimit  = 90 * time.Second
	selftestListen = 15 * time.Second
)

// The tones of the two ends.
const (
	customerTone = 440.0
	agentTone    = 1000.0
)

func selftest(ctx context.Context, c *invocation) error {
	codec := c.flags.String("codec", "PCMA", "the phone's `codec`: PCMA, PCMU, G722 or opus")
	verbose := c.flags.Bool("v", false, "log what the appliance does")
	if err := c.parse(0); err != nil {
		return err
	}
	k := media.ParseCodec(*codec)
	if k == media.CodecNone {
		fmt.Fprintf(c.err, "deskbridge: there is no codec %q; choose PCMA, PCMU, G722 or opus\n", *codec)
		return errUsage
	}
	level := "error"
	if *verbose {
		level = "debug"
	}
	ctx, cancel := context.WithTimeout(ctx, selftestLimit)
	defer cancel()
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	port, err := freeSIPPort(loopback, 0)
	if err != nil {
		return err
	}
	s, err := newStage(ctx, stageOptions{
		address: loopback, sipPort: port, page: "127.0.0.1:0", timing: simulator.DefaultTiming().Fast(),
		phone:  simulator.PhoneConfig{Codecs: []media.Codec{k}, Source: simulator.PhoneSource{Tone: agentTone}},
		logger: appliance.NewLogger(c.err, appliance.LogConfig{Level: level, Format: "text"}),
	})
	if err != nil {
		return err
	}
	t := &tester{stage: s, out: c.out}
	t.run(ctx)
	stop, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancelStop()
	t.step("everything stopped, nothing left behind", s.close(stop))
	if t.failed > 0 {
		return fmt.Errorf("selftest: %d steps failed; run it again with -v and look at the log", t.failed)
	}
	fmt.Fprintln(c.out, "selftest passed.")
	return nil
}

// tester runs the steps and prints each result.
type tester struct {
	*stage
	out    io.Writer
	failed int
}

func (t *tester) step(what string, err error) bool {
	if err != nil {
		t.failed++
		fmt.Fprintf(t.out, "FAILED  %s: %v\n", what, err)
		return false
	}
	fmt.Fprintf(t.out, "ok      %s\n", what)
	return true
}

func (t *tester) run(ctx context.Context) {
	cust, err := t.meta.Customer(simulator.CustomerConfig{
		Phone: demoCustomer, Name: "Sari", Permission: simulator.PermissionPermanent,
		Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: customerTone}},
	})
	if !t.step("simulated WhatsApp, appliance and desk phone are up", err) {
		return
	}
	call, err := cust.Call(ctx, stageDigits, simulator.CallOptions{})
	if t.step("a customer calls the company", err) {
		t.talk(ctx, "customer calls", call, t.nextPhoneCall)
	}
	out, err := t.phone.Dial(ctx, "sip:+"+demoCustomer+"@"+t.app.SIPAddr().String())
	if t.step("the phone dials a customer", err) {
		var in *simulator.CustomerCall
		select {
		case in = <-cust.Calls():
			t.talk(ctx, "phone calls", in, func(context.Context) (*simulator.PhoneCall, error) { return out, nil })
		case <-ctx.Done():
			t.step("the customer's phone rings", ctx.Err())
		}
	}
}

func (t *tester) nextPhoneCall(ctx context.Context) (*simulator.PhoneCall, error) {
	select {
	case p := <-t.phone.Calls():
		return p, nil
	case <-ctx.Done():
		return nil, errors.New("the desk phone did not ring")
	}
}

// talk checks one call from the moment it was placed to its record.
func (t *tester) talk(ctx context.Context, name string, c *simulator.CustomerCall, phone func(context.Context) (*simulator.PhoneCall, error)) {
	listen, cancel := context.WithTimeout(ctx, selftestListen)
	defer cancel()
	p, err := phone(listen)
	if err == nil {
		err = p.WaitAnswer(listen)
	}
	if !t.step(name+": answered", err) {
		return
	}
	t.step(fmt.Sprintf("%s: the customer hears the phone (%.0f Hz)", name, agentTone), hears(listen, agentTone, func() ([]int16, int) {
		pcm, err := c.Heard(16000)
		if err != nil {
			return nil, 16000
		}
		return pcm, 16000
	}))
	t.step(fmt.Sprintf("%s: the phone hears the customer (%.0f Hz, %s)", name, customerTone, p.Codec()), hears(listen, customerTone, p.Heard))
	t.step(name+": hung up", p.Hangup(listen))
	var problems error
	for _, v := range c.Violations() {
		problems = errors.Join(problems, errors.New(v.String()))
	}
	t.step(name+": WhatsApp has nothing to complain about", problems)
	t.step(name+": the call is over everywhere", t.over(listen, c))
}

// hears waits until the last second of audio is the tone.
func hears(ctx context.Context, freq float64, heard func() ([]int16, int)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		pcm, rate := heard()
		if rate > 0 && len(pcm) >= rate && media.ToneLevel(pcm[len(pcm)-rate:], rate, freq) > 0.8 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d samples came, without that tone", len(pcm))
		}
	}
}

func (t *tester) over(ctx context.Context, c *simulator.CustomerCall) error {
	select {
	case <-c.Ended():
	case <-ctx.Done():
		return errors.New("the customer's call did not end")
	}
	changes, stop := t.app.Exchange().Watch()
	defer stop()
	for len(t.app.Exchange().Calls()) > 0 {
		select {
		case <-changes:
		case <-ctx.Done():
			return errors.New("the appliance still has a call")
		}
	}
	return nil
}
