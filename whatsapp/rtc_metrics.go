package whatsapp

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Why a datagram went no further, the label of deskbridge_webrtc_dropped_packets_total.
type dropReason uint8

const (
	dropSource dropReason = iota // not from an address that ICE has checked
	dropSize                     // beyond 1500 bytes, or too short to be anything
	dropKind                     // not STUN, DTLS, RTP or RTCP (RFC 7983)
	dropEarly                    // RTP or RTCP before the keys
	dropAuth                     // failed authentication, or replayed
	dropFormat                   // authentic but malformed, or a payload type that wasn't negotiated
	dropRate                     // beyond the rate limit
	dropSSRC                     // a source more than allowed
	dropQueue                    // DTLS or digits faster than they are used
	dropReasons
)

var dropNames = [dropReasons]string{"source", "size", "kind", "early", "auth", "format", "rate", "ssrc", "queue"}

// rtcMetrics are shared by all sessions; counters are touched per dropped packet, never per good one.
type rtcMetrics struct {
	open         prometheus.Gauge
	drops        [dropReasons]prometheus.Counter
	dead         *prometheus.CounterVec
	disconnected prometheus.Counter
	setup        prometheus.Histogram
	panics       prometheus.Counter
}

func newRTCMetrics(r prometheus.Registerer) (*rtcMetrics, error) {
	const ns, sub = "deskbridge", "webrtc"
	m := &rtcMetrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: ns, Subsystem: sub, Name: "sessions", Help: "Media sessions with WhatsApp that are open."}),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "dead_total", Help: "Media sessions that died, by reason."}, []string{"reason"}),
		disconnected: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "disconnected_total", Help: "Times a peer stopped answering consent checks."}),
		setup: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "setup_seconds", Help: "From the first check to keys on both sides.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 10}}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "panics_total", Help: "Bugs that ended one media session."}),
	}
	drops := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: ns, Subsystem: sub, Name: "dropped_packets_total", Help: "Datagrams on media ports that went no further, by reason."}, []string{"reason"})
	for i := range m.drops {
		m.drops[i] = drops.WithLabelValues(dropNames[i])
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.open, m.dead, m.disconnected, m.setup, m.panics, drops} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
