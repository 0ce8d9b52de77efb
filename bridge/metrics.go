package bridge

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"deskbridge/media"
)

type metrics struct {
	active     *prometheus.GaugeVec
	calls      *prometheus.CounterVec
	stages     *prometheus.HistogramVec
	duration   *prometheus.HistogramVec
	unexpected *prometheus.CounterVec
	panics     prometheus.Counter
	stuck      prometheus.Counter
	factsLost  prometheus.Counter
	dropped    prometheus.Counter
	unrecorded prometheus.Counter

	packets *prometheus.CounterVec
	lost    *prometheus.CounterVec
	jitter  *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "deskbridge_calls_active", Help: "Calls in progress, ringing ones included."}, []string{"direction"}),
		calls:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_calls_total", Help: "Calls ended, by outcome: answered, or the reason nobody talked."}, []string{"direction", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "deskbridge_call_setup_seconds",
			Help: "Time spent in each stage of a call's set-up. offer_to_dial: webhook or INVITE received to INVITE or connect handed over; " +
				"dial_to_ring; ring_to_answer; answer_to_accept: the winner's answer to leg A's acceptance taking effect; " +
				"answer_to_audio: the phone's answer to the first audio packet leaving for Meta.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25, 60},
		}, []string{"direction", "stage"}),
		duration:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "deskbridge_call_duration_seconds", Help: "Talk time of answered calls.", Buckets: []float64{5, 15, 30, 60, 120, 300, 600, 1800, 3600}}, []string{"direction"}),
		unexpected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_call_unexpected_inputs_total", Help: "Inputs a call's state machine has no transition for; each is a bug."}, []string{"state", "input"}),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_call_panics_total", Help: "Bugs that ended one call."}),
		stuck:      prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_call_stuck_legs_total", Help: "Legs that did not end in time after a hang-up."}),
		factsLost:  prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_call_facts_lost_total", Help: "Call facts that could not be stored."}),
		dropped:    prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_call_events_dropped_total", Help: "Digits dropped because a call's inbox was full."}),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_call_unrecorded_total", Help: "Calls that were to be recorded and could not be."}),
		packets:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_rtp_packets_total", Help: "RTP packets by kind of leg and direction seen from us; rejected ones were malformed, unauthenticated or from a stranger."}, []string{"leg", "direction"}),
		lost:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_rtp_lost_total", Help: "RTP packets that never came, by kind of leg."}, []string{"leg"}),
		jitter:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "deskbridge_rtp_jitter_seconds", Help: "Interarrival jitter (RFC 3550), observed every 5 s of each leg.", Buckets: []float64{.001, .002, .005, .01, .02, .03, .05, .1, .2}}, []string{"leg"}),
	}
	r.MustRegister(m.active, m.calls, m.stages, m.duration, m.unexpected, m.panics, m.stuck, m.factsLost, m.dropped, m.unrecorded, m.packets, m.lost, m.jitter)
	for _, d := range []Direction{Inbound, Outbound} { // a dashboard shows 0, not nothing, before the first call
		m.active.WithLabelValues(string(d))
		m.calls.WithLabelValues(string(d), "answered")
	}
	return m
}

// streamMeter turns a stream's growing counters into metric increments.
type streamMeter struct{ last media.Stats }

func (s *streamMeter) observe(m *metrics, kind Kind, now media.Stats) {
	leg := string(kind)
	m.packets.WithLabelValues(leg, "received").Add(delta(now.Received, s.last.Received))
	m.packets.WithLabelValues(leg, "sent").Add(delta(now.Sent, s.last.Sent))
	m.packets.WithLabelValues(leg, "rejected").Add(delta(now.Rejected, s.last.Rejected))
	m.packets.WithLabelValues(leg, "filler").Add(delta(now.Filler, s.last.Filler))
	m.lost.WithLabelValues(leg).Add(delta(now.Lost, s.last.Lost))
	if now.Received > s.last.Received {
		m.jitter.WithLabelValues(leg).Observe(now.Jitter.Seconds())
	}
	s.last = now
}

// delta tolerates counters that go back (a late packet makes Lost smaller).
func delta(now, last uint64) float64 {
	if now < last {
		return 0
	}
	return float64(now - last)
}

// fence turns a recovered panic into an error, logged with its stack and counted.
func fence(log *slog.Logger, m *metrics, call string, r any) error {
	m.panics.Inc()
	log.Error("a bug ended this call; please report it with this stack", "call", call, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", r)
}
