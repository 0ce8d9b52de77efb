//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"deskbridge/bridge"
	"deskbridge/simulator"
)

// metric sums the series of a metric that carry all the given labels (name=value). A histogram counts its observations.
func (h *house) metric(name string, labels ...string) (sum float64) {
	h.t.Helper()
	families, err := h.app.Registry().Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName()+"="+l.GetValue() == want
		}
		if !found {
			return false
		}
	}
	return true
}

// nothingLeft waits until no part of any call is left, here or at Meta. It looks at what each part counts of itself.
func (h *house) nothingLeft() {
	h.t.Helper()
	left := ""
	defer func() {
		if h.t.Failed() && left != "" {
			h.t.Logf("left: %s", left)
		}
	}()
	h.until("nothing to be left of any call", func() bool {
		var parts []string
		if n := h.meta.ActiveCalls(); len(n) > 0 {
			parts = append(parts, fmt.Sprintf("at Meta %v", n))
		}
		if n := len(h.app.Exchange().Calls()); n > 0 {
			parts = append(parts, fmt.Sprintf("%d calls", n))
		}
		for _, gauge := range []string{
			"deskbridge_calls_active", "deskbridge_sip_legs", "deskbridge_sip_rtp_sessions", "deskbridge_whatsapp_legs", "deskbridge_webrtc_sessions",
		} {
			if v := h.metric(gauge); v != 0 {
				parts = append(parts, fmt.Sprintf("%s %v", gauge, v))
			}
		}
		left = strings.Join(parts, ", ")
		return left == ""
	})
	h.until("every record to have an end", func() bool { // they are written behind the calls
		return !slices.ContainsFunc(h.records(), func(c bridge.CDR) bool { return c.EndedAt.IsZero() })
	})
	for _, bug := range []string{
		"deskbridge_call_panics_total", "deskbridge_sip_panics_total", "deskbridge_sip_media_panics_total", "deskbridge_whatsapp_panics_total",
		"deskbridge_webrtc_panics_total", "deskbridge_call_stuck_legs_total", "deskbridge_call_facts_lost_total", "deskbridge_call_unexpected_inputs_total",
	} {
		if v := h.metric(bug); v != 0 {
			h.t.Errorf("%s is %v", bug, v)
		}
	}
	if n := h.meta.Panics(); n != 0 {
		h.t.Errorf("%d panics in the simulator", n)
	}
}

// persons numbers the customers, so that each call has a new one: Meta's permission answers are kept for a while.
var persons atomic.Int64

// person is somebody new on WhatsApp who may be called.
func (h *house) person(behaviour simulator.Behaviour) *simulator.Customer {
	h.t.Helper()
	c, err := h.meta.Customer(simulator.CustomerConfig{
		Phone: fmt.Sprintf("49151%07d", 3000000+persons.Add(1)), Name: "Erika M.", Permission: simulator.PermissionPermanent, Behaviour: behaviour,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// waitDone waits for the end of a phone's call and says how long it took.
func (h *house) waitDone(c *simulator.PhoneCall) (simulator.PhoneEnd, time.Duration) {
	h.t.Helper()
	begin := time.Now()
	select {
	case <-c.Done():
	case <-time.After(wait):
		h.t.Fatal("the phone's call did not end")
	}
	return c.End(), time.Since(begin)
}

// newest waits for the closed record of the call to or from a customer.
func (h *house) newest(c *simulator.Customer) bridge.CDR {
	h.t.Helper()
	var out bridge.CDR
	h.until("the record of the call", func() bool {
		for _, r := range h.records() {
			if r.Customer.Phone == c.Config().Phone && (r.Customer.Phone != "" || r.Customer.BSUID == c.Config().BSUID) && !r.EndedAt.IsZero() {
				out = r
				return true
			}
		}
		return false
	})
	return out
}
