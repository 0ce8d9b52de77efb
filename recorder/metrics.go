package recorder

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	running                   prometheus.Gauge
	packetsBySide, lostBySide *prometheus.CounterVec
	packets, lost             [2]prometheus.Counter // the same, by Side
	ended, ledger             *prometheus.CounterVec
	bytes, panics             prometheus.Counter
	state, free, fullIn       prometheus.Gauge
	write, sync               prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_recorder_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_recorder_" + name, Help: help})
	}
	vec := func(name, label, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_recorder_" + name, Help: help}, []string{label})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "deskbridge_recorder_" + name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15}})
	}
	m := &metrics{
		running:       gauge("recordings", "Recordings running or being finished."),
		packetsBySide: vec("packets_total", "side", "Audio packets written."),
		lostBySide:    vec("frames_lost_total", "side", "Audio packets that did not reach their recording; the calls were not touched."),
		ended:         vec("recordings_ended_total", "reason", "Recordings ended, by reason."),
		ledger:        vec("ledger_errors_total", "event", "Entries the ledger did not take."),
		bytes:         counter("written_bytes_total", "Bytes written to recordings."),
		panics:        counter("panics_total", "Bugs that ended a recording."),
		state:         gauge("disk_state", "State of the recording volume: 0 fine, 1 full, 2 missing, 3 read-only or failing, 4 stuck."),
		free:          gauge("disk_free_bytes", "Bytes available on the recording volume."),
		fullIn:        gauge("disk_full_seconds", "Seconds until the volume reaches the watermark at the present rate; +Inf while it does not fill."),
		write:         seconds("write_seconds", "Time of one batch written to one file."),
		sync:          seconds("sync_seconds", "Time of one fdatasync."),
	}
	for side := range m.packets {
		m.packets[side] = m.packetsBySide.WithLabelValues(Side(side).String())
		m.lost[side] = m.lostBySide.WithLabelValues(Side(side).String())
	}
	for i, c := range m.all() {
		if r == nil {
			break
		}
		if err := r.Register(c); err != nil {
			for _, c := range m.all()[:i] {
				r.Unregister(c)
			}
			return nil, fmt.Errorf("register recorder metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.running, m.packetsBySide, m.lostBySide, m.ended, m.ledger, m.bytes, m.panics, m.state, m.free, m.fullIn, m.write, m.sync}
}
