package sip

import "github.com/prometheus/client_golang/prometheus"

// mediaMetrics counts for the whole engine. Sessions keep their own numbers (media.Stats) for the CDR.
type mediaMetrics struct {
	all      []prometheus.Collector
	refused  *prometheus.CounterVec // packets not used, by reason
	exhaust  prometheus.Counter
	panics   prometheus.Counter
	timeouts prometheus.Counter
	latched  *prometheus.CounterVec // where the first packet came from

	// Children looked up once: nothing on the packet path looks a label up.
	stranger, malformed, oversize, flood, payloadType, control prometheus.Counter
}

func newMediaMetrics(e *mediaEngine) *mediaMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_sip_" + name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "deskbridge_sip_" + name, Help: help}, f)
	}
	m := &mediaMetrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_rtp_refused_total", Help: "Packets on RTP ports that were not used, by reason.",
		}, []string{"reason"}),
		latched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_rtp_latched_total",
			Help: "Streams by where their first packet came from: the negotiated address, or another allowed one (NAT).",
		}, []string{"source"}),
		exhaust:  counter("rtp_ports_exhausted_total", "Calls that found no free RTP port pair."),
		panics:   counter("media_panics_total", "Bugs caught in media goroutines; each ended its own call."),
		timeouts: counter("media_timeouts_total", "Streams whose far end went silent."),
	}
	m.stranger = m.refused.WithLabelValues("source")
	m.malformed = m.refused.WithLabelValues("malformed")
	m.oversize = m.refused.WithLabelValues("oversize")
	m.flood = m.refused.WithLabelValues("rate")
	m.payloadType = m.refused.WithLabelValues("payload_type")
	m.control = m.refused.WithLabelValues("rtcp")
	m.all = []prometheus.Collector{
		m.refused, m.latched, m.exhaust, m.panics, m.timeouts,
		gauge("rtp_sessions", "RTP sessions open now.", func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return float64(len(e.sessions))
		}),
		gauge("rtp_port_pairs_free", "RTP port pairs a call could have now.", func() float64 {
			free, _ := e.ports.available()
			return float64(free)
		}),
		gauge("rtp_port_pairs_resting", "RTP port pairs draining after a call.", func() float64 {
			_, resting := e.ports.available()
			return float64(resting)
		}),
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *mediaMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *mediaMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}
