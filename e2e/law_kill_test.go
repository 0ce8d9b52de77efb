//go:build e2e

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"deskbridge/appliance"
	"deskbridge/bridge"
	"deskbridge/policy"
	"deskbridge/simulator"
)

// explain is `deskbridge policy explain`.
func (d *daemon) explain(customer string) (e appliance.Explanation) {
	d.t.Helper()
	out, code := d.cli("policy", "explain", "--config", d.config, "--line", lineID, "--customer", customer, "--json")
	if code != 0 {
		d.t.Fatalf("policy explain: exit %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		d.t.Fatalf("policy explain: %v: %s", err, out)
	}
	return e
}

// attempts are the calls to a customer that the ledger has counted.
func (d *daemon) attempts(customer string) (n int) {
	d.t.Helper()
	for _, e := range d.explain(customer).History {
		if e.Kind == policy.EventAttempted {
			n++
		}
	}
	return n
}

// TestKilledBetweenTheCountAndTheCall: the program dies when an attempt is in the ledger and Meta has not answered connect,
// whether Meta took it or never heard of it. Afterwards the attempt counts, and nobody is called a second time.
func TestKilledBetweenTheCountAndTheCall(t *testing.T) {
	for name, taken := range map[string]bool{"Meta never heard of it": false, "Meta took it": true} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t, "")
			d.patientMeta()
			d.start()
			d.apply()
			phone := d.phone()
			cust, err := d.meta.Customer(simulator.CustomerConfig{Phone: "4915112345678", Permission: simulator.PermissionPermanent, Behaviour: simulator.Behaviour{React: simulator.ReactIgnore}})
			if err != nil {
				t.Fatal(err)
			}
			d.meta.Fail(simulator.Match{Action: "connect", Count: -1}, simulator.Fault{Hang: true, AfterProcessing: taken})
			desk, err := phone.Dial(t.Context(), "+4915112345678")
			if err != nil {
				t.Fatal(err)
			}
			d.until("the attempt in the ledger", func() bool { return d.attempts("+4915112345678") == 1 })
			if err := d.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-d.exited
			_ = desk.Hangup(t.Context())
			before := len(d.meta.Requests("connect"))
			d.meta.ClearFaults()
			d.start()
			d.until("Meta to have no call", func() bool { return len(d.meta.ActiveCalls()) == 0 })
			if n := d.attempts("+4915112345678"); n != 1 {
				t.Errorf("%d attempts in the ledger after the restart", n)
			}
			if n := len(d.meta.Requests("connect")); n != before || n > 1 {
				t.Fatalf("%d connects before the kill, %d after the restart", before, n)
			}
			// Four of the day's five are left.
			cust.Update(func(c *simulator.CustomerConfig) { c.Behaviour = simulator.Behaviour{} })
			d.register(phone)
			for range 4 {
				call, err := phone.Dial(t.Context(), "+4915112345678")
				if err != nil {
					t.Fatal(err)
				}
				select {
				case <-call.Answered():
				case <-call.Done():
					t.Fatalf("a call that is left ended %+v", call.End())
				case <-time.After(wait):
					t.Fatal("a call that is left was not answered")
				}
				if err := call.Hangup(t.Context()); err != nil {
					t.Error(err)
				}
				<-call.Done()
				d.until("no call left", func() bool { out, _ := d.cli("status", "--config", d.config); return strings.Contains(out, "calls: 0") })
			}
			if e := d.explain("+4915112345678"); len(e.Decision.Facts.Pair.Attempts) != 5 {
				t.Errorf("after five: %s, %+v", e.Decision.Rule, e.Decision.Facts.Pair.Attempts)
			}
			n := len(d.meta.Requests("connect"))
			call, err := phone.Dial(t.Context(), "+4915112345678")
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-call.Answered(): // by the voice that says why not
				if err := call.Hangup(t.Context()); err != nil {
					t.Error(err)
				}
			case <-call.Done():
			case <-time.After(wait):
				t.Fatal("the sixth call came to nothing")
			}
			d.until("no call left", func() bool { out, _ := d.cli("status", "--config", d.config); return strings.Contains(out, "calls: 0") })
			if got := len(d.meta.Requests("connect")); got != n {
				t.Errorf("the sixth call of the day was placed")
			}
			if err := d.terminate(); err != nil {
				t.Errorf("exit: %v", err)
			}
			calls := d.records()
			if len(calls) != 6 || calls[0].Cause.Rule != policy.RuleAttempts || calls[5].Cause.Reason != bridge.ReasonInterrupted {
				t.Errorf("%d records: %+v", len(calls), calls)
			}
		})
	}
}
