//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
	"deskbridge/simulator"
)

// TestKilledAtAnyMoment kills the program at random moments of calls in both directions, three times or, with
// DESKBRIDGE_SOAK=1, twenty: each time it is back within seconds, Meta is left with no call, and in the end every record
// has an end and calls work.
func TestKilledAtAnyMoment(t *testing.T) {
	rounds := 3
	if os.Getenv("DESKBRIDGE_SOAK") == "1" {
		rounds = 20
	}
	d := newDaemon(t, "")
	d.patientMeta()
	d.start()
	d.apply()
	phone := d.phone()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for n := range rounds {
		after := time.Duration(rnd.Int64N(int64(400 * time.Millisecond)))
		way := []string{"rung", "dials"}[n%2]
		cust, err := d.meta.Customer(simulator.CustomerConfig{
			Phone: fmt.Sprintf("49152%07d", n), Name: "Erika M.", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{Play: simulator.Playback{Tone: 440}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var desk *simulator.PhoneCall
		if way == "rung" {
			if _, err := cust.Call(t.Context(), displayNumber, simulator.CallOptions{}); err != nil {
				t.Fatal(err)
			}
		} else if desk, err = phone.Dial(t.Context(), "+"+cust.Config().Phone); err != nil {
			t.Fatal(err)
		}
		<-time.After(after) // the moment is the point of it
		if err := d.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-d.exited
		begin := time.Now()
		d.start()
		ready := time.Since(begin)
		if ready > 3*time.Second {
			t.Errorf("round %d: ready after %s", n, ready)
		}
		d.until(fmt.Sprintf("Meta to have no call after round %d (%s, killed after %s)", n, way, after), func() bool { return d.ended10s(begin) })
		t.Logf("round %d: %s, killed after %s, ready after %s, no call at Meta after %s", n, way, after, ready, time.Since(begin))
		d.release(phone, desk)
		d.register(phone)
	}
	call, desk := d.talk(phone, "4915112345679")
	call.Hangup()
	d.ended(call, desk)
	d.until("no call left", func() bool {
		out, _ := d.cli("status", "--config", d.config)
		return strings.Contains(out, "calls: 0")
	})
	if err := d.terminate(); err != nil {
		t.Errorf("exit: %v", err)
	}
	calls := d.records() // reports ghosts
	good := slices.IndexFunc(calls, func(c bridge.CDR) bool { return c.Customer.Phone == "4915112345679" })
	if good < 0 || calls[good].Cause.Reason != bridge.ReasonHangup || calls[good].AnsweredAt.IsZero() {
		t.Errorf("the call after all the kills is not recorded as it was: %+v", calls)
	}
	seen := map[string]bool{}
	for _, c := range calls {
		if c.EndedAt.IsZero() || c.Cause.IsZero() {
			t.Errorf("call %s has no end or no cause", c.ID)
		}
		if c.Wacid != "" && seen[c.Wacid] {
			t.Errorf("call %s is recorded twice", c.Wacid)
		}
		seen[c.Wacid] = true
		t.Logf("%s %s", c.Direction, c.Cause)
	}
}

// patientMeta gives the daemon a Meta that ends no call by itself for a minute, and tells its news for longer than a restart
// takes whose phone waits for an answer to its BYE.
func (d *daemon) patientMeta() {
	d.t.Helper()
	timing := simulator.DefaultTiming().Fast()
	timing.AnswerDeadline, timing.NoAnswer, timing.MediaStart, timing.MediaLoss = time.Minute, time.Minute, time.Minute, time.Minute
	timing.WebhookRetries = []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second}
	m, err := simulator.NewMeta(simulator.MetaConfig{
		Numbers:     []simulator.Number{{PhoneNumberID: numberID, WABA: "900100200300400", DisplayNumber: displayNumber, AppID: "100200300400500", AppSecret: appSecret, Token: accessToken}},
		VerifyToken: verifyToken, Timing: timing, WebhookURL: "http://" + d.webhook + "/webhook/meta",
	})
	if err != nil {
		d.t.Fatal(err)
	}
	m.Start()
	d.t.Cleanup(func() { _ = m.Close() })
	text, err := os.ReadFile(d.config)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write("deskbridge.yaml", strings.ReplaceAll(string(text), d.meta.URL(), m.URL()))
	_ = d.meta.Close()
	d.meta = m
}

// ended10s is true when Meta has no call. One that outlives the 10 s it may is an error, noted once.
func (d *daemon) ended10s(begin time.Time) bool {
	left := d.meta.ActiveCalls()
	if len(left) > 0 && time.Since(begin) > 13*time.Second && !d.t.Failed() {
		d.t.Errorf("still at Meta %s after the restart: %v", time.Since(begin), left)
	}
	return len(left) == 0
}

// release hangs up whatever the phone still holds: a call the daemon had not yet recorded is unknown to it.
func (d *daemon) release(p *simulator.Phone, desk *simulator.PhoneCall) {
	for {
		if desk != nil {
			_ = desk.Hangup(d.t.Context())
		}
		select {
		case desk = <-p.Calls():
		default:
			return
		}
	}
}
