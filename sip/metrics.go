package sip

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the signalling side. Labels are methods, classes and names from settings: nothing a stranger chooses.
type metrics struct {
	requests      *prometheus.CounterVec // received, by method and class of our answer
	sent          *prometheus.CounterVec // sent, by method and class of the answer
	refused       *prometheus.CounterVec
	registrations prometheus.Gauge
	trunkUp       *prometheus.GaugeVec
	trunkRTT      *prometheus.GaugeVec
	dialogs       prometheus.Gauge
	panics        prometheus.Counter
	restarts      *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_requests_total", Help: "SIP requests received, by method and class of our final answer.",
		}, []string{"method", "class"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_sent_total", Help: "SIP requests sent, by method and class of the final answer.",
		}, []string{"method", "class"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_refused_total", Help: "SIP messages and connections refused, by reason.",
		}, []string{"reason"}),
		registrations: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskbridge_sip_registrations", Help: "Contacts registered with us.",
		}),
		trunkUp: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "deskbridge_sip_trunk_up", Help: "1 while the trunk answers (and, if it is to be registered, is).",
		}, []string{"trunk"}),
		trunkRTT: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "deskbridge_sip_trunk_rtt_seconds", Help: "Round trip of the last OPTIONS ping.",
		}, []string{"trunk"}),
		dialogs: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "deskbridge_sip_legs", Help: "SIP legs in progress.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "deskbridge_sip_panics_total", Help: "Panics caught; each ended one call or request.",
		}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_sip_listener_restarts_total", Help: "Times a SIP listener stopped and was started again.",
		}, []string{"transport"}),
	}
	reg.MustRegister(m.requests, m.sent, m.refused, m.registrations, m.trunkUp, m.trunkRTT, m.dialogs, m.panics, m.restarts)
	return m
}

var knownMethods = map[string]bool{
	"INVITE": true, "ACK": true, "BYE": true, "CANCEL": true, "OPTIONS": true, "REGISTER": true, "INFO": true,
	"UPDATE": true, "REFER": true, "SUBSCRIBE": true, "NOTIFY": true, "MESSAGE": true, "PRACK": true, "PUBLISH": true,
}

// methodLabel keeps the label set closed.
func methodLabel(m string) string {
	if knownMethods[m] {
		return m
	}
	return "other"
}

func statusClass(status int) string {
	if status < 100 || status > 699 {
		return "none"
	}
	return strconv.Itoa(status/100) + "xx"
}
