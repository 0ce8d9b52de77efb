package whatsapp

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// hubMetrics are the series of signalling: webhooks, calls, stages. Those of the media are its own.
type hubMetrics struct {
	results *prometheus.CounterVec // what became of a webhook POST
	events  *prometheus.CounterVec // what became of each event in it
	intake  prometheus.Histogram
	backlog prometheus.Gauge
	legs    *prometheus.GaugeVec
	calls   *prometheus.CounterVec
	stages  *prometheus.HistogramVec
	strays  prometheus.Gauge
	panics  prometheus.Counter
	reaped  *prometheus.CounterVec
}

func newHubMetrics(reg prometheus.Registerer) *hubMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_" + name, Help: help}, labels))
	}
	return &hubMetrics{
		results: counter("webhook_requests_total", "Webhook requests, by what became of them.", "result"),
		events:  counter("webhook_events_total", "Events in webhooks, by kind and what became of them.", "kind", "result"),
		intake: register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskbridge_webhook_seconds", Help: "Time from a webhook's headers to its 200, storing included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		})),
		backlog: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskbridge_webhook_backlog", Help: "Stored events waiting to be worked off.",
		})),
		legs: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "deskbridge_whatsapp_legs", Help: "Customer calls in progress.",
		}, []string{"direction"})),
		calls: counter("whatsapp_calls_total", "Customer calls ended, by direction and reason.", "direction", "reason"),
		stages: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "deskbridge_whatsapp_stage_seconds", Help: "Time of each stage of setting up a customer call.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5},
		}, []string{"stage"})),
		strays: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskbridge_whatsapp_stray_calls", Help: "Call IDs of which events came that belong to no call we know.",
		})),
		panics: register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "deskbridge_whatsapp_panics_total", Help: "Bugs that ended one customer call or dropped one event.",
		})),
		reaped: counter("whatsapp_reaped_total", "Calls ended at WhatsApp after their leg was gone, by result.", "result"),
	}
}

func (m *hubMetrics) stage(name string, from, to time.Time) {
	if !from.IsZero() && to.After(from) {
		m.stages.WithLabelValues(name).Observe(to.Sub(from).Seconds())
	}
}

// register takes up the collector of an earlier Hub in the same registry, so that a second one does not fail.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](reg.Register(c)); ok {
		if old, ok := are.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
