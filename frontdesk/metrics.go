package frontdesk

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	decisions *prometheus.CounterVec
	messages  *prometheus.CounterVec
	heard     *prometheus.CounterVec
	left      *prometheus.CounterVec
	panics    prometheus.Counter
	overdue   prometheus.Gauge
	drift     *prometheus.GaugeVec
	pushes    *prometheus.CounterVec
	forbidden *prometheus.GaugeVec
	warnings  *prometheus.CounterVec
	rung      *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_decisions_total", Help: "Decisions by what was asked and the rule that decided."}, []string{"action", "rule"}),
		messages:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_messages_total", Help: "Messages sent to customers, by kind and by what WhatsApp made of them: accepted, refused, uncertain."}, []string{"kind", "result"}),
		heard:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_customer_events_total", Help: "What webhooks told besides calls: permission replies, messages, statuses, account news."}, []string{"kind"}),
		left:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_frontdesk_left_total", Help: "Things left undone because too much was under way at WhatsApp."}, []string{"what"}),
		panics:    prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_frontdesk_panics_total", Help: "Bugs in the work beside the calls."}),
		overdue:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_callbacks_overdue", Help: "Callback requests whose due time has passed."}),
		drift:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "deskbridge_line_drift", Help: "1 while a line's settings at WhatsApp are not as wanted."}, []string{"line"}),
		pushes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_line_settings_pushed_total", Help: "Changes of a line's settings at WhatsApp, by result."}, []string{"line", "result"}),
		forbidden: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "deskbridge_line_restricted", Help: "1 while WhatsApp restricts a line."}, []string{"line", "kind"}),
		warnings:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_line_warnings_total", Help: "News of WhatsApp about a line's standing: restriction, violation, quality."}, []string{"line", "kind"}),
		rung:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_agents_rung_total", Help: "Agents rung because a customer allows calls, by result."}, []string{"result"}),
	}
	if r != nil {
		r.MustRegister(m.decisions, m.messages, m.heard, m.left, m.panics, m.overdue, m.drift, m.pushes, m.forbidden, m.warnings, m.rung)
	}
	return m
}

// forget drops the series of a line that is gone.
func (m *metrics) forget(line string) {
	of := prometheus.Labels{"line": line}
	m.drift.DeletePartialMatch(of)
	m.pushes.DeletePartialMatch(of)
	m.forbidden.DeletePartialMatch(of)
	m.warnings.DeletePartialMatch(of)
}
