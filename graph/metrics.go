package graph

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	latency *prometheus.HistogramVec // by action and class of the answer's code
	retries *prometheus.CounterVec
	usage   *prometheus.GaugeVec
}

// newMetrics registers the client's metrics, or takes up those of another client in the same registry: one client per
// line, one set of series.
func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		latency: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "deskbridge_graph_request_seconds", Help: "Time of one try of a Graph request, by action and class of the answer.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5},
		}, []string{"action", "class"})),
		retries: register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_graph_retries_total", Help: "Graph requests tried again, by action.",
		}, []string{"action"})),
		usage: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "deskbridge_graph_usage_percent", Help: "Share of Meta's request quota used, as Meta last reported it.",
		}, []string{"quota"})),
	}
}

func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, ok := are.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

type usage struct {
	Calls   float64 `json:"call_count"`
	Time    float64 `json:"total_time"`
	CPUTime float64 `json:"total_cputime"`
}

func (u usage) highest() float64 { return max(u.Calls, u.Time, u.CPUTime) }

// observeUsage reads the usage headers (§3.5). They are informal: what does not parse is ignored.
func (m *metrics) observeUsage(h http.Header) {
	if s := h.Get("X-App-Usage"); s != "" && len(s) < 4096 {
		var u usage
		if json.Unmarshal([]byte(s), &u) == nil {
			m.usage.WithLabelValues("app").Set(u.highest())
		}
	}
	if s := h.Get("X-Business-Use-Case-Usage"); s != "" && len(s) < 16384 {
		var all map[string][]usage
		if json.Unmarshal([]byte(s), &all) != nil {
			return
		}
		var top float64
		for _, list := range all {
			for _, u := range list {
				top = max(top, u.highest())
			}
		}
		m.usage.WithLabelValues("business").Set(top)
	}
}
