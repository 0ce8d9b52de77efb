package store

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	level, free, pending prometheus.Gauge
	latency              prometheus.Histogram
	refused              *prometheus.CounterVec
	failed               prometheus.Counter
	rescued              prometheus.CounterFunc
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		level: prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_store_disk_level",
			Help: "State of the data disk: 0 fine, 1 low, 2 tight, 3 full, 4 read-only, 5 stuck."}),
		free: prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_store_disk_free_bytes",
			Help: "Bytes available on the data disk."}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "deskbridge_store_pending_facts",
			Help: "Call facts and customers that wait in memory for the disk."}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "deskbridge_store_write_seconds",
			Help:    "Time of one synced commit.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 15}}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "deskbridge_store_refused_total",
			Help: "Writes refused, by disk level or full queue."}, []string{"reason"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "deskbridge_store_write_errors_total",
			Help: "Writes that failed at the disk."}),
		rescued: prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "deskbridge_store_page_rescues_total",
			Help: "Page faults on a full disk that were served from the ballast instead of killing the process."},
			func() float64 { return float64(rescues()) }),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range m.all() {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register store metrics: %w", err)
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
	return []prometheus.Collector{m.level, m.free, m.pending, m.latency, m.refused, m.failed, m.rescued}
}
